// The form of the sources, as tests: which room may name which, where the real world may be used,
// how long a file may be. Each rule is first shown a small offender, so that it can fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // From the root, with forward slashes: "src/raft/log.cc".
  std::vector<std::string> lines;
};

Source source(std::string path, const std::string& text) {
  Source made{std::move(path), {}};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) made.lines.push_back(line);
  return made;
}

bool starts(const std::string& text, const std::string& with) { return text.rfind(with, 0) == 0; }
bool ends(const std::string& text, const std::string& with) {
  return text.size() >= with.size() &&
         text.compare(text.size() - with.size(), with.size(), with) == 0;
}

bool is_cpp(const Source& file) { return ends(file.path, ".h") || ends(file.path, ".cc"); }
// A test, or a header that only tests include.
bool is_test(const Source& file) {
  static const std::regex support(
      R"(.*(_test\.cc|/testing\.h|/test_\w+\.h|/random_\w+\.h|_for_test\.h|_script\.h)$)");
  return std::regex_match(file.path, support);
}

// "src/raft/log.cc" → "raft", "sim/main.cc" → "sim"; "" for a file of no room.
std::string room_of(const std::string& path) {
  if (starts(path, "sim/")) return "sim";
  if (!starts(path, "src/")) return "";
  const auto slash = path.find('/', 4);
  return slash == std::string::npos ? "" : path.substr(4, slash - 4);
}

// The exceptions to "only platform uses the real world": two rooms open sockets of their own, and
// the simulator's program runs many worlds on several threads, which the worlds do not know.
bool is_named_exception(const std::string& path) {
  return starts(path, "src/api/http") || starts(path, "src/ctl/http") || path == "sim/main.cc";
}

std::string without_comment(const std::string& line) {
  const auto at = line.find("//");
  return at == std::string::npos ? line : line.substr(0, at);
}

using Floors = std::map<std::string, std::set<std::string>>;
using Findings = std::vector<std::string>;

std::string at(const Source& file, size_t line) {
  return file.path + ":" + std::to_string(line + 1) + ": " + file.lines[line];
}

// FLOORS has one line for each room: its name, a colon, and the rooms that it may name.
Floors parse_floors(const Source& file, Findings* findings) {
  Floors floors;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    std::istringstream words(file.lines[i]);
    std::string room, below;
    if (!std::getline(words, room, ':')) continue;
    std::set<std::string> allowed{room};
    while (words >> below) {
      // A room may only name rooms above it in the file, so a circle cannot be written down.
      if (!floors.count(below)) findings->push_back(at(file, i) + " names " + below + " too early");
      allowed.insert(below);
    }
    floors[room] = allowed;
  }
  return floors;
}

void arrows_go_down(const Source& file, const Floors& floors, Findings* findings) {
  const auto room = room_of(file.path);
  if (room.empty() || !is_cpp(file)) return;
  if (!floors.count(room)) {
    findings->push_back(file.path + ": its room is not in FLOORS");
    return;
  }
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const auto& line = file.lines[i];
    if (!starts(line, "#include \"")) continue;
    const auto slash = line.find('/');
    const auto named = slash == std::string::npos ? "" : line.substr(10, slash - 10);
    if (!floors.at(room).count(named)) findings->push_back(at(file, i));
  }
}

// A rule of the kind "this text may be in these files only".
struct Confined {
  const char* what;
  std::regex text;
  bool (*may)(const Source&);
};

