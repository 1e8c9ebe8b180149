// The small types of a State, besides the nouns of model/.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/persistent_map.h"
#include "base/result.h"
#include "model/assignment.h"
#include "model/command.h"
#include "model/event.h"
#include "model/flow.h"
#include "model/member.h"
#include "state/results.h"
#include "state/touched.h"

namespace databridge {

// The reason of an assignment that no leader has placed yet.
inline constexpr char kNotPlacedYet[] = "new";

struct ConfigItem {
  std::string json;
  LogIndex version = 0;  // The index of the item's own last write.
  bool operator==(const ConfigItem&) const = default;
};

// A flow as the state keeps it. The processors and connections that it lists are in tables of their
// own.
struct FlowRow {
  FlowId id;
  std::string name;
  std::vector<ProcessorId> processors;  // In the order of the flow, as are the connections.
  std::vector<Uuid> connections;

  bool lists(const ProcessorId& processor) const {
    return std::find(processors.begin(), processors.end(), processor) != processors.end();
  }
};
FlowRow row_of(const FlowSpec& flow);

// The effect of a command.
struct Transition {
  Applied applied;
  Touched touched;
};

// Rows that all code may read. Only Changes can change them, since it notes each change.
template <typename Key, typename Row>
class Table {
 public:
  const PersistentMap<Key, Row>& rows() const { return rows_; }

 private:
  friend class Changes;
  PersistentMap<Key, Row> rows_;
};

// An event as the state keeps it. The state keeps a hundred thousand of them, so all texts are
// packed into one string, which takes a fraction of the memory of strings and a map.
class KeptEvent {
 public:
  KeptEvent() = default;
  explicit KeptEvent(const Event& event);

  Event event() const;
  const EventId& id() const { return id_; }
  int64_t at_ms() const { return at_ms_; }
  std::string_view type() const { return text(0); }
  std::string_view node() const { return text(1); }
  std::string_view datum(std::string_view key) const;  // Empty if there is no such key.

 private:
  // Calls visit(text) for each text in turn until it returns false.
  template <typename Visit>
  void each_text(Visit&& visit) const;
  std::string_view text(size_t at) const;

  EventId id_;
  int64_t at_ms_ = 0;
  // The type, the node, then each key and value in turn. Before each text is its length: one byte,
  // or kLong and four bytes.
  Bytes texts_;
};

// A removed member. That incarnation never comes back (docs/adr/0007).
struct Removed {
  NodeId node;
  LogIndex index = 0;  // The index of its removal.
  std::string reason;
  bool operator==(const Removed&) const = default;
};

// How many processors of one flow a member owns, and how many of those must be alone (`spread`).
struct FlowShare {
  uint32_t all = 0;
  uint32_t spread = 0;
  bool operator==(const FlowShare&) const = default;
};
struct MemberFlow {
  Incarnation member;
  FlowId flow;
  auto operator<=>(const MemberFlow&) const = default;
};

}  // namespace databridge
