#include "api/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/openapi.h"
#include "api/test_routes.h"

namespace databridge::api {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

TEST_F(RoutesTest, StatusHasTheNamesOfTheContract) {
  const Json status = json(call("GET", "/api/cluster/status"));
  EXPECT_EQ(status["clusterId"], "c1");
  EXPECT_EQ(status["status"], "healthy");
  EXPECT_EQ(status["leader"], "node-1");
  EXPECT_EQ(status["term"], 3);
  EXPECT_EQ(status["quorum"], Json::parse(R"({"voters":1,"needed":1,"reachable":1})"));
  EXPECT_EQ(status["totalNodes"], 1);
  EXPECT_EQ(status["healthyNodes"], 1);
  EXPECT_EQ(status["totalProcessors"], 0);
  EXPECT_EQ(status["runningProcessors"], 0);
  EXPECT_EQ(status["averageLoad"], 50.0);  // No sample yet.
  EXPECT_EQ(status["version"], 2);
}

TEST_F(RoutesTest, StatusFollowsTheView) {
  EXPECT_EQ(json(call("GET", "/api/cluster/status"))["status"], "healthy");
  backend.apply(SetVerdict{Incarnation{1}, Health::unhealthy, HealthReason::heartbeat_lost, 0});
  EXPECT_EQ(json(call("GET", "/api/cluster/status"))["status"], "degraded");
  backend.change([](cluster::View& view) { view.has_quorum = false; });
  const Json cut_off = json(call("GET", "/api/cluster/status"));
  EXPECT_EQ(cut_off["status"], "no_quorum");
  EXPECT_EQ(cut_off["quorum"]["reachable"], 0);
}

TEST_F(RoutesTest, StatusNamesTheFeaturesAndForWhomTheyWait) {
  backend.change([](cluster::View& view) {
    view.waiting = {{Feature::feature_gates, {NodeId("node-1")}}};
    view.features_held = true;
  });
  Json status = json(call("GET", "/api/cluster/status"));
  EXPECT_EQ(status["features"], Json::parse(R"({"active":[],"waiting":[{"feature":"feature_gates",
    "version":"0.2.0","for":["node-1"]}],"held":true})"));
  EXPECT_EQ(status["softwareVersions"], Json::parse(R"({"0.1.0":1})"));
  backend.apply(ActivateFeatures{{Feature::feature_gates}, {{Incarnation{1}, 0, 0}}});
  backend.change([](cluster::View& view) { view.waiting = {}; });
  status = json(call("GET", "/api/cluster/status"));
  EXPECT_EQ(status["features"]["active"], Json::parse(R"(["feature_gates"])"));
  EXPECT_EQ(status["features"]["waiting"], Json::array());
}

TEST_F(RoutesTest, ANodeThatKnowsOfNoMemberYetIsNotHealthy) {
  backend.change([](cluster::View& view) { view.state = State(); });
  EXPECT_EQ(json(call("GET", "/api/cluster/status"))["status"], "no_quorum");
  EXPECT_EQ(call("GET", "/readyz").status, 503);
}

TEST_F(RoutesTest, AMemberThatIsToldToJoinItsOwnClusterHasDoneSo) {
  const ApiResponse own = call("POST", "/api/cluster/join", R"({"seeds":["10.0.1.1:8090"]})");
  EXPECT_EQ(own.status, 200);
  EXPECT_EQ(json(own)["clusterId"], "c1");
  EXPECT_TRUE(backend.submitted.empty());
  call("POST", "/api/cluster/join", R"({"seeds":["10.0.1.1:8090","10.0.1.9:8090"]})");
  EXPECT_EQ(backend.submitted.size(), 1u);
}

TEST_F(RoutesTest, StatusHasTheWarningsOfTheConfiguration) {
  EXPECT_EQ(json(call("GET", "/api/cluster/status"))["warnings"], Json::array());
  backend.warned = {"the cluster port is not encrypted"};
  backend.change([](cluster::View&) {});
  EXPECT_EQ(json(call("GET", "/api/cluster/status"))["warnings"], Json(backend.warned));
}

TEST_F(RoutesTest, AReasonSaysHowItGoes) {
  call("POST", "/api/cluster/processors", kProcessor);
  const std::string path = "/api/cluster/processors/" + kId;
  const Epoch epoch = backend.view()->state.assignments().find(*Uuid::parse(kId))->epoch;
  const auto report = [&](const std::string& detail) {
    backend.apply(Reports{{{*Uuid::parse(kId), epoch, RunState::running, detail}}});
    const Json shown = json(call("GET", path));
    EXPECT_EQ(shown["state"], "running");
    return shown["reason"].get<std::string>();
  };
  EXPECT_EQ(report("fails at every trigger: no disk"),
            "the only node; fails at every trigger: no disk");
  EXPECT_EQ(report(""), "the only node");
}

