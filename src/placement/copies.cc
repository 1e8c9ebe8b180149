#include "placement/copies.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/bytes.h"

namespace databridge::placement {
namespace {

uint64_t weight(const ProcessorId& processor, Incarnation member) {
  Bytes key;
  append_big64(key, processor.high);
  append_big64(key, processor.low);
  append_big64(key, member.value);
  return hash64(key);
}

bool has(const std::vector<Incarnation>& all, Incarnation one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// The zones and machines that have a copy already.
class Spread {
 public:
  void add(const CopyHolder& member) {
    zones_.insert(member.zone);
    if (!member.host.empty()) hosts_.insert(member.host);
  }
  // From 0 (another zone and another machine) to 3 (the same zone and the same machine).
  int closeness(const CopyHolder& member) const {
    const bool shares_host = hosts_.contains(member.host);
    if (!zones_.contains(member.zone)) return shares_host ? 1 : 0;
    return shares_host ? 3 : 2;
  }

 private:
  std::set<std::string> zones_, hosts_;
};

}  // namespace

std::vector<Incarnation> choose_copies(const ProcessorId& processor, Incarnation owner,
                                       const std::vector<CopyHolder>& members, size_t wanted) {
  std::vector<Incarnation> chosen{owner};
  Spread spread;
  std::vector<std::pair<uint64_t, const CopyHolder*>> ranked;
  for (const CopyHolder& member : members) {
    if (member.incarnation == owner) {
      spread.add(member);
    } else if (member.fit) {
      ranked.emplace_back(weight(processor, member.incarnation), &member);
    }
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->incarnation < b.second->incarnation;
  });
  while (chosen.size() < wanted && !ranked.empty()) {
    const auto next =
        std::min_element(ranked.begin(), ranked.end(), [&](const auto& a, const auto& b) {
          return spread.closeness(*a.second) < spread.closeness(*b.second);
        });  // Of equally close ones the first, which has the greatest weight.
    chosen.push_back(next->second->incarnation);
    spread.add(*next->second);
    ranked.erase(next);
  }
  return chosen;
}

std::optional<CopyChange> next_change(const std::vector<Incarnation>& present,
                                      const std::vector<Incarnation>& chosen) {
  CopyChange change;
  for (const Incarnation one : chosen) {
    if (!change.add && !has(present, one)) change.add = one;
  }
  for (const Incarnation one : present) {
    if (!change.remove && !has(chosen, one)) change.remove = one;
  }
  if (!change.add && !change.remove) return std::nullopt;
  // A set that is still too small grows first.
  if (present.size() < chosen.size()) change.remove.reset();
  return change;
}

}  // namespace databridge::placement
