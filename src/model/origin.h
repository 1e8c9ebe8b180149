// Where a command comes from: the request that asked for it, and the person or program behind that
// request. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "model/ids.h"

namespace databridge {

// The name of one request, the same each time that it is sent again or forwarded (safety.md 5.5).
struct RequestId {
  Incarnation from;
  uint64_t counter = 0;
  auto operator<=>(const RequestId&) const = default;
  explicit operator bool() const { return static_cast<bool>(from); }
};

// Who asked, as the node saw it that took the request. Empty: the API has no tokens, or the cluster
// decided it by itself.
struct Actor {
  std::string name;     // "ci (0123456789ab)": the name and the id of the token.
  std::string address;  // The client's IP address.
  bool operator==(const Actor&) const = default;
  explicit operator bool() const { return !name.empty(); }
};

// A command: something was asked for that changes nothing in the state. It is kept as an event, so
// that people can see who asked.
struct NoteAction {
  std::string action;   // "leader_transfer", "backup", …
  std::string subject;  // What it was done to, such as the id of a node; may be empty.
  bool operator==(const NoteAction&) const = default;
};

}  // namespace databridge
