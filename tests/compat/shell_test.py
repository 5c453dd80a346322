#!/usr/bin/python3
"""moonkeeper shell: what zkCli.sh prints and ends with, command by command; and what it has beyond."""

import concurrent.futures
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import harness
from harness import case, equal, true, until

OK, FAILED, USAGE, UNREACHABLE, NO_COMMAND = 0, 1, 2, 3, 127
SECONDS_MAX = 100


def environment():
    """History goes into the test's own directory, and dates are the same everywhere."""
    return dict(os.environ, XDG_STATE_HOME=os.path.abspath("state"), TZ="UTC", LC_ALL="C.UTF-8",
                ZOO_LOG_DIR=os.getcwd())


def shell(address, *options):
    return [harness.needed("MOONKEEPER"), "shell", "-server", address, *options]


def zkcli(address):
    return [harness.zkcli(), "-server", address]


def run(command, *words, stdin=""):
    done = subprocess.run(command + list(words), input=stdin, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=SECONDS_MAX, check=False,
                          env=environment())
    return done.returncode, done.stdout, done.stderr


# zkCli.sh writes an event in two pieces, and between them whatever else it has to say.
EVENT = re.compile(r"\nWATCHER::\n|\nWatchedEvent ([^\n]*)\n")


def session(command, lines):
    """[(what a line has printed, what it has said on standard error)], and the exit code. `printwatches`
    and a question about an absent znode mark where the next one begins."""
    text = "".join(f"{line}\nprintwatches\nls /not-there-{number}\n"
                   for number, line in enumerate(lines)) + "ls /\nquit\n"
    code, out, errors = run(command, stdin=text)
    out = re.sub(r"^Connecting to .*\n(Welcome to ZooKeeper!\nJLine support is disabled\n)?", "",
                 EVENT.sub("", out)).split("printwatches is on\n")
    errors = re.sub(r"SLF4J.*\n", "", errors)
    errors = re.split(r"Node does not exist: /not-there-\d+\n", errors)
    equal((len(out), len(errors)), (len(lines) + 1, len(lines) + 1), f"{command[0]}: {errors[-1]}")
    return list(zip(out, errors))[:-1], code


def same(text):
    """Without what differs from server to server."""
    return re.sub(r"time = .*", "time = T", re.sub(r"0x[0-9a-f]+", "0xN", text))


# --- The same as zkCli.sh, on servers of their own.

