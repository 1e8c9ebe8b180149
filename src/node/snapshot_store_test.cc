// Whenever a node is killed, one whole snapshot counts. Pieces that two snapshots share are written
// once.
#include "node/snapshot_store.h"

#include <gtest/gtest.h>

#include "node/raft_log_store.h"
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

raft::Snapshot snapshot_of(raft::Index index, Pieces data) {
  raft::Snapshot snapshot;
  snapshot.index = index;
  snapshot.term = 1;
  snapshot.hash = 77;
  snapshot.data = std::move(data);
  return snapshot;
}

// Writes a snapshot in several batches. `more` does one step; false: it was the last one.
struct Steps {
  raft::Snapshot snapshot;
  size_t chunk;
  bool begun = false;
  bool has_more = true;

  bool more(SnapshotStore& snapshots, env::Batch& batch) {
    if (!std::exchange(begun, true)) snapshots.begin(batch, snapshot.data);
    if (has_more) {
      has_more = snapshots.write(batch, chunk);
      return true;
    }
    snapshots.put_head(batch, snapshot);
    return false;
  }
};

class SnapshotStoreTest : public testing::Test {
 protected:
  void write(env::Batch batch) {
    for (const auto& one : batch.writes) bytes += one.value.size();
    store.submit(std::move(batch));
    store.sync();
  }
  // Returns how many bytes were written.
  size_t put(const raft::Snapshot& snapshot) {
    bytes = 0;
    for (Steps steps{snapshot, 300};;) {
      env::Batch batch;
      const bool more = steps.more(snapshots, batch);
      write(std::move(batch));
      if (!more) return bytes;
    }
  }
  Result<raft::Snapshot> load() {
    SnapshotStore fresh;
    return fresh.load(store);
  }
  size_t chunks() {
    size_t count = 0;
    (void)store.scan(Space::snapshot, "chunk/", "chunk0", [&](BytesView, BytesView) {
      ++count;
      return true;
    });
    return count;
  }

  ForgetfulStore store;
  SnapshotStore snapshots;
  size_t bytes = 0;
};

TEST_F(SnapshotStoreTest, HalfASnapshotIsNoneAndADamagedOneIsRefused) {
  Steps own{snapshot_of(4, Pieces(Bytes(1000, 's'))), 400};
  for (bool more = true; more;) {
    EXPECT_EQ(load()->index, 0u);
    env::Batch batch;
    more = own.more(snapshots, batch);
    write(std::move(batch));
  }
  EXPECT_EQ(load()->data, own.snapshot.data);
  const Bytes key = "chunk/" + key_of(1) + key_of(400);
  Bytes chunk = store.get(Space::snapshot, key)->value();
  chunk[chunk.size() / 2] ^= 1;
  env::Batch damage;
  damage.put(Space::snapshot, key, chunk);
  write(std::move(damage));
  EXPECT_EQ(load().error().code, Code::corrupt);
  env::Batch loss;
  loss.erase(Space::snapshot, key);
  write(std::move(loss));
  EXPECT_EQ(load().error().code, Code::corrupt);
}

TEST_F(SnapshotStoreTest, PiecesThatTheStoreHasAreNotWrittenAgain) {
  const Payload first(Bytes(1000, 'a')), second(Bytes(1000, 'b')), alike(Bytes(1000, 'c'));
  EXPECT_GT(put(snapshot_of(1, Pieces(std::vector{first, second}))), 2000u);
  const auto next = snapshot_of(2, Pieces(std::vector{Payload(Bytes(10, 't')), second, alike}));
  const size_t written = put(next);
  EXPECT_GT(written, 1010u);
  EXPECT_LT(written, 1200u) << "one of the pieces is there";
  EXPECT_EQ(load()->data, next.data) << "and none is mistaken for another of its size";
  EXPECT_LT(put(snapshot_of(3, next.data)), 200u);
  EXPECT_EQ(load()->data, next.data);
  EXPECT_LT(put(snapshot_of(4, Pieces(std::vector{second}))), 200u);
  EXPECT_EQ(load()->data.size(), 1000u);
  EXPECT_EQ(chunks(), 4u) << "pieces that no head names go";
}

