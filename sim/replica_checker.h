// Watches the copies of a simulated partition from outside and reports the first violation.
//
// - Owns: every delta that was ever written, the ones that each disk ever had, and those that were
//   acknowledged. It trusts no node.
// - Hides: the tree of all deltas. A delta's hash covers all before it, so a hash names a log.
//
// Pure. The numbers R1 … R10 are those of ADR 25.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/replica_message.h"
#include "model/replication.h"

namespace databridge::sim {

class ReplicaChecker {
 public:
  const std::optional<std::string>& violation() const { return violation_; }
  void fail(std::string what);  // Keeps only the first violation.

  // R2: one position has one hash everywhere, and one past.
  void wrote(Incarnation who, const cluster::ReplicaWrite& write);
  // This is on the disk of `who`, and stays counted when the disk is lost.
  void is_durable(Incarnation who, const cluster::ReplicaLog& log);
  // R3: a promise has left its node, and a node took something of an epoch.
  void promised(Incarnation who, Epoch epoch);
  void took(Incarnation who, Epoch epoch);
  // R5: the prior epoch is the one that was opened last.
  void assigned(const Replication& next);
  // R6: what an owner counts is of copies, and was on their disks.
  void counts_promise(Incarnation of, const Replication& under);
  void counts_ack(Incarnation of, Lsn upto);
  // The log that the owner of an epoch could reach, at least, and those that others promised: with
  // `async` only what none of them has may be lost.
  void began(Epoch epoch, uint64_t own);
  void chose(Epoch epoch, const std::map<Incarnation, Lsn>& promises);
  // R2: an epoch gets its opening record once, by one start of one node.
  void opens(Epoch epoch, uint64_t start);
  // R1: what was acknowledged is in the log of each later epoch that was opened.
  void opened(const Replication& assignment);
  // R1, R4 and R10: the owner lets go all up to a position.
  void acknowledged(const Replication& under, Lsn upto, bool applied_opens);

  // Whether the log that ends with `head` has the delta `hash`. Each log has the delta 0.
  bool contains(uint64_t head, uint64_t hash) const;
  uint64_t hash_of(Lsn lsn) const;                         // 0: no such delta was ever written.
  uint64_t acknowledged() const { return acknowledged_; }  // The last one, as a hash.
  uint64_t lost() const { return lost_; }  // With `async`, of what was acknowledged.

 private:
  struct Node {
    Lsn lsn, previous;
    uint64_t parent;
  };

  std::optional<std::string> violation_;
  std::map<uint64_t, Node> tree_;
  std::map<Lsn, uint64_t> by_lsn_;
  std::map<Incarnation, std::set<uint64_t>> ever_;
  std::map<Incarnation, Epoch> promised_;
  std::map<Epoch, std::vector<uint64_t>> reached_, own_;
  std::map<Epoch, uint64_t> starts_;
  Epoch opened_;
  uint64_t acknowledged_ = 0;
  uint64_t lost_ = 0;
};

std::string text_of(Lsn lsn);

}  // namespace databridge::sim
