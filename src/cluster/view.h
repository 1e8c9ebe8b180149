// What a node shows to readers: the replicated state at one index and the soft table beside it.
// Immutable once published; shares structure with the state, so publishing is cheap. Any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "cluster/state.h"
#include "model/message.h"

namespace databridge::cluster {

struct View {
  State state;  // A copy costs a few pointers.
  MemberInfo self;
  ClusterId cluster;   // Empty: founded nothing and joined nothing yet.
  Incarnation leader;  // 0: none known.
  Term term = 0;
  LogIndex commit = 0;      // Known to be committed; state.version() is what is applied.
  bool linked = true;       // What is asked of the leader here reaches it.
  bool has_quorum = false;  // Leader: a quorum answered of late. Follower: it hears its leader.
  SoftTable soft;           // The leader's, or the newest that the leader pushed.
  int64_t published_at_ms = 0;
  bool bootstrapped = false;
  std::string note;  // Why there is no cluster yet, in words.
};

// shared_ptr, because readers on any thread keep the view they hold while newer ones are published.
using ViewPtr = std::shared_ptr<const View>;

}  // namespace databridge::cluster
