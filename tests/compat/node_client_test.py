#!/usr/bin/env python3
"""Node's client, node-zookeeper-client from npm: node_client/client.js. Its version and those of what it
needs are pinned, with their checksums, by node_client/package-lock.json; they are installed once into
the build folder."""

import filecmp
import os
import shutil
import subprocess
import sys

import client_program
import harness

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_client")
INSTALLED = os.path.join(os.environ.get("BUILD_DIR", os.getcwd()), "node_client")
LOCK = "package-lock.json"


def install():
    """The copy of the lock file comes last: it says that all before it was done."""
    done = os.path.join(INSTALLED, LOCK + ".installed")
    if os.path.exists(done) and filecmp.cmp(done, os.path.join(FOLDER, LOCK), shallow=False):
        return
    os.makedirs(INSTALLED, exist_ok=True)
    for name in ("package.json", LOCK):
        shutil.copy(os.path.join(FOLDER, name), INSTALLED)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=INSTALLED,
                   check=True)
    shutil.copy(os.path.join(FOLDER, LOCK), done)


if __name__ == "__main__":
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            print(f"1..0 # SKIP there is no {program}")
            sys.exit(harness.SKIPPED)
    install()
    client_program.run(["node", os.path.join(FOLDER, "client.js")], 1, "tickTime=2000",
                       env=dict(os.environ, NODE_PATH=os.path.join(INSTALLED, "node_modules")))
