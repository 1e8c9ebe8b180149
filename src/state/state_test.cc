// Properties of the state under random commands: the same commands give the same state everywhere,
// even if it is reloaded in between; counts of owned processors are right; epochs only grow.
#include "state/state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "model/random_nouns.h"
#include "state/backup.h"
#include "state/constraints.h"
#include "state/random_commands.h"

namespace databridge {
namespace {

// Computes again what the state counts as it goes.
void check_counts(const State& state) {
  std::map<Incarnation, uint32_t> owned;
  std::map<std::pair<Incarnation, FlowId>, FlowShare> shares;
  state.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
    ASSERT_EQ(assignment.processor, id);
    const ProcessorSpec* spec = state.processors().find(id);
    ASSERT_EQ(spec == nullptr, assignment.deleted);
    ASSERT_TRUE(!assignment.releasing || assignment.owner);
    if (!assignment.owner) return;
    ASSERT_NE(state.member(assignment.owner), nullptr);
    owned[assignment.owner] += 1;
    if (spec == nullptr || spec->flow.empty()) return;
    FlowShare& share = shares[{assignment.owner, spec->flow}];
    share.all += 1;
    share.spread += spec->constraints.spread ? 1 : 0;
  });
  state.members().each([&](Incarnation who, const Member& member) {
    EXPECT_EQ(state.owned(who), owned[who]);
    EXPECT_TRUE(member.holds_data || owned[who] == 0);
    EXPECT_EQ(state.removed(who), nullptr);
  });
  for (const auto& [key, share] : shares) EXPECT_EQ(state.owned(key.first, key.second), share);
}

TEST(State, SameCommandsSameState) {
  std::map<std::string, int> done;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Commands commands(seed);
    Random random(seed);
    State one, two;
    std::map<ProcessorId, Epoch> newest;
    for (LogIndex index = 1; index <= 3'000; ++index) {
      if (random.chance(0.02)) {
        one.skip(index);
        two.skip(index);
        continue;
      }
      const Command command = commands.next(one);
      const State before = one;
      const uint64_t was = index % 50 == 0 ? before.content_hash() : 0;
      const Applied applied = one.apply(index, command).applied;
      ASSERT_EQ(applied, two.apply(index, command).applied);
      ASSERT_EQ(one.hash(), two.hash()) << "seed " << seed << " index " << index;
      // The copy has not changed with its original.
      if (index % 50 == 0) {
        ASSERT_EQ(before.content_hash(), was);
      }
      if (!applied.rejected) done[name(command.body)] += 1;
      if (random.chance(0.01)) two = State::from_snapshot(two.snapshot()).value();
      one.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
        Epoch& epoch = newest[id];
        if (assignment.epoch) {
          EXPECT_GE(assignment.epoch, epoch);
        }
        epoch = std::max(epoch, assignment.epoch);
      });
      if (index % 100 == 0) {
        check_counts(one);
        ASSERT_EQ(one.snapshot(), two.snapshot()) << "seed " << seed << " index " << index;
      }
    }
  }
  // The random commands were of every kind.
  for (size_t kind = 0; kind < std::variant_size_v<CommandBody>; ++kind) {
    RandomNouns nouns(1);
    const char* which = name(nouns.command_body(kind));
    EXPECT_GT(done[which], 0) << which;
  }
}

