"""A relay between a client and a server, to be cut, frozen, or listened to."""

import socket
import threading


class Relay:
    """Between a client and a server, to be cut."""

    def __init__(self, port):
        self.port = port
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.accepted = 0
        self.requests = b""
        self.connections = []
        self.losing = None
        self.flows = threading.Event()
        self.flows.set()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                near, _ = self.socket.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    near.close()
                    continue
                self.accepted += 1
                self.connections += [near, far]
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()
        except OSError:
            pass

    def pump(self, source, sink, keep):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                self.requests += data if keep else b""
                self.flows.wait()
                if self.losing == ("request" if keep else "reply"):
                    self.losing = None
                    self.cut()
                sink.sendall(data)
        except OSError:
            pass

    def asked(self, what):
        """Whether the clients have sent these bytes."""
        return what in self.requests

    def cut(self):
        """Break what is connected; new connections are let through."""
        for one in self.connections:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        self.connections = []

    def lose(self, what):
        """Break the connection instead of passing on what comes next: a "request" or a "reply"."""
        self.losing = what

    def freeze(self):
        """Nothing comes through any more, and nobody is told."""
        self.flows.clear()

    def flow(self):
        """What was held back comes through."""
        self.flows.set()

    def close(self):
        """Nobody gets through any more. (shutdown() wakes the thread that accepts.)"""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.cut()
        self.flow()
