#!/usr/bin/python3
"""TLS between servers: of ours, with ZooKeeper's among them, and while an ensemble changes over to it."""

import os
import signal
import socket
import ssl
import sys

try:
    import kazoo  # noqa: F401  pylint: disable=unused-import
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(77)

import harness
from certificates import Authority
from ensemble import ZOOKEEPER, Ensemble, ZooKeeperMember, until
from harness import Skip, case, equal, true

ours, foreign = Authority("ours"), Authority("foreign")
SERVER = ours.issue("/O=Moonkeeper/CN=server")


def files(own=SERVER, trust=ours):
    return [f"ssl.quorum.keyStore.location={own.file}", f"ssl.quorum.trustStore.location={trust.file}",
            "ssl.quorum.keyStore.type=PEM", "ssl.quorum.trustStore.type=PEM"]


def with_lines(member, *lines):
    """Its options, with these and no other ones of TLS."""
    kept = [line for line in member.lines if not line.startswith(("ssl", "portUnification"))]
    member.prepare(kept + list(lines))


def secured(ensemble, *more):
    for member in ensemble.members:
        with_lines(member, "sslQuorum=true", *files(), *more)
    return ensemble


def restarted(ensemble, member, *lines):
    member.end(signal.SIGTERM)
    with_lines(member, *lines)
    ensemble.start(member)
    ensemble.serving()


def written_and_read(ensemble, path):
    """Through each server what was written through another."""
    for writer, reader in zip(ensemble.alive(), ensemble.alive()[1:] + ensemble.alive()[:1]):
        here, there = ensemble.client(writer), ensemble.client(reader)
        here.create(f"{path}-{writer.number}", b"x" * 300000)
        there.sync(path)
        equal(len(there.get(f"{path}-{writer.number}")[0]), 300000)
        here.stop()
        there.stop()


def said(member, sentence):
    until(f"{sentence!r} in the log of {member.number}", lambda: sentence in member.log_text())


def speaks_tls(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ours.file)
    context.load_cert_chain(SERVER.certificate, SERVER.key)
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as bare:
            with context.wrap_socket(bare, server_hostname="127.0.0.1"):
                return True
    except (ssl.SSLError, ConnectionError):
        return False


@case("three servers elect, follow and come back over TLS, and nobody without it is let in")
def _():
    with secured(Ensemble()) as ensemble:
        leader = ensemble.serving()
        written_and_read(ensemble, "/a")
        true(speaks_tls(leader.election) and speaks_tls(leader.quorum), "both ports speak TLS")
        for port in (leader.election, leader.quorum):
            with socket.create_connection(("127.0.0.1", port), 60) as plain:
                plain.sendall(bytes(100))
                try:
                    while plain.recv(100):
                        pass
                except ConnectionError:
                    pass
        said(leader, "a connection with TLS is refused: it does not speak TLS")

        leader.end(signal.SIGKILL)
        ensemble.serving()
        written_and_read(ensemble, "/b")
        ensemble.start(leader)
        ensemble.serving()
        written_and_read(ensemble, "/c")


@case("a server with a certificate for another host, or of a foreign authority, is kept out until it has one")
def _():
    for own, why in ((ours.issue("/CN=far", names="DNS:far.example.org"),
                      "its certificate is not one for"),
                     (foreign.issue("/CN=other"),
                      "its certificate is of an authority that is not in the trust store")):
        ensemble = secured(Ensemble())
        stranger, others = ensemble.members[2], ensemble.members[:2]
        with_lines(stranger, "sslQuorum=true", *files(own))
        with ensemble:
            until("two serve", lambda: sorted(one.mode() for one in others) ==
                  ["follower", "leader"])
            said(others[0], why)
            said(others[1], why)
            equal(stranger.mode(), "")
            restarted(ensemble, stranger, "sslQuorum=true", *files())


@case("an ensemble changes over to TLS by rolling restarts, and serves all the while")
def _():
    with Ensemble() as ensemble:
        ensemble.serving()
        client = ensemble.client()
        client.create("/counter", b"0")
        written = 0
        for step in (["portUnification=true"], ["portUnification=true", "sslQuorum=true"],
                     ["sslQuorum=true"]):
            for member in ensemble.members:
                restarted(ensemble, member, *step, *files())
                client.retry(client.set, "/counter", b"%d" % written)
                written += 1
        equal(client.retry(client.get, "/counter")[0], b"8")
        for member in ensemble.members:
            true(speaks_tls(member.election), "it has changed over")
        written_and_read(ensemble, "/after")


@case("a new certificate is taken by the next connection, without a restart")
def _():
    own = os.path.abspath("own.pem")
    with open(own, "wb") as out, open(SERVER.file, "rb") as source:
        out.write(source.read())
    ensemble = secured(Ensemble(count=2))
    first = ensemble.members[0]
    with_lines(first, "sslQuorum=true", *files(), f"ssl.quorum.keyStore.location={own}")
    with ensemble:
        ensemble.serving()
        renewed = ours.issue("/CN=renewed")
        with open(own + ".new", "wb") as out, open(renewed.file, "rb") as source:
            out.write(source.read())
        os.rename(own + ".new", own)
        first.process.send_signal(signal.SIGHUP)
        said(first, "read again: the certificate for other servers")
        with socket.create_connection(("127.0.0.1", first.election), 30) as bare:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(ours.file)
            context.load_cert_chain(SERVER.certificate, SERVER.key)
            with context.wrap_socket(bare, server_hostname="127.0.0.1") as connection:
                equal(connection.getpeercert()["subject"], ((("commonName", "renewed"),),))
        ensemble.members[1].end(signal.SIGTERM)
        ensemble.start(ensemble.members[1])
        ensemble.serving()


class SecureZooKeeper(ZooKeeperMember):
    """With the parts of Netty that its class path lacks."""

    def command(self):
        java = "/usr/share/java/"
        jars = [java + "zookeeper.jar", java + "slf4j-simple.jar"]
        jars += [f"{java}netty-{name}.jar" for name in
                 ("buffer", "codec", "common", "handler", "resolver", "transport",
                  "transport-native-unix-common")]
        return ["java", "-Xmx256m", *self.properties, "-cp", ":".join(jars), ZOOKEEPER, self.config]


@case("ours follow a ZooKeeper and lead one over TLS")
def _():
    if not harness.zookeeper_is_there() or not os.path.exists("/usr/share/java/netty-codec.jar"):
        raise Skip("ZooKeeper or Netty is not there")
    for number in (3, 1):
        ensemble = Ensemble(first=3)  # which leads, ZooKeeper's and then ours
        theirs = ensemble.members[number - 1]
        theirs.__class__ = SecureZooKeeper
        with secured(ensemble):
            leader = ensemble.serving()
            equal(leader.number, 3)
            written_and_read(ensemble, "/mixed")
            true(speaks_tls(theirs.election), "it speaks TLS")


if __name__ == "__main__":
    harness.main()
