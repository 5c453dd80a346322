#!/usr/bin/python3
"""The client protocol: options that say who may come in and who may do what."""

import base64
import hashlib
import socket

import harness
import raw_client as raw
from harness import case, equal, true
from raw_client import ADMIN, ALL, OPEN, Client

AUTH_REQUIRED = -124


def digest(credentials, algorithm="sha1"):
    user = credentials.split(":")[0]
    hashed = hashlib.new(algorithm, credentials.encode()).digest()
    return user + ":" + base64.b64encode(hashed).decode()


# --- skipACL.


@case("skipACL lets everybody do everything and see whole ACLs, but write no invalid one")
def _():
    with harness.server("skipACL=yes") as server:
        owner, stranger = Client(server.port), Client(server.port)
        owner.authenticate(b"bob:secret")
        entries = [(ALL, "digest", digest("bob:secret"))]
        owner.create("/a", b"x", entries)
        stranger.stat("/a", watch=True)
        equal(stranger.get("/a")[0], b"x")
        equal(stranger.must(raw.GET_ACL, raw.string("/a")).acl(), entries)
        stranger.set("/a", b"y")
        equal(stranger.take_events(), [(raw.CHANGED, "/a")])
        stranger.create("/a/b")
        stranger.must(raw.MULTI, raw.multi((raw.CHECK, raw.check("/a")),
                                           (raw.DELETE, raw.delete("/a/b"))))
        equal(stranger.error(raw.SET_ACL, raw.set_acl("/a", [(ALL, "nosuch", "x")])),
              raw.INVALID_ACL)
        equal(stranger.error(raw.SET_ACL, raw.set_acl("/a", [])), raw.INVALID_ACL)
        stranger.must(raw.SET_ACL, raw.set_acl("/a", OPEN))


# --- Enforcement.


@case("a server that demands authentication refuses every other request and ends the connection")
def _():
    with harness.server("enforce.auth.enabled=true", "enforce.auth.schemes=digest") as server:
        for code, record in ((raw.EXISTS, raw.read("/")), (raw.CREATE, raw.create("/a")),
                             (raw.PING, b""), (raw.CLOSE, b""), (raw.WHO_AM_I, b""), (99, b""),
                             (raw.CREATE, b"cut off")):
            client = Client(server.port)
            xid = client.send(code, record)
            client.send(raw.AUTH, raw.auth("digest", b"bob:too late"), xid=raw.XID_AUTH)
            client.send(raw.CREATE, raw.create("/b"))
            reply = client.receive()
            equal((reply.xid, reply.zxid, reply.error, reply.body), (xid, 0, AUTH_REQUIRED, b""))
            true(client.closed(), f"operation {code}")
        client = Client(server.port)
        client.authenticate(b"bob:secret")
        equal(client.children("/"), ["zookeeper"])
        client.close()


@case("an authentication sent behind the connect request is in time where one is demanded")
def _():
    with harness.server("enforce.auth.enabled=true", "enforce.auth.schemes=ip, digest",
                        "sessionRequireClientSASLAuth=false") as server:
        equal(Client(server.port).children("/"), ["zookeeper"], "every connection has an ip")
    with harness.server("enforce.auth.enabled=true", "enforce.auth.schemes=digest") as server:
        client = Client(server.port, connect=False)
        client.frame(raw.i32(0) + raw.i64(0) + raw.i32(9000) + raw.i64(0) + raw.buffer(bytes(16)) +
                     b"\x00")
        client.send(raw.AUTH, raw.auth("digest", b"bob:secret"), xid=raw.XID_AUTH)
        client.send(raw.CREATE, raw.create("/a"))
        client.connected()
        equal([client.receive().error for _ in range(2)], [0, 0])


# --- The scheme digest.


@case("without the digest scheme its authentications are refused, and its ACLs are not valid")
def _():
    with harness.server("DigestAuthenticationProvider.enabled=false") as server:
        client = Client(server.port)
        equal(client.error(raw.CREATE, raw.create("/a", entries=[(ALL, "digest", "bob:x")])),
              raw.INVALID_ACL)
        equal(client.authenticate(b"bob:secret").error, raw.AUTH_FAILED)
        true(client.closed(), "refused")


@case("the hash of digests is the one that is configured, super's too")
def _():
    root = digest("super:secret", "sha256")
    with harness.server("DigestAuthenticationProvider.digestAlg=SHA-256",
                        "DigestAuthenticationProvider.superDigest=" + root) as server:
        client = Client(server.port)
        client.authenticate(b"bob:secret")
        client.create("/mine", entries=[(ALL, "auth", "")])
        entries = [(ALL, "digest", digest("bob:secret", "sha256"))]
        equal(client.must(raw.GET_ACL, raw.string("/mine")).acl(), entries)
        client.create("/given", entries=entries)
        client.get("/given")
        other = Client(server.port)
        equal(other.error(raw.GET_DATA, raw.read("/mine")), raw.NO_AUTH)
        other.authenticate(b"super:secret")
        other.get("/mine")


# --- Refused.


