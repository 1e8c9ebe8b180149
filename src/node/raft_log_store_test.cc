#include "node/raft_log_store.h"

#include <gtest/gtest.h>

#include <functional>

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

// Ten entries on the disk, committed up to the fifth.
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
  batch.put(Space::raft_log, key_of(9), old);  // It is whole, but follows another eighth entry.
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

TEST_F(RaftLogStoreTest, ASnapshotIsWrittenBitByBitAndOneThatDoesNotAddUpIsRefused) {
  raft::Snapshot snapshot;
  snapshot.index = 4;
  snapshot.term = 1;
  snapshot.data = raft::Payload(Bytes(3 << 20, 's'));
  const auto put = [&](uint64_t number) {
    env::Batch batch;
    if (number == 0) log.begin_chunks(batch);
    log.put_chunk(batch, number, snapshot.data.slice(number << 20, 1 << 20).view());
    write(std::move(batch));
  };
  put(0);
  put(1);
  EXPECT_EQ(load()->snapshot.index, 0u) << "half of it is none";
  put(2);
  env::Batch batch;
  log.put_head(batch, snapshot);
  log.compact(batch, 4);
  write(std::move(batch));
  const auto loaded = load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->entries.front().index, 5u);
  EXPECT_EQ(loaded->snapshot.data.size(), 3u << 20);
  damage(Space::snapshot, "chunk/" + key_of(1) + key_of(1));
  expect_refused();
}

raft::Snapshot snapshot_of(raft::Index index, size_t size, char fill) {
  raft::Snapshot snapshot;
  snapshot.index = index;
  snapshot.term = 1;
  snapshot.hash = 77;
  snapshot.data = raft::Payload(Bytes(size, fill));
  return snapshot;
}

// Steps of a write in several batches: `more` does one of them, and returns false for the last.
struct Steps {
  raft::Snapshot snapshot;
  size_t chunk;
  size_t written = 0;

  bool more(RaftLogStore& log, env::Batch& batch) {
    if (written == 0) log.begin_chunks(batch);
    if (written >= snapshot.data.size()) {
      log.put_head(batch, snapshot);
      return false;
    }
    log.put_chunk(batch, written / chunk, snapshot.data.slice(written, chunk).view());
    written += chunk;
    return true;
  }
};

// A node has installed the leader's state at 9. It writes its own state of the same index, which
// differs (it keeps fewer events), and then one at 12. It starts again whenever it is killed, and
// whichever chunks an earlier attempt has left.
TEST_F(RaftLogStoreTest, ACrashBetweenAnyTwoStepsOfASnapshotLeavesOneThatCounts) {
  for (size_t killed_after = 0; killed_after < 24; ++killed_after) {
    store = ForgetfulStore();
    log = RaftLogStore();
    env::Batch batch;
    log.install(batch, snapshot_of(9, 3000, 'l'));
    write(std::move(batch));
    append(10, 14, 2);
    size_t steps = 0;
    for (Steps own : {Steps{snapshot_of(9, 2000, 'o'), 300}, Steps{snapshot_of(12, 2500, 'p'), 200},
                      Steps{snapshot_of(12, 1000, 'q'), 400}}) {
      for (bool more = true; more; ++steps) {
        if (steps == killed_after) {
          RaftLogStore again;
          const auto loaded = again.load(store);
          ASSERT_TRUE(loaded) << "killed after " << steps << ": " << loaded.error().message;
          EXPECT_EQ(loaded->snapshot.hash, 77u);
          EXPECT_EQ(loaded->entries.back().index, 14u);
          log = std::move(again);
          own.written = 0;  // A new process begins anew.
        }
        env::Batch next;
        more = own.more(log, next);
        write(std::move(next));
      }
      const auto loaded = load();
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ(loaded->snapshot.data, own.snapshot.data);
    }
  }
  size_t chunks = 0;
  (void)store.scan(Space::snapshot, "chunk/", "chunk0", [&](BytesView, BytesView) {
    ++chunks;
    return true;
  });
  EXPECT_EQ(chunks, 3u) << "nothing of the older ones stays";
}

TEST_F(RaftLogStoreTest, AnInstallationInTheMiddleOfAnOwnSnapshotReplacesIt) {
  Steps own{snapshot_of(5, 2000, 'o'), 300};
  for (int i = 0; i < 3; ++i) {
    env::Batch batch;
    own.more(log, batch);
    write(std::move(batch));
  }
  env::Batch batch;
  own.more(log, batch);
  log.install(batch, snapshot_of(20, 100, 'l'));
  write(std::move(batch));
  append(21, 22, 2);
  const auto loaded = load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->snapshot.data, raft::Payload(Bytes(100, 'l')));
  EXPECT_EQ(loaded->entries.size(), 2u);
}

// As an earlier version wrote it: chunks under the index, a head without a generation or a hash.
TEST_F(RaftLogStoreTest, AFormerSnapshotIsReadAndReplaced) {
  const Bytes data(2000, 'f');
  Bytes content;
  append_little64(content, data.size());
  append_little64(content, hash64(data));
  Bytes head = raft::encode_snapshot_head(snapshot_of(6, 0, 'f'));
  head.resize(head.size() - 8);
  content += head;
  Bytes record;
  append_little32(record, crc32c(content));
  env::Batch batch;
  batch.put(Space::snapshot, "head", record + content);
  batch.put(Space::snapshot, "chunk/" + key_of(6) + key_of(0), data.substr(0, 1500));
  batch.put(Space::snapshot, "chunk/" + key_of(6) + key_of(1), data.substr(1500));
  write(std::move(batch));
  RaftLogStore again;
  auto loaded = again.load(store);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->snapshot.index, 6u);
  EXPECT_EQ(loaded->snapshot.hash, 0u);
  EXPECT_EQ(loaded->snapshot.data, raft::Payload(data));
  log = std::move(again);
  Steps own{snapshot_of(8, 2000, 'o'), 700};
  for (bool more = true; more;) {
    env::Batch next;
    more = own.more(log, next);
    write(std::move(next));
    ASSERT_TRUE(load()) << "after " << own.written << " bytes";
  }
  EXPECT_EQ(load()->snapshot.index, 8u);
}

TEST_F(RaftLogStoreTest, ALogThatDoesNotReachToItsSnapshotOrBeginsBehindItIsRefused) {
  env::Batch batch;
  log.begin_chunks(batch);
  log.put_chunk(batch, 0, Bytes(10, 's'));
  log.put_head(batch, snapshot_of(4, 10, 's'));
  log.compact(batch, 4);
  write(std::move(batch));
  ASSERT_TRUE(load());
  env::Batch gone;
  gone.erase(Space::snapshot, "head/2");
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