TEST(State, RemembersTheNewestRemovedAndForgetsTheOldest) {
  State state;
  LogIndex index = 0;
  const auto apply = [&](CommandBody body) {
    Command command;
    command.body = std::move(body);
    return state.apply(++index, command).applied;
  };
  MemberInfo info;
  info.node = NodeId("n");
  const uint64_t count = State::kRemovedKept + 5;
  for (uint64_t id = 1; id <= count; ++id) {
    info.incarnation = Incarnation{id};
    ASSERT_FALSE(apply(AdmitMember{info}).rejected);
    ASSERT_FALSE(apply(SetDraining{info.incarnation, true, true}).rejected);
    ASSERT_FALSE(apply(RemoveMember{info.incarnation, "r"}).rejected);
  }
  EXPECT_EQ(state.removed(Incarnation{5}), nullptr);
  ASSERT_NE(state.removed(Incarnation{6}), nullptr);
  EXPECT_EQ(state.removed(Incarnation{count})->index, index);
  EXPECT_EQ(apply(AdmitMember{info}).rejected->code, Code::gone);
  const State read = State::from_snapshot(state.snapshot()).value();
  EXPECT_EQ(read.removed(Incarnation{5}), nullptr);
  EXPECT_EQ(*read.removed(Incarnation{6}), *state.removed(Incarnation{6}));
}

TEST(State, AWholeBackupIsGivenOrNone) {
  State state;
  for (LogIndex index = 1; index <= 50; ++index) {
    SetConfig set{"k" + std::to_string(index), '"' + Bytes(10'000, 'x') + '"', {}};
    state.apply(index, Command{.body = set, .request = {}, .idempotency_key = {}});
  }
  const Bytes plain = state.backup();
  const auto packed = pack_backup(plain);
  ASSERT_TRUE(packed);
  EXPECT_LT(packed->size(), plain.size() / 10);
  EXPECT_EQ(pack_backup(*packed), *packed);
  for (const Bytes& backup : {plain, *packed}) {  // Backups of older versions are not packed.
    EXPECT_FALSE(why_not_restorable(backup));
    State other;
    const Command restore{.body = RestoreState{backup}, .request = {}, .idempotency_key = {}};
    EXPECT_FALSE(other.apply(1, restore).applied.rejected);
    EXPECT_EQ(other.backup(), plain);
  }
  EXPECT_EQ(pack_backup(plain, {.packed = 100, .unpacked = plain.size()}).error().code,
            Code::too_large);
  EXPECT_EQ(pack_backup(plain, {.packed = 1 << 20, .unpacked = plain.size() - 1}).error().code,
            Code::too_large);
  EXPECT_TRUE(pack_backup(plain, {.packed = packed->size(), .unpacked = plain.size()}));
  const auto damaged = why_not_restorable(packed->substr(0, packed->size() - 1));
  ASSERT_TRUE(damaged);
  EXPECT_EQ(damaged->code, Code::unprocessable);
}

// A rejected command changes only the version, the hash, the clock and the remembered results.
TEST(State, RejectedChangesNothing) {
  Commands commands(99);
  State state;
  int rejected = 0;
  for (LogIndex index = 1; index <= 4'000; ++index) {
    const State before = state;
    const Applied applied = state.apply(index, commands.next(state)).applied;
    if (!applied.rejected) continue;
    ++rejected;
    EXPECT_EQ(before.backup(), state.backup());
    EXPECT_EQ(before.last_event(), state.last_event());
    EXPECT_EQ(before.members().size(), state.members().size());
    before.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
      ASSERT_EQ(*state.assignments().find(id), assignment);
    });
  }
  EXPECT_GT(rejected, 500);
}

// A released epoch is never acknowledged again, and no two owners follow without a release.
TEST(State, OwnersFollowReleases) {
  for (uint64_t seed = 200; seed < 210; ++seed) {
    Commands commands(seed);
    State state;
    for (LogIndex index = 1; index <= 3'000; ++index) {
      const State before = state;
      state.apply(index, commands.next(state));
      before.assignments().each([&](const ProcessorId& id, const Assignment& was) {
        const Assignment* now = state.assignments().find(id);
        if (now == nullptr) {
          EXPECT_TRUE(!was.owner || was.releasing) << "an owned assignment vanished";
          return;
        }
        if (now->owner != was.owner && was.owner) {
          EXPECT_TRUE(was.releasing);
        }
        if (was.releasing && now->epoch == was.epoch && now->owner) {
          EXPECT_TRUE(now->releasing) << "a released epoch came back";
          EXPECT_TRUE(now->checkpoint == was.checkpoint || now->checkpoint.bytes.empty());
        }
        if (now->epoch != was.epoch) {
          EXPECT_EQ(now->epoch, (Epoch{state.generation(), index}));
        }
      });
    }
  }
}

