#include "flow/connection.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "flow/record.h"
#include "flow/saved.h"

namespace databridge::flow {
namespace {

constexpr Uuid kId{1, 1};
const Said kHold{0, false};

FlowFilePtr file(uint64_t number) {
  FlowFile made;
  made.id = Uuid{7, number};
  made.content = std::to_string(number);
  return std::make_shared<const FlowFile>(std::move(made));
}
Parcel parcel(Epoch origin, uint64_t sequence) { return {origin, sequence, file(sequence)}; }

// A connection with its disk.
struct Kept {
  Connection connection{kId};
  env::Batch batch;
  std::map<Bytes, Bytes> disk;

  void sync() {
    for (const env::Write& write : batch.writes) {
      if (write.kind == env::Write::Kind::put) {
        disk[write.key] = write.value;
      } else if (write.kind == env::Write::Kind::erase) {
        disk.erase(write.key);
      } else {
        disk.erase(disk.lower_bound(write.key), disk.lower_bound(write.value));
      }
    }
    batch.writes.clear();
    if (const auto written = connection.written()) connection.became_safe(*written);
  }
  bool promote(const Said& said) {
    sync();
    return connection.promote([&](Epoch) { return said; }, batch);
  }
  void restart() {
    sync();
    std::map<Uuid, Connection> restored;
    for (const auto& [key, value] : disk) {
      ASSERT_TRUE(Connection::restore(key, value, restored)) << key.substr(0, 1);
    }
    connection = restored.empty() ? Connection(kId) : std::move(restored.at(kId));
    ASSERT_TRUE(connection.check_restored());
  }
  std::vector<std::string> take() {
    std::vector<std::string> taken;
    std::vector<uint64_t> arrivals;
    for (const Input& input : connection.take(SIZE_MAX, UINT64_MAX)) {
      taken.push_back(input.file->content);
      arrivals.push_back(input.arrival);
    }
    connection.consume(arrivals, batch);
    return taken;
  }
};

using Contents = std::vector<std::string>;

TEST(Connection, WhatAnOriginSaidLeavesInOrderAndTheRestWaits) {
  Kept kept;
  kept.connection.set_route({Incarnation{1}, {0, 2}, true}, kept.batch);
  for (uint64_t i = 1; i <= 4; ++i) kept.connection.append({0, 5}, i, i, file(i), kept.batch);
  // It needs no permission from the log.
  kept.connection.append({0, 6}, 1, 0, file(9), kept.batch);
  EXPECT_TRUE(kept.promote({2, false}));
  EXPECT_EQ(kept.take(), (Contents{"1", "2", "9"}));
  EXPECT_FALSE(kept.promote({2, false}));
  EXPECT_TRUE(kept.promote({3, true}));  // The last one is dropped.
  EXPECT_EQ(kept.take(), Contents{"3"});
  kept.sync();
  EXPECT_EQ(kept.connection.count(), 0u);
  EXPECT_EQ(kept.connection.bytes(), 0u);
  EXPECT_FALSE(std::any_of(kept.disk.begin(), kept.disk.end(),
                           [](const auto& one) { return one.first[0] == 'v'; }));
}

TEST(Connection, TheLastWordOfAnOriginIsKeptAsLongAsThereAreEntriesOfIt) {
  Kept kept;
  kept.connection.set_route({Incarnation{1}, {0, 2}, true}, kept.batch);
  for (uint64_t i = 1; i <= 3; ++i) kept.connection.append({0, 5}, i, i, file(i), kept.batch);
  EXPECT_TRUE(kept.connection.awaits_word({0, 5}));
  EXPECT_TRUE(kept.promote({2, true}));
  EXPECT_FALSE(kept.connection.awaits_word({0, 5}));
  kept.restart();
  kept.connection.set_route({Incarnation{1}, {0, 2}, true}, kept.batch);
  EXPECT_FALSE(kept.connection.awaits_word({0, 5}));
  EXPECT_TRUE(kept.promote(kHold)) << "the log has forgotten it, the connection has not";
  EXPECT_EQ(kept.take(), (Contents{"1", "2"}));
  kept.restart();
  EXPECT_TRUE(kept.disk.empty()) << kept.disk.begin()->first;
}

TEST(Connection, AnswersMayComeInAnyOrderAndTwice) {
  Kept kept;
  kept.connection.set_route({Incarnation{2}, {0, 2}, false}, kept.batch);
  for (uint64_t i = 1; i <= 5; ++i) kept.connection.append({0, 5}, i, 0, file(i), kept.batch);
  EXPECT_TRUE(kept.promote(kHold));
  const auto sent = kept.connection.send({0, 2}, 3, UINT64_MAX);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_TRUE(kept.connection.safe({0, 2}, {0, 5}, 2, kept.batch));
  EXPECT_FALSE(kept.connection.safe({0, 2}, {0, 5}, 2, kept.batch));
  EXPECT_FALSE(kept.connection.safe({0, 2}, {0, 4}, 1, kept.batch)) << "of another origin";
  EXPECT_FALSE(kept.connection.safe({0, 1}, {0, 5}, 1, kept.batch)) << "of another tenure";
  kept.connection.set_route({Incarnation{3}, {0, 3}, false}, kept.batch);
  EXPECT_TRUE(kept.connection.never({0, 2}, {0, 5}, 3, kept.batch));
  EXPECT_FALSE(kept.connection.never({0, 2}, {0, 5}, 3, kept.batch));
  EXPECT_TRUE(kept.promote(kHold));
  Contents sequences;
  for (const Parcel& one : kept.connection.send({0, 3}, 9, UINT64_MAX)) {
    sequences.push_back(one.file->content);
  }
  EXPECT_EQ(sequences, (Contents{"3", "4", "5"}));
  EXPECT_EQ(kept.connection.groups().at({0, 2}).bound, 1u) << "one is not answered";
}

constexpr Route kHere{Incarnation{1}, {0, 2}, true};
constexpr Route kThere{Incarnation{2}, {0, 3}, false};
constexpr Route kElsewhere{Incarnation{3}, {0, 4}, false};

size_t bound_to(const Connection& connection, const Route& route) {
  const auto group = connection.groups().find(route.tenure);
  if (group == connection.groups().end()) return 0;
  EXPECT_EQ(group->second.owner, route.owner);
  return group->second.bound;
}

TEST(Connection, WhatIsBoundWhenItIsWrittenIsOneRecord) {
  Kept kept;
  kept.connection.set_route(kThere, kept.batch);
  for (uint64_t i = 1; i <= 3; ++i) kept.connection.append({0, 5}, i, 0, file(i), kept.batch);
  EXPECT_EQ(kept.batch.writes.size(), 3u);
  kept.restart();
  EXPECT_EQ(bound_to(kept.connection, kThere), 3u);
  kept.connection.set_route(kElsewhere, kept.batch);
  EXPECT_TRUE(kept.promote(kHold));
  EXPECT_EQ(bound_to(kept.connection, kThere), 3u) << "that owner may have them: it is asked";
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_TRUE(kept.connection.safe({0, 3}, {0, 5}, i, kept.batch));
  }
  kept.sync();
  EXPECT_TRUE(kept.disk.empty());
}

TEST(Connection, ABindingIsKeptHoweverOftenItChanges) {
  for (const bool bound_at_first : {false, true}) {
    Kept kept;
    kept.connection.set_route(bound_at_first ? kThere : kHere, kept.batch);
    for (uint64_t i = 1; i <= 3; ++i) kept.connection.append({0, 5}, i, 0, file(i), kept.batch);
    kept.connection.set_route(kElsewhere, kept.batch);
    kept.restart();
    EXPECT_EQ(bound_to(kept.connection, kElsewhere), 3u);
    EXPECT_EQ(bound_to(kept.connection, kThere), 0u);
    // After a restart it may have been sent, so only its owner's answer frees it.
    EXPECT_TRUE(kept.promote(kHold));
    kept.connection.set_route(kHere, kept.batch);
    for (uint64_t i = 1; i <= 3; ++i) {
      EXPECT_TRUE(kept.connection.never({0, 4}, {0, 5}, i, kept.batch));
    }
    kept.restart();
    EXPECT_TRUE(kept.connection.groups().empty());
    kept.connection.set_route(kHere, kept.batch);
    EXPECT_TRUE(kept.promote(kHold));
    EXPECT_EQ(kept.take(), (Contents{"1", "2", "3"}));
    kept.sync();
    EXPECT_TRUE(kept.disk.empty()) << bound_at_first;
  }
}

TEST(Connection, ReadsTheEntriesAndBindingsOfAnOlderProgram) {
  Kept kept;
  kept.connection.set_route(kHere, kept.batch);
  kept.connection.append({0, 5}, 1, 0, file(1), kept.batch);
  kept.sync();
  Bytes key = "b";
  append_key(key, kId);
  append_big64(key, 1);
  RecordWriter binding(1);
  binding.number(kThere.owner.value);
  binding.epoch(kThere.tenure);
  kept.disk[key] = binding.seal();
  kept.restart();
  EXPECT_EQ(bound_to(kept.connection, kThere), 1u);
  EXPECT_TRUE(kept.promote(kHold));
  EXPECT_TRUE(kept.connection.safe({0, 3}, {0, 5}, 1, kept.batch));
  kept.sync();
  EXPECT_TRUE(kept.disk.empty());
}

TEST(Connection, MarksOutliveManyOriginsAndWhatIsForgottenIsNotDenied) {
  Kept kept;
  kept.connection.raise({0, 10}, {0, 5}, kept.batch);
  EXPECT_EQ(kept.connection.receive(parcel({0, 5}, 1), kept.batch), Connection::Receipt::taken);
  kept.connection.write_marks({0, 5}, kept.batch);
  kept.connection.raise({0, 20}, {0, 5}, kept.batch);
  kept.connection.set_limits(SIZE_MAX, UINT64_MAX);
  uint64_t origins = 0;
  const auto more = [&](uint64_t count) {
    for (; origins < count; ++origins) {
      const Epoch origin{0, 100 + origins};
      EXPECT_EQ(kept.connection.receive(parcel(origin, 1), kept.batch), Connection::Receipt::taken);
      kept.connection.write_marks(origin, kept.batch);
    }
    kept.sync();
  };
  more(2000);
  EXPECT_TRUE(kept.connection.seen({0, 10}, {0, 5}, 1));
  EXPECT_FALSE(kept.connection.forgotten({0, 10}));
  more(70'000);
  EXPECT_FALSE(kept.connection.seen({0, 10}, {0, 5}, 1));
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(kept.connection.forgotten({0, 10}));
    EXPECT_FALSE(kept.connection.forgotten({0, 20}));
    EXPECT_TRUE(kept.connection.seen({0, 20}, {0, 100}, 1));
    if (round == 0) kept.restart();
  }
}

TEST(Connection, ReadsTheFencesOfAnOlderProgram) {
  RecordWriter to(1);
  to.epoch({0, 7});
  to.epoch({0, 8});
  Bytes key = "c";
  append_key(key, kId);
  std::map<Uuid, Connection> restored;
  ASSERT_TRUE(Connection::restore(key, to.seal(), restored));
  EXPECT_EQ(restored.at(kId).tenure(), (Epoch{0, 7}));
  EXPECT_EQ(restored.at(kId).fence(), (Epoch{0, 8}));
  EXPECT_FALSE(restored.at(kId).forgotten({0, 1}));
}

TEST(History, ReadsWhatAnOlderProgramKept) {
  for (const uint64_t epochs : {3u, 64u}) {
    RecordWriter to(1);
    to.epoch({0, 4});
    to.number(epochs);
    for (uint64_t i = 0; i < epochs; ++i) {
      to.epoch({0, 10 + i});
      to.number(i);
    }
    to.text("state");
    const auto saved = decode_saved({{0, 100}, 1, to.seal()});
    ASSERT_TRUE(saved) << saved.error().message;
    EXPECT_EQ(saved->state, "state");
    EXPECT_EQ(saved->history.last({0, 12}), 2u);
    // If it had kept the maximum number of epochs, older ones may have been forgotten.
    EXPECT_EQ(saved->history.before_anew({0, 4}), epochs < 64);
    EXPECT_EQ(saved->history.unknown({0, 4}), epochs == 64);
    EXPECT_FALSE(saved->history.unknown({0, 5}) || saved->history.before_anew({0, 5}));
    EXPECT_EQ(*decode_saved({{0, 100}, 1, encode(*saved)}), *saved);
  }
}

}  // namespace
}  // namespace databridge::flow
