// Disks and user files of the simulated world.
#include <algorithm>

#include "base/check.h"
#include "sim/world_machine.h"

namespace databridge::sim {

uint64_t SimStore::submit(env::Batch batch) {
  world_.on_submit(node_, batch);
  pending_.push_back(std::move(batch));
  if (!syncing_) begin_sync();
  return ++submitted_;
}

Result<std::optional<Bytes>> SimStore::get(env::Space space, BytesView key) {
  const auto& map = disk_[static_cast<size_t>(space)];
  const auto found = map.find(Bytes(key));
  if (found == map.end()) return std::optional<Bytes>();
  return std::optional<Bytes>(found->second);
}

env::Store::Room SimStore::room() const {
  const bool full = world_.machines_[node_]->full_until > world_.now();
  return {full ? 1ull << 20 : 100ull << 30, 200ull << 30, full};
}

Result<void> SimStore::scan(env::Space space, BytesView from, BytesView to,
                            const std::function<bool(BytesView, BytesView)>& visit) {
  const auto& map = disk_[static_cast<size_t>(space)];
  for (auto next = map.lower_bound(Bytes(from)); next != map.end(); ++next) {
    if (!to.empty() && BytesView(next->first) >= to) break;
    if (!visit(next->first, next->second)) break;
  }
  return {};
}

uint64_t SimStore::lose_unsynced() {
  const size_t kept = pending_.empty() ? 0 : world_.random().below(pending_.size() + 1);
  uint64_t lost = 0;
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (i < kept) {
      write(pending_[i]);
      continue;
    }
    for (const env::Write& item : pending_[i].writes) lost += item.key.size() + item.value.size();
  }
  pending_.clear();
  return lost;
}

void SimStore::write(const env::Batch& batch) {
  for (const env::Write& item : batch.writes) {
    auto& map = disk_[static_cast<size_t>(item.space)];
    switch (item.kind) {
      case env::Write::Kind::put:
        map[item.key] = item.value;
        break;
      case env::Write::Kind::erase:
        map.erase(item.key);
        break;
      case env::Write::Kind::erase_range:
        map.erase(map.lower_bound(item.key), map.lower_bound(item.value));
        break;
    }
  }
}

void SimStore::begin_sync() {
  syncing_ = true;
  const World::Machine& machine = *world_.machines_[node_];
  const size_t count = pending_.size();
  const Duration took = world_.between(20us, world_.faults_.sync_max + machine.sync_more);
  const bool fails = world_.random().chance(world_.faults_.disk_error);
  const Instant begins = std::max(world_.now() + machine.lag, machine.hung_until);
  world_.at_node(node_, begins + took, [this, count, fails] {
    syncing_ = false;
    if (fails) {
      told_(fail(Code::io, "simulated disk error"));
      world_.wake(node_);
      return;
    }
    for (size_t i = 0; i < count; ++i) write(pending_[i]);
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    durable_ += count;
    if (!pending_.empty()) begin_sync();
    told_(durable_);
    world_.wake(node_);
  });
}

class SimFiles::Open final : public env::OpenFile {
 public:
  Open(const SimFiles& all, std::string path, std::shared_ptr<File> file)
      : all_(all), path_(std::move(path)), file_(std::move(file)) {}

  Result<env::FileInfo> stat() override {
    if (auto bad = all_.fails(path_); !bad) return tl::make_unexpected(bad.error());
    return all_.info(path_, *file_);
  }
  Result<std::string> read(uint64_t offset, size_t length) override {
    if (auto bad = all_.fails(path_); !bad) return tl::make_unexpected(bad.error());
    if (offset >= file_->content.size()) return std::string();
    return file_->content.substr(offset, length);
  }
  Result<uint64_t> data_after(uint64_t offset) override { return offset; }
  Result<std::string> where() override { return path_; }

 private:
  const SimFiles& all_;
  std::string path_;
  std::shared_ptr<File> file_;  // Names and who has it open share it.
};

void World::append_file(NodeIndex node, const std::string& path, const std::string& text) {
  CHECK(SimFiles(*this, node, machines_[node]->files).append(path, text).has_value());
}

void World::rename_file(NodeIndex node, const std::string& from, const std::string& to) {
  SimFiles::Names& names = machines_[node]->files;
  names[to] = names.at(from);
  names.erase(from);
}

void World::empty_file(NodeIndex node, const std::string& path) {
  machines_[node]->files.at(path)->content.clear();
}

Result<void> SimFiles::fails(const std::string& path) const {
  if (!world_.random().chance(world_.faults_.file_error)) return {};
  return fail(Code::io, path + ": simulated error");
}

Result<env::FileInfo> SimFiles::stat(const std::string& path) {
  if (auto bad = fails(path); !bad) return tl::make_unexpected(bad.error());
  const auto found = names_.find(path);
  if (found == names_.end()) return fail(Code::not_found, path + " is not there");
  return info(path, *found->second);
}

Result<std::unique_ptr<env::OpenFile>> SimFiles::open(const std::string& path) {
  if (auto bad = fails(path); !bad) return tl::make_unexpected(bad.error());
  const auto found = names_.find(path);
  if (found == names_.end()) return fail(Code::not_found, path + " is not there");
  return std::make_unique<Open>(*this, path, found->second);
}

Result<std::string> SimFiles::read(const std::string& path, uint64_t offset, size_t length) {
  auto file = open(path);
  if (!file) return tl::make_unexpected(file.error());
  return (*file)->read(offset, length);
}

Result<std::vector<env::FileInfo>> SimFiles::list(const std::string& directory) {
  if (auto bad = fails(directory); !bad) return tl::make_unexpected(bad.error());
  std::vector<env::FileInfo> all;
  for (const auto& [path, file] : names_) {
    if (path.rfind(directory + "/", 0) == 0) all.push_back(info(path, *file));
  }
  return all;
}

SimFiles::File& SimFiles::made(const std::string& path) {
  auto& file = names_[path];
  file = std::make_shared<File>(File{world_.next_file(), ""});
  return *file;
}

// An error may come after it was done.
Result<void> SimFiles::write(const std::string& path, const std::string& content) {
  const auto bad = fails(path);
  if (!bad && world_.random().chance(0.5)) return bad;
  world_.on_file(node_, content, bad.has_value());
  made(path).content = content;
  return bad;
}

Result<void> SimFiles::create(const std::string& path, const std::string& content) {
  if (names_.contains(path)) return fail(Code::conflict, path + " is there already");
  return write(path, content);
}

Result<void> SimFiles::append(const std::string& path, BytesView content) {
  const auto found = names_.find(path);
  (found == names_.end() ? made(path) : *found->second).content += content;
  return {};
}

Result<void> SimFiles::remove(const std::string& path) {
  names_.erase(path);
  return {};
}

env::FileInfo SimFiles::info(const std::string& path, const File& file) const {
  env::FileInfo info;
  info.path = path;
  info.host = machine();
  info.device = 1;
  info.inode = info.birth = file.number;
  info.size = file.content.size();
  return info;
}

}  // namespace databridge::sim
