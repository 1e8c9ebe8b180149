#include "flow/flow_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "flow/registry.h"

namespace databridge::flow {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kGood = R"(id: logs
name: The logs
processors:
  - name: tail
    type: TailFile
    properties: {path: /var/log/a, poll: 1s}
  - {name: route, type: RouteOnAttribute, properties: {bad: 'status =~ "5.."'}}
  - name: out
    type: PutFile
    shared: true
    replication: sync
    constraints: {require: {zone: a}, prefer: {disk: "010"}, spread: true}
    properties: {directory: /out}
    terminate: [failure]
connections:
  - {from: tail, relationship: success, to: route, maxCount: 5, maxBytes: 1MiB}
  - {from: route, relationships: [bad, unmatched], to: out}
)";

TEST(FlowYaml, ReadsAFlow) {
  const auto flow = read_flow(kGood);
  ASSERT_TRUE(flow) << flow.error().message;
  EXPECT_EQ(flow->id.value, "logs");
  EXPECT_EQ(flow->name, "The logs");
  ASSERT_EQ(flow->processors.size(), 3u);
  EXPECT_EQ(flow->processors[0].id, Uuid::from_name("logs", "tail"));
  EXPECT_TRUE(flow->processors[0].node_local);
  EXPECT_FALSE(flow->processors[2].node_local);
  EXPECT_EQ(flow->processors[2].replication, Replication::sync);
  EXPECT_EQ(flow->processors[2].constraints.prefer.at("disk"), "010");
  ASSERT_EQ(flow->connections.size(), 3u);
  EXPECT_EQ(flow->connections[0].count_max, 5u);
  EXPECT_EQ(flow->connections[0].bytes_max, 1u << 20);
  EXPECT_EQ(flow->connections[2].relationship, "unmatched");
  EXPECT_NE(flow->connections[1].id, flow->connections[2].id);
}

TEST(FlowYaml, ReadsJson) {
  const auto flow = read_flow(
      "{\"processors\": [\n\t{\"name\": \"g\", \"type\": \"GenerateFlowFile\", \"properties\": "
      "{\"interval\": \"1s\", \"count\": 5}}]}",
      "j");
  ASSERT_TRUE(flow) << flow.error().message;
  EXPECT_EQ(flow->processors[0].properties.at("count"), "5");
}

// A change of the valid flow, and the error that it causes.
struct Case {
  const char* from;
  const char* to;
  const char* expected;
};

TEST(FlowYaml, EveryMistakeHasItsLineAndColumn) {
  const std::vector<Case> cases = {
      {"name: The logs", "nmae: The logs",
       "line 2, column 1: the key \"nmae\" of a flow is unknown"},
      {"name: The logs", "id: twice", "line 2, column 1: the key \"id\" is there twice"},
      {"id: logs", "id: lo gs", "line 1, column 5: the flow's id must be"},
      {"type: TailFile", "type: TailFiel",
       "line 5, column 11: processor \"tail\" (TailFiel): there is no such type"},
      {"path: /var/log/a, ", "",
       "line 4, column 5: processor \"tail\" (TailFile): the property \"path\": it is missing"},
      {"poll: 1s", "poll: 1",
       "line 6, column 42: processor \"tail\" (TailFile): the property \"poll\": \"1\" is none"},
      {"poll: 1s", "pool: 1s",
       "line 6, column 42: processor \"tail\" (TailFile): the property \"pool\": there is none"},
      {"poll: 1s", "poll: [1s]", "line 6, column 42: the property \"poll\" must be a text"},
      {"poll: 1s", "poll: ", "the property \"poll\" has no value"},
      {"status =~", "status ~", "line 7, column 61: processor \"route\""},
      {"shared: true", "shared: yes", "line 10, column 13: shared must be true or false"},
      {"shared: true", "shared: \"true\"", "line 10, column 13: shared must be true or false"},
      {"replication: sync", "replication: both", "line 11, column 18: replication is"},
      {"maxCount: 5", "maxCount: 010", "line 16, column 62: maxCount: \"010\" is no whole number"},
      {"maxCount: 5", "maxCount: 0", "line 16, column 62: maxCount must be 1 to"},
      {"maxBytes: 1MiB", "maxBytes: 1MB", "line 16, column 75: maxBytes"},
      {"from: tail", "from: tial", "line 16, column 12: there is no processor \"tial\""},
      {"to: route", "to: tail", "line 16, column 5: \"tail\" (TailFile) is a source"},
      {"[bad, unmatched]", "[bad, matched]",
       "line 17, column 40: \"route\" has no relationship \"matched\"; it has unmatched, bad"},
      {"[bad, unmatched]", "[bad, bad]", "line 17, column 40: this connection is there twice"},
      {"- name: out", "- name: tail", "is there twice"},
      {"zone: a", "zone: [a", "line 12"},
      {"name: The logs", "name: !!binary aGk=", "line 2, column 7: tags like"},
      {"constraints: {", "constraints: !secret {", "line 12, column 18: tags like !secret"},
      {"[bad, unmatched]", "!!seq [bad, unmatched]", "tags like"},
      {"terminate: [failure]", "# nothing",
       "line 8, column 5: processor \"out\" (PutFile): its relationship \"failure\" leads nowhere"},
      {"[bad, unmatched]", "[bad]",
       "line 7, column 5: processor \"route\" (RouteOnAttribute): its relationship \"unmatched\""},
      {"terminate: [failure]", "terminate: [failed]", "line 14, column 17: processor \"out\""},
      {"terminate: [failure]", "terminate: [failure, failure]", "line 14, column 26: \"failure\""},
      {"poll: 1s", "start: middle", "line 6, column 43: processor \"tail\" (TailFile): TailFile: "},
      {"name: The logs", "name: \xff", "not UTF-8"},
      {"id: logs", "--- {id: a}\n---\nid: logs", "a second document"},
  };
  for (const Case& one : cases) {
    std::string text = kGood;
    const auto at = text.find(one.from);
    ASSERT_NE(at, std::string::npos) << one.from;
    text.replace(at, std::string(one.from).size(), one.to);
    const auto flow = read_flow(text);
    ASSERT_FALSE(flow) << one.to;
    EXPECT_THAT(flow.error().message, HasSubstr(one.expected)) << one.to;
  }
}

