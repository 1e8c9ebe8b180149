// AppendLog against std::deque: random changes, and copies that must not change.
#include "base/append_log.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"

namespace databridge {
namespace {

using Clever = AppendLog<std::string>;

struct Dumb {
  uint64_t begin = 0;
  std::deque<std::string> items;
};

Pieces encoded(const Clever& log) {
  std::vector<Payload> pieces;
  log.encode(pieces, [](Bytes& to, uint64_t position, const std::string& item) {
    to += std::to_string(position) + "=" + item + ";";
  });
  return Pieces(std::move(pieces));
}

void expect_same(const Clever& clever, const Dumb& dumb) {
  ASSERT_EQ(clever.begin(), dumb.begin);
  ASSERT_EQ(clever.size(), dumb.items.size());
  ASSERT_EQ(clever.empty(), dumb.items.empty());
  Bytes all;
  uint64_t position = dumb.begin;
  for (const std::string& item : dumb.items) {
    ASSERT_EQ(clever.at(position), item);
    all += std::to_string(position++) + "=" + item + ";";
  }
  ASSERT_EQ(clever.end(), position);
  position = dumb.begin;
  clever.each([&](uint64_t at, const std::string& item) {
    ASSERT_EQ(at, position);
    ASSERT_EQ(item, dumb.items[position++ - dumb.begin]);
  });
  ASSERT_EQ(encoded(clever), Pieces(all));
  uint64_t first = clever.end();
  clever.visit_from(0, [&](uint64_t at, const std::string&) {
    first = at;
    return false;
  });
  ASSERT_EQ(first, dumb.begin) << "nothing is visited that is gone";
}

void walk(uint64_t seed) {
  Random random(seed);
  std::vector<std::pair<Clever, Dumb>> all(1);
  if (random.chance(0.5)) {
    all[0].second.begin = random.below(1000);
    all[0].first.start_at(all[0].second.begin);
  }
  for (int step = 0; step < 300; ++step) {
    auto& [clever, dumb] = all[random.below(all.size())];
    if (random.chance(0.1) && all.size() < 8) {
      all.push_back(std::pair(clever, dumb));
    } else if (random.chance(0.3)) {
      for (size_t n = random.below(200); n > 0 && !dumb.items.empty(); --n) {
        clever.pop_front();
        dumb.items.pop_front();
        ++dumb.begin;
      }
    } else {
      for (size_t n = random.below(150); n > 0; --n) {
        dumb.items.push_back(std::to_string(random.below(1'000'000)) + " of some length");
        clever.append(dumb.items.back());
      }
    }
    if (step % 10 == 0) {
      for (const auto& [one, other] : all) ASSERT_NO_FATAL_FAILURE(expect_same(one, other));
    }
  }
}

TEST(AppendLog, DoesAsADequeAndCopiesDoNotMove) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(walk(seed));
  }
}

TEST(AppendLog, CopiesShareTheBytesOfFullParts) {
  Clever log;
  for (uint64_t i = 0; i < 3 * Clever::kPart + 5; ++i) log.append("item");
  const Clever copy = log;
  log.append("one more");
  log.pop_front();
  const auto before = encoded(copy).list();
  const auto after = encoded(log).list();
  ASSERT_EQ(before.size(), 4u);
  ASSERT_EQ(after.size(), 4u);
  EXPECT_FALSE(before[0].is_same(after[0])) << "an item of it is gone";
  EXPECT_TRUE(before[1].is_same(after[1]));
  EXPECT_TRUE(before[2].is_same(after[2]));
  EXPECT_FALSE(before[3].is_same(after[3])) << "one has come";
}

// Copies are read and encoded while the original goes on, as views of the state are.
TEST(AppendLog, CopiesAreReadWhileTheOriginalGoesOn) {
  Clever log;
  std::vector<std::thread> readers;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 500; ++i) log.append(std::to_string(i));
    readers.emplace_back([copy = log] {
      size_t sum = 0;
      copy.each([&](uint64_t, const std::string& item) { sum += item.size(); });
      EXPECT_GT(sum, copy.size());
      EXPECT_GT(encoded(copy).size(), sum);
    });
    for (int i = 0; i < 300; ++i) log.pop_front();
  }
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(log.size(), 800u);
}

TEST(Pieces, AreOneStringOfBytes) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Payload> list;
    Bytes whole;
    for (size_t n = random.below(6); n > 0; --n) {
      Bytes bytes;
      for (size_t i = random.below(40); i > 0; --i) {
        bytes += static_cast<char>('a' + random.below(26));
      }
      whole += bytes;
      list.emplace_back(std::move(bytes));
    }
    const Pieces pieces(list);
    EXPECT_EQ(pieces.size(), whole.size());
    EXPECT_EQ(pieces.joined().view(), whole);
    EXPECT_EQ(pieces.hash(), hash64(whole));
    const size_t at = random.below(whole.size() + 3), size = random.below(60);
    EXPECT_EQ(pieces.slice(at, size).view(), at < whole.size() ? whole.substr(at, size) : "");
  }
}

}  // namespace
}  // namespace databridge