TEST_F(RoutesTest, AllListsTakeALimitAndAPlaceToGoOn) {
  for (const std::string list : {"nodes", "flows", "config", "assignments", "events"}) {
    const std::string path = "/api/cluster/" + list;
    EXPECT_EQ(call("GET", path + "?limit=1&after=").status, 200) << list;
    EXPECT_EQ(call("GET", path + "?limit=18446744073709551615").status, 200) << list;
    for (const char* bad : {"0", "-1", "1.5", "x", "", "1x", "99999999999999999999x",
                            "18446744073709551616", "99999999999999999999999"}) {
      EXPECT_EQ(call("GET", path + "?limit=" + bad).status, 400) << list << " " << bad;
    }
  }
  EXPECT_EQ(call("GET", "/api/cluster/nodes?after=zzz").status, 200);
  EXPECT_EQ(call("GET", "/api/cluster/assignments?after=zzz").status, 400);
  EXPECT_EQ(call("GET", "/api/cluster/events?after=zzz").status, 400);
}

TEST_F(RoutesTest, NodeHasTheNamesOfTheContract) {
  backend.change([](cluster::View& view) {
    SoftMember soft;
    soft.incarnation = Incarnation{1};
    soft.sampled = true;
    soft.load = {10, 20, 3, 40, NodeTrouble::none};
    soft.heartbeat_last_ms = 1'700'000'000'500;
    soft.latency_last_ms = 0.25;
    soft.started_at_ms = 1'699'999'991'000;
    view.soft.members = {soft};
  });
  const Json nodes = json(call("GET", "/api/cluster/nodes"));
  EXPECT_EQ(nodes["version"], 2);
  const Json& node = nodes["nodes"][0];
  EXPECT_EQ(node["id"], "node-1");
  EXPECT_EQ(node["address"], "10.0.1.1:8090");
  EXPECT_EQ(node["apiAddress"], "10.0.1.1:8080");
  EXPECT_EQ(node["role"], "primary");
  EXPECT_EQ(node["state"], "healthy");
  EXPECT_EQ(node["stateReason"], "");
  EXPECT_EQ(node["draining"], false);
  EXPECT_EQ(node["lastHeartbeat"], "2023-11-14T22:13:20.500Z");
  EXPECT_EQ(node["latencyMs"], Json::parse(R"({"last":0.25,"smoothed":0,"p99":0})"));
  EXPECT_EQ(node["labels"], Json::parse(R"({"zone":"a"})"));
  EXPECT_EQ(
      node["capacity"],
      Json::parse(R"({"cpuCores":2,"memoryGB":8,"maxProcessors":1000,"maxConnections":1000})"));
  EXPECT_EQ(node["load"]["cpuUsage"], 10);
  EXPECT_EQ(node["load"]["queueDepth"], 40);
  EXPECT_NEAR(node["load"]["score"].get<double>(), 4 + 6 + 0.06 + 0.4, 1e-3);
  EXPECT_EQ(node["asOf"], "2023-11-14T22:13:21.000Z");
  EXPECT_EQ(node["softwareVersion"], "0.1.0");
  EXPECT_EQ(node["uptimeMs"], 10'000);
  EXPECT_EQ(node["incarnation"], "1");
  EXPECT_EQ(json(call("GET", "/api/cluster/nodes/node-1"))["id"], "node-1");
  EXPECT_EQ(call("GET", "/api/cluster/nodes/node-9").status, 404);
}

TEST_F(RoutesTest, ListsGoOnWhereThePageBeforeEnded) {
  for (uint64_t n = 2; n <= 5; ++n) backend.apply(AdmitMember{member_info(n)});
  std::vector<std::string> seen;
  std::string after;
  for (int pages = 0; pages < 10; ++pages) {
    const Json page = json(call("GET", "/api/cluster/nodes?limit=2&after=" + after));
    for (const Json& node : page["nodes"]) seen.push_back(node["id"]);
    if (!page.contains("next")) break;
    after = page["next"];
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"node-1", "node-2", "node-3", "node-4", "node-5"}));
}

TEST_F(RoutesTest, LeaderIsShownOrItIsSaidThatThereIsNone) {
  const Json leader = json(call("GET", "/api/cluster/leader"));
  EXPECT_EQ(leader["leader"], "node-1");
  EXPECT_EQ(leader["address"], "10.0.1.1:8090");
  EXPECT_EQ(leader["apiAddress"], "10.0.1.1:8080");
  EXPECT_EQ(leader["term"], 3);
  backend.change([](cluster::View& view) { view.leader = {}; });
  const ApiResponse none = call("GET", "/api/cluster/leader");
  EXPECT_EQ(none.status, 503);
  EXPECT_EQ(none.content_type, "application/problem+json");
  EXPECT_EQ(json(none)["code"], "no_leader");
  EXPECT_EQ(json(none)["status"], 503);
  EXPECT_THAT(none.headers, Contains(Pair("Retry-After", "1")));
}

