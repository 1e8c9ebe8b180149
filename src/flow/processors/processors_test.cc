#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "flow/record.h"
#include "flow/testing.h"

namespace databridge::flow {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FlowFile file(std::string content, std::map<std::string, std::string> attributes = {}) {
  static uint64_t next = 1;
  return {Uuid{1, next++}, std::move(attributes), std::move(content)};
}

// ---- GenerateFlowFile

TEST(GenerateFlowFile, CountsOnFromItsState) {
  Bench bench("GenerateFlowFile", {{"content", "n${index}"}, {"batch", "2"}, {"count", "3"}});
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("n0", "n1"));
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("n2"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
}

TEST(GenerateFlowFile, AnUncommittedTriggerNeverWas) {
  Bench bench("GenerateFlowFile", {{"content", "n${index}"}});
  bench.trigger({}, false);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("n0"));
}

TEST(GenerateFlowFile, FillsUpToItsSizeAndWaitsItsInterval) {
  Bench bench("GenerateFlowFile", {{"size", "1KiB"}, {"interval", "5s"}});
  const auto delta = bench.trigger();
  EXPECT_EQ(Bench::contents(delta)[0].size(), 1024u);
  EXPECT_EQ(delta->wait, Duration(5s));
}

TEST(GenerateFlowFile, MakesNoMoreThanThereIsRoom) {
  Bench bench("GenerateFlowFile", {{"batch", "100"}});
  bench.room = 3;
  EXPECT_EQ(Bench::contents(bench.trigger()).size(), 3u);
}

// ---- GetFile

TEST(GetFile, AFileThatCannotBeReadHoldsUpNoOther) {
  Bench bench("GetFile", {{"directory", "/in"}});
  for (const char* name : {"/in/a", "/in/b", "/in/c"}) EXPECT_TRUE(bench.files.write(name, name));
  bench.files.locked = "/in/b";
  bench.clock.advance(2s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("/in/a", "/in/c"));
  EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("locked")));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_THAT(bench.notes, IsEmpty());
  EXPECT_THAT(bench.trouble, HasSubstr("locked"));
  bench.files.locked.clear();
  bench.clock.advance(1s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("/in/b"));
  EXPECT_EQ(bench.trouble, "");
}

TEST(GetFile, OneLookAtTheDirectoryFeedsManyTriggers) {
  Bench bench("GetFile", {{"directory", "/in"}});
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(bench.files.write("/in/" + std::to_string(10000 + i), "x"));
  }
  bench.clock.advance(2s);
  size_t taken = 0;
  for (int i = 0; i < 101; ++i) taken += Bench::contents(bench.trigger()).size();
  EXPECT_EQ(taken, 1000u);
  EXPECT_EQ(bench.files.lists, 1);
  EXPECT_TRUE(bench.files.list("/in")->empty());
}

