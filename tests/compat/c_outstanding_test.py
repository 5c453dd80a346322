#!/usr/bin/env python3
"""ZooKeeper's C client with 10,000 requests outstanding (c_outstanding.c), and a server that is killed
and started again while they are."""

import os
import sys

import client_program
import harness

PROGRAM = os.path.join(os.environ.get("BUILD_DIR", "."), "compat_c_outstanding")

if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        print(f"1..0 # SKIP {PROGRAM} was not built: libzookeeper-mt-dev is not there")
        sys.exit(harness.SKIPPED)
    client_program.run([PROGRAM], 1, "tickTime=2000", "maxSessionTimeout=60000")
