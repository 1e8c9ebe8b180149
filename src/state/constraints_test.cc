#include "state/constraints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "state/state.h"

namespace databridge {
namespace {

using ::testing::HasSubstr;

ProcessorSpec with_files(std::vector<std::string> files) {
  ProcessorSpec spec;
  spec.name = "it";
  spec.files = std::move(files);
  return spec;
}

TEST(FileRoots, APathLiesBelowARootOrItIsRefused) {
  const auto allowed = [](std::vector<std::string> files, std::vector<std::string> roots) {
    return !why_not_files(with_files(std::move(files)), roots);
  };
  EXPECT_TRUE(allowed({}, {}));
  EXPECT_FALSE(allowed({"/srv/in"}, {}));
  EXPECT_TRUE(allowed({"/srv/in"}, {"/srv"}));
  EXPECT_TRUE(allowed({"/srv"}, {"/srv"}));
  EXPECT_TRUE(allowed({"/srv"}, {"/"}));
  EXPECT_FALSE(allowed({"/srv-not/in"}, {"/srv"}));
  EXPECT_FALSE(allowed({"/"}, {}));
  EXPECT_FALSE(allowed({"/srv/in", "/etc/passwd"}, {"/srv"}));
  EXPECT_TRUE(allowed({"/srv/in", "/etc/passwd"}, {"/srv", "/etc"}));
  // The path with its attributes filled in may be in a root. That is checked when the path is used.
  EXPECT_TRUE(allowed({"/srv/"}, {"/srv/a"}));
  EXPECT_TRUE(allowed({"/"}, {"/srv/a"}));
  EXPECT_FALSE(allowed({"/etc/"}, {"/srv/a"}));
  EXPECT_FALSE(allowed({"/srv/a"}, {"/srv/a/b"}));
}

class FileRootsOfMembers : public testing::Test {
 protected:
  void admit(uint64_t id, Labels labels, std::vector<std::string> roots) {
    Command command;
    AdmitMember admit;
    admit.info.incarnation = Incarnation{id};
    admit.info.node = NodeId("node-" + std::to_string(id));
    admit.info.labels = std::move(labels);
    admit.info.capacity.processors_max = 10;
    admit.info.file_roots = std::move(roots);
    command.body = std::move(admit);
    ASSERT_FALSE(state_.apply(++index_, command).applied.rejected);
  }
  std::string why(const ProcessorSpec& spec) { return why_no_files(state_, spec).value_or(""); }

  State state_;
  LogIndex index_ = 0;
};

TEST_F(FileRootsOfMembers, WhatNobodyMayTouchIsRefusedWithTheRemedy) {
  admit(1, {}, {});
  EXPECT_EQ(why(with_files({})), "");
  EXPECT_THAT(why(with_files({"/srv/in"})), HasSubstr("/srv/in: start one with --file-root"));
  admit(2, {{"side", "back"}}, {"/srv"});
  EXPECT_EQ(why(with_files({"/srv/in"})), "");
  EXPECT_THAT(why(with_files({"/var/in"})), HasSubstr("--file-root"));

  ProcessorSpec front = with_files({"/srv/in"});
  front.constraints.require = {{"node", "node-1"}};
  EXPECT_THAT(why(front), HasSubstr("no node with the required labels may touch /srv/in"));
  front.constraints.require = {{"side", "back"}};
  EXPECT_EQ(why(front), "");
  // No member has these labels yet: the placement tells that.
  front.constraints.require = {{"side", "front"}};
  EXPECT_EQ(why(front), "");

  ProcessorSpec spec = with_files({"/srv/in"});
  spec.id = {0, 1};
  EXPECT_THAT(why_not(state_, spec, *state_.member(NodeId("node-1"))).value_or(""),
              testing::StartsWith("files: "));
  EXPECT_EQ(why_not(state_, spec, *state_.member(NodeId("node-2"))), std::nullopt);
}

}  // namespace
}  // namespace databridge
