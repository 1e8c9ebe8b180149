#include "node/raft_log_store.h"

#include <gtest/gtest.h>

#include "node/test_world.h"
#include "raft/codec.h"

namespace databridge::node {
namespace {

using env::Space;

Bytes key_of(uint64_t index) {
  Bytes key;
  append_big64(key, index);
  return key;
}

// A log with ten entries on the disk, committed up to the fifth.
class RaftLogStoreTest : public testing::Test {
 protected:
  RaftLogStoreTest() {
    append(1, 10, 1);
    env::Batch batch;
    log.put_hard_state(batch, {.term = 1, .vote = 7, .commit = 5});
    write(std::move(batch));
  }
  void write(env::Batch batch) {
    store.submit(std::move(batch));
    store.sync();
  }
  void append(raft::Index first, raft::Index last, raft::Term term) {
    std::vector<raft::Entry> entries;
    for (raft::Index index = first; index <= last; ++index) {
      entries.push_back({term, index, raft::Entry::Kind::command,
                         raft::Payload(Bytes(100, static_cast<char>('a' + index)))});
    }
    env::Batch batch;
    log.append(batch, entries);
    write(std::move(batch));
  }
  void damage(Space space, const Bytes& key) {
    Bytes value = store.get(space, key)->value();
    value[value.size() / 2] ^= 1;
    env::Batch batch;
    batch.put(space, key, value);
    write(std::move(batch));
  }
  Result<raft::Restored> load() {
    RaftLogStore fresh;
    return fresh.load(store);
  }
  void expect_refused() {
    const auto loaded = load();
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Code::corrupt) << loaded.error().message;
  }

  ForgetfulStore store;
  RaftLogStore log;
};

TEST_F(RaftLogStoreTest, ReadsBackWhatItWrote) {
  const auto loaded = load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->entries.size(), 10u);
  EXPECT_EQ(loaded->entries[3].index, 4u);
  EXPECT_EQ(loaded->hard_state.vote, 7u);
  EXPECT_EQ(loaded->hard_state.commit, 5u);
}

TEST_F(RaftLogStoreTest, ATailThatIsWrittenOverIsGone) {
  append(8, 9, 2);
  const auto loaded = load();
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->entries.size(), 9u);
  EXPECT_EQ(loaded->entries[7].term, 2u);
}

TEST_F(RaftLogStoreTest, ADamagedEntryWithGoodOnesBehindItIsRefused) {
  damage(Space::raft_log, key_of(6));
  expect_refused();
}

TEST_F(RaftLogStoreTest, AGapIsRefused) {
  env::Batch batch;
  batch.erase(Space::raft_log, key_of(7));
  write(std::move(batch));
  expect_refused();
}

TEST_F(RaftLogStoreTest, AnEntryOfAnotherHistoryIsRefused) {
  const Bytes old = store.get(Space::raft_log, key_of(9))->value();
  append(8, 10, 2);
  env::Batch batch;
  // The record is whole, but follows another eighth entry.
  batch.put(Space::raft_log, key_of(9), old);
  write(std::move(batch));
  expect_refused();
}

TEST_F(RaftLogStoreTest, ALogThatEndsBeforeItsCommitMarkIsRefused) {
  env::Batch batch;
  batch.erase_range(Space::raft_log, key_of(5), key_of(11));
  write(std::move(batch));
  expect_refused();
}

TEST_F(RaftLogStoreTest, OneCopyOfTheVoteIsEnough) {
  damage(Space::meta, "raft/hard/a");
  const auto loaded = load();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->hard_state.vote, 7u);
  damage(Space::meta, "raft/hard/b");
  expect_refused();
}

TEST_F(RaftLogStoreTest, ALogThatDoesNotReachToItsSnapshotOrBeginsBehindItIsRefused) {
  env::Batch batch;
  raft::Snapshot snapshot;
  snapshot.index = 4;
  snapshot.term = 1;
  snapshot.data = Pieces(Bytes(10, 's'));
  log.snapshots().put(batch, snapshot);
  log.compact(batch, 4);
  write(std::move(batch));
  ASSERT_TRUE(load());
  env::Batch gone;
  gone.erase(Space::snapshot, "head/3");
  write(std::move(gone));
  expect_refused();
}

TEST_F(RaftLogStoreTest, TheTailIsBoundedByEntriesAndByBytes) {
  EXPECT_EQ(log.tail(10, 4, SIZE_MAX), 6u);
  EXPECT_EQ(log.tail(8, 4, SIZE_MAX), 4u);
  EXPECT_EQ(log.tail(10, 100, SIZE_MAX), 0u);
  EXPECT_EQ(log.tail(10, 100, log.bytes_held() / 2), 5u);
  EXPECT_EQ(log.tail(10, 100, 0), 10u);
}

}  // namespace
}  // namespace databridge::node
