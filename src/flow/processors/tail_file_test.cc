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

// ---- TailFile

Bench tail(std::map<std::string, std::string> more = {}) {
  more["path"] = "/log/a";
  return Bench("TailFile", std::move(more));
}

TEST(TailFile, FollowsWholeLinesOnly) {
  auto bench = tail();
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a", "one\ntw"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a", "o\nthree\n"));
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two", "three"));
}

TEST(TailFile, GoesBackToWhatWasCommitted) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\ntwo\n"));
  bench.room = 1;
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one"));
  EXPECT_THAT(Bench::contents(bench.trigger({}, false)), ElementsAre("two"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two"));
}

TEST(TailFile, ReadsTheRestOfARotatedFileFirst) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one"));
  EXPECT_TRUE(bench.files.append("/log/a", "two\nno end"));
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  EXPECT_TRUE(bench.files.append("/log/a", "three\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two", "three"));
  bench.trigger();
  bench.clock.advance(5s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("no end"));
}

TEST(TailFile, FollowsARotatedFileAsLongAsItGrows) {
  auto bench = tail();
  const auto look = [&] {
    bench.clock.advance(3s);
    return Bench::contents(bench.trigger());
  };
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  EXPECT_THAT(look(), ElementsAre("one"));
  for (const std::string name : {"/log/a.1", "/log/a.2", "/log/a.3"}) {
    EXPECT_TRUE(bench.files.rename("/log/a", name));
    EXPECT_TRUE(bench.files.append("/log/a", ""));
    EXPECT_THAT(look(), IsEmpty());
    EXPECT_TRUE(bench.files.append("/log/a", "new\nand ha"));
    EXPECT_THAT(look(), ElementsAre("new"));
    EXPECT_TRUE(bench.files.append(name, "by who has it open\n"));
    bench.reborn();
    EXPECT_THAT(look(), ElementsAre(HasSubstr("by who has it open")));
    EXPECT_TRUE(bench.files.append("/log/a", "lf\n"));
    EXPECT_THAT(look(), ElementsAre("and half"));
  }
  // In the end the file is closed.
  EXPECT_THAT(look(), IsEmpty());
  bench.clock.advance(60s);
  EXPECT_THAT(look(), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a.3", "too late\n"));
  EXPECT_THAT(look(), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a", "last\n"));
  EXPECT_THAT(look(), ElementsAre("last"));
}

// A daemon rotates its log and goes on writing to the old file for a while. A tail's triggers are
// lost, or it begins anew, in any order.
TEST(TailFile, EveryLineArrivesOnceWhateverIsRotated) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Random random(seed);
    auto bench = tail();
    std::vector<std::string> written, arrived;
    std::string old;     // The rotated file. The daemon may still write to it.
    Instant until{};     // The end of that time.
    bool there = false;  // The path has a file.
    bool looked = true;  // A committed trigger has seen that file.
    int rotations = 0;
    const auto write = [&](const std::string& path) {
      written.push_back(std::to_string(written.size()));
      EXPECT_TRUE(bench.files.append(path, written.back() + "\n"));
    };
    const auto look = [&](bool committed) {
      const auto lines = Bench::contents(bench.trigger({}, committed));
      if (!committed) return;
      arrived.insert(arrived.end(), lines.begin(), lines.end());
      looked = looked || there;
    };
    for (int step = 0; step < 300; ++step) {
      bench.room = random.between(0, 5);
      switch (random.below(9)) {
        case 0:
          if (!there) looked = false;
          there = true;
          write("/log/a");
          break;
        case 1:
          if (bench.clock.now() < until && bench.files.has(old)) write(old);
          break;
        case 2:
          // A file is rotated only after a trigger has seen it.
          if (!there || !looked) break;
          old = "/log/a." + std::to_string(++rotations);
          EXPECT_TRUE(bench.files.rename("/log/a", old));
          there = random.chance(0.5);
          EXPECT_TRUE(!there || bench.files.append("/log/a", ""));
          looked = false;
          until = bench.clock.now() + 50s;
          break;
        case 3:
          bench.watch();
          looked = looked || there;
          break;
        case 4:
          // It has no name any more, but programs that have it open write on.
          if (!old.empty() && bench.files.has(old)) {
            EXPECT_TRUE(bench.files.remove(old));
          }
          break;
        case 5:
          bench.clock.advance(std::chrono::seconds(random.below(20)));
          break;
        case 6:
          bench.reborn();
          break;
        default:
          look(random.chance(0.7));
      }
    }
    bench.room = 5;
    for (size_t i = 0; i < written.size() + 20; ++i) look(true);
    std::sort(arrived.begin(), arrived.end());
    std::sort(written.begin(), written.end());
    ASSERT_EQ(arrived, written) << "seed " << seed;
  }
}

