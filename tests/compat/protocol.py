"""What the protocol tests share: one server for all cases that need no options of their own."""

import base64
import functools
import hashlib
import itertools
import json

import harness
import raw_client as raw
from harness import equal
from raw_client import Client, Reader

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


# --- Calls.


def answer(reply):
    """(error, message, result) of a call's reply; the result as it is."""
    equal(reply.error, 0, "the reply's header")
    reader = Reader(reply.body)
    answered = reader.string(), reader.string(), reader.buffer()
    reader.end()
    return answered


def ask_lock(path, call_id=1, **arguments):
    return raw.call("lock.acquire", json.dumps(dict(path=path, **arguments)).encode(), call_id)


def acquire(client, path, call_id=1, **arguments):
    """The result of a call that need not wait."""
    error, message, result = answer(client.ask(raw.CALL, ask_lock(path, call_id, **arguments)))
    equal((error, message), (None, None))
    return json.loads(result)


def quiet(client):
    """That what was asked before is under way, and has not been answered."""
    xid = client.send(raw.EXISTS, raw.read("/"))
    equal(client.receive().xid, xid)
