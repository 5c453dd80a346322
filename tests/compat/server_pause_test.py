#!/usr/bin/env python3
"""What happens to sessions when moonkeeperd itself stands still: SIGSTOP, a suspended machine."""
import signal
import time

from server_process import Client, Closed, Server, contains, main

PAUSE_SECONDS = 3  # several timeouts of a session
TIMEOUT_MS = 1000


def server_of_short_sessions(data):
    with open(data + ".cfg", "w", encoding="utf-8") as config:
        config.write("tickTime=500\n")
    return Server(data, ["--config", data + ".cfg"])


def pause(server):
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    server.process.send_signal(signal.SIGCONT)


def a_session_outlives_a_server_that_stood_still():
    server = server_of_short_sessions("paused")
    client = server.client(timeout_ms=TIMEOUT_MS)
    client.create("/mine", b"", 1)
    pause(server)
    client.ping()
    assert client.get("/mine") == b""
    contains(server.lines(), "the server could not listen for ")
    assert server.stop() == 0


def a_client_that_gave_up_meanwhile_gets_its_session_back():
    server = server_of_short_sessions("given_up")
    client = server.client(timeout_ms=TIMEOUT_MS)
    client.create("/mine", b"", 1)
    client.connection.close()
    pause(server)
    again = Client(server.socket(), TIMEOUT_MS, client.session, client.password)
    assert again.session == client.session
    assert again.get("/mine") == b""
    assert server.stop() == 0


def a_silent_session_expires_after_a_pause_as_it_would_without_one():
    server = server_of_short_sessions("silent")
    silent = server.client(timeout_ms=TIMEOUT_MS)
    silent.create("/its", b"", 1)
    watcher = server.client()
    pause(server)
    deadline = time.monotonic() + 10
    while watcher.get("/its") is not None:
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)
    try:
        silent.ping()
        raise AssertionError("the connection of an expired session answers")
    except (Closed, OSError):
        pass
    assert server.stop() == 0


if __name__ == "__main__":
    main([
        a_session_outlives_a_server_that_stood_still,
        a_client_that_gave_up_meanwhile_gets_its_session_back,
        a_silent_session_expires_after_a_pause_as_it_would_without_one,
    ])
