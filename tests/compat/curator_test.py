#!/usr/bin/env python3
"""Apache Curator 5.4, as Debian packages it: every recipe of curator-recipes, service discovery and
the framework itself (curator/*.java), against one server, with connections that are cut by a proxy
and sessions that are ended from elsewhere. Arguments are words of the cases' names."""

import glob
import os
import shutil
import subprocess
import sys

import harness

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "curator")
JARS = ["curator-recipes", "curator-x-discovery", "curator-framework", "curator-client",
        "zookeeper", "zookeeper-jute", "guava", "slf4j-api", "jackson-databind", "slf4j-nop"]
RUN_SECONDS_MAX = 240


def class_path():
    paths = [f"/usr/share/java/{jar}.jar" for jar in JARS]
    missing = [path for path in paths if not os.path.exists(path)]
    if missing or shutil.which("javac") is None:
        print(f"1..0 # SKIP there is no {missing[0] if missing else 'javac'}")
        sys.exit(harness.SKIPPED)
    return ":".join(paths)


def main():
    jars = class_path()
    subprocess.run(["javac", "-nowarn", "-Xlint:-deprecation", "-d", "classes", "-cp", jars]
                   + sorted(glob.glob(SOURCES + "/*.java")), check=True)
    options = ["tickTime=500", "maxSessionTimeout=60000", "extendedTypesEnabled=true",
               "maxClientCnxns=0"]
    server = harness.server(*options)
    reaping = harness.server(*options, "znode.container.checkIntervalMs=200")
    try:
        done = subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp",
                               "classes:" + jars, "Main", str(server.port), str(reaping.port),
                               *sys.argv[1:]],
                              timeout=RUN_SECONDS_MAX, check=False)
        code = done.returncode
    except subprocess.TimeoutExpired:
        print(f"not ok - all cases end within {RUN_SECONDS_MAX} s")
        code = 1
    if not harness.end(server) or not harness.end(reaping):
        code = 1
    if code != 0:
        print(server.log_text()[-4000:])
    sys.exit(code)


if __name__ == "__main__":
    main()
