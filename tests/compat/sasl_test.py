#!/usr/bin/python3
"""SASL: by hand, byte for byte; kazoo with Debian's pure-sasl; ZooKeeper's Java client (zkCli.sh) with a
JAAS file."""

import hashlib
import os
import re
import subprocess

import harness
import raw_client as raw
from harness import case, equal, true
from raw_client import ALL, Client, Reader

USERS = """
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="adminsecret"
    user_bob="bob's secret"
    user_eve="guess";
};
Other {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_ann="x";
};
"""
AUTH_REQUIRED = -124


def server(*options, users=USERS):
    path = os.path.abspath("users.jaas")
    with open(path, "w", encoding="utf-8") as file:
        file.write(users)
    return harness.server("saslUsersFile=" + path, *options)


# --- The client's side of DIGEST-MD5, by RFC 2831.


def md5(data):
    return hashlib.md5(data).digest()


def proof(user, password, nonce, method):
    secret = md5(f"{user}:zk-sasl-md5:{password}".encode()) + f":{nonce}:abc".encode()
    method = md5(f"{method}:zookeeper/zk-sasl-md5".encode()).hex()
    return md5(f"{md5(secret).hex()}:{nonce}:00000001:abc:auth:{method}".encode()).hex()


def response(user, password, nonce):
    return (f'charset=utf-8,username="{user}",realm="zk-sasl-md5",nonce="{nonce}",nc=00000001,'
            f'cnonce="abc",digest-uri="zookeeper/zk-sasl-md5",maxbuf=65536,'
            f'response={proof(user, password, nonce, "AUTHENTICATE")},qop=auth').encode()


def token_of(reply):
    return Reader(reply.body).buffer()


def challenge(client):
    """Its nonce."""
    reply = client.ask(raw.SASL, raw.buffer(b""))
    equal((reply.error, reply.zxid), (0, 0))
    token = token_of(reply)
    equal(len(token), 101)
    found = re.fullmatch(rb'realm="zk-sasl-md5",nonce="([A-Za-z0-9+/]{40})",charset=utf-8,'
                         rb'algorithm=md5-sess', token)
    true(found, f"ZooKeeper's challenge, not {token}")
    return found.group(1).decode()


def authenticate(client, user, password):
    nonce = challenge(client)
    reply = client.ask(raw.SASL, raw.buffer(response(user, password, nonce)))
    equal((reply.error, reply.zxid), (0, 0))
    equal(token_of(reply).decode(), "rspauth=" + proof(user, password, nonce, ""))


def identities(client):
    reader = client.must(raw.WHO_AM_I)
    return sorted((reader.string(), reader.string()) for _ in range(reader.i32()))


@case("a user who proves the password has a SASL identity, and ACLs know it")
def _():
    with server() as one:
        bob, eve = Client(one.port), Client(one.port)
        authenticate(bob, "bob", "bob's secret")
        equal(identities(bob), [("ip", "127.0.0.1"), ("sasl", "bob")])
        bob.create("/bobs", b"x", [(ALL, "sasl", "bob")])
        bob.create("/mine", b"x", [(ALL, "auth", "")])
        equal(bob.must(raw.GET_ACL, raw.string("/mine")).acl(), [(ALL, "sasl", "bob")])
        authenticate(eve, "eve", "guess")
        for path in ("/bobs", "/mine"):
            equal(bob.get(path)[0], b"x")
            equal(eve.error(raw.GET_DATA, raw.read(path)), raw.NO_AUTH)
        equal(eve.error(raw.CREATE, raw.create("/a", entries=[(ALL, "sasl", "a@b@c")])),
              raw.INVALID_ACL)
        root = Client(one.port)
        authenticate(root, "super", "adminsecret")
        equal(root.get("/bobs")[0], b"x", "the user super is every SASL user")


@case("nonces never come twice, and a response fits its own connection alone")
def _():
    with server() as one:
        clients = [Client(one.port) for _ in range(10)]
        nonces = [challenge(client) for client in clients]
        equal(len(set(nonces)), 10)
        reply = clients[0].ask(raw.SASL, raw.buffer(response("bob", "bob's secret", nonces[1])))
        equal(reply.error, raw.AUTH_FAILED)


