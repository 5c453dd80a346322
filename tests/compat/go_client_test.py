#!/usr/bin/env python3
"""The Go client that Debian packages (golang-github-samuel-go-zookeeper-dev): go_client/client.go."""

import os
import shutil
import subprocess
import sys

import client_program
import harness

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "go_client", "client.go")
LIBRARY = "/usr/share/gocode/src/github.com/samuel/go-zookeeper"


def build():
    """Without modules, so that nothing is downloaded: Debian's libraries are a GOPATH."""
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="",
                       GOCACHE=os.path.join(os.environ.get("BUILD_DIR", os.getcwd()), "go-cache"))
    subprocess.run(["go", "build", "-o", "client", SOURCE], env=environment, check=True)
    return os.path.abspath("client")


if __name__ == "__main__":
    if shutil.which("go") is None or not os.path.exists(LIBRARY):
        print(f"1..0 # SKIP there is no go, or no {LIBRARY}")
        sys.exit(harness.SKIPPED)
    client_program.run([build()], 1, "tickTime=2000")
