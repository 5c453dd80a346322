#!/usr/bin/python3
"""Manual pages and bash's completion name what the programs have, all of it and nothing else."""

import os
import re
import shutil
import subprocess

import harness
from harness import case, equal, true

SOURCE = harness.needed("SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
PAGE = os.path.join(SOURCE, "src/cli/moonkeeper.1")
SERVER_PAGE = os.path.join(SOURCE, "conf/moonkeeperd.8")
COMPLETION = os.path.join(SOURCE, "src/cli/moonkeeper.bash")


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def moonkeeper(*words):
    return output(harness.needed("MOONKEEPER"), *words)


def commands():
    """Those of the table that the program looks in, and the two that it answers itself."""
    return re.findall(r'\{"([a-z-]+)", cli_', read("src/cli/main.c")) + ["version", "help"]


def shell_commands():
    """name -> usage"""
    text = moonkeeper("shell", "-server", "127.0.0.1:1", "help").split("\n", 1)[1]
    return dict(re.findall(r"^(\w+)(.*)\n    ", text, re.M))


def options(text):
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][A-Za-z-]*", text))


def page(path):
    """A manual page as its words: without macros, hyphens as they are typed."""
    text = re.sub(r'^\.\\".*\n', "", read(path), flags=re.M)
    return re.sub(r"\\f[A-Z]|[\"]", "", text).replace("\\-", "-")


@case("every command of the program is in its help, has help of its own, and is in the page")
def _():
    overview, text = moonkeeper("help"), page(PAGE)
    true(len(commands()) > 15, commands())
    for command in commands():
        true(re.search(rf"(?<![\w-]){command}(?![\w-])", overview), f"{command} is in the overview")
        true(moonkeeper("help", command).startswith(f"usage: moonkeeper {command}"), command)
        true(re.search(rf"^\.B[RI]? {command}(?![\w-])", text, re.M), f"{command} is in the page")
    equal(subprocess.run([harness.needed("MOONKEEPER"), "help", "nosuch"], check=False,
                         stderr=subprocess.DEVNULL).returncode, 2)


@case("every option that help names is in the page, and the page names no other")
def _():
    text = moonkeeper("help") + "".join(moonkeeper("help", command) for command in commands())
    text += "".join(shell_commands().values()) + " --version -h --help"
    equal(options(page(PAGE)) ^ options(text), set())


@case("every command of the shell is in the page")
def _():
    text = page(PAGE).split("THE SHELL\n", 1)[1]
    true(len(shell_commands()) > 25, shell_commands())
    for command in shell_commands():
        true(re.search(rf"(^\.B[RI]? |,\s+){command}(?!\w)", text, re.M), command)


@case("every option of moonkeeperd is in its page, and the page names no other")
def _():
    text = output(harness.needed("MOONKEEPERD"), "--help") + " -h"
    equal(options(page(SERVER_PAGE)) ^ options(text), set())


@case("every exit code of moonkeeperd is in its page")
def _():
    text = output(harness.needed("MOONKEEPERD"), "--help")
    for code in re.findall(r"(?<![\w-])([0-9]) [a-z]", text.split("Exit codes:")[1]):
        true(f"\n.B {code}\n" in page(SERVER_PAGE), code)


@case("the pages are well-formed")
def _():
    if shutil.which("groff") is None:
        raise harness.Skip("no groff")
    for path in (PAGE, SERVER_PAGE):
        done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", "-Kutf8", path], text=True,
                              stderr=subprocess.PIPE, check=False)
        equal((done.returncode, done.stderr), (0, ""))


def completed(line, *, path=None):
    """What bash would offer at the end of the line, whose words are separated by single blanks."""
    words = line.split(" ")
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _moonkeeper; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    folder = os.path.dirname(harness.needed("MOONKEEPER"))
    environment = dict(os.environ, PATH=f"{path or folder}:{os.environ['PATH']}")
    return subprocess.run(["bash", "-c", script, "bash", COMPLETION, *words], text=True, check=True,
                          stdout=subprocess.PIPE, env=environment).stdout.split("\n")[:-1]


@case("bash completes every command, and options of each as its help has them")
def _():
    equal(sorted(word for word in completed("moonkeeper ") if not word.startswith("-")),
          sorted(commands()))
    equal(sorted(completed("moonkeeper help ")), sorted(commands()))
    equal(completed("moonkeeper -s 127.0.0.1 : 2181 --json st"),
          ["stat", "start", "start-foreground", "stop", "status"])
    equal(completed("moonkeeper --timeout "), [""])
    for command in commands():
        offered = set(completed(f"moonkeeper {command} -")) - {""}
        usage = moonkeeper("help", command).split("\n\n")[0]
        if command != "help":
            equal(offered, options(usage), command)


@case("bash completes files of configurations, and paths at the server that the line names")
def _():
    with open("my server.cfg", "w", encoding="ascii"):
        pass
    equal(completed("moonkeeper start my"), ["my server.cfg"])
    with harness.Moonkeeper() as server:
        client = [harness.needed("MOONKEEPER"), "-s", server.address, "create"]
        for path in ("/apple", "/apricot", "/apricot/stone"):
            subprocess.run(client + [path], check=True, stdout=subprocess.DEVNULL)
        line = f"moonkeeper -s 127.0.0.1 : {server.port} get "
        equal(completed(line + "/ap"), ["/apple", "/apricot"])
        equal(completed(line + "/apricot/"), ["/apricot/stone"])
        equal(completed(line + "/nope/"), [""])


if __name__ == "__main__":
    harness.main()
