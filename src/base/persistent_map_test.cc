// PersistentMap against std::map, on random changes and copies.
#include "base/persistent_map.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"

namespace databridge {
namespace {

using Clever = PersistentMap<std::string, std::shared_ptr<int>>;
using Dumb = std::map<std::string, std::shared_ptr<int>>;

void expect_same(const Clever& clever, const Dumb& dumb, Random& random) {
  ASSERT_EQ(clever.size(), dumb.size());
  ASSERT_EQ(clever.empty(), dumb.empty());
  auto next = dumb.begin();
  clever.each([&](const std::string& key, const auto& value) {
    ASSERT_NE(next, dumb.end());
    ASSERT_EQ(key, next->first);
    ASSERT_EQ(value, next->second);
    ++next;
  });
  ASSERT_EQ(next, dumb.end());
  const std::string from = std::to_string(random.below(1000));
  next = dumb.lower_bound(from);
  size_t left = 5;
  clever.visit_from(from, [&](const std::string& key, const auto&) {
    EXPECT_EQ(key, next++->first);
    return --left > 0;
  });
  EXPECT_TRUE(left == 0 || next == dumb.end());
  const size_t n = random.below(dumb.size() + 2);
  const auto [key, value] = clever.nth(n);
  if (n >= dumb.size()) {
    EXPECT_EQ(key, nullptr);
  } else {
    EXPECT_EQ(*key, std::next(dumb.begin(), static_cast<ptrdiff_t>(n))->first);
  }
}

void walk(uint64_t seed, uint64_t keys, int steps) {
  Random random(seed);
  Clever clever;
  Dumb dumb;
  std::vector<std::pair<Clever, Dumb>> copies;  // Copies made on the way; they must not change.
  double growth = 0.6;
  for (int step = 0; step < steps; ++step) {
    if (random.below(500) == 0) growth = 0.9 - growth;  // The map grows for a while, then shrinks.
    const std::string key = std::to_string(random.below(keys));
    if (random.chance(growth)) {
      const auto value = std::make_shared<int>(step);
      clever.set(key, value);
      dumb[key] = value;
    } else if (random.chance(0.3)) {
      const auto value = std::make_shared<int>(-step);
      const bool there = clever.change(key, [&](auto& changed) { changed = value; });
      EXPECT_EQ(there, dumb.count(key) > 0);
      if (there) dumb[key] = value;
    } else {
      EXPECT_EQ(clever.erase(key), dumb.erase(key) > 0);
    }
    const auto* found = clever.find(key);
    EXPECT_EQ(found != nullptr, dumb.count(key) > 0);
    if (step % (steps / 50) == 0) copies.emplace_back(clever, dumb);
    if (copies.size() > 10) copies.erase(copies.begin() + static_cast<ptrdiff_t>(random.below(10)));
    if (random.below(700) == 0 && !copies.empty()) {  // The map goes back to an earlier copy.
      clever = copies.front().first;
      dumb = copies.front().second;
    }
    if (step % (steps / 30) == 0) expect_same(clever, dumb, random);
  }
  expect_same(clever, dumb, random);
  for (const auto& [one, other] : copies) expect_same(one, other, random);
}

TEST(PersistentMap, AsStdMap) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    walk(seed, 40, 3'000);      // The tree has one leaf or two.
    walk(seed, 1'000, 10'000);  // The tree has two levels.
  }
  walk(99, 60'000, 300'000);  // The tree has three levels.
}

// No value is lost and none leaks: every value dies with the last map that has it.
TEST(PersistentMap, ValuesDieWithTheLastHolder) {
  const auto value = std::make_shared<int>(1);
  {
    Clever one;
    for (int i = 0; i < 5'000; ++i) one.set(std::to_string(i), value);
    Clever two = one;
    for (int i = 0; i < 5'000; i += 2) EXPECT_TRUE(two.erase(std::to_string(i)));
    EXPECT_EQ(value.use_count(), 5'001);
    one = {};
    EXPECT_EQ(value.use_count(), 2'501);
    Clever three = std::move(two);
    EXPECT_TRUE(two.empty());  // NOLINT(bugprone-use-after-move): that is what is tested.
    EXPECT_EQ(three.size(), 2'500u);
  }
  EXPECT_EQ(value.use_count(), 1);
}

// Events and results are kept like this: new items at the end, old ones taken off the front.
TEST(PersistentMap, AQueue) {
  PersistentMap<uint64_t, uint64_t> queue;
  PersistentMap<uint64_t, uint64_t> published;
  for (uint64_t n = 0; n < 200'000; ++n) {
    queue.set(n, n);
    if (queue.size() > 1'000) queue.erase(*queue.nth(0).first);
    if (n % 7 == 0) published = queue;
    ASSERT_EQ(*queue.nth(queue.size() - 1).first, n);
  }
  EXPECT_EQ(*queue.nth(0).first, 199'000u);
  EXPECT_EQ(queue.size(), 1'000u);
}

}  // namespace
}  // namespace databridge
