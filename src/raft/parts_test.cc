// The parts of the core, each alone: quorum, log, membership history, codec.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "raft/codec.h"
#include "raft/log.h"
#include "raft/membership.h"
#include "raft/quorum.h"

namespace databridge::raft {
namespace {

// The naive twin: it tries every value and counts the servers that reached it.
Index agreed_by_counting(const std::vector<Index>& values) {
  Index best = 0;
  for (const Index candidate : values) {
    size_t reached = 0;
    for (const Index value : values) reached += value >= candidate;
    if (reached > values.size() / 2) best = std::max(best, candidate);
  }
  return best;
}

TEST(Quorum, AgreesWithCounting) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<Index> values(random.between(1, 9));
    for (Index& value : values) value = random.below(6);
    const Index expected = agreed_by_counting(values);
    EXPECT_EQ(agreed(values), expected);
  }
}

TEST(Quorum, TallyAgreesWithWaitingForEverybody) {
  Random random(2);
  for (int i = 0; i < 20'000; ++i) {
    const size_t voters = random.between(1, 9);
    const size_t granted = random.below(voters + 1);
    const size_t refused = random.below(voters - granted + 1);
    const size_t open = voters - granted - refused;
    const bool can_win = 2 * (granted + open) > voters;
    const bool has_won = 2 * granted > voters;
    const Verdict expected = has_won ? Verdict::won : can_win ? Verdict::pending : Verdict::lost;
    EXPECT_EQ(tally(voters, granted, refused), expected);
  }
}

Entry entry(Term term, Index index) { return {term, index, Entry::Kind::command, {}}; }

// The naive twin of the log's bookkeeping: a disk that carries out every write in order.
TEST(LogTwin, WhatIsCalledStableIsOnTheDiskNowAndAfterEveryWriteToCome) {
  Random random(3);
  for (int run = 0; run < 300; ++run) {
    Log log({}, 0, {});
    struct Write {
      uint64_t number;
      std::vector<Entry> entries;
    };
    std::deque<Write> writes;
    std::vector<Entry> disk;
    const auto carry_out = [](std::vector<Entry>& to, const Write& write) {
      if (write.entries.empty()) return;
      to.resize(write.entries.front().index - 1);
      to.insert(to.end(), write.entries.begin(), write.entries.end());
    };
    uint64_t number = 0;
    Term term = 1;
    for (int step = 0; step < 60; ++step) {
      switch (random.below(4)) {
        case 0:
          log.append(entry(term, log.last() + 1));
          break;
        case 1:
          if (log.last() > 0 && random.chance(0.3)) {
            log.truncate_from(random.between(1, log.last()));
            // Two terms only, so that an index gets the same term twice: A-B-A.
            term = std::max<Term>(log.last_term(), random.between(1, 2));
          }
          break;
        case 2:
          ++number;
          writes.push_back({number, log.hand_over(number)});
          break;
        case 3:
          if (writes.empty()) break;
          carry_out(disk, writes.front());
          log.persisted(writes.front().number);
          writes.pop_front();
          break;
      }
      // A crash may come after any of the writes under way.
      std::vector<Entry> after = disk;
      for (size_t i = 0; i <= writes.size(); ++i) {
        ASSERT_GE(after.size(), log.stable());
        for (Index k = 1; k <= log.stable(); ++k) ASSERT_EQ(after[k - 1], log.at(k));
        if (i < writes.size()) carry_out(after, writes[i]);
      }
    }
  }
}

TEST(Log, FindsTheLastEntryNotAfterATerm) {
  Log log({2, 5}, 0, {entry(2, 6), entry(4, 7), entry(4, 8), entry(9, 9)});
  EXPECT_EQ(log.last_not_after(9, 100), 9u);
  EXPECT_EQ(log.last_not_after(8, 100), 8u);
  EXPECT_EQ(log.last_not_after(3, 100), 6u);
  EXPECT_EQ(log.last_not_after(1, 100), 5u);  // The base: nothing is known before it.
  EXPECT_EQ(log.last_not_after(9, 7), 7u);
}