TEST_F(RoutesTest, ConfigurationIsWrittenReadComparedAndDeleted) {
  const ApiResponse put = call("PUT", "/api/cluster/config/a%2Fb", R"({"value":{"x":[1,null]}})");
  EXPECT_EQ(put.status, 200);
  EXPECT_EQ(put.body, R"({"key":"a/b","value":{"x":[1,null]},"version":3})");
  EXPECT_EQ(call("GET", "/api/cluster/config/a/b").body, put.body);
  EXPECT_EQ(call("GET", "/api/cluster/config").body,
            R"({"config":[)" + put.body + R"(],"version":3})");

  ApiRequest compare{
      "PUT", "/api/cluster/config/a%2Fb", "application/json", "", "2", "", "", R"({"value":2})"};
  const ApiResponse lost = call(compare);
  EXPECT_EQ(lost.status, 409);
  EXPECT_EQ(json(lost)["code"], "conflict");
  compare.if_match = "\"3\"";
  EXPECT_EQ(call(compare).status, 200);
  compare.if_match = "three";
  EXPECT_EQ(call(compare).status, 400);

  EXPECT_EQ(call("DELETE", "/api/cluster/config/a%2Fb").status, 200);
  EXPECT_EQ(call("GET", "/api/cluster/config/a%2Fb").status, 404);
  EXPECT_EQ(call("DELETE", "/api/cluster/config/a%2Fb").status, 404);
}

TEST_F(RoutesTest, ProcessorIsPlacedMovedStoppedAndDeleted) {
  const ApiResponse added = call("POST", "/api/cluster/processors", kProcessor);
  EXPECT_EQ(added.status, 201);
  EXPECT_THAT(added.headers, Contains(Pair("Location", "/api/cluster/processors/" + kId)));
  const Json assignment = json(added);
  EXPECT_EQ(assignment["processorId"], kId);
  EXPECT_EQ(assignment["type"], "external");
  EXPECT_EQ(assignment["flowId"], nullptr);
  EXPECT_EQ(assignment["nodeId"], "node-1");
  EXPECT_EQ(assignment["replicas"], Json::parse(R"(["node-1"])"));
  EXPECT_EQ(assignment["epoch"], 4);
  EXPECT_EQ(assignment["state"], "assigned");
  EXPECT_EQ(assignment["reason"], "the only node");
  EXPECT_EQ(assignment["assignedAt"], "2023-11-14T22:13:20.003Z");
  const auto& place = std::get<cluster::Place>(backend.submitted.back().body);
  EXPECT_EQ(place.spec.properties, (std::map<std::string, std::string>{{"a", "b"}, {"n", "3"}}));

  EXPECT_EQ(json(call("GET", "/api/cluster/assignments"))["assignments"].size(), 1u);
  EXPECT_EQ(json(call("GET", "/api/cluster/assignments?nodeId=node-1"))["assignments"].size(), 1u);
  EXPECT_EQ(json(call("GET", "/api/cluster/assignments?nodeId=other"))["assignments"].size(), 0u);
  EXPECT_EQ(json(call("GET", "/api/cluster/assignments?state=running"))["assignments"].size(), 0u);
  EXPECT_EQ(json(call("GET", "/api/cluster/assignments?state=assigned"))["assignments"].size(), 1u);
  EXPECT_EQ(json(call("GET", "/api/cluster/assignments?flowId=f"))["assignments"].size(), 0u);
  EXPECT_EQ(call("GET", "/api/cluster/assignments?state=asleep").status, 422);

  EXPECT_EQ(
      call("POST", "/api/cluster/processors/" + kId + "/move", R"({"nodeId":"node-1"})").status,
      200);
  EXPECT_EQ(std::get<cluster::MoveWork>(backend.submitted.back().body).to, NodeId("node-1"));
  EXPECT_EQ(call("POST", "/api/cluster/processors/" + kId + "/stop").status, 200);
  EXPECT_EQ(json(call("GET", "/api/cluster/processors/" + kId))["wanted"], false);
  EXPECT_EQ(call("POST", "/api/cluster/processors/" + kId + "/start", "{}").status, 200);
  EXPECT_EQ(call("DELETE", "/api/cluster/processors/" + kId).status, 200);
  EXPECT_EQ(call("POST", "/api/cluster/processors/" + kId + "/stop").status, 404);
}

