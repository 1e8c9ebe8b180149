#include "cluster/replica_log.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace databridge::cluster {

uint64_t chained_hash(uint64_t before, Lsn lsn, BytesView ops) {
  Bytes head;
  append_little64(head, before);
  append_little64(head, lsn.epoch.number());
  append_little64(head, lsn.sequence);
  return hash64(ops, hash64(head));
}

void ReplicaLog::apply(const ReplicaWrite& write) {
  promised_ = std::max(promised_, write.promised);
  if (write.image) {
    const size_t covered = write.keeps_tail ? count_upto(write.image->at) : deltas_.size();
    deltas_.erase(deltas_.begin(), deltas_.begin() + static_cast<ptrdiff_t>(covered));
    image_ = *write.image;
  }
  if (write.deltas.empty()) return;
  const Lsn previous = write.deltas.front().previous;
  CHECK(holds(previous));
  deltas_.resize(count_upto(previous));
  deltas_.insert(deltas_.end(), write.deltas.begin(), write.deltas.end());
}

std::optional<uint64_t> ReplicaLog::hash_at(Lsn lsn) const {
  if (lsn == image_.at) return image_.hash;
  const size_t count = count_upto(lsn);
  if (count == 0 || deltas_[count - 1].lsn != lsn) return std::nullopt;
  return deltas_[count - 1].hash;
}

size_t ReplicaLog::count_upto(Lsn lsn) const {
  const auto end = std::upper_bound(deltas_.begin(), deltas_.end(), lsn,
                                    [](Lsn at, const Delta& delta) { return at < delta.lsn; });
  return static_cast<size_t>(end - deltas_.begin());
}

std::optional<Lsn> ReplicaLog::last_upto(Lsn lsn) const {
  if (lsn < image_.at) return std::nullopt;
  const size_t count = count_upto(lsn);
  return count == 0 ? image_.at : deltas_[count - 1].lsn;
}

Lsn ReplicaLog::last_of(Epoch epoch) const {
  return last_upto({epoch, std::numeric_limits<uint64_t>::max()}).value_or(image_.at);
}

std::vector<Delta> ReplicaLog::between(Lsn from, Lsn upto, size_t count_max,
                                       size_t bytes_max) const {
  std::vector<Delta> found;
  size_t bytes = 0;
  const size_t end = count_upto(upto);
  for (size_t i = count_upto(from); i < end && found.size() < count_max; ++i) {
    bytes += deltas_[i].size();
    if (bytes > bytes_max && !found.empty()) break;
    found.push_back(deltas_[i]);
  }
  return found;
}

bool is_chain(Lsn previous, uint64_t hash, const std::vector<Delta>& deltas) {
  for (const Delta& delta : deltas) {
    if (delta.previous != previous || delta.lsn <= previous) return false;
    if (delta.hash != chained_hash(hash, delta.lsn, delta.ops.view())) return false;
    previous = delta.lsn;
    hash = delta.hash;
  }
  return true;
}

}  // namespace databridge::cluster
