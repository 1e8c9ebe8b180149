// Executes the committed log once more, to record what each command did and to check that none was
// carried out twice.
//
// - Owns: a state of its own. The states of the nodes must be equal to it. It knows nothing of
//   nodes: it gets one committed entry after the other.
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

  // The next entry is committed, as some node shows. `command`: its bytes; nullptr: it holds no
  // command.
  void committed(const BytesView* command);

  const State& state() const { return state_; }
  LogIndex version() const { return state_.version(); }
  // The index of the newest backup that was restored.
  LogIndex restored_at() const { return restored_at_; }
  // The number of keys under which a command was carried out.
  uint64_t keys() const { return by_key_.size(); }
  // The number of commands that only gave an old answer.
  uint64_t repeats() const { return repeats_; }

 private:
  // A second execution is wrong, however late it comes: clients ask again for a minute or two, and
  // keys are remembered for longer (safety.md 8.3).
  void once(const std::string& what, LogIndex& before);

  std::function<void(std::string)> fail_;
  State state_;
  std::map<std::string, LogIndex> by_key_;
  std::map<RequestId, LogIndex> by_request_;
  LogIndex restored_at_ = 0;
  uint64_t repeats_ = 0;
};

}  // namespace databridge::sim
