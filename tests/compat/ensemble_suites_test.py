#!/usr/bin/python3
"""Suites of this folder, against three servers of which one after the other is restarted meanwhile.

By hand any of them, as three_servers.py says; here one that is soon done.
"""

import os
import re
import subprocess
import sys

import harness
from harness import case

FOLDER = os.path.dirname(os.path.abspath(__file__))
SUITE_SECONDS_MAX = 250
CHOSEN = (("follower", "protocol_znodes_test.py", 10),)


def plays(role, suite, least):
    """It passes, and so many of its cases have been tried. In a folder of its own: servers' data are
    called the same in each suite."""
    folder = os.path.abspath(f"{role}-{suite}")
    os.mkdir(folder)
    done = subprocess.run([os.path.join(FOLDER, suite)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=SUITE_SECONDS_MAX, cwd=folder,
                          env=dict(os.environ, COMPAT_SERVER=role), check=False)
    if done.returncode == harness.SKIPPED:
        raise harness.Skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-6000:]
    passed = int(re.search(r"^(\d+) passed, 0 failed$", done.stdout, re.MULTILINE).group(1))
    restarts = sum(map(int, re.findall(r"^# (\d+) restarts$", done.stdout, re.MULTILINE)))
    print(f"# {suite} by a {role}: {passed} cases, {restarts} restarts", flush=True)
    assert passed >= least and restarts > 0, done.stdout[-6000:]


for chosen in CHOSEN:
    case(f"{chosen[1]} passes with three servers that are restarted, clients at: {chosen[0]}")(
        lambda chosen=chosen: plays(*chosen))

if __name__ == "__main__":
    del sys.argv[1:]
    harness.main()
