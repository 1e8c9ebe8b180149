#include "sim/replica_checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"

namespace databridge::sim {

std::string text_of(Lsn lsn) { return fmt::format("({}, {})", lsn.epoch.index, lsn.sequence); }

void ReplicaChecker::fail(std::string what) {
  if (!violation_) violation_ = std::move(what);
}

uint64_t ReplicaChecker::hash_of(Lsn lsn) const {
  const auto found = by_lsn_.find(lsn);
  return found == by_lsn_.end() ? 0 : found->second;
}

bool ReplicaChecker::contains(uint64_t head, uint64_t hash) const {
  if (hash == 0) return true;
  const auto wanted = tree_.find(hash);
  if (wanted == tree_.end()) return false;
  while (head != 0 && head != hash) {
    const Node& node = tree_.at(head);
    if (node.lsn < wanted->second.lsn) return false;
    head = node.parent;
  }
  return head == hash;
}

void ReplicaChecker::wrote(Incarnation who, const cluster::ReplicaWrite& write) {
  if (write.image) {
    const cluster::Image& image = *write.image;
    const bool is_right = image.hash == hash_of(image.at) &&
                          (image.hash == 0 || read_little64(image.bytes.view()) == image.hash);
    if (!is_right)
      fail(fmt::format("R2: {:x} takes another image of {}", who.value, text_of(image.at)));
  }
  for (const cluster::Delta& delta : write.deltas) {
    const auto known = tree_.find(delta.hash);
    if (known == tree_.end()) {
      tree_[delta.hash] = {delta.lsn, delta.previous, hash_of(delta.previous)};
    } else if (known->second.previous != delta.previous) {
      fail(fmt::format("R2: {:x} writes {} behind {}, it was made behind {}", who.value,
                       text_of(delta.lsn), text_of(delta.previous),
                       text_of(known->second.previous)));
    }
    const auto [same, fresh] = by_lsn_.try_emplace(delta.lsn, delta.hash);
    if (same->second != delta.hash) {
      fail(fmt::format("R2: {:x} writes another delta {}", who.value, text_of(delta.lsn)));
    }
  }
}

void ReplicaChecker::is_durable(Incarnation who, const cluster::ReplicaLog& log) {
  std::set<uint64_t>& ever = ever_[who];
  for (uint64_t at = hash_of(log.last()); at != 0 && ever.insert(at).second;) {
    at = tree_.at(at).parent;
  }
}

void ReplicaChecker::promised(Incarnation who, Epoch epoch) {
  promised_[who] = std::max(promised_[who], epoch);
}

void ReplicaChecker::took(Incarnation who, Epoch epoch) {
  if (epoch >= promised_[who]) return;
  fail(fmt::format("R3: {:x} takes something of epoch {} and has promised {}", who.value,
                   epoch.index, promised_[who].index));
}

void ReplicaChecker::assigned(const Replication& next) {
  if (next.prior == opened_) return;
  fail(fmt::format("R5: before epoch {} the last one that was opened is {}, not {}",
                   next.epoch.index, opened_.index, next.prior.index));
}

void ReplicaChecker::counts_promise(Incarnation of, const Replication& under) {
  if (under.prior_copies.has(of)) return;
  fail(fmt::format("R6: epoch {} counts the promise of {:x}, which is no copy", under.epoch.index,
                   of.value));
}

void ReplicaChecker::counts_ack(Incarnation of, Lsn upto) {
  if (upto == Lsn{} || ever_[of].count(hash_of(upto)) > 0) return;
  fail(fmt::format("R6: {} counts as acknowledged by {:x}, whose disk never had it", text_of(upto),
                   of.value));
}

void ReplicaChecker::began(Epoch epoch, uint64_t own) { own_[epoch] = {own}; }

void ReplicaChecker::chose(Epoch epoch, const std::map<Incarnation, Lsn>& promises) {
  std::vector<uint64_t>& reached = reached_[epoch];
  reached = own_[epoch];
  for (const auto& [copy, last] : promises) reached.push_back(hash_of(last));
}

void ReplicaChecker::opens(Epoch epoch, uint64_t start) {
  if (starts_.try_emplace(epoch, start).first->second == start) return;
  fail(fmt::format("R2: epoch {} gets its opening record twice", epoch.index));
}

void ReplicaChecker::opened(const Replication& assignment) {
  const Epoch epoch = assignment.epoch;
  const uint64_t head = hash_of({epoch, 1});
  while (!contains(head, acknowledged_)) {
    const Node& gone = tree_.at(acknowledged_);
    const std::vector<uint64_t>& reached = reached_[epoch];
    const bool was_in_reach = std::any_of(
        reached.begin(), reached.end(), [&](uint64_t log) { return contains(log, acknowledged_); });
    if (was_in_reach || !assignment.prior_copies.may_lose()) {
      return fail(fmt::format("R1: epoch {} is opened without {}, which was acknowledged",
                              epoch.index, text_of(gone.lsn)));
    }
    ++lost_;
    acknowledged_ = gone.parent;
  }
  opened_ = epoch;
}

void ReplicaChecker::acknowledged(const Replication& under, Lsn upto, bool applied_opens) {
  const uint64_t hash = hash_of(upto);
  if (!applied_opens) {
    fail(fmt::format("R4: {} is acknowledged, and its owner has not applied Opens", text_of(upto)));
  }
  const auto& members = under.copies.members;
  const auto holders =
      static_cast<size_t>(std::count_if(members.begin(), members.end(), [&](Incarnation copy) {
        return ever_[copy].count(hash) > 0;
      }));
  if (holders < under.copies.acks_needed()) {
    fail(fmt::format("R10: {} is acknowledged, durable on {} copies of {}, needed are {}",
                     text_of(upto), holders, members.size(), under.copies.acks_needed()));
  }
  // An owner whose epoch is over may still acknowledge what the later epoch has.
  const uint64_t later = hash_of({opened_, 1});
  const bool is_over = upto.epoch < opened_;
  if (is_over ? !contains(later, hash) : !contains(hash, acknowledged_)) {
    fail(fmt::format("R1: {} is acknowledged beside epoch {}", text_of(upto), opened_.index));
  }
  if (contains(hash, acknowledged_)) acknowledged_ = hash;
}

}  // namespace databridge::sim
