#include "raft/quorum.h"

#include <algorithm>
#include <functional>

#include "base/check.h"

namespace databridge::raft {
namespace {

// A majority has reached the value at place majority - 1 of the descending order.
template <typename T>
T nth_best(std::vector<T>& values) {
  CHECK(!values.empty());
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(majority(values.size()) - 1);
  std::nth_element(values.begin(), nth, values.end(), std::greater<>());
  return *nth;
}

}  // namespace

Index agreed(std::vector<Index>& values) { return nth_best(values); }
Instant agreed(std::vector<Instant>& values) { return nth_best(values); }

Verdict tally(size_t voters, size_t granted, size_t refused) {
  if (granted >= majority(voters)) return Verdict::won;
  // Lost as soon as the rest cannot make up for the refusals.
  return voters - refused < majority(voters) ? Verdict::lost : Verdict::pending;
}

}  // namespace databridge::raft
