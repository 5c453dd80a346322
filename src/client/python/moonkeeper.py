"""Calls of Moonkeeper's recipes, over kazoo's client.

    import moonkeeper
    from kazoo.client import KazooClient

    client = KazooClient("127.0.0.1:2181")
    client.start()
    grant = moonkeeper.call(client, "lock.acquire", path="/locks/a", timeout="5s")
    moonkeeper.call(client, "lock.release", path="/locks/a", ticket=grant["ticket"])

A call is made exactly once, however often the connection breaks, and keeps its place in a queue. What
was granted lasts as long as the client's session. The life of a call:

    created, under a name that only it has -> its znode waits -> its data is the result -> deleted
      connection lost while creating: looked for by that name, created again only if it is not there
      connection lost while waiting:  looked at again with the next connection
      session expired:                nobody knows what became of it: OutcomeUnknown

Like everything of kazoo's that waits, none of this may be used in a callback of kazoo's. Calls of one
client may be made by many threads.
"""

import json
import time
import uuid

from kazoo import exceptions
from kazoo.protocol.states import KazooState

CALLS = "/zookeeper/calls"


class Overload(exceptions.ZookeeperError):
    """ZooKeeper's ThrottledOp: too many calls are waiting or kept."""

    code = -127


# A kazoo that does not know a code that comes loses its connection thread, and hangs.
exceptions.EXCEPTIONS.setdefault(Overload.code, Overload)

# What the server answers when a call cannot be made at all; nothing was left behind.
REFUSALS = {
    exceptions.BadArgumentsError: ("BadArguments", "the arguments do not fit the operation"),
    exceptions.NoAuthError: ("NoAuth", "the caller may not make calls"),
    exceptions.NoNodeError: ("Unimplemented", "this server knows no calls here"),
    exceptions.UnimplementedError: ("Unimplemented", "there is no such operation"),
    exceptions.EXCEPTIONS[Overload.code]: ("Overload", "too many calls are waiting or kept"),
}
LOSSES = (exceptions.ConnectionLoss, exceptions.OperationTimeoutError,
          exceptions.SessionExpiredError)


def left(deadline):
    """Seconds until then; None: for ever."""
    return None if deadline is None else max(0, deadline - time.monotonic())


class CallError(Exception):
    """The call has ended without a result. `error` is a name, like "Timeout" or "NotOwner"."""

    def __init__(self, error, message):
        super().__init__(f"{error}: {message}")
        self.error = error
        self.message = message


class OutcomeUnknown(CallError):
    """The session has expired, and what the call did, if it did anything, went with it or did not."""

    def __init__(self):
        super().__init__("SessionExpired", "the session was lost: what became of it is not known")


def call(client, operation, /, **arguments):
    """Make a call and wait for its result. Whatever ends the wait, Ctrl-C too, cancels the call."""
    pending = start(client, operation, **arguments)
    try:
        return pending.result()
    except CallError:
        raise
    except BaseException:
        pending.cancel()
        raise


def start(client, operation, /, **arguments):
    """Make a call; a Call."""
    return Call(client, operation, arguments)


class Call:
    """A call that has been made."""

    def __init__(self, client, operation, arguments):
        self.client = client
        self.operation = operation
        self.session = self._session()
        self.path = self._create(json.dumps(arguments).encode())
        self._ended = None  # (result,) or a CallError, once known

    def result(self, timeout=None):
        """Wait for the end, `timeout` seconds at most; TimeoutError: the call goes on."""
        if self._ended is None:
            self._ended = self._wait(timeout)
        if isinstance(self._ended, CallError):
            raise self._ended
        return self._ended[0]

    def cancel(self):
        """True: it is cancelled. False: it has ended by itself before; result() says how."""
        if self._ended is not None:
            return False
        try:
            self._retry(self.client.delete, self.path, version=0)
        except (exceptions.BadVersionError, OutcomeUnknown):
            return False
        except exceptions.NoNodeError:
            pass  # of a delete that was carried out, and its answer lost
        self._ended = CallError("Cancelled", "the caller cancelled the call")
        return True

    # ---- One session, over broken connections ----

    def _session(self):
        return (self.client.client_id or (0,))[0]

    def _retry(self, function, *arguments, **named):
        """Until there is an answer, within the session."""
        while True:
            try:
                return function(*arguments, **named)
            except LOSSES:
                self._connected(None)

    def _connected(self, deadline):
        """Wait for the connection; OutcomeUnknown if the session is not the one of the call."""
        changed = self.client.handler.event_object()

        def listener(_):
            changed.set()

        self.client.add_listener(listener)
        try:
            while self.client.state != KazooState.CONNECTED:
                if self.client.state == KazooState.LOST:
                    raise OutcomeUnknown()
                if not changed.wait(left(deadline)):
                    raise TimeoutError("there is no connection")
                changed.clear()
        finally:
            self.client.remove_listener(listener)
        if self._session() != self.session:
            raise OutcomeUnknown()

    # ---- Made ----

    def _create(self, data):
        """The server knows names that begin like Curator's protected ones, and runs what follows."""
        name = f"_c_{uuid.uuid4()}-{self.operation}-"
        try:
            while True:
                try:
                    return self.client.create(f"{CALLS}/{name}", data, ephemeral=True,
                                              sequence=True)
                except LOSSES:
                    self._connected(None)
                # This may be another server, which has not heard of it yet.
                self._retry(self.client.sync, CALLS)
                found = [one for one in self._retry(self.client.get_children, CALLS)
                         if one.startswith(name)]
                if found:
                    return f"{CALLS}/{found[0]}"
                self._connected(None)  # the listing may be of another session by now
        except tuple(REFUSALS) as refusal:
            raise CallError(*REFUSALS[type(refusal)]) from None

    # ---- Waited for ----

    def _wait(self, timeout):
        """(result,), or a CallError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        woken = self.client.handler.event_object()

        def wake(_):
            woken.set()

        self.client.add_listener(wake)  # of the end of the session watches are not told
        try:
            while True:
                woken.clear()
                answer = self._look(wake, deadline)
                if answer is not None:
                    return self._take(answer)
                if not woken.wait(left(deadline)):
                    raise TimeoutError(f"{self.operation} has not ended within {timeout} s")
        except (exceptions.NoNodeError, exceptions.NoAuthError):
            return OutcomeUnknown()  # the znode has gone, with the session or after a long time
        except OutcomeUnknown as unknown:
            return unknown
        finally:
            self.client.remove_listener(wake)

    def _look(self, wake, deadline):
        """How it has ended, or None: then `wake` is called when there may be more to see, which is
        also when the connection breaks."""
        try:
            asked = self.client.get_async(self.path, watch=wake)
            data, stat = asked.get(timeout=left(deadline))
            return json.loads(data) if stat.version > 0 else None
        except LOSSES:
            wake(None)
            self._connected(deadline)
        except self.client.handler.timeout_exception:
            raise TimeoutError("no answer in time") from None
        return None

    def _take(self, answer):
        try:
            self.client.delete(self.path)
        except exceptions.KazooException:
            pass  # the server deletes it in time
        if answer["state"] == "failed":
            return CallError(answer["error"], answer["message"])
        return (answer["result"],)