const std::vector<Confined>& confined() {
  static const std::vector<Confined> rules = {
      {"system headers",
       std::regex(
           R"(#\s*include\s*<((sys|net|netinet|arpa|linux|asm)/.*|unistd\.h|fcntl\.h|poll\.h|)"
           R"(dirent\.h|signal\.h|csignal|pthread\.h|sched\.h|spawn\.h|netdb\.h|time\.h|ctime|)"
           R"(filesystem|fstream|boost/asio.*|rocksdb/.*|curl/.*)>)"),
       [](const Source& file) {
         return room_of(file.path) == "platform" || is_named_exception(file.path) ||
                room_of(file.path).empty() || is_test(file);  // Scripts in testdata/.
       }},
      {"clocks and sleeping",
       std::regex(R"(steady_clock|system_clock|high_resolution_clock|::now\(\)|clock_gettime|)"
                  R"(gettimeofday|sleep_for|sleep_until|\busleep\(|\bstd::time\()"),
       [](const Source& file) {
         return room_of(file.path) == "platform" || is_named_exception(file.path) ||
                starts(file.path, "bench/") || starts(file.path, "examples/");
       }},
      {"threads", std::regex(R"(std::(jthread|thread|async|this_thread)\b)"),
       [](const Source& file) {
         return room_of(file.path) == "platform" || is_named_exception(file.path) ||
                room_of(file.path).empty() || is_test(file);
       }},
      // clang checks those of base/mutex.h. The tests of the HTTP server have their own.
      {"mutexes that clang cannot check",
       std::regex(R"(std::((recursive_|shared_|timed_)*mutex|condition_variable(_any)?|lock_guard|)"
                  R"(unique_lock|scoped_lock|shared_lock|call_once)\b|)"
                  R"(#\s*include\s*<(mutex|shared_mutex|condition_variable)>)"),
       [](const Source& file) {
         return file.path == "src/base/mutex.h" ||
                (starts(file.path, "src/api/http") &&
                 file.path.find("_test") != std::string::npos) ||
                room_of(file.path).empty();
       }},
      {"mutexes", std::regex(R"(\b(Mutex|MutexLock|ConditionVariable) \w+(;|\())"),
       [](const Source& file) {
         // The library is thread-safe, and its calls wait.
         return room_of(file.path) == "platform" || room_of(file.path) == "lib" ||
                starts(file.path, "src/node/engine") || starts(file.path, "src/api/http") ||
                file.path == "src/base/mutex.h" || room_of(file.path).empty() || is_test(file);
       }},
      {"global randomness",
       std::regex(R"(std::(random_device|mt19937|rand\b|default_random_engine))"),
       [](const Source& file) { return room_of(file.path) == "platform"; }},
      {"generated protobuf headers",
       std::regex(R"(#\s*include\s*["<].*(\.pb\.h|google/protobuf/.*)[">])"),
       [](const Source& file) {
         const auto room = room_of(file.path);
         return (room == "model" || room == "state" || room == "cluster") &&
                (file.path.find("codec") != std::string::npos || is_test(file) ||
                 file.path == "src/cluster/request.cc");
       }},
      {"Boost.Beast", std::regex(R"(#\s*include\s*<boost/beast.*>)"),
       [](const Source& file) { return file.path == "src/api/http_request.cc"; }},
      {"RapidJSON", std::regex(R"(#\s*include\s*<rapidjson/.*>)"),
       [](const Source& file) { return file.path == "src/api/body.cc"; }},
      // Replicas must agree, so the brain must iterate in a fixed order.
      {"unordered containers", std::regex(R"(std::unordered_)"),
       [](const Source& file) {
         const auto room = room_of(file.path);
         return room != "raft" && room != "state" && room != "placement" && room != "cluster" &&
                room != "model";
       }},
  };
  return rules;
}

void stays_in_its_place(const Source& file, Findings* findings) {
  if (!is_cpp(file) || file.path == "tests/tidy_test.cc") return;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const auto code = without_comment(file.lines[i]);
    if (code.empty()) continue;
    for (const auto& rule : confined()) {
      if (rule.may(file) || !std::regex_search(code, rule.text)) continue;
      findings->push_back(at(file, i) + "  [" + rule.what + "]");
    }
  }
}

constexpr size_t kHeaderLinesMax = 180;
constexpr size_t kSourceLinesMax = 700;
constexpr size_t kMainLinesMax = 100;

// A ratchet: exceptions for the headers that list every noun of their kind, the engine and one
// world. The numbers may only be made smaller.
const std::map<std::string, size_t>& longer_than_allowed() {
  static const std::map<std::string, size_t> known = {{"src/model/command.h", 215},
                                                      {"src/model/message.h", 190},
                                                      {"src/node/engine.h", 195},
                                                      {"src/node/host_test_cluster.h", 340},
                                                      {"sim/raft_world.h", 190}};
  return known;
}

