"""kazoo's clients, for the tests that need them: importing this ends a test, as skipped, where there
is no kazoo. With it comes src/client/python, as `moonkeeper`: calls of recipes over such a client."""

import os
import sys

import harness

SOURCE = harness.needed("SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(SOURCE, "src/client/python"))
try:
    import moonkeeper  # pylint: disable=unused-import
    from kazoo.client import KazooClient
except ImportError:
    print("1..0 # SKIP there is no kazoo")
    sys.exit(harness.SKIPPED)

CONNECTED_SECONDS_MAX = 90  # the server may run under AddressSanitizer, beside others


def connect(server, timeout=10, **options):
    client = KazooClient(hosts=server.address, timeout=timeout, **options)
    client.start(timeout=CONNECTED_SECONDS_MAX)
    return client


def finish(*clients):
    for client in clients:
        client.stop()
        client.close()