TEST(TailFile, AQuietLogIsNotForgottenAtItsRotation) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  bench.trigger();
  bench.trigger();
  bench.clock.advance(2h);
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  EXPECT_TRUE(bench.files.append("/log/a", ""));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.clock.advance(59s);
  EXPECT_TRUE(bench.files.append("/log/a.1", "late\nha"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("late"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.clock.advance(4s);
  EXPECT_TRUE(bench.files.append("/log/a.1", "l"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.clock.advance(4s);
  EXPECT_TRUE(bench.files.append("/log/a.1", "f\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("half"));
}

TEST(TailFile, ARotatedFileThatCannotBeReadHoldsUpNoOther) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  bench.trigger();
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  bench.files.locked = "/log/a.1";
  bench.reborn();
  bench.files.forget_kept();
  EXPECT_TRUE(bench.files.append("/log/a", "two\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two"));
  EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("is gone")));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_THAT(bench.notes, IsEmpty());
}

TEST(TailFile, ALineWhoseFileIsRenamedMeanwhileStaysWhole) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "half-"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  bench.clock.advance(20s);
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a.1", "line\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("half-line"));
}

TEST(TailFile, WhatAppearsLaterIsFollowedFromItsBeginning) {
  auto bench = tail({{"start", "end"}});
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a", "first\n"));
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("first"));
}

TEST(TailFile, ReadsARotatedFileBeforeTheNewOneIsThere) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  bench.trigger();
  EXPECT_TRUE(bench.files.append("/log/a", "two\n"));
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a", "three\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("three"));
}

TEST(TailFile, SeesThatTheFileWasCutShort) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\ntwo\n"));
  bench.trigger();
  bench.files.content("/log/a") = "x\n";
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("x"));
}

TEST(TailFile, SeesThatTheFileWasEmptiedAndHasGrownBeyond) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  bench.trigger();
  bench.files.content("/log/a") = "other\nlines\n";
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("other", "lines"));
  EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("emptied")));
}

TEST(TailFile, StartsAnewElsewhereAndSaysSo) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\ntwo\n"));
  bench.trigger();
  bench.files.host = "there";
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one", "two"));
  EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("another one on this node")));
}

TEST(TailFile, MayStartAtTheEndAndMakeBatches) {
  auto bench = tail({{"start", "end"}, {"linesPerFlowFile", "2"}});
  EXPECT_TRUE(bench.files.append("/log/a", "old\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.append("/log/a", "a\nb\nc\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("a\nb", "c"));
}

TEST(TailFile, ALineThatIsTooLongComesInPieces) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", std::string((1 << 20) + 5, 'x') + "\nnext\n"));
  const auto first = bench.trigger();
  EXPECT_EQ(first->outputs.at(0).file->attributes.at("tail.partial"), "true");
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("xxxxx", "next"));
}

// ---- Files that are held open

TEST(TailFile, WhatIsRotatedAndDeletedWhileThereIsNoRoomArrives) {
  auto bench = tail();
  std::vector<std::string> written;
  for (int i = 0; i < 20; ++i) {
    for (int n = 0; n < 5; ++n) {
      written.push_back(std::to_string(i) + " " + std::to_string(n));
      EXPECT_TRUE(bench.files.append("/log/a", written.back() + "\n"));
    }
    bench.watch();
    EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
    if (i % 2 == 0) bench.reborn();  // Another epoch on this node.
    EXPECT_TRUE(bench.files.remove("/log/a.1"));
  }
  EXPECT_TRUE(bench.files.append("/log/a", ""));
  std::vector<std::string> arrived;
  for (int i = 0; i < 30; ++i) {
    const auto lines = Bench::contents(bench.trigger());
    arrived.insert(arrived.end(), lines.begin(), lines.end());
  }
  EXPECT_EQ(arrived, written);
}

TEST(TailFile, SaysWhenItHoldsTooMany) {
  auto bench = tail();
  for (int i = 0; i < 300; ++i) {
    EXPECT_TRUE(bench.files.append("/log/a", "x\n"));
    bench.watch();
    if (i == 100) {
      EXPECT_THAT(bench.said(), IsEmpty());
    }
    EXPECT_TRUE(bench.files.rename("/log/a", "/log/a." + std::to_string(i)));
  }
  EXPECT_THAT(bench.said(), ElementsAre(HasSubstr("192 of at most 256 files")));
  EXPECT_TRUE(bench.files.append("/log/a", "last\n"));
  bench.room = 0;
  bench.trigger();
  EXPECT_THAT(bench.trouble, HasSubstr("256 files open"));
  bench.room = 1000;
  EXPECT_EQ(Bench::contents(bench.trigger()).size(), 256u);
}

