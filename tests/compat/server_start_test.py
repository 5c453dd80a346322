#!/usr/bin/env python3
"""How moonkeeperd starts, or says why it does not: a clear message and a documented exit code."""
import os
import shutil
import socket

from server_process import Server, contains, main, run


def help_fits_one_screen_and_starts_with_an_example():
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert out.startswith("Example: moonkeeperd ")
    assert len(out.splitlines()) <= 24 and max(map(len, out.splitlines())) <= 100


def version_goes_to_stdout():
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    assert out.startswith("moonkeeperd ")


def an_unknown_option_suggests_the_nearest():
    code, out, err = run("--option", "tickTme=2000")
    assert (code, out) == (2, "")
    contains(err, "unknown option tickTme: did you mean tickTime?")


def a_mistake_in_the_file_names_its_line():
    with open("mistake.cfg", "w", encoding="utf-8") as config:
        config.write("# ok\ntickTime=2000\n\nmaxClientCnxns=many\n")
    code, _, err = run("--config", "mistake.cfg")
    assert code == 2
    contains(err, "mistake.cfg line 4: maxClientCnxns=many is not a whole number")


def the_sample_file_of_zookeeper_works_as_it_is():
    with open("zoo.cfg", "w", encoding="utf-8") as config:
        config.write("# The number of milliseconds of each tick\ntickTime=2000\ninitLimit=10\n"
                     "syncLimit=5\ndataDir=zoo\nclientPort=0\nautopurge.purgeInterval=1\n")
    server = Server("zoo-data", ["--config", "zoo.cfg"])
    contains(server.lines(), 'keys="autopurge.purgeInterval"')
    contains(server.word("conf"), "tickTime=2000\n", "minSessionTimeout=4000\n")
    assert server.stop() == 0


def the_file_that_debian_ships_works_as_it_is():
    shipped = "/etc/zookeeper/conf_example/zoo.cfg"
    if not os.path.exists(shipped):
        print("# %s is not there" % shipped)
        return
    with open(shipped, encoding="utf-8") as config:
        text = config.read().replace("dataDir=/tmp/zookeeper", "dataDir=debian")
    assert "dataDir=debian\n" in text
    with open("debian.cfg", "w", encoding="utf-8") as config:
        config.write(text)
    server = Server("debian-data", ["--config", "debian.cfg"])
    contains(server.word("srvr"), "Mode: standalone\n")
    assert "no effect here" not in server.lines()
    assert server.stop() == 0


def a_port_in_use_is_said_before_anything_is_touched():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run("--data", "unused", "--address", "127.0.0.1", "--port", str(port))
    assert code == 4
    contains(err, "port %d" % port, "address already in use", "choose another --port")
    assert not os.path.exists("unused/state") and not os.path.exists("unused/log")


def an_address_of_another_machine_is_refused():
    code, _, err = run("--data", "unused", "--address", "192.0.2.1", "--port", "0")
    assert code == 4
    contains(err, "cannot listen on 192.0.2.1", "is clientPortAddress one of this machine's?")


def a_second_server_on_the_same_folder_is_refused():
    first = Server("shared")
    code, _, err = run("--data", "shared", "--address", "127.0.0.1", "--port", "0")
    assert code == 3
    contains(err, "shared is in use by process %d" % first.process.pid)
    assert first.word("ruok") == "imok"
    assert first.stop() == 0


def a_data_directory_that_cannot_be_made_is_named():
    with open("in-the-way", "w", encoding="utf-8"):
        pass
    code, _, err = run("--data", "in-the-way/data", "--port", "0")
    assert code == 3
    contains(err, "in-the-way/data")


def a_recipe_directory_that_was_asked_for_must_be_there():
    code, _, err = run("--data", "unused", "--option", "recipeDir=nowhere")
    assert code == 2
    contains(err, "nowhere", "recipeDir")


def filled(data):
    """A data directory whose log holds a few hundred entries that no checkpoint has."""
    server = Server(data)
    client = server.client()
    for i in range(300):
        assert client.create("/n%03d" % i, b"x" * 100)[0] == 0
    server.kill()
    return sorted(name for name in os.listdir(data + "/log") if name.startswith("log."))


def damage(path, offset, value):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(value)


