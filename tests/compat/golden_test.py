#!/usr/bin/python3
"""Frames recorded from ZooKeeper 3.8.0, replayed: each answer must be equal, byte for byte.

In an expected frame a symbol in angle brackets stands for what differs from run to run. It takes
its value where it comes first and must be the same everywhere else:

    <z4>  a zxid of 8 bytes; the numbers grow with the values
    <t1>  a time of 8 bytes    <S>  a session id    <P>  a password

Where Moonkeeper follows a release after 3.8.0, the frame is that release's, and the line says
which: notifications carry the zxid of the transaction (3.9.0), and a create2 inside a multi
answers with a Stat (3.8.2). whoAmI lists identities in no particular order; here it is that of
their arrival.
"""

import re

import harness
import raw_client
from harness import case, equal, true

ACL_OPEN = "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65"
CONNECT = """
    C> 0000002d 00000000 0000000000000000 00002710 0000000000000000 00000010
       00000000000000000000000000000000 00
    S< 00000025 00000000 00002710 <S> 00000010 <P> 00
"""
AUTH_BOB = """
    C> 00000024 fffffffc 00000064 00000000 00000006 646967657374 0000000a 626f623a736563726574
    S< 00000010 fffffffc 0000000000000000 00000000
"""
SYMBOL = re.compile(r"<(\w+)>")
SYMBOL_BYTES = {"z": 8, "t": 8, "S": 8, "P": 16}


class Replay:
    """A connection and the values of symbols so far."""

    def __init__(self, port, symbols=None):
        self.client = raw_client.Client(port, connect=False)
        self.symbols = {} if symbols is None else symbols

    def play(self, text):
        for direction, frame in parse(text):
            if direction == "C>":
                self.client.send_bytes(bytes.fromhex(frame))
            elif direction == "S<":
                payload = self.client.receive_frame()
                self.compare(frame, len(payload).to_bytes(4, "big") + payload)
            else:
                true(self.client.closed(), "the server closes the connection")

    def compare(self, expected, actual):
        """Fill in symbols while walking over both."""
        at = 0
        shown = expected
        for part in re.split(r"(<\w+>)", expected):
            symbol = SYMBOL.fullmatch(part)
            if symbol:
                length = SYMBOL_BYTES[symbol.group(1)[0]]
                value = actual[at:at + length]
                self.bind(symbol.group(1), value, actual)
                shown = shown.replace(part, self.symbols[symbol.group(1)].hex())
                at += length
            else:
                at += len(part) // 2
        equal(actual.hex(), shown, f"frame {expected}")

    def bind(self, name, value, actual):
        known = self.symbols.setdefault(name, value)
        equal(value.hex(), known.hex(), f"<{name}> in {actual.hex()}")
        if name[0] == "z":
            ordered = sorted((int(other[1:]), taken) for other, taken in self.symbols.items()
                             if other[0] == "z")
            values = [int.from_bytes(taken, "big") for _, taken in ordered]
            equal(values, sorted(set(values)), "zxids grow in the recorded order")


def parse(text):
    """[(C> or S<, hex without spaces)], and (close, "")."""
    frames = []
    for line in text.split("\n"):
        line = line.split("#")[0].strip()
        if line[:2] in ("C>", "S<"):
            frames.append([line[:2], line[2:]])
        elif line == "close":
            frames.append(["close", ""])
        elif line:
            frames[-1][1] += line
    return [(direction, frame.replace(" ", "").replace("ACL_OPEN", ACL_OPEN.replace(" ", "")))
            for direction, frame in frames]


def fresh():
    return harness.server("recipes=off", "extendedTypesEnabled=true", "tickTime=2000")


# --- Section by section; each on a fresh server.


HANDSHAKE = CONNECT + """
    C> 00000008 fffffffe 0000000b                                        # ping
    S< 00000010 fffffffe <z1> 00000000
    C> 0000000c 00000015 00000066 00000000                               # sasl, not configured
    S< 00000014 00000015 0000000000000000 00000000 ffffffff
    C> 00000008 0000000b fffffff5                                        # closeSession
    S< 00000010 0000000b <z2> 00000000
    close
"""


@case("handshake, ping, a SASL token without SASL, and closeSession are answered as recorded")
def _():
    with fresh() as server:
        Replay(server.port).play(HANDSHAKE)


