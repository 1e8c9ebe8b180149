// The configurations in the log. A server uses the newest one that it has *appended*, committed or
// not. When that entry is truncated, it goes back to the one before (thesis §4.1).
//
// - Owns: each configuration since the last compaction, with its position, and the result of a
//   change. Pure.
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
  const Configuration& at(Index index) const;  // The newest configuration at or before `index`.
  // The position of that configuration, or of the snapshot that holds it.
  Position position_at(Index index) const;

  void append(Position position, Configuration configuration);
  bool truncate_from(Index index);  // True if latest() changed.
  // Forgets configurations older than the newest one at or before `upto`.
  void compact(Index upto);
  void reset(Position position, Configuration configuration);

 private:
  struct Item {
    Position position;
    Configuration configuration;
  };
  const Item& item_at(Index index) const;

  std::vector<Item> history_;  // Never empty; indexes grow.
};

// The configuration after `change`, or why the change makes no sense.
Result<Configuration> changed(const Configuration& from, const Change& change);

}  // namespace databridge::raft
