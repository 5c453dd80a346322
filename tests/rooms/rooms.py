"""What keeps the rooms apart: which headers a room may include, and which symbols the archive of a
core room may leave undefined. The list of rooms is CMakeLists.txt's, which writes it to rooms.txt;
everything else that is allowed stands below, each with its reason.

`include_faults`, `symbol_faults` and `clash_faults` return sentences; an empty list is a pass.
"""
import fnmatch
import pathlib
import re
import subprocess

# Headers of the C library whose contents are a function of their arguments. What they declare
# besides (rand, getenv) is found as a symbol.
CORE_HEADERS = """float.h inttypes.h limits.h math.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h
    stdlib.h string.h""".split()

# What else a core room may include.
CORE_HEADERS_OF = {
    "base": ["stdio.h"],  # vsnprintf, and stderr for the last words of a failed assertion
    "tree": ["openssl/sha.h"],  # digest ACLs
    "recipe": ["lua.h", "lualib.h", "lauxlib.h", "luajit.h", "jansson.h", "msgpack.h",
               "msgpack/*.h", "openssl/sha.h"],
    "sasl": ["openssl/evp.h", "openssl/sha.h"],  # MD5 of DIGEST-MD5, SHA256 of nonces
    "prepare": ["openssl/sha.h"],  # content hashes of recipe versions
}

# Libraries that belong to one place each, outside the core too: (header, rooms, file pattern).
LIBRARY_HEADERS = [
    ("lua.h", ["recipe", "testkit"], "*"),
    ("lualib.h", ["recipe", "testkit"], "*"),
    ("lauxlib.h", ["recipe", "testkit"], "*"),
    ("luajit.h", ["recipe", "testkit"], "*"),
    ("uv.h", ["edge"], "*"),
    ("uv/*", ["edge"], "*"),
    ("microhttpd.h", ["admin"], "http.c"),
    ("openssl/ssl.h", ["edge", "client"], "tls*"),
    ("rocksdb/*", ["store"], "disk_*"),
]

# Undefined symbols that any core room may have: memory, text, sorting, arithmetic, and what the
# compiler puts in by itself. Patterns as of the shell.
CORE_SYMBOLS = """
    mem* __mem*_chk rawmemchr
    strlen strnlen strcmp strncmp strchr strchrnul strrchr strstr strspn strcspn strpbrk
    strtol strtoul strtoll strtoull strtoimax strtoumax __isoc23_strto*
    qsort bsearch abs labs llabs
    floor floorf ceil ceilf trunc round lround llround rint nearbyint fmod modf frexp ldexp pow exp
    log log2 log10 sqrt sin cos tan asin acos atan atan2 sinh cosh tanh fabs isnan isinf
    _GLOBAL_OFFSET_TABLE_ __stack_chk_fail __tls_get_addr
    __*di3 __*ti3 __*ti2 __*di2 __popcount* __builtin_*
""".split()

CORE_SYMBOLS_OF = {
    # The heap, formatted text, and an assertion's last words. No other room touches either.
    "base": """malloc calloc realloc free vsnprintf snprintf __vsnprintf_chk __snprintf_chk
        fprintf __fprintf_chk fputs fwrite stderr abort""".split(),
    "tree": ["SHA1", "SHA224", "SHA256", "SHA384", "SHA512"],
    "recipe": """SHA1 SHA256 lua_* luaL_* luaJIT_setmode json_* msgpack_*
        luaopen_base luaopen_math luaopen_string luaopen_table luaopen_bit""".split(),
    "sasl": ["EVP_Digest", "EVP_md5", "SHA256"],
    "prepare": ["SHA1", "SHA256"],
}

# Exceptions to the patterns above: what would let a script, or the core, out.
FORBIDDEN_SYMBOLS = """
    luaL_openlibs luaL_loadfile luaL_loadfilex luaL_execresult luaL_fileresult
    json_load_file json_loadfd json_load_callback json_dump_file json_dumpf json_dumpfd
    json_object_seed memfd_create
""".split()

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def rooms_read(path):
    """rooms.txt as {room: (is_core, [allowed rooms])}."""
    rooms = {}
    for line in pathlib.Path(path).read_text().splitlines():
        words = line.split()
        if words and not line.startswith("#"):
            rooms[words[0]] = (words[1] == "core", words[2:])
    return rooms


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


