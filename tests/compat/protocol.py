"""What the protocol tests share: one server for all cases that need no options of their own."""

import base64
import functools
import hashlib
import itertools

import harness
from harness import equal
from raw_client import Client

SUPER = "super:" + base64.b64encode(hashlib.sha1(b"super:secret").digest()).decode()
OPTIONS = ["tickTime=2000", "extendedTypesEnabled=true",
           "DigestAuthenticationProvider.superDigest=" + SUPER]

names = (f"/case-{number}" for number in itertools.count(1))


@functools.lru_cache(maxsize=None)
def shared():
    return harness.server(*OPTIONS)


def connect(**options):
    return Client(shared().port, **options)


def room():
    """A session, and a znode of its own to work below."""
    client = connect()
    return client, client.create(next(names))


def expect(client, what, code, record, error):
    equal(client.error(code, record), error, what)