def a_damaged_log_is_refused_and_left_alone():
    segments = filled("damaged")
    path = "damaged/log/" + segments[-1]
    damage(path, 20000, b"\xff" * 8)
    before = open(path, "rb").read()
    for _ in range(2):
        code, _, err = run("--data", "damaged", "--address", "127.0.0.1", "--port", "0")
        assert code == 5, (code, err)
        contains(err, segments[-1], "damaged")
        assert open(path, "rb").read() == before


def a_log_whose_end_was_torn_off_is_cut_and_served():
    segments = filled("torn")
    path = "torn/log/" + segments[-1]
    content = open(path, "rb").read().rstrip(b"\0")
    with open(path, "r+b") as file:
        file.truncate(len(content))
        # The last entry in part only: what a crash during its write leaves.
        file.seek(len(content) - 60)
        file.write(bytes(60))
    server = Server("torn")
    client = server.client()
    assert client.get("/n298") == b"x" * 100
    assert client.create("/after")[0] == 0
    assert server.stop() == 0


def a_damaged_epoch_is_refused():
    server = Server("epoch")
    assert server.stop() == 0
    with open("epoch/log/currentEpoch", "w", encoding="utf-8") as file:
        file.write("seven")
    code, _, err = run("--data", "epoch", "--address", "127.0.0.1", "--port", "0")
    assert code == 5, err
    contains(err, "currentEpoch")


def damaged_state_is_refused():
    server = Server("state")
    client = server.client()
    assert client.create("/n", b"x")[0] == 0
    assert server.stop() == 0
    manifest = [name for name in os.listdir("state/state") if name.startswith("MANIFEST")][0]
    size = os.path.getsize("state/state/" + manifest)
    damage("state/state/" + manifest, size // 2, b"\xff" * 16)
    code, _, err = run("--data", "state", "--address", "127.0.0.1", "--port", "0")
    assert code == 5, (code, err)
    contains(err, "state/state")


def the_log_may_live_in_a_directory_of_its_own():
    server = Server("split", ["--option", "dataLogDir=split-log"])
    assert server.client().create("/kept", b"1")[0] == 0
    server.kill()
    assert os.path.isdir("split-log/log") and not os.path.exists("split/log")
    server = Server("split", ["--option", "dataLogDir=split-log"])
    assert server.client().get("/kept") == b"1"
    contains(server.word("conf"), "dataLogDir=" + os.path.realpath("split-log"))
    assert server.stop() == 0


def a_log_folder_that_is_gone_is_not_a_fresh_start():
    server = Server("unmounted")
    server.client().create("/kept", b"x")
    assert server.stop() == 0
    os.rename("unmounted/log", "elsewhere")
    code, _, err = run("--data", "unmounted", "--port", "0")
    assert code == 5, err
    contains(err, "is dataLogDir mounted?")
    shutil.rmtree("unmounted/log")
    os.rename("elsewhere", "unmounted/log")
    server = Server("unmounted")
    assert server.client().get("/kept") == b"x"
    assert server.stop() == 0


def a_missing_piece_of_the_log_is_not_a_fresh_start():
    server = Server("pieces", ["--option", "preAllocSize=64"])
    client = server.client()
    for number in range(400):
        client.create(f"/n{number}", b"x" * 1000)
    server.kill()
    segments = sorted(name for name in os.listdir("pieces/log") if name.startswith("log."))
    assert len(segments) > 2, segments
    os.remove(f"pieces/log/{segments[0]}")
    shutil.rmtree("pieces/state")
    code, _, err = run("--data", "pieces", "--port", "0")
    assert code == 5, err
    contains(err, "transactions are missing")


if __name__ == "__main__":
    main([
        help_fits_one_screen_and_starts_with_an_example,
        version_goes_to_stdout,
        an_unknown_option_suggests_the_nearest,
        a_mistake_in_the_file_names_its_line,
        the_sample_file_of_zookeeper_works_as_it_is,
        the_file_that_debian_ships_works_as_it_is,
        a_port_in_use_is_said_before_anything_is_touched,
        an_address_of_another_machine_is_refused,
        a_second_server_on_the_same_folder_is_refused,
        a_data_directory_that_cannot_be_made_is_named,
        a_recipe_directory_that_was_asked_for_must_be_there,
        a_damaged_log_is_refused_and_left_alone,
        a_log_whose_end_was_torn_off_is_cut_and_served,
        a_damaged_epoch_is_refused,
        damaged_state_is_refused,
        the_log_may_live_in_a_directory_of_its_own,
        a_log_folder_that_is_gone_is_not_a_fresh_start,
        a_missing_piece_of_the_log_is_not_a_fresh_start,
    ])