@case("a connect request without the readOnly byte is answered without it")
def _():
    with fresh() as server:
        Replay(server.port).play("""
            C> 0000002c 00000000 0000000000000000 00002710 0000000000000000 00000010
               00000000000000000000000000000000
            S< 00000024 00000000 00002710 <S> 00000010 <P>
        """)


@case("an unknown session is refused with zeros, and the connection closed")
def _():
    with fresh() as server:
        Replay(server.port).play("""
            C> 0000002d 00000000 0000000000000000 00002710 0100002672780000 00000010
               faf561f2ff88c191683a9105e096d176 00
            S< 00000025 00000000 00000000 0000000000000000 00000010
               00000000000000000000000000000000 00
            close
        """)


@case("an authentication with an unknown scheme is refused, and the connection closed")
def _():
    with fresh() as server:
        Replay(server.port).play(CONNECT + """
            C> 0000001b fffffffc 00000064 00000000 00000006 6e6f73756368 00000001 78
            S< 00000010 fffffffc 0000000000000000 ffffff8d
            close
        """)


@case("an unknown operation is refused with zxid -1, and the connection closed")
def _():
    with fresh() as server:
        Replay(server.port).play(CONNECT + """
            C> 00000008 00000005 00000063
            S< 00000010 00000005 ffffffffffffffff fffffffa
            close
        """)


@case("a check outside of a multi is refused as an unknown operation is (3.9.3)")
def _():
    with fresh() as server:
        Replay(server.port).play(CONNECT + """
            C> 00000011 00000001 0000000d 00000001 2f ffffffff
            S< 00000010 00000001 ffffffffffffffff fffffffa
            close
        """)


FIRST_RUN = CONNECT + """
    C> 00000033 00000001 00000001 00000002 2f61 00000002 6869 ACL_OPEN 00000000   # create /a "hi"
    S< 00000016 00000001 <z2> 00000000 00000002 2f61
    C> 00000033 00000002 0000000f 00000004 2f612f62 00000000 ACL_OPEN 00000003    # create2 /a/b
    S< 00000066 00000002 <z3> 00000000 0000000e 2f612f6230303030303030303030
       <z3> <z3> <t2> <t2> 00000000 00000000 00000000 <S> 00000000 00000000 <z3>
    C> 0000000f 00000003 00000004 00000002 2f61 01                       # getData /a, watched
    S< 0000005a 00000003 <z3> 00000000 00000002 6869
       <z2> <z2> <t1> <t1> 00000000 00000001 00000000 0000000000000000 00000002 00000001 <z3>
    C> 00000018 00000004 00000005 00000002 2f61 00000002 796f ffffffff   # setData /a "yo"
    S< 0000001e ffffffff <z4> 00000000 00000003 00000003 00000002 2f61   # zxid: as of 3.9
    S< 00000054 00000004 <z4> 00000000
       <z2> <z4> <t1> <t3> 00000001 00000001 00000000 0000000000000000 00000002 00000001 <z3>
    C> 00000012 00000005 00000003 00000005 2f6e6f7065 00                 # exists /nope
    S< 00000010 00000005 <z4> ffffff9b
    C> 0000000f 00000006 0000000c 00000002 2f61 00                       # getChildren2 /a
    S< 00000067 00000006 <z4> 00000000 00000001 0000000b 6230303030303030303030
       <z2> <z4> <t1> <t3> 00000001 00000001 00000000 0000000000000000 00000002 00000001 <z3>
    C> 00000017 00000007 00000008 0000000a 2f7a6f6f6b6565706572 00       # getChildren /zookeeper
    S< 00000027 00000007 <z4> 00000000 00000002 00000006 636f6e666967 00000005 71756f7461
    C> 0000006c 00000007 0000000e                                        # a multi that fails
       00000001 00 ffffffff 00000002 2f6d 00000000 ACL_OPEN 00000000
       0000000d 00 ffffffff 00000005 2f6e6f7065 00000000
       00000002 00 ffffffff 00000002 2f61 ffffffff
       ffffffff 01 ffffffff
    S< 00000040 00000007 <z5> 00000000
       ffffffff 00 00000000 00000000
       ffffffff 00 ffffff9b ffffff9b
       ffffffff 00 fffffffe fffffffe
       ffffffff 01 ffffffff
    C> 0000003c 00000008 0000000e                                        # a multi that succeeds
       0000000d 00 ffffffff 00000002 2f61 00000001
       00000005 00 ffffffff 00000002 2f61 00000001 7a 00000001
       ffffffff 01 ffffffff
    S< 0000006f 00000008 <z6> 00000000
       0000000d 00 00000000
       00000005 00 00000000
       <z2> <z6> <t1> <t4> 00000002 00000001 00000000 0000000000000000 00000001 00000001 <z3>
       ffffffff 01 ffffffff
    C> 00000012 00000009 0000006a 00000002 2f61 00000001                 # addWatch /a recursive
    S< 00000014 00000009 <z6> 00000000 00000000
""" + AUTH_BOB + """
    C> 00000008 0000000a 0000006b                                        # whoAmI
    S< 00000038 0000000a <z6> 00000000 00000002
       00000002 6970 00000009 3132372e302e302e31 00000006 646967657374 00000003 626f62
    C> 00000022 fffffff8 00000065 0000000000000000 00000001 00000002 2f61 00000000 00000000
    S< 0000001e ffffffff ffffffffffffffff 00000000 00000003 00000003 00000002 2f61
    S< 00000010 fffffff8 <z6> 00000000                                   # setWatches
    C> 00000008 0000000b fffffff5                                        # closeSession
    S< 0000002a ffffffff <z7> 00000000 00000002 00000003 0000000e 2f612f6230303030303030303030
    S< 00000010 0000000b <z7> 00000000
    close
"""