void is_not_too_long(const Source& file, Findings* findings) {
  if (!is_cpp(file)) return;
  const bool is_main = starts(file.path, "src/") && ends(file.path, "/main.cc");
  const bool is_header = ends(file.path, ".h") && !is_test(file);
  auto most = is_main ? kMainLinesMax : is_header ? kHeaderLinesMax : kSourceLinesMax;
  const auto known = longer_than_allowed().find(file.path);
  if (known != longer_than_allowed().end()) most = known->second;
  if (file.lines.size() > most) {
    findings->push_back(file.path + ": " + std::to_string(file.lines.size()) + " lines, at most " +
                        std::to_string(most));
  }
}

void header_opens_well(const Source& file, Findings* findings) {
  if (!ends(file.path, ".h")) return;
  if (file.lines.empty() || !starts(file.lines[0], "// ")) {
    findings->push_back(file.path + ": opens without saying what it is");
  }
  if (std::find(file.lines.begin(), file.lines.end(), "#pragma once") == file.lines.end()) {
    findings->push_back(file.path + ": no #pragma once");
  }
}

// Checked for every text in the tree, documents too.
void text_is_clean(const Source& file, Findings* findings) {
  if (file.path == "tests/tidy_test.cc") return;
  static const std::regex unfinished(R"(\b(TODO|FIXME|XXX|HACK)\b)");
  static const std::regex machine_path(R"((^|[^A-Za-z0-9_.*}-])/(work|home|Users)/)");
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const auto& line = file.lines[i];
    if (std::regex_search(line, unfinished)) findings->push_back(at(file, i) + "  [unfinished]");
    if (std::regex_search(line, machine_path)) {
      findings->push_back(at(file, i) + "  [path of one machine]");
    }
    if (!line.empty() && (line.back() == ' ' || line.back() == '\r')) {
      findings->push_back(at(file, i) + "  [space at the end]");
    }
  }
}

// A script that sleeps waits too long or not long enough. Only the harness may sleep, between two
// checks.
void polls_with_a_deadline(const Source& file, Findings* findings) {
  if (!ends(file.path, ".py") || file.path == "tests/harness.py") return;
  if (file.path.rfind("tests/chaos/", 0) == 0) return;  // There, faults last for a drawn time.
  static const std::regex sleeps(R"(\btime\.sleep\(|\bfrom time import sleep)");
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (std::regex_search(file.lines[i], sleeps)) findings->push_back(at(file, i) + "  [sleeps]");
  }
}

Findings look_at(const Source& file, const Floors& floors) {
  Findings findings;
  arrows_go_down(file, floors, &findings);
  stays_in_its_place(file, &findings);
  is_not_too_long(file, &findings);
  header_opens_well(file, &findings);
  text_is_clean(file, &findings);
  polls_with_a_deadline(file, &findings);
  return findings;
}

Source read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return source(path.lexically_relative(".").generic_string(), text.str());
}