TEST(Log, DropsWhatTheSnapshotCovers) {
  Log log({1, 2}, 0, {entry(1, 1), entry(1, 2), entry(1, 3)});
  EXPECT_EQ(log.first(), 3u);
  EXPECT_EQ(log.last(), 3u);
  EXPECT_EQ(log.stable(), 3u);
}

TEST(Log, CompactionKeepsTheTermOfTheLastForgottenEntry) {
  Log log({}, 0, {entry(1, 1), entry(3, 2), entry(3, 3)});
  log.compact(2);
  EXPECT_EQ(log.term(2), 3u);
  EXPECT_EQ(log.term(1), std::nullopt);
  EXPECT_TRUE(log.matches({3, 3}));
}

TEST(MembershipHistory, GoesBackAsTheLogDoes) {
  Membership members({0, 0}, {{1, 2, 3}, {}});
  members.append({1, 5}, {{1, 2, 3}, {4}});
  members.append({1, 9}, {{1, 2, 3, 4}, {}});
  EXPECT_EQ(members.at(8).learners, std::vector<ServerId>{4});
  EXPECT_TRUE(members.truncate_from(7));
  EXPECT_EQ(members.latest_index(), 5u);
  EXPECT_FALSE(members.truncate_from(7));
  members.compact(6);
  EXPECT_EQ(members.at(6).learners, std::vector<ServerId>{4});
  EXPECT_FALSE(members.truncate_from(1));  // Compacted entries are committed.
}

Configuration some_configuration(Random& random) {
  Configuration configuration;
  ServerId id = 0;
  for (uint64_t i = random.below(6); i > 0; --i) {
    id += 1 + random.below(1u << 30);
    (random.chance(0.7) ? configuration.voters : configuration.learners).push_back(id);
  }
  return configuration;
}

Message some_message(Random& random) {
  const auto number = [&] { return random.next() >> random.below(64); };
  Message m;
  m.kind = static_cast<Message::Kind>(random.between(1, 11));
  m.from = random.next();
  m.to = random.next();
  m.term = number();
  m.index = number() / 2;
  m.log_term = number();
  m.commit = number();
  m.reject = random.chance(0.5);
  m.leader_lost = random.chance(0.5);
  m.transfer = random.chance(0.5);
  m.older_copy = random.chance(0.1);
  m.hash = random.next();
  m.removed = random.chance(0.5);
  m.hint = number();
  m.hint_term = number();
  m.sent_at = Instant(Duration(static_cast<int64_t>(random.next())));
  m.round = number();
  m.offset = number();
  m.total = number();
  for (uint64_t i = random.below(5); i > 0; --i) {
    Entry e;
    e.term = number();
    e.index = m.index + m.entries.size() + 1;
    e.kind = static_cast<Entry::Kind>(random.below(3));
    e.data = Payload(Bytes(random.below(40), 'x'));
    m.entries.push_back(e);
  }
  m.configuration = some_configuration(random);
  m.chunk = Payload(Bytes(random.below(100), 'y'));
  return m;
}

TEST(Codec, MessagesComeBack) {
  Random random(4);
  for (int i = 0; i < 2000; ++i) {
    const Message m = some_message(random);
    const auto back = decode(encode(m));
    ASSERT_TRUE(back);
    ASSERT_EQ(*back, m);
  }
}

TEST(Codec, WhatALaterVersionAppendsIsIgnored) {
  Random random(5);
  const Message m = some_message(random);
  EXPECT_EQ(decode(encode(m) + "more").value(), m);
}

TEST(Codec, AnUnknownVersionOrKindIsRefused) {
  Random random(6);
  Bytes bytes = encode(some_message(random));
  Bytes other = bytes;
  other[0] = 2;
  EXPECT_EQ(decode(other).error().code, Code::corrupt);
  other = bytes;
  other[1] = 99;
  EXPECT_EQ(decode(other).error().code, Code::corrupt);
}

