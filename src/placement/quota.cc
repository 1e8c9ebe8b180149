#include "placement/quota.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace databridge::placement {
namespace {

double share_at(const Holding& holding, double level) {
  return std::clamp<double>(level * holding.weight, holding.fixed, holding.most);
}

double sum_at(const std::vector<Holding>& holdings, double level) {
  double sum = 0;
  for (const Holding& holding : holdings) sum += share_at(holding, level);
  return sum;
}

}  // namespace

std::vector<Quota> quotas(std::vector<Holding> holdings) {
  uint64_t all = 0, room = 0;
  double lightest = 1;
  for (Holding& holding : holdings) {
    CHECK(holding.fixed <= holding.has);
    holding.most = std::max(holding.most, holding.fixed);
    all += holding.has;
    room += holding.most;
    if (holding.weight > 0) lightest = std::min(lightest, holding.weight);
  }
  if (room < all) {
    for (Holding& holding : holdings) holding.most = std::max(holding.most, holding.has);
  }
  // The sum grows with the level, so bisection finds the level. 200 steps go beyond the last bit of
  // a double.
  double low = 0;
  double high = (static_cast<double>(all) + 1) / lightest;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    (sum_at(holdings, middle) < static_cast<double>(all) ? low : high) = middle;
  }
  std::vector<Quota> result;
  for (const Holding& holding : holdings) {
    Quota quota;
    quota.share = share_at(holding, high);
    const double whole = std::round(quota.share);
    // A share that is whole but for the rounding of doubles is whole.
    const bool is_whole = std::abs(quota.share - whole) < 1e-6;
    quota.low = static_cast<uint32_t>(is_whole ? whole : std::floor(quota.share));
    quota.high = static_cast<uint32_t>(is_whole ? whole : std::ceil(quota.share));
    result.push_back(quota);
  }
  return result;
}

std::vector<uint32_t> targets(const std::vector<Holding>& holdings,
                              const std::vector<Quota>& quotas) {
  CHECK(holdings.size() == quotas.size());
  std::vector<uint32_t> target(holdings.size());
  int64_t missing = 0;
  for (size_t i = 0; i < holdings.size(); ++i) {
    target[i] = std::clamp(holdings[i].has, quotas[i].low, quotas[i].high);
    missing += static_cast<int64_t>(holdings[i].has) - static_cast<int64_t>(target[i]);
  }
  // A surplus goes to nodes whose target is rounded down, the one furthest below its share first. A
  // shortfall is taken from nodes whose target is rounded up, the one furthest above its share
  // first.
  std::vector<size_t> order(holdings.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto due = [&](size_t i) { return quotas[i].share - target[i]; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return missing > 0 ? due(a) > due(b) : due(a) < due(b);
  });
  for (const size_t i : order) {
    if (missing > 0 && target[i] < quotas[i].high) {
      ++target[i];
      --missing;
    } else if (missing < 0 && target[i] > quotas[i].low) {
      --target[i];
      ++missing;
    }
  }
  return target;
}

uint32_t moves_at_least(const std::vector<Holding>& holdings, const std::vector<Quota>& bounds) {
  CHECK(holdings.size() == bounds.size());
  uint32_t over = 0, under = 0;
  for (size_t i = 0; i < holdings.size(); ++i) {
    if (holdings[i].has > bounds[i].high) over += holdings[i].has - bounds[i].high;
    if (holdings[i].has < bounds[i].low) under += bounds[i].low - holdings[i].has;
  }
  return std::max(over, under);
}

}  // namespace databridge::placement
