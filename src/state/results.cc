#include "state/results.h"

namespace databridge {
namespace {

template <typename Is>
const Remembered* first_that(const AppendLog<Remembered>& log, Is&& is) {
  const Remembered* found = nullptr;
  log.visit_from(log.begin(), [&](uint64_t, const Remembered& result) {
    if (is(result)) found = &result;
    return found == nullptr;
  });
  return found;
}

}  // namespace

const Remembered* Results::find(const std::string& key) const {
  if (key.empty()) return nullptr;
  if (!index_.is_counted) {
    return first_that(with_key_, [&](const Remembered& result) { return result.key == key; });
  }
  const auto found = index_.keys.find(key);
  return found == index_.keys.end() ? nullptr : &with_key_.at(found->second);
}

const Remembered* Results::find(RequestId request) const {
  if (!request) return nullptr;
  if (!index_.is_counted) {
    const auto is = [&](const Remembered& result) { return result.request == request; };
    const Remembered* found = first_that(with_key_, is);
    return found != nullptr ? found : first_that(without_key_, is);
  }
  const auto found = index_.requests.find(request);
  if (found == index_.requests.end()) return nullptr;
  return &log(found->second.has_key).at(found->second.position);
}

bool Results::add(Remembered result) {
  count();
  if (find(result.key) != nullptr || find(result.request) != nullptr) return false;
  AppendLog<Remembered>& log = result.key.empty() ? without_key_ : with_key_;
  note(result, log.end());
  log.append(std::move(result));
  return true;
}

std::optional<Remembered> Results::take_old(uint64_t age_ms) {
  for (const bool has_key : {true, false}) {
    AppendLog<Remembered>& log = has_key ? with_key_ : without_key_;
    if (log.empty()) continue;
    const bool expired = age_ms - log.front().age_ms > kKeptMs;
    if (!expired && log.size() <= (has_key ? kWithKey : kWithoutKey)) continue;
    count();
    Remembered oldest = log.front();
    log.pop_front();
    if (has_key) index_.keys.erase(oldest.key);
    if (oldest.request) index_.requests.erase(oldest.request);
    return oldest;
  }
  return std::nullopt;
}

void Results::count() {
  if (std::exchange(index_.is_counted, true)) return;
  const auto note_it = [&](uint64_t position, const Remembered& result) { note(result, position); };
  with_key_.each(note_it);
  without_key_.each(note_it);
}

void Results::note(const Remembered& result, uint64_t position) {
  const bool has_key = !result.key.empty();
  if (has_key) index_.keys.emplace(result.key, position);
  if (result.request) index_.requests.emplace(result.request, Place{has_key, position});
}

}  // namespace databridge
