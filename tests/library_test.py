"""Tests the C++ library as other programs use it: installed into a folder of its own. Its headers
stand alone, it exports only names of its own, its interface is the one that abi/ has, and the
examples are built against it by CMake and by pkg-config, and run."""

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from harness import BUILD, CLEAN, ROOT

ABI = os.path.join(ROOT, "abi")
ABI_CHECK = os.path.join(ROOT, "tools", "abi.py")
EXAMPLES = ("embed", "processor", "usage")
# Rooms of the inside: nothing of them may be exported.
INSIDE = re.compile(r"(typeinfo (name )?for |vtable for )?databridge::(api|cluster|env|flow|lib|node|placement|platform|proto|raft)::")


def run(*command, code=0, timeout=60, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **more)
    if code is not None and done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def three_ports():
    """The first of three free ports in a row, below the ephemeral range."""
    for first in random.sample(range(20000, 31900), 1000):
        with contextlib.ExitStack() as sockets:
            try:
                for port in range(first, first + 3):
                    sockets.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
            except OSError:
                continue
    raise RuntimeError("no free ports")


class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.at = tempfile.mkdtemp(prefix="databridge-library-")
        cls.prefix = os.path.join(cls.at, "installed")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        # The tree may be moved after it was installed.
        os.rename(cls.prefix, cls.prefix + "-moved")
        cls.prefix += "-moved"
        cls.include = os.path.join(cls.prefix, "include")
        cls.lib = os.path.join(cls.prefix, "lib")
        cls.shared = os.path.join(cls.lib, "libdatabridge.so")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.at, ignore_errors=True)

    def test_what_is_installed(self):
        for name in ("bin/databridge", "bin/databridgectl", "lib/libdatabridge.so.0.2",
                     "lib/pkgconfig/databridge.pc", "lib/cmake/databridge/databridge-config.cmake"):
            self.assertTrue(os.path.exists(os.path.join(self.prefix, name)), name)
        self.assertRegex(run("readelf", "-d", self.shared), r"SONAME.*\[libdatabridge\.so\.0\.2\]")
        version = run(os.path.join(self.prefix, "bin", "databridge"), "--version").split()[-1]
        self.assertEqual(os.path.basename(os.path.realpath(self.shared)), f"libdatabridge.so.{version}")
        self.assertEqual(self.pkg_config("--modversion"), [version])

    def pkg_config(self, *words):
        path = os.path.join(self.lib, "pkgconfig")
        return run("pkg-config", *words, "databridge", env={**CLEAN, "PKG_CONFIG_PATH": path}).split()

    def test_headers_stand_alone(self):
        folder = os.path.join(self.include, "databridge")
        headers = sorted(os.listdir(folder))
        self.assertEqual(headers, sorted(os.listdir(os.path.join(ROOT, "include", "databridge"))))
        for name in headers:
            with open(os.path.join(folder, name)) as header:
                text = header.read()
            for included in re.findall(r'#\s*include\s*(\S+)', text):
                self.assertRegex(included, r"^<(databridge/\w+\.h|tl/expected\.hpp|\w+)>$", name)
        # Each is the only one that its file includes.
        source = os.path.join(self.at, "alone")
        os.makedirs(source)
        files = []
        for name in headers:
            files.append(os.path.join(source, name.replace(".h", ".cc")))
            with open(files[-1], "w") as file:
                file.write(f"#include <databridge/{name}>\n")
        run("g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", self.include, *files)

    def test_only_its_own_names_are_exported(self):
        names = run("nm", "--dynamic", "--defined-only", "--demangle", self.shared).splitlines()
        names = [line.split(" ", 2)[2] for line in names]
        self.assertGreater(len(names), 30)
        foreign = [name for name in names if INSIDE.match(name) or not re.match(
            r"(typeinfo (name )?for |vtable for )?databridge::", name)]
        self.assertEqual(foreign, [])

    def test_examples_run_as_cmake_builds_them(self):
        build = os.path.join(self.at, "by-cmake")
        run("cmake", "-S", os.path.join(ROOT, "examples"), "-B", build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=")
        run("cmake", "--build", build, timeout=120)
        for name in EXAMPLES:
            with self.subTest(name):
                self.run_example(os.path.join(build, name), {})

    def test_a_program_is_built_by_pkg_config(self):
        program = os.path.join(self.at, "by-pkg-config")
        flags = self.pkg_config("--cflags", "--libs")
        run("g++", "-std=c++20", os.path.join(ROOT, "examples", "processor.cc"), "-o", program, "-pthread", *flags)
        self.run_example(program, {"LD_LIBRARY_PATH": self.lib})

    def run_example(self, program, environment):
        data = tempfile.mkdtemp(dir=self.at)
        print(run(program, data, str(three_ports()), env={**CLEAN, **environment}, timeout=90), file=sys.stderr)

    def test_the_interface_is_the_one_that_was_committed(self):
        run(ABI_CHECK, "--check", self.shared, self.include)

    def test_a_change_of_the_interface_is_found(self):
        # The check must fail if the committed interface has a function that the library lacks, or
        # another layout.
        doctored = os.path.join(self.at, "doctored")
        shutil.copytree(ABI, doctored)
        changes = {"libdatabridge.abi": ("16assign_processor", "16assign_processes"),
                   "types.txt": ("ConfigEntry: version at", "ConfigEntry: number at")}
        for name, (was, other) in changes.items():
            path = os.path.join(doctored, name)
            with open(path) as file:
                text = file.read()
            self.assertIn(was, text)
            with open(path, "w") as file:
                file.write(text.replace(was, other))
        said = run(ABI_CHECK, "--check", self.shared, self.include, doctored, code=1)
        for _, other in changes.values():
            self.assertIn(other, said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