// The node is killed after any step of writing snapshots that share pieces.
TEST_F(SnapshotStoreTest, ACrashBetweenAnyTwoStepsLeavesOneThatCounts) {
  const Payload one(Bytes(700, '1')), two(Bytes(900, '2')), three(Bytes(500, '3'));
  const auto with = [](raft::Index index, std::vector<Payload> pieces) {
    pieces.emplace_back(Bytes(250 + index, 'e'));
    return snapshot_of(index, Pieces(std::move(pieces)));
  };
  for (size_t killed_after = 0; killed_after < 30; ++killed_after) {
    store = ForgetfulStore();
    snapshots = SnapshotStore();
    put(with(9, {one}));
    raft::Snapshot before = with(9, {one});
    size_t steps = 0;
    for (Steps own : {Steps{with(10, {one, two}), 300}, Steps{with(11, {one, two, three}), 200},
                      Steps{with(12, {two, three}), 400}, Steps{with(13, {three}), 1000}}) {
      for (bool more = true; more; ++steps) {
        if (steps == killed_after) {
          SnapshotStore again;
          const auto loaded = again.load(store);
          ASSERT_TRUE(loaded) << "killed after " << steps << ": " << loaded.error().message;
          EXPECT_EQ(loaded->data, before.data);
          snapshots = std::move(again);
          own = {own.snapshot, own.chunk};  // The new process begins again.
        }
        env::Batch next;
        more = own.more(snapshots, next);
        write(std::move(next));
      }
      const auto loaded = load();
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ(loaded->data, own.snapshot.data);
      before = own.snapshot;
    }
    EXPECT_LE(chunks(), 4u) << "nothing of the older ones stays";
  }
}

// The installed snapshot replaces the log, and the unfinished snapshot of this node is erased.
TEST_F(SnapshotStoreTest, AnInstallationInTheMiddleOfAnOwnSnapshotReplacesIt) {
  RaftLogStore log;
  Steps own{snapshot_of(5, Pieces(Bytes(2000, 'o'))), 300};
  for (int i = 0; i < 3; ++i) {
    env::Batch batch;
    own.more(log.snapshots(), batch);
    write(std::move(batch));
  }
  env::Batch batch;
  own.more(log.snapshots(), batch);
  log.install(batch, snapshot_of(20, Pieces(Bytes(100, 'l'))));
  log.append(batch, {{2, 21, raft::Entry::Kind::command, raft::Payload(Bytes("next"))}});
  write(std::move(batch));
  RaftLogStore again;
  const auto loaded = again.load(store);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->snapshot.data, Pieces(Bytes(100, 'l')));
  EXPECT_EQ(loaded->entries.size(), 1u);
  EXPECT_EQ(chunks(), 1u);
}

// A snapshot as earlier versions wrote it: one piece without checksums. The first version named no
// id of the piece and no hash of the log.
class FormerSnapshotTest : public SnapshotStoreTest, public testing::WithParamInterface<bool> {};

TEST_P(FormerSnapshotTest, IsReadAndReplaced) {
  const bool has_id = GetParam();
  const Bytes data(2000, 'f');
  Bytes content;
  if (has_id) append_little64(content, 6);
  append_little64(content, data.size());
  append_little64(content, hash64(data));
  Bytes head = raft::encode_snapshot_head(snapshot_of(6, {}));
  if (!has_id) head.resize(head.size() - 8);
  content += head;
  Bytes record;
  append_little32(record, crc32c(content));
  env::Batch batch;
  batch.put(Space::snapshot, has_id ? "head/2" : "head", record + content);
  batch.put(Space::snapshot, "chunk/" + key_of(6) + key_of(0), data.substr(0, 1500));
  batch.put(Space::snapshot, "chunk/" + key_of(6) + key_of(1), data.substr(1500));
  write(std::move(batch));
  const auto loaded = snapshots.load(store);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->index, 6u);
  EXPECT_EQ(loaded->hash, has_id ? 77u : 0u);
  EXPECT_EQ(loaded->data, Pieces(data));
  Steps own{snapshot_of(8, Pieces(Bytes(2000, 'o'))), 700};
  for (bool more = true; more;) {
    env::Batch next;
    more = own.more(snapshots, next);
    write(std::move(next));
    ASSERT_TRUE(load());
  }
  EXPECT_EQ(load()->index, 8u);
  EXPECT_EQ(chunks(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Versions, FormerSnapshotTest, testing::Bool());

}  // namespace
}  // namespace databridge::node