@case("who fails is told with a null token, the same for a wrong password and no such user")
def _():
    with server() as one:
        for user, password in (("bob", "wrong"), ("nobody", "x"), ("ann", "x"), ("", "")):
            client = Client(one.port)
            nonce = challenge(client)
            client.send(raw.SASL, raw.buffer(response(user, password, nonce)))
            client.send(raw.CREATE, raw.create("/behind"))
            reply = client.receive()
            equal((reply.error, reply.zxid, reply.body), (raw.AUTH_FAILED, 0, raw.buffer(None)))
            true(client.closed(), "the end")
        for token in (b"", None, b"garbage", b"x" * 5000):
            client = Client(one.port)
            challenge(client)
            equal(client.ask(raw.SASL, raw.buffer(token)).error, raw.AUTH_FAILED)
            true(client.closed(), "the end")
        equal(Client(one.port).stat("/behind"), None)


@case("a token after the end of an exchange fails and ends the connection")
def _():
    with server() as one:
        client = Client(one.port)
        authenticate(client, "bob", "bob's secret")
        equal(client.ask(raw.SASL, raw.buffer(b"")).error, raw.AUTH_FAILED)
        true(client.closed(), "the end")


@case("a first token is answered with the challenge, whatever is in it")
def _():
    with server() as one:
        for token in (None, b"garbage", b"x" * 5000):
            client = Client(one.port)
            true(token_of(client.ask(raw.SASL, raw.buffer(token))).startswith(b"realm="), token)


@case("tokens have their place among the other replies, and identities from then on")
def _():
    with server() as one:
        client = Client(one.port)
        nonce = challenge(client)
        kinds = [(raw.CREATE, raw.create("/a", entries=[(ALL, "auth", "")])),
                 (raw.SASL, raw.buffer(response("bob", "bob's secret", nonce))),
                 (raw.CREATE, raw.create("/b", entries=[(ALL, "auth", "")]))]
        sent = [client.send(*kind) for kind in kinds]
        replies = [client.receive() for _ in sent]
        equal([reply.xid for reply in replies], sent)
        equal([reply.error for reply in replies], [raw.INVALID_ACL, 0, 0])


@case("where SASL is demanded nothing else is taken, and failing has an error of its own")
def _():
    for options in (["sessionRequireClientSASLAuth=true", "allowSaslFailedClients=true"],
                    ["enforce.auth.enabled=true", "enforce.auth.schemes=sasl"]):
        with server(*options) as one:
            client = Client(one.port)
            equal(client.authenticate(b"bob:secret").error, 0)
            equal(client.ask(raw.EXISTS, raw.read("/")).error, AUTH_REQUIRED)
            true(client.closed(), "the end")
            client = Client(one.port)
            nonce = challenge(client)
            reply = client.ask(raw.SASL, raw.buffer(response("bob", "wrong", nonce)))
            equal((reply.error, reply.body), (AUTH_REQUIRED, raw.buffer(None)))
            true(client.closed(), "the end")
            client = Client(one.port)
            authenticate(client, "bob", "bob's secret")
            equal(client.children("/"), ["zookeeper"])


@case("with allowSaslFailedClients who fails may stay as nobody, and may try again")
def _():
    with server("allowSaslFailedClients=true") as one:
        client = Client(one.port)
        nonce = challenge(client)
        reply = client.ask(raw.SASL, raw.buffer(response("bob", "wrong", nonce)))
        equal((reply.error, reply.body), (0, raw.buffer(None)))
        equal(identities(client), [("ip", "127.0.0.1")])
        authenticate(client, "bob", "bob's secret")
        equal(identities(client), [("ip", "127.0.0.1"), ("sasl", "bob")])


@case("superUser may do everything, and letAnySaslUserDoX is for whoever SASL knows")
def _():
    with server("superUser.1=eve", "superUser=bob", "letAnySaslUserDoX=anybody") as one:
        owner = Client(one.port)
        owner.authenticate(b"ann:x")
        owner.create("/anns", b"x", [(ALL, "auth", "")])
        owner.create("/theirs", b"x", [(ALL, "sasl", "anybody")])
        equal(owner.error(raw.GET_DATA, raw.read("/theirs")), raw.NO_AUTH)
        for user, password in (("bob", "bob's secret"), ("eve", "guess")):
            client = Client(one.port)
            authenticate(client, user, password)
            equal(identities(client), [("ip", "127.0.0.1"), ("sasl", user), ("super", "")])
            client.get("/anns")
        with_sasl = Client(one.port)
        authenticate(with_sasl, "super", "adminsecret")
        equal(with_sasl.error(raw.GET_DATA, raw.read("/anns")), raw.NO_AUTH)
        with_sasl.get("/theirs")


@case("another section of the file may have the users, and super a password beside it")
def _():
    with server("sasl.serverconfig=Other",
                "zookeeper.SASLAuthenticationProvider.superPassword=beside") as one:
        authenticate(Client(one.port), "ann", "x")
        authenticate(Client(one.port), "super", "beside")