TEST_F(RoutesTest, RetryWithTheSameKeyMeansTheSameProcessor) {
  ApiRequest request{"POST", "/api/cluster/processors", "application/json", "", "", kKey,
                     "",     R"({"type":"external"})"};
  call(request);
  const auto first = std::get<cluster::Place>(backend.submitted.back().body).spec.id;
  EXPECT_EQ(backend.submitted.back().idempotency_key, kKey);
  call(request);
  EXPECT_EQ(std::get<cluster::Place>(backend.submitted.back().body).spec.id, first);
  request.idempotency_key.clear();
  call(request);
  EXPECT_NE(std::get<cluster::Place>(backend.submitted.back().body).spec.id, first);
}

TEST_F(RoutesTest, AFingerprintIsOfWhatTheClientSent) {
  const auto fingerprint = [&](const ApiRequest& request) {
    call(request);
    return backend.submitted.back().fingerprint;
  };
  const ApiRequest add{"POST", "/api/cluster/processors", "application/json", "", "", kKey,
                       "",     R"({"type":"external"})"};
  EXPECT_EQ(fingerprint(add), fingerprint(add));
  ApiRequest other = add;
  other.body = R"({"type":"external","name":"x"})";
  EXPECT_NE(fingerprint(add), fingerprint(other));
  ApiRequest stop = add, start = add;
  stop.target = "/api/cluster/processors/" + kId + "/stop";
  start.target = "/api/cluster/processors/" + kId + "/start";
  stop.body = start.body = "{}";
  EXPECT_NE(fingerprint(stop), fingerprint(start));
  ApiRequest restore = add, restore_other = add;
  restore.target = restore_other.target = "/api/cluster/snapshot/restore";
  restore.content_type = restore_other.content_type = "application/octet-stream";
  State state;
  restore.body = state.backup();
  state.apply(1, Command{.body = SetConfig{"key", "1", {}}, .request = {}, .idempotency_key = {}});
  restore_other.body = state.backup();
  EXPECT_NE(fingerprint(restore), fingerprint(restore_other)) << "its body is moved on";
}

TEST_F(RoutesTest, FlowIsPutShownAndDeleted) {
  const ApiResponse put = call("PUT", "/api/cluster/flows/logs", "name: x", "application/yaml");
  EXPECT_EQ(put.status, 201);
  const Json flow = json(put);
  EXPECT_EQ(flow["id"], "logs");
  EXPECT_EQ(flow["state"], "starting");  // No leader has looked for a place yet.
  EXPECT_EQ(flow["processors"][0]["name"], "tail");
  EXPECT_EQ(flow["processors"][0]["nodeId"], nullptr);
  EXPECT_EQ(flow["processors"][0]["epoch"], 0);
  EXPECT_EQ(call("PUT", "/api/cluster/flows/logs", "{}").status, 200);
  const ApiResponse bad = call("PUT", "/api/cluster/flows/logs", "bad: 1", "application/yaml");
  EXPECT_EQ(bad.status, 422);
  EXPECT_EQ(json(bad)["detail"], "line 4, column 9: unknown key \"bad\"");
  EXPECT_EQ(call("PUT", "/api/cluster/flows/logs", "name: x").status, 400);  // YAML sent as JSON.
  EXPECT_EQ(json(call("GET", "/api/cluster/flows"))["flows"], Json::parse(R"([{
      "id": "logs", "name": "a flow", "state": "starting", "processorCount": 1,
      "runningProcessors": 0, "connectionCount": 0}])"));
  EXPECT_EQ(call("GET", "/api/cluster/flows/other").status, 404);
  EXPECT_EQ(call("DELETE", "/api/cluster/flows/logs").status, 200);
  EXPECT_EQ(call("DELETE", "/api/cluster/flows/logs").status, 404);
}

TEST_F(RoutesTest, AFlowThatIsPutAgainUnderTheSameKeyIsAnsweredAsAtFirst) {
  ApiRequest put{"PUT", "/api/cluster/flows/logs", "application/json", "", "", kKey, "", "{}"};
  EXPECT_EQ(call(put).status, 201);
  EXPECT_EQ(call(put).status, 201);
  put.idempotency_key = kOtherKey;
  EXPECT_EQ(call(put).status, 200);
  EXPECT_EQ(call(put).status, 200);
}

