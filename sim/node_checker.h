// The invariants of whole nodes. They are checked from outside after every step.
//
// - Owns: what every node has shown so far. It knows nothing of how a node works inside: it sees
//   views, answers to clients, and the acts of hosts.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/view.h"
#include "model/ids.h"
#include "node/host.h"
#include "sim/node_ledger.h"

namespace databridge::sim {

class NodeChecker {
 public:
  // The first violation, in words.
  const std::optional<std::string>& violation() const { return violation_; }

  void fail(std::string text);  // Only the first call is kept: the run is about it.

  // A node has ended a turn and shows this view.
  void observe(size_t node, const cluster::View& view, bool leading);
  // Log matching: a node gives this record of its log to its store. Two entries with one index and
  // term are the same, and so are all entries before them.
  void logged(size_t node, BytesView record);
  void unlogged(size_t node, LogIndex from, LogIndex to);  // It erases [from, to).

  // A client was told that its key was written at this index.
  void acknowledged(const std::string& key, const std::string& json, LogIndex index);
  // The same for a request that may be made several times under one idempotency key.
  void acknowledged_once(const std::string& key, const std::string& json, LogIndex index);
  // The same for a request that wrote no key.
  void answered_once(const std::string& request, LogIndex index);
  // A read began when `acknowledged` had seen `least`, and was answered at `index`.
  void linearizable_read(LogIndex least, LogIndex index);
  LogIndex acknowledged_upto() const { return acknowledged_upto_; }
  // Time passes. Writes acknowledged up to now are remembered for a while.
  void at(Instant now, Duration remembered);
  // A node that says that it is caught up must have all writes that were acknowledged before
  // `then`.
  void caught_up(size_t node, LogIndex version, Instant then);

  // Whether the process that began with this tenure still runs the processor on that node under
  // that epoch, and its clock has not reached the end of that lease.
  struct Tenure {
    size_t node = 0;
    Epoch epoch;
    Instant lease_until{};
  };
  std::function<bool(const ProcessorId&, const Tenure&)> still_runs;

  // The acts of hosts, in the order of the world.
  void began(size_t node, const ProcessorId& processor, Epoch epoch, Instant at,
             Instant lease_until);
  // Outputs that waited for their checkpoint may leave late, after a newer epoch has begun, since
  // the log has decided that they count. So releases are only counted here. The check is made when
  // a flow file arrives: one that was accepted from the owner of one epoch is never accepted from
  // the owner of another.
  void released() { ++totals["releases"]; }
  // `told`: the trigger got no error, so it may take the flow file.
  void arrived(size_t node, const std::string& flow_file, uint64_t epoch, bool told = true);
  // Exactly once: when the trigger that took a flow file is durable, no sink puts it again.
  void handed_in(size_t node, const ProcessorId& processor, Epoch epoch, uint64_t commit);
  void safe(size_t node, const ProcessorId& processor, Epoch epoch, uint64_t commit);
  // Its process has ended. Triggers that were not safe may or may not be forgotten.
  void ended(size_t node);
  // nullopt: it has not arrived.
  std::optional<uint64_t> epoch_of(const std::string& flow_file) const;

  // True unless some node has shown another state at that index.
  bool is_known_as(LogIndex version, uint64_t hash) const;
  // A new generation begins with a log that has the same entries as the old one up to `common`.
  // What came after that is lost. But the epochs that ran before stay older than all that come.
  void recovered(LogIndex common);

  // At the end of a run: every acknowledged key is there, and nothing took effect twice.
  void check_all(const State& state);

  const NodeLedger& ledger() const { return ledger_; }
  bool strict = true;  // Keeps the ledger, and checks that sinks put each flow file exactly once.
  // Operators restore backups: later writes are gone, and flows begin anew.
  bool restores = false;
  bool may_repeat = false;  // A node has said that flow files that it sends again may come twice.

  std::map<std::string, uint64_t, std::less<>> totals;

 private:
  struct Logged {  // An entry as it was seen first.
    uint64_t hash = 0;
    std::optional<Term> before;
    std::optional<Bytes> command;  // Until it is in the ledger.
  };
  using Acknowledged = std::map<std::string, std::pair<std::string, LogIndex>>;

  void check_events(size_t node, const State& state);
  void write_ledger(size_t node, const cluster::View& view);
  void observe_members(const cluster::View& view, bool leading);
  void check_kept(const Acknowledged::value_type& one, const State& state);

  std::optional<std::string> violation_;
  NodeLedger ledger_{[this](std::string text) { fail(std::move(text)); }};
  std::map<Term, Incarnation> leaders_;
  std::map<std::pair<LogIndex, Term>, Logged> entries_;
  std::map<size_t, std::map<LogIndex, Term>> logs_;  // For each node, the entries that were seen.
  std::map<std::string, uint64_t> arrived_;          // The epoch from which each flow file came.
  using Work = std::pair<ProcessorId, Epoch>;
  struct Putting {                                 // For one node.
    Work work;                                     // The trigger under way.
    std::map<Work, std::vector<std::string>> put;  // The files that the newest trigger has put.
    std::map<std::pair<Work, uint64_t>, std::vector<std::string>> handed_in;
  };
  std::map<size_t, Putting> putting_;
  std::set<std::string> taken_;  // Flow files that were taken for good.
  // The hash of the state, at versions that some node has shown.
  std::map<LogIndex, uint64_t> hashes_;
  std::map<size_t, LogIndex> versions_;
  std::map<Incarnation, LogIndex> members_;  // The version at which each member was first seen.
  // The version at which each member was first seen to be gone.
  std::map<Incarnation, LogIndex> removed_;
  std::map<ProcessorId, Epoch> epochs_;  // The newest epoch that was seen in any state.
  static constexpr uint64_t kMany = 300;
  std::map<ProcessorId, uint64_t> tenures_;  // The number of epochs that were seen.
  std::map<ProcessorId, Tenure> begun_;      // The newest one that began a trigger.
  Acknowledged acknowledged_;
  std::map<std::string, LogIndex> answered_once_;
  std::string looked_at_;  // The last key of `answered_once_` that was checked.
  LogIndex acknowledged_upto_ = 0;
  std::deque<std::pair<Instant, LogIndex>> acknowledged_at_;
  LogIndex moves_seen_ = 0;
};

}  // namespace databridge::sim