TEST(Codec, EveryTruncationIsRefused) {
  Random random(7);
  for (int i = 0; i < 50; ++i) {
    const Bytes bytes = encode(some_message(random));
    for (size_t size = 0; size < bytes.size(); ++size) {
      if (size + 8 == bytes.size()) continue;  // This is the form from before there were hashes.
      ASSERT_FALSE(decode(BytesView(bytes).substr(0, size))) << size << " of " << bytes.size();
    }
  }
}

TEST(Codec, GarbageNeverCrashesNorAsksForMemory) {
  Random random(8);
  for (int i = 0; i < 30'000; ++i) {
    Bytes bytes = encode(some_message(random));
    for (uint64_t flips = random.between(1, 8); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    (void)decode(bytes);
    (void)decode_entry(bytes);
    (void)decode_configuration(bytes);
    (void)decode_hard_state(bytes);
    (void)decode_snapshot_head(bytes);
  }
}

TEST(Codec, AConfigurationIsSortedAndDisjoint) {
  EXPECT_TRUE(decode_configuration(encode_configuration({{1, 2}, {3}})));
  EXPECT_FALSE(decode_configuration(encode_configuration({{2, 1}, {}})));
  EXPECT_FALSE(decode_configuration(encode_configuration({{1, 1}, {}})));
  EXPECT_FALSE(decode_configuration(encode_configuration({{1, 2}, {2}})));
  EXPECT_FALSE(decode_configuration(encode_configuration({{0}, {}})));
}

TEST(Codec, RecordsComeBack) {
  const Entry e{3, 700, Entry::Kind::command, Payload(Bytes("data"))};
  EXPECT_EQ(decode_entry(encode_entry(e)).value(), e);
  const HardState h{9, 0xffffffffffffffff, 12};
  EXPECT_EQ(decode_hard_state(encode_hard_state(h)).value(), h);
  const Snapshot s{5, 2, {{1, 2}, {3}}, {}, 77};
  const Snapshot back = decode_snapshot_head(encode_snapshot_head(s)).value();
  EXPECT_EQ(back.index, s.index);
  EXPECT_EQ(back.term, s.term);
  EXPECT_EQ(back.configuration, s.configuration);
  EXPECT_EQ(back.hash, s.hash);
  Bytes former = encode_snapshot_head(s);
  former.resize(former.size() - 8);
  EXPECT_EQ(decode_snapshot_head(former).value().hash, 0u) << "not known";
}

// libraft PR #305: entries of odd lengths came back corrupt.
TEST(Codec, PayloadsOfEveryLengthComeBack) {
  Message m;
  m.kind = Message::Kind::append;
  for (size_t size = 0; size < 300; ++size) {
    const Entry e{1, size + 1, Entry::Kind::command, Payload(Bytes(size, 'x'))};
    EXPECT_EQ(decode_entry(encode_entry(e)).value(), e);
    m.entries.push_back(e);
  }
  EXPECT_EQ(decode(encode(m)).value(), m);
}

// The bytes sent and stored must stay readable for other versions.
TEST(Codec, TheFormatIsThis) {
  Message m;
  m.kind = Message::Kind::append;
  m.from = 1;
  m.to = 2;
  m.term = 300;
  m.index = 7;
  m.log_term = 5;
  m.commit = 6;
  m.sent_at = Instant(9ns);
  m.hash = 0x0102030405060708;
  m.entries = {{300, 8, Entry::Kind::command, Payload(Bytes("hi"))}};
  EXPECT_EQ(to_hex(encode(m)),
            "0105"
            "0100000000000000"
            "0200000000000000"
            "ac02"
            "00"
            "07"
            "05"
            "06"
            "00"
            "00"
            "0900000000000000"
            "00"
            "00"
            "00"
            "01"
            "ac02"
            "01"
            "026869"
            "00"
            "00"
            "00"
            "0807060504030201");
  // A message from before there were hashes has none.
  Bytes former = encode(m);
  former.resize(former.size() - 8);
  m.hash = 0;
  EXPECT_EQ(decode(former).value(), m);
  EXPECT_EQ(to_hex(encode_hard_state({1, 2, 3})),
            "0101"
            "0200000000000000"
            "03");
}

}  // namespace
}  // namespace databridge::raft