TEST_F(RoutesTest, AFlowHasWhatWasAddedToIt) {
  call("PUT", "/api/cluster/flows/logs", "name: x", "application/yaml");
  const auto add = [&](const std::string& name) {
    return call(
        "POST", "/api/cluster/processors",
        R"({"type":"external","id":")" + kId + R"(","flowId":"logs","name":")" + name + "\"}");
  };
  EXPECT_EQ(add("tail").status, 409) << "a name of the flow";
  EXPECT_EQ(add("extra").status, 201);
  const Json flow = json(call("GET", "/api/cluster/flows/logs"));
  ASSERT_EQ(flow["processors"].size(), 2u);
  EXPECT_EQ(flow["processors"][1]["name"], "extra");
  EXPECT_EQ(call("DELETE", "/api/cluster/flows/logs").status, 200);
  EXPECT_EQ(backend.view()->state.processors().size(), 0u);
}

TEST_F(RoutesTest, StatusSaysWhereFlowFilesMayWait) {
  const SetVerdict gone{Incarnation{1}, Health::disconnected, HealthReason::connection_refused, 0};
  backend.apply(gone);
  EXPECT_TRUE(json(call("GET", "/api/cluster/status"))["warnings"].empty()) << "it holds nothing";
  backend.apply(SetVerdict{Incarnation{1}, Health::healthy, HealthReason::none, 0});
  call("POST", "/api/cluster/processors", kProcessor);
  EXPECT_TRUE(json(call("GET", "/api/cluster/status"))["warnings"].empty()) << "it is there";
  backend.apply(gone);
  EXPECT_EQ(
      json(call("GET", "/api/cluster/status"))["warnings"],
      Json({"flow files may wait on node-1, which is disconnected: they go on when it is back"}));
}

TEST_F(RoutesTest, EventsGoOnAfterANumber) {
  const Json all = json(call("GET", "/api/cluster/events"));
  ASSERT_GE(all["events"].size(), 2u);
  EXPECT_EQ(all["events"][0]["id"], "1.0");
  EXPECT_EQ(all["events"][0]["type"], "node_joined");
  EXPECT_EQ(all["events"][0]["nodeId"], "node-1");
  EXPECT_EQ(json(call("GET", "/api/cluster/events?since=1"))["events"].size(),
            all["events"].size() - 1);
  const Json first = json(call("GET", "/api/cluster/events?limit=1"));
  EXPECT_EQ(first["events"].size(), 1u);
  EXPECT_EQ(first["next"], "1.0");
  EXPECT_EQ(call("GET", "/api/cluster/events?since=x").status, 400);
  EXPECT_EQ(call("GET", "/api/cluster/events?after=1").body,
            call("GET", "/api/cluster/events?since=1").body);
  EXPECT_EQ(call("GET", "/api/cluster/events?after=1&since=1").status, 400);

  ApiRequest stream{"GET", "/api/cluster/events?since=1", "", "text/event-stream", "", "", "", ""};
  EXPECT_EQ(call(stream).body, "stream after 1.4294967295");
  stream.last_event_id = "1.0";
  EXPECT_EQ(call(stream).body, "stream after 1.0");
}

TEST_F(RoutesTest, OtherWritesBecomeRequests) {
  EXPECT_EQ(call("PUT", "/api/cluster/strategy", R"({"strategy":"round_robin"})").body,
            R"({"strategy":"round_robin","version":3})");
  EXPECT_EQ(json(call("GET", "/api/cluster/strategy"))["strategy"], "round_robin");
  EXPECT_EQ(json(call("POST", "/api/cluster/rebalance?dryRun=true"))["planId"], "plan-1");
  EXPECT_TRUE(std::get<cluster::Rebalance>(backend.submitted.back().body).dry_run);
  EXPECT_EQ(call("POST", "/api/cluster/rebalance", R"({"planId":"p"})").status, 200);
  EXPECT_EQ(std::get<cluster::Rebalance>(backend.submitted.back().body).plan_id, "p");
  EXPECT_EQ(call("POST", "/api/cluster/join", R"({"seeds":["h:1","[::1]:2"]})").status, 200);
  EXPECT_EQ(std::get<cluster::JoinCluster>(backend.submitted.back().body).seeds.size(), 2u);
  EXPECT_EQ(call("POST", "/api/cluster/leader/transfer", R"({"nodeId":"node-1"})").status, 200);
  EXPECT_EQ(call("POST", "/api/cluster/nodes/node-1/check").status, 200);
  const std::string backup = call("GET", "/api/cluster/snapshot").body;
  const ApiResponse restored =
      call("POST", "/api/cluster/snapshot/restore", backup, "application/octet-stream");
  EXPECT_EQ(restored.status, 200) << restored.body;
}