// Such a time says nothing about the age of the file, so only the time that it was seen counts.
TEST(GetFile, AFileWhoseTimeLiesAheadIsTakenOnceItRests) {
  Bench bench("GetFile", {{"directory", "/in"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  bench.files.modify("/in/a", bench.clock.unix_ms() + 86'400'000);
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.clock.advance(1s);
  EXPECT_TRUE(bench.files.append("/in/a", "B"));
  bench.files.modify("/in/a", bench.clock.unix_ms() + 86'400'000);
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.clock.advance(1s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("AB"));
}

TEST(GetFile, NamesThatAreNoTextAreTakenAndShown) {
  Bench bench("GetFile", {{"directory", "/in"}});
  EXPECT_TRUE(bench.files.write("/in/n\xe9-\xc3\xa9", "A"));
  bench.clock.advance(2s);
  EXPECT_TRUE(bench.files.write("/in/two\nlines", "B"));
  bench.clock.advance(2s);
  const auto delta = bench.trigger();
  EXPECT_THAT(Bench::contents(delta), ElementsAre("A", "B"));
  EXPECT_EQ(delta->outputs[0].file->attributes.at("filename"), "n%E9-\xc3\xa9");
}

TEST(Settings, WhatCanNeverWorkIsRefused) {
  const auto refused = [](const char* type, std::map<std::string, std::string> properties) {
    ProcessorSpec spec;
    spec.name = "it";
    spec.type = type;
    spec.properties = std::move(properties);
    const auto made = make_processor(spec);
    return made ? "" : made.error().message;
  };
  EXPECT_THAT(refused("TailFile", {{"path", "a.log"}}), HasSubstr("absolute"));
  EXPECT_THAT(refused("TailFile", {{"path", "/a"}, {"poll", "0s"}}), HasSubstr("10ms"));
  EXPECT_THAT(refused("GetFile", {{"directory", "in"}}), HasSubstr("absolute"));
  EXPECT_THAT(refused("GetFile", {{"directory", "/in"}, {"sizeMax", "61MiB"}}), HasSubstr("60MiB"));
  EXPECT_THAT(refused("PutFile", {{"directory", "out"}}), HasSubstr("absolute"));
  EXPECT_EQ(refused("PutFile", {{"directory", "${path}"}}), "");
  EXPECT_THAT(refused("GenerateFlowFile", {{"size", "61MiB"}}), HasSubstr("60MiB"));
  EXPECT_THAT(refused("ReplaceText", {{"pattern", "a"}, {"replacement", "b"}, {"sizeMax", "1GiB"}}),
              HasSubstr("60MiB"));
}

TEST(GetFile, RemovesTheSourceOnlyAfterItsCopyIsSafe) {
  Bench bench("GetFile", {{"directory", "/in"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());  // Too young: it may be growing.
  bench.clock.advance(2s);
  EXPECT_THAT(Bench::contents(bench.trigger({}, false)), ElementsAre("A"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("A"));  // The take was not committed.
  EXPECT_TRUE(bench.files.has("/in/a"));
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_FALSE(bench.files.has("/in/a"));
}

TEST(GetFile, KeepsTheSourceAndTakesItOnce) {
  Bench bench("GetFile", {{"directory", "/in"}, {"keepSource", "true"}, {"minAge", "0s"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  EXPECT_TRUE(bench.files.write("/in/.hidden", "H"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("A"));
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.clock.advance(1s);
  EXPECT_TRUE(bench.files.write("/in/a", "B"));  // Another file with the same name.
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("B"));
}

TEST(GetFile, AnErrorOfTheMomentForgetsNothing) {
  Bench bench("GetFile", {{"directory", "/in"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  bench.clock.advance(2s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("A"));
  bench.files.hidden = "/in/a";
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_THAT(bench.trouble, HasSubstr("cannot open /in/a"));
  bench.clock.advance(2s);
  EXPECT_FALSE(bench.trigger()) << "the list is not whole";
  bench.files.hidden.clear();
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_FALSE(bench.files.has("/in/a"));
  EXPECT_EQ(bench.trouble, "");
}

TEST(GetFile, WhatALinkHidesForAWhileIsNotTakenAgain) {
  Bench bench("GetFile", {{"directory", "/in"}, {"keepSource", "true"}, {"minAge", "0s"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  EXPECT_TRUE(bench.files.write("/in/b", "B"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("A", "B"));
  for (const bool anew : {false, true}) {
    if (anew) bench.reborn();
    bench.files.stray = "/in/a";
    bench.clock.advance(2s);
    EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
    bench.files.stray.clear();
    bench.clock.advance(2s);
    EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  }
  EXPECT_TRUE(bench.files.remove("/in/a"));
  const size_t before = bench.state.size();
  bench.clock.advance(2s);
  bench.trigger();
  EXPECT_LT(bench.state.size(), before) << "what is gone is forgotten";
}

TEST(GetFile, NothingIsForgottenBeforeTheDirectoryIsSafe) {
  Bench bench("GetFile", {{"directory", "/in"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  bench.clock.advance(2s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("A"));
  const Bytes taken = bench.state;
  bench.files.broken = true;
  bench.trigger();
  EXPECT_THAT(bench.trouble, HasSubstr("cannot sync"));
  EXPECT_EQ(bench.state, taken);
  bench.files.broken = false;
  bench.trigger();
  EXPECT_EQ(bench.files.syncs, 1);
  EXPECT_NE(bench.state, taken);
}

TEST(GetFile, AnotherNumberForTheDeviceMakesNoOtherFile) {
  Bench bench("GetFile", {{"directory", "/in"}, {"keepSource", "true"}});
  EXPECT_TRUE(bench.files.write("/in/a", "A"));
  EXPECT_TRUE(bench.files.write("/in/b", "B"));
  bench.clock.advance(2s);
  // An earlier version took the first.
  const env::FileInfo info = *bench.files.stat("/in/a");
  RecordWriter named(1), state(1);
  named.text(info.host);
  named.text(info.path);
  for (const uint64_t number :
       {info.device, info.inode, info.size, static_cast<uint64_t>(info.modified_ms)}) {
    named.number(number);
  }
  state.number(1);
  state.number(hash64(named.seal()));
  bench.state = state.seal();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("B"));
  bench.reborn();
  bench.files.device = 7;
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
}

// ---- PutFile

TEST(PutFile, WritesWholeFilesAgainWithoutHarm) {
  Bench bench("PutFile", {{"directory", "/out/${kind}"}});
  bench.trigger({file("x", {{"filename", "f"}, {"kind", "k"}})}, false);
  bench.trigger({file("x", {{"filename", "f"}, {"kind", "k"}})});
  EXPECT_EQ(bench.files.content("/out/k/f"), "x");
}

TEST(PutFile, TwoOfOneNameAreBothKept) {
  Bench bench("PutFile", {{"directory", "/out"}});
  const FlowFile second = file("y", {{"filename", "f"}});
  for (const bool commits : {false, true}) {
    bench.trigger({file("x", {{"filename", "f"}}), second}, commits);
    EXPECT_EQ(bench.files.content("/out/f"), "x");
    EXPECT_EQ(bench.files.content("/out/f-" + second.id.text()), "y");
  }
}

TEST(PutFile, StaysInItsDirectory) {
  Bench bench("PutFile", {{"directory", "/out"}});
  const auto delta = bench.trigger({file("x", {{"filename", "../etc"}})});
  EXPECT_THAT(Bench::contents(delta, "failure"), ElementsAre("x"));
  Bench outside("PutFile", {{"directory", "/outside${more}"}});
  EXPECT_THAT(Bench::contents(outside.trigger({file("y", {{"filename", "f"}})}), "failure"),
              ElementsAre("y"));
}

TEST(PutFile, WhatIsThereAlreadyIsTreatedAsAsked) {
  for (const std::string conflict : {"fail", "ignore", "rename", "replace"}) {
    Bench bench("PutFile", {{"directory", "/out"}, {"conflict", conflict}});
    EXPECT_TRUE(bench.files.write("/out/f", "before"));
    const auto delta = bench.trigger({file("x", {{"filename", "f"}})});
    EXPECT_EQ(bench.files.content("/out/f"), conflict == "replace" ? "x" : "before");
    EXPECT_EQ(Bench::contents(delta, "failure").size(), conflict == "fail" ? 1u : 0u);
    EXPECT_EQ(bench.files.writes, conflict == "rename" || conflict == "replace" ? 2 : 1);
  }
}

// Between its look and its write, another program takes the name.
TEST(PutFile, ANameThatIsTakenJustNowIsNotReplaced) {
  for (const std::string conflict : {"fail", "ignore", "rename"}) {
    Bench bench("PutFile", {{"directory", "/out"}, {"conflict", conflict}});
    const FlowFile mine = file("mine", {{"filename", "f"}});
    bench.files.before_write = [&] {
      if (bench.files.has("/out/f")) return;
      EXPECT_TRUE(bench.files.append("/out/f", "theirs"));
    };
    const auto delta = bench.trigger({mine});
    EXPECT_EQ(bench.files.content("/out/f"), "theirs");
    EXPECT_EQ(Bench::contents(delta, "failure").size(), conflict == "fail" ? 1u : 0u);
    EXPECT_EQ(bench.files.has("/out/f-" + mine.id.text()), conflict == "rename");
  }
}

TEST(PutFile, ItsOtherNameIsNotReplacedEither) {
  Bench bench("PutFile", {{"directory", "/out"}});
  const FlowFile mine = file("mine", {{"filename", "f"}});
  const std::string other = "/out/f-" + mine.id.text();
  EXPECT_TRUE(bench.files.append("/out/f", "theirs"));
  EXPECT_TRUE(bench.files.append(other, "too"));
  EXPECT_THAT(Bench::contents(bench.trigger({mine}), "failure"), ElementsAre("mine"));
  EXPECT_EQ(bench.files.content(other), "too");
  bench.files.content(other) = "mine";  // As after a crash.
  EXPECT_THAT(Bench::contents(bench.trigger({mine})), ElementsAre("mine"));
}

// The file is there, but its name may not be on the disk, so the write is tried again.
TEST(PutFile, WhatWasWrittenInSpiteOfAnErrorIsNotWrittenTwice) {
  Bench bench("PutFile", {{"directory", "/out"}});
  bench.trigger(
      {file("before", {{"filename", "e"}})});  // The first trigger may be done again anyway.
  const FlowFile mine = file("mine", {{"filename", "f"}});
  bench.files.fails_late = true;
  const auto held = bench.trigger({mine});
  EXPECT_TRUE(held && held->consumed.empty());
  bench.files.fails_late = false;
  EXPECT_THAT(Bench::contents(bench.trigger({mine})), ElementsAre("mine"));
  EXPECT_FALSE(bench.files.has("/out/f-" + mine.id.text()));
  const FlowFile alike = file("mine", {{"filename", "f"}});
  EXPECT_THAT(Bench::contents(bench.trigger({alike})), ElementsAre("mine"));
  EXPECT_TRUE(bench.files.has("/out/f-" + alike.id.text())) << "another one";
}

std::vector<FlowFile> lines(std::initializer_list<const char*> texts) {
  std::vector<FlowFile> list;
  for (const char* text : texts) list.push_back(file(text, {{"filename", "all"}}));
  return list;
}

TEST(PutFile, AppendsOnceWhateverIsDoneAgain) {
  Bench bench("PutFile", {{"directory", "/out"}, {"mode", "append"}});
  EXPECT_TRUE(bench.files.append("/out/all", "old\n"));
  EXPECT_TRUE(bench.trigger(lines({"a"}))->consumed.empty());  // First, the size is noted.
  bench.trigger(lines({"a", "b"}));
  EXPECT_EQ(bench.files.content("/out/all"), "old\na\nb\n");
  // The next trigger writes, and is lost. Then it comes again, with fewer and with more files.
  bench.trigger(lines({"c", "d"}), false);
  bench.reborn();
  bench.trigger(lines({"c"}));
  bench.trigger(lines({"d", "e"}));
  EXPECT_EQ(bench.files.content("/out/all"), "old\na\nb\nc\nd\ne\n");
  // A write that was cut off in its middle.
  bench.reborn();
  EXPECT_TRUE(bench.files.append("/out/all", "lon"));
  bench.trigger(lines({"long"}));
  EXPECT_EQ(bench.files.content("/out/all"), "old\na\nb\nc\nd\ne\nlong\n");
}

TEST(PutFile, TakesNothingOfOthersForItsOwn) {
  Bench bench("PutFile", {{"directory", "/out"}, {"mode", "append"}});
  bench.trigger(lines({"tick"}));
  for (int i = 0; i < 3; ++i) {
    bench.trigger(lines({"tick"}));
    EXPECT_TRUE(bench.files.append("/out/all", "tick\n"));
  }
  EXPECT_EQ(bench.files.content("/out/all"), "tick\ntick\ntick\ntick\ntick\ntick\n");

  Bench whole("PutFile", {{"directory", "/out"}});
  const auto same = lines({"same", "same"});
  whole.trigger(same);
  const auto third = lines({"same"});
  whole.trigger(third);
  EXPECT_EQ(whole.files.content("/out/all-" + same[1].id.text()), "same");
  EXPECT_EQ(whole.files.content("/out/all-" + third[0].id.text()), "same");
}

TEST(PutFile, AFileThatWasEmptiedIsANewOne) {
  Bench bench("PutFile", {{"directory", "/out"}, {"mode", "append"}});
  bench.trigger(lines({"a"}));
  bench.trigger(lines({"a"}));
  bench.files.content("/out/all").clear();
  EXPECT_TRUE(bench.trigger(lines({"b"}))->consumed.empty());  // Its size is noted again.
  bench.trigger(lines({"b"}), false);
  bench.reborn();
  bench.trigger(lines({"b"}));
  EXPECT_EQ(bench.files.content("/out/all"), "b\n");
}

TEST(PutFile, AppendsAfterWhatSomebodyElseWrote) {
  Bench bench("PutFile", {{"directory", "/out"}, {"mode", "append"}});
  bench.trigger(lines({"a"}));
  bench.trigger(lines({"a"}));
  EXPECT_TRUE(bench.files.append("/out/all", "theirs\n"));
  bench.trigger(lines({"b"}));
  EXPECT_EQ(bench.files.content("/out/all"), "a\ntheirs\nb\n");
}

// Without room or permission, the flow file is not at fault, and waits.
TEST(PutFile, WhatTheWorldRefusesWaitsInGrowingPauses) {
  for (const std::string mode : {"whole", "append"}) {
    for (const bool full : {true, false}) {
      Bench bench("PutFile", {{"directory", "/out"}, {"mode", mode}});
      const std::vector<FlowFile> files = {file("x", {{"filename", "f"}}),
                                           file("y", {{"filename", "g"}})};
      if (mode == "append") bench.trigger(files);  // Their sizes are noted.
      (full ? bench.files.broken : bench.files.forbidden) = true;
      Duration last{};
      for (int i = 0; i < 12; ++i) {
        const auto delta = bench.trigger(files);
        ASSERT_TRUE(delta);
        EXPECT_THAT(delta->consumed, IsEmpty());
        EXPECT_THAT(delta->outputs, IsEmpty());
        EXPECT_THAT(bench.trouble, HasSubstr(full ? "no space" : "no permission"));
        EXPECT_THAT(bench.notes, IsEmpty());
        EXPECT_GE(delta->wait.value(), last);
        last = *delta->wait;
      }
      EXPECT_EQ(last, Duration(30s));
      bench.files.broken = bench.files.forbidden = false;
      EXPECT_EQ(bench.trigger(files)->consumed.size(), 2u);
      EXPECT_EQ(bench.trouble, "");
      EXPECT_EQ(bench.files.content("/out/f"), mode == "whole" ? "x" : "x\n");
    }
  }
}

TEST(PutFile, APlaceThatAllFlowFilesShareIsNoFaultOfTheirs) {
  Bench bench("PutFile", {{"directory", "/outside"}, {"filename", "all"}});
  EXPECT_THAT(bench.trigger({file("x")})->outputs, IsEmpty());
  EXPECT_THAT(bench.trouble, HasSubstr("outside"));
}

// ---- ReplaceText, ExtractText, RouteOnAttribute, LogAttribute

TEST(ReplaceText, ReplacesWithGroupsAndAttributes) {
  Bench bench("ReplaceText", {{"pattern", "(\\w+)@(\\w+)"}, {"replacement", "\\2 has \\1 ${who}"}});
  EXPECT_THAT(Bench::contents(bench.trigger({file("a@b c@d", {{"who", "\\1!"}}), file("none")})),
              ElementsAre("b has a \\1! d has c \\1!", "none"));
  Bench first("ReplaceText", {{"pattern", "a"}, {"replacement", "b"}, {"scope", "first"}});
  EXPECT_THAT(Bench::contents(first.trigger({file("aa")})), ElementsAre("ba"));
}

TEST(ReplaceText, RefusesResultsWithoutBound) {
  Bench bench("ReplaceText", {{"pattern", "a"}, {"replacement", "aaaa"}, {"sizeMax", "8"}});
  EXPECT_THAT(Bench::contents(bench.trigger({file("aaa"), file("a")}), "failure"),
              ElementsAre("aaa"));
}

TEST(ExtractText, NamedGroupsBecomeAttributes) {
  Bench bench("ExtractText", {{"pattern", "^(?P<when>\\S+) (?P<what>installed|removed)"}});
  const auto delta = bench.trigger({file("10:00 removed vim"), file("nothing")});
  EXPECT_EQ(delta->outputs.at(0).file->attributes.at("what"), "removed");
  EXPECT_THAT(Bench::contents(delta, "unmatched"), ElementsAre("nothing"));
}

TEST(ExtractText, WhatDoesNotFitAFlowFileIsUnmatched) {
  Bench bench("ExtractText", {{"pattern", "(?s)^(?P<all>.*)$"}});
  const auto delta = bench.trigger({file(std::string(kFlowFileMax / 2 + 1, 'x')), file("small")});
  EXPECT_THAT(Bench::contents(delta, "matched"), ElementsAre("small"));
  EXPECT_EQ(Bench::contents(delta, "unmatched").size(), 1u);
  EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("does not fit")));
}

TEST(RouteOnAttribute, GoesToEveryRuleThatHolds) {
  Bench bench("RouteOnAttribute", {{"errors", "status >= 500"}, {"slow", "ms > 100"}});
  const auto delta = bench.trigger({file("both", {{"status", "503"}, {"ms", "101"}}),
                                    file("slow", {{"status", "200"}, {"ms", "1e3"}}),
                                    file("fine", {{"status", "200"}})});
  EXPECT_THAT(Bench::contents(delta, "errors"), ElementsAre("both"));
  EXPECT_THAT(Bench::contents(delta, "slow"), ElementsAre("both", "slow"));
  EXPECT_THAT(Bench::contents(delta, "unmatched"), ElementsAre("fine"));
  EXPECT_NE(delta->outputs[0].file->id, delta->outputs[1].file->id);
}

TEST(LogAttribute, SaysWhatItSees) {
  Bench bench("LogAttribute",
              {{"attributes", "a.*"}, {"prefix", "seen: "}, {"logContent", "true"}});
  EXPECT_EQ(bench.trigger({file("body", {{"abc", "1"}, {"xyz", "2"}})})->files_out, 1u);
  EXPECT_THAT(bench.notes, ElementsAre(::testing::AllOf(HasSubstr("seen: "), HasSubstr("abc=1"),
                                                        HasSubstr("content: body"),
                                                        ::testing::Not(HasSubstr("xyz")))));
}

}  // namespace
}  // namespace databridge::flow
