"""Finds code in src/ and sim/ that no program uses.

There are three checks:

- In the objects of the build: a function or variable that other files can see, and that no code of
  the programs calls or refers to. (The debug information tells which calls were inlined.)
- In the headers: a function that is declared and never defined.
- In the text: a name in a header that is nowhere else.

Each check is shown an offender first, to prove that it can fail.
"""
import collections
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("DATABRIDGE_BUILD", os.path.join(ROOT, "build", "release"))
PROGRAMS = re.compile(r"/(db_\w+|databridge|databridgectl|databridge-sim)\.dir/")

# Names without namespaces that stay although only tests use them, and the reason for each.
ALLOWED = {
    "Routes::table": "a test compares it with the OpenAPI document",
    "Condition::Condition": "it is made without a trace in the objects",
    "Host::queues": "a bench waits by it until all has arrived",
    "LeaseBoard::running": "tests count by it what still runs",
    "Raft::is_older_copy": "tests say by it what the core finds out by itself",
    "Raft::peer_is_older_copy": "as above",
    "name(std::variant<AdmitMember": "tests say by it which command failed",
    "Framing::take": "tests and a fuzzer cut requests by it as the server does",
    "State::content_hash": "tests compare by it all that a state holds",
    "Pieces::operator==": "tests compare by it what a snapshot holds",
    "SegmentLog::files": "tests say by it which files are needed",
    # Replicated partitions, which nothing uses yet (docs/adr/0024 and 0025).
    "choose_copies": "the leader will choose by it which members keep copies",
    "next_change": "as above",
    "Contents::abandon": "a later step of replicated queues uses it",
    "Contents::abandon_unheld": "as above",
    "Contents::add": "as above",
    "Contents::cache": "as above",
    "Contents::cached": "as above",
    "Contents::change": "as above",
    "Contents::missing": "as above",
    "DeltaWriter::DeltaWriter": "as above",
    "DeltaWriter::consume": "as above",
    "DeltaWriter::delivered": "as above",
    "DeltaWriter::emit": "as above",
    "DeltaWriter::enqueue": "as above",
    "DeltaWriter::erase": "as above",
    "DeltaWriter::fence": "as above",
    "DeltaWriter::file": "as above",
    "DeltaWriter::finish": "as above",
    "DeltaWriter::state": "as above",
    "Partition::Partition": "as above",
    "Partition::apply": "as above",
    "Partition::base": "as above",
    "Partition::cut": "as above",
    "Partition::emitted": "as above",
    "Partition::fence": "as above",
    "Partition::floor": "as above",
    "Partition::from_base": "as above",
    "Partition::hash": "as above",
    "Partition::outgoing": "as above",
    "Partition::queued": "as above",
    "Partition::receipt": "as above",
    "Partition::undelivered": "as above",
    "Partition::waiting": "as above",
    "attributes_of": "as above",
    "decode_chunk": "as above",
    "decode_delta": "as above",
    "encode(ChunkView const&)": "as above",
    "read_files": "as above",
    "room(Depth const&": "as above",
    # It is not decided yet whether these go.
    "HealthChecker::answer_failed": "only tests",
    "HealthChecker::round_trip": "only tests",
    "name(GateKey)": "nobody",
}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Object:
    """One object file: the names that it defines for other files, and the names that its code
    uses."""

    def __init__(self, path):
        self.is_program = bool(PROGRAMS.search(path))
        self.defined = set()
        self.used = set()
        self.everything = set()  # All names that it defines, for other files or for itself only.
        local = set()
        for line in run("nm", path).splitlines():
            kind, name = line.split()[-2:]
            if kind != "U":
                self.everything.add(name)
            if kind in "TDBR":
                self.defined.add(name)
            elif kind in "td" and "." in name:
                local.add(name)
        # The compiler may make a copy of a function for certain arguments. Then the calls go to it.
        self.used.update(name.split(".")[0] for name in local if re.search(r"\.(constprop|isra)\.", name))
        in_debug = False
        for line in run("readelf", "--relocs", "--wide", path).splitlines():
            if line.startswith("Relocation section"):
                in_debug = ".debug" in line or ".eh_frame" in line
            elif not in_debug:
                words = line.split()
                if len(words) >= 5 and words[2].startswith("R_"):
                    self.used.add(words[4].split("@")[0])
        # A call within a section has no relocation: the assembler resolves it, "call 2720 <name>".
        self.used.update(re.findall(r"<(\w+)>$", run("objdump", "-d", "--no-show-raw-insn", path), re.M))
        name = ""
        for line in run("objdump", "--dwarf=info", path).splitlines():
            if "DW_TAG_" in line:
                name = ""
            elif "DW_AT_linkage_name" in line or (not name and "DW_AT_name" in line):
                name = line.rsplit(" ", 1)[-1]
            elif "DW_AT_inline " in line and "inlined)" in line and "not inlined" not in line:
                self.used.add(name)


