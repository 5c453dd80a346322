#!/usr/bin/env python3
"""libmoonkeeper against ZooKeeper: what it can, it can with both."""
import os
import sys

os.environ["COMPAT_SERVER"] = "zookeeper"

import client_library  # pylint: disable=wrong-import-position
import harness  # pylint: disable=wrong-import-position

if not harness.zookeeper_is_there():
    print("1..0 # SKIP ZooKeeper is not there")
    sys.exit(harness.SKIPPED)

client_library.cases_define()

if __name__ == "__main__":
    sys.exit(harness.main())
