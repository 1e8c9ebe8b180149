#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/random.h"
#include "flow/condition.h"
#include "flow/saved.h"
#include "flow/sequence_set.h"
#include "flow/session.h"
#include "flow/template.h"
#include "flow/testing.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

using ::testing::HasSubstr;

// ---- Small parts

TEST(Template, FillsInAttributes) {
  const auto text = Template::parse("a ${x}-${y:-none} $$ $5").value();
  EXPECT_EQ(text.fill({{"x", "1"}}), "a 1-none $ $5");
  EXPECT_EQ(text.fill({{"x", "1"}, {"y", "2"}}), "a 1-2 $ $5");
  EXPECT_FALSE(text.plain());
  for (const char* bad : {"${", "${}", "${a b}", "x${y"}) EXPECT_FALSE(Template::parse(bad)) << bad;
}

TEST(Condition, Holds) {
  const std::map<std::string, std::string> attributes = {{"n", "12"}, {"s", "a \"b\""}};
  for (const char* text : {"n == 12", "n != 13", "n > 2", "n >= 12", "n < 100", "s =~ \"a .*\"",
                           "s == \"a \\\"b\\\"\"", "n exists", "gone != x", "gone !~ x && n == 12",
                           "n == 1 || s exists && n<13"}) {
    EXPECT_TRUE(Condition::parse(text).value().holds(attributes)) << text;
  }
  for (const char* text : {"n == 13", "s > 2", "gone exists", "gone < 5", "n =~ 1",
                           "n == 12 && gone exists", "n == 1 || n == 2"}) {
    EXPECT_FALSE(Condition::parse(text).value().holds(attributes)) << text;
  }
  for (const char* text : {"", "n", "n =", "n == ", "== 1", "n == \"x", "n == 1 n == 2",
                           "n == 1 &&", "n =~ \"(\"", "n == 1 & n == 2"}) {
    EXPECT_FALSE(Condition::parse(text)) << text;
  }
}

