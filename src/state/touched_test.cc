// A command names everything that it changed and nothing else (docs/adr/0009). The test compares
// the state before and after it row by row.
#include "state/touched.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "state/random_commands.h"
#include "state/state.h"

namespace databridge {
namespace {

template <typename Key, typename Row>
std::map<Key, Row> rows(const PersistentMap<Key, Row>& table) {
  std::map<Key, Row> rows;
  table.each([&](const Key& key, const Row& row) { rows.emplace(key, row); });
  return rows;
}

// The keys whose rows are only in one of both, or are not `same(a, b)`.
template <typename Key, typename Row, typename Same>
std::vector<Key> differing(const PersistentMap<Key, Row>& a, const PersistentMap<Key, Row>& b,
                           const Same& same) {
  const auto before = rows(a), after = rows(b);
  std::set<Key> keys;
  for (const auto& [key, row] : before) {
    const auto at = after.find(key);
    if (at == after.end() || !same(row, at->second)) keys.insert(key);
  }
  for (const auto& [key, row] : after) {
    if (!before.contains(key)) keys.insert(key);
  }
  return {keys.begin(), keys.end()};
}

PersistentMap<FlowId, FlowSpec> flows_of(const State& state) {
  PersistentMap<FlowId, FlowSpec> flows;
  state.flows().each(
      [&](const FlowId& id, const FlowRow& flow) { flows.set(id, state.whole(flow)); });
  return flows;
}

constexpr auto kEqual = [](const auto& a, const auto& b) { return a == b; };

// A copy of `from` with only the compared fields set.
Assignment report_of(const Assignment& from) {
  Assignment only;
  only.state = from.state;
  only.detail = from.detail;
  only.reported_at_ms = from.reported_at_ms;
  return only;
}
Assignment place_of(Assignment from) {
  from.checkpoint = {};
  from.state = {};
  from.detail.clear();
  from.reported_at_ms = 0;
  return from;
}
Member word_of(const Member& from) {
  Member only;
  only.info = from.info;
  only.admitted_at = from.admitted_at;
  only.heir = from.heir;
  return only;
}
Member holding_of(const Member& from) {
  Member only;
  only.holds_data = from.holds_data;
  only.work_at = from.work_at;
  return only;
}
Member verdict_of(Member from) {
  from.info = {};
  from.admitted_at = 0;
  from.heir = false;
  from.holds_data = false;
  from.work_at = 0;
  return from;
}

Touched differences(const State& a, const State& b) {
  const auto by = [](auto of) {
    return [of](const auto& x, const auto& y) { return of(x) == of(y); };
  };
  Touched all;
  all.assignments = differing(a.assignments(), b.assignments(), by(place_of));
  all.reports = differing(a.assignments(), b.assignments(), by(report_of));
  all.checkpoints = differing(a.assignments(), b.assignments(),
                              by([](const Assignment& one) { return one.checkpoint; }));
  all.processors = differing(a.processors(), b.processors(), kEqual);
  all.connections = differing(a.connections(), b.connections(), kEqual);
  all.flows = differing(flows_of(a), flows_of(b), kEqual);
  all.members = differing(a.members(), b.members(), by(word_of));
  all.verdicts = differing(a.members(), b.members(), by(verdict_of));
  all.holdings = differing(a.members(), b.members(), by(holding_of));
  a.members().each([&](const Incarnation& id, const Member& before) {
    const Member* after = b.member(id);
    if (after == nullptr || after->info.address != before.info.address) {
      all.left.emplace_back(id, before.info.address);
    }
  });
  return all;
}

// Compares the fields that are no lists of ids. If a row is new or deleted, its id is named in any
// case.
void check(const Touched& touched, const Touched& differ, const State& before, const State& after) {
  const auto same = [](const auto& named, const auto& differing_ones) {
    EXPECT_EQ(std::set(named.begin(), named.end()),
              std::set(differing_ones.begin(), differing_ones.end()));
    EXPECT_TRUE(std::is_sorted(named.begin(), named.end()));
  };
  same(touched.assignments, differ.assignments);
  same(touched.processors, differ.processors);
  same(touched.connections, differ.connections);
  same(touched.flows, differ.flows);
  same(touched.members, differ.members);
  EXPECT_EQ(touched.left, differ.left);
  // A new or deleted row may have none of these. Then its id is in one of the lists above.
  const auto named = [&](const auto& list, const auto& differing_ones, const auto& whole) {
    for (const auto& id : differing_ones) {
      EXPECT_TRUE(std::binary_search(list.begin(), list.end(), id) ||
                  std::binary_search(whole.begin(), whole.end(), id));
    }
    for (const auto& id : list) {
      EXPECT_TRUE(std::binary_search(differing_ones.begin(), differing_ones.end(), id));
    }
  };
  named(touched.reports, differ.reports, touched.assignments);
  named(touched.checkpoints, differ.checkpoints, touched.assignments);
  named(touched.verdicts, differ.verdicts, touched.members);
  named(touched.holdings, differ.holdings, touched.members);
  EXPECT_FALSE(touched.everything);
  const bool moves = !touched.assignments.empty() || !touched.processors.empty() ||
                     !touched.members.empty() || before.strategy() != after.strategy();
  EXPECT_TRUE(touched.placement || !moves);
  EXPECT_TRUE(moves || !touched.verdicts.empty() || !touched.placement);
}

TEST(Touched, NamesWhatDiffersAndNothingElse) {
  uint64_t rejected = 0, changed = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Commands commands(seed);
    State state;
    for (LogIndex index = 1; index <= 400; ++index) {
      const State before = state;
      const Command command = commands.next(state);
      const Transition transition = state.apply(index, command);
      check(transition.touched, differences(before, state), before, state);
      if (transition.applied.rejected || transition.applied.index != index) {
        EXPECT_EQ(transition.touched, Touched{}) << "a rejected or repeated command";
        ++rejected;
      }
      changed += transition.touched == Touched{} ? 0 : 1;
      if (::testing::Test::HasFailure()) {
        FAIL() << "seed " << seed << " index " << index << ": " << name(command.body);
      }
    }
  }
  EXPECT_GT(rejected, 1000u);
  EXPECT_GT(changed, 2000u);
}

// The indexes are equal to what a walk through the tables finds, also after a snapshot was read.
TEST(Touched, IndexesAreCountedFromTheTables) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Commands commands(seed);
    State state;
    for (LogIndex index = 1; index <= 300; ++index) {
      state.apply(index, commands.next(state));
      if (index % 50 == 0) state = State::from_snapshot(state.snapshot()).value();
      std::map<Incarnation, std::vector<ProcessorId>> owned;
      std::map<NodeId, std::vector<ProcessorId>> pinned;
      std::map<RunState, std::vector<ProcessorId>> not_running;
      state.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
        if (assignment.state != RunState::running) not_running[assignment.state].push_back(id);
        if (assignment.owner) owned[assignment.owner].push_back(id);
        if (!assignment.pinned.empty()) pinned[assignment.pinned].push_back(id);
      });
      std::map<FlowId, std::vector<ProcessorId>> loose;
      state.processors().each([&](const ProcessorId& id, const ProcessorSpec& spec) {
        const FlowRow* flow = state.flows().find(spec.flow);
        if (!spec.flow.empty() && (flow == nullptr || !flow->lists(id))) {
          loose[spec.flow].push_back(id);
        }
      });
      const auto listed = [](const auto& each) {
        std::vector<ProcessorId> list;
        each([&](const ProcessorId& id) { list.push_back(id); });
        return list;
      };
      for (uint64_t id = 1; id <= 12; ++id) {
        EXPECT_EQ(listed([&](auto visit) { state.each_owned(Incarnation{id}, visit); }),
                  owned[Incarnation{id}]);
        const NodeId node("n" + std::to_string(id));
        EXPECT_EQ(listed([&](auto visit) { state.each_pinned(node, visit); }), pinned[node]);
      }
      std::map<RunState, std::vector<ProcessorId>> visited;
      state.visit_not_running({}, {}, [&](RunState its, const ProcessorId& id) {
        visited[its].push_back(id);
        return true;
      });
      EXPECT_EQ(visited, not_running);
      for (const char* name : {"f0", "f1", "f2"}) {
        const FlowId flow(name);
        EXPECT_EQ(listed([&](auto visit) { state.each_loose(flow, visit); }), loose[flow]);
      }
      if (testing::Test::HasFailure()) FAIL() << "seed " << seed << " index " << index;
    }
  }
}

// Processors that were added to a flow one by one are deleted with it, and so are those that the
// flow took over.
TEST(Touched, ADeletedFlowTakesItsLooseProcessorsAlong) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Commands commands(seed);
    State state;
    for (LogIndex index = 1; index <= 200; ++index) {
      if (index % 50 == 0) state = State::from_snapshot(state.snapshot()).value();
      state.apply(index, commands.next(state));
    }
    for (const char* flow : {"f0", "f1", "f2"}) {
      if (state.flows().find(FlowId(flow)) == nullptr) continue;
      state.apply(state.version() + 1,
                  Command{DeleteFlow{FlowId(flow)}, 0, {}, "", 0, state.age_ms()});
      state.processors().each([&](const ProcessorId& id, const ProcessorSpec& spec) {
        EXPECT_NE(spec.flow, FlowId(flow)) << "seed " << seed << " " << id.text();
      });
    }
  }
}

}  // namespace
}  // namespace databridge
