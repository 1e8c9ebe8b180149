#include "node/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace databridge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const ProcessorId kA{1, 1}, kB{1, 2}, kC{1, 3};

class TopologyTest : public testing::Test {
 protected:
  struct Wire {
    ProcessorId from;
    std::string relationship;
    ProcessorId to;
  };

  // Replaces the flow. The state gives each connection its id.
  Touched put(const std::string& name, const std::vector<Wire>& wires) {
    FlowSpec flow;
    flow.id = FlowId(name);
    std::set<ProcessorId> ids;
    for (const Wire& wire : wires) ids.insert({wire.from, wire.to});
    for (const ProcessorId& id : ids) {
      ProcessorSpec spec;
      spec.id = id;
      spec.name = "p" + id.text();
      spec.type = "LogAttribute";
      flow.processors.push_back(spec);
    }
    for (const Wire& wire : wires) {
      ConnectionSpec spec;
      spec.id = Uuid{2, flow.connections.size() + 1};
      spec.from = wire.from;
      spec.relationship = wire.relationship;
      spec.to = wire.to;
      flow.connections.push_back(spec);
    }
    return apply(PutFlow{flow});
  }
  Touched apply(CommandBody body) {
    Command command;
    command.body = std::move(body);
    const Transition made = state.apply(state.version() + 1, command);
    EXPECT_FALSE(made.applied.rejected) << made.applied.rejected->message;
    return made.touched;
  }
  Uuid id_of(const std::string& flow, size_t at) const {
    return state.flows().find(FlowId(flow))->connections[at];
  }

  State state;
  Topology topology;
};

TEST_F(TopologyTest, InputsAreInTheOrderOfTheFlowAndOutputsByRelationship) {
  topology.change(state, put("f", {{kA, "success", kC}, {kB, "success", kC}, {kA, "failure", kB}}));
  EXPECT_THAT(topology.inputs(kC), ElementsAre(id_of("f", 0), id_of("f", 1)));
  EXPECT_THAT(topology.outputs(kA).at("success"), ElementsAre(id_of("f", 0)));
  EXPECT_THAT(topology.outputs(kA).at("failure"), ElementsAre(id_of("f", 2)));
  EXPECT_THAT(topology.outputs(kC), IsEmpty());
}

TEST_F(TopologyTest, AConnectionThatIsGoneIsNamedWithItsEnds) {
  topology.change(state, put("f", {{kA, "success", kB}, {kB, "success", kC}}));
  const Uuid gone = id_of("f", 1), stays = id_of("f", 0);
  const auto before = topology.change(state, put("f", {{kA, "success", kB}}));
  ASSERT_EQ(before.count(gone), 1u);
  EXPECT_EQ(before.at(gone).from, kB);
  EXPECT_EQ(before.at(gone).to, kC);
  EXPECT_THAT(topology.inputs(kB), ElementsAre(stays));
  EXPECT_THAT(topology.inputs(kC), IsEmpty());
  EXPECT_THAT(topology.outputs(kB), IsEmpty());
}

TEST_F(TopologyTest, ADeletedFlowLeavesNothing) {
  topology.change(state, put("f", {{kA, "success", kB}}));
  topology.change(state, apply(DeleteFlow{FlowId("f")}));
  EXPECT_THAT(topology.processors(), IsEmpty());
}

// Following every change gives the same wiring as reading all flows again.
TEST_F(TopologyTest, ToRebuildFindsTheSameAndNamesWhatIsGone) {
  topology.change(state, put("f", {{kA, "success", kB}, {kB, "success", kC}}));
  const Uuid gone = id_of("f", 1);
  put("f", {{kA, "success", kB}});
  EXPECT_THAT(topology.rebuild(state), ElementsAre(gone));
  EXPECT_THAT(topology.inputs(kB), ElementsAre(id_of("f", 0)));
  EXPECT_THAT(topology.inputs(kC), IsEmpty());
  EXPECT_THAT(topology.rebuild(state), IsEmpty());
}

}  // namespace
}  // namespace databridge::node
