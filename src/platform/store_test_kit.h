// For tests of the store: a store on a real disk that remembers what it was told.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"
#include "platform/store.h"

namespace databridge::platform {

using env::Batch;
using env::Space;

// A store that remembers which writes it reported as durable.
class Subject {
 public:
  explicit Subject(const std::string& directory) {
    auto opened = open_store({.directory = directory});
    if (!opened) {
      error = opened.error();
      return;
    }
    store = std::move(*opened);
    const auto replayed = store->replay([this](uint8_t, const env::Position& at, BytesView bytes) {
      records.emplace_back(at, bytes);
      return Result<void>();
    });
    if (!replayed) error = replayed.error();
    store->on_durable([this](Result<env::Store::Durable> safe) {
      const MutexLock lock(mutex_);
      if (safe) {
        durable_ = safe->number;
        positions_.insert(positions_.end(), safe->positions.begin(), safe->positions.end());
      } else {
        failed_ = safe.error();
      }
      changed_.notify_all();
    });
  }
  ~Subject() { store.reset(); }  // It is destroyed first, since it still reports writes then.

  // Submits and waits until it is durable.
  void write(Batch batch) { wait(store->submit(std::move(batch))); }
  void put(Space space, Bytes key, Bytes value) {
    Batch batch;
    batch.put(space, std::move(key), std::move(value));
    write(std::move(batch));
  }
  void wait(uint64_t number) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    const MutexLock lock(mutex_);
    while (durable_ < number && !failed_) ASSERT_TRUE(changed_.wait_until(mutex_, until));
    ASSERT_FALSE(failed_) << failed_->message;
  }
  std::map<Bytes, Bytes> all(Space space, BytesView from = "", BytesView to = "") {
    std::map<Bytes, Bytes> found;
    const auto scanned = store->scan(space, from, to, [&](BytesView key, BytesView value) {
      found[Bytes(key)] = Bytes(value);
      return true;
    });
    EXPECT_TRUE(scanned) << scanned.error().message;
    return found;
  }
  Bytes get(Space space, BytesView key) {
    const auto value = store->get(space, key);
    EXPECT_TRUE(value);
    return value && *value ? **value : Bytes("(nothing)");
  }

  // Writes the records with one key, and returns where they are.
  std::vector<env::Position> append(const std::vector<Bytes>& all) {
    Batch batch;
    for (const Bytes& bytes : all) batch.records.push_back({1, Payload(bytes)});
    batch.put(Space::meta, "records", all.back());
    write(std::move(batch));
    const MutexLock lock(mutex_);
    return std::exchange(positions_, {});
  }

  std::unique_ptr<env::Store> store;
  std::vector<std::pair<env::Position, Bytes>> records;  // That were there at the start.
  std::optional<Error> error;

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  uint64_t durable_ GUARDED_BY(mutex_) = 0;
  std::vector<env::Position> positions_ GUARDED_BY(mutex_);
  std::optional<Error> failed_ GUARDED_BY(mutex_);
};

// The image that a crash of the machine would leave now, if the disk had written everything.
inline void copy_crash_image(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

}  // namespace databridge::platform