TEST(Units, AreStrict) {
  EXPECT_EQ(parse_duration("250ms").value(), Duration(250ms));
  EXPECT_EQ(parse_duration("2h").value(), Duration(2h));
  EXPECT_EQ(parse_size("64KiB").value(), 65536u);
  EXPECT_EQ(parse_number("9007199254740992").value(), uint64_t{1} << 53);
  for (const char* bad : {"", "5", "s", "-1s", "1.5s", "010s", "99999999h", "1 s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  for (const char* bad : {"", "010", "1k", "1MB", "-1", "9007199254740993", "1e3"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
  for (const char* bad : {"yes", "True", "1", ""}) EXPECT_FALSE(parse_flag(bad)) << bad;
}

TEST(SequenceSet, IsAsASet) {
  Random random(3);
  SequenceSet clever;
  std::set<uint64_t> dumb;
  for (int i = 0; i < 2000; ++i) {
    const uint64_t n = random.below(300);
    EXPECT_EQ(clever.contains(n), dumb.count(n) > 0);
    EXPECT_EQ(clever.add(n), dumb.insert(n).second);
  }
  EXPECT_EQ(SequenceSet::decode(clever.encode()).value(), clever);
  SequenceSet dense;
  for (uint64_t n = 1; n <= 1000; ++n) dense.add(n);
  EXPECT_EQ(dense.runs(), 1u);
}

TEST(Records, ComeBackOrAreRefused) {
  ProcessorRecord record;
  record.epoch = {1, 7};
  record.commit = 3;
  record.sequences[Uuid{1, 2}] = 9;
  record.saved.state = "state";
  for (uint64_t i = 1; i <= 100; ++i) record.saved.history.add({0, i}, i, Incarnation{5});
  EXPECT_EQ(record.saved.history.last({0, 1}), 1u);
  EXPECT_FALSE(record.saved.history.last({0, 101}));
  EXPECT_FALSE(record.saved.history.unknown({0, 1}));
  const Bytes bytes = encode(record);
  EXPECT_EQ(decode_record(bytes).value(), record);
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    EXPECT_FALSE(decode_record(flipped)) << i;
    EXPECT_FALSE(decode_record(bytes.substr(0, i))) << i;
  }
  EXPECT_EQ(decode_saved({{}, 0, encode(record.saved)}).value(), record.saved);
  const Saved anew = decode_saved({{0, 7}, 0, ""}).value();
  EXPECT_TRUE(anew.history.before_anew({0, 7}));
  EXPECT_FALSE(anew.history.before_anew({0, 8}));
  EXPECT_TRUE(anew.state.empty());
}

// ---- Sessions

const Uuid kIn = Uuid::from_name("test", "in");
const Uuid kOut = Uuid::from_name("test", "out");

Offer offer(size_t inputs) {
  Offer made;
  for (size_t i = 0; i < inputs; ++i) {
    auto file = std::make_shared<FlowFile>();
    file->id = Uuid{1, i + 1};
    file->content = std::to_string(i);
    made.inputs.push_back({kIn, i + 1, std::move(file)});
  }
  made.outputs["success"] = {kOut};
  made.state = "before";
  return made;
}

TEST(Session, BecomesOneDelta) {
  Random random(1);
  Session session(offer(4), random, 0);
  FlowFile* first = session.get();
  FlowFile* second = session.get();
  FlowFile* third = session.get();
  FlowFile* made = session.clone(*first);
  made->attributes["a"] = "b";
  EXPECT_EQ(session.state(), "before");
  session.set_state("after");
  EXPECT_EQ(session.state(), "after");
  session.transfer(made, "success");
  session.transfer(second, "success");
  session.remove(first);
  session.put_back(third);
  session.wait(1s);
  session.wait(2s);
  const auto delta = session.finish();
  ASSERT_TRUE(delta);
  ASSERT_EQ(delta->consumed.size(), 2u);  // Not the third, nor the fourth, which was never taken.
  EXPECT_EQ(delta->consumed[1].arrival, 2u);
  ASSERT_EQ(delta->outputs.size(), 2u);
  EXPECT_EQ(delta->outputs[0].file->attributes.at("a"), "b");
  EXPECT_EQ(delta->outputs[1].file->id, (Uuid{1, 2}));
  EXPECT_EQ(delta->state, "after");
  EXPECT_EQ(delta->wait, Duration(2s));
}

TEST(Session, WhatIsOnlyLookedAtIsLetThroughAsItIs) {
  Random random(1);
  Offer given = offer(3);
  const std::vector<Input> inputs = given.inputs;
  Session session(std::move(given), random, 0);
  EXPECT_TRUE(session.leads_on("success"));
  EXPECT_FALSE(session.leads_on("elsewhere"));
  const FlowFile* first = session.look();
  const FlowFile* second = session.look();
  const FlowFile* third = session.look();
  EXPECT_EQ(first, inputs[0].file.get()) << "no copy";
  FlowFile* changed = session.edit(second);
  changed->attributes["a"] = "b";
  EXPECT_EQ(session.edit(changed), changed);
  session.transfer(third, "success");
  session.transfer(first, "success");
  session.transfer(changed, "success");
  const auto delta = session.finish();
  ASSERT_TRUE(delta);
  ASSERT_EQ(delta->outputs.size(), 3u);
  EXPECT_EQ(delta->outputs[0].file, inputs[2].file);
  EXPECT_EQ(delta->outputs[1].file, inputs[0].file);
  EXPECT_EQ(delta->outputs[2].file->attributes.at("a"), "b");
  EXPECT_EQ(inputs[1].file->attributes.count("a"), 0u) << "others may see it";
  EXPECT_EQ(delta->consumed.size(), 3u);
}

TEST(Session, GivesNothingMoreWhenTheTriggerMustEnd) {
  SetClock clock;
  MemoryFiles files(clock);
  World world{files, clock, Random(1), {}};
  std::atomic<bool> stop{false};
  world.stop = &stop;
  for (const bool stopped : {false, true}) {
    Session session(offer(3), world.random, 0, &world);
    world.end = clock.now() + 1s;
    session.remove(session.get());
    EXPECT_FALSE(world.must_end());
    stopped ? void(stop = true) : clock.advance(1s);
    EXPECT_TRUE(world.must_end());
    EXPECT_EQ(session.get(), nullptr);
    EXPECT_EQ(session.finish()->consumed.size(), 1u);
    Session late(offer(3), world.random, 0, &world);
    EXPECT_NE(late.get(), nullptr) << "a trigger does one piece of work";
    EXPECT_EQ(late.get(), nullptr);
  }
}

TEST(Session, AFlowFileHasABound) {
  const auto made = [](size_t content, size_t attribute) {
    Random random(1);
    Session session(offer(0), random, 0);
    FlowFile* file = session.create();
    file->content.assign(content, 'x');
    file->attributes["a"].assign(attribute, 'x');
    session.transfer(file, "success");
    return session.finish();
  };
  EXPECT_TRUE(made(kContentMax, kFlowFileMax - kContentMax - 1));
  EXPECT_EQ(made(kContentMax, kFlowFileMax - kContentMax).error().code, Code::too_large);
}

TEST(Session, ForgettingAFlowFileIsAnError) {
  Random random(1);
  Session taken(offer(1), random, 0);
  taken.get();
  EXPECT_THAT(taken.finish().error().message, HasSubstr("neither"));
  Session created(offer(0), random, 0);
  created.create();
  EXPECT_FALSE(created.finish());
}

TEST(Session, UnconnectedOutputsEndThereAndStateThatStaysIsNoNews) {
  Random random(1);
  Session session(offer(1), random, 0);
  session.transfer(session.get(), "failure");
  session.set_state("before");
  const auto delta = session.finish();
  EXPECT_TRUE(delta->outputs.empty());
  EXPECT_EQ(delta->consumed.size(), 1u);
  EXPECT_FALSE(delta->state);
}

// ---- The registry

TEST(Registry, KnowsItsTypes) {
  for (const auto& type : builtin_types().all()) {
    EXPECT_EQ(builtin_types().find(type.name), &type);
    EXPECT_FALSE(type.relationships.empty() && !type.rules) << type.name;
    EXPECT_STRNE(type.help, "");
  }
  EXPECT_EQ(builtin_types().find("Nothing"), nullptr);
}

TEST(Registry, SaysWhatIsWrongWithAProperty) {
  ProcessorSpec spec;
  spec.name = "gen";
  spec.type = "GenerateFlowFile";
  spec.properties["interval"] = "soon";
  std::string culprit;
  EXPECT_THAT(
      check_properties(spec, &culprit).error().message,
      HasSubstr("processor \"gen\" (GenerateFlowFile): the property \"interval\": \"soon\""));
  EXPECT_EQ(culprit, "interval");
  spec.properties = {{"batch", "0"}};
  EXPECT_THAT(make_processor(spec).error().message, HasSubstr("batch"));
}

}  // namespace
}  // namespace databridge::flow
