// What a node shows to readers: the replicated state at one index and the soft table beside it.
// Immutable once published; shares structure with the state, so publishing is cheap. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "cluster/timing.h"
#include "model/message.h"
#include "state/state.h"

namespace databridge::cluster {

// A trigger of this node that has been with the workers for long.
struct StuckTrigger {
  ProcessorId processor;
  int64_t since_ms = 0;  // When it was handed to them.
  bool runs = false;     // It keeps a worker thread; else it still waits for one.

  bool operator==(const StuckTrigger&) const = default;
};

struct View {
  State state;  // A copy costs a few pointers.
  MemberInfo self;
  ClusterId cluster;   // Empty: founded nothing and joined nothing yet.
  Incarnation leader;  // 0: none known.
  Term term = 0;
  LogIndex commit = 0;         // Known to be committed; state.version() is what is applied.
  bool linked = true;          // What is asked of the leader here reaches it.
  bool has_quorum = false;     // Leader: a quorum answered of late. Follower: it hears its leader.
  bool in_touch = false;       // A leader with a quorum has acknowledged this node of late.
  bool caught_up = false;      // And what it said then to be committed is applied here.
  uint64_t voters_linked = 0;  // Other voters to which there is a link.
  std::string diverged;  // Not empty: its log contradicts the leader's; or a term has two leaders.
  std::string older_copy;                // Not empty: it has lost what it had acknowledged.
  bool stopping = false;                 // The process was told to end.
  std::optional<Duration> out_of_touch;  // Since it was in touch; none: it never was.
  std::optional<Duration> round_trip;    // To the leader and back, the last one.
  Timing timing;
  SoftTable soft;  // The leader's, or the newest that the leader pushed.
  int64_t published_at_ms = 0;
  bool bootstrapped = false;
  std::vector<StuckTrigger> stuck;
  std::string note;  // Why there is no cluster yet, in words.
};

// shared_ptr, because readers on any thread keep the view they hold while newer ones are published.
using ViewPtr = std::shared_ptr<const View>;

}  // namespace databridge::cluster
