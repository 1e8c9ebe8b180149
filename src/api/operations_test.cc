// Requests of operators, as a client sees them: drains, removals, moves, restores, warnings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/test_routes.h"

namespace databridge::api {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

class OperationsTest : public RoutesTest {};

TEST_F(OperationsTest, DrainIsAnOperationThatEnds) {
  call("POST", "/api/cluster/processors", kProcessor);
  const ApiResponse begun = call("POST", "/api/cluster/nodes/node-1/drain");
  EXPECT_EQ(begun.status, 202);
  EXPECT_THAT(begun.headers, Contains(Pair("Location", "/api/cluster/operations/drain-node-1")));
  const Json operation = json(begun);
  EXPECT_EQ(operation["operationId"], "drain-node-1");
  EXPECT_EQ(operation["phase"], "draining");
  EXPECT_EQ(operation["remaining"], 1);
  EXPECT_EQ(operation["blockers"][0]["processorId"], kId);
  EXPECT_EQ(operation["blockers"][0]["reason"], "the leader has not released it yet");
  const Json all = json(call("GET", "/api/cluster/operations"));
  ASSERT_EQ(all["operations"].size(), 1u) << "it can be found again";
  EXPECT_EQ(all["operations"][0]["operationId"], "drain-node-1");
  const Assignment before = *backend.view()->state.assignments().find(*Uuid::parse(kId));
  backend.apply(Release{before.processor, before.epoch, "drain"});
  backend.apply(Unassign{before.processor, before.epoch, "nowhere to go"});
  const Json after = json(call("GET", "/api/cluster/operations/drain-node-1"));
  EXPECT_EQ(after["phase"], "done");
  EXPECT_EQ(after["done"], true);
  EXPECT_EQ(after["moved"], 0) << "it is nowhere";
  EXPECT_EQ(after["unplaced"], 1);
  EXPECT_EQ(json(call("DELETE", "/api/cluster/nodes/node-1/drain"))["phase"], "cancelled");
  EXPECT_TRUE(json(call("GET", "/api/cluster/operations"))["operations"].empty());
  backend.apply(AdmitMember{member_info(2)});
  backend.apply(Assign{before.processor, {}, Incarnation{2}, "here"});
  const Json never = json(call("DELETE", "/api/cluster/nodes/node-2/drain"));
  EXPECT_EQ(never["phase"], "none") << "it was not drained";
  EXPECT_EQ(never["moved"], 0);
  EXPECT_EQ(never["remaining"], 0);
  EXPECT_EQ(call("GET", "/api/cluster/operations/drain-node-7").status, 404);
  EXPECT_EQ(call("GET", "/api/cluster/operations/dance").status, 404);
}

TEST_F(OperationsTest, RemovalIsAnOperationThatEnds) {
  backend.apply(AdmitMember{member_info(2)});
  EXPECT_EQ(call("GET", "/api/cluster/operations/remove-node-2").status, 404);
  const ApiResponse begun = call("DELETE", "/api/cluster/nodes/node-2?force=true");
  EXPECT_EQ(begun.status, 202);
  EXPECT_EQ(json(begun)["phase"], "removing");
  EXPECT_EQ(json(begun)["blockers"].size(), 0u);
  EXPECT_TRUE(std::get<cluster::RemoveNode>(backend.submitted.back().body).force);
  backend.apply(RemoveMember{Incarnation{2}, "asked for"});
  EXPECT_EQ(json(call("GET", "/api/cluster/operations/remove-node-2"))["phase"], "done");
  EXPECT_EQ(call("DELETE", "/api/cluster/nodes/node-2").status, 404);
}

TEST_F(OperationsTest, ARemovalSaysWhatItWaitsForAndCanBeTakenBack) {
  backend.apply(AdmitMember{member_info(2)});
  const ProcessorId p{1, 1};
  ProcessorSpec spec;
  spec.id = p;
  spec.name = "tail";
  spec.type = "external";
  backend.apply(AddProcessor{spec});
  const LogIndex assigned = backend.apply(Assign{p, {}, Incarnation{2}, "here"}).index;
  backend.apply(SetDraining{Incarnation{2}, true, true});
  const auto blocker = [&](const char* field) {
    const Json operation = json(call("GET", "/api/cluster/operations/remove-node-2"));
    return operation["blockers"].empty() ? Json() : operation["blockers"][0][field];
  };
  EXPECT_EQ(blocker("processorId"), p.text());
  EXPECT_EQ(blocker("name"), "tail");
  EXPECT_TRUE(blocker("flowId").is_null());
  backend.apply(Release{p, {0, assigned}, "its node is being removed"});
  backend.apply(Unassign{p, {0, assigned}, "no place"});
  EXPECT_THAT(blocker("reason"), HasSubstr("twice in a row that it holds no flow files"));
  SoftMember busy;
  busy.incarnation = Incarnation{2};
  busy.load.queue_depth = 7;
  backend.change([&](cluster::View& view) { view.soft.members = {busy}; });
  EXPECT_THAT(blocker("reason"), HasSubstr("7 flow files wait there"));
  backend.apply(SetVerdict{Incarnation{2}, Health::unhealthy, HealthReason::heartbeat_lost, 0});
  EXPECT_THAT(blocker("reason"), HasSubstr("force=true"));
  backend.apply(SetDraining{Incarnation{2}, false, false});
  EXPECT_EQ(json(call("GET", "/api/cluster/operations/remove-node-2"))["phase"], "cancelled");
}

TEST_F(OperationsTest, ADrainCountsWhatWasGivenToOthersAsMoved) {
  call("POST", "/api/cluster/processors", kProcessor);
  backend.apply(AdmitMember{member_info(2)});
  call("POST", "/api/cluster/nodes/node-1/drain");
  const Assignment before = *backend.view()->state.assignments().find(*Uuid::parse(kId));
  backend.apply(Release{before.processor, before.epoch, "drain"});
  backend.apply(Assign{before.processor, before.epoch, Incarnation{2}, "here"});
  const Json after = json(call("GET", "/api/cluster/operations/drain-node-1"));
  EXPECT_EQ(after["moved"], 1);
  EXPECT_EQ(after["unplaced"], 0);
}

TEST_F(OperationsTest, ARemovalNamesWhoHasNoHomeWithoutTheNode) {
  backend.apply(AdmitMember{member_info(2)});
  FlowSpec flow;
  flow.id = FlowId("logs");
  for (const char* name : {"tail", "label", "free"}) {
    ProcessorSpec spec;
    spec.id = Uuid::from_name("logs", name);
    spec.name = name;
    spec.type = "TailFile";
    spec.flow = flow.id;
    spec.node_local = spec.name == "tail";
    if (spec.name == "label") spec.constraints.require["node"] = "node-2";
    flow.processors.push_back(spec);
  }
  backend.apply(PutFlow{flow});
  const ProcessorId tail = Uuid::from_name("logs", "tail");
  const LogIndex assigned = backend.apply(Assign{tail, {}, Incarnation{2}, "here"}).index;
  const Json begun = json(call("DELETE", "/api/cluster/nodes/node-2"));
  ASSERT_EQ(begun["warnings"].size(), 1u);
  const std::string warning = begun["warnings"][0];
  EXPECT_THAT(warning, StartsWith("2 processors have no home without node-2: "));
  EXPECT_THAT(warning, HasSubstr("tail (flow logs)"));
  EXPECT_THAT(warning, HasSubstr("label (flow logs)"));
  backend.apply(Release{tail, {0, assigned}, "its node is being removed"});
  backend.apply(Unassign{tail, {0, assigned}, "no place"});
  backend.apply(RemoveMember{Incarnation{2}, "by request"});
  const auto last =
      backend.view()->state.events_after({backend.view()->state.version() - 1, UINT32_MAX}, 1);
  EXPECT_EQ(last->front().data.at("processorNames"), "logs/tail");
  const Json status = json(call("GET", "/api/cluster/status"));
  ASSERT_EQ(status["warnings"].size(), 1u) << status["warnings"];
  EXPECT_THAT(status["warnings"][0].get<std::string>(),
              StartsWith("1 processors are tied to node-2, which is not a member any more"));
}

TEST_F(OperationsTest, TheListOfOperationsHasPages) {
  for (uint64_t n = 2; n <= 4; ++n) {
    backend.apply(AdmitMember{member_info(n)});
    call("POST", "/api/cluster/nodes/node-" + std::to_string(n) + "/drain");
  }
  const auto page = [&](const std::string& query) {
    return json(call("GET", "/api/cluster/operations" + query));
  };
  const Json first = page("?limit=2");
  ASSERT_EQ(first["operations"].size(), 2u);
  EXPECT_EQ(first["next"], "drain-node-3");
  const Json last = page("?limit=2&after=drain-node-3");
  ASSERT_EQ(last["operations"].size(), 1u);
  EXPECT_EQ(last["operations"][0]["operationId"], "drain-node-4");
  EXPECT_FALSE(last.contains("next"));
  EXPECT_FALSE(page("?limit=3").contains("next"));
  EXPECT_TRUE(page("?after=drain-node-9")["operations"].empty());
  EXPECT_EQ(call("GET", "/api/cluster/operations?limit=x").status, 400);
}

TEST_F(OperationsTest, StatusNamesTriggersOfThisNodeThatDoNotReturn) {
  call("POST", "/api/cluster/processors", kProcessor);
  backend.change([&](cluster::View& view) {
    view.stuck = {{*Uuid::parse(kId), 1'700'000'000'000, true}};
  });
  const auto warning = [&] { return json(call("GET", "/api/cluster/status"))["warnings"][0]; };
  EXPECT_EQ(warning(),
            "on this node a trigger of external-966c26f8ad91 has not returned, and keeps a worker "
            "thread, since "
            "2023-11-14T22:13:20.000Z");
  backend.change([&](cluster::View& view) {
    view.stuck = {{*Uuid::parse(kOtherKey), 1'700'000'000'000, false}};
  });
  EXPECT_EQ(warning(), "on this node a trigger of " + kOtherKey +
                           " has waited for a worker thread since 2023-11-14T22:13:20.000Z");
}

TEST_F(OperationsTest, AMoveByForceIsAsked) {
  call("POST", "/api/cluster/processors", kProcessor);
  const std::string path = "/api/cluster/processors/" + kId + "/move";
  call("POST", path, R"({"nodeId":"node-1","force":true})");
  EXPECT_TRUE(std::get<cluster::MoveWork>(backend.submitted.back().body).force);
  call("POST", path, R"({"nodeId":"node-1"})");
  EXPECT_FALSE(std::get<cluster::MoveWork>(backend.submitted.back().body).force);
}

TEST_F(OperationsTest, StatusSaysWhatAnOperatorShouldKnow) {
  const auto warnings = [&](int64_t log_ahead_ms, uint32_t wanted) {
    backend.change([&](cluster::View& view) {
      view.soft.log_ahead_ms = log_ahead_ms;
      view.soft.voters_wanted = wanted;
    });
    const Json all = json(call("GET", "/api/cluster/status"))["warnings"];
    return all.empty() ? std::string() : all[0].get<std::string>();
  };
  EXPECT_EQ(warnings(0, 1), "");
  EXPECT_THAT(warnings(7'200'000, 1), HasSubstr("clock lies 7200 s behind"));
  EXPECT_THAT(warnings(-7'200'000, 1), HasSubstr("clock is 7200 s ahead"));
  EXPECT_THAT(warnings(0, 3), StartsWith("1 of 3 voters"));
  backend.apply(AdmitMember{member_info(2)});
  backend.apply(SetVerdict{Incarnation{2}, Health::unhealthy, HealthReason::heartbeat_lost, 0});
  EXPECT_THAT(warnings(0, 1), StartsWith("one voter is left"));
}

TEST_F(OperationsTest, ARestoreSaysWhatItChanges) {
  backend.apply(SetConfig{"kept", "1", {}});
  backend.apply(SetConfig{"changed", "1", {}});
  backend.apply(SetConfig{"back", "1", {}});
  call("PUT", "/api/cluster/flows/old", "{}");
  const std::string backup = call("GET", "/api/cluster/snapshot").body;
  backend.apply(SetConfig{"changed", "2", {}});
  backend.apply(SetConfig{"newer", "1", {}});
  backend.apply(DeleteConfig{"back", {}});
  call("PUT", "/api/cluster/flows/new", "{}");
  const LogIndex version = backend.view()->state.version();
  const auto restore = [&](const char* query) {
    return json(call("POST", std::string("/api/cluster/snapshot/restore") + query, backup,
                     "application/octet-stream"));
  };
  const Json tried = restore("?dryRun=true");
  EXPECT_EQ(tried["dryRun"], true);
  EXPECT_EQ(tried["changes"]["config"],
            Json({{"added", {"back"}}, {"replaced", {"changed"}}, {"deleted", {"newer"}}}));
  EXPECT_EQ(tried["changes"]["flows"],
            Json({{"added", Json::array()}, {"replaced", Json::array()}, {"deleted", {"new"}}}));
  EXPECT_EQ(backend.view()->state.version(), version) << "nothing is done";
  const Json done = restore("");
  EXPECT_EQ(done["restored"], true);
  EXPECT_EQ(done["changes"], tried["changes"]);
  EXPECT_EQ(restore("?dryRun=true")["changes"]["flows"]["deleted"], Json::array());
}

}  // namespace
}  // namespace databridge::api
