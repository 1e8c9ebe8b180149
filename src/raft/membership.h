// The configurations in the log: a server uses the newest one it has *appended*, committed or not,
// and goes back to the one before when that entry is truncated (thesis §4.1).
//
// - Owns: each configuration from the last compaction on, with its index; what a change makes of
//   one. Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::raft {

class Membership {
 public:
  Membership(Position position, Configuration configuration) {
    reset(position, std::move(configuration));
  }

  const Configuration& latest() const { return history_.back().configuration; }
  Position latest_position() const { return history_.back().position; }
  Index latest_index() const { return history_.back().position.index; }
  const Configuration& at(Index index) const;  // The newest at or before `index`.
  Position position_at(Index index) const;     // … and its own place, or its snapshot's.

  void append(Position position, Configuration configuration);
  bool truncate_from(Index index);  // True if latest() changed.
  void compact(Index upto);         // Forgets what is older than the newest at or before `upto`.
  void reset(Position position, Configuration configuration);

 private:
  struct Item {
    Position position;
    Configuration configuration;
  };
  const Item& item_at(Index index) const;

  std::vector<Item> history_;  // Never empty, indexes grow.
};

// What `change` makes of `from`, or why it makes no sense.
Result<Configuration> changed(const Configuration& from, const Change& change);

}  // namespace databridge::raft