@case("without a file of users SASL's ACLs are refused, and who asks for SASL goes on without")
def _():
    with harness.server() as one:
        client = Client(one.port)
        for token in (b"", b"garbage"):
            reply = client.ask(raw.SASL, raw.buffer(token))
            equal((reply.error, reply.zxid, reply.body), (0, 0, raw.buffer(None)))
        equal(client.error(raw.CREATE, raw.create("/a", entries=[(ALL, "sasl", "bob")])),
              raw.INVALID_ACL)


def refusal(*options):
    """What the server says when it does not start."""
    command = [harness.needed("MOONKEEPERD"), "--data", "refused", "--port", "0"]
    for option in options:
        command += ["--option", option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 2, "a mistake in the options")
    return done.stderr


@case("a file of users that cannot be used ends the start with its line")
def _():
    with open("bad.jaas", "w", encoding="ascii") as file:
        file.write("Server {\n    some.Krb5LoginModule required\n};\n")
    true("line 2: some.Krb5LoginModule: only DigestLoginModule" in refusal("saslUsersFile=bad.jaas"),
         "the line")
    true("cannot be opened" in refusal("saslUsersFile=/does/not/exist"), "the path")
    true("needs saslUsersFile" in refusal("sessionRequireClientSASLAuth=true"), "what it needs")


# --- Real clients.


@case("kazoo authenticates by DIGEST-MD5, and is refused with a wrong password")
def _():
    try:
        import puresasl  # noqa: F401  pylint: disable=unused-import,import-outside-toplevel
        from kazoo.client import KazooClient  # pylint: disable=import-outside-toplevel
        from kazoo.exceptions import NoAuthError  # pylint: disable=import-outside-toplevel
        from kazoo.security import make_acl  # pylint: disable=import-outside-toplevel
    except ImportError:
        raise harness.Skip("kazoo with pure-sasl is not there") from None
    with server() as one:
        def client(user, password):
            return KazooClient(one.address, sasl_options={
                "mechanism": "DIGEST-MD5", "username": user, "password": password})

        bob = client("bob", "bob's secret")
        bob.start()
        bob.create("/kazoo", b"x", acl=[make_acl("sasl", "bob", all=True)])
        equal(bob.get("/kazoo")[0], b"x")
        eve = client("eve", "guess")
        eve.start()
        try:
            eve.get("/kazoo")
            raise AssertionError("eve reads what is bob's")
        except NoAuthError:
            pass
        stranger = client("bob", "wrong")
        try:
            stranger.start(timeout=3)
            stranger.create("/let-in")
        except Exception as error:  # pylint: disable=broad-except
            print("    a wrong password:", type(error).__name__)
        equal(bob.exists("/let-in"), None)
        one.restart()
        harness.until(lambda: bob.retry(bob.get, "/kazoo")[0] == b"x", "it authenticates again")
        for each in (bob, eve, stranger):
            each.stop()
            each.close()


def zkcli(one, user, password, *words):
    with open("client.jaas", "w", encoding="ascii") as file:
        file.write('Client {\n org.apache.zookeeper.server.auth.DigestLoginModule required\n'
                   f' username="{user}"\n password="{password}";\n}};\n')
    flags = "-Djava.security.auth.login.config=" + os.path.abspath("client.jaas")
    done = subprocess.run([harness.zkcli(), "-server", one.address, *words], text=True,
                          env=dict(os.environ, CLIENT_JVMFLAGS=flags, JVMFLAGS=flags),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False)
    return done.stdout + done.stderr


@case("ZooKeeper's Java client with a JAAS file authenticates, and is refused with a wrong password")
def _():
    with server("sessionRequireClientSASLAuth=true") as one:
        said = zkcli(one, "bob", "bob's secret", "create", "/java", "x", "sasl:bob:cdrwa")
        true("Created /java" in said, said[-2000:])
        true("SaslAuthenticated" in said, said[-2000:])
        said = zkcli(one, "bob", "bob's secret", "whoami")
        true(re.search(r"^sasl: bob$", said, re.MULTILINE), said[-2000:])
        said = zkcli(one, "eve", "guess", "get", "/java")
        true("Insufficient permission" in said or "NoAuth" in said, said[-2000:])
        said = zkcli(one, "bob", "wrong", "ls", "/")
        true("AuthFailed" in said or "SaslException" in said or "AUTH_FAILED" in said, said[-2000:])


if __name__ == "__main__":
    harness.main()
