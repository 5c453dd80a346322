#!/usr/bin/python3
"""TLS for clients: who is let in, as whom, who is not and what the log says, and what an attacker can do.
kazoo, zkCli.sh with Netty, openssl's s_client, and Python's ssl by hand."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import harness
import raw_client as raw
from certificates import Authority, written
from harness import case, equal, true, until

try:
    from kazoo.client import KazooClient
except ImportError:
    KazooClient = None

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

ours, foreign = Authority("ours"), Authority("foreign")
SERVER = ours.issue("/O=Moonkeeper/CN=server")
ANN = ours.issue("/O=Moonkeeper/OU=x, y/CN=ann")
BOB = ours.issue("/CN=bob")
ANN_NAME = "CN=ann,OU=x\\, y,O=Moonkeeper"


def server(*options, trust=ours.file, own=SERVER.file):
    return Secure("secureClientPort=0", "secureClientPortAddress=127.0.0.1",
                  f"ssl.keyStore.location={own}", f"ssl.trustStore.location={trust}", *options)


class Secure(harness.Moonkeeper):
    """`secure` is its port for TLS."""

    def ready(self, begin):
        found = re.search(r"with TLS +address=\S*:(\d+)", self.log_text()[begin:])
        self.secure = int(found.group(1)) if found else None
        return super().ready(begin) and (found is not None or not self.has_secure())

    def has_secure(self):
        return any(option.startswith("secureClientPort=") for option in self.options)

    def said(self, sentence):
        return until(lambda: sentence in self.log_text(), f"a line with {sentence!r}")

    def metric(self, name):
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            return int(re.search(rf"^zk_{name}\t(\d+)$", answered(connection, b"mntr"),
                                 re.MULTILINE).group(1))


def context(shown=ANN, trusted=ours, version=None, ciphers=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(trusted.file)
    if shown:
        made.load_cert_chain(shown.certificate, shown.key)
    if version:
        made.minimum_version = made.maximum_version = version
    if ciphers:
        made.set_ciphers(ciphers)
    return made


def connected(port, **options):
    bare = socket.create_connection(("127.0.0.1", port), 30)
    return context(**options).wrap_socket(bare, server_hostname="localhost")


def client(port, **options):
    made = raw.Client(port, connect=False)
    made.socket = context(**options).wrap_socket(made.socket, server_hostname="localhost")
    made.connect()
    return made


def answered(connection, word):
    connection.sendall(word)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer.decode()


def identities(one):
    reader = raw.Reader(one.ask(raw.WHO_AM_I).body)
    return {(reader.string(), reader.string()) for _ in range(reader.i32())}


def refused(port, **options):
    """By the end of the connection at the latest: of TLS 1.3 a client is done before the server is."""
    try:
        with connected(port, **options) as connection:
            connection.sendall(b"ruok")
            true(connection.recv(1) == b"", "it was answered")
    except (ssl.SSLError, ConnectionError):
        pass


# --- Who is let in, and as whom


@case("a certificate makes its owner x509:<subject>, in the form in which Java writes it")
def _():
    names = {"/O=Moonkeeper/OU=x, y/CN=ann": ANN_NAME,
             "/C=DE/ST=B/L=C/street=S/DC=org/UID=u/CN= a\\+b=\"c\" ":
                 "CN=\\ a\\+b\\=\\\"c\\\"\\ ,UID=u,DC=org,STREET=S,L=C,ST=B,C=DE",
             "/CN=Zo\u00eb #1/emailAddress=zoe@example.org":
                 "1.2.840.113549.1.9.1=#160f7a6f65406578616d706c652e6f7267,CN=Zo\u00eb \\#1",
             "/O=a+OU=b/CN=c": "CN=c,O=a+OU=b"}
    with server() as one:
        for subject, name in names.items():
            shown = ours.issue(subject)
            found = identities(client(one.secure, shown=shown))
            equal(found, {("ip", "127.0.0.1"), ("x509", name)})
            as_java_writes(shown, name)


def as_java_writes(shown, name):
    if shutil.which("java") is None:
        return
    with open("Name.java", "w", encoding="ascii") as file:
        file.write("class Name { public static void main(String[] a) throws Exception { "
                   "System.out.write(((java.security.cert.X509Certificate) "
                   "java.security.cert.CertificateFactory.getInstance(\"X.509\")"
                   ".generateCertificate(new java.io.FileInputStream(a[0])))"
                   ".getSubjectX500Principal().getName().getBytes(\"UTF-8\")); "
                   "System.out.flush(); } }\n")
    if not os.path.exists("Name.class"):
        subprocess.run(["javac", "Name.java"], check=True, timeout=120)
    java = subprocess.run(["java", "-Xshare:auto", "-cp", ".", "Name", shown.certificate],
                          check=True, capture_output=True, timeout=120)
    equal(java.stdout.decode(), name)


@case("an ACL of x509 lets its owner in and nobody else; the configured super user everywhere")
def _():
    boss = ours.issue("/CN=boss")
    with server("X509AuthenticationProvider.superUser=CN=boss") as one:
        ann, bob = client(one.secure), client(one.secure, shown=BOB)
        equal(ann.ask(raw.CREATE, raw.create("/ann", b"1", [(raw.ALL, "x509", ANN_NAME)])).error, 0)
        equal(ann.ask(raw.CREATE, raw.create("/own", b"1", [(raw.ALL, "auth", "")])).error, 0)

        for path in ("/ann", "/own"):
            equal(ann.ask(raw.GET_DATA, raw.read(path)).error, 0)
            equal(bob.ask(raw.GET_DATA, raw.read(path)).error, raw.NO_AUTH)
            equal(client(one.secure, shown=boss).ask(raw.GET_DATA, raw.read(path)).error, 0)
        equal(bob.ask(raw.CREATE, raw.create("/no", b"", [(raw.ALL, "x509", "bob")])).error,
              raw.INVALID_ACL)


@case("want lets in who shows none, as nobody, and not who shows a bad one; none asks for none")
def _():
    with server("ssl.clientAuth=want") as one:
        equal(identities(client(one.secure, shown=None)), {("ip", "127.0.0.1")})
        true(("x509", "CN=bob") in identities(client(one.secure, shown=BOB)), "it is bob")
        refused(one.secure, shown=foreign.issue("/CN=bob"))
        one.said("its certificate is of an authority that is not in the trust store")
    with server("ssl.clientAuth=none") as one:
        equal(identities(client(one.secure, shown=BOB)), {("ip", "127.0.0.1")})


@case("a port for TLS alone is the only one; with client.portUnification one port takes both")
def _():
    with Secure("client.portUnification=true", f"ssl.keyStore.location={SERVER.file}",
                f"ssl.trustStore.location={ours.file}") as one:
        true(("x509", "CN=bob") in identities(client(one.port, shown=BOB)), "with TLS")
        equal(identities(raw.Client(one.port)), {("ip", "127.0.0.1")})
        equal(answered(connected(one.port), b"ruok"), "imok")
        with socket.create_connection(("127.0.0.1", one.port), 30) as plain:
            equal(answered(plain, b"ruok"), "imok")
    with open("only.cfg", "w", encoding="ascii") as file:
        file.write(f"dataDir={os.path.abspath('only')}\nsecureClientPort=0\nadmin.enableServer=false\n"
                   f"ssl.keyStore.location={SERVER.file}\nssl.trustStore.location={ours.file}\n")
    process = subprocess.Popen([harness.needed("MOONKEEPERD"), "--config", "only.cfg"],
                               stderr=open("only.log", "wb"))
    try:
        found = until(lambda: re.search(r"with TLS +address=\S*:(\d+)[^\0]* serving +address=none ",
                                        open("only.log", encoding="utf-8").read()), "it serves", 60)
        equal(answered(connected(int(found.group(1))), b"srvr").split("\n")[0][:17],
              "Zookeeper version")
    finally:
        process.terminate()
        equal(process.wait(60), 0)


@case("words over TLS say what they say without; conf and the AdminServer name the port and who is there")
def _():
    admin = harness.free_port()
    with server("admin.enableServer=true", f"admin.serverPort={admin}") as one:
        kept = client(one.secure)
        equal(answered(connected(one.secure), b"ruok"), "imok")
        conf = answered(connected(one.secure), b"conf")
        true(f"clientPort={one.port}\nsecureClientPort={one.secure}\n" in conf, conf)
        with socket.create_connection(("127.0.0.1", admin), 30) as http:
            text = answered(http, b"GET /commands/cons HTTP/1.0\r\n\r\n")
        secure = text[text.index('"secure_connections"'):]
        true(str(kept.session) in secure, text)
        true(str(kept.session) not in text[:text.index('"secure_connections"')], text)


# --- Bytes


@case("large data, many requests at once and a client that is slow to read lose no byte")
def _():
    data = os.urandom(900000)
    with server() as one:
        slow = client(one.secure)
        equal(slow.ask(raw.CREATE, raw.create("/large", data)).error, 0)
        for _ in range(40):
            slow.send(raw.GET_DATA, raw.read("/large"))
        other = client(one.secure, version=ssl.TLSVersion.TLSv1_2)
        for i in range(300):
            other.send(raw.CREATE, raw.create(f"/n{i}"))
        equal([other.receive().error for _ in range(300)], [0] * 300)
        for _ in range(40):
            true(raw.Reader(slow.receive().body).buffer() == data, "it is the same")


@case("a change of keys in the midst of a session is taken")
def _():
    with server("ssl.clientAuth=none") as one:
        process = s_client(one, "-tls1_3")
        until(lambda: b"---" in process.stdout.readline(), "it is connected")
        said(process, b"K\n")  # to s_client: change the keys of both sides
        until(lambda: b"KEYUPDATE" in process.stdout.readline(), "it does")
        said(process, b"ruok")  # and its input stays open
        true(b"imok" in process.stdout.read(), "the word is answered")


def s_client(one, *arguments):
    return subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{one.secure}",
                             "-CAfile", ours.file, *arguments], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def said(process, text):
    process.stdin.write(text)
    process.stdin.flush()


# --- Who is not let in


@case("who shows no certificate, an expired one, a foreign or revoked one is refused, and the log says which")
def _():
    gone = ours.issue("/CN=gone")
    with server("ssl.crl=true", trust=ours.revocations(gone)) as one:
        for shown, why in ((None, "it has shown no certificate"),
                           (ours.issue("/CN=old", days=-1), "its certificate has expired"),
                           (foreign.issue("/CN=other"),
                            "its certificate is of an authority that is not in the trust store"),
                           (gone, "its certificate has been revoked")):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                refused(one.secure, shown=shown, version=version)
            one.said(f"a connection with TLS is refused: {why}  address=127.0.0.1 port=")
        one.said('subject="CN=gone"')
        equal(one.metric("unsuccessful_handshake"), 8)
        equal(answered(connected(one.secure), b"ruok"), "imok")


@case("who does not trust the server says so, and the log repeats it")
def _():
    with server() as one:
        refused(one.secure, trusted=foreign)
        one.said("it does not trust the authority of the certificate shown here")


@case("ssl.clientHostnameVerification wants the client's address in its certificate")
def _():
    with server("ssl.clientHostnameVerification=true") as one:
        equal(answered(connected(one.secure), b"ruok"), "imok")
        refused(one.secure, shown=ours.issue("/CN=far", names="IP:192.0.2.1,DNS:localhost"))
        one.said("its certificate is not one for the address it has")


@case("bytes that are no TLS are refused with a line, and so is nonsense in the midst of a handshake")
def _():
    with server() as one:
        for data, why in ((b"ruok" + bytes(60), "it does not speak TLS"),
                          (b"GET / HTTP/1.0\r\n\r\n", "it does not speak TLS"),
                          (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "a connection with TLS"),
                          (b"\x16\x03\x01\x40\x00" + os.urandom(16384), "a connection with TLS")):
            with socket.create_connection(("127.0.0.1", one.secure), 30) as connection:
                connection.sendall(data)
                try:
                    while connection.recv(4096):
                        pass
                except ConnectionError:
                    pass
            one.said(why)
        kept = client(one.secure)
        broken = client(one.secure)
        bare = broken.socket.detach()
        with socket.socket(fileno=bare) as connection:
            connection.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
            connection.settimeout(30)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass
        equal(kept.ask(raw.EXISTS, raw.read("/")).error, 0)


@case("versions and cipher suites that are not offered are refused, those that are are used")
def _():
    with server("ssl.enabledProtocols=TLSv1.3") as one:
        refused(one.secure, version=ssl.TLSVersion.TLSv1_2)
        one.said("it speaks no version of TLS that is offered")
        equal(connected(one.secure).version(), "TLSv1.3")
    with server("ssl.protocol=TLSv1.2",
                "ssl.ciphersuites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384") as one:
        equal(connected(one.secure).cipher()[:2], ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2"))
        refused(one.secure, version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
        one.said("it has no cipher suite in common")


@case("nothing is renegotiated or resumed")
def _():
    with server("ssl.clientAuth=none") as one:
        process = s_client(one, "-tls1_2")
        until(lambda: b"---" in process.stdout.readline(), "it is connected")
        said(process, b"R\n")
        true(b"no renegotiation" in process.communicate(timeout=60)[0], "it says so")

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            same = context(version=version)
            session = None
            for _ in range(2):
                bare = socket.create_connection(("127.0.0.1", one.secure), 30)
                with same.wrap_socket(bare, server_hostname="localhost", session=session) as again:
                    equal(answered(again, b"ruok"), "imok")
                    true(not again.session_reused, "it is a new one")
                    session = again.session


# --- What an attacker can do


@case("a handshake that stalls is ended in time, wherever it stalls")
def _():
    hello = b"\x16\x03\x01\x02\x00\x01\x00"  # and nothing of the 508 bytes that are to follow
    with server("ssl.handshakeDetectionTimeoutMillis=300",
                "nio.sessionlessCnxnTimeout=86400000") as one:
        for sent in (b"", hello[:1], hello):
            with socket.create_connection(("127.0.0.1", one.secure), 60) as connection:
                connection.sendall(sent)
                equal(connection.recv(1), b"", "it is closed")
        one.said("its handshake took too long")
        equal(one.metric("outstanding_tls_handshake"), 0)


@case("of 1000 handshakes that stall only so many are kept, and who is quick comes in meanwhile")
def _():
    with server("netty.server.outstandingHandshake.limit=100", "maxClientCnxns=0",
                "ssl.handshakeDetectionTimeoutMillis=600000",
                "nio.sessionlessCnxnTimeout=86400000") as one:
        held = []
        for _ in range(1000):
            connection = socket.create_connection(("127.0.0.1", one.secure), 60)
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            held.append(connection)
        until(lambda: one.metric("tls_handshake_exceeded") == 900, "all but 100 are closed")
        equal(one.metric("outstanding_tls_handshake"), 100)
        equal(answered(connected(one.secure), b"ruok"), "imok")
        for connection in held:
            connection.close()
        until(lambda: one.metric("outstanding_tls_handshake") == 0, "they are forgotten")


# --- Certificates come and go


@case("SIGHUP makes a new certificate the one that is shown; a broken one changes nothing, and is an error")
def _():
    own = written(os.path.abspath("own.pem"), SERVER.file)
    with server(own=own) as one:
        kept = client(one.secure)
        before = connected(one.secure).getpeercert()
        written(own, ours.issue("/CN=second").file)
        one.process.send_signal(signal.SIGHUP)
        one.said("read again: the certificate for clients")
        after = connected(one.secure).getpeercert()
        equal(after["subject"], ((("commonName", "second"),),))
        true(before["subject"] != after["subject"], "it is another one")

        with open(own, "w", encoding="ascii") as file:
            file.write("-----BEGIN CERTIFICATE-----\n")
        one.process.send_signal(signal.SIGHUP)
        one.said("the certificate for clients cannot be read again, and the old one stays in use: "
                 f"ssl.keyStore.location={own}: ")
        equal(connected(one.secure).getpeercert()["subject"], after["subject"])
        equal(kept.ask(raw.EXISTS, raw.read("/")).error, 0)


@case("client.certReload finds a new certificate and a new trust store by itself")
def _():
    own, trust = (written(os.path.abspath(name), source)
                  for name, source in (("own.pem", SERVER.file), ("trust.pem", ours.file)))
    with server("client.certReload=true", own=own, trust=trust) as one:
        written(own, ours.issue("/CN=third").file)
        until(lambda: connected(one.secure).getpeercert()["subject"] ==
              ((("commonName", "third"),),), "it is shown")
        stranger = foreign.issue("/CN=stranger")
        refused(one.secure, shown=stranger)
        written(trust, ours.file, foreign.file)
        until(lambda: stranger_comes(one, stranger), "it is trusted")


def stranger_comes(one, stranger):
    try:
        return answered(connected(one.secure, shown=stranger), b"ruok") == "imok"
    except (ssl.SSLError, ConnectionError):
        return False


# --- Options


@case("files that cannot be used are named at the start, with what to do")
def _():
    secret = ours.issue("/CN=secret", password="open sesame")
    with open("password", "w", encoding="ascii") as file:
        file.write("open sesame\n")
    location, trust = f"ssl.keyStore.location={SERVER.file}", f"ssl.trustStore.location={ours.file}"
    for options, expected in (
            ([], "TLS needs ssl.keyStore.location"),
            ([location], "TLS needs ssl.trustStore.location"),
            (["ssl.keyStore.location=/x.jks", trust], "keytool -importkeystore"),
            ([location, "ssl.trustStore.location=/x.p12"], "openssl pkcs12"),
            ([location, trust, "ssl.keyStore.type=BCFKS"], "no Java key stores"),
            (["ssl.keyStore.location=/absent.pem", trust], "/absent.pem: No such file"),
            ([f"ssl.keyStore.location={ANN.certificate}", trust], "the certificate's private key"),
            ([f"ssl.keyStore.location={secret.file}", trust], "of the password that is given"),
            ([location, trust, "ssl.clientAuth=maybe"], "give need, want or none"),
            ([location, trust, "ssl.enabledProtocols=TLSv1.1"], "give TLSv1.2, TLSv1.3 or both"),
            ([location, trust, "ssl.ciphersuites=NONE_SUCH"], "OpenSSL knows none of them")):
        arguments = [part for option in ["secureClientPort=0", *options]
                     for part in ("--option", option)]
        done = subprocess.run([harness.needed("MOONKEEPERD"), "--check", *arguments], timeout=60,
                              capture_output=True, check=False)
        true(expected in done.stderr.decode() and done.returncode == 2, done)
    for option in ("ssl.keyStore.password=open sesame",
                   "ssl.keyStore.passwordPath=" + os.path.abspath("password")):
        with server(option, own=secret.file) as one:
            equal(connected(one.secure).getpeercert()["subject"], ((("commonName", "secret"),),))


# --- The manual


@case("what conf/README.md says makes certificates, with which a server and a client work")
def _():
    with open(os.path.join(harness.needed("SOURCE_DIR", REPOSITORY), "conf", "README.md"),
              encoding="utf-8") as file:
        section = file.read().split("\n## TLS\n")[1]
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    commands, options, _, asked = (block.replace("\n    ", "\n")[4:] for block in blocks[:4])
    port = str(harness.free_port())
    subprocess.run(["bash", "-e", "-c", commands], check=True, timeout=120, capture_output=True)
    with open("tls.cfg", "w", encoding="ascii") as file:
        file.write(options.replace("2281", port) + "admin.enableServer=false\ndataDir=manual\n")
    with open("manual.log", "wb") as log:
        process = subprocess.Popen([harness.needed("MOONKEEPERD"), "--config", "tls.cfg"],
                                   stderr=log)
    try:
        until(lambda: " serving " in open("manual.log", encoding="utf-8").read(), "it serves", 60)
        done = subprocess.run(["bash", "-c", asked.replace("2281", port)], timeout=60,
                              capture_output=True, check=False)
        true(b"Mode: standalone" in done.stdout, done)
    finally:
        process.terminate()
        equal(process.wait(60), 0)


# --- Real clients


@case("moonkeeper and its shell over TLS: who they are, and why they are refused")
def _():
    moonkeeper = harness.needed("MOONKEEPER")

    def run(*arguments, **environment):
        return subprocess.run([moonkeeper, "-s", f"localhost:{one.secure}", *arguments], timeout=120,
                              capture_output=True, check=False, text=True,
                              env=dict(os.environ, **environment))

    files = ["--tls-ca", ours.file, "--tls-cert", BOB.file]
    with server() as one:
        equal(run(*files, "create", "/m", "x" * 100000).stdout, "/m\n")
        equal(len(run(*files, "get", "/m").stdout), 100001)
        equal(run("get", "/m", MOONKEEPER_TLS_CA=ours.file, MOONKEEPER_TLS_CERT=ANN.certificate,
                  MOONKEEPER_TLS_KEY=ANN.key).returncode, 0)
        equal(run(*files, "call", "lock.acquire", "path=/l", "timeout=5s").returncode, 0)
        true("x509:CN=bob" in run(*files, "shell", "whoami").stdout.replace(": ", ":"), "it is bob")
        for arguments, why in ((["--tls-ca", foreign.file, "--tls-cert", BOB.file],
                                "certificate"),
                               (["--tls-ca", ours.file], "certificate"),
                               (["--tls-ca", "/absent"], "No such file")):
            done = run(*arguments, "--timeout", "3s", "ls", "/")
            true(done.returncode in (2, 3) and why in done.stderr, done)
        done = subprocess.run([moonkeeper, "-s", f"localhost:{one.port}", "--timeout", "3s", *files,
                               "ls", "/"], timeout=120, capture_output=True, check=False, text=True)
        equal(done.returncode, 3)


@case("kazoo with use_ssl: requests, watches, and the session moves to a connection without TLS")
def _():
    if KazooClient is None:
        raise harness.Skip("there is no kazoo")
    with server() as one:
        kazoo = KazooClient(f"localhost:{one.secure}", use_ssl=True, verify_certs=True, timeout=30,
                            ca=ours.file, certfile=ANN.certificate, keyfile=ANN.key)
        kazoo.start(60)
        told = []
        kazoo.create("/k", b"1", ephemeral=True)
        kazoo.get("/k", watch=told.append)
        kazoo.set("/k", b"2" * 500000)
        until(lambda: told, "the watch fires")
        true(len(kazoo.get("/k")[0]) == 500000, "all of it is there")
        kazoo.stop()
        true(raw.Client(one.port).ask(raw.EXISTS, raw.read("/k")).error == raw.NO_NODE, "it went")


@case("ZooKeeper's command line with Netty and PEM files")
def _():
    # zkCli.sh sets a class path of its own, in which some of Netty is missing.
    jars = ["/usr/share/java/zookeeper.jar"] + [
        f"/usr/share/java/netty-{name}.jar"
        for name in ("buffer", "codec", "common", "handler", "resolver", "transport",
                     "transport-native-unix-common")]
    if not all(map(os.path.exists, jars)):
        raise harness.Skip("Netty's jars are not there")
    with server() as one:
        flags = {"zookeeper.clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
                 "zookeeper.client.secure": "true", "zookeeper.ssl.keyStore.location": BOB.file,
                 "zookeeper.ssl.trustStore.location": ours.file}
        done = subprocess.run(["java", *(f"-D{key}={value}" for key, value in flags.items()), "-cp",
                               ":".join(jars), "org.apache.zookeeper.ZooKeeperMain", "-server",
                               f"localhost:{one.secure}", "create", "/z", "data",
                               "x509:CN=bob:cdrwa"], timeout=120, capture_output=True, check=False)
        true(b"Created /z" in done.stdout + done.stderr, done)
        equal(client(one.secure, shown=BOB).ask(raw.GET_DATA, raw.read("/z")).error, 0)
        equal(client(one.secure, shown=ANN).ask(raw.GET_DATA, raw.read("/z")).error, raw.NO_AUTH)


if __name__ == "__main__":
    harness.main()
