// What a node shows to readers: the replicated state at one index, and the soft table. Immutable
// once published. It shares structure with the state, so publishing is cheap. Any thread.
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

// A trigger of this node that the workers have had for long.
struct StuckTrigger {
  ProcessorId processor;
  int64_t since_ms = 0;  // When it was given to them.
  bool runs = false;     // It keeps a worker thread. False: it still waits for one.

  bool operator==(const StuckTrigger&) const = default;
};

// A feature of this build that is not active yet, and the members that are not known to have it.
struct WaitingFeature {
  Feature feature;
  std::vector<NodeId> members;
};

struct View {
  State state;  // A copy costs a few pointers.
  MemberInfo self;
  ClusterId cluster;   // Empty: it has not founded or joined one yet.
  Incarnation leader;  // 0: none known.
  Term term = 0;
  LogIndex commit = 0;  // Known to be committed. state.version() is the applied index.
  bool linked = true;   // A request to the leader can reach it from here.
  // On the leader: a quorum answered of late. On a follower: it hears its leader.
  bool has_quorum = false;
  bool in_touch = false;       // A leader with a quorum has acknowledged this node of late.
  bool caught_up = false;      // All that this leader then said to be committed is applied here.
  uint64_t voters_linked = 0;  // How many other voters this node has a link to.
  std::string diverged;  // Not empty: its log contradicts the leader's, or a term has two leaders.
  std::string older_copy;                // Not empty: it has lost entries that it had acknowledged.
  bool stopping = false;                 // The process was told to end.
  std::optional<Duration> out_of_touch;  // How long ago it was in touch; nullopt: it never was.
  std::optional<Duration> round_trip;    // The last round trip to the leader.
  Timing timing;
  SoftTable soft;  // On the leader its own, else the newest that the leader sent.
  int64_t published_at_ms = 0;
  bool bootstrapped = false;
  std::vector<StuckTrigger> stuck;
  std::string note;  // Why there is no cluster yet, in words.
  std::vector<WaitingFeature> waiting;
  bool features_held = false;  // The configuration keeps the waiting ones from becoming active.
};

// It is a shared_ptr, because readers on any thread keep their view while newer ones are published.
using ViewPtr = std::shared_ptr<const View>;

}  // namespace databridge::cluster
