// The replicated state: what every node agrees on at one log index.
//
// - Owns: members, flows, processors, assignments with epochs, configuration, strategy, the results
//   of requests (for retries), the newest events.
// - Hides: how a command changes them, which commands are impossible, and the bytes of a snapshot.
// - Pure: `apply` has no clock, no chance and no effect but on itself; the same commands give the
//   same state and the same events everywhere. It never starts anything (safety.md 1.1).
//
// Copies share structure: a copy is a read view. One thread changes it, copies are read on any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/append_log.h"
#include "base/bytes.h"
#include "base/payload.h"
#include "base/persistent_map.h"
#include "base/result.h"
#include "state/parts.h"
#include "state/results.h"
#include "state/touched.h"

namespace databridge {

class State {
 public:
  State();

  // Applies the command of `index` (which must be greater than version()). Returns its result and
  // the ids of all that it changed; its events are in events() from EventId{index, 0} on. A request
  // or a key that is remembered changes nothing and gives the first result again. `bytes`: the
  // command as the log has it, which the hash is chained over; empty: encoded anew.
  Transition apply(LogIndex index, const Command& command, BytesView bytes = {});

  // An entry without a command (no-op, configuration) was committed.
  void skip(LogIndex index);

  // How many events this node keeps, the newest ones; more go at once. Nodes may differ: no command
  // looks at events, and hash() does not cover them.
  void keep_events(size_t most);

  // Only `recover` does this, offline: everything that was assigned before is fenced from then on.
  void raise_generation();

  LogIndex version() const { return version_; }  // Index of the last applied entry.
  int64_t now_ms() const { return now_ms_; }     // Log time: for people (safety.md 8.2).
  uint64_t age_ms() const { return age_ms_; }    // Steady time of all leaders together.
  // Chained over everything applied and what became of it; equal on all nodes at the same version.
  uint64_t hash() const { return hash_; }
  uint32_t generation() const { return generation_; }
  Incarnation leader() const { return leader_; }  // As of the last SetVoters; 0 = none yet.

  const PersistentMap<Incarnation, Member>& members() const { return members_.rows(); }
  const PersistentMap<FlowId, FlowSpec>& flows() const { return flows_.rows(); }
  const PersistentMap<ProcessorId, ProcessorSpec>& processors() const { return processors_.rows(); }
  // One a processor, and of deleted processors until their owner has let go.
  const PersistentMap<ProcessorId, Assignment>& assignments() const { return assignments_.rows(); }
  const PersistentMap<std::string, ConfigItem>& config() const { return config_; }
  // The newest ones. Position: a dense counter, the same on all nodes.
  const AppendLog<KeptEvent>& events() const { return events_; }
  Strategy strategy() const { return strategy_; }
  int64_t rebalanced_at_ms() const { return rebalanced_at_ms_; }

  const Member* member(Incarnation incarnation) const { return members().find(incarnation); }
  const Member* member(const NodeId& node) const;  // The present incarnation of the node.
  const Removed* removed(Incarnation incarnation) const { return removed_.find(incarnation); }
  const ConnectionSpec* connection(const Uuid& id) const;  // O(log n).

  const PersistentMap<Uuid, ConnectionSpec>& connections() const { return connections_.rows(); }

  // How many processors the member owns, those that it is releasing included. O(log n).
  uint32_t owned(Incarnation member) const;
  // visit(ProcessorId) for each of them, in order.
  template <typename Visit>
  void each_owned(Incarnation member, Visit&& visit) const {
    each_of(owned_, member, visit);
  }
  // The same for the processors whose source ties them to the node.
  template <typename Visit>
  void each_pinned(const NodeId& node, Visit&& visit) const {
    each_of(pinned_, node, visit);
  }
  // And for those that name the flow and are not in its list: they were added one by one.
  template <typename Visit>
  void each_loose(const FlowId& flow, Visit&& visit) const {
    each_of(loose_, flow, visit);
  }
  FlowShare owned(Incarnation member, const FlowId& flow) const;
  // visit(RunState, ProcessorId) until it returns false: the assignments that are not `running`, in
  // order of the state and the id, beginning with these.
  template <typename Visit>
  void visit_not_running(RunState state, const ProcessorId& from, Visit&& visit) const {
    not_running_.visit_from({state, from},
                            [&](const auto& pair, bool) { return visit(pair.first, pair.second); });
  }
  size_t not_running() const { return not_running_.size(); }

