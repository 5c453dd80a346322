"""What drives client_library.c: a proxy that is cut and mended, and the cases that every server passes."""
import os
import select
import socket
import subprocess
import threading

import harness
from harness import case, true

PROGRAM = harness.needed("CLIENT_LIBRARY",
                         os.path.join(os.environ["BUILD_DIR"], "compat_client_library"))
SECONDS_MAX = 90
OPTIONS = ["tickTime=200", "minSessionTimeout=400", "extendedTypesEnabled=true",
           "4lw.commands.whitelist=*"]


class Proxy:
    """Between a client and a server: holds back, cuts, mends."""

    def __init__(self, port):
        self.server = port
        self.port = None
        self.lock = threading.Lock()
        self.pairs = []
        self.held = False
        self.listener = None
        self.closed = False
        self.mend()

    def mend(self):
        self.held = False
        self.listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server), 10)
            except OSError:
                return
            with self.lock:
                self.pairs.append((client, server))
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()

    def pump(self, client, server):
        try:
            while True:
                if self.held:
                    select.select([], [], [], 0.01)
                    if client.fileno() < 0:
                        return
                    continue
                for ready in select.select([client, server], [], [], 0.05)[0]:
                    if self.held:
                        break
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            server.close()

    def hold(self):
        self.held = True

    def release(self):
        self.held = False

    def cut(self):
        """All connections, and no new ones."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self.lock:
            for pair in self.pairs:
                for one in pair:
                    try:
                        one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            self.pairs = []


def play(name, *addresses, **commands):
    """Run a case, doing what it asks for; its output."""
    output = []
    with subprocess.Popen([PROGRAM, name, *addresses], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        timer = threading.Timer(SECONDS_MAX, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                output.append(line)
                if line.startswith("please "):
                    commands[line.split()[1]]()
                    process.stdin.write("done\n")
                    process.stdin.flush()
        finally:
            timer.cancel()
    text = "".join(output)
    true(process.returncode == 0, f"exit code {process.returncode}:\n{text}")
    return text


def play_with(server, name):
    proxy = Proxy(server.port)
    try:
        def again():
            if proxy.listener is None:
                proxy.mend()
        return play(name, f"127.0.0.1:{proxy.port}", f"127.0.0.1:{server.port}", cut=proxy.cut,
                    mend=lambda: (proxy.cut(), again()), hold=proxy.hold, release=proxy.release,
                    restart=server.restart)
    finally:
        proxy.cut()


servers = []


def shared():
    """One server for the cases that leave it whole; which, COMPAT_SERVER says."""
    if not servers:
        servers.append(harness.server(*OPTIONS))
    return servers[0]


SENTENCES = {
    "creates": "all kinds of znodes are created, and what they are comes back with them",
    "reads_and_writes": "data, Stats and children are read and written, with and without versions",
    "acls": "identities are kept over connections, and decide what an ACL permits",
    "multis": "a multi answers for each of its operations, done or not; a multiRead likewise",
    "the_rest": "ephemerals, numbers, the configuration and four-letter words are asked for",
    "chroot": "below a chroot all paths are short, in results and in events",
    "watches": "watches are told what they wait for, to the last, and are removed",
    "one_of_two_watches_is_removed": "of two watches on a znode one can go, and the other stays",
    "order": "an event comes before the answer that shows its cause",
    "missed_events": "what watches missed while the connection was cut is delivered afterwards",
    "losses": "what was outstanding when a connection broke ends with ConnectionLoss, once",
    "silence": "a server that falls silent is left",
    "idle": "a session that has nothing to say is kept alive",
    "next_server": "servers are tried one after the other, and requests wait meanwhile",
    "expiry": "an expired session is the end of its requests and its watches",
    "ten_thousand_outstanding": "10,000 requests may be outstanding, and are answered in order",
    "limits": "requests, bytes and watches are limited, and who asks beyond is told",
    "close_with_requests_outstanding": "what was asked before the close is answered, or ends",
    "attach": "a session can be left and attached to again, but not without its password",
    "callbacks": "functions that wait refuse to in callbacks, those that do not work there",
    "threads": "many threads may use one handle",
}


def cases_define():
    for name, sentence in SENTENCES.items():
        case(sentence)(lambda name=name: play_with(shared(), name))