TEST(FlowYaml, WhatIsNoYamlIsToldFromWhatIsNoFlow) {
  const auto code = [](const std::string& text) {
    const auto flow = read_flow(text, "f");
    EXPECT_FALSE(flow) << text;
    if (flow) return Code::internal;
    EXPECT_THAT(flow.error().message, HasSubstr("line ")) << text;
    EXPECT_THAT(flow.error().message, HasSubstr(", column ")) << text;
    return flow.error().code;
  };
  for (const char* text :
       {"processors: [", "{\"processors\": \"x", "a: 1\na: 2", "*a", "a: \xff"}) {
    EXPECT_EQ(code(text), Code::invalid) << text;
  }
  const std::string good = "processors: [{name: a, type: LogAttribute}]\n";
  for (const std::string& text : std::vector<std::string>{
           "x", "[]", "{}", "processors: []", "processors: 1", "processors: [{name: a}]",
           "processors: [{name: a b, type: LogAttribute}]", "processors: [{type: LogAttribute}]",
           "processors: [{name: a, type: Nothing}]", "id: g\n" + good,
           "name: !!binary eA==\n" + good, "name: " + std::string(257, 'n') + "\n" + good,
           "name: [n]\n" + good, "? [k]\n: 1\n" + good, "---\n" + good + "---\n" + good,
           std::string(33, '[') + std::string(33, ']'),
           "processors: [{name: a, type: LogAttribute, constraints: {require: {z: " +
               std::string(1025, 'z') + "}}}]"}) {
    EXPECT_EQ(code(text), Code::unprocessable) << text;
  }
  EXPECT_THAT(read_flow("id: f\nname: " + std::string(257, 'n') + "\n" + good).error().message,
              HasSubstr("line 2, column 7: the flow's name has at most 256 bytes"));
  EXPECT_THAT(read_flow("id: f\nname: \xc3\xa4\xff").error().message,
              HasSubstr("line 2, column 8: "));
}

TEST(FlowYaml, WhatWouldBeLostIsConnectedOrTerminated) {
  const auto flow = read_flow(kGood);
  ASSERT_TRUE(flow);
  EXPECT_THAT(flow->processors[2].terminate, ElementsAre("failure"));
  ProcessorSpec alone = flow->processors[2];
  EXPECT_TRUE(check_processor(alone));
  alone.terminate = {"failed"};
  EXPECT_THAT(check_processor(alone).error().message, HasSubstr("no relationship \"failed\""));
  alone.terminate = {};
  EXPECT_EQ(check_processor(alone).error().code, Code::unprocessable);
  EXPECT_THAT(check_processor(alone).error().message, HasSubstr("say terminate: [failure]"));
}

TEST(FlowYaml, AProcessorNamesThePathsThatItTouches) {
  const auto files = [](const char* type, std::map<std::string, std::string> properties) {
    ProcessorSpec spec;
    spec.type = type;
    spec.properties = std::move(properties);
    return files_of(spec);
  };
  EXPECT_THAT(read_flow(kGood)->processors[0].files, ElementsAre("/var/log/a"));
  EXPECT_THAT(files("TailFile", {{"path", "/var//log/./b/../*.log"}}),
              ElementsAre("/var/log/*.log"));
  EXPECT_THAT(files("GetFile", {{"directory", "/in/"}}), ElementsAre("/in"));
  EXPECT_THAT(files("PutFile", {{"directory", "/out/$$a/b-${c}/d"}}), ElementsAre("/out/$a/"));
  EXPECT_THAT(files("PutFile", {{"directory", "${path}"}}), ElementsAre("/"));
  EXPECT_THAT(files("PutFile", {{"directory", "/../../etc"}}), ElementsAre("/etc"));
  EXPECT_THAT(files("LogAttribute", {}), IsEmpty());
}

