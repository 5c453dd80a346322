"""A client in another language: a program that prints TAP, and asks for what happens to its server.

It is given the server's address as its last argument. A line "# kill the server" or "# restart the
server" on its standard output has that done, with the same data and on the same port.
"""

import subprocess
import sys

import harness

RUN_SECONDS_MAX = 240


def obey(line, server):
    """Whether the line asked for something."""
    if line == "# kill the server\n":
        server.kill()
        server.start()
    elif line == "# restart the server\n":
        server.restart()
    else:
        return False
    return True


def run(command, asks, *options, **popen):
    """Run the program with a server of its own; end this process. `asks`: how often it asks."""
    server = harness.server(*options)
    asked = 0
    with subprocess.Popen(["timeout", str(RUN_SECONDS_MAX), *command, server.address],
                          stdout=subprocess.PIPE, text=True, **popen) as program:
        for line in program.stdout:
            print(line, end="", flush=True)
            asked += obey(line, server)
    good = program.returncode == 0
    if not good:
        print(f"exit code {program.returncode}; the server:\n{server.log_text()[-4000:]}")
    if asked != asks:
        print(f"not ok - the program asks {asks} times for its server's end, not {asked} times")
        good = False
    sys.exit(0 if harness.end(server) and good else 1)
