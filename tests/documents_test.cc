// Checks the documents: their examples are valid flows, settings in them are accepted, and flags
// that they name exist.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/invocation.h"
#include "flow/flow_yaml.h"

namespace databridge {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The text between ```language and ```.
std::vector<std::string> fenced(const std::string& document, const std::string& language) {
  std::vector<std::string> blocks;
  std::istringstream lines(document);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (!inside && line == "```" + language) {
      inside = true;
      blocks.emplace_back();
    } else if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

std::vector<std::filesystem::path> documents() {
  std::vector<std::filesystem::path> paths = {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md",
                                              "CHANGELOG.md"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator("docs")) {
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  }
  return paths;
}

TEST(Documents, ExamplesAreValidFlows) {
  size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator("examples")) {
    if (entry.path().extension() != ".yaml") continue;
    ++seen;
    auto text = std::regex_replace(read(entry.path()), std::regex("@DEMO@"), "/demo");
    const auto flow = flow::read_flow(text);
    EXPECT_TRUE(flow) << entry.path() << ": " << flow.error().message;
  }
  EXPECT_GT(seen, 0u);
}

TEST(Documents, SettingsInThemAreAccepted) {
  size_t seen = 0;
  for (const auto& path : documents()) {
    for (const auto& block : fenced(read(path), "yaml")) {
      if (block.rfind("cluster:", 0) != 0) continue;
      ++seen;
      const auto invocation = daemon::read_invocation(
          {"--config=f"}, {}, [&](const std::string&) -> Result<std::string> { return block; });
      EXPECT_TRUE(invocation) << path << ": " << invocation.error().message;
    }
  }
  EXPECT_GT(seen, 0u);
}

TEST(Documents, FlagsInThemExist) {
  const auto help = daemon::help_text();
  const std::regex flag(
      R"(--(cluster|api|node|data|log|insecure|check|exec|file|guardian|allow)[a-z-]*)");
  for (const auto& path : documents()) {
    const auto text = read(path);
    for (auto at = std::sregex_iterator(text.begin(), text.end(), flag);
         at != std::sregex_iterator(); ++at) {
      const auto name = at->str();
      // These are flags of databridgectl.
      if (name == "--api" || name == "--file" || name == "--insecure") continue;
      const bool there = help.find("  " + name + "=") != std::string::npos ||
                         help.find("  " + name + "\n") != std::string::npos;
      EXPECT_TRUE(there) << path << ": " << name;
    }
  }
}

TEST(Documents, LinksLeadSomewhere) {
  const std::regex link(R"(\]\(([A-Za-z0-9_./-]+)(#[^)]*)?\))");
  for (const auto& path : documents()) {
    const auto text = read(path);
    for (auto at = std::sregex_iterator(text.begin(), text.end(), link);
         at != std::sregex_iterator(); ++at) {
      EXPECT_TRUE(std::filesystem::exists(path.parent_path() / (*at)[1].str()))
          << path << ": " << (*at)[1];
    }
  }
}

// Code, tests and documents cite the safety rules by number. Each cited number must exist.
TEST(Documents, CitedSafetyRulesExist) {
  const std::string rules = read("docs/safety.md");
  const std::regex citation(R"(safety\.md,? (\d+)(\.(\d+))?)");
  size_t seen = 0;
  for (const char* root : {"src", "sim", "tests", "fuzz", "bench", "docs", "tools"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file() || entry.path() == "docs/safety.md") continue;
      const std::string text = read(entry.path());
      for (auto at = std::sregex_iterator(text.begin(), text.end(), citation);
           at != std::sregex_iterator(); ++at) {
        ++seen;
        // Sections 2, 3, 6, 7 and 10 have no numbered rules.
        const std::string section = "\n## " + (*at)[1].str() + ". ";
        EXPECT_NE(rules.find(section), std::string::npos) << entry.path() << ": " << at->str();
        if (!(*at)[3].matched) continue;
        const std::string rule = "**" + (*at)[1].str() + "." + (*at)[3].str();
        const bool there = rules.find(rule + " ") != std::string::npos ||
                           rules.find(rule + "**") != std::string::npos;
        EXPECT_TRUE(there) << entry.path() << ": " << at->str();
      }
    }
  }
  EXPECT_GT(seen, 50u);
}

// A fixed time that code compares with must follow from T or E (cluster/timing.h). Otherwise the
// page for operators must have its name and the reason.
TEST(Documents, EachFixedTimeHasItsReason) {
  const std::string page = read("docs/operating.md");
  const std::regex constant(R"(constexpr (Duration|int64_t|std::chrono::\w+) (k\w+))");
  const std::regex option(R"(Duration (\w+) = (std::chrono::\w+\()?[0-9']+(ms|s|min|h|\)))");
  size_t seen = 0;
  std::string sources;
  const auto look_for = [&](const std::string& name, const std::filesystem::path& path) {
    ++seen;
    EXPECT_NE(page.find("`" + name + "`"), std::string::npos)
        << path << ": " << name
        << " is a fixed time: derive it from T or E, or say in the table of "
        << "fixed times in docs/operating.md why it does not follow them";
  };
  for (const char* room : {"src/state", "src/cluster", "src/raft", "src/node"}) {
    for (const auto& entry : std::filesystem::directory_iterator(room)) {
      const std::string file = entry.path().filename();
      if (!entry.is_regular_file() || file.find("test") != std::string::npos) continue;
      const std::string text = read(entry.path());
      sources += text;
      for (auto at = std::sregex_iterator(text.begin(), text.end(), constant);
           at != std::sregex_iterator(); ++at) {
        const std::string name = (*at)[2];
        if ((*at)[1] == "int64_t" && !name.ends_with("Ms")) continue;
        look_for(name, entry.path());
      }
      for (auto at = std::sregex_iterator(text.begin(), text.end(), option);
           at != std::sregex_iterator(); ++at) {
        look_for((*at)[1], entry.path());
      }
    }
  }
  EXPECT_GT(seen, 15u);
  // Also the other way round: each name in the table must exist in the code.
  const std::regex named("`(k[A-Z][A-Za-z]+)`");
  for (auto at = std::sregex_iterator(page.begin(), page.end(), named);
       at != std::sregex_iterator(); ++at) {
    EXPECT_NE(sources.find((*at)[1].str()), std::string::npos) << (*at)[1] << " is no more";
  }
}

}  // namespace
}  // namespace databridge
