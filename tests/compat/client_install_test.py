#!/usr/bin/env python3
"""libmoonkeeper as a program outside of the repository meets it: installed, found by pkg-config, linked."""
import os
import re
import shutil
import subprocess
import sys

import harness
from harness import case, equal, true

SOURCE = os.environ["SOURCE_DIR"]
BUILD = os.environ["BUILD_DIR"]
README = os.path.join(SOURCE, "src", "client", "README.md")
PREFIX = os.path.abspath("prefix")
if os.environ["MK_PRESET"] != "release" or not shutil.which("pkg-config"):
    print("1..0 # SKIP an installation is a release")
    sys.exit(harness.SKIPPED)


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=120, **options)
    true(done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def installed():
    """The environment in which pkg-config finds it; installs at the first call."""
    if not os.path.exists(PREFIX):
        run("cmake", "--install", BUILD, "--prefix", PREFIX)
    for folder, _, files in os.walk(PREFIX):
        if "moonkeeper.pc" in files:
            return {**os.environ, "PKG_CONFIG_PATH": folder,
                    "LD_LIBRARY_PATH": os.path.dirname(folder)}
    raise AssertionError("no moonkeeper.pc was installed")


def blocks(language):
    with open(README, encoding="utf-8") as file:
        return re.findall(r"```%s\n(.*?)```" % language, file.read(), re.DOTALL)


@case("the README's program compiles with pkg-config against an installation, and does what it shows")
def _():
    environment = installed()
    with open("hello.c", "w", encoding="utf-8") as file:
        file.write(blocks("c")[0])
    compile_line, run_line, *expected = blocks("console")[0].splitlines()
    with harness.Moonkeeper() as server:
        run("sh", "-ec", compile_line.removeprefix("$ "), env=environment)
        output = run("sh", "-ec", run_line.removeprefix("$ ").replace("127.0.0.1:2181",
                                                                    server.address),
                     env=environment)
    equal(output.splitlines(), expected)


@case("the same program runs with the static library")
def _():
    environment = installed()
    library = os.path.join(environment["LD_LIBRARY_PATH"], "libmoonkeeper.a")
    flags = run("pkg-config", "--cflags", "moonkeeper", env=environment).split()
    links = run("pkg-config", "--static", "--libs-only-l", "--libs-only-other", "moonkeeper",
                env=environment).split()
    links.remove("-lmoonkeeper")
    run("cc", "-o", "hello-static", "hello.c", *flags, library, *links)
    with harness.Moonkeeper() as server:
        true("locked" in run("./hello-static", server.address), "not locked")


@case("the header is good C11 and good C++, alone and with warnings")
def _():
    environment = installed()
    flags = run("pkg-config", "--cflags", "moonkeeper", env=environment).split()
    with open("alone.c", "w", encoding="ascii") as file:
        file.write("#include <moonkeeper.h>\nint main(void)\n{\n"
                   "    return moonkeeper_error_name(MOONKEEPER_OK)[0] != 'O';\n}\n")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    links = run("pkg-config", "--libs", "moonkeeper", env=environment).split()
    run("cc", "-std=c11", *warnings, "-o", "alone", "alone.c", *flags, *links)
    run("./alone", env=environment)
    if not shutil.which("g++"):
        raise harness.Skip("there is no g++")
    run("g++", "-x", "c++", *warnings, "-o", "alone++", "alone.c", *flags, *links)
    run("./alone++", env=environment)


@case("the shared library has its version in its name and exports nothing but moonkeeper_*")
def _():
    library = os.path.join(installed()["LD_LIBRARY_PATH"], "libmoonkeeper.so.0")
    lines = run("nm", "-D", "--defined-only", library).splitlines()
    names = [line.split()[-1].split("@")[0] for line in lines]
    true(len(names) > 25, names)
    equal([name for name in names if not name.startswith("moonkeeper_")
           and name != "MOONKEEPER_0"], [])
    with open(os.path.join(SOURCE, "src", "client", "client.h"), encoding="utf-8") as file:
        declared = set(re.findall(r"^(?!typedef).*\b(moonkeeper_\w+)\(", file.read(), re.MULTILINE))
    missing = [name for name in declared if name not in names]
    equal(missing, [], "declared, and not exported")


@case("the modules for Lua and Python are installed where interpreters find them")
def _():
    installed()
    folder = next(path for path, _, files in os.walk(PREFIX) if "moonkeeper.py" in files)
    equal(os.path.relpath(folder, PREFIX).split("/")[::2], ["lib", "dist-packages"])
    for module in ("client", "jute", "json", "testkit"):
        path = os.path.join(PREFIX, "share", "lua", "5.1", "moonkeeper", module + ".lua")
        true(os.path.exists(path), path)


if __name__ == "__main__":
    sys.exit(harness.main())
