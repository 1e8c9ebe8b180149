#include "state/state.h"

#include <algorithm>

namespace databridge {

State::State() = default;

void State::keep_events(size_t most) {
  events_kept_ = most;
  trim_events();
}

void State::trim_events() {
  while (events_.size() > events_kept_) {
    events_trimmed_ = events_.front().id();
    events_.pop_front();
  }
}

const Member* State::member(const NodeId& node) const {
  const Incarnation* bearer = labels_.find(node);
  return bearer == nullptr ? nullptr : member(*bearer);
}

FlowRow row_of(const FlowSpec& flow) {
  FlowRow row{flow.id, flow.name, {}, {}};
  row.processors.reserve(flow.processors.size());
  row.connections.reserve(flow.connections.size());
  for (const auto& spec : flow.processors) row.processors.push_back(spec.id);
  for (const auto& one : flow.connections) row.connections.push_back(one.id);
  return row;
}

FlowSpec State::whole(const FlowRow& flow) const {
  FlowSpec whole{flow.id, flow.name, {}, {}};
  whole.processors.reserve(flow.processors.size());
  whole.connections.reserve(flow.connections.size());
  for (const ProcessorId& id : flow.processors) whole.processors.push_back(*processors().find(id));
  for (const Uuid& id : flow.connections) whole.connections.push_back(*connection(id));
  return whole;
}

bool State::has(const FlowSpec& flow) const {
  const FlowRow* row = flows().find(flow.id);
  if (row == nullptr || row->name != flow.name) return false;
  const auto same_processor = [&](const ProcessorId& id, const ProcessorSpec& spec) {
    const ProcessorSpec* known = processors().find(id);
    return id == spec.id && known != nullptr && *known == spec;
  };
  const auto same_connection = [&](const Uuid& id, const ConnectionSpec& spec) {
    const ConnectionSpec* known = connection(id);
    return id == spec.id && known != nullptr && *known == spec;
  };
  return std::ranges::equal(row->processors, flow.processors, same_processor) &&
         std::ranges::equal(row->connections, flow.connections, same_connection);
}

const ConnectionSpec* State::connection(const Uuid& id) const { return connections().find(id); }

uint32_t State::owned(Incarnation member) const {
  const uint32_t* count = owned_count_.find(member);
  return count == nullptr ? 0 : *count;
}

FlowShare State::owned(Incarnation member, const FlowId& flow) const {
  const FlowShare* share = owned_by_flow_.find({member, flow});
  return share == nullptr ? FlowShare{} : *share;
}

// Events are in order of their ids, so a binary search finds the first one after `after`.
Result<std::vector<Event>> State::events_after(EventId after, size_t limit) const {
  if (after < events_trimmed_) {
    return fail(Code::gone, "events up to " + events_trimmed_.text() + " are no longer kept");
  }
  uint64_t low = events_.begin(), high = events_.end();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (events_.at(middle).id() <= after) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  std::vector<Event> found;
  if (limit == 0) return found;
  events_.visit_from(low, [&](uint64_t, const KeptEvent& event) {
    found.push_back(event.event());
    return found.size() < limit;
  });
  return found;
}

EventId State::last_event() const {
  return events_.empty() ? events_trimmed_ : events_.back().id();
}

std::optional<Applied> State::remembered(const std::string& key, uint64_t fingerprint) const {
  const Remembered* first = results_.find(key);
  if (first == nullptr) return std::nullopt;
  if (first->fingerprint == fingerprint) return first->applied;
  Applied other;
  other.index = first->applied.index;
  other.rejected = Error{Code::unprocessable, "the key was used for another request"};
  return other;
}

std::optional<uint64_t> State::keys_cut_ms() const {
  const auto& results = results_.with_key();
  if (results.size() < Results::kWithKey) return std::nullopt;
  const uint64_t kept = age_ms_ - results.front().age_ms;
  return kept < Results::kKeptMs ? std::optional(kept) : std::nullopt;
}

const Applied* State::remembered(RequestId request) const {
  const Remembered* found = results_.find(request);
  return found == nullptr ? nullptr : &found->applied;
}

}  // namespace databridge
