"""A directory as a crash may have left it, from the trace that shim.c wrote.

    disk = Disk(read_trace(path))          what was there before: Disk(records, before=directory)
    while disk.step(): ...                 one record after another
    disk.crash(random, directory)          what may be there if the power fails now
    disk.all(directory)                    what is there if it does not

What a crash may do, which is more than any one file system does:

- What was written to a file before a sync of it began, and that sync has ended, is there.
- Of what was written later within the file's length at that time, each page of 4 KiB is there or not,
  apart from all others, as it was after any of the writes to it; and a page may be torn, sector by
  sector (512 bytes), between two of these.
- A file has grown to what any operation since then made it, together with what was written into the new
  part by then: file systems record a length after the data that it covers, and RocksDB relies on it.
- A cut of a file (ftruncate) happens or does not, together with all that follows it.
- Names (create, link, rename, unlink) in a directory before a sync of that directory are there. Of
  later ones some first part is there, in each directory apart. A rename is never seen half done.
"""
import os
import struct
from collections import namedtuple

PAGE = 4096
SECTOR = 512
HEADER = struct.Struct("<cIQI")
Record = namedtuple("Record", "kind object number data")


def read_trace(path):
    with open(path, "rb") as file:
        data = file.read()
    records = []
    at = 0
    while at < len(data):
        kind, number, argument, length = HEADER.unpack_from(data, at)
        at += HEADER.size
        records.append(Record(kind.decode(), number, argument, data[at:at + length]))
        at += length
    return records


def put(content, at, data):
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at:at + len(data)] = data


def resize(content, size):
    if len(content) > size:
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


class File:
    """`content` is durable; `pending` are the operations since: (moment, kind, number, data)."""

    def __init__(self, content=b""):
        self.content = bytearray(content)
        self.pending = []

    @staticmethod
    def apply(content, kind, number, data):
        if kind == "W":
            put(content, number, data)
        elif kind == "T":
            resize(content, number)
        elif kind == "A" and len(content) < number:
            resize(content, number)

    def settle(self, moment):
        """All that was done before `moment` is durable."""
        while self.pending and self.pending[0][0] < moment:
            self.apply(self.content, *self.pending.pop(0)[1:])

    def final(self):
        content = bytearray(self.content)
        for _, kind, number, data in self.pending:
            self.apply(content, kind, number, data)
        return content

    def crashed(self, random):
        content = bytearray(self.content)
        written = []
        for _, kind, number, data in self.pending:
            if kind == "T":
                if random.random() < 0.5:
                    return self.scattered(content, written, random)
                content = self.scattered(content, written, random)
                resize(content, number)
                written = []
            else:
                written.append((kind, number, data))
        return self.scattered(content, written, random)

    @staticmethod
    def scattered(content, written, random):
        """What may have become of `content` when `written` was being written to it."""
        durable = len(content)
        result = bytearray(content)
        for kind, number, data in written[:random.choice((0, len(written),
                                                          random.randint(0, len(written))))]:
            File.apply(result, kind, number, data)
        lost = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for page, versions in page_versions(content, written).items():
            begin = page * PAGE
            end = min(begin + PAGE, durable)
            if random.random() < lost:
                version = versions[0]
            else:
                version = versions[-1] if random.random() < 0.7 else random.choice(versions)
                if random.random() < 0.3:
                    version = torn(version, random.choice(versions), random)
            result[begin:end] = version[:end - begin]
        return result


