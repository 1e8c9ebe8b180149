// Disks of the simulated world.
#include <algorithm>

#include "base/check.h"
#include "sim/world_machine.h"

namespace databridge::sim {

Result<void> SimStore::replay(const Visit& visit) {
  if (disk_.log.secret == 0) disk_.log.secret = world_.random().next();
  ++disk_.log.start;
  auto opened = log::SegmentLog::open(disk_.files, disk_.log, disk_.log_mark, visit);
  if (!opened) return tl::make_unexpected(opened.error());
  log_ = std::move(*opened);
  return {};
}

uint64_t SimStore::submit(env::Batch batch) {
  world_.on_submit(node_, batch);
  pending_.push_back(std::move(batch));
  if (!syncing_) begin_sync();
  return ++submitted_;
}

Result<std::optional<Bytes>> SimStore::get(env::Space space, BytesView key) {
  const auto& map = disk_.spaces[static_cast<size_t>(space)];
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
  const auto& map = disk_.spaces[static_cast<size_t>(space)];
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
      (void)write(pending_[i]);
      continue;
    }
    for (const env::Write& item : pending_[i].writes) lost += item.key.size() + item.value.size();
    for (const env::Record& item : pending_[i].records) lost += item.bytes.size();
    (void)write_records(pending_[i]);
  }
  disk_.files.lose_power(world_.random());
  pending_.clear();
  return lost;
}

Result<std::vector<env::Position>> SimStore::write_records(const env::Batch& batch) {
  if (batch.records.empty()) return std::vector<env::Position>();
  CHECK(log_ != nullptr);
  std::vector<log::Record> records;
  for (const env::Record& record : batch.records) {
    records.push_back({record.kind, record.bytes.view()});
  }
  return log_->write(records);
}

Result<std::vector<env::Position>> SimStore::write(const env::Batch& batch) {
  auto positions = write_records(batch);
  if (!positions) return positions;
  if (log_) {
    if (auto synced = log_->sync(); !synced) return tl::make_unexpected(synced.error());
    disk_.log_mark = log_->durable();
    for (const env::FileId file : batch.forgotten) log_->forget(file);
  }
  write_keys(batch);
  return positions;
}

void SimStore::write_keys(const env::Batch& batch) {
  for (const env::Write& item : batch.writes) {
    auto& map = disk_.spaces[static_cast<size_t>(item.space)];
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
    Durable durable;
    for (size_t i = 0; i < count; ++i) {
      const auto positions = write(pending_[i]);
      CHECK(positions.has_value());
      durable.positions.insert(durable.positions.end(), positions->begin(), positions->end());
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    durable_ += count;
    if (!pending_.empty()) begin_sync();
    durable.number = durable_;
    told_(std::move(durable));
    world_.wake(node_);
  });
}

}  // namespace databridge::sim