TEST(TailFile, WhatLostItsNameIsLetGoOnceItIsReadAndQuiet) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\nno end"));
  bench.clock.advance(2h);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one"));
  bench.clock.advance(2h);
  EXPECT_TRUE(bench.files.append("/log/other", ""));
  EXPECT_TRUE(bench.files.remove("/log/a"));
  bench.trigger();
  bench.clock.advance(59s);
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_EQ(bench.files.opened, 1);
  bench.clock.advance(1s);
  bench.files.hidden = "/log/other";  // Then it is not known which file has which name.
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_EQ(bench.files.opened, 1);
  bench.files.hidden.clear();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("no end"));
  bench.trigger();
  EXPECT_EQ(bench.files.opened, 0);
  EXPECT_TRUE(bench.files.append("/log/a", "new\n"));
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("new"));
  EXPECT_THAT(bench.notes, IsEmpty());
}

TEST(TailFile, WhatDoesNotFitTheStateWaits) {
  Bench bench("TailFile", {{"path", "/log/*"}});
  const auto name = [](int i) { return "/log/" + std::to_string(100 + i) + std::string(240, 'x'); };
  for (int i = 0; i < 230; ++i) EXPECT_TRUE(bench.files.append(name(i), "line\n"));
  const size_t first = Bench::contents(bench.trigger()).size();
  EXPECT_GT(first, 150u);
  EXPECT_LT(first, 230u);
  EXPECT_LE(bench.state.size(), kStateMax);
  EXPECT_GT(bench.state.size() + 400, kStateMax);
  EXPECT_THAT(bench.trouble, HasSubstr("no room for more than " + std::to_string(first)));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(bench.files.remove(name(i)));
  size_t rest = 0;
  for (int i = 0; i < 4; ++i) {
    rest += Bench::contents(bench.trigger()).size();
    bench.clock.advance(60s);
  }
  EXPECT_EQ(first + rest, 230u);
  EXPECT_EQ(bench.trouble, "");
  EXPECT_EQ(bench.files.opened, 130);
}

// ---- Troubles and notes

TEST(TailFile, TroubleLastsUntilItIsOver) {
  Bench bench("TailFile", {{"path", "/log/*.log"}});
  for (const char* one : {"/log/a.log", "/log/b.log"}) EXPECT_TRUE(bench.files.append(one, "1\n"));
  bench.files.locked = "/log/b.log";
  bench.watch();
  for (int i = 0; i < 3; ++i) {  // There is no look at the directory in between.
    bench.trigger();
    EXPECT_THAT(bench.trouble, HasSubstr("locked"));
  }
  bench.files.locked.clear();
  bench.clock.advance(1s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("1"));
  EXPECT_EQ(bench.trouble, "");

  bench.files.unreadable = "/log/b.log";
  bench.trigger();
  EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("cannot read")));
  // No trigger gets as far as the other file.
  EXPECT_TRUE(bench.files.append("/log/a.log", "2\n3\n4\n5\n"));
  bench.room = 1;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Bench::contents(bench.trigger()).size(), 1u);
    EXPECT_THAT(bench.trouble, HasSubstr("cannot read"));
    EXPECT_THAT(bench.notes, IsEmpty());
  }
  bench.files.unreadable.clear();
  bench.trigger();
  EXPECT_EQ(bench.trouble, "");
}

// ---- Where it starts

TEST(TailFile, TheEndThatItStartsAtIsPartOfTheFirstState) {
  for (const size_t room : {0u, 1u, 10u}) {
    Bench bench("TailFile", {{"path", "/log/*.log"}, {"start", "end"}});
    EXPECT_TRUE(bench.files.append("/log/a.log", "old\n"));
    EXPECT_TRUE(bench.files.append("/log/b.log", "old\n"));
    bench.watch();
    EXPECT_TRUE(bench.files.append("/log/a.log", "a\n"));
    bench.room = room;
    auto lines = Bench::contents(bench.trigger());
    bench.reborn();  // The next owner has no file open.
    bench.files.forget_kept();
    EXPECT_TRUE(bench.files.append("/log/b.log", "b\n"));
    bench.room = 10;
    for (const auto& line : Bench::contents(bench.trigger())) lines.push_back(line);
    EXPECT_THAT(lines, ElementsAre("a", "b")) << room;
  }
}