def page_versions(content, written):
    """For each page of `content` that `written` touches, what it was before and after each write."""
    pages = {}
    for kind, number, data in written:
        last = min(number + len(data), len(content)) - 1
        for page in range(number // PAGE, last // PAGE + 1) if kind == "W" else ():
            begin = page * PAGE
            versions = pages.setdefault(page, [bytes(content[begin:begin + PAGE]).ljust(PAGE, b"\0")])
            version = bytearray(versions[-1])
            at = max(number - begin, 0)
            part = data[max(begin - number, 0):][:PAGE - at]
            version[at:at + len(part)] = part
            versions.append(bytes(version))
    return pages


def torn(left, right, random):
    return b"".join((left if random.random() < 0.5 else right)[at:at + SECTOR]
                    for at in range(0, PAGE, SECTOR))


class Directory:
    """`entries` are durable, `live` are the names now; `pending`: (moment, {name: node or None})."""

    def __init__(self):
        self.entries = {}
        self.live = {}
        self.pending = []

    def change(self, moment, changes):
        self.pending.append((moment, changes))
        self.merge(self.live, changes)

    @staticmethod
    def merge(entries, changes):
        for name, node in changes.items():
            if node is None:
                entries.pop(name, None)
            else:
                entries[name] = node

    def settle(self, moment):
        while self.pending and self.pending[0][0] < moment:
            self.merge(self.entries, self.pending.pop(0)[1])

    def crashed(self, random):
        entries = dict(self.entries)
        kept = random.choice((0, len(self.pending), random.randint(0, len(self.pending))))
        for _, changes in self.pending[:kept]:
            self.merge(entries, changes)
        return entries


class Disk:
    def __init__(self, records, before=None):
        self.records = records
        self.moment = 0
        self.root = Directory()
        self.files = {}  # by object
        self.syncs = {}  # those that have begun: number -> (node, moment)
        self.marks = []
        if before is not None:
            self.load(self.root, before)

    def load(self, directory, path):
        for name in os.listdir(path):
            below = os.path.join(path, name)
            if os.path.isdir(below):
                node = Directory()
                self.load(node, below)
            else:
                with open(below, "rb") as file:
                    node = File(file.read())
            directory.entries[name] = directory.live[name] = node

    def find(self, path):
        """The directory that `path` is in, and its last part."""
        directory = self.root
        parts = path.split("/")
        for part in parts[:-1]:
            directory = directory.live[part]
        return directory, parts[-1]

    def node(self, path):
        if path == "":
            return self.root
        directory, name = self.find(path)
        return directory.live[name]

    def step(self):
        if self.moment == len(self.records):
            return False
        record = self.records[self.moment]
        self.moment += 1
        getattr(self, "on_" + record.kind)(record)
        return True

    def name_change(self, path, node):
        directory, name = self.find(path)
        directory.change(self.moment, {name: node})

    def on_C(self, record):
        self.files[record.object] = File()
        self.name_change(record.data.decode(), self.files[record.object])

    def on_O(self, record):
        self.files[record.object] = self.node(record.data.decode())

    def on_D(self, record):
        if record.data:  # the directory itself is given
            self.name_change(record.data.decode(), Directory())

    def on_L(self, record):
        self.name_change(record.data.decode(), self.files[record.object])

    def on_U(self, record):
        self.name_change(record.data.decode(), None)

    def on_R(self, record):
        old, new = (self.find(path) for path in record.data.decode().split("\0"))
        assert old[0] is new[0], "a rename from one directory to another: teach it to me"
        old[0].change(self.moment, {old[1]: None, new[1]: old[0].live[old[1]]})

    def on_W(self, record):
        self.files[record.object].pending.append((self.moment, *record[0:1], *record[2:]))

    on_T = on_W
    on_A = on_W

    def on_B(self, record):
        node = self.files[record.object] if record.object else self.node(record.data.decode())
        self.syncs[record.number] = (node, self.moment)

    def on_E(self, record):
        node, moment = self.syncs.pop(record.number)
        node.settle(moment)

    def on_M(self, record):
        self.marks.append(record.data.decode())

    def write(self, path, directory, names, content):
        os.mkdir(path)
        for name, node in names(directory).items():
            below = os.path.join(path, name)
            if isinstance(node, Directory):
                self.write(below, node, names, content)
            else:
                with open(below, "ab") as file:  # two names of one file become two files
                    file.write(content(node))

    def crash(self, random, path):
        contents = {}

        def content(node):
            if id(node) not in contents:
                contents[id(node)] = node.crashed(random)
            return contents[id(node)]

        self.write(path, self.root, lambda directory: directory.crashed(random), content)

    def all(self, path):
        self.write(path, self.root, lambda directory: directory.live, File.final)
