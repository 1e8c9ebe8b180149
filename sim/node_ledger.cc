#include "sim/node_ledger.h"

#include <variant>

namespace databridge::sim {

void NodeLedger::committed(const BytesView* bytes) {
  const LogIndex index = version() + 1;
  auto command =
      bytes == nullptr ? Result<Command>(fail(Code::not_found, "none")) : decode_command(*bytes);
  if (!command) return state_.skip(index);
  const Applied applied = state_.apply(index, *command, *bytes).applied;
  if (applied.index != index) {
    ++repeats_;
    return;
  }
  if (applied.rejected) return;
  if (std::holds_alternative<RestoreState>(command->body)) restored_at_ = index;
  if (!command->idempotency_key.empty()) {
    once("the request under the key " + command->idempotency_key,
         by_key_[command->idempotency_key]);
  }
  if (command->request) {
    once("the request " + std::to_string(command->request.counter) + " of " +
             std::to_string(command->request.from.value),
         by_request_[command->request]);
  }
}

void NodeLedger::once(const std::string& what, LogIndex& before) {
  if (before != 0) {
    fail_(what + " took effect at index " + std::to_string(before) + ", and again at " +
          std::to_string(version()));
  }
  before = version();
}

}  // namespace databridge::sim