LINES = r"""
create /c
get /c
create /c
create /d data world:anyone:r
create -e -s /d/e x
create -s /c/s "x y"
get /c/s0000000000
create -c /cont
create -c -e /cont2
create -t 1000 -e /ttl
create -t 1000 -c /ttl
create -t x /ttl
create -t 0 /ttl
create -t
create
create nopath
create /a/b/c
create /bad acl foo
create /bad2 acl world:anyone:qr
create /bad3 acl digest:x:cdrwa
create /d/./x
create //
create /d//x
get
get -s /c
get -w /c
get /c watch
get -sw /c
get -s -w /c extra
set /c one
set -s /c two
set -v 1 /c three
set -v 9 /c three
set -v2 /c three
set -v
set /c
set /c four 3
set /nope x
set /c -5
set -- /c -5
stat /c
stat -w /c
stat /nope
stat
stat /c watch
ls /
ls -s /c
ls -R /
ls -w /
ls
ls -R /nope
ls /nope
ls / true
ls bad/
getAcl /d
getAcl -s /d
getAcl /nope
getAcl
setAcl /c world:anyone:cdrwa
setAcl -s /c world:anyone:cdrwa,ip:127.0.0.1:r
getAcl /c
setAcl -v 7 /c world:anyone:r
setAcl -R /c world:anyone:cdrwa
setAcl /c foo
setAcl /c
getAllChildrenNumber /c
getAllChildrenNumber /nope
getAllChildrenNumber
getAllChildrenNumber bad
getEphemerals
getEphemerals /zzz
getEphemerals bad
create -e /eph
create /eph/x
getEphemerals /e
setquota -n 5 /c
listquota /c
setquota -b 100 /c
setquota -B 200 /c
setquota -N 7 /c
listquota /c
setquota -n 0 /c
setquota -n -3 /c
setquota -n x /c
setquota /c
setquota -n 5
setquota -n 5 -b 7 /c
setquota -n 5 /nope
setquota -n 5 /c/s0000000000
setquota -n 5 /zookeeper/quota
ls -R /zookeeper/quota
delquota -n /c
listquota /c
delquota -b /c
delquota -N /c
delquota -B /c
listquota /c
delquota /c
listquota /c
ls /zookeeper/quota
delquota /c
delquota
delquota /nope
listquota /nope
listquota
setquota -n 5 /c/s0000000000
setquota -n 5 /c
delquota /c/s0000000000
sync /c
sync /nope
sync
whoami
addauth
addauth digest u:p
whoami
create /mine x auth::cdrwa
getAcl /mine
config -x
reconfig
reconfig -v zz -remove 1
reconfig -file /nope -members x
reconfig -members x -add y
removewatches /nope
removewatches
removewatches /c -x
addWatch /c
addWatch
addWatch -m PERSISTENT /c
addWatch /c extra
addWatch -m foo /c
removewatches -a /c
removewatches /c -c
create "/q a" 'single "inner"'
get "/q a"
create /u "üñï"
get /u
create "/z" ""
get /z
  ls /nope2
get "/unclosed
get 'a"b c'
foo
redo 0
redo 5000
redo
printwatches on
deleteall /nope
deleteall
deleteall /c -b x
deleteall /c -b 2
ls -R /
deleteall bad
delete /nope
delete
delete -v 5 /z
delete /z
delete /zookeeper
delete /d
getAcl /zookeeper/config
set / ""
stat /mine
history
""".strip("\n").split("\n")


# Where we differ in what is said on standard error, by intention: the usage that 3.9 has, sentences
# without the name of a Java class, the commands not listed anew with each mistake.
SAID_OTHERWISE = re.compile(r"^(org\.apache\.commons\.cli|removewatches|set |get |Error processing|"
                            r"KeeperErrorCode = InvalidACL|ZooKeeper -server|Command not found)")


@case("every command prints what zkCli.sh prints, from a pipe, against a server of the same state")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("no ZooKeeper")
    with harness.Moonkeeper("extendedTypesEnabled=true") as ours, \
         harness.Moonkeeper("extendedTypesEnabled=true") as theirs, \
         concurrent.futures.ThreadPoolExecutor() as pool:
        expected = pool.submit(session, zkcli(theirs.address), LINES)
        actual, code = session(shell(ours.address), LINES)
        expected, expected_code = expected.result()
        equal(code, expected_code)
        for line, one, other in zip(LINES, actual, expected):
            equal(same(one[0]), same(other[0]), line)
            if not SAID_OTHERWISE.search(other[1]):
                equal(same(one[1]), same(other[1]), line)
            equal(one[1] == "", other[1] == "", f"{line}: {one[1]!r} or {other[1]!r} is said")


@case("one command from the command line prints what zkCli.sh prints, and ends with its exit code")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("no ZooKeeper")
    words = [("ls", "/"), ("ls", "/nope"), ("get",), ("foo",), ("create", "/"), ("stat", "/nope"),
             ("create", "/x y", "a b"), ("quit",), ("addWatch", "-m", "foo", "/a"), ("whoami",),
             ("get", "-z", "/"), ("config",)]

    def outcome(command):
        code, out, _ = run(*command)
        events = [event for event in EVENT.findall(out) if event]
        # The first event comes when it comes; whether a command that asks nothing waits for it,
        # nobody can say.
        return code, EVENT.sub("", out), [event for event in events if "SyncConnected" not in event]

    with harness.Moonkeeper() as ours, harness.Moonkeeper() as theirs, \
         concurrent.futures.ThreadPoolExecutor(3) as pool:
        expected = pool.map(outcome, [(zkcli(theirs.address), *each) for each in words])
        for each, other in zip(words, expected):
            one = outcome((shell(ours.address), *each))
            equal((one[0], one[1].replace(ours.address, theirs.address), one[2]), other, str(each))


