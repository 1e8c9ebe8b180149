#include "ctl/render.h"

#include <gtest/gtest.h>

namespace databridge::ctl {
namespace {

TEST(Render, Status) {
  EXPECT_EQ(render_status(R"({"clusterId":"c1","status":"degraded","leader":"node-1","term":3,
    "quorum":{"voters":3,"needed":2,"reachable":2},"totalNodes":3,"healthyNodes":2,
    "totalProcessors":10,"runningProcessors":9,"averageLoad":12.345,"version":77})"),
            "cluster     c1\n"
            "status      degraded\n"
            "leader      node-1 (term 3)\n"
            "quorum      2 of 3 voters reachable, 2 needed\n"
            "nodes       2 healthy of 3\n"
            "processors  9 running of 10\n"
            "load        12.35\n"
            "version     77\n");
}

TEST(Render, StatusHasItsWarnings) {
  EXPECT_NE(render_status(R"({"warnings":["not encrypted","has no effect"]})")
                .find("warning     not encrypted\nwarning     has no effect\n"),
            std::string::npos);
}

TEST(Render, StatusSaysWhyItIsDegraded) {
  EXPECT_NE(render_status(R"x({"status":"degraded","reasons":["n2 is stopped (shut_down)"]})x")
                .find("reason      n2 is stopped (shut_down)\n"),
            std::string::npos);
}

TEST(Render, StatusSaysInALineWhichFeaturesWaitForWhom) {
  const std::string shown = render_status(R"({"softwareVersions":{"0.2.0":2,"0.3.0":1},"features":
    {"active":["a","b"],"waiting":[{"feature":"c","version":"0.3.0","for":["n1","n2"]}],
    "held":true}})");
  EXPECT_NE(shown.find("software    0.2.0 on 2, 0.3.0 on 1\n"), std::string::npos) << shown;
  EXPECT_NE(
      shown.find("features    a b; c (0.3.0) waits for n1 n2, held by cluster.holdFeatures\n"),
      std::string::npos)
      << shown;
}

TEST(Render, ListsAlign) {
  EXPECT_EQ(render_assignments(R"({"assignments":[
    {"processorId":"p1","name":"tail","type":"TailFile","flowId":"logs","nodeId":"node-1",
     "epoch":7,"state":"running","reason":"least load"},
    {"processorId":"p2","name":"größer","type":"PutFile","flowId":null,"nodeId":null,
     "epoch":0,"state":"unassigned","reason":""}],"version":9})"),
            "PROCESSOR  NAME    TYPE      FLOW  NODE    EPOCH  STATE       REASON\n"
            "p1         tail    TailFile  logs  node-1  7      running     least load\n"
            "p2         größer  PutFile   -     -       0      unassigned  -\n");
}

TEST(Render, PlanTellsItsBound) {
  EXPECT_EQ(render_plan(R"({"planId":"x","stateVersion":5,"moves":[{"processorId":"p1","from":"a",
    "to":"b","reason":"evens out","gain":1.5}],"lowerBound":1,"before":{"scoreRange":20.0},
    "after":{"scoreRange":2.0},"blocked":[]})"),
            "plan x of version 5: 1 moves (at least 1 are needed), score range 20.00 → 2.00\n"
            "PROCESSOR  FROM  TO  REASON\n"
            "p1         a     b   evens out\n");
}

TEST(Render, OperationTellsWhatItWaitsFor) {
  EXPECT_EQ(render_operation(R"({"operationId":"drain-node-1","phase":"draining","moved":2,
    "unplaced":3,"remaining":1,"warnings":["look out"],"blockers":[{"processorId":"p1","name":"tail",
    "flowId":"logs","state":"stopping","reason":"hands over"}]})"),
            "drain-node-1: draining, 2 processors moved, 3 without a place, 1 left\n"
            "warning: look out\n"
            "WAITS FOR  NAME  FLOW  STATE     REASON\n"
            "p1         tail  logs  stopping  hands over\n");
}

TEST(Render, ARestoreTellsWhatItChanges) {
  EXPECT_EQ(render_restore(R"({"dryRun":true,"changes":{"flows":{"added":[],"replaced":["a"],
    "deleted":["b"]},"processors":{},"config":{"added":["c"]},
    "strategy":{"before":"round_robin","after":"least_loaded"}}})"),
            "a restore would change:\n"
            "  replaced flows      a\n"
            "  deleted  flows      b\n"
            "  added    config     c\n"
            "  replaced strategy   round_robin by least_loaded\n");
}

TEST(Render, EventIsOneLine) {
  EXPECT_EQ(render_event(R"({"id":"12.0","type":"work_assigned","at":"2026-11-22T20:00:00.123Z",
    "nodeId":"node-1","data":{"processor":"p1","why":"a\nb"}})"),
            "12.0  2026-11-22T20:00:00.123Z  work_assigned  node-1  processor=p1 why=a?b");
}

TEST(Render, ConfigValueIsJson) {
  EXPECT_EQ(render_config_item(R"({"key":"k","value":{"a":[1,"x"]},"version":3})"),
            "{\"a\":[1,\"x\"]}\n");
}

TEST(Render, TakesAnything) {
  for (const char* text : {"", "nonsense", "[]", "1", "{}", R"({"nodes":1,"moves":{},"events":""})",
                           R"({"nodes":[1,null]})", "\xff"}) {
    for (auto* render :
         {render_status, render_nodes, render_node, render_leader, render_assignments,
          render_assignment, render_flows, render_flow, render_plan, render_operation,
          render_operations, render_restore, render_config, render_config_item, render_strategy,
          render_events, render_event, next_of}) {
      render(text);
    }
  }
  EXPECT_EQ(render_node("{}").find('{'), std::string::npos);
}

TEST(Render, NamesCannotWriteOnTheTerminal) {
  EXPECT_EQ(render_strategy(R"({"strategy":"\u001b[2J\u007f"})"), "?[2J?\n");
}

TEST(Render, FlowFileNamesItsId) {
  EXPECT_EQ(flow_id_of("# a flow\nid: logs\nprocessors:\n  id: other\n"), "logs");
  EXPECT_EQ(flow_id_of("name: x\nid: \"logs\"  # why\n"), "logs");
  EXPECT_EQ(flow_id_of(R"({"id":"logs"})"), "logs");
  EXPECT_EQ(flow_id_of("name: x\n  id: inner\n"), "");
  EXPECT_EQ(flow_id_of(""), "");
}

}  // namespace
}  // namespace databridge::ctl