TEST(State, SpoiledSnapshotsAreRefused) {
  Commands commands(5);
  State state;
  for (LogIndex index = 1; index <= 500; ++index) state.apply(index, commands.next(state));
  const Bytes bytes(state.snapshot().joined().view());
  Random random(5);
  for (int round = 0; round < 2'000; ++round) {
    const Bytes bad = spoiled(bytes, random);
    if (bad != bytes) {
      EXPECT_FALSE(State::from_snapshot(bad)) << round;
    }
  }
  EXPECT_EQ(State::from_snapshot(state.backup()).error().message, "this is not a state snapshot");
  // Bytes with a right hash may still contradict themselves. They must not crash the node.
  for (int round = 0; round < 2'000; ++round) {
    Bytes bad = bytes.substr(0, bytes.size() - 8);
    for (uint64_t n = random.between(1, 3); n > 0; --n) {
      bad[20 + random.below(bad.size() - 20)] = static_cast<char>(random.below(256));
    }
    append_little64(bad, hash64(bad));
    if (auto odd = State::from_snapshot(bad)) {
      for (LogIndex i = 1; i < 20 && odd->version() + i > i; ++i) {
        odd->apply(odd->version() + 1, commands.next(*odd));
      }
    }
  }
}

// A flow that lists a processor of another one could be left with it after that one is deleted.
TEST(State, ASnapshotWhoseFlowsShareAProcessorIsRefused) {
  State state;
  FlowSpec flow;
  flow.id = FlowId("flow-aaaa");
  ProcessorSpec spec;
  spec.id = ProcessorId{1, 1};
  spec.name = "p";
  spec.type = "external";
  spec.flow = flow.id;
  flow.processors = {spec};
  Command command;
  command.body = PutFlow{flow};
  ASSERT_FALSE(state.apply(1, command).applied.rejected);
  Bytes bytes(state.snapshot().joined().view());
  ASSERT_TRUE(State::from_snapshot(bytes));
  const size_t first = bytes.find("flow-aaaa");
  bytes.replace(bytes.find("flow-aaaa", first + 1), 9, "flow-bbbb");
  bytes.resize(bytes.size() - 8);
  append_little64(bytes, hash64(bytes));
  const auto read = State::from_snapshot(bytes);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("not its own"), std::string::npos) << read.error().message;
}

TEST(State, OldEventsGo) {
  State state;
  const LogIndex last = State::kEventsKept + 10;
  for (LogIndex index = 1; index <= last; ++index) {
    state.apply(index, Command{SetConfig{"k", std::to_string(index), std::nullopt}, 1, {}, ""});
  }
  EXPECT_EQ(state.events().size(), State::kEventsKept);
  EXPECT_EQ(state.events_after({9, 0}, 10).error().code, Code::gone);
  EXPECT_EQ(state.events_after({10, 0}, 1).value().at(0).id, (EventId{11, 0}));
  EXPECT_EQ(state.events_after({11, ~0u}, 1).value().at(0).id, (EventId{12, 0}));
  EXPECT_EQ(state.last_event(), (EventId{last, 0}));
  EXPECT_TRUE(state.events_after({last, 0}, 10).value().empty());
  const State again = State::from_snapshot(state.snapshot()).value();
  EXPECT_EQ(again.events_after({9, 0}, 10).error().code, Code::gone);
}

