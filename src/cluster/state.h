// The replicated state: what every node agrees on at one log index.
//
// Owns   members, flows, processors, assignments with epochs, configuration, strategy, the results
// of
//        requests (for retries), the newest events.
// Hides  how a command changes them, which commands are impossible, and the bytes of a snapshot.
// Pure   `apply` has no clock, no chance and no effect but on itself; the same commands give the
// same
//        state and the same events everywhere. It never starts anything (safety.md 1.1).
// Copies share structure: a copy is a read view. One thread changes it, copies are read on any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/persistent_map.h"
#include "base/result.h"
#include "model/assignment.h"
#include "model/command.h"
#include "model/event.h"
#include "model/flow.h"
#include "model/member.h"

namespace databridge::cluster {

struct ConfigItem {
  std::string json;
  LogIndex version = 0;  // Of its own last write.
  bool operator==(const ConfigItem&) const = default;
};

// What became of a command: kept for retries by its idempotency key (safety.md 5.5).
struct Applied {
  LogIndex index = 0;
  std::optional<Error> rejected;  // An impossible command changes nothing and says why.
  ProcessorId processor;          // The processor it was about, if any.
};

class State {
 public:
  State();

  // Applies the command of `index` (which must be greater than version()) and returns what became
  // of it; the events it caused are in events() from EventId{index, 0} on.
  Applied apply(LogIndex index, const Command& command);

  // An entry without a command (no-op, configuration) was committed.
  void skip(LogIndex index);

  LogIndex version() const { return version_; }  // Index of the last applied entry.
  int64_t now_ms() const { return now_ms_; }     // The newest leader stamp; never goes back.
  uint64_t hash() const {
    return hash_;
  }  // Chained over everything applied; equal on all nodes
     // at the same version.
  uint32_t generation() const { return generation_; }

  const PersistentMap<Incarnation, Member>& members() const { return members_; }
  const PersistentMap<FlowId, FlowSpec>& flows() const { return flows_; }
  const PersistentMap<ProcessorId, ProcessorSpec>& processors() const { return processors_; }
  const PersistentMap<ProcessorId, Assignment>& assignments() const { return assignments_; }
  const PersistentMap<std::string, ConfigItem>& config() const { return config_; }
  const PersistentMap<uint64_t, Event>& events() const { return events_; }  // Key: a dense counter.
  Strategy strategy() const { return strategy_; }
  int64_t rebalanced_at_ms() const { return rebalanced_at_ms_; }

  const Member* member(Incarnation incarnation) const { return members_.find(incarnation); }
  const Member* member(const NodeId& node) const;          // The present incarnation of the node.
  const ConnectionSpec* connection(const Uuid& id) const;  // O(log n).

  // Events after `after`, at most `limit`; `gone` when some of them are no longer kept.
  Result<std::vector<Event>> events_after(EventId after, size_t limit) const;
  EventId last_event() const;

  // What became of an earlier command with this key, if it is still remembered.
  const Applied* remembered(const std::string& idempotency_key) const;

  Bytes snapshot() const;
  static Result<State> from_snapshot(BytesView bytes);

  // The user's part only (flows, processors, configuration, strategy): for RestoreState.
  Bytes backup() const;

  // How many events are kept (config `events.retention`, the same on all nodes by default).
  static constexpr size_t kEventsKept = 100'000;

 private:
  friend class Applier;  // state_apply.cc: a method a command.
  friend struct StateCodec;

  LogIndex version_ = 0;
  int64_t now_ms_ = 0;
  uint64_t hash_ = 0;
  uint32_t generation_ = 0;
  Strategy strategy_ = Strategy::least_loaded;
  int64_t rebalanced_at_ms_ = 0;
  uint64_t events_made_ = 0;  // The counter of the next event.
  PersistentMap<Incarnation, Member> members_;
  PersistentMap<NodeId, Incarnation> labels_;  // Who bears the label now.
  PersistentMap<FlowId, FlowSpec> flows_;
  PersistentMap<ProcessorId, ProcessorSpec> processors_;
  PersistentMap<ProcessorId, Assignment> assignments_;
  PersistentMap<Uuid, ConnectionSpec> connections_;
  PersistentMap<std::string, ConfigItem> config_;
  PersistentMap<uint64_t, Event> events_;
  PersistentMap<std::string, Applied> results_;                             // By idempotency key.
  PersistentMap<uint64_t, std::pair<std::string, int64_t>> results_order_;  // Oldest first.
};

}  // namespace databridge::cluster