// Text stays text: no digit is lost. A number that is too large is refused.
TEST(FlowYaml, LargeNumbersAreKeptOrRefused) {
  const std::string large = "123456789012345678901234567890";
  const std::string front = "processors: [{name: g, type: GenerateFlowFile, properties: {";
  const auto kept = read_flow(front + "content: " + large + "}}]", "f");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->processors[0].properties.at("content"), large);
  EXPECT_FALSE(read_flow(front + "count: " + large + "}}]", "f"));
  EXPECT_FALSE(read_flow(front + "size: 18446744073709551616}}]", "f"));
}

TEST(FlowYaml, TheIdOfTheRequestMustAgree) {
  EXPECT_FALSE(read_flow(kGood, "other"));
  EXPECT_TRUE(read_flow(kGood, "logs"));
}

TEST(FlowYaml, HostileTextCostsLittle) {
  std::string laughs = "a0: &a0 [x, x, x]\n";
  for (int i = 1; i < 60; ++i) {
    const auto n = std::to_string(i), before = std::to_string(i - 1);
    laughs += "a" + n + ": &a" + n + " [*a" + before + ", *a" + before + "]\n";
  }
  EXPECT_THAT(read_flow(laughs, "x").error().message, HasSubstr("aliases"));
  EXPECT_THAT(read_flow(std::string(100'000, '['), "x").error().message, HasSubstr("deep"));
  EXPECT_THAT(read_flow(std::string(2 << 20, 'a'), "x").error().message, HasSubstr("1 MiB"));
  EXPECT_FALSE(read_flow("a: &a [*a]", "x"));
  for (const char* text :
       {"", "~", "[]", "{}", "x", ":", "{processors: []}", "- ", "%YAML 9.9\n---\n", "? [a]\n: b",
        "\"", "processors: 1", "&a", "*a", "\xef\xbb\xbf"}) {
    EXPECT_FALSE(read_flow(text, "x")) << text;
  }
}

// Long texts of different shapes. If each key were compared with all others, the first text alone
// would take minutes.
TEST(FlowYaml, LongTextCostsWhatItsLengthCosts) {
  constexpr size_t kLong = 300'000;
  const auto many = [](const std::function<std::string(size_t)>& one) {
    std::string text;
    for (size_t i = 0; text.size() < kLong; ++i) text += one(i);
    return text;
  };
  const auto number = [](size_t i) { return std::to_string(i); };
  const std::vector<std::string> texts = {
      many([&](size_t i) { return "k" + number(i) + ": \n"; }),
      "{" + many([&](size_t i) { return "\"k" + number(i) + "\":1,"; }) + "\"end\":1}",
      "processors: {" + many([&](size_t i) { return "k" + number(i) + ": 1, "; }) + "}",
      "processors:\n- name: a\n  type: RouteOnAttribute\n  properties:\n" +
          many([&](size_t i) { return "    k" + number(i) + ": x\n"; }),
      "[" + many([](size_t) { return "a,"; }) + "]",
      many([](size_t) { return "- \n"; }),
      many([](size_t) { return "#\n"; }),
      many([](size_t) { return "a b "; }),
      "\"" + many([](size_t) { return "\\n"; }) + "\"",
      "a: |\n" + many([](size_t) { return " x\n"; }),
      many([&](size_t i) { return "&a" + number(i) + " k" + number(i) + ": \n"; }),
  };
  const std::clock_t begun = std::clock();  // CPU time, so that a busy machine does not matter.
  for (const std::string& text : texts) EXPECT_FALSE(read_flow(text, "x")) << text.substr(0, 40);
  EXPECT_LT((std::clock() - begun) / CLOCKS_PER_SEC, 20);
}

TEST(FlowYaml, AnAliasDoesNotMultiplyConnectionsBeyondTheirNumber) {
  std::string text =
      "processors:\n- {name: out, type: LogAttribute}\n- name: r\n  type: "
      "RouteOnAttribute\n  properties:\n";
  for (int i = 0; i < 900; ++i) text += "    r" + std::to_string(i) + ": 'a == \"b\"'\n";
  for (int i = 0; i < 12; ++i) text += "- {name: o" + std::to_string(i) + ", type: LogAttribute}\n";
  text += "connections:\n- from: r\n  to: out\n  relationships: &all\n";
  for (int i = 0; i < 900; ++i) text += "  - r" + std::to_string(i) + "\n";
  for (int i = 0; i < 12; ++i)
    text += "- {from: r, to: o" + std::to_string(i) + ", relationships: *all}\n";
  EXPECT_THAT(read_flow(text, "x").error().message, HasSubstr("at most 10000 connections"));
}

TEST(FlowYaml, NoTruncationOfAGoodFlowCrashes) {
  const std::string text = kGood;
  for (size_t size = 0; size < text.size(); ++size) {
    const auto flow = read_flow(text.substr(0, size));
    if (!flow) {
      EXPECT_THAT(flow.error().message, HasSubstr("line "));
    }
  }
}

}  // namespace
}  // namespace databridge::flow