@case("against ZooKeeper itself the shell prints what it prints against Moonkeeper")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("no ZooKeeper")
    lines = [line for line in LINES if "zookeeper" not in line and line not in ("ls /", "ls -R /",
             "ls / true", "ls -w /")]
    with harness.Moonkeeper("extendedTypesEnabled=true") as ours, \
         harness.ZooKeeper("extendedTypesEnabled=true") as theirs:
        one, _ = session(shell(ours.address), lines)
        other, _ = session(shell(theirs.address), lines)
        for line, ours_said, theirs_said in zip(lines, one, other):
            # What the server has counted is the affair of its own tests.
            one, other = (re.sub("Output stat.*", "", text) for text in (ours_said[0], theirs_said[0]))
            equal(same(one), same(other), line)


# --- Beyond zkCli 3.8.

servers = {}


def shared():
    if "shared" not in servers:
        servers["shared"] = harness.Moonkeeper("tickTime=200")
    return servers["shared"]


def ask(*words, options=(), server=None):
    """One command, without what the connection has to say: (exit code, output, errors)"""
    code, out, errors = run(shell((server or shared()).address, *options), *words)
    return code, EVENT.sub("", re.sub(r"^Connecting to .*\n", "", out)), errors


@case("data goes in and out as base64, and out as a hex dump")
def _():
    ask("create", "/binary")
    equal(ask("set", "-b", "/binary", "AP/+aGVsbG8gd29ybGQhIQ==")[0], OK)
    equal(ask("get", "-b", "/binary"), (OK, "AP/+aGVsbG8gd29ybGQhIQ==\n", ""))
    equal(ask("get", "-x", "/binary")[1],
          "         +-------------------------------------------------+\n"
          "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n"
          "+--------+-------------------------------------------------+----------------+\n"
          "|00000000| 00 ff fe 68 65 6c 6c 6f 20 77 6f 72 6c 64 21 21 |...hello world!!|\n"
          "+--------+-------------------------------------------------+----------------+\n")
    equal(ask("set", "-b", "/binary", "no base64!"), (FAILED, "", "the data is not base64\n"))
    equal(ask("set", "-b", "/binary", "")[0], OK)
    equal(ask("get", "/binary")[1], "\n")


@case("persistent and recursive watches are removed one without the other")
def _():
    lines = ["create /w", "addWatch -m PERSISTENT /w", "addWatch /w", "removewatches -r /w",
             "removewatches -r /w", "removewatches -p /w", "removewatches -p /w"]
    said, _ = session(shell(shared().address), lines)
    equal([errors for _, errors in said[3:]],
          ["", "KeeperErrorCode = No such watcher for /w\n", "",
           "KeeperErrorCode = No such watcher for /w\n"])


@case("with --json results are objects on standard output, and errors on standard error")
def _():
    code, out, errors = ask("create", "/json", "x", options=["--json"])
    equal((code, json.loads(out), errors.replace('{"state":"SyncConnected"}\n', "")),
          (OK, {"path": "/json"}, ""))
    _, out, _ = ask("get", "-s", "/json", options=["--json"])
    equal((json.loads(out)["data"], json.loads(out)["stat"]["data_length"]), ("x", 1))
    equal(json.loads(ask("ls", "/json", options=["--json"])[1]), {"children": []})
    equal(json.loads(ask("ls", "-R", "/json", options=["--json"])[1]), {"paths": ["/json"]})
    code, out, errors = ask("get", "/nope", options=["--json"])
    equal((code, out), (FAILED, ""))
    equal(json.loads(errors.splitlines()[-1]),
          {"error": "NoNode", "message": "Node does not exist: /nope"})
    equal(json.loads(ask("whoami", options=["--json"])[1])["identities"][0],
          {"scheme": "ip", "id": "127.0.0.1"})


