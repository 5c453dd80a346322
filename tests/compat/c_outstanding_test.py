#!/usr/bin/env python3
"""ZooKeeper's C client with 10,000 requests outstanding (c_outstanding.c), and a server that is killed
and started again while they are."""

import os
import subprocess
import sys

import harness

PROGRAM = os.path.join(os.environ.get("BUILD_DIR", "."), "compat_c_outstanding")


def main():
    if not os.path.exists(PROGRAM):
        print(f"1..0 # SKIP {PROGRAM} was not built: libzookeeper-mt-dev is not there")
        sys.exit(harness.SKIPPED)
    server = harness.server("tickTime=2000", "maxSessionTimeout=60000")
    kills = 0
    with subprocess.Popen([PROGRAM, server.address], stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            print(line, end="", flush=True)
            if line == "# kill the server\n":
                kills += 1
                server.kill()
                server.start()
    if kills != 1:
        print(f"not ok - the server is killed once, not {kills} times")
    sys.exit(1 if program.returncode != 0 or kills != 1 or not harness.end(server) else 0)


if __name__ == "__main__":
    main()
