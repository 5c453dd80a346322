#!/usr/bin/python3
"""Ensembles among faults: servers killed, stopped, restarted, cut off, out of space, under load.

    ensemble_faults_test.py                        a short round of each kind
    ensemble_faults_test.py --minutes 20 [SEED]    faults by dice, on five servers, for so long

Clients write down what they are answered (witness.py); whatever happened, what they saw must be
explained by one order of what they did (history.py), all servers hold the same at the end, and
everybody is answered again within SECONDS_MAX (ensemble.py) after the fault has gone.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

try:
    import kazoo  # noqa: F401
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
import network as networks
import raw_client as raw
from ensemble import Ensemble, agree, until
from harness import Skip, case
from history import History
from witness import Keys, Witness, calls, locks, puts, registers, takes

TICK_MS = 200          # ten of them are the patience between servers
SESSION_MS = 30000     # longer than any fault here: no session may end
GROWN = 25             # answers that show that work goes on
why_not = None         # be in namespaces of its own: the reason, if that is not allowed
ROUND_FAULTS = 4       # of the long run, between two looks at the history


class Scene:
    """An ensemble, and clients at work on it."""

    def __init__(self, count, network=None, seed=1, session_ms=SESSION_MS):
        self.dice = random.Random(seed)
        self.network, self.session_ms = network, session_ms
        self.ensemble = Ensemble(count=count, network=network, tick_ms=TICK_MS,
                                 options=("recipes=on",))
        self.rounds = 0
        self.witnesses, self.history, self.keys = [], None, None

    def __enter__(self):
        self.ensemble.__enter__()
        self.ensemble.serving()
        self.load()
        return self

    def __exit__(self, kind, *rest):
        with contextlib.suppress(Exception):
            for witness in self.witnesses:
                witness.running = False
        if self.network is not None:
            self.network.heal()
        for member in self.ensemble.alive():
            member.process.send_signal(signal.SIGCONT)
        self.ensemble.__exit__(kind, *rest)

    def witness(self, name):
        return Witness(name, self.ensemble.members, self.history,
                       random.Random(self.dice.random()), self.session_ms)

    def load(self):
        """Clients of every kind, at work on znodes that nobody has used before."""
        self.rounds += 1
        self.history = History()
        folder = f"/round-{self.rounds}"
        maker = self.witness("maker")
        until("there is a connection", maker.connected)
        for path in (folder, *(f"{folder}/{name}" for name in ("keys", "lock", "called", "queue"))):
            reply = maker.ask(raw.CREATE, raw.create(path))
            assert reply.error == 0, reply
        maker.client.close()
        self.keys, self.queue = Keys(f"{folder}/keys"), f"{folder}/queue"
        self.witnesses = []
        for job, count in ((registers(self.keys), 4), (locks(f"{folder}/lock"), 3),
                           (calls(f"{folder}/called"), 3),
                           (puts(self.queue), 1), (takes(self.queue), 2)):
            for _ in range(count):
                self.witnesses.append(self.witness(f"client-{len(self.witnesses)}"))
                self.witnesses[-1].start(job)

    def answered(self):
        for witness in self.witnesses:
            if witness.failure is not None:
                raise witness.failure
        return sum(witness.answered for witness in self.witnesses)

    def grows(self):
        before = self.answered()
        until("some are answered", lambda: self.answered() > before + GROWN)

    def goes_on(self):
        """The fault has gone: everybody is there again, and everybody is answered."""
        self.ensemble.serving()
        before = [witness.answered for witness in self.witnesses]
        until("everybody is answered again", lambda: self.answered() and all(
            witness.answered > count for witness, count in zip(self.witnesses, before)))

    def verify(self, sessions_kept=True):
        """End the load, and look at everything."""
        for witness in self.witnesses:
            witness.end()
        self.read_last()
        agree(self.ensemble)
        faults = self.history.faults()
        assert not faults, "\n" + "\n".join(faults)
        print(f"# {self.history.counts()}", flush=True)
        assert all(self.history.counts().values()), "something was not tried"
        expired = sum(witness.expired for witness in self.witnesses)
        assert not sessions_kept or not expired, expired

    def read_last(self):
        """What is there at the end, as one who asks each server has it."""
        left = []
        reader = self.witness("reader")
        until("there is a connection", reader.connected)
        for path in self.keys.paths():
            reader.read(path, synced=True, fresh=True)
        for name in reader.children(self.queue):
            reply = reader.ask(raw.GET_DATA, raw.read(f"{self.queue}/{name}"))
            left.append(raw.Reader(reply.body).buffer().decode())
        self.history.elements_left(left)
        reader.client.close()

    def others(self, member):
        return [other for other in self.ensemble.members if other is not member]


def numbers(members):
    return tuple(member.number for member in members)


# ---- Processes


def killed(*members):
    for member in members:
        member.end(signal.SIGKILL)


def restarted(scene, member):
    """In order, as an operator does it."""
    assert member.end(signal.SIGTERM) == 0
    scene.ensemble.start(member)


@case("leaders and followers are killed under load, and all at once")
def _():
    with Scene(3) as scene:
        for turn in range(3):
            scene.grows()
            leader = scene.ensemble.serving()
            victim = leader if turn % 2 == 0 else scene.dice.choice(scene.others(leader))
            killed(victim)
            scene.grows()
            scene.ensemble.start(victim)
            scene.goes_on()
        killed(*scene.ensemble.members)
        scene.ensemble.start()
        scene.goes_on()
        scene.verify()


@case("a rolling restart is a reconnect to clients: no session ends, nothing is asked twice in a row")
def _():
    with Scene(3) as scene:
        for member in scene.ensemble.members:
            scene.grows()
            restarted(scene, member)
            scene.goes_on()
        scene.verify()
        assert max(witness.lost_in_a_row for witness in scene.witnesses) <= 1
        assert sum(witness.lost for witness in scene.witnesses) > 0


def paused(scene, member, seconds):
    member.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    member.process.send_signal(signal.SIGCONT)


@case("a leader that stood still for longer than its followers wait acknowledges nothing after it")
def _():
    with Scene(3) as scene:
        leader = scene.ensemble.serving()
        client = Witness("of-the-leader", [leader], scene.history, scene.dice, SESSION_MS, 60)
        until("there is a connection", client.connected)
        path = f"{scene.keys.folder}/of-the-leader"
        assert client.write("create", path, b"before") == "ok"
        scene.grows()

        leader.process.send_signal(signal.SIGSTOP)
        others = scene.others(leader)
        until("another one leads", lambda: any(other.mode() == "leader" for other in others))
        scene.grows()
        op = scene.history.begin("of-the-leader", "set", path, b"after", -1)
        client.client.send(raw.SET_DATA, raw.set_data(path, b"after"))
        leader.process.send_signal(signal.SIGCONT)

        with contextlib.suppress(raw.Closed, AssertionError):
            reply = client.client.receive(60)
            raise SystemError(f"it has acknowledged: {reply}")
        scene.history.unknown(op)
        scene.goes_on()
        reader = scene.witness("reader-of-it")
        until("there is a connection", reader.connected)
        assert reader.read(path, synced=True, fresh=True) == (b"before", 0)
        scene.verify()


# ---- Disks


@contextlib.contextmanager
def small_disk(member, megabytes):
    """Its data is on a disk of that size, as long as the test's mount namespace lives."""
    os.makedirs(member.data, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", member.data], check=True)
    try:
        member.prepare(member.lines)
        yield
    finally:
        subprocess.run(["umount", "-l", member.data], check=False)


def ballast(member):
    """Fill its disk."""
    with open(os.path.join(member.data, "ballast"), "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x")


@case("the disk of one is full: it ends with a message, the others go on, and it comes back")
def _():
    if why_not is not None:
        raise Skip(why_not)
    scene = Scene(3)
    small = scene.ensemble.members[scene.dice.randrange(3)]
    with small_disk(small, 200), scene:
        scene.grows()
        ballast(small)
        writer = scene.ensemble.client(*scene.others(small))
        writer.create("/large")
        turn = 0
        while small.process.poll() is None:
            turn += 1
            pending = [writer.create_async(f"/large/{turn}-{i}", os.urandom(100_000))
                       for i in range(20)]
            for one in pending:
                one.wait(60)
            assert turn < 200, "it goes on without space"
        assert small.end(0) == 1 and "o space left on device" in small.log_text()
        scene.grows()
        os.remove(os.path.join(small.data, "ballast"))
        writer.stop()
        scene.ensemble.start(small)
        scene.goes_on()
        scene.verify()


# ---- Networks. Clients are on host 0, and reach everybody.


def with_network(name):
    def register(function):
        @case(name)
        def _():
            if why_not is not None:
                raise Skip(why_not)
            network = networks.Network(5)
            try:
                function(network)
            finally:
                network.close()
    return register


def minority_of(scene):
    """The leader and one more, and the rest."""
    leader = scene.ensemble.serving()
    others = scene.others(leader)
    scene.dice.shuffle(others)
    return [leader, others[0]], others[1:]


def cut_minority(scene):
    few, many = minority_of(scene)
    scene.network.cut(numbers(few), numbers(many))
    return few


def cut_leader(scene):
    leader = scene.ensemble.serving()
    scene.network.cut((leader.number,), numbers(scene.others(leader)))
    return [leader]


def cut_follower(scene):
    leader = scene.ensemble.serving()
    follower = scene.dice.choice(scene.others(leader))
    scene.network.cut((follower.number,), numbers(scene.others(follower)))
    return [follower]


def cut_all(scene):
    """No majority anywhere."""
    some, rest = minority_of(scene)
    scene.network.cut(numbers(some), numbers(rest))
    scene.network.cut(numbers(rest[:1]), numbers(rest[1:]))
    return scene.ensemble.members


def cut_bridge(scene):
    """Two and two who do not see each other, and one who sees both."""
    members = list(scene.ensemble.members)
    scene.dice.shuffle(members)
    scene.network.cut(numbers(members[:2]), numbers(members[3:]))
    return []


def cut_leader_mute(scene):
    """It hears everybody, and nobody hears it."""
    leader = scene.ensemble.serving()
    scene.network.cut((leader.number,), numbers(scene.others(leader)), both=False)
    return [leader]


def cut_leader_deaf(scene):
    leader = scene.ensemble.serving()
    scene.network.cut(numbers(scene.others(leader)), (leader.number,), both=False)
    return [leader]


CUTS = (cut_minority, cut_leader, cut_follower, cut_all, cut_bridge, cut_leader_mute,
        cut_leader_deaf)


@with_network("networks of five servers are cut, in halves and one way, and heal")
def _(network):
    with Scene(5, network, session_ms=60000) as scene:
        for cut in (cut_minority, cut_bridge, cut_leader_mute):
            scene.grows()
            alone = cut(scene)
            until("who is alone does not serve", lambda: not any(
                member.mode() for member in alone))
            scene.grows()
            network.heal()
            scene.goes_on()
        scene.verify()


@with_network("a network that is slow and loses packets delays, and nothing else")
def _(network):
    with Scene(3, network, session_ms=60000) as scene:
        network.slow(0.005, 0.02)
        for _ in range(3):
            scene.grows()
        network.heal()
        scene.goes_on()
        scene.verify()


# ---- The long run


def fault(scene):
    """One by dice; it has gone at the end."""
    dice, ensemble, network = scene.dice, scene.ensemble, scene.network
    kind = dice.choice(("kill", "kill leader", "kill some", "kill all", "restart", "pause", "cut",
                        "cut", "cut", "slow"))
    seconds = dice.uniform(0.1, 6)
    leader = ensemble.serving()
    if kind in ("kill", "kill leader", "kill some", "kill all"):
        count = {"kill some": 2, "kill all": len(ensemble.members)}.get(kind, 1)
        some = [leader] if kind == "kill leader" else dice.sample(ensemble.members, count)
        killed(*some)
        time.sleep(seconds if kind != "kill all" else 0)
        ensemble.start(*some)
    elif kind == "restart":
        restarted(scene, dice.choice(ensemble.members))
    elif kind == "pause":
        some = dice.choice(([leader], [dice.choice(scene.others(leader))],
                            dice.sample(ensemble.members, 3)))
        for member in some:
            member.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        for member in some:
            member.process.send_signal(signal.SIGCONT)
    elif kind == "cut":
        cut = dice.choice(CUTS)
        kind = cut.__name__
        cut(scene)
        time.sleep(seconds)
        if dice.random() < 0.3:
            victim = dice.choice(ensemble.members)
            kind += f", {victim.number} killed"
            killed(victim)
            time.sleep(seconds / 2)
            ensemble.start(victim)
        network.heal()
    else:
        network.slow(dice.uniform(0, 0.02), dice.uniform(0, 0.05))
        time.sleep(seconds)
        network.heal()
    return f"{kind}, {seconds:.1f} s"


def long_run(minutes, seed):
    network = networks.Network(5)
    count = answered = 0
    end = time.monotonic() + 60 * minutes
    with Scene(5, network, seed, session_ms=60000) as scene:
        while time.monotonic() < end:
            for _ in range(ROUND_FAULTS):
                scene.grows()
                began = time.monotonic()
                name = fault(scene)
                healed = time.monotonic()
                scene.goes_on()
                count += 1
                print(f"{began:.1f} {name}; healed in {time.monotonic() - healed:.1f} s", flush=True)
            answered += scene.answered()
            scene.verify()
            print(f"# {count} faults, {answered} answers, all explained; seed {seed}", flush=True)
            scene.load()
    network.close()


def main():
    global why_not
    why_not = networks.enter()
    if sys.argv[1:2] == ["--minutes"]:
        if why_not is not None:
            sys.exit(f"this cannot be done here: {why_not}")
        long_run(float(sys.argv[2]), int((sys.argv[3:4] or [random.randrange(1 << 32)])[0]))
        return
    if why_not is not None:
        print(f"# NO FAULTS OF NETWORKS AND DISKS ARE TRIED HERE: {why_not}", flush=True)
    harness.main()


if __name__ == "__main__":
    main()