def unused(objects, exported=()):
    """The names that programs define and do not use: {mangled name: whether a test uses it}. What
    the C++ library exports is used by programs of others."""
    program, others = set(map(same, exported)), set()
    for each in objects:
        (program if each.is_program else others).update(map(same, each.used))
    found = {}
    for each in objects:
        if each.is_program:
            found.update({name: name in others for name in map(same, each.defined) if name != "main"
                          and name not in program})
    return found


def same(name):
    """One name for the up to three names of a constructor or destructor."""
    return re.sub(r"([CD])[0123](E|I)", r"\g<1>1\2", name) if name.startswith("_ZN") else name


def demangled(names):
    names = list(names)
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.splitlines()))


def without_arguments(name):
    """a::B::c(int) [abi:cxx11] const -> a::B::c"""
    name = re.sub(r"\[abi:\w+\]", "", name).replace("(anonymous namespace)", "")
    return name.split("(")[0].split(" ")[-1].split("<")[0]


def code_of(text):
    """The text without comments and without text in quotes."""
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', " ", text, flags=re.S)


# Words that may be before a bracket and are no names of functions.
NOT_NAMES = {"if", "for", "while", "switch", "return", "sizeof", "decltype", "alignas", "noexcept", "static_assert",
             "void", "bool", "int"}
ANNOTATION = re.compile(r"\b(THREAD_ANNOTATION|GUARDED_BY|REQUIRES|EXCLUDES)\((?:[^()]|\([^()]*\))*\)")


def header_code(text):
    """The text without comments, quoted text, directives and annotations."""
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", " ", code_of(text), flags=re.M)
    return ANNOTATION.sub(" ", code)


def scope_of(head):
    """Tells what a brace opens: a class (its name), a namespace (""), or a block without
    declarations (None)."""
    if re.search(r"\bnamespace\b", head):
        return ""
    if re.search(r"\b(enum|template)\b", head):
        return None
    match = re.search(r"\b(?:class|struct|union)\s+(\w+)(?:\s+final)?\s*(?::[^:].*)?$", head.strip(), re.S)
    return match.group(1) if match else None


def declared(header):
    """The functions that a header declares without a body: "Class::name", or "::name" outside a
    class."""
    found = set()
    scopes, statement = [], ""
    for part in re.findall(r"[{};]|[^{};]+", header_code(header)):
        if part == "{":
            scopes.append(scope_of(statement))
        elif part == "}":
            scopes = scopes[:-1]
        elif part == ";":
            text = re.sub(r"\b(public|private|protected)\s*:", " ", statement).strip()
            match = re.match(r"(?:\[\[\w+\]\]\s*)?[\w:<>,&*\s~]*?(~?\w+)\s*\((?!\*)", text)
            head = text.split("(")[0]
            if (match and None not in scopes and match.group(1) not in NOT_NAMES and "=" not in head
                    and head.count("<") == head.count(">") and not re.search(
                        r"=\s*(0|default|delete)$|\b(friend|using|typedef|template|operator|extern)\b", text)):
                found.add("::".join([scope for scope in scopes if scope][-1:] or [""]) + "::" + match.group(1))
        statement = statement + part if part not in "{};" else ""
    return found


def never_defined(headers, names):
    """Tells the declared functions that are defined nowhere. `names` are all names that the objects
    define, demangled and without arguments."""
    tails = {"::".join(("::" + name).rsplit("::", 2)[1:]) for name in names}
    free = {"::" + name.rsplit("::", 1)[-1] for name in names}
    for text in headers.values():  # An inline function after its class may be in no object.
        tails.update(re.findall(r"\b(\w+::~?\w+)\(", header_code(text)))
    for path, text in headers.items():
        for one in sorted(declared(text)):
            if one not in (free if one.startswith("::") else tails):
                yield f"{path}: {one.lstrip(':')} is declared and defined nowhere"


def once_only(headers, texts):
    """Tells the functions and constants of headers whose name is only once in all texts."""
    counts = collections.Counter()
    for text in texts.values():
        counts.update(re.findall(r"\w+", code_of(text)))
    for path, text in headers.items():
        for function, constant in set(re.findall(r"(?<![:.>\w])(\w+)\s*\(|\b(k[A-Z]\w*)\b", header_code(text))):
            if counts[function or constant] == 1 and function not in NOT_NAMES:
                yield f"{path}: {function or constant} stands nowhere else"


def texts_of(*tops, ends):
    found = {}
    for top in tops:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith(ends):
                    path = os.path.join(folder, name)
                    with open(path) as file:
                        found[os.path.relpath(path, ROOT)] = file.read()
    return found


