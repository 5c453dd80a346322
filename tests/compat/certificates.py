"""Certificates for tests, made by openssl's command line at run time, below the working directory."""

import os
import subprocess

import harness

NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]  # quicker than RSA


def openssl(*arguments, **named):
    command = [harness.needed("OPENSSL", "/usr/bin/openssl"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=60, **named)


def written(path, *sources):
    """What the sources hold, as one file, which takes the place of an earlier one at once."""
    with open(path + ".new", "wb") as out:
        for source in sources:
            with open(source, "rb") as file:
                out.write(file.read())
    os.rename(path + ".new", path)
    return path


class Certificate:
    """`file` has the certificate and its key, `certificate` and `key` have one of them each."""

    def __init__(self, stem):
        self.certificate, self.key, self.file = stem + ".crt", stem + ".key", stem + ".pem"


class Authority:
    def __init__(self, name="authority"):
        os.makedirs(name, exist_ok=True)
        self.folder, self.count = os.path.abspath(name), 0
        self.file, self.key = self.path("ca.pem"), self.path("ca.key")
        openssl("req", "-x509", *NEW_KEY, "-noenc", "-keyout", self.key, "-out", self.file,
                "-days", "30", "-subj", f"/O=Moonkeeper's tests/CN={name}")

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, subject, days=30, names=NAMES, password=None):
        """For `subject` as openssl writes it; below 0 days it has expired."""
        self.count += 1
        made = Certificate(self.path(f"{self.count}"))
        secret = ["-passout", "pass:" + password] if password else ["-noenc"]
        openssl("req", *NEW_KEY, *secret, "-utf8", "-nameopt", "utf8", "-keyout", made.key, "-out",
                made.file, "-subj", subject)
        extensions = self.path("extensions")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={names}\n" if names else "")
        openssl("x509", "-req", "-in", made.file, "-CA", self.file, "-CAkey", self.key,
                "-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out",
                made.certificate)
        written(made.file, made.certificate, made.key)
        return made

    def revocations(self, *revoked):
        """A file with the authority's certificate and its list of what is revoked."""
        database, config = self.path("index.txt"), self.path("ca.cnf")
        with open(database, "w", encoding="ascii"):
            pass
        with open(config, "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=here\n[here]\ndatabase={database}\ndefault_md=sha256\n"
                       f"default_crl_days=30\ncertificate={self.file}\nprivate_key={self.key}\n")
        for certificate in revoked:
            openssl("ca", "-config", config, "-revoke", certificate.certificate)
        openssl("ca", "-config", config, "-gencrl", "-out", self.path("crl.pem"))
        return written(self.path("trusted.pem"), self.file, self.path("crl.pem"))
