// What this node must see before it answers a request, beyond the leader's word that it is begun. A
// stop is one entry of the log, and the release that follows from it is another; a transfer and a
// check are no entries at all.
//
// Owns nothing. Pure: functions of the state, the consensus and the table of soft facts.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "cluster/request.h"
#include "cluster/turn.h"

namespace databridge::cluster {

// The owner has let go of the processor, or a new one has it; or somebody has asked otherwise
// since.
struct Obeyed {
  ProcessorId processor;
  bool wanted = false;
  std::string reason_before;
};
// A later term has a leader, or `to` leads.
struct Led {
  NodeId to;
  Term term_before = 0;
};
// The leader has heard that node since, or has not for so long that it says so.
struct HeardOf {
  NodeId node;
  int64_t heard_before_ms = 0;
  int64_t as_of_before_ms = 0;
  Instant until;
};
using Awaited = std::variant<Obeyed, Led, HeardOf>;

// None: the leader's word is enough.
std::optional<Awaited> awaited_by(const RequestBody& body, const SoftTable& soft, const Turn& turn);
bool is_seen(const Awaited& awaited, const SoftTable& soft, const Turn& turn);
// When time alone may change the answer; max: it does not.
Instant changes_at(const Awaited& awaited, Instant now);
// The old leader's word may be lost with its leadership: what is seen is as good.
bool needs_no_word(const Awaited& awaited);

}  // namespace databridge::cluster
