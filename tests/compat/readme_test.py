#!/usr/bin/python3
"""Every transcript of the root README, of the recipes', and of the client libraries', executed in
order against one fresh server for each page.

A transcript is a ```console block: lines that begin with `$ ` are commands, what follows is their
output, standard error included. What differs from run to run is compared by role, not by value:
numbers of at least nine digits, 16-digit hex, 0x hex and times; a value of the page stands for
the same value of this run wherever it appears, in commands too.

Not executed: `git clone`, `cd` and `./dev`. A `call --hold` goes on in the background until the
next section. zkCli.sh is driven line by line at its prompt.
"""

import os
import re
import signal
import subprocess

import harness
from harness import case, equal, true
from zkcli import ZkCli

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VARIABLE = re.compile(r"(0x[0-9a-f]+|\b[0-9a-f]{16}\b|\d{4}-\d\d-\d\dT[\d:.]+Z|\d{9,})")
PROMPT = re.compile(r"\[zk: [^]]*\] (.*)")
SECONDS_MAX = 60


def transcripts(page):
    """[(section, [(command, [lines of output])])]"""
    section, found, block = "", [], None
    for line in page.split("\n"):
        if block is None:
            if line.startswith("#"):
                section = line.lstrip("# ")
            elif line == "```console":
                block = []
        elif line == "```":
            found.append((section, steps(block)))
            block = None
        else:
            block.append(line)
    return found


def steps(block):
    parsed, until = [], None
    for line in block:
        if until is not None:
            parsed[-1][0] += "\n" + line
            until = None if line == until else until
        elif line.startswith("$ "):
            parsed.append([line[2:], []])
            here = re.search(r"<<'(\w+)'", line)
            until = here.group(1) if here else None
        else:
            parsed[-1][1].append(line)
    return parsed


class Values:
    """Which value of the page is which value of this run."""

    def __init__(self):
        self.actual = {}
        self.page = {}

    def substitute(self, command):
        return VARIABLE.sub(lambda match: self.actual.get(match.group(), match.group()), command)

    def compare(self, expected, actual, what):
        equal(len(actual), len(expected), f"{what}\nlines of {actual}")
        for page_line, line in zip(expected, actual):
            page_parts, parts = VARIABLE.split(page_line), VARIABLE.split(line)
            equal(parts[::2], page_parts[::2], f"{what}\n{line}\nis not\n{page_line}\n")
            for page_value, value in zip(page_parts[1::2], parts[1::2]):
                equal(value, self.actual.setdefault(page_value, value), f"{what}: {page_value}")
                equal(page_value, self.page.setdefault(value, page_value), f"{what}: {value}")


class Page:
    def __init__(self, server):
        self.server = server
        self.values = Values()
        self.held = []
        self.environment = dict(
            os.environ, MOONKEEPER_SERVERS=server.address,
            PYTHONPATH=os.path.join(ROOT, "src/client/python"),
            LUA_PATH=os.path.join(ROOT, "lua/?.lua") + ";;")

    def adapt(self, command):
        """As it is written, but with this build and this server."""
        command = command.replace("build/release/moonkeeper", harness.needed("MOONKEEPER"))
        command = re.sub(r"^python3 ", "/usr/bin/python3 ", command)
        return self.values.substitute(command.replace("127.0.0.1:2181", self.server.address))

    def run(self, command, expected):
        if command.startswith(("git clone", "cd ", "./dev")):
            equal(expected, [], "output of what is not executed")
        elif command.startswith("zkCli.sh"):
            self.run_zkcli(expected)
        elif " call --hold " in command:
            self.run_holding(command, expected)
        else:
            done = subprocess.run(["bash", "-c", self.adapt(command)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=self.environment, timeout=SECONDS_MAX, check=False)
            self.values.compare(expected, done.stdout.rstrip("\n").splitlines(), command)

    def run_holding(self, command, expected):
        process = subprocess.Popen(["bash", "-c", "exec " + self.adapt(command)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=self.environment)
        self.held.append(process)
        self.values.compare(expected, [process.stdout.readline().rstrip("\n") for _ in expected],
                            command)

    def run_zkcli(self, lines):
        session = ZkCli(self.server.address)
        command, output = None, []
        for line in lines + ["[zk: the end] quit"]:
            prompt = PROMPT.fullmatch(line)
            if not prompt:
                output.append(line)
                continue
            if command is not None:
                self.values.compare(output, session.ask(self.adapt(command)), command)
            command, output = prompt.group(1), []
        session.quit()

    def let_go(self):
        for process in self.held:
            process.send_signal(signal.SIGINT)
            equal(process.wait(SECONDS_MAX), 0, "the end of --hold")
            process.stdout.close()
            process.stdin.close()
        self.held = []


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as page:
        return page.read()


TEXT = text("README.md")


def play(page_text, *options):
    with harness.server(*options) as server:
        page, current = Page(server), None
        try:
            for section, commands in transcripts(page_text):
                if section != current:
                    page.let_go()
                    current = section
                for command, expected in commands:
                    page.run(command, expected)
        finally:
            page.let_go()


@case("every transcript of the README is what happens")
def _():
    if not harness.zookeeper_is_there():
        raise harness.Skip("there is no zkCli.sh, or no java")
    play(TEXT)


@case("every transcript of the recipes' README is what happens: from nothing to a recipe that runs")
def _():
    play(text("recipes/README.md"), "recipeAdmin=ip:127.0.0.1")


@case("every transcript of the Python module's README is what happens")
def _():
    play(text("src/client/python/README.md"))


@case("every transcript of the Lua modules' README is what happens")
def _():
    play(text("lua/README.md"))


@case("the README takes a stranger from clone to held lock in five commands")
def _():
    section, commands = transcripts(TEXT)[0]
    equal(section, "From a clone to a held lock")
    equal([command.split(" ")[0] for command, _ in commands], ["git", "cd", "./dev"])
    shown = [command for _, block in transcripts(TEXT)[1:3] for command, _ in block]
    true("call --hold lock.acquire" in shown[-1], "the lock is held at the end")
    with open(os.path.join(ROOT, "dev"), encoding="utf-8") as script:
        demonstrated = re.findall(r'show "\$\{moonkeeper\[@\]\}" (.*?)(?:;|$)', script.read(), re.M)
    equal([command.split("moonkeeper ", 1)[1] for command in shown[:3]], demonstrated,
          "what ./dev run shows")


@case("every file that the README points to is there")
def _():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT):
        true(os.path.exists(os.path.join(ROOT, target)), f"{target} is there")


if __name__ == "__main__":
    harness.main()
