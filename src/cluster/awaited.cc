#include "cluster/awaited.h"

namespace databridge::cluster {
namespace {

constexpr Duration kCheckTakes = 2s;  // A node that is silent for longer is not waited for.

int64_t heard_ms(const NodeId& node, const SoftTable& soft, const State& state) {
  const Member* member = state.member(node);
  if (member == nullptr) return 0;
  for (const SoftMember& row : soft.members) {
    if (row.incarnation == member->info.incarnation) return row.heartbeat_last_ms;
  }
  return 0;
}

bool is_so(const Obeyed& wish, const SoftTable&, const Turn& turn) {
  const Assignment* assignment = turn.state.assignments().find(wish.processor);
  if (assignment == nullptr || assignment->wanted != wish.wanted) return true;  // Changed again.
  if (wish.wanted) return assignment->owner || assignment->reason != wish.reason_before;
  return !assignment->owner || assignment->releasing;
}

bool is_so(const Led& wish, const SoftTable&, const Turn& turn) {
  const Member* leader = turn.state.member(turn.consensus.leader);
  return leader != nullptr &&
         (turn.consensus.term > wish.term_before || leader->info.node == wish.to);
}

bool is_so(const HeardOf& wish, const SoftTable& soft, const Turn& turn) {
  if (heard_ms(wish.node, soft, turn.state) > wish.heard_before_ms) return true;
  return turn.now >= wish.until && soft.as_of_ms != wish.as_of_before_ms;
}

}  // namespace

std::optional<Awaited> awaited_by(const RequestBody& body, const SoftTable& soft,
                                  const Turn& turn) {
  if (const auto* transfer = std::get_if<TransferLeadership>(&body)) {
    return Led{transfer->to, turn.consensus.term};
  }
  if (const auto* check = std::get_if<CheckNode>(&body)) {
    return HeardOf{check->node, heard_ms(check->node, soft, turn.state), soft.as_of_ms,
                   turn.now + kCheckTakes};
  }
  const auto* change = std::get_if<Change>(&body);
  const auto* wish = change == nullptr ? nullptr : std::get_if<SetWanted>(&change->body);
  if (wish == nullptr) return std::nullopt;
  const Assignment* before = turn.state.assignments().find(wish->processor);
  if (before == nullptr || before->wanted == wish->wanted) return std::nullopt;
  return Obeyed{wish->processor, wish->wanted, before->reason};
}

bool is_seen(const Awaited& awaited, const SoftTable& soft, const Turn& turn) {
  return std::visit([&](const auto& wish) { return is_so(wish, soft, turn); }, awaited);
}

Instant changes_at(const Awaited& awaited, Instant now) {
  const auto* heard = std::get_if<HeardOf>(&awaited);
  return heard != nullptr && heard->until > now ? heard->until : Instant::max();
}

bool needs_no_word(const Awaited& awaited) { return std::holds_alternative<Led>(awaited); }

}  // namespace databridge::cluster
