#include "flow/partition.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "flow/flat.h"

namespace databridge::flow {
namespace {

constexpr Uuid kProcessor{1, 1}, kIn{2, 1}, kOut{2, 2};
constexpr Epoch kEpoch{0, 9}, kSender{0, 5};
constexpr uint64_t kSize = kFileBytes + 1;  // Of each file here.

// A partition and the deltas that made it.
struct Log {
  Partition partition{kProcessor};
  std::map<Lsn, Bytes> deltas;
  Epoch epoch = kEpoch;
  Lsn safe;

  template <typename Write>
  Result<Holds> add(Write&& write) {
    const Lsn last = partition.last();
    const Lsn next{epoch, last.epoch == epoch ? last.sequence + 1 : 1};
    DeltaWriter writer({kProcessor, next, last, safe}, 256);
    write(writer);
    const Bytes bytes = writer.finish().value();
    auto done = partition.apply(decode_delta(bytes).value());
    if (done) deltas[next] = bytes;
    return done;
  }
  Result<Holds> enqueue(uint64_t first, uint64_t count, Epoch origin = kSender) {
    return add([&](DeltaWriter& writer) {
      if (partition.fence(kIn) < origin) writer.fence({kIn, origin, {}});
      writer.enqueue(kIn, origin, first);
      for (uint64_t i = 0; i < count; ++i) writer.file({9, first + i}, {}, "x");
    });
  }
  Result<Holds> emit(uint64_t first, uint64_t count) {
    return add([&](DeltaWriter& writer) {
      writer.emit(kOut, first);
      for (uint64_t i = 0; i < count; ++i) writer.file({9, first + i}, {}, "x");
    });
  }
  Result<Holds> consume(uint64_t first, uint32_t count) {
    return add([&](DeltaWriter& writer) {
      writer.consume({kIn, {{first, count, count * kSize}}});
    });
  }
  Result<Holds> deliver(uint64_t upto, uint64_t count, Epoch origin = kEpoch) {
    return add([&](DeltaWriter& writer) { writer.delivered({kOut, origin, upto, count * kSize}); });
  }
};

std::string words(const Result<Holds>& done) { return done ? "it fits" : done.error().message; }

TEST(Partition, AQueueTakesOnlyTheNextSequenceOfAnOrigin) {
  Log log;
  ASSERT_TRUE(log.enqueue(1, 3));
  EXPECT_NE(words(log.enqueue(5, 1)).find("4 is the next one"), std::string::npos);
  EXPECT_NE(words(log.enqueue(3, 2)).find("4 is the next one"), std::string::npos);
  ASSERT_TRUE(log.enqueue(4, 1));
  ASSERT_TRUE(log.enqueue(1, 1, {0, 6})) << "each origin counts for itself";
  EXPECT_EQ(log.partition.mark(kIn, kSender), 4u);
  EXPECT_EQ(log.partition.queued(kIn).count, 5u);
  EXPECT_EQ(log.partition.receipt(kIn, {0, 6}, kSender, 4), Receipt::seen);
  EXPECT_EQ(log.partition.receipt(kIn, {0, 6}, kSender, 5), Receipt::next);
  EXPECT_EQ(log.partition.receipt(kIn, {0, 6}, kSender, 6), Receipt::gap);
  EXPECT_EQ(log.partition.receipt(kIn, kSender, kSender, 5), Receipt::replaced);
}

TEST(Partition, NothingBelowTheFloorIsTakenAgain) {
  Log log;
  ASSERT_TRUE(log.enqueue(1, 3));
  ASSERT_TRUE(log.add([](DeltaWriter& writer) { writer.fence({kIn, {0, 7}, {0, 6}}); }));
  EXPECT_EQ(log.partition.mark(kIn, kSender), 0u) << "the mark is gone";
  EXPECT_EQ(log.partition.receipt(kIn, {0, 7}, kSender, 1), Receipt::seen);
  EXPECT_NE(words(log.enqueue(1, 3)).find("below the floor"), std::string::npos);
  EXPECT_EQ(log.partition.queued(kIn).count, 3u) << "what has arrived stays";
}

TEST(Partition, FilesMayLeaveOutOfOrderAndOnlyOnce) {
  Log log;
  ASSERT_TRUE(log.enqueue(1, 10));
  ASSERT_TRUE(log.consume(3, 2));
  EXPECT_NE(words(log.consume(4, 1)).find("gone already"), std::string::npos);
  EXPECT_NE(words(log.consume(11, 1)).find("not there"), std::string::npos);
  const auto pieces = log.partition.waiting(kIn, 2, 4);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(std::tie(pieces[0].arrival, pieces[0].first, pieces[0].count),
            std::make_tuple(2u, 1u, 1u));
  EXPECT_EQ(std::tie(pieces[1].arrival, pieces[1].first, pieces[1].count),
            std::make_tuple(5u, 4u, 3u));
  ASSERT_TRUE(log.consume(1, 2));
  EXPECT_EQ(log.partition.queued(kIn).oldest, 5u);
  ASSERT_TRUE(log.consume(5, 6));
  EXPECT_EQ(log.partition.queued(kIn).count, 0u);
  EXPECT_EQ(log.partition.queued(kIn).bytes, 0u);
  ASSERT_TRUE(log.enqueue(11, 1));
  EXPECT_EQ(log.partition.queued(kIn).oldest, 11u) << "arrivals are never used again";
}

TEST(Partition, AnOutboxKeepsTheOriginOfItsFilesOverATakeover) {
  Log log;
  ASSERT_TRUE(log.emit(1, 5));
  log.epoch = {0, 12};
  ASSERT_TRUE(log.emit(1, 2));
  EXPECT_EQ(log.partition.emitted(kOut, log.epoch), 2u);
  EXPECT_EQ(log.partition.emitted(kOut, kEpoch), 0u);
  EXPECT_EQ(log.partition.floor(kOut), kEpoch);
  ASSERT_TRUE(log.deliver(3, 3));
  EXPECT_NE(words(log.deliver(3, 1)).find("not in the outbox"), std::string::npos);
  EXPECT_NE(words(log.deliver(6, 3)).find("not in the outbox"), std::string::npos);
  EXPECT_NE(words(log.deliver(5, 1)).find("the bytes"), std::string::npos);
  const auto left = log.partition.undelivered(kOut, kEpoch, 0, 10);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(std::tie(left[0].sequence, left[0].first, left[0].count), std::make_tuple(4u, 3u, 2u));
  ASSERT_TRUE(log.deliver(5, 2));
  EXPECT_EQ(log.partition.floor(kOut), log.epoch);
  EXPECT_NE(words(log.emit(4, 1)).find("do not follow"), std::string::npos);
  ASSERT_TRUE(log.emit(3, 1));
  EXPECT_EQ(log.partition.undelivered(kOut, log.epoch, 2, 9).front().sequence, 2u);
}

TEST(Partition, ADeltaThatDoesNotFitChangesNothing) {
  Log log;
  ASSERT_TRUE(log.enqueue(1, 3));
  const uint64_t before = log.partition.hash();
  EXPECT_FALSE(log.add([](DeltaWriter& writer) {
    writer.consume({kIn, {{1, 3, 3 * kSize}}});
    writer.emit(kOut, 2);
    writer.file({9, 1}, {}, "x");
  }));
  EXPECT_EQ(log.partition.hash(), before);
  EXPECT_EQ(log.partition.last().sequence, 1u);
}

TEST(Partition, ADeltaMustFollowTheNewestOne) {
  Log log;
  ASSERT_TRUE(log.enqueue(1, 1));
  const Bytes delta = log.deltas.begin()->second;
  EXPECT_NE(words(log.partition.apply(decode_delta(delta).value())).find("does not follow"),
            std::string::npos);
}

TEST(Partition, ACutBringsBackWhatWasConsumed) {
  Log log;
  ASSERT_TRUE(log.enqueue(1, 2));
  const uint64_t before = log.partition.hash();
  const auto consumed = log.consume(1, 2);
  ASSERT_TRUE(consumed);
  EXPECT_TRUE(consumed->released.empty()) << "it may come back";
  ASSERT_TRUE(log.emit(1, 1));
  const auto cut = log.partition.cut({kEpoch, 1});
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->released, (std::vector<ContentId>{{kEpoch, 3}})) << "what was emitted";
  EXPECT_EQ(log.partition.hash(), before);
  log.epoch = {0, 12};
  ASSERT_TRUE(log.consume(1, 2));
  EXPECT_EQ(log.partition.settle({{0, 12}, 1}).released, (std::vector<ContentId>{{kEpoch, 1}}));
}

TEST(Partition, WhatIsSafeIsNeverCut) {
  Log log;
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(log.enqueue(i, 1));
  log.safe = {kEpoch, 2};
  ASSERT_TRUE(log.enqueue(4, 1));  // This delta says that the second one is safe.
  EXPECT_EQ(log.partition.safe(), log.safe);
  EXPECT_FALSE(log.partition.cut({kEpoch, 1}));
  EXPECT_FALSE(log.partition.cut({kEpoch, 5}));
  EXPECT_TRUE(log.partition.settle({{0, 12}, 3}).released.empty());
  EXPECT_EQ(log.partition.safe(), log.safe) << "that is a delta of another log";
  ASSERT_TRUE(log.partition.cut({kEpoch, 2}));
  EXPECT_EQ(log.partition.queued(kIn).count, 2u);
}

TEST(Partition, ADeletedConnectionLetsGoOfAllThatItHad) {
  Log log;
  const auto erase = [&](const Uuid& connection) {
    return log.add([&](DeltaWriter& writer) { writer.erase({connection}); });
  };
  EXPECT_NE(words(erase(kIn)).find("not there"), std::string::npos);
  ASSERT_TRUE(log.enqueue(1, 2));
  ASSERT_TRUE(log.emit(1, 2));
  ASSERT_TRUE(erase(kIn));
  EXPECT_EQ(log.partition.queued(kIn).count, 0u);
  EXPECT_EQ(log.partition.outgoing(kOut).count, 2u);
  ASSERT_TRUE(erase(kOut));
  EXPECT_EQ(log.partition.settle(log.partition.last()).released,
            (std::vector<ContentId>{{kEpoch, 1}, {kEpoch, 2}}));
}

TEST(Partition, TheStateHoldsWhatItStandsIn) {
  Log log;
  const ContentId large{kEpoch, ContentId::kLarge | 1};
  ASSERT_TRUE(log.add([](DeltaWriter& writer) { writer.state("state"); }));
  EXPECT_EQ(log.partition.state().id, (ContentId{kEpoch, 1}));
  const auto next = log.add([&](DeltaWriter& writer) { writer.state(Content{large, 0, 1 << 20}); });
  EXPECT_EQ(next->held, std::vector{large});
  EXPECT_EQ(log.partition.settle(log.partition.last()).released,
            (std::vector<ContentId>{{kEpoch, 1}}));
  ASSERT_TRUE(log.add([](DeltaWriter& writer) { writer.state(""); }));
  EXPECT_EQ(log.partition.state(), Content{});
  EXPECT_EQ(log.partition.settle(log.partition.last()).released, std::vector{large});
}

TEST(Partition, RoomFollowsTheLimitsOfTheConnection) {
  EXPECT_EQ(room({10, 100, 1}, 15, 1000), 5u);
  EXPECT_EQ(room({15, 100, 1}, 15, 1000), 0u);
  EXPECT_EQ(room({20, 100, 1}, 15, 1000), 0u);
  EXPECT_EQ(room({10, 1000, 1}, 15, 1000), 0u);
}

// ---- The base

Log with_everything() {
  Log log;
  EXPECT_TRUE(log.enqueue(1, 10));
  EXPECT_TRUE(log.enqueue(1, 3, {0, 6}));
  EXPECT_TRUE(log.consume(4, 2));
  EXPECT_TRUE(log.emit(1, 3));
  EXPECT_TRUE(log.deliver(2, 2));
  EXPECT_TRUE(log.add([](DeltaWriter& writer) {
    writer.state("state");
    writer.emit(kOut, 4);
    writer.file({9, 1}, {}, Content{{{0, 3}, 2}, 100, 1});
  }));
  log.partition.settle(log.partition.last());
  return log;
}

TEST(PartitionBase, ComesBackAsItWas) {
  const Log log = with_everything();
  const Bytes base = log.partition.base();
  const auto copy = Partition::from_base(base);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(copy->base(), base);
  EXPECT_EQ(copy->hash(), log.partition.hash());
  EXPECT_EQ(copy->safe(), log.partition.last());
  EXPECT_EQ(Partition::from_base(Partition(kProcessor).base())->last(), Lsn{});
}

TEST(PartitionBase, IsThatOfTheNewestSafeDelta) {
  Log log = with_everything();
  const Bytes base = log.partition.base();
  ASSERT_TRUE(log.consume(1, 1));
  EXPECT_EQ(log.partition.base(), base);
  EXPECT_NE(log.partition.hash(), hash64(base));
}

// The bytes of a base without state, up to its queues.
Bytes empty_base(const Lsn& last) {
  Bytes bytes;
  append_little32(bytes, 1);
  append_flat(bytes, kProcessor);
  append_flat(bytes, last);
  append_flat(bytes, Epoch{});
  append_little64(bytes, 0);
  append_little32(bytes, 0);
  append_little32(bytes, 0);
  return bytes;
}

TEST(PartitionBase, AnEmptyOneHasOneForm) {
  const Bytes no_parts(8, '\0');
  EXPECT_TRUE(Partition::from_base(empty_base({}) + no_parts));
  EXPECT_FALSE(Partition::from_base(empty_base({{5, 0}, 0}) + no_parts));
  EXPECT_FALSE(Partition::from_base(empty_base({{0, 9}, ~uint64_t{0}}) + no_parts));
}

// A run says that it has as many files as there are numbers, and gives no bits for them.
TEST(PartitionBase, ARunCannotMakeItTakeMemory) {
  Bytes bytes = empty_base({{0, 9}, 5});
  append_little32(bytes, 1);  // Queues.
  append_flat(bytes, Uuid{2, 1});
  append_flat(bytes, Epoch{0, 5});
  append_flat(bytes, Epoch{});
  append_little64(bytes, 100);
  append_little32(bytes, 1);  // Marks.
  append_flat(bytes, Epoch{0, 5});
  append_little64(bytes, 100);
  append_little32(bytes, 1);  // Runs.
  append_little64(bytes, 100);
  append_flat(bytes, Lsn{{0, 9}, 1});
  append_little32(bytes, 84);
  append_little32(bytes, 0xfffffff0);
  append_little32(bytes, 1);
  append_flat(bytes, Epoch{0, 5});
  append_little64(bytes, 1);
  append_little64(bytes, 48);
  append_little32(bytes, 0);
  bytes.append(64, '\0');
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  EXPECT_FALSE(Partition::from_base(bytes));
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB";
}

TEST(PartitionBase, MalformedBytesAreRefused) {
  const Bytes base = with_everything().partition.base();
  for (size_t size = 0; size < base.size(); ++size) {
    EXPECT_FALSE(Partition::from_base(BytesView(base).substr(0, size))) << size;
  }
  EXPECT_FALSE(Partition::from_base(base + '\0'));
  size_t accepted = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      Bytes changed = base;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const auto copy = Partition::from_base(changed);
      if (!copy) continue;
      ++accepted;
      EXPECT_EQ(copy->base(), changed) << "byte " << i;
    }
  }
  EXPECT_GT(accepted, 100u);
}

}  // namespace
}  // namespace databridge::flow
