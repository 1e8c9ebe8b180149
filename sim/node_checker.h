// The invariants of whole nodes, looked at from outside after every step.
//
// - Owns: what every node has shown so far. Knows nothing of how a node works inside: it sees
//   views, answers to clients, and what the hosts did.
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

  void fail(std::string text);  // The first is what the run is about.

  // A node has ended a turn and shows this.
  void observe(size_t node, const cluster::View& view, bool leading);
  // Log matching: a node hands this record of its log to its store. Two entries of one index and
  // term are the same, and so are those before them.
  void logged(size_t node, BytesView record);
  void unlogged(size_t node, LogIndex from, LogIndex to);  // It erases [from, to).

  // A client was told that its key is written, at this index.
  void acknowledged(const std::string& key, const std::string& json, LogIndex index);
  // The same, of a request that may be made several times under one idempotency key.
  void acknowledged_once(const std::string& key, const std::string& json, LogIndex index);
  // The same, of a request that wrote no key.
  void answered_once(const std::string& request, LogIndex index);
  // A read that began when `acknowledged` had seen `least` was answered at `index`.
  void linearizable_read(LogIndex least, LogIndex index);
  LogIndex acknowledged_upto() const { return acknowledged_upto_; }
  // Time passes: what was acknowledged by then is remembered for a while.
  void at(Instant now, Duration remembered);
  // A node that says that it is caught up has what was acknowledged before `then`.
  void caught_up(size_t node, LogIndex version, Instant then);

  // Whether that node, in the process that began with this, runs the processor under that epoch
  // still, and its clock has not reached the end of that lease.
  struct Tenure {
    size_t node = 0;
    Epoch epoch;
    Instant lease_until{};
  };
  std::function<bool(const ProcessorId&, const Tenure&)> still_runs;

  // What hosts do, in the order of the world.
  void began(size_t node, const ProcessorId& processor, Epoch epoch, Instant at,
             Instant lease_until);
  // Outputs that waited for their checkpoint may leave late, after a newer epoch has begun: the log
  // has decided that they count. So releases are counted here, and checked by what arrives:
  // a flow file that was accepted from one epoch's owner is never accepted from another's.
  void released() { ++totals["releases"]; }
  // `told`: its trigger knows that it was put, and so may take it.
  void arrived(size_t node, const std::string& flow_file, uint64_t epoch, bool told = true);
  // Exactly once: what a sink has put is not put again, by nobody, once the trigger that took it is
  // durable.
  void handed_in(size_t node, const ProcessorId& processor, Epoch epoch, uint64_t commit);
  void safe(size_t node, const ProcessorId& processor, Epoch epoch, uint64_t commit);
  void ended(size_t node);  // Its process: what was not safe is forgotten, or not.
  std::optional<uint64_t> epoch_of(const std::string& flow_file) const;  // None: it has not.

  // At the end: every acknowledged key is there, and nothing took effect twice.
  void check_all(const State& state);

  const NodeLedger& ledger() const { return ledger_; }
  bool strict = true;  // Keeps the ledger, and holds sinks to exactly once.
  // Backups are brought back: what was written after them is gone, flows begin anew.
  bool restores = false;
  bool may_repeat = false;  // A node has said that what it sends again may come twice.

  std::map<std::string, uint64_t, std::less<>> totals;

 private:
  struct Logged {  // An entry, as first seen.
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
  std::map<size_t, std::map<LogIndex, Term>> logs_;  // Of each node, as far as it was seen.
  std::map<std::string, uint64_t> arrived_;          // From which epoch each flow file came.
  using Work = std::pair<ProcessorId, Epoch>;
  struct Putting {                                 // Of one node.
    Work work;                                     // The trigger under way.
    std::map<Work, std::vector<std::string>> put;  // By the newest trigger.
    std::map<std::pair<Work, uint64_t>, std::vector<std::string>> handed_in;
  };
  std::map<size_t, Putting> putting_;
  std::set<std::string> taken_;          // For good.
  std::map<LogIndex, uint64_t> hashes_;  // Of the state, at versions that some node showed.
  std::map<size_t, LogIndex> versions_;
  std::map<Incarnation, LogIndex> members_;  // At which version each was first seen,
  std::map<Incarnation, LogIndex> removed_;  // and at which it was seen to be gone.
  std::map<ProcessorId, Epoch> epochs_;      // Newest seen in any state.
  static constexpr uint64_t kMany = 300;
  std::map<ProcessorId, uint64_t> tenures_;  // How many epochs were seen.
  std::map<ProcessorId, Tenure> begun_;      // Newest that began a trigger.
  Acknowledged acknowledged_;
  std::map<std::string, LogIndex> answered_once_;
  std::string looked_at_;  // The last of them that was looked for.
  LogIndex acknowledged_upto_ = 0;
  std::deque<std::pair<Instant, LogIndex>> acknowledged_at_;
  LogIndex moves_seen_ = 0;
};

}  // namespace databridge::sim
