// What this node must see before it answers a request, in addition to the leader's word that it is
// begun. A stop is one entry of the log, and the release that follows from it is another. A
// transfer and a check are no entries at all.
//
// Owns nothing. Pure: functions of the state, the consensus and the table of soft facts.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "cluster/request.h"
#include "cluster/turn.h"

namespace databridge::cluster {

// Seen when the owner has let go of the processor, or when a new owner has it. Also seen when a
// client has asked for the opposite since.
struct Obeyed {
  ProcessorId processor;
  bool wanted = false;
  std::string reason_before;
};
// Seen when a later term has a leader, or when `to` leads.
struct Led {
  NodeId to;
  Term term_before = 0;
};
// Seen when the leader has heard that node since, or when it says that it has not heard it for
// long.
struct HeardOf {
  NodeId node;
  int64_t heard_before_ms = 0;
  int64_t as_of_before_ms = 0;
  Instant until;
};
using Awaited = std::variant<Obeyed, Led, HeardOf>;

// nullopt: the leader's word is enough.
std::optional<Awaited> awaited_by(const RequestBody& body, const SoftTable& soft, const Turn& turn);
bool is_seen(const Awaited& awaited, const SoftTable& soft, const Turn& turn);
// When time alone may change the answer; max: never.
Instant changes_at(const Awaited& awaited, Instant now);
// The word of an old leader may be lost with its leadership. If this is true, seeing is enough.
bool needs_no_word(const Awaited& awaited);

}  // namespace databridge::cluster
