#!/usr/bin/env python3
"""The binary interface of the C++ library, as abi/ has it: the symbols that it exports
(libdatabridge.abi, for abidiff), and the layout of the types in its headers (types.txt).

abi.py LIBRARY INCLUDE            writes both files anew, from an installed library and its headers.
abi.py --check LIBRARY INCLUDE [ABI]  fails, and says what differs, if the library differs from the
                                  files in ABI (default: abi/).

If a change takes something away, or changes a layout, raise the version, too.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as XML

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A variable of each of these types makes the compiler describe it, and what it consists of.
TYPES = """ClusterManager ClusterConfig Callbacks ProcessorStart ConfigEntry ClusterEvent Subscription NodeStatistics
    ClusterStatistics LoadDistribution HealthStatistics DiscoveredNode DiscoveryStatistics RebalanceSummary FlowFile
    Session World Processor Property ProcessorTraits LoadBalancer HealthChecker NodeDiscovery Error Code EventId Uuid
    Strategy Discovery LogLevel PropertyKind StateScope""".split()


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def describe(library, out):
    run("abidw", "--no-show-locs", "--no-elf-needed", "--no-corpus-path", "--no-comp-dir-path",
        "--drop-undefined-syms", "--type-id-style", "hash", "--out-file", out, library)


def layout(include, folder):
    """A text with a line for each type, member, virtual function and enumerator of our own."""
    probe = os.path.join(folder, "probe.cc")
    with open(probe, "w") as file:
        pointers = ", ".join(f"{name}*" for name in TYPES)
        file.write(f"#include <databridge/cluster.h>\nnamespace databridge {{ void probe({pointers}) {{}} }}\n")
    made, described = os.path.join(folder, "probe.so"), os.path.join(folder, "probe.abi")
    run("g++", "-std=c++20", "-g", "-shared", "-fPIC", "-I", include, probe, "-o", made)
    describe(made, described)
    lines = set()
    for space in XML.parse(described).iter("namespace-decl"):
        if space.get("name") == "databridge":
            for item in space:
                visit(item, "", lines)
    return "".join(f"{line}\n" for line in sorted(lines))


def visit(item, scope, lines):
    name = scope + (item.get("name") or "")
    if item.tag not in ("class-decl", "enum-decl") or item.get("is-declaration-only") or "<" in name:
        return
    if item.tag == "enum-decl":
        lines.update(f"{name}: {one.get('name')} = {one.get('value')}" for one in item.iter("enumerator"))
        return
    lines.add(f"{name}: {item.get('size-in-bits')} bits")
    for member in item:
        for inside in member:
            if member.tag == "data-member" and member.get("layout-offset-in-bits"):
                lines.add(f"{name}: {inside.get('name')} at {member.get('layout-offset-in-bits')}")
            elif member.tag == "member-function" and member.get("vtable-offset"):
                lines.add(f"{name}: {inside.get('mangled-name')} is virtual function {member.get('vtable-offset')}")
            elif member.tag == "member-type":
                visit(inside, name + "::", lines)


def main(arguments):
    check = arguments[0] == "--check"
    library, include = arguments[check:check + 2]
    abi = arguments[3] if len(arguments) > 3 else os.path.join(ROOT, "abi")
    symbols, types = os.path.join(abi, "libdatabridge.abi"), os.path.join(abi, "types.txt")
    with tempfile.TemporaryDirectory() as folder:
        if not check:
            os.makedirs(abi, exist_ok=True)
            describe(library, symbols)
            with open(types, "w") as file:
                file.write(layout(include, folder))
            return 0
        now = os.path.join(folder, "now.abi")
        describe(library, now)
        compared = subprocess.run(["abidiff", symbols, now], capture_output=True, text=True)
        with open(types) as file:
            before = file.read()
        differs = list(difflib.unified_diff(before.splitlines(), layout(include, folder).splitlines(),
                                            "committed", "now", n=0, lineterm=""))
    if compared.returncode == 0 and not differs:
        return 0
    print(re.sub(r"\n\n+", "\n", compared.stdout), compared.stderr, *differs, sep="\n")
    print("abi: the interface of the library has changed; if this is meant, run\n"
          "  tools/abi.py build/release/libdatabridge.so include")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