// All files that people wrote: no build trees, no data, no binaries.
std::vector<Source> tree() {
  static const std::set<std::string> texts = {".h",   ".cc",    ".proto", ".py",   ".sh", ".md",
                                              ".txt", ".cmake", ".yaml",  ".json", ".yml"};
  std::vector<Source> files;
  for (const auto* top : {"src", "sim", "tests", "bench", "fuzz", "tools", "docs", "cmake",
                          "examples", "include", "packaging", ".ci"}) {
    if (!fs::exists(top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
      if (entry.is_regular_file() && texts.count(entry.path().extension().string())) {
        files.push_back(read(entry.path()));
      }
    }
  }
  for (const auto& entry : fs::directory_iterator(".")) {
    if (entry.is_regular_file() && texts.count(entry.path().extension().string())) {
      files.push_back(read(entry.path()));
    }
  }
  return files;
}

Floors floors_of_the_house() {
  Findings findings;
  auto floors = parse_floors(read("FLOORS"), &findings);
  for (const auto& finding : findings) ADD_FAILURE() << finding;
  return floors;
}

TEST(Tidy, TheHouseKeepsItsRules) {
  const auto floors = floors_of_the_house();
  const auto files = tree();
  ASSERT_GT(files.size(), 40u) << "run from the root of the repository";
  for (const auto& file : files) {
    for (const auto& finding : look_at(file, floors)) ADD_FAILURE() << finding;
  }
}

TEST(Tidy, FloorsAndCMakeAgree) {
  // CMake links what it lists. A room that links more than FLOORS allows would one day include it,
  // too.
  const auto floors = floors_of_the_house();
  const std::regex room_line(R"(^room\((\w+)[^)]*? ON ([a-z ]+?)( LINK .*| PROTO)?\)$)");
  size_t seen = 0;
  for (const auto& line : read("CMakeLists.txt").lines) {
    std::smatch match;
    if (!std::regex_match(line, match, room_line)) continue;
    ++seen;
    std::istringstream words(match[2].str());
    for (std::string below; words >> below;) {
      EXPECT_TRUE(floors.count(match[1]) && floors.at(match[1]).count(below)) << line;
    }
  }
  EXPECT_GT(seen, 8u);
}

TEST(Tidy, FloorsCannotNameACircle) {
  Findings findings;
  parse_floors(source("FLOORS", "base: cluster\ncluster: base\n"), &findings);
  EXPECT_EQ(findings.size(), 1u);
}

struct Offender {
  const char* path;
  const char* text;
};

class EachRule : public testing::TestWithParam<Offender> {};

TEST_P(EachRule, FindsItsOffender) {
  const Floors floors = {{"base", {"base"}},
                         {"raft", {"base", "raft"}},
                         {"node", {"base", "raft", "node"}},
                         {"api", {"api", "base"}},
                         {"platform", {"base", "platform"}}};
  EXPECT_EQ(look_at(source(GetParam().path, GetParam().text), floors).size(), 1u);
}

const auto kLongHeader = "// Long.\n#pragma once\n" + std::string(200, '\n');
const auto kLongSource = std::string(701, '\n');

INSTANTIATE_TEST_SUITE_P(
    Tidy, EachRule,
    testing::Values(Offender{"src/raft/log.cc", "#include \"node/engine.h\"\n"},
                    Offender{"src/raft/log.cc", "#include \"log.h\"\n"},
                    Offender{"src/attic/log.cc", "int x;\n"},
                    Offender{"src/raft/log.cc", "#include <unistd.h>\n"},
                    Offender{"src/node/host.cc", "#include <sys/socket.h>\n"},
                    Offender{"src/node/host.cc", "#include <filesystem>\n"},
                    Offender{"src/node/host.cc", "#include <boost/asio/post.hpp>\n"},
                    Offender{"src/node/host.cc", "auto t = std::chrono::steady_clock::now();\n"},
                    Offender{"src/raft/log_test.cc", "std::this_thread::sleep_for(1s);\n"},
                    Offender{"src/node/host.cc", "std::thread worker;\n"},
                    Offender{"src/platform/store.cc", "std::mutex lock_;\n"},
                    Offender{"src/platform/store.cc", "#include <condition_variable>\n"},
                    Offender{"src/node/engine_test.cc", "const std::lock_guard lock(lock_);\n"},
                    Offender{"src/node/host.cc", "Mutex lock_;\n"},
                    Offender{"src/raft/log.cc", "std::mt19937 dice;\n"},
                    Offender{"src/raft/log.cc", "std::unordered_map<int, int> peers;\n"},
                    Offender{"src/node/host.cc", "#include \"base/x.pb.h\"\n"},
                    Offender{"src/api/routes.cc", "#include <boost/beast/http.hpp>\n"},
                    Offender{"src/api/routes.cc", "#include <rapidjson/reader.h>\n"},
                    Offender{"src/raft/log.h", kLongHeader.c_str()},
                    Offender{"src/raft/log.cc", kLongSource.c_str()},
                    Offender{"src/raft/log.h", "#pragma once\n"},
                    Offender{"src/raft/log.h", "// The log.\n"},
                    Offender{"src/raft/log.cc", "int x;  // TODO finish\n"},
                    Offender{"docs/x.md", "see /home/somebody/file\n"},
                    Offender{"docs/x.md", "a space at the end \n"},
                    Offender{"tests/x_test.py", "time.sleep(3)\n"}));

TEST(Tidy, PlatformMayTouchTheWorld) {
  const Floors floors = {{"platform", {"platform"}}};
  const auto file = source("src/platform/clock.cc",
                           "#include <time.h>\nauto t = std::chrono::steady_clock::now();\n"
                           "Mutex lock;\nstd::thread worker;\n");
  EXPECT_TRUE(look_at(file, floors).empty());
}

}  // namespace