@case("with a chroot, paths are those below it")
def _():
    ask("create", "/root")
    server = shared().address + "/root"
    equal(run(shell(server), "create", "/inner", "x")[2], "Created /inner\n")
    equal(ask("ls", "/root")[1], "[inner]\n")
    equal(run(shell(server), "get", "/nope")[2], "Node does not exist: /nope\n")


@case("options that make no sense are said, with exit code 2")
def _():
    for words, what in ((["-timeout", "soon"], "-timeout must be"), (["-server"], "no argument found"),
                        (["-x"], "there is no option -x"), (["-s"], "--tls-ca"), (["-server", "a:b:c"], "")):
        done = run([harness.needed("MOONKEEPER"), "shell"], *words)
        equal(done[0], USAGE, str(done))
        true(what in done[2] and done[2] != "", str(done))


@case("without a server a command fails with ConnectionLoss; who waits for one is told which was tried")
def _():
    nobody = f"127.0.0.1:{harness.free_port()}"
    code, _, errors = run(shell(nobody, "-timeout", "1000"), "ls", "/")
    equal((code, errors), (FAILED, "KeeperErrorCode = ConnectionLoss for /\n"))
    code, _, errors = run(shell(nobody, "-timeout", "1000", "-waitforconnection"), "ls", "/")
    equal(code, UNREACHABLE)
    true(nobody in errors, errors)
    code, out, _ = run(shell(f"{nobody},{shared().address}"), "get", "/")
    equal((code, EVENT.sub("", out).splitlines()[1:]), (OK, [""]))


@case("a pipe that stays open is told of events and reconnections as they come")
def _():
    with harness.Moonkeeper() as server:
        process = subprocess.Popen(shell(server.address), stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env=environment())
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(iter(process.stdout.readline, "")))
        reader.start()

        def saw(*lines):
            until(lambda: all(any(line in one for one in seen) for line in lines), f"{lines}")

        process.stdin.write("create /watched x\nget -w /watched\n")
        process.stdin.flush()
        saw("x\n")
        equal(ask("set", "/watched", "y", server=server)[0], OK)
        saw("WatchedEvent state:SyncConnected type:NodeDataChanged path:/watched")
        server.restart()
        saw("WatchedEvent state:Disconnected type:None path:null")
        until(lambda: sum("state:SyncConnected type:None" in one for one in seen) == 2, "again")
        process.stdin.write("get /watched\nquit\n")
        process.stdin.close()
        equal(process.wait(SECONDS_MAX), OK)
        reader.join()
        saw("y\n", "WatchedEvent state:Closed type:None path:null")


@case("the last line needs no end, an empty one is nothing, a whole batch is run in order")
def _():
    code, out, errors = run(shell(shared().address), stdin="create /batch a\n\n  \nset /batch b\r\n"
                                                           "get /batch")
    equal((code, EVENT.sub("", out).splitlines()[1:], errors), (OK, ["b"], "Created /batch\n"))


@case("a tree of thousands is listed, counted and deleted in batches")
def _():
    lines = ["create /many"] + [f"create /many/{i:04}" for i in range(2500)] + ["quit"]
    equal(run(shell(shared().address), stdin="\n".join(lines) + "\n")[0], OK)
    equal(ask("getAllChildrenNumber", "/many"), (OK, "2500\n", ""))
    listed = ask("ls", "-R", "/many")[1].splitlines()
    equal(listed, ["/many"] + [f"/many/{i:04}" for i in range(2500)])
    equal(ask("deleteall", "/many", "-b", "700"), (OK, "", ""))
    equal(ask("ls", "/many")[0], FAILED)


@case("deleteall says that it has failed when something below may not be deleted")
def _():
    ask("create", "/guarded")
    ask("create", "/guarded/inner", "", "world:anyone:r")
    ask("create", "/guarded/inner2")
    ask("setAcl", "/guarded", "world:anyone:rcw")
    equal(ask("deleteall", "/guarded")[2], "Failed to delete some node(s) in the subtree!\n")


# --- At a terminal.

