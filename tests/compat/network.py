"""A network of its own, in which packets are lost on request: each server in a namespace, one wire.

    network.enter()                   # this process goes there; the reason, if it may not
    network = Network(3)              # hosts 1 to 3, and 0, which is this process
    network.command(2)                # what to put before a command that shall run on host 2
    network.cut((1,), (2, 3))         # nothing from 1 arrives at 2 and 3, nor the other way round
    network.cut((1,), (2,), both=False)
    network.slow(0.02, 0.05)          # every packet is 20 ms late, one of 20 is lost
    network.heal()

A namespace has one interface, a tun device; what is sent there is read by a process that hands it to
the device of the namespace that it is for, later, or not at all. So nothing of the kernel is needed
but namespaces and tun devices, and what is lost is lost without anybody being told, as on a real wire.
"""

import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
ENTERED = "NETWORK_ENTERED"
MTU = 9000
QUEUE_PACKETS_MAX = 20000  # of one wire; more are lost, as at a switch


def address(host):
    return f"10.77.0.{host + 1}"


# ---- The wire: this file as a program. Its arguments are the devices' descriptors, of host 0 first.


class Wire:
    def __init__(self, devices):
        self.devices = devices
        self.random = random.Random(1)
        self.late = []  # heap of (due, order, device, packet)
        self.order = 0
        self.forget()

    def forget(self):
        self.cuts = set()
        self.delay = self.loss = 0.0

    def obey(self, line):
        """A line is answered when it holds."""
        word, *values = line.split()
        if word == "cut":
            self.cuts.add((int(values[0]), int(values[1])))
        elif word == "slow":
            self.delay, self.loss = float(values[0]), float(values[1])
        else:
            self.forget()

    def packet(self, sender, packet):
        if len(packet) < 20 or packet[0] >> 4 != 4:
            return
        receiver = packet[19] - 1
        if not 0 <= receiver < len(self.devices) or (sender, receiver) in self.cuts:
            return
        if self.loss and self.random.random() < self.loss:
            return
        if not self.delay:
            self.deliver(receiver, packet)
        elif len(self.late) < QUEUE_PACKETS_MAX:
            self.order += 1
            heapq.heappush(self.late, (time.monotonic() + self.delay, self.order, receiver, packet))

    def deliver(self, receiver, packet):
        try:
            os.write(self.devices[receiver], packet)
        except OSError:
            pass  # full: lost

    def late_deliver(self):
        """Seconds until the next one is due, or None."""
        while self.late:
            due, _, receiver, packet = self.late[0]
            if due > time.monotonic():
                return max(0.0, due - time.monotonic())
            heapq.heappop(self.late)
            self.deliver(receiver, packet)
        return None

    def device_read(self, sender):
        for _ in range(64):
            try:
                self.packet(sender, os.read(self.devices[sender], MTU + 64))
            except BlockingIOError:
                return

    def run(self):
        selector = selectors.DefaultSelector()
        for host, device in enumerate(self.devices):
            os.set_blocking(device, False)
            selector.register(device, selectors.EVENT_READ, host)
        selector.register(sys.stdin.buffer, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select(self.late_deliver()):
                if key.data is not None:
                    self.device_read(key.data)
                    continue
                line = sys.stdin.buffer.readline()
                if not line:
                    return
                self.obey(line.decode())
                sys.stdout.buffer.write(b"done\n")
                sys.stdout.buffer.flush()


# ---- Namespaces.


def enter():
    """Go on in new network and mount namespaces, from the beginning of the program; there, return
    None. Otherwise the reason why that cannot be."""
    if os.environ.get(ENTERED):
        ip("link", "set", "lo", "up")
        return None
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "there is no /dev/net/tun, or this user may not open it"
    unshare = ["unshare", "-n", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-n", "-m"]
    tried = subprocess.run(unshare + ["ip", "link", "set", "lo", "up"], stderr=subprocess.PIPE,
                           text=True, check=False)
    if tried.returncode != 0:
        return f"{' '.join(unshare)} is not allowed: {tried.stderr.strip()}"
    os.environ[ENTERED] = "1"
    os.execvp("unshare", unshare + [sys.executable] + sys.argv)
    return None


def ip(*arguments, inside=()):
    subprocess.run([*inside, "ip", *arguments], check=True)


class Network:
    def __init__(self, hosts):
        self.holders = [None]
        devices = [self.device(host) for host in range(hosts + 1)]
        self.up(0, ())
        for host in range(1, hosts + 1):
            # A namespace lives as long as somebody is in it.
            holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; read end"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            holder.stdout.readline()
            self.holders.append(holder)
            ip("link", "set", f"wire{host}", "netns", str(holder.pid))
            ip("link", "set", "lo", "up", inside=self.command(host))
            self.up(host, self.command(host))
        self.wire = subprocess.Popen([sys.executable, os.path.abspath(__file__),
                                      *map(str, devices)], pass_fds=devices,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for device in devices:
            os.close(device)

    @staticmethod
    def device(host):
        device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(device, TUNSETIFF,
                    struct.pack("16sH22x", f"wire{host}".encode(), IFF_TUN | IFF_NO_PI))
        return device

    @staticmethod
    def up(host, inside):
        ip("addr", "add", f"{address(host)}/24", "dev", f"wire{host}", inside=inside)
        ip("link", "set", f"wire{host}", "mtu", str(MTU), "txqueuelen", "10000", "up",
           inside=inside)

    @staticmethod
    def address(host):
        return address(host)

    def command(self, host):
        """The process that it becomes keeps its number."""
        return ["nsenter", "-t", str(self.holders[host].pid), "-n", "--"]

    def tell(self, line):
        self.wire.stdin.write(line.encode() + b"\n")
        self.wire.stdin.flush()
        assert self.wire.stdout.readline() == b"done\n", "the wire has ended"

    def cut(self, some, others, both=True):
        for one in some:
            for other in others:
                self.tell(f"cut {one} {other}")
                if both:
                    self.tell(f"cut {other} {one}")

    def slow(self, seconds, loss):
        self.tell(f"slow {seconds} {loss}")

    def heal(self):
        self.tell("heal")

    def close(self):
        self.wire.stdin.close()
        self.wire.wait()
        for holder in self.holders[1:]:
            holder.stdin.close()
            holder.wait()


if __name__ == "__main__":
    Wire([int(device) for device in sys.argv[1:]]).run()