TEST_F(RoutesTest, LinearizableReadWaitsForTheCluster) {
  const ApiResponse read = call("GET", "/api/cluster/nodes/node-1?consistency=linearizable");
  EXPECT_EQ(read.status, 200);
  ASSERT_FALSE(backend.submitted.empty());
  EXPECT_TRUE(std::holds_alternative<cluster::ReadBarrier>(backend.submitted.back().body));
  backend.refuse = Error{Code::no_quorum, "cut off"};
  const ApiResponse refused = call("GET", "/api/cluster/status?consistency=linearizable");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(json(refused)["code"], "no_quorum");
  EXPECT_EQ(call("GET", "/api/cluster/status").status, 200);  // Local reads still work.
  EXPECT_EQ(call("GET", "/api/cluster/status?consistency=lunar").status, 422);
  const size_t asked = backend.asked;
  EXPECT_EQ(call("GET", "/healthz?consistency=linearizable").status, 422);
  EXPECT_EQ(backend.asked, asked);
}

TEST_F(RoutesTest, ReadinessNeedsALeaderAndWhatIsCommitted) {
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  backend.change([](cluster::View& view) { view.commit += 1; });
  EXPECT_EQ(call("GET", "/readyz").status, 503);
  backend.change([](cluster::View& view) { view.leader = {}; });
  EXPECT_EQ(json(call("GET", "/readyz"))["code"], "no_leader");
  EXPECT_EQ(call("GET", "/healthz").status, 200);
}

TEST_F(RoutesTest, MetricsArePrometheusText) {
  EXPECT_THAT(call("GET", "/metrics").body, HasSubstr("\ndatabridge_nodes 1\n"));
  EXPECT_THAT(call("GET", "/metrics").body,
              HasSubstr("\ndatabridge_certificate_expiry_timestamp_seconds{port=\"cluster\"} 180"));
}

// ---- What is refused

struct Refused {
  const char* what;
  const char* method;
  const char* target;
  std::string body;
  const char* type;
  int status;
  const char* code;
};

class Refusals : public RoutesTest, public testing::WithParamInterface<Refused> {};

TEST_P(Refusals, SayWhyAndDoNothing) {
  const Refused& c = GetParam();
  const auto before = backend.view()->state.backup();
  ApiRequest request{c.method, c.target, c.type, "", "", "", "", c.body};
  const ApiResponse response = call(request);
  EXPECT_EQ(response.status, c.status) << response.body;
  EXPECT_EQ(response.content_type, "application/problem+json");
  const Json answer = json(response);
  EXPECT_EQ(answer["code"], c.code);
  EXPECT_EQ(answer["status"], c.status);
  EXPECT_FALSE(answer["title"].get<std::string>().empty());
  EXPECT_FALSE(answer["detail"].get<std::string>().empty());
  EXPECT_FALSE(answer["type"].get<std::string>().empty());
  EXPECT_EQ(backend.view()->state.backup(), before);
  EXPECT_EQ(backend.view()->state.last_event(), (EventId{2, 1}));
}

