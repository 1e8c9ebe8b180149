// Plays testdata/state_*.txt. With DATABRIDGE_REWRITE set it writes the answers as they are, for
// review by a person.
#include "cluster/state_script.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace databridge::cluster {
namespace {

void play(const std::string& name) {
  const std::string path = "src/cluster/testdata/state_" + name + ".txt";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  StateScript script;
  std::string line, command, expected, rewritten;
  bool in_answer = false;
  int played = 0;
  const auto finish = [&] {
    if (in_answer) {
      const std::string answer = script.answer(command);
      EXPECT_EQ(answer, expected) << path << ": " << command;
      rewritten += answer + "\n";
      ++played;
    }
    in_answer = false;
    expected.clear();
  };
  while (std::getline(file, line)) {
    if (line.empty()) {
      if (!in_answer) rewritten += "\n";
      finish();
      continue;
    }
    if (!in_answer) rewritten += line + "\n";
    if (line == "----") {
      in_answer = true;
    } else if (in_answer) {
      expected += line + "\n";
    } else if (line[0] != '#') {
      command = line;
    }
  }
  finish();
  EXPECT_GT(played, 10) << path;
  if (std::getenv("DATABRIDGE_REWRITE") != nullptr) {
    rewritten.pop_back();
    std::ofstream(path) << rewritten;
  }
}

TEST(StateScript, Moves) { play("moves"); }
TEST(StateScript, Constraints) { play("constraints"); }
TEST(StateScript, Members) { play("members"); }
TEST(StateScript, Deletion) { play("deletion"); }
TEST(StateScript, Config) { play("config"); }

}  // namespace
}  // namespace databridge::cluster
