// Disks and user files of the simulated world. Internal to sim/world*.cc.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "log/forgetful_files.h"
#include "log/segment_log.h"
#include "sim/world.h"

namespace databridge::sim {

// A value: a copy of it is a copy of the disk.
struct Disk {
  std::array<std::map<Bytes, Bytes>, env::kSpaces> spaces;
  log::ForgetfulFiles files;  // Of the log of records.
  log::SegmentLog::Options log{.secret = 0, .start = 0, .file_bytes = 1u << 20};
  uint64_t log_mark = 0;  // A block of the log that was durable.
};

class SimStore final : public env::Store {
 public:
  SimStore(World& world, World::NodeIndex node, Disk& disk)
      : world_(world), node_(node), disk_(disk) {}

  Result<void> replay(const Visit& visit) override;
  uint64_t submit(env::Batch batch) override;
  void on_durable(std::function<void(Result<Durable>)> told) override { told_ = std::move(told); }
  Result<std::optional<Bytes>> get(env::Space space, BytesView key) override;
  Result<void> scan(env::Space space, BytesView from, BytesView to,
                    const std::function<bool(BytesView, BytesView)>& visit) override;
  Result<Bytes> read(const env::Position& at) override { return log_->read(at); }
  Room room() const override;

  // The power goes. Some of the unsynced batches may have reached the disk: the first ones, and
  // only whole ones. Any parts of the records of later ones may be there. Returns the lost bytes.
  uint64_t lose_unsynced();
  void write_keys(const env::Batch& batch);  // At once.

 private:
  void begin_sync();
  Result<std::vector<env::Position>> write(const env::Batch& batch);          // Durable at once.
  Result<std::vector<env::Position>> write_records(const env::Batch& batch);  // Not synced.

  World& world_;
  World::NodeIndex node_;
  Disk& disk_;
  std::unique_ptr<log::SegmentLog> log_;  // From replay() on.
  std::function<void(Result<Durable>)> told_;
  std::vector<env::Batch> pending_;
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
  bool syncing_ = false;
};

class SimFiles final : public env::Files {
 public:
  // The file numbers of one machine. The number of a deleted file is given to the next new one.
  struct Numbers {
    uint64_t last = 0;
    std::set<uint64_t> free;
  };
  // A file that has lost its name keeps its number and content while it is open.
  struct File {
    File(std::shared_ptr<Numbers> of, uint64_t born);
    ~File() { numbers->free.insert(number); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    std::shared_ptr<Numbers> numbers;
    uint64_t number;
    uint64_t birth;
    std::string content;
    std::string leads_to;                  // Not empty: it is a link.
    std::map<uint64_t, int> open_in_life;  // How often it is open in each life of the machine.
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;

  SimFiles(World& world, World::NodeIndex node, uint64_t life, Names& names)
      : world_(world), node_(node), life_(life), names_(names) {}

  std::string machine() const override { return "sim-" + std::to_string(node_); }
  Result<std::unique_ptr<env::OpenFile>> open(const std::string& path) override;
  void keep(const std::string& owner, std::unique_ptr<env::OpenFile> file) override;
  void close_kept() { kept_.clear(); }
  std::vector<std::unique_ptr<env::OpenFile>> kept(const std::string& owner) override {
    return std::exchange(kept_[owner], {});
  }

  Result<env::FileInfo> stat(const std::string& path) override;
  Result<std::string> read(const std::string& path, uint64_t offset, size_t length) override;
  Result<std::vector<env::FileInfo>> list(const std::string& directory) override;
  Result<void> write(const std::string& path, const std::string& content) override;
  Result<void> create(const std::string& path, const std::string& content) override;
  Result<void> append(const std::string& path, BytesView content) override;
  Result<void> remove(const std::string& path) override;
  Result<void> sync(const std::string&) override { return {}; }

 private:
  friend class UserPrograms;
  class Open;
  env::FileInfo info(const std::string& path, const File& file) const;
  Result<void> fails(const std::string& path) const;  // Fails perhaps.
  File& made(const std::string& path);
  std::string real(const std::string& path) const;  // The path with links resolved.

  World& world_;
  World::NodeIndex node_;
  uint64_t life_;
  Names& names_;
  std::map<std::string, std::vector<std::unique_ptr<env::OpenFile>>> kept_;
};

}  // namespace databridge::sim
