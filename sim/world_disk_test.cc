// The simulated disk loses its power at any moment. A model remembers what was said to be durable.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sim/world.h"

namespace databridge::sim {
namespace {

// Batch n writes some records that begin with `n/`, and the key n. Numbers are never used again.
class DiskStorm {
 public:
  explicit DiskStorm(uint64_t seed) : random_(seed), world_(seed, 1, faults()) {}

  void run() {
    for (int life = 0; life < 6 && !testing::Test::HasFatalFailure(); ++life) {
      start();
      const Instant end = world_.now() + std::chrono::microseconds(random_.below(60'000));
      world_.at(end, [] {});
      while (world_.now() < end && world_.step()) {
      }
      world_.power_off(0);
    }
  }

  uint64_t lost = 0, kept = 0, forgotten = 0;

 private:
  struct Written {
    size_t records = 0;
    std::vector<env::FileId> forgets;
    bool is_told = false;     // The store said that all of it is durable.
    bool is_durable = false;  // Its records are.
    bool is_lost = false;
    env::FileId file = 0;
  };

  static Faults faults() {
    Faults faults;
    faults.sync_max = 2ms;
    return faults;
  }

  void start() {
    env::Store& store = world_.env_of(0).store;
    std::map<size_t, std::vector<env::Position>> seen;
    size_t newest = 0;
    const auto replayed =
        store.replay([&](uint8_t, const env::Position& at, BytesView bytes) -> Result<void> {
          const size_t number = std::stoul(Bytes(bytes));
          EXPECT_EQ(bytes, content(number, seen[number].size()));
          EXPECT_LE(newest, number) << "out of order";
          newest = number;
          seen[number].push_back(at);
          return {};
        });
    ASSERT_TRUE(replayed) << replayed.error().message;
    std::set<size_t> keys;
    ASSERT_TRUE(store.scan(env::Space::queue, "", "", [&](BytesView key, BytesView) {
      keys.insert(read_big64(key));
      return true;
    }));
    for (size_t number = 0; number < all_.size(); ++number) {
      SCOPED_TRACE(number);
      compare(all_[number], seen[number], keys.contains(number));
      for (size_t r = 0; r < seen[number].size(); ++r) {
        EXPECT_EQ(store.read(seen[number][r]).value(), content(number, r));
      }
    }
    first_ = all_.size();
    told_ = 0;
    store.on_durable([this](Result<env::Store::Durable> safe) { told(*safe); });
    world_.power_on(
        0, [this] { turn(); }, [this] { return world_.now() + 50us; });
  }

  void compare(Written& batch, const std::vector<env::Position>& seen, bool has_key) {
    const bool may_be_gone = batch.records == 0 || given_up_.contains(batch.file);
    if (batch.is_durable) {
      ASSERT_TRUE(has_key || !batch.is_told);
      if (seen.empty()) {
        ASSERT_TRUE(may_be_gone);
        forgotten += batch.records > 0;
        return;
      }
    }
    ASSERT_TRUE(seen.empty() || seen.size() == batch.records) << "a part of a batch";
    ASSERT_TRUE(seen.empty() || !batch.is_lost) << "a lost batch comes back";
    ASSERT_TRUE(!has_key || batch.is_durable || batch.records == 0 || !seen.empty())
        << "keys without their records";
    if (batch.is_durable || batch.records == 0 || batch.is_lost) return;
    batch.is_lost = seen.empty();
    batch.is_durable = !batch.is_lost;  // The log says so from now on.
    (batch.is_lost ? lost : kept) += 1;
    if (!seen.empty()) batch.file = seen.back().file;
  }

  void turn() {
    Written written;
    written.records = random_.below(4);
    if (random_.chance(0.05)) written.forgets.assign(old_files_.begin(), old_files_.end());
    env::Batch batch;
    for (size_t r = 0; r < written.records; ++r) {
      batch.records.push_back({1, Payload(content(all_.size(), r))});
    }
    Bytes key;
    append_big64(key, all_.size());
    batch.put(env::Space::queue, key, "x");
    batch.forgotten = written.forgets;
    given_up_.insert(written.forgets.begin(), written.forgets.end());
    all_.push_back(std::move(written));
    world_.env_of(0).store.submit(std::move(batch));
  }

  void told(const env::Store::Durable& safe) {
    size_t next = 0;
    for (; told_ < safe.number; ++told_) {
      Written& batch = all_[first_ + told_];
      batch.is_told = batch.is_durable = true;
      for (size_t r = 0; r < batch.records; ++r) batch.file = safe.positions.at(next++).file;
      if (batch.file == 0) continue;
      if (newest_file_ != 0 && newest_file_ != batch.file) old_files_.insert(newest_file_);
      newest_file_ = batch.file;
    }
    EXPECT_EQ(next, safe.positions.size());
  }

  static Bytes content(size_t number, size_t record) {
    return std::to_string(number) + "/" + std::to_string(record) +
           Bytes(number * 3701 % 9'001, 'x');
  }

  Random random_;
  World world_;
  std::vector<Written> all_;  // By number.
  size_t first_ = 0;          // The first one of this life.
  size_t told_ = 0;           // How many of this life are durable.
  std::set<env::FileId> old_files_, given_up_;
  env::FileId newest_file_ = 0;
};

TEST(SimulatedDisk, KeepsWhatWasDurableAndNoKeysWithoutTheirRecords) {
  uint64_t lost = 0, kept = 0, forgotten = 0;
  for (uint64_t seed = 1; seed <= 10 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    DiskStorm storm(seed);
    storm.run();
    lost += storm.lost;
    kept += storm.kept;
    forgotten += storm.forgotten;
  }
  EXPECT_GT(lost, 10u);
  EXPECT_GT(kept, 10u);
  EXPECT_GT(forgotten, 10u);
}

}  // namespace
}  // namespace databridge::sim