class EachLook(unittest.TestCase):
    """Each check finds its offender, and nothing else."""

    def objects_of(self, sources):
        directory = tempfile.mkdtemp(prefix="databridge-test-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        for name, text in sources.items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".cc", "w") as file:
                file.write(text)
            run("c++", "-std=c++20", "-O2", "-g1", "-c", path + ".cc", "-o", path)
            yield Object(path)

    def test_functions(self):
        found = unused(list(self.objects_of({
            "db_room.dir/a.o": """
                struct Room { Room(); ~Room(); virtual void by_table(); void by_neighbour(); void for_tests(); };
                Room::Room() {}
                Room::~Room() {}
                void Room::by_table() {}
                void Room::by_neighbour() {}
                void Room::for_tests() {}
                int inlined(int a) { return a + 1; }
                __attribute__((noinline)) int called(int a) { return a + 2; }
                int by_main(int a) { return inlined(a) * called(a); }
                int dead(int a) { return a * 3; }
                int dead_value = 1;""",
            "databridge.dir/main.o": """
                struct Room { Room(); ~Room(); virtual void by_table(); void by_neighbour(); void for_tests(); };
                int by_main(int);
                int main(int argc, char**) { Room room; room.by_neighbour(); return by_main(argc); }""",
            "room_test.dir/test.o": """
                struct Room { Room(); ~Room(); virtual void by_table(); void by_neighbour(); void for_tests(); };
                void test(Room& room) { room.for_tests(); }"""})))
        names = demangled(found)
        self.assertEqual({names[name]: by_tests for name, by_tests in found.items()},
                         {"dead(int)": False, "dead_value": False, "Room::for_tests()": True})

    def test_declarations(self):
        header = """
            #define MACRO(x) other(x)
            namespace a { class Later; void free_one(int);
            enum class Kind { one };
            class Room : public Base { public: explicit Room(int a); int inside() const { return call(1); }
              [[nodiscard]] Result<void> kept(const std::map<int, int>& x) const REQUIRES(mutex_);
              virtual void pure() = 0; Room(Room&&) = default; bool operator==(const Room&) const; void lost();
              std::function<void(int)> told_; int (*pointer)(int); Mutex mutex_; int value_ = f(3); }; }
            template <typename T> class List { void push(T); };"""
        defined = {"a::free_one", "a::free_two", "a::Room::Room", "b::Room::kept"}
        self.assertEqual(list(never_defined({"src/a.h": header}, defined)),
                         ["src/a.h: Room::lost is declared and defined nowhere"])
        self.assertEqual(declared(header), {"::free_one", "Room::Room", "Room::kept", "Room::lost"})

    def test_names(self):
        texts = {"src/a.h": "constexpr int kUsed = 1, kUnused = 2; int used(); int lonely() { return std::max(1, kUsed); }",
                 "src/a.cc": "int x = used();  // lonely, kUnused"}
        self.assertEqual(sorted(once_only({"src/a.h": texts["src/a.h"]}, texts)),
                         ["src/a.h: kUnused stands nowhere else", "src/a.h: lonely stands nowhere else"])


class DeadCode(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        paths = glob.glob(os.path.join(BUILD, "CMakeFiles", "**", "*.o"), recursive=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            cls.objects = list(pool.map(Object, (path for path in paths if "/generated/" not in path)))
        assert sum(each.is_program for each in cls.objects) > 50, f"{BUILD} is not built"
        cls.sources = texts_of("src", "sim", "tests", "bench", "fuzz", ends=(".cc", ".h"))
        cls.headers = {path: text for path, text in cls.sources.items()
                       if path.startswith(("src/", "sim/")) and path.endswith(".h")}

    def test_every_function_of_the_programs_is_used_by_them(self):
        library = os.path.join(BUILD, "libdatabridge.so")
        exported = {line.split()[-1] for line in run("nm", "--dynamic", "--defined-only", library).splitlines()}
        found = unused(self.objects, exported)
        names = demangled(found)
        problems, met = [], set()
        for mangled, by_tests in found.items():
            name = re.sub(r"\bdatabridge::(?:[a-z_]+::)*|\[abi:\w+\]", "", names[mangled])
            allowed = {known for known in ALLOWED if name == known or name.startswith((known + "(", known + ","))}
            met |= allowed
            if not allowed:
                problems.append(f"{name}: " + ("only tests use it" if by_tests else "nobody uses it"))
        problems += [f"{name}: used, or gone: it need not be allowed" for name in ALLOWED.keys() - met]
        self.assertEqual(sorted(problems), [])

    def test_every_function_that_is_declared_is_defined(self):
        names = demangled({name for each in self.objects for name in each.everything})
        self.assertEqual(list(never_defined(self.headers, {without_arguments(n) for n in names.values()})), [])

    def test_no_name_of_a_header_stands_there_alone(self):
        self.assertEqual(sorted(once_only(self.headers, self.sources)), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