@case("znodes, reads, a watch, multis, identities and a session's end are answered as recorded")
def _():
    with fresh() as server:
        Replay(server.port).play(FIRST_RUN)


SECOND_RUN = CONNECT + """
    C> 00000031 00000001 00000013 00000002 2f63 00000000 ACL_OPEN 00000004   # createContainer /c
    S< 0000005a 00000001 <z2> 00000000 00000002 2f63
       <z2> <z2> <t1> <t1> 00000000 00000000 00000000 0000000000000000 00000000 00000000 <z2>
    C> 00000039 00000002 00000015 00000002 2f74 00000000 ACL_OPEN 00000005   # createTTL /t
       000000000000ea60
    S< 0000005a 00000002 <z3> 00000000 00000002 2f74
       <z3> <z3> <t2> <t2> 00000000 00000000 00000000 0000000000000000 00000000 00000000 <z3>
    C> 00000032 00000003 00000001 00000003 2f652d ffffffff ACL_OPEN 00000003 # create /e-, null data
    S< 00000021 00000003 <z4> 00000000 0000000d 2f652d30303030303030303032
    C> 0000000d 00000004 00000067 00000001 2f                            # getEphemerals /
    S< 00000025 00000004 <z4> 00000000 00000001 0000000d 2f652d30303030303030303032
    C> 0000000d 00000005 00000068 00000001 2f                            # getAllChildrenNumber /
    S< 00000014 00000005 <z4> 00000000 00000006
    C> 0000000e 00000006 00000009 00000002 2f63                          # sync /c
    S< 00000016 00000006 <z4> 00000000 00000002 2f63
""" + AUTH_BOB + """
    C> 0000003d 00000008 00000007 00000002 2f63 00000002                 # setACL /c
       0000001f 00000004 61757468 00000000 00000001 00000005 776f726c64 00000006 616e796f6e65
       00000000
    S< 00000054 00000008 <z5> 00000000
       <z2> <z2> <t1> <t1> 00000000 00000000 00000001 0000000000000000 00000000 00000000 <z2>
    C> 0000000e 00000009 00000006 00000002 2f63                          # getACL /c
    S< 000000a1 00000009 <z5> 00000000 00000002
       0000001f 00000006 646967657374
       00000020 626f623a6679566d4643775662544a59727a6e6f5375316b6f7159455946303d
       00000001 00000005 776f726c64 00000006 616e796f6e65
       <z2> <z2> <t1> <t1> 00000000 00000000 00000001 0000000000000000 00000000 00000000 <z2>
"""