TEST(TailFile, WhatIsRotatedAfterAStartAtTheEndIsReadWhole) {
  auto bench = tail({{"start", "end"}});
  EXPECT_TRUE(bench.files.append("/log/a", "old\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  EXPECT_TRUE(bench.files.append("/log/a", "new\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("new"));
}

TEST(TailFile, OneThatCannotBeReadKeepsNoStateOfTheOthers) {
  Bench bench("TailFile", {{"path", "/log/*.log"}, {"start", "end"}});
  EXPECT_TRUE(bench.files.append("/log/a.log", "old\n"));
  EXPECT_TRUE(bench.files.append("/log/b.log", "old\n"));
  bench.files.unreadable = "/log/b.log";
  bench.trigger();
  EXPECT_THAT(bench.trouble, HasSubstr("cannot read"));
  EXPECT_TRUE(bench.files.append("/log/a.log", "a\n"));
  EXPECT_TRUE(bench.files.append("/log/b.log", "b\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("a"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  bench.files.unreadable.clear();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("b"));
}

// ---- Files that are proved to be the followed ones

TEST(TailFile, ANumberThatWasGivenToAnotherFileIsNotFollowed) {
  for (const bool dated : {true, false}) {
    auto bench = tail();
    bench.files.dated = dated;
    EXPECT_TRUE(bench.files.append("/log/a", "app line 1\n"));
    bench.trigger();
    const uint64_t inode = bench.files.file("/log/a").inode;
    bench.reborn();
    bench.files.forget_kept();
    EXPECT_TRUE(bench.files.remove("/log/a"));
    EXPECT_TRUE(bench.files.append("/log/a", "app line 2\n"));
    // The first bytes are the same if the file system knows when a file was made.
    EXPECT_TRUE(
        bench.files.append("/log/secret", dated ? "app line 1\nsecret\n" : "secret\nsecret\n"));
    bench.files.file("/log/secret").inode = inode;
    EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("app line 2"));
    EXPECT_THAT(bench.notes, ElementsAre(HasSubstr("is gone")));
    EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  }
}

TEST(TailFile, ThePathsOwnFileUnderAnOldNumberIsANewOne) {
  for (const bool dated : {true, false}) {
    auto bench = tail();
    bench.files.dated = dated;
    EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
    bench.trigger();
    const uint64_t inode = bench.files.file("/log/a").inode;
    bench.reborn();
    bench.files.forget_kept();
    EXPECT_TRUE(bench.files.remove("/log/a"));
    EXPECT_TRUE(bench.files.append("/log/a", "two\nthree\n"));
    bench.files.file("/log/a").inode = inode;
    EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two", "three"));
  }
}

TEST(TailFile, AfterARebootNothingIsReadAgainOrPassedOver) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  bench.trigger();
  EXPECT_TRUE(bench.files.append("/log/a", "two\n"));
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  EXPECT_TRUE(bench.files.append("/log/a", "three\n"));
  bench.reborn();
  bench.files.forget_kept();
  bench.files.device = 7;  // The device number may change.
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two", "three"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
}

TEST(TailFile, ReadsTheStateOfAnEarlierVersion) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\ntwo\n"));
  RecordWriter to(2);
  to.number(1);
  to.text("its boot");
  to.number(1);
  to.number(bench.files.file("/log/a").inode);
  to.number(4);
  to.number(hash64("one\n"));
  to.text("/log/a");
  bench.state = to.seal();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two"));
  bench.reborn();
  EXPECT_TRUE(bench.files.append("/log/a", "three\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("three"));
}

TEST(TailFile, AnErrorOfTheMomentMakesNoOtherFileOfIt) {
  for (const bool held : {false, true}) {
    auto bench = tail();
    EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
    bench.trigger();
    EXPECT_TRUE(bench.files.append("/log/a", "two\n"));
    bench.reborn();
    bench.files.forget_kept();
    if (held) {
      bench.watch();
      bench.files.unknown = "/log/a";
    } else {
      EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
      EXPECT_TRUE(bench.files.append("/log/a", ""));
      bench.files.unreadable = "/log/a.1";
    }
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
      EXPECT_THAT(bench.trouble, HasSubstr(held ? "cannot stat" : "cannot read"));
      EXPECT_THAT(bench.notes, IsEmpty());
    }
    bench.files.unknown.clear();
    bench.files.unreadable.clear();
    EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("two"));
    EXPECT_EQ(bench.trouble, "");
  }
}

// ---- Zeros

TEST(TailFile, TheHoleThatAWriterLeavesBehindATruncationIsNoText) {
  for (const size_t hole : {4u, 100u, 5000u, 3u << 20}) {
    auto bench = tail();
    EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
    bench.trigger();
    bench.files.content("/log/a") = std::string(hole, '\0') + "after\n";
    EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("after")) << hole;
    EXPECT_TRUE(bench.files.append("/log/a", "more\n"));
    EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("more"));
  }
}

