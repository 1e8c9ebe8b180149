// For tests: the files of a segment log in memory. When the power goes, each sector that was
// written since the last sync has its old content, its new one, or one in between.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "env/segment_files.h"

namespace databridge::log {

class ForgetfulFiles final : public env::SegmentFiles {
 public:
  static constexpr size_t kSector = 512;

  Result<std::vector<Slot>> list() override {
    std::vector<Slot> slots;
    for (const auto& [slot, file] : files) slots.push_back(slot);
    return slots;
  }
  Result<void> make(Slot slot) override {
    files[slot] = {};
    return {};
  }
  Result<void> remove(Slot slot) override {
    files.erase(slot);
    return {};
  }
  Result<void> write(Slot slot, uint64_t offset, BytesView bytes) override {
    if (fails) return fail(Code::io, "the disk does not work");
    File& file = files.at(slot);
    if (file.now.size() < offset + bytes.size()) file.now.resize(offset + bytes.size());
    for (size_t at = offset / kSector; at * kSector < offset + bytes.size(); ++at) {
      auto& history = file.unsynced[at];
      if (history.empty()) history.push_back(sector(file.synced, at));
    }
    file.now.replace(offset, bytes.size(), bytes);
    for (size_t at = offset / kSector; at * kSector < offset + bytes.size(); ++at) {
      file.unsynced[at].push_back(sector(file.now, at));
    }
    return {};
  }
  Result<void> sync(Slot slot) override {
    if (fails) return fail(Code::io, "the disk does not work");
    File& file = files.at(slot);
    file.synced = file.now;
    file.unsynced.clear();
    return {};
  }
  Result<Bytes> read(Slot slot, uint64_t offset, size_t length) override {
    if (!files.contains(slot)) return fail(Code::not_found, "there is no such slot");
    const Bytes& now = files.at(slot).now;
    return offset < now.size() ? now.substr(offset, length) : Bytes();
  }

  void lose_power(Random& random) {
    for (auto& [slot, file] : files) {
      for (const auto& [at, history] : file.unsynced) {
        const Bytes& content = history[random.below(history.size())];
        file.synced.resize(std::max(file.synced.size(), at * kSector + content.size()));
        file.synced.replace(at * kSector, content.size(), content);
      }
      file.now = file.synced;
      file.unsynced.clear();
    }
  }

  struct File {
    Bytes now;
    Bytes synced;
    std::map<size_t, std::vector<Bytes>> unsynced;  // By sector: what it has held since the sync.
  };
  std::map<Slot, File> files;
  bool fails = false;

 private:
  static Bytes sector(const Bytes& bytes, size_t at) {
    return at * kSector < bytes.size() ? bytes.substr(at * kSector, kSector) : Bytes();
  }
};

}  // namespace databridge::log
