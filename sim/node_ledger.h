// The log as it was committed, carried out once more: what each command did, and that none was
// carried out twice.
//
// - Owns: a state of its own, which the nodes' must be equal to. Knows nothing of nodes: it is
//   handed one committed entry after the other.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/time.h"
#include "state/state.h"

namespace databridge::sim {

class NodeLedger {
 public:
  explicit NodeLedger(std::function<void(std::string)> fail) : fail_(std::move(fail)) {}

  // The next entry is committed, as some node shows. `command`: its bytes; nullptr: it holds none.
  void committed(const BytesView* command);

  const State& state() const { return state_; }
  LogIndex version() const { return state_.version(); }
  LogIndex restored_at() const { return restored_at_; }  // Of the newest backup brought back.
  uint64_t keys() const { return by_key_.size(); }       // That a command was carried out under.
  uint64_t repeats() const { return repeats_; }          // Commands that only gave an old answer.

 private:
  // However late the second comes: clients ask again for a minute or two, and keys are remembered
  // for longer (safety.md 8.3).
  void once(const std::string& what, LogIndex& before);

  std::function<void(std::string)> fail_;
  State state_;
  std::map<std::string, LogIndex> by_key_;
  std::map<RequestId, LogIndex> by_request_;
  LogIndex restored_at_ = 0;
  uint64_t repeats_ = 0;
};

}  // namespace databridge::sim