OTHER_SESSION = """
    C> 0000002d 00000000 0000000000000000 00002710 0000000000000000 00000010
       00000000000000000000000000000000 00
    S< 00000025 00000000 00002710 <S2> 00000010 <P2> 00
    C> 0000000e 00000001 00000006 00000002 2f63                          # getACL /c with READ only
    S< 00000086 00000001 <z6> 00000000 00000002
       0000001f 00000006 646967657374 00000005 626f623a78
       00000001 00000005 776f726c64 00000006 616e796f6e65
       <z2> <z2> <t1> <t1> 00000000 00000000 00000001 0000000000000000 00000000 00000000 <z2>
"""

SECOND_RUN_ON = """
    C> 00000012 0000000a 00000002 00000002 2f74 00000007                 # delete /t, wrong version
    S< 00000010 0000000a <z7> ffffff99
    C> 00000012 0000000b 00000002 00000002 2f74 ffffffff                 # delete /t
    S< 00000010 0000000b <z8> 00000000
    C> 0000000f 0000000c 00000003 00000002 2f74 01                       # exists /t, watched
    S< 00000010 0000000c <z8> ffffff9b
    C> 00000012 0000000d 00000011 00000002 2f74 00000002                 # checkWatches
    S< 00000010 0000000d <z8> 00000000
    C> 00000012 0000000e 00000012 00000002 2f74 00000003                 # removeWatches
    S< 00000010 0000000e <z8> 00000000
    C> 00000012 0000000f 00000012 00000002 2f74 00000003                 # and again
    S< 00000010 0000000f <z8> ffffff87
    C> 0000004f 00000010 00000016                                        # multiRead
       00000004 00 ffffffff 0000000d 2f652d30303030303030303032 00
       00000008 00 ffffffff 00000002 2f63 00
       00000004 00 ffffffff 00000005 2f6e6f7065 00
       ffffffff 01 ffffffff
    S< 00000084 00000010 <z8> 00000000
       00000004 00 00000000 ffffffff
       <z4> <z4> <t3> <t3> 00000000 00000000 00000000 <S> 00000000 00000000 <z4>
       00000008 00 00000000 00000000
       ffffffff 00 ffffff9b ffffff9b
       ffffffff 01 ffffffff
    C> 00000088 00000011 0000000e                                        # a multi of creates
       0000000f 00 ffffffff 00000002 2f78 00000000 ACL_OPEN 00000000
       00000013 00 ffffffff 00000002 2f79 00000000 ACL_OPEN 00000004
       00000002 00 ffffffff 00000002 2f78 00000000
       ffffffff 01 ffffffff
    S< 000000c8 00000011 <z9> 00000000                                   # as of 3.8.2
       0000000f 00 00000000 00000002 2f78
       <z9> <z9> <t4> <t4> 00000000 00000000 00000000 0000000000000000 00000000 00000000 <z9>
       0000000f 00 00000000 00000002 2f79
       <z9> <z9> <t4> <t4> 00000000 00000000 00000000 0000000000000000 00000000 00000000 <z9>
       00000002 00 00000000
       ffffffff 01 ffffffff
    C> 00000011 00000012 0000000e ffffffff 01 ffffffff                   # an empty multi
    S< 00000019 00000012 <z10> 00000000 ffffffff 01 ffffffff
    C> 00000012 00000013 0000006a 00000002 2f70 00000009                 # addWatch, no such mode
    S< 00000010 00000013 <z10> fffffffb
    C> 00000030 fffffff8 00000069 0000000000000000 00000000 00000000 00000000
       00000001 00000002 2f70 00000001 00000002 2f72                     # setWatches2
    S< 00000010 fffffff8 <z10> 00000000
    C> 00000032 00000014 00000010 ffffffff ffffffff                      # reconfig, switched off
       00000016 7365727665722e313d3132372e302e302e313a313a32 ffffffffffffffff
    S< 00000010 00000014 <z11> ffffff85
    C> 00000043 00000015 00000016                                        # multiRead with a write
       00000001 00 ffffffff 00000002 2f6d 00000000 ACL_OPEN 00000000
       ffffffff 01 ffffffff
    S< 00000019 00000015 <z11> fffffffb ffffffff 01 ffffffff
"""


@case("containers, TTLs, ACLs, watch management and multiRead are answered as recorded")
def _():
    with fresh() as server:
        replay = Replay(server.port)
        replay.play(SECOND_RUN)
        Replay(server.port, replay.symbols).play(OTHER_SESSION)
        replay.play(SECOND_RUN_ON)


if __name__ == "__main__":
    harness.main()
