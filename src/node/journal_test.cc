#include "node/journal.h"

#include <gtest/gtest.h>

#include "node/test_world.h"

namespace databridge::node {
namespace {

class JournalTest : public testing::Test {
 protected:
  void write(const Bytes& key) { journal.batch().put(env::Space::meta, key, "x"); }
  void note(const std::string& what) {
    journal.when_safe([this, what] { done.push_back(what); });
  }
  // Makes `count` more batches durable, and tells the journal.
  void sync(size_t count = SIZE_MAX) {
    slowest = journal.durable(store.sync(count), now);
    journal.run();
  }

  ForgetfulStore store;
  Journal journal{store};
  Instant now{10s};
  Duration slowest{};
  std::vector<std::string> done;
};

using List = std::vector<std::string>;

TEST_F(JournalTest, WhatRestsOnABatchWaitsUntilThatIsOnTheDisk) {
  write("a");
  note("said of a");
  journal.run();
  EXPECT_EQ(done, List{}) << "the batch is not even submitted";
  journal.submit(now);
  journal.run();
  EXPECT_EQ(done, List{}) << "and not on the disk";
  sync();
  EXPECT_EQ(done, List{"said of a"});
  EXPECT_TRUE(journal.is_idle());
}

TEST_F(JournalTest, ActionsRunInTheirOrderEachWithItsBatch) {
  write("a");
  note("1");
  write("b");
  note("2");
  journal.submit(now);
  write("c");
  note("3");
  journal.submit(now);
  sync(1);
  EXPECT_EQ(done, (List{"1", "2"}));
  sync(1);
  EXPECT_EQ(done, (List{"1", "2", "3"}));
}

TEST_F(JournalTest, WithoutAWriteAnActionWaitsForTheBatchesBefore) {
  write("a");
  journal.submit(now);
  note("it rests on a");
  journal.submit(now);
  journal.run();
  EXPECT_EQ(done, List{});
  sync();
  EXPECT_EQ(done, List{"it rests on a"});
  note("nothing is under way");
  journal.submit(now);
  journal.run();
  EXPECT_EQ(done.size(), 2u);
}

TEST_F(JournalTest, WhatAnActionWritesIsOfTheNextBatch) {
  write("a");
  journal.when_safe([this] {
    write("b");
    note("said of b");
  });
  journal.submit(now);
  sync();
  EXPECT_EQ(done, List{});
  EXPECT_FALSE(journal.is_idle());
  journal.submit(now);
  sync();
  EXPECT_EQ(done, List{"said of b"});
}

TEST_F(JournalTest, AnAbandonedJournalCarriesOutNothingMore) {
  write("a");
  journal.when_safe([this] { journal.abandon(); });
  note("never");
  journal.submit(now);
  sync();
  note("nor this");
  journal.submit(now);
  journal.run();
  EXPECT_EQ(done, List{});
}

TEST_F(JournalTest, TheSlowestBatchIsNamedWithoutTheTimeThatTheProcessDidNotHave) {
  write("a");
  journal.submit(now);
  EXPECT_EQ(journal.unsafe_since(), now);
  now += 2s;
  write("b");
  journal.submit(now);
  now += 5s;
  journal.leave_out(4s);
  sync();
  EXPECT_EQ(slowest, 3s);
  EXPECT_FALSE(journal.unsafe_since());
}

// Today a partition is safe as soon as the node's disk has it.
TEST_F(JournalTest, APartitionIsSafeOnceItIsOnTheDisk) {
  write("a");
  journal.when_safe(Uuid{1, 2}, [this] { done.push_back("safe"); });
  journal.submit(now);
  EXPECT_EQ(done, List{});
  sync();
  EXPECT_EQ(done, List{"safe"});
}

}  // namespace
}  // namespace databridge::node