CTRL_A, CTRL_C, CTRL_D, CTRL_K, BACKSPACE, TAB, UP = "\x01", "\x03", "\x04", "\x0b", "\x7f", "\t", "\x1b[A"


class Terminal:
    """A shell on a pseudo terminal, typed into. `shown` is all that it has sent there."""

    def __init__(self, server=None, **variables):
        address = (server or shared()).address
        self.process, self.shown = None, ""
        pid, self.master = pty.fork()
        if pid == 0:
            os.environ.update(environment(), TERM="vt100", **variables)
            os.execv(harness.needed("MOONKEEPER"), shell(address))
        self.pid = pid
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.sees(f"[zk: {address}(CONNECTED) 0] ")

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        """What comes within that time; False at the end."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return False
            self.shown += data.decode("utf-8", "replace")
            return bool(data)
        return True

    def sees(self, text, since=0):
        deadline = time.monotonic() + 20
        while text not in self.shown[since:]:
            true(time.monotonic() < deadline and self.read(0.2),
                 f"{text!r} is not in {self.shown[since:]!r}")
        return self.shown.index(text, since)

    def ask(self, line, answer):
        """Type a line; wait for its answer behind it."""
        mark = len(self.shown)
        self.type(line + "\r")
        self.sees(answer, mark)
        return self.shown[mark:]

    def end(self, look=lambda: None):
        """The exit code, after `quit` or whatever else has ended it; `look` at the terminal then."""
        deadline = time.monotonic() + 20
        while self.read(0.2):
            true(time.monotonic() < deadline, "the shell ends")
        look()
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def quit(self):
        self.type("quit\r")
        return self.end()


@case("a terminal has a prompt with state and number, and lines that can be edited")
def _():
    terminal = Terminal()
    terminal.ask("create /edited x", "Created /edited")
    mark = len(terminal.shown)
    terminal.type("zet /editedd" + BACKSPACE + CTRL_A + "\x1b[3~" + "g\r")
    terminal.sees("x\r\n", mark)
    terminal.sees(f"[zk: {shared().address}(CONNECTED) 2] ", mark)
    mark = len(terminal.shown)
    terminal.type("nonsense" + CTRL_A + CTRL_K + "stat /edited\r")
    terminal.sees("dataLength = 1", mark)
    equal(terminal.quit(), OK)


@case("lines of earlier shells come back, but for those of addauth, from a file for its owner alone")
def _():
    state = os.path.abspath("state-of-history")
    first = Terminal(XDG_STATE_HOME=state)
    first.ask("create /remembered yes", "Created /remembered")
    first.ask("  addauth digest joe:secret", "CONNECTED) 2]")
    first.ask("'addauth' digest joe:secret", "CONNECTED) 3]")
    equal(first.quit(), OK)
    path = os.path.join(state, "moonkeeper", "history")
    equal(os.stat(path).st_mode & 0o777, 0o600)
    with open(path, encoding="utf-8") as history:
        text = history.read()
    true("remembered" in text and "secret" not in text, text)

    second = Terminal(XDG_STATE_HOME=state)
    mark = len(second.shown)
    second.type(UP + UP) # over `quit`
    second.sees("create /remembered yes", mark)
    second.type("\r")
    second.sees("Node already exists: /remembered", mark)
    second.quit()


@case("tab completes commands, options and paths, and lists what there is when it cannot")
def _():
    for name in ("apple", "apricot", "apricot/stone", "with space"):
        ask("create", f"/{name}", name)
    terminal = Terminal()
    mark = len(terminal.shown)
    terminal.type("getAl" + TAB + "/apr" + TAB + "\r")
    terminal.sees("lChildrenNumber /apr", mark)
    terminal.sees("\n1\r\n", terminal.sees("icot", mark))
    mark = len(terminal.shown)
    terminal.type("get /ap" + TAB)
    terminal.sees("apple  apricot", mark)
    terminal.type("p" + TAB + "\r")
    terminal.sees("\napple\r\n", mark)
    mark = len(terminal.shown)
    terminal.type('get "/wi' + TAB + '"\r')
    terminal.sees("\nwith space\r\n", mark)
    mark = len(terminal.shown)
    terminal.type("reconfig -mem" + TAB)
    terminal.sees("bers ", mark)
    terminal.type(CTRL_C)
    equal(terminal.quit(), OK)


@case("an event that comes while a line is typed is shown above it, and the line stays")
def _():
    ask("create", "/told", "x")
    terminal = Terminal()
    terminal.ask("get -w /told", "x\r\n")
    mark = len(terminal.shown)
    terminal.type("get /to")
    terminal.sees("get /to", mark)
    ask("set", "/told", "changed")
    event = terminal.sees("type:NodeDataChanged path:/told", mark)
    terminal.sees("CONNECTED) 1] get /to", event)
    terminal.type("ld\r")
    terminal.sees("\nchanged\r\n", event)
    equal(terminal.quit(), OK)


@case("a lost connection and its return are shown, in the prompt as well")
def _():
    with harness.Moonkeeper() as server:
        terminal = Terminal(server)
        server.stop()
        lost = terminal.sees("state:Disconnected")
        terminal.sees("(CONNECTING) 0] ", lost)
        server.start()
        back = terminal.sees("state:SyncConnected", lost)
        terminal.sees("(CONNECTED) 0] ", back)
        terminal.ask("whoami", "ip: 127.0.0.1")
        equal(terminal.quit(), OK)


@case("what is stored cannot command the terminal, and comes through a pipe as it is")
def _():
    ask("create", "/evil")
    ask("set", "-b", "/evil", "G1syShtdMDtwd25lZAcN") # ESC [2J, ESC ]0;pwned BEL, CR
    terminal = Terminal()
    shown = terminal.ask("get /evil", "CONNECTED) 1]")
    true("\\x1b[2J\\x1b]0;pwned\\x07\\x0d" in shown, shown)
    true("\x07" not in shown and "\x1b]" not in shown, shown)
    equal(terminal.quit(), OK)
    done = subprocess.run(shell(shared().address) + ["get", "/evil"], stdout=subprocess.PIPE,
                          env=environment(), check=True)
    true(b"\x1b[2J\x1b]0;pwned\x07\r" in done.stdout, done.stdout)


@case("Ctrl-C gives up a line and not the shell; Ctrl-D ends it as the end of input does")
def _():
    terminal = Terminal()
    mark = len(terminal.shown)
    terminal.type("create /never x" + CTRL_C)
    terminal.sees("^C", mark)
    terminal.ask("ls /never", "Node does not exist: /never")
    terminal.sees("(CONNECTED) ", terminal.shown.index("Node does not exist: /never"))
    terminal.type(CTRL_D) # at the prompt: before it the terminal is not yet the editor's
    equal(terminal.end(), FAILED) # of the last command, as ever


@case("a terminal may be resized, and is left as it was by a signal that ends the shell")
def _():
    terminal = Terminal()
    terminal.ask("create /resized here", "Created /resized")
    mark = len(terminal.shown)
    terminal.type("get /res")
    terminal.sees("get /res", mark)
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    terminal.type("ized\r")
    terminal.sees("here\r\n", mark)
    terminal.sees("CONNECTED) 2] ", mark)
    until(lambda: not termios.tcgetattr(terminal.master)[3] & termios.ICANON, "the line is edited")
    os.kill(terminal.pid, signal.SIGTERM)
    equal(terminal.end(lambda: true(termios.tcgetattr(terminal.master)[3] & termios.ICANON,
                                    "lines are the terminal's again")), -signal.SIGTERM)


@case("history and redo count lines as zkCli does")
def _():
    terminal = Terminal()
    terminal.ask("create /redone x", "Created /redone")
    terminal.ask("redo 0", "Node already exists: /redone")
    terminal.ask("history", "0 - create /redone x\r\n1 - create /redone x\r\n2 - history\r\n")
    terminal.ask("redo 9", "Command index out of range")
    equal(terminal.quit(), FAILED)


if __name__ == "__main__":
    harness.main()