@case("what is pipelined behind a refused authentication is not executed")
def _():
    with harness.server() as server:
        client = Client(server.port)
        client.send(raw.CREATE, raw.create("/before"))
        client.send(raw.AUTH, raw.auth("nosuch", b"x"), xid=raw.XID_AUTH)
        for number in range(100):
            client.send(raw.CREATE, raw.create(f"/behind{number}"))
        equal([client.receive().error for _ in range(2)], [0, raw.AUTH_FAILED])
        true(client.closed(), "refused")
        equal(Client(server.port).children("/"), ["before", "zookeeper"])


@case("what is pipelined behind an unknown operation is not executed")
def _():
    with harness.server() as server:
        client = Client(server.port)
        client.send(99)
        client.send(raw.CREATE, raw.create("/behind"))
        equal(client.receive().error, raw.UNIMPLEMENTED)
        true(client.closed(), "refused")
        equal(Client(server.port).stat("/behind"), None)


# --- ip.


def ipv6_is_there():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


@case("ip ACLs name IPv6 addresses and networks, however they are written")
def _():
    if not ipv6_is_there():
        raise harness.Skip("no IPv6 here")
    with harness.server(address="::1") as server:
        client = Client(server.port, host="::1")
        reader = client.must(raw.WHO_AM_I)
        equal([(reader.string(), reader.string()) for _ in range(reader.i32())], [("ip", "::1")])
        for number, (name, error) in enumerate(
                [("::1", 0), ("0:0:0:0:0:0:0:1", 0), ("::/0", 0), ("::1/128", 0), ("::2/126", 0),
                 ("::2", raw.NO_AUTH), ("fe80::/10", raw.NO_AUTH), ("127.0.0.1", raw.NO_AUTH),
                 ("0.0.0.0/0", raw.NO_AUTH)]):
            path = client.create(f"/a{number}", entries=[(ALL, "ip", name)])
            equal(client.error(raw.GET_DATA, raw.read(path)), error, name)
        for name in ("::1/129", "::1::", "1:2:3", "fe80::1%lo"):
            equal(client.error(raw.CREATE, raw.create("/b", entries=[(ALL, "ip", name)])),
                  raw.INVALID_ACL, name)


# --- What is the server's own.


@case("/zookeeper/config is for everybody to read, and for super alone to write")
def _():
    root = digest("super:secret")
    with harness.server("DigestAuthenticationProvider.superDigest=" + root) as server:
        client = Client(server.port)
        client.authenticate(b"bob:secret")
        config = "/zookeeper/config"
        equal(client.get(config)[0], b"")
        equal(client.must(raw.GET_ACL, raw.string(config)).acl(), [(raw.READ, "world", "anyone")])
        equal(client.error(raw.SET_DATA, raw.set_data(config, b"x")), raw.NO_AUTH)
        equal(client.error(raw.SET_ACL, raw.set_acl(config, OPEN)), raw.NO_AUTH)
        equal(client.error(raw.CREATE, raw.create(config + "/a")), raw.NO_AUTH)
        equal(client.error(raw.DELETE, raw.delete(config)), raw.BAD_ARGUMENTS)
        watcher = Client(server.port)
        watcher.get(config, watch=True)
        client.authenticate(b"super:secret")
        equal(client.set(config, b"x").version, 1)
        equal(watcher.take_events(), [(raw.CHANGED, config)])
        stat = client.must(raw.SET_ACL, raw.set_acl(config, [(ADMIN, "world", "anyone")])).stat()
        equal(stat.aversion, 0, "from -1")
        equal(watcher.error(raw.GET_DATA, raw.read(config)), raw.NO_AUTH)


@case("ACLs of /zookeeper and of the root are set and seen as of any other znode")
def _():
    root = digest("super:secret")
    with harness.server("DigestAuthenticationProvider.superDigest=" + root) as server:
        client, other = Client(server.port), Client(server.port)
        client.authenticate(b"bob:secret")
        mine = [(raw.READ, "world", "anyone"), (ALL, "digest", digest("bob:secret"))]
        for path in ("/zookeeper", "/zookeeper/quota", "/"):
            equal(client.must(raw.GET_ACL, raw.string(path)).acl(), OPEN)
            equal(client.must(raw.SET_ACL, raw.set_acl(path, mine, 0)).stat().aversion, 1)
            equal(other.must(raw.GET_ACL, raw.string(path)).acl(),
                  [mine[0], (ALL, "digest", "bob:x")])
            equal(other.error(raw.CREATE, raw.create(path.rstrip("/") + "/a")), raw.NO_AUTH)
            equal(other.error(raw.SET_DATA, raw.set_data(path)), raw.NO_AUTH)
            equal(other.error(raw.SET_ACL, raw.set_acl(path, OPEN)), raw.NO_AUTH)
            client.set(path, b"x")
        client.create("/a", entries=mine)
        other.authenticate(b"super:secret")
        other.must(raw.SET_ACL, raw.set_acl("/", OPEN))


if __name__ == "__main__":
    harness.main()
