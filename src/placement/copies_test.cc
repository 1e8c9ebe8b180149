#include "placement/copies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"

namespace databridge::placement {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

// Members 1, 2, 3 … each on its own machine; `zones` has the zone of each.
std::vector<CopyHolder> members(const std::vector<std::string>& zones) {
  std::vector<CopyHolder> all;
  for (const std::string& zone : zones) {
    const uint64_t number = all.size() + 1;
    all.push_back({Incarnation{number}, zone, "host-" + std::to_string(number), true});
  }
  return all;
}

std::vector<uint64_t> numbers(const std::vector<Incarnation>& all) {
  std::vector<uint64_t> values;
  values.reserve(all.size());
  for (const Incarnation one : all) values.push_back(one.value);
  return values;
}

TEST(Copies, AreTheSameInEveryVersion) {
  const auto five = members({"", "", "", "", ""});
  EXPECT_THAT(numbers(choose_copies({1, 1}, Incarnation{1}, five, 3)), ElementsAre(1, 3, 4));
  EXPECT_THAT(numbers(choose_copies({1, 2}, Incarnation{1}, five, 3)), ElementsAre(1, 2, 5));
  EXPECT_THAT(numbers(choose_copies({1, 3}, Incarnation{5}, five, 3)), ElementsAre(5, 1, 4));
}

TEST(Copies, AreInDifferentZonesAsFarAsThereAreSome) {
  for (uint64_t p = 1; p <= 200; ++p) {
    const auto all = members({"a", "a", "a", "b", "b", "c"});
    const auto three = choose_copies({p, p}, Incarnation{2}, all, 3);
    std::vector<std::string> zones;
    zones.reserve(three.size());
    for (const Incarnation one : three) zones.push_back(all[one.value - 1].zone);
    ASSERT_THAT(zones, UnorderedElementsAre("a", "b", "c"));
    EXPECT_EQ(choose_copies({p, p}, Incarnation{2}, all, 5).size(), 5u);
  }
}

TEST(Copies, AreOnDifferentMachinesAsFarAsThereAreSome) {
  auto all = members({"", "", "", ""});
  all[1].host = all[0].host;
  for (uint64_t p = 1; p <= 50; ++p) {
    EXPECT_THAT(choose_copies({p, p}, Incarnation{1}, all, 3),
                UnorderedElementsAre(Incarnation{1}, Incarnation{3}, Incarnation{4}));
  }
  // Another zone counts more than another machine.
  all[1].zone = "b";
  EXPECT_THAT(choose_copies({1, 1}, Incarnation{1}, all, 2),
              ElementsAre(Incarnation{1}, Incarnation{2}));
}

TEST(Copies, TheOwnerKeepsOneEvenIfItIsUnfitAndOthersMustBeFit) {
  auto all = members({"", "", ""});
  all[0].fit = all[2].fit = false;
  EXPECT_THAT(choose_copies({1, 1}, Incarnation{1}, all, 3),
              ElementsAre(Incarnation{1}, Incarnation{2}));
  EXPECT_THAT(choose_copies({1, 1}, Incarnation{9}, all, 3),
              ElementsAre(Incarnation{9}, Incarnation{2}))
      << "an owner that is no member any more";
}

TEST(Copies, AMemberThatGoesChangesOnlyTheSetsThatHadIt) {
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    std::vector<std::string> zones(random.between(4, 9));
    for (std::string& zone : zones) zone = std::string(1, static_cast<char>('a' + random.below(3)));
    auto all = members(zones);
    const ProcessorId p{random.next(), random.next()};
    const Incarnation owner{random.between(1, all.size())};
    const size_t wanted = random.between(1, 4);
    const auto before = choose_copies(p, owner, all, wanted);
    const size_t gone = random.below(all.size());
    if (all[gone].incarnation == owner) continue;
    all[gone].fit = false;
    const auto after = choose_copies(p, owner, all, wanted);
    const auto stay = std::count_if(before.begin(), before.end(), [&](Incarnation one) {
      return std::find(after.begin(), after.end(), one) != after.end();
    });
    const bool had = std::count(before.begin(), before.end(), all[gone].incarnation) > 0;
    if (!had) {
      ASSERT_EQ(before, after);
    } else {
      ASSERT_GE(static_cast<size_t>(stay) + 2, before.size())
          << "one goes, and the spread may ask for another one";
    }
  }
}

TEST(Copies, AreSpreadEvenly) {
  const auto five = members({"", "", "", "", ""});
  std::map<uint64_t, size_t> held;
  Random random(1);
  for (int i = 0; i < 5'000; ++i) {
    const ProcessorId p{random.next(), random.next()};
    for (const Incarnation one : choose_copies(p, Incarnation{random.between(1, 5)}, five, 3)) {
      ++held[one.value];
    }
  }
  for (const auto& [member, count] : held) EXPECT_NEAR(double(count), 3'000, 150) << member;
}

TEST(Copies, ChangeOneAtATimeAndTheNewcomerComesFirst) {
  const auto ids = [](std::initializer_list<uint64_t> values) {
    std::vector<Incarnation> all;
    for (const uint64_t value : values) all.push_back(Incarnation{value});
    return all;
  };
  EXPECT_EQ(next_change(ids({1, 2, 3}), ids({3, 1, 2})), std::nullopt);
  EXPECT_EQ(next_change(ids({1}), ids({1, 2, 3})), (CopyChange{Incarnation{2}, std::nullopt}));
  EXPECT_EQ(next_change(ids({1, 2}), ids({1, 3, 4})), (CopyChange{Incarnation{3}, std::nullopt}));
  EXPECT_EQ(next_change(ids({1, 2, 3}), ids({1, 4, 5})),
            (CopyChange{Incarnation{4}, Incarnation{2}}));
  EXPECT_EQ(next_change(ids({1, 2, 3}), ids({1, 2})), (CopyChange{std::nullopt, Incarnation{3}}));
  // Each walk ends.
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::vector<Incarnation> from, to;
    for (uint64_t m = 1; m <= 8; ++m) {
      if (random.chance(0.4)) from.push_back(Incarnation{m});
      if (random.chance(0.4)) to.push_back(Incarnation{m});
    }
    int steps = 0;
    while (const auto change = next_change(from, to)) {
      if (change->add) from.push_back(*change->add);
      if (change->remove) from.erase(std::find(from.begin(), from.end(), *change->remove));
      ASSERT_LE(++steps, 16);
    }
    ASSERT_TRUE(std::is_permutation(from.begin(), from.end(), to.begin(), to.end()));
  }
}

}  // namespace
}  // namespace databridge::placement