  // Events after `after`, at most `limit`; `gone` when some of them are no longer kept.
  Result<std::vector<Event>> events_after(EventId after, size_t limit) const;
  EventId last_event() const;

  // What became of an earlier command with this key or request id, if it is still remembered; of a
  // key that another request was done with: a rejection.
  std::optional<Applied> remembered(const std::string& key, uint64_t fingerprint) const;
  const Applied* remembered(RequestId request) const;
  // For how long keys are remembered, where their number cuts the time that they should be.
  std::optional<uint64_t> keys_cut_ms() const;

  // Exact: from_snapshot(s.snapshot()) goes on as `s` does. Anything else is an Error. Events and
  // results lie in pieces of their own, which later snapshots share as long as they are kept whole:
  // a snapshot costs what the tables hold, and the events and results since the one before.
  Pieces snapshot() const;
  static Result<State> from_snapshot(BytesView bytes);
  static Result<State> from_snapshot(const Pieces& pieces) {
    return from_snapshot(pieces.joined().view());
  }
  // Of all that a snapshot holds: slow, for tests and for comparing nodes by hand.
  uint64_t content_hash() const;

  // The user's part only (flows, processors, configuration, strategy): for RestoreState.
  Bytes backup() const;

  static constexpr size_t kEventsKept = 100'000;  // Unless keep_events() says otherwise.
  static constexpr size_t kRemovedKept = 10'000;

 private:
  // An index: pairs of what is asked for and a processor.
  template <typename Of>
  using Index = PersistentMap<std::pair<Of, ProcessorId>, bool>;

  template <typename Of, typename Visit>
  static void each_of(const Index<Of>& index, const Of& of, Visit& visit) {
    index.visit_from({of, ProcessorId{}}, [&](const auto& pair, bool) {
      if (pair.first != of) return false;
      visit(pair.second);
      return true;
    });
  }

  void trim_events();

  friend class Applier;      // apply.cc: a method a command.
  friend class Changes;      // changes.cc: the only one that changes a Table.
  friend struct StateCodec;  // codec.cc.

  LogIndex version_ = 0;
  int64_t now_ms_ = 0;
  uint64_t age_ms_ = 0;
  uint64_t hash_ = 0;
  uint32_t generation_ = 0;
  Strategy strategy_ = Strategy::least_loaded;
  int64_t rebalanced_at_ms_ = 0;
  Incarnation leader_;
  size_t events_kept_ = kEventsKept;  // Of this node: not in a snapshot.
  EventId events_trimmed_;            // The newest event that is no longer kept.
  Table<Incarnation, Member> members_;
  PersistentMap<NodeId, Incarnation> labels_;    // Who bears the label now.
  PersistentMap<Incarnation, Removed> removed_;  // The newest kRemovedKept.
  Table<FlowId, FlowSpec> flows_;
  Table<ProcessorId, ProcessorSpec> processors_;
  Table<ProcessorId, Assignment> assignments_;
  Table<Uuid, ConnectionSpec> connections_;
  PersistentMap<std::string, ConfigItem> config_;
  AppendLog<KeptEvent> events_;
  Results results_;
  PersistentMap<Incarnation, uint64_t> forgotten_;  // The newest counter forgotten, by origin.
  // Counted from the tables, so they are not in a snapshot.
  Index<Incarnation> owned_;
  PersistentMap<Incarnation, uint32_t> owned_count_;
  Index<NodeId> pinned_;
  Index<RunState> not_running_;  // Few, in a cluster at rest.
  Index<FlowId> loose_;          // Name a flow that does not list them.
  PersistentMap<MemberFlow, FlowShare> owned_by_flow_;
};

}  // namespace databridge
