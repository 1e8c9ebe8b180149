// Disks and user files of the simulated world.
#include <algorithm>

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

Result<env::FileInfo> SimFiles::stat(const std::string& path) {
  const auto found = files_.find(path);
  if (found == files_.end()) return fail(Code::not_found, path + " is not there");
  return info(*found);
}

Result<std::string> SimFiles::read(const std::string& path, uint64_t offset, size_t length) {
  const auto found = files_.find(path);
  if (found == files_.end()) return fail(Code::not_found, path + " is not there");
  if (offset >= found->second.size()) return std::string();
  return found->second.substr(offset, length);
}

Result<std::vector<env::FileInfo>> SimFiles::list(const std::string& directory) {
  std::vector<env::FileInfo> all;
  for (const auto& file : files_) {
    if (file.first.rfind(directory + "/", 0) == 0) all.push_back(info(file));
  }
  return all;
}

Result<void> SimFiles::write(const std::string& path, const std::string& content) {
  world_.on_file(node_, content);
  files_[path] = content;
  return {};
}

Result<void> SimFiles::append(const std::string& path, const std::string& content) {
  files_[path] += content;
  return {};
}

Result<void> SimFiles::remove(const std::string& path) {
  files_.erase(path);
  return {};
}

Result<void> SimFiles::rename(const std::string& from, const std::string& to) {
  const auto found = files_.find(from);
  if (found == files_.end()) return fail(Code::not_found, from + " is not there");
  files_[to] = found->second;
  files_.erase(from);
  return {};
}

env::FileInfo SimFiles::info(const std::pair<const std::string, std::string>& file) const {
  env::FileInfo info;
  info.path = file.first;
  info.host = "sim-" + std::to_string(node_);
  info.device = 1;
  info.inode = hash64(file.first);
  info.size = file.second.size();
  return info;
}

}  // namespace databridge::sim
