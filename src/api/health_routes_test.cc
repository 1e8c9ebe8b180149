// The condition of a node and of the cluster, as REST shows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "api/http_test_backend.h"
#include "api/routes.h"

namespace databridge::api {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

class HealthRoutes : public testing::Test {
 protected:
  HealthRoutes() { backend.found(); }
  ApiResponse call(std::string path) {
    ApiRequest request;
    request.method = "GET";
    request.target = std::move(path);
    return std::get<ApiResponse>(routes.route(backend.view(), std::move(request)));
  }
  Json json(const ApiResponse& response) { return Json::parse(response.body); }

  TestBackend backend;
  Routes routes{backend, 7};
};

TEST_F(HealthRoutes, StatusSaysWhyItIsDegraded) {
  const auto status = [&] { return json(call("/api/cluster/status")); };
  EXPECT_EQ(status()["reasons"], Json::array());
  backend.apply(AdmitMember{member_info(2)});
  backend.apply(SetVerdict{Incarnation{2}, Health::stopped, HealthReason::shut_down, 0});
  EXPECT_EQ(status()["status"], "degraded");
  EXPECT_EQ(status()["reasons"][0], "node-2 is stopped (shut_down)");
  backend.apply(SetVerdict{Incarnation{2}, Health::unhealthy, HealthReason::heartbeat_lost, 5000});
  backend.apply(AdmitMember{member_info(3)});
  backend.apply(SetVerdict{Incarnation{3}, Health::degraded, HealthReason::slow, 0});
  EXPECT_EQ(status()["reasons"][0],
            "node-2 is unhealthy (heartbeat_lost), in quarantine for 5000 ms more");
  EXPECT_EQ(status()["reasons"][1], "node-3 is degraded (slow)");
}

// Values from the last contact with a leader must not be shown as present ones.
TEST_F(HealthRoutes, ANodeThatIsCutOffCountsNobodyAsHealthy) {
  ProcessorSpec spec;
  spec.id = Uuid{0, 1};
  spec.type = "external";
  ASSERT_FALSE(backend.apply(AddProcessor{spec}).rejected);
  const Epoch epoch{0, backend.apply(Assign{spec.id, {}, Incarnation{1}, "here"}).index};
  backend.apply(Reports{{{spec.id, epoch, RunState::running, ""}}});
  EXPECT_EQ(json(call("/api/cluster/status"))["healthyNodes"], 1);
  EXPECT_EQ(json(call("/api/cluster/status"))["runningProcessors"], 1);
  for (const bool heard : {true, false}) {
    backend.change([&](cluster::View& view) {
      view.in_touch = view.caught_up = false;
      view.has_quorum = heard;
    });
    const Json cut_off = json(call("/api/cluster/status"));
    EXPECT_NE(cut_off["status"], "healthy");
    EXPECT_EQ(cut_off["healthyNodes"], 0);
    EXPECT_EQ(cut_off["runningProcessors"], 0);
    EXPECT_EQ(cut_off["totalNodes"], 1);
    ASSERT_FALSE(cut_off["reasons"].empty());
    EXPECT_EQ(call("/readyz").status, 503);
  }
}

TEST_F(HealthRoutes, QuarantineIsShownAsWhatIsLeft) {
  const auto node = [&] { return json(call("/api/cluster/nodes/node-1")); };
  EXPECT_EQ(node()["quarantinedForMs"], 0);
  EXPECT_EQ(node()["quarantined"], false);
  backend.apply(
      SetVerdict{Incarnation{1}, Health::unhealthy, HealthReason::heartbeat_lost, 60'000});
  EXPECT_EQ(node()["quarantinedForMs"], 60'000);
  backend.change([](cluster::View& view) {
    view.soft.members.resize(1);
    view.soft.members[0].incarnation = Incarnation{1};
    view.soft.members[0].quarantine_given_ms = 60'000;
    view.soft.members[0].quarantine_lasted_ms = 59'000;
  });
  EXPECT_EQ(node()["quarantinedForMs"], 1000);
  EXPECT_EQ(node()["quarantined"], true);
}

TEST_F(HealthRoutes, SlowRoundTripsAreWarnedOfBeforeTheyAreTooLong) {
  const auto warnings = [&](double ms) {
    backend.change([ms](cluster::View& view) {
      view.timing = cluster::Timing::from(10s, 30s).value();
      view.soft.members.resize(1);
      view.soft.members[0].incarnation = Incarnation{1};
      view.soft.members[0].latency_smoothed_ms = ms;
    });
    return json(call("/api/cluster/status"))["warnings"].dump();
  };
  EXPECT_EQ(warnings(400), "[]");
  EXPECT_THAT(warnings(600), HasSubstr("take 600 ms: from 1000 ms on no leader"));
}

TEST_F(HealthRoutes, ReadinessSaysWhatIsMissing) {
  const auto missing = [&](const std::function<void(cluster::View&)>& change) {
    const cluster::View before = *backend.view();
    backend.change(change);
    const ApiResponse answer = call("/readyz");
    backend.change([&](cluster::View& view) { view = before; });
    return answer.status == 200 ? std::string("ready") : json(answer)["detail"].get<std::string>();
  };
  backend.change([](cluster::View& view) {
    view.leader = Incarnation{1};
    view.commit = view.state.version();
  });
  EXPECT_EQ(missing([](cluster::View&) {}), "ready");
  EXPECT_THAT(missing([](cluster::View& view) { view.in_touch = false; }), HasSubstr("of late"));
  EXPECT_THAT(missing([](cluster::View& view) { view.caught_up = false; }),
              HasSubstr("catching up"));
  EXPECT_THAT(missing([](cluster::View& view) { view.stopping = true; }),
              HasSubstr("shutting down"));
  EXPECT_THAT(missing([](cluster::View& view) { view.self.boot += 1; }),
              HasSubstr("started again"));
  EXPECT_THAT(missing([](cluster::View& view) { view.diverged = "entry 7 differs"; }),
              HasSubstr("diverged: entry 7 differs"));
  EXPECT_THAT(missing([](cluster::View& view) { view.older_copy = "it ended at 9"; }),
              HasSubstr("lost what it had acknowledged"));
  EXPECT_THAT(missing([](cluster::View& view) { view.linked = false; }), HasSubstr("no link"));
  backend.apply(SetVerdict{Incarnation{1}, Health::degraded, HealthReason::behind, 0});
  EXPECT_EQ(missing([](cluster::View&) {}), "the leader calls this node degraded (behind)");
}

}  // namespace
}  // namespace databridge::api
