#!/usr/bin/env python3
"""The rooms keep apart, and the checker that says so is seen to fail."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import rooms as checker

BUILD = pathlib.Path(os.environ["BUILD_DIR"])
SOURCE = pathlib.Path(os.environ["SOURCE_DIR"])
RELEASE = os.environ["MK_PRESET"] == "release"
FIXTURE_ROOMS = {
    "base": (True, []),
    "tree": (True, []),
    "store": (True, ["tree"]),
    "recipe": (True, []),
    "edge": (False, ["tree"]),
}


class Rooms(unittest.TestCase):
    def test_each_room_includes_only_what_it_may(self):
        faults = checker.include_faults(SOURCE / "src", checker.rooms_read(BUILD / "rooms.txt"))
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    @unittest.skipUnless(RELEASE, "sanitizers and libFuzzer add symbols of their own")
    def test_each_core_room_calls_only_what_it_may(self):
        rooms = checker.rooms_read(BUILD / "rooms.txt")
        faults = []
        for room, (core, _) in rooms.items():
            archive = BUILD / ("libmk_%s.a" % room)
            if core and archive.exists():
                faults += checker.symbol_faults(archive, room, rooms, BUILD)
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    @unittest.skipUnless(RELEASE, "sanitizers and libFuzzer add symbols of their own")
    def test_no_two_rooms_export_the_same_name(self):
        faults = checker.clash_faults(BUILD.glob("libmk_*.a"))
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    @unittest.skipUnless(RELEASE, "sanitizers and libFuzzer add symbols of their own")
    def test_each_core_room_with_sources_has_been_built(self):
        for room, (core, _) in checker.rooms_read(BUILD / "rooms.txt").items():
            sources = [path for path in (SOURCE / "src" / room).glob("*.c")
                       if not path.name.startswith("disk_") and path.name != "main.c"]
            if core and sources:
                self.assertTrue((BUILD / ("libmk_%s.a" % room)).exists(), room)


class TheChecker(unittest.TestCase):
    """Sees each kind of fault, and nothing in what is allowed."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.src = pathlib.Path(self.folder.name) / "src"

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.src / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def include_faults(self, name, text):
        self.write(name, text)
        return checker.include_faults(self.src, FIXTURE_ROOMS)

    def archive(self, room, text):
        source = self.write(room + "/x.c", text)
        thing = source.with_suffix(".o")
        archive = self.src / ("libmk_%s.a" % room)
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-O1", "-fPIC", "-w", "-c", source, "-o", thing], check=True)
        archive.unlink(missing_ok=True)
        subprocess.run(["ar", "rcs", archive, thing], check=True)
        return archive

    def symbol_faults(self, room, text):
        return checker.symbol_faults(self.archive(room, text), room, FIXTURE_ROOMS)

    def assert_fault(self, faults, *words):
        self.assertEqual(len(faults), 1, faults)
        for word in words:
            self.assertIn(word, faults[0])

    def test_allows_the_own_headers_base_and_the_doors_of_allowed_rooms(self):
        text = '#include "store/own.h"\n#include "base/base.h"\n#include "tree/tree.h"\n'
        self.assertEqual(self.include_faults("store/a.c", text + "#include <string.h>\n"), [])

    def test_sees_a_room_that_is_not_allowed(self):
        self.assert_fault(self.include_faults("tree/a.c", '#include "store/store.h"\n'),
                          "src/tree/a.c:1", "may not depend on store")

    def test_sees_a_private_header_of_an_allowed_room(self):
        self.assert_fault(self.include_faults("store/a.h", '\n # include "tree/acl.h"\n'),
                          "src/store/a.h:2", "private to tree")

    def test_sees_an_include_that_names_no_room(self):
        self.assert_fault(self.include_faults("tree/a.c", '#include "acl.h"\n'), "names no room")

    def test_sees_a_system_header_in_a_core_room(self):
        for header in ("time.h", "unistd.h", "sys/socket.h", "pthread.h", "stdio.h"):
            self.assert_fault(self.include_faults("tree/a.c", "#include <%s>\n" % header), header)

    def test_sees_lua_uv_and_rocksdb_outside_of_their_places(self):
        self.assert_fault(self.include_faults("edge/a.c", "#include <lua.h>\n"), "lua.h", "recipe")
        self.assert_fault(self.include_faults("edge/a.c", "#include <rocksdb/c.h>\n"), "disk_*")
        (self.src / "edge/a.c").unlink()
        self.assert_fault(self.include_faults("store/a.c", "#include <rocksdb/c.h>\n"), "disk_*")
        (self.src / "store/a.c").unlink()
        self.assert_fault(self.include_faults("store/disk_a.c", "#include <uv.h>\n"), "edge")

    def test_lets_the_disk_files_of_store_use_the_system(self):
        text = "#include <rocksdb/c.h>\n#include <unistd.h>\n"
        self.assertEqual(self.include_faults("store/disk_a.c", text), [])

    def test_sees_a_room_that_is_not_listed(self):
        self.assert_fault(self.include_faults("utils/a.c", ""), "src/utils")

    def test_allows_memory_text_and_the_allowed_rooms_as_symbols(self):
        text = """void *memcpy(void *, const void *, unsigned long);
            int tree_a(void);
            int mk_b(void);
            int store_x(void *a, void *b, unsigned long n)
            {
                memcpy(a, b, n);
                return tree_a() + mk_b();
            }"""
        self.assertEqual(self.symbol_faults("store", text), [])

    def test_sees_each_forbidden_symbol(self):
        for name in ("clock_gettime", "time", "open", "write", "socket", "pthread_create", "rand",
                     "getrandom", "getenv", "malloc", "free", "printf", "snprintf", "abort",
                     "uv_now", "lua_gettop", "edge_start", "SHA256_Init", "setlocale"):
            text = "int %s(); int store_x(void) { return (int)%s(1) + 1; }" % (name, name)
            self.assert_fault(self.symbol_faults("store", text), "calls " + name + ",")

    def test_sees_what_opens_all_libraries_to_a_script(self):
        text = "void luaL_openlibs(void *); void recipe_x(void *s) { luaL_openlibs(s); }"
        self.assert_fault(self.symbol_faults("recipe", text), "luaL_openlibs")

    def test_sees_a_call_from_the_core_of_store_into_its_disk_files(self):
        text = "int store_disk_sync(void); int store_x(void) { return store_disk_sync() + 1; }"
        self.assert_fault(self.symbol_faults("store", text), "calls store_disk_sync,")

    def test_sees_a_call_of_what_an_allowed_room_does_not_export(self):
        self.archive("tree", "int tree_a(void) { return 1; } int hidden(void) { return 2; }")
        self.archive("base", "int mk_a(void) { return 1; }")
        text = """int tree_a(void); int tree_b(void); int hidden(void);
            int store_x(void) { return tree_a() + tree_b() + hidden(); }"""
        store = self.archive("store", text)
        faults = checker.symbol_faults(store, "store", FIXTURE_ROOMS, self.src)
        self.assertEqual(len(faults), 2, faults)
        self.assertIn("calls hidden,", faults[0])
        self.assertIn("calls tree_b,", faults[1])

    def test_sees_two_rooms_that_export_the_same_name(self):
        archives = [self.archive("tree", "int table_free(void) { return 1; }"),
                    self.archive("store", "int table_free(void) { return 2; }")]
        self.assert_fault(checker.clash_faults(archives), "both export table_free")

    def test_sees_a_mutable_global(self):
        text = "static int count; int tree_x(void) { return ++count; }"
        self.assert_fault(self.symbol_faults("tree", text), "mutable global count")

    def test_does_not_mistake_a_table_of_constants_for_a_mutable_global(self):
        text = """static const char *const names[] = {"a", "b"};
            const char *tree_name(int i) { return names[i]; }"""
        self.assertEqual(self.symbol_faults("tree", text), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
