// Disks of the simulated world.
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

}  // namespace databridge::sim
