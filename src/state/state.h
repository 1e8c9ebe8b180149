// The replicated state: all nodes agree on it at each log index.
//
// - Owns: members, flows, processors, assignments with epochs, configuration, strategy, tokens of
//   the API, the results of requests (for retries), and the newest events.
// - Hides: how a command changes them, which commands are impossible, and the bytes of a snapshot.
// - Pure: `apply` has no clock and no randomness, and changes only the state. The same commands
//   give the same state and events on every node. It never starts anything (safety.md 1.1).
//
// Copies share structure: a copy is a read view. One thread changes the state; any may read a copy.
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

  // Applies the command at `index`, which must be greater than version(). Returns its result and
  // the ids of all that it changed; its events are in events() from EventId{index, 0} on. If its
  // request or key is remembered, it changes nothing and gives the first result again. `bytes`: the
  // command as the log has it, for the chained hash; if empty, it is encoded here.
  Transition apply(LogIndex index, const Command& command, BytesView bytes = {});

  void skip(LogIndex index);  // An entry without a command (no-op, configuration) was committed.

  // The number of events that this node keeps; older ones are dropped at once. Nodes may differ: no
  // command reads events, and hash() does not cover them.
  void keep_events(size_t most);

  LogIndex version() const { return version_; }  // The index of the last applied entry.
  int64_t now_ms() const { return now_ms_; }     // Log time: for people (safety.md 8.2).
  uint64_t age_ms() const { return age_ms_; }    // The steady time of all leaders together.
  // A chained hash of all applied commands and results: equal on all nodes at the same version.
  uint64_t hash() const { return hash_; }
  uint32_t generation() const { return generation_; }  // The number of recoveries.
  FeatureSet features() const { return features_; }    // The active ones. They never go off again.
  LogIndex generation_at() const { return generation_at_; }  // Where it began; 0: at the start.
  Incarnation leader() const { return leader_; }  // As of the last SetVoters; 0 = none yet.

  const PersistentMap<Incarnation, Member>& members() const { return members_.rows(); }
  const PersistentMap<FlowId, FlowRow>& flows() const { return flows_.rows(); }
  FlowSpec whole(const FlowRow& flow) const;  // With the processors and connections themselves.
  bool has(const FlowSpec& flow) const;       // It is there, and is the same in every part.
  const PersistentMap<ProcessorId, ProcessorSpec>& processors() const { return processors_.rows(); }
  // One for each processor; that of a deleted processor stays until its owner has let go.
  const PersistentMap<ProcessorId, Assignment>& assignments() const { return assignments_.rows(); }
  const PersistentMap<std::string, ConfigItem>& config() const { return config_; }
  const PersistentMap<std::string, Token>& tokens() const { return tokens_; }  // By id.
  // The newest events. A position is a counter without gaps, the same on all nodes.
  const AppendLog<KeptEvent>& events() const { return events_; }
  Strategy strategy() const { return strategy_; }
  int64_t rebalanced_at_ms() const { return rebalanced_at_ms_; }

  const Member* member(Incarnation incarnation) const { return members().find(incarnation); }
  const Member* member(const NodeId& node) const;  // The present incarnation of the node.
  const Removed* removed(Incarnation incarnation) const { return removed_.find(incarnation); }
  const ConnectionSpec* connection(const Uuid& id) const;  // O(log n).
  const PersistentMap<Uuid, ConnectionSpec>& connections() const { return connections_.rows(); }

  // How many processors the member owns, including those that it is releasing. O(log n).
  uint32_t owned(Incarnation member) const;
  // Calls visit(ProcessorId) for each of them, in order.
  template <typename Visit>
  void each_owned(Incarnation member, Visit&& visit) const {
    each_of(owned_, member, visit);
  }
  // The same for the processors that are pinned to the node.
  template <typename Visit>
  void each_pinned(const NodeId& node, Visit&& visit) const {
    each_of(pinned_, node, visit);
  }
  // The same for processors that name the flow but are not in its list: they were added one by one.
  template <typename Visit>
  void each_loose(const FlowId& flow, Visit&& visit) const {
    each_of(loose_, flow, visit);
  }
  FlowShare owned(Incarnation member, const FlowId& flow) const;
  // Calls visit(RunState, ProcessorId) until it returns false, for assignments that are not
  // `running`, in order of state and id, beginning with `state` and `from`.
  template <typename Visit>
  void visit_not_running(RunState state, const ProcessorId& from, Visit&& visit) const {
    not_running_.visit_from({state, from},
                            [&](const auto& pair, bool) { return visit(pair.first, pair.second); });
  }
  size_t not_running() const { return not_running_.size(); }

  // At most `limit` events after `after`. Fails with `gone` when some of them are no longer kept.
  Result<std::vector<Event>> events_after(EventId after, size_t limit) const;
  EventId last_event() const;

  // The result of an earlier command with this key or request id, if it is still remembered. It is
  // a rejection if the key was used for another request.
  std::optional<Applied> remembered(const std::string& key, uint64_t fingerprint) const;
  const Applied* remembered(RequestId request) const;
  // How long keys are remembered, if their maximum number makes this shorter than it should be.
  std::optional<uint64_t> keys_cut_ms() const;

  // Exact: from_snapshot(s.snapshot()) behaves like `s`. Other bytes give an Error. Events and
  // results are in separate pieces, which later snapshots share while they are kept whole. So a
  // snapshot costs the size of the tables, plus the events and results since the snapshot before.
  Pieces snapshot() const;
  static Result<State> from_snapshot(BytesView bytes);
  static Result<State> from_snapshot(const Pieces& pieces) {
    return from_snapshot(pieces.joined().view());
  }
  // Hashes all that a snapshot holds. It is slow: for tests, and for comparing nodes by hand.
  uint64_t content_hash() const;
  // Only the user's part (flows, processors, configuration, strategy), for RestoreState.
  Bytes backup() const;

  static constexpr size_t kEventsKept = 100'000;  // Unless keep_events() sets another number.
  static constexpr size_t kRemovedKept = 10'000;

 private:
  // An index: pairs of an owner, node, state or flow, and a processor.
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
  friend class Applier;      // apply.cc: one method for each command.
  friend class Changes;      // changes.cc: only this class changes a Table.
  friend struct StateCodec;  // codec.cc.

  LogIndex version_ = 0;
  int64_t now_ms_ = 0;
  uint64_t age_ms_ = 0, hash_ = 0;
  uint32_t generation_ = 0;
  LogIndex generation_at_ = 0;
  FeatureSet features_;
  Strategy strategy_ = Strategy::least_loaded;
  int64_t rebalanced_at_ms_ = 0;
  Incarnation leader_;
  size_t events_kept_ = kEventsKept;  // A setting of this node, so it is not in a snapshot.
  EventId events_trimmed_;            // The newest event that is no longer kept.
  Table<Incarnation, Member> members_;
  PersistentMap<NodeId, Incarnation> labels_;    // The incarnation that has the label now.
  PersistentMap<Incarnation, Removed> removed_;  // The newest kRemovedKept ones.
  Table<FlowId, FlowRow> flows_;
  Table<ProcessorId, ProcessorSpec> processors_;
  Table<ProcessorId, Assignment> assignments_;
  Table<Uuid, ConnectionSpec> connections_;
  PersistentMap<std::string, ConfigItem> config_;
  PersistentMap<std::string, Token> tokens_;
  AppendLog<KeptEvent> events_;
  Results results_;
  PersistentMap<Incarnation, uint64_t> forgotten_;  // The newest forgotten counter, by origin.
  // Computed from the tables, so they are not in a snapshot.
  Index<Incarnation> owned_;
  PersistentMap<Incarnation, uint32_t> owned_count_;
  Index<NodeId> pinned_;
  Index<RunState> not_running_;  // Only few, while the cluster is at rest.
  Index<FlowId> loose_;          // Processors that name a flow which does not list them.
  PersistentMap<MemberFlow, FlowShare> owned_by_flow_;
};

}  // namespace databridge