constexpr const char* kJson = "application/json";
INSTANTIATE_TEST_SUITE_P(
    Table, Refusals,
    testing::Values(
        Refused{"no such path", "GET", "/api/cluster/nothing", "", "", 404, "not_found"},
        Refused{"the root", "GET", "/", "", "", 404, "not_found"},
        Refused{"method", "POST", "/api/cluster/nodes", "", "", 405, "method_not_allowed"},
        Refused{"method, unknown", "PATCH", "/healthz", "", "", 405, "method_not_allowed"},
        Refused{"media", "PUT", "/api/cluster/config/k", "{}", "text/plain", 415,
                "unsupported_media_type"},
        Refused{"form", "POST", "/api/cluster/rebalance", "", "application/x-www-form-urlencoded",
                415, "unsupported_media_type"},
        Refused{"no media", "PUT", "/api/cluster/config/k", "{}", "", 415,
                "unsupported_media_type"},
        Refused{"yaml elsewhere", "PUT", "/api/cluster/config/k", "a: b", "application/yaml", 415,
                "unsupported_media_type"},
        Refused{"empty", "PUT", "/api/cluster/config/k", "", kJson, 400, "invalid"},
        Refused{"cut", "PUT", "/api/cluster/config/k", R"({"value":)", kJson, 400, "invalid"},
        Refused{"trailing", "PUT", "/api/cluster/config/k", R"({"value":1} x)", kJson, 400,
                "invalid"},
        Refused{"not UTF-8", "PUT", "/api/cluster/config/k", "{\"value\":\"\xff\"}", kJson, 400,
                "invalid"},
        Refused{"half a surrogate", "PUT", "/api/cluster/config/k", R"({"value":"\ud800"})", kJson,
                400, "invalid"},
        Refused{"deep", "PUT", "/api/cluster/config/k",
                "{\"value\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}", kJson,
                400, "invalid"},
        Refused{"huge number", "PUT", "/api/cluster/config/k", R"({"value":1e999})", kJson, 400,
                "invalid"},
        Refused{"twice", "PUT", "/api/cluster/config/k", R"({"value":1,"value":2})", kJson, 400,
                "invalid"},
        Refused{"unknown field", "PUT", "/api/cluster/config/k", R"({"value":1,"x":2})", kJson, 422,
                "invalid"},
        Refused{"no value", "PUT", "/api/cluster/config/k", "{}", kJson, 422, "invalid"},
        Refused{"array", "PUT", "/api/cluster/config/k", "[1]", kJson, 422, "invalid"},
        Refused{"bad key", "PUT", "/api/cluster/config/a%20b", R"({"value":1})", kJson, 422,
                "invalid"},
        Refused{"bad escape", "GET", "/api/cluster/config/%zz", "", "", 400, "invalid"},
        Refused{"cut escape", "GET", "/api/cluster/config/a%4", "", "", 400, "invalid"},
        Refused{"bytes in path", "GET", "/api/cluster/nodes/%ff", "", "", 400, "invalid"},
        Refused{"zero in path", "GET", "/api/cluster/nodes/a%00", "", "", 400, "invalid"},
        Refused{"mistyped parameter", "POST", "/api/cluster/rebalance?dryrun=true", "", "", 422,
                "invalid"},
        Refused{"bad flag", "POST", "/api/cluster/rebalance?dryRun=yes", "", "", 400, "invalid"},
        Refused{"bad limit", "GET", "/api/cluster/nodes?limit=-1", "", "", 400, "invalid"},
        Refused{"parameter twice", "GET", "/api/cluster/nodes?limit=1&limit=2", "", "", 400,
                "invalid"},
        Refused{"no type", "POST", "/api/cluster/processors", "{}", kJson, 422, "invalid"},
        Refused{"type of a type", "POST", "/api/cluster/processors", R"({"type":1})", kJson, 422,
                "invalid"},
        Refused{"unknown type", "POST", "/api/cluster/processors", R"({"type":"NoSuchType"})",
                kJson, 422, "invalid"},
        Refused{"bad id", "POST", "/api/cluster/processors", R"({"type":"external","id":"x"})",
                kJson, 422, "invalid"},
        Refused{"zero id", "POST", "/api/cluster/processors",
                R"({"type":"external","id":"00000000-0000-0000-0000-000000000000"})", kJson, 422,
                "invalid"},
        Refused{"bad replication", "POST", "/api/cluster/processors",
                R"({"type":"external","replication":"never"})", kJson, 422, "invalid"},
        Refused{"nested unknown", "POST", "/api/cluster/processors",
                R"({"type":"external","constraints":{"avoid":{}}})", kJson, 422, "invalid"},
        Refused{"bad property", "POST", "/api/cluster/processors",
                R"({"type":"external","properties":{"a":[]}})", kJson, 422, "invalid"},
        Refused{"unknown processor", "POST",
                "/api/cluster/processors/0190163d-8694-739b-aea5-966c26f8ad99/stop", "", "", 404,
                "not_found"},
        Refused{"no processor", "DELETE", "/api/cluster/processors/xyz", "", "", 404, "not_found"},
        Refused{"strategy", "PUT", "/api/cluster/strategy", R"({"strategy":"best"})", kJson, 422,
                "invalid"},
        Refused{"seeds", "POST", "/api/cluster/join", R"({"seeds":["x"]})", kJson, 422, "invalid"},
        Refused{"large value", "PUT", "/api/cluster/config/k",
                R"({"value":")" + std::string(1 << 20, 'a') + R"("})", kJson, 413, "too_large"},
        Refused{"seed port", "POST", "/api/cluster/join", R"({"seeds":["h:0"]})", kJson, 422,
                "invalid"},
        Refused{"no seeds", "POST", "/api/cluster/join", R"({"seeds":[]})", kJson, 422, "invalid"},
        Refused{"seed type", "POST", "/api/cluster/join", R"({"seeds":[1]})", kJson, 422,
                "invalid"},
        Refused{"unknown node", "POST", "/api/cluster/nodes/node-9/drain", "", "", 404,
                "not_found"},
        Refused{"no node's name", "DELETE", "/api/cluster/nodes/%20", "", "", 404, "not_found"},
        Refused{"flow's name", "PUT", "/api/cluster/flows/a%2Fb", "{}", kJson, 422, "invalid"},
        Refused{"no body and no media", "PUT", "/api/cluster/config/k", "", "", 400, "invalid"},
        Refused{"flow, no JSON", "PUT", "/api/cluster/flows/f", "{\"id\":", kJson, 400, "invalid"},
        Refused{"flow, impossible", "PUT", "/api/cluster/flows/f", R"({"bad":1})", kJson, 422,
                "invalid"},
        Refused{"delete flow's name", "DELETE", "/api/cluster/flows/a%2Fb", "", "", 404,
                "not_found"},
        Refused{"get flow's name", "GET", "/api/cluster/flows/a%20b", "", "", 404, "not_found"},
        Refused{"no snapshot", "POST", "/api/cluster/snapshot/restore", "junk",
                "application/octet-stream", 422, "invalid"},
        Refused{"no plan to try", "POST", "/api/cluster/rebalance?dryRun=true", R"({"planId":"p"})",
                kJson, 422, "invalid"}),
    [](const auto& instance) {
      std::string name;
      for (const char c : std::string(instance.param.what)) name += std::isalnum(c) ? c : '_';
      return name;
    });