# ---- Includes ----


def includes(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def quoted_fault(room, allowed, header):
    """Why `room` may not include "header", or None."""
    other, _, name = header.partition("/")
    if not name:
        return 'names no room: write "%s/%s"' % (room, header)
    if other == room:
        return None
    if other not in allowed and other != "base":
        return "%s may not depend on %s" % (room, other)
    if name != other + ".h":
        return "%s is private to %s, whose door is %s/%s.h" % (header, other, other, other)
    return None


def system_fault(room, core, file_name, header):
    """Why `room` may not include <header>, or None."""
    for pattern, rooms, files in LIBRARY_HEADERS:
        if fnmatch.fnmatchcase(header, pattern):
            if room not in rooms or not fnmatch.fnmatchcase(file_name, files):
                return "belongs to %s (%s) alone" % (" and ".join(rooms), files)
            return None
    outside = room == "store" and file_name.startswith("disk_")
    if core and not outside and not matches(header, CORE_HEADERS + CORE_HEADERS_OF.get(room, [])):
        return "is not on the list of what a core room may include"
    return None


def include_faults(source_dir, rooms):
    faults = []
    for folder in sorted(pathlib.Path(source_dir).iterdir()):
        if not folder.is_dir():
            continue
        room = folder.name
        if room not in rooms:
            faults.append("src/%s is a room that CMakeLists.txt does not list" % room)
            continue
        core, allowed = rooms[room]
        for path in sorted(folder.rglob("*.[ch]")):
            for number, quoted, header in includes(path):
                if quoted:
                    fault = quoted_fault(room, allowed, header)
                else:
                    fault = system_fault(room, core, path.name, header)
                if fault:
                    place = "src/%s:%d" % (path.relative_to(source_dir), number)
                    faults.append("%s: <%s> %s" % (place, header, fault) if not quoted
                                  else '%s: "%s" %s' % (place, header, fault))
    return faults


# ---- Symbols ----


def nm(archive):
    """(symbol, class, section) of each symbol of the archive."""
    listing = subprocess.run(["nm", "-f", "sysv", str(archive)], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    for line in listing.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield fields[0], fields[2], fields[6]


def prefix_of(room):
    return "mk_" if room == "base" else room + "_"


def exports(archive):
    """What other archives may link against: the name, not where it stands."""
    return {name for name, kind, _ in nm(archive) if kind in "TDBRVWCu"}


def callable_of(other, build_dir):
    """Patterns of what the room `other` offers: the exports of its archive that carry its prefix,
    so that in the case of store the part that touches files is not offered. Without an archive:
    whatever carries the prefix."""
    archive = pathlib.Path(build_dir) / ("libmk_%s.a" % other) if build_dir else None
    if archive is None or not archive.exists():
        return [prefix_of(other) + "*"]
    return [name for name in exports(archive) if name.startswith(prefix_of(other))]


def symbol_faults(archive, room, rooms, build_dir=None):
    _, allowed = rooms[room]
    symbols = list(nm(archive))
    undefined = {name for name, kind, _ in symbols if kind in "Uwv"} - exports(archive)

    permitted = CORE_SYMBOLS + CORE_SYMBOLS_OF.get(room, [])
    for other in ["base"] + allowed:
        permitted = permitted + callable_of(other, build_dir)
    faults = []
    for name in sorted(undefined):
        if not matches(name, permitted) or name in FORBIDDEN_SYMBOLS:
            faults.append("%s: calls %s, which is not on the list of what a core room may call"
                          % (room, name))
    for name, _, section in symbols:
        written = section.startswith((".data", ".bss", ".tdata", ".tbss", "*COM*"))
        if written and not section.startswith(".data.rel.ro"):
            faults.append("%s: has the mutable global %s; state is a struct that someone passes in"
                          % (room, name))
    return faults


def clash_faults(archives):
    """Names that two archives define. The linker takes what it meets first and says nothing."""
    faults = []
    owner = {}
    for archive in sorted(archives):
        for name in sorted(exports(archive)):
            if name in owner:
                faults.append("%s and %s both export %s" % (owner[name].name, archive.name, name))
            owner[name] = archive
    return faults
