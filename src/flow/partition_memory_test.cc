// The memory of a partition follows the number of its runs. It is counted: this file replaces the
// allocation of the whole program by one that adds up.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "flow/contents.h"
#include "flow/partition.h"

namespace {

std::atomic<int64_t> allocated{0};

}  // namespace

void* operator new(size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  allocated += static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  allocated -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace databridge::flow {
namespace {

constexpr Uuid kProcessor{1, 1}, kIn{2, 1}, kOut{2, 2};
constexpr Epoch kEpoch{0, 1};
constexpr uint64_t kRuns = 2000;
constexpr uint32_t kFiles = 500;

// The log of a partition that is safe as soon as it is written.
struct Log {
  Partition partition{kProcessor};
  Contents contents{0};

  template <typename Write>
  void add(Write&& write) {
    const Lsn last = partition.last();
    DeltaWriter writer({kProcessor, {kEpoch, last.sequence + 1}, last, last}, 32 << 10);
    write(writer);
    const Bytes bytes = writer.finish().value();
    contents.change(partition.apply(decode_delta(bytes).value()).value());
    contents.add(partition.last(), {1, 0, 0, static_cast<uint32_t>(bytes.size())});
    contents.change(partition.settle(partition.last()));
  }
};

void add_files(DeltaWriter& writer) {
  for (uint64_t i = 0; i < kFiles; ++i) writer.file({9, i}, {}, "x");
}

TEST(PartitionMemory, AMillionFilesCostAFewHundredBytesARun) {
  Log log;
  log.add([](DeltaWriter& writer) { writer.fence({kIn, kEpoch, kEpoch}); });
  const int64_t before = allocated;
  for (uint64_t run = 0; run < kRuns; ++run) {
    log.add([&](DeltaWriter& writer) {
      writer.emit(kOut, run * kFiles + 1);
      add_files(writer);
    });
  }
  EXPECT_EQ(log.partition.outgoing(kOut).count, kRuns * kFiles);
  const int64_t emitted = allocated - before;
  EXPECT_GT(emitted, int64_t{100 * kRuns}) << "it is not counted";
  EXPECT_LT(emitted, int64_t{400 * kRuns});

  for (uint64_t run = 0; run < kRuns; ++run) {
    log.add([&](DeltaWriter& writer) {
      writer.enqueue(kIn, kEpoch, run * kFiles + 1);
      add_files(writer);
    });
  }
  // One file of each run goes, so each run has its bits.
  for (uint64_t run = 0; run < kRuns; ++run) {
    log.add([&](DeltaWriter& writer) { writer.consume({kIn, {{run * kFiles + 100, 1, 49}}}); });
  }
  EXPECT_LT(allocated - before - emitted, int64_t{(400 + kFiles / 4) * kRuns});

  log.add([](DeltaWriter& writer) {
    writer.delivered({kOut, kEpoch, kRuns * kFiles, kRuns * kFiles * 49});
  });
  for (uint64_t run = 0; run < kRuns; ++run) {
    log.add([&](DeltaWriter& writer) {
      writer.consume({kIn,
                      {{run * kFiles + 1, 99, uint64_t{99} * 49},
                       {run * kFiles + 101, 400, uint64_t{400} * 49}}});
    });
  }
  EXPECT_LT(allocated - before, int64_t{10'000}) << "all files are gone";
  EXPECT_TRUE(log.contents.live().empty());
}

// While nothing is safe, an index is kept for each delta. They share what did not change.
TEST(PartitionMemory, AnUnsafeDeltaCostsAFewKilobytes) {
  Log log;
  log.add([](DeltaWriter& writer) { writer.fence({kIn, kEpoch, kEpoch}); });
  for (uint64_t run = 0; run < kRuns; ++run) {
    log.add([&](DeltaWriter& writer) {
      writer.enqueue(kIn, kEpoch, run * kFiles + 1);
      add_files(writer);
    });
  }
  const int64_t before = allocated;
  const Lsn safe = log.partition.last();
  for (uint64_t i = 0; i < 64; ++i) {
    const Lsn last = log.partition.last();
    DeltaWriter writer({kProcessor, {kEpoch, last.sequence + 1}, last, safe}, 256);
    writer.consume({kIn, {{i * 20 * kFiles + 1, 1, 49}}});
    const Bytes bytes = writer.finish().value();
    ASSERT_TRUE(log.partition.apply(decode_delta(bytes).value()));
  }
  EXPECT_LT(allocated - before, 64 * 4096);
}

}  // namespace
}  // namespace databridge::flow