TEST(TailFile, ZerosInTheMiddleEndALine) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "one\nhalf" + std::string(3 << 20, '\0') + "after\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one", "half"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("after"));
  EXPECT_TRUE(bench.files.append("/log/a", std::string("a\0b\n", 4)));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre(std::string("a\0b", 3)));
}

TEST(TailFile, ZerosThatAreLaidOutInAdvanceAreWaitedFor) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", ""));
  std::string& text = bench.files.content("/log/a");
  text.assign(5000, '\0');
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  text.replace(0, 7, "one\nha\0");
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one"));
  EXPECT_THAT(Bench::contents(bench.trigger()), IsEmpty());
  text.replace(6, 3, "lf\n");
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("half"));
}

// Whichever read fails, each line comes once.
TEST(TailFile, AReadThatFailsRepeatsNothing) {
  for (int fails_in = 1; fails_in < 12; ++fails_in) {
    auto bench = tail();
    std::vector<std::string> came, wanted;
    const auto trigger = [&] {
      const auto delta = bench.trigger();
      for (const std::string& line : Bench::contents(delta)) came.push_back(line);
    };
    for (int round = 0; round < 4; ++round) {
      for (int line = 0; line < 3; ++line) {
        wanted.push_back(std::to_string(round) + "." + std::to_string(line) + std::string(3, 'x'));
        EXPECT_TRUE(bench.files.append("/log/a", wanted.back() + "\n"));
      }
      if (round == 1) bench.files.fails_in = fails_in;
      trigger();
      trigger();
    }
    EXPECT_EQ(came, wanted) << fails_in;
  }
}

// Only the last epoch had it open, and a passing error must not close it.
TEST(TailFile, WhatCannotBeLookedAtAfterAHandoverIsKeptOpen) {
  auto bench = tail();
  EXPECT_TRUE(bench.files.append("/log/a", "1\n"));
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("1"));
  EXPECT_TRUE(bench.files.append("/log/a", "2\n"));
  EXPECT_TRUE(bench.files.remove("/log/a"));
  EXPECT_TRUE(bench.files.append("/log/a", "3\n"));
  bench.files.nameless_unknown = true;
  bench.reborn();
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("3"));
  EXPECT_THAT(bench.trouble, HasSubstr("cannot be looked at"));
  bench.files.nameless_unknown = false;
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("2"));
  EXPECT_EQ(bench.trouble, "");
}

// ---- Patterns

TEST(TailFile, APatternFollowsEachFile) {
  Bench bench("TailFile", {{"path", "/log/*.log"}});
  EXPECT_TRUE(bench.files.append("/log/a.log", "a1\na2\n"));
  EXPECT_TRUE(bench.files.append("/log/b.log", "b1\n"));
  EXPECT_TRUE(bench.files.append("/log/c.txt", "no\n"));
  const auto look = [&] {
    bench.clock.advance(1s);
    return Bench::contents(bench.trigger());
  };
  EXPECT_THAT(look(), ::testing::UnorderedElementsAre("a1", "a2", "b1"));
  EXPECT_TRUE(bench.files.append("/log/a.log", "a3\n"));
  EXPECT_TRUE(bench.files.rename("/log/a.log", "/log/a.log.1"));
  EXPECT_TRUE(bench.files.append("/log/a.log", "a4\n"));
  EXPECT_TRUE(bench.files.append("/log/d.log", "d1\n"));
  EXPECT_THAT(look(), ::testing::UnorderedElementsAre("a3", "a4", "d1"));
  bench.reborn();
  EXPECT_THAT(look(), IsEmpty());
}

TEST(TailFile, ARotatedFileThatThePatternMatchesIsReadOnce) {
  Bench bench("TailFile", {{"path", "/log/a*"}});
  EXPECT_TRUE(bench.files.append("/log/a", "one\n"));
  bench.clock.advance(1s);
  EXPECT_THAT(Bench::contents(bench.trigger()), ElementsAre("one"));
  EXPECT_TRUE(bench.files.rename("/log/a", "/log/a.1"));
  EXPECT_TRUE(bench.files.append("/log/a", "two\n"));
  for (int i = 0; i < 10; ++i) {
    bench.clock.advance(40s);
    if (i % 3 == 2) bench.reborn();
    EXPECT_THAT(Bench::contents(bench.trigger()).size(), i == 0 ? 1u : 0u);
  }
}

}  // namespace
}  // namespace databridge::flow