// Nodes may keep different numbers of events. Nothing else may differ because of that.
TEST(State, ANodeKeepsAsManyEventsAsItIsTold) {
  State many, few;
  few.keep_events(1'000);
  for (LogIndex index = 1; index <= 1'010; ++index) {
    const Command command{SetConfig{"k", std::to_string(index), std::nullopt}, 1, {}, ""};
    EXPECT_EQ(many.apply(index, command).applied, few.apply(index, command).applied);
  }
  EXPECT_EQ(many.hash(), few.hash());
  EXPECT_EQ(many.events().size(), 1'010u);
  EXPECT_EQ(few.events().size(), 1'000u);
  EXPECT_EQ(few.events_after({9, 0}, 10).error().code, Code::gone);
  EXPECT_EQ(few.events_after({10, 0}, 1).value().at(0).id, (EventId{11, 0}));

  // The snapshot of a node that keeps more events is trimmed on arrival. After that both are equal.
  State taken = State::from_snapshot(many.snapshot()).value();
  taken.keep_events(1'000);
  EXPECT_EQ(taken.content_hash(), few.content_hash());
  // The snapshot of a node that keeps fewer: events that are gone there stay gone.
  State more = State::from_snapshot(few.snapshot()).value();
  EXPECT_EQ(more.events_after({9, 0}, 10).error().code, Code::gone);
  const Command next{SetConfig{"k", "1", std::nullopt}, 1, {}, ""};
  more.apply(1'011, next);
  EXPECT_EQ(more.events().size(), 1'001u);
}

TEST(State, OldResultsGo) {
  State state;
  const auto put = [&](LogIndex index, uint64_t age_ms, std::string key) {
    return state.apply(index, Command{SetConfig{"k", "1", std::nullopt}, 0, {}, key, 0, age_ms})
        .applied;
  };
  EXPECT_FALSE(state.keys_cut_ms());
  put(1, 1'000, "first");
  for (LogIndex index = 2; index <= Results::kWithKey; ++index) {
    put(index, 1'000, "key " + std::to_string(index));
  }
  ASSERT_TRUE(state.remembered("first", 0));
  EXPECT_EQ(state.remembered("first", 0)->index, 1u);
  put(Results::kWithKey + 1, 1'000, "one more");
  EXPECT_EQ(state.keys_cut_ms(), 0u) << "their number cuts the time, and status says so";
  EXPECT_FALSE(state.remembered("first", 0));
  EXPECT_TRUE(state.remembered("key 2", 0));
  // Requests without a key do not displace those with a key.
  for (LogIndex n = 1; n <= Results::kWithoutKey + 5; ++n) {
    state.apply(Results::kWithKey + 1 + n,
                Command{SetConfig{"k", "1", std::nullopt}, 1'000, {Incarnation{1}, n}, ""});
  }
  EXPECT_EQ(state.remembered(RequestId{Incarnation{1}, 5}), nullptr);
  EXPECT_NE(state.remembered(RequestId{Incarnation{1}, 6}), nullptr);
  EXPECT_TRUE(state.remembered("key 2", 0));
  put(500'000, 1'001 + Results::kKeptMs, "late");
  EXPECT_FALSE(state.remembered("key 2", 0));
  EXPECT_EQ(put(500'001, 0, "late").index, 500'000u);
  EXPECT_EQ(state.age_ms(), 1'001 + Results::kKeptMs);
  EXPECT_FALSE(state.keys_cut_ms());
}

// If the leader's wall clock is eleven minutes or ten years ahead, no key is forgotten for that.
TEST(State, NoStampMakesAKeyOlder) {
  State state;
  const auto put = [&](LogIndex index, int64_t at_ms, std::string key) {
    Command command{SetConfig{"k", "1", std::nullopt}, at_ms, {Incarnation{1}, index}, key};
    command.age_ms = 1'000 * index;
    return state.apply(index, command).applied.index;
  };
  EXPECT_EQ(put(1, 1'000, "key"), 1u);
  put(2, 1'000 + 700'000, "");
  EXPECT_EQ(put(3, 1'000, "key"), 1u);
  put(4, 315'360'000'000, "");
  EXPECT_EQ(put(5, 2'000, "key"), 1u);
  EXPECT_NE(state.remembered(RequestId{Incarnation{1}, 2}), nullptr);
  EXPECT_EQ(put(602, 2'000, "key"), 602u) << "ten minutes of leaders' time have passed";
}

TEST(State, LogTimeStepsBackByItsOwnCommandOnly) {
  State state;
  state.apply(1, Command{SetConfig{"k", "1", {}}, 9'000'000, {}, ""});
  state.apply(2, Command{SetConfig{"k", "2", {}}, 1'000, {}, ""});
  EXPECT_EQ(state.now_ms(), 9'000'000);
  EXPECT_TRUE(state.apply(3, Command{SetLogTime{9'000'001}, 0, {}, ""}).applied.rejected);
  EXPECT_FALSE(state.apply(4, Command{SetLogTime{1'000'000}, 9'000'000, {}, ""}).applied.rejected);
  EXPECT_EQ(state.now_ms(), 1'000'000);
  EXPECT_EQ(state.last_event().index, 4u);
  EXPECT_EQ(State::from_snapshot(state.snapshot())->now_ms(), 1'000'000);
}

TEST(State, AKeyIsForOneRequest) {
  State state;
  const auto put = [](State& to, LogIndex index, uint64_t fingerprint, uint64_t counter) {
    return to
        .apply(index, Command{.body = SetConfig{"a", std::to_string(fingerprint), {}},
                              .at_ms = 1,
                              .request = {Incarnation{1}, counter},
                              .idempotency_key = "k",
                              .fingerprint = fingerprint})
        .applied;
  };
  EXPECT_FALSE(put(state, 1, 7, 1).rejected);
  // A node that got a snapshot gives the same answers and has the same hash.
  State other = *State::from_snapshot(state.snapshot());
  for (State* one : {&state, &other}) {
    EXPECT_EQ(put(*one, 2, 7, 2).index, 1u);
    const Applied refused = put(*one, 3, 8, 3);
    ASSERT_TRUE(refused.rejected);
    EXPECT_EQ(refused.rejected->code, Code::unprocessable);
    EXPECT_EQ(refused.rejected->message, "the key was used for another request");
    EXPECT_EQ(one->config().find("a")->json, "7");
    EXPECT_EQ(put(*one, 4, 7, 4).index, 1u) << "the first request keeps the key";
  }
  EXPECT_EQ(state.hash(), other.hash());
}

TEST(State, RecoveryFencesWhatWas) {
  State state;
  Commands commands(1);
  const auto apply = [&](CommandBody body) {
    return state.apply(state.version() + 1, Command{std::move(body), 1, {}, ""}).applied;
  };
  MemberInfo info;
  info.incarnation = Incarnation{1};
  info.node = NodeId("n1");
  apply(AdmitMember{info});
  ProcessorSpec spec;
  spec.id = {1, 1};
  spec.type = "T";
  apply(AddProcessor{spec});
  apply(Assign{spec.id, {}, Incarnation{1}, ""});
  const Epoch old = state.assignments().find(spec.id)->epoch;
  EXPECT_TRUE(apply(BeginGeneration{2, Incarnation{1}}).rejected);
  EXPECT_TRUE(apply(BeginGeneration{1, Incarnation{2}}).rejected) << "no member";
  EXPECT_FALSE(apply(BeginGeneration{1, Incarnation{1}}).rejected);
  EXPECT_TRUE(apply(BeginGeneration{1, Incarnation{1}}).rejected) << "it has begun";
  state = State::from_snapshot(state.snapshot()).value();
  apply(Release{spec.id, old, ""});
  EXPECT_FALSE(apply(Assign{spec.id, old, Incarnation{1}, ""}).rejected);
  EXPECT_EQ(state.assignments().find(spec.id)->epoch, (Epoch{1, 9}));
  EXPECT_EQ(state.generation_at(), 6u);
  EXPECT_GT(state.assignments().find(spec.id)->epoch, old);
}

}  // namespace
}  // namespace databridge
