#include "state/state.h"

namespace databridge {

State::State() = default;

void State::raise_generation() { ++generation_; }

void State::keep_events(size_t most) {
  events_kept_ = most;
  trim_events();
}

void State::trim_events() {
  while (events_.size() > events_kept_) {
    const auto [counter, oldest] = events_.nth(0);
    events_trimmed_ = oldest->id();
    events_.erase(uint64_t{*counter});
  }
}

const Member* State::member(const NodeId& node) const {
  const Incarnation* bearer = labels_.find(node);
  return bearer == nullptr ? nullptr : member(*bearer);
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

// Events are kept by a dense counter in order of their ids, so the first one after `after` is found
// by halving.
Result<std::vector<Event>> State::events_after(EventId after, size_t limit) const {
  if (after < events_trimmed_) {
    return fail(Code::gone, "events up to " + events_trimmed_.text() + " are no longer kept");
  }
  size_t low = 0, high = events_.size();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (events_.nth(middle).second->id() <= after) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  std::vector<Event> found;
  if (low == events_.size() || limit == 0) return found;
  events_.visit_from(*events_.nth(low).first, [&](uint64_t, const KeptEvent& event) {
    found.push_back(event.event());
    return found.size() < limit;
  });
  return found;
}

EventId State::last_event() const {
  return events_.empty() ? events_trimmed_ : events_.nth(events_.size() - 1).second->id();
}

const Remembered* State::result_at(LogIndex index) const {
  const Remembered* found = results_.find(index);
  return found != nullptr ? found : requests_.find(index);
}

std::optional<Applied> State::remembered(const std::string& key, uint64_t fingerprint) const {
  const LogIndex* index = results_key_.find(key);
  if (index == nullptr) return std::nullopt;
  const Remembered* first = result_at(*index);
  if (first->fingerprint == fingerprint) return first->applied;
  Applied other;
  other.index = *index;
  other.rejected = Error{Code::unprocessable, "the key was used for another request"};
  return other;
}

std::optional<uint64_t> State::keys_cut_ms() const {
  if (results_.size() < kResultsKept) return std::nullopt;
  const uint64_t kept = age_ms_ - results_.nth(0).second->age_ms;
  return kept < kResultsKeptMs ? std::optional(kept) : std::nullopt;
}

const Applied* State::remembered(RequestId request) const {
  const LogIndex* index = results_request_.find(request);
  return index == nullptr ? nullptr : &result_at(*index)->applied;
}

}  // namespace databridge