TEST_F(RoutesTest, IfMatchIsRefusedWhereItWouldBeIgnored) {
  ApiRequest put{"PUT", "/api/cluster/flows/f", kJson, "", "1", "", "", "{}"};
  const ApiResponse response = call(put);
  EXPECT_EQ(response.status, 422);
  EXPECT_THAT(response.body, HasSubstr("If-Match"));
  EXPECT_TRUE(backend.submitted.empty());
  put.target = "/api/cluster/config/k";
  put.body = R"({"value":1})";
  EXPECT_EQ(call(put).status, 409);
}

TEST_F(RoutesTest, WrongMethodIsToldTheRightOnes) {
  EXPECT_THAT(call("POST", "/api/cluster/config/k").headers,
              Contains(Pair("Allow", "GET, HEAD, PUT, DELETE")));
}

TEST_F(RoutesTest, WritesWithoutALeaderSayComeBack) {
  backend.refuse = Error{Code::no_leader, "no leader is known here"};
  const ApiResponse response = call("PUT", "/api/cluster/config/k", R"({"value":1})");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(json(response)["code"], "no_leader");
  EXPECT_THAT(response.headers, Contains(Pair("Retry-After", "1")));
}

TEST_F(RoutesTest, EveryCodeHasAStatusOfTheContract) {
  const std::vector<std::pair<Code, std::pair<int, const char*>>> all = {
      {Code::invalid, {400, "invalid"}},     {Code::unprocessable, {422, "invalid"}},
      {Code::not_found, {404, "not_found"}}, {Code::conflict, {409, "conflict"}},
      {Code::forbidden, {403, "forbidden"}}, {Code::too_large, {413, "too_large"}},
      {Code::gone, {410, "gone"}},           {Code::no_leader, {503, "no_leader"}},
      {Code::no_quorum, {503, "no_quorum"}}, {Code::unavailable, {503, "unavailable"}},
      {Code::timed_out, {504, "timed_out"}}, {Code::internal, {500, "internal"}},
      {Code::corrupt, {500, "internal"}},    {Code::io, {500, "internal"}}};
  for (const auto& [code, expected] : all) {
    const ApiResponse response = problem(code, "why");
    EXPECT_EQ(response.status, expected.first);
    EXPECT_EQ(json(response)["code"], expected.second);
  }
}

TEST_F(RoutesTest, OpenApiHasThePathsOfTheTable) {
  const Json document = Json::parse(openapi_document());
  std::map<std::string, std::string> documented;
  for (const auto& [path, methods] : document["paths"].items()) {
    std::string allowed;
    for (const char* method : {"get", "put", "post", "delete"}) {
      if (!methods.contains(method)) continue;
      std::string name = method;
      for (char& c : name) c = static_cast<char>(std::toupper(c));
      if (!allowed.empty()) allowed += ", ";
      allowed += name == "GET" ? "GET, HEAD" : name;
    }
    documented[path] = allowed;
  }
  const auto table = Routes::table();
  EXPECT_EQ(documented, (std::map<std::string, std::string>(table.begin(), table.end())));
}

TEST_F(RoutesTest, OpenApiHasTheRolesOfTheTable) {
  const Json document = Json::parse(openapi_document());
  EXPECT_EQ(document["security"], Json::parse(R"([{"token":[]}])"));
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string word = method;
      for (char& c : word) c = static_cast<char>(std::toupper(c));
      std::string needs;
      switch (Routes::need(word, path)) {
        case Need::nothing:
          EXPECT_EQ(operation["security"], Json::array()) << method << " " << path;
          continue;
        case Need::read:
          needs = "read";
          break;
        case Need::operate:
          needs = "operate";
          break;
        case Need::admin:
          needs = "admin";
      }
      EXPECT_EQ(operation["x-role"], needs) << method << " " << path;
      EXPECT_TRUE(operation["responses"].contains("401")) << method << " " << path;
      EXPECT_TRUE(operation["responses"].contains("403")) << method << " " << path;
    }
  }
}

}  // namespace
}  // namespace databridge::api
