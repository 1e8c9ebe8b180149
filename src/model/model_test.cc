#include <gtest/gtest.h>

#include <limits>

#include "model/nouns_codec.h"
#include "model/proto/command.pb.h"
#include "model/proto/message.pb.h"
#include "model/random_nouns.h"

namespace databridge {
namespace {

TEST(Address, IsReadAndWritten) {
  for (const char* text : {"node-1:8090", "10.0.1.1:1", "[::1]:8090", "[fe80::1%eth0]:65535",
                           "a.b.example:0", "[::ffff:10.0.0.1]:80"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  EXPECT_EQ(Address::parse("[::1]:8090")->host, "::1");
}

TEST(Address, WhatIsNoneIsRefused) {
  for (const char* text :
       {"",          ":",        "host",     "host:",         ":80",     "host:65536",    "host:-1",
        "host:+1",   "host:80x", "::1:80",   "[::1]",         "[::1]80", "[::1:80",       "[]:80",
        "[host]:80", "ho st:80", "host:8 0", "[fe80::1%]:80", "a:b:c",   "http://host:80"}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
}

TEST(Names, Valid) {
  EXPECT_TRUE(is_valid_name("node-1.a_B", 64));
  EXPECT_FALSE(is_valid_name("", 64));
  EXPECT_FALSE(is_valid_name("a b", 64));
  EXPECT_FALSE(is_valid_name(std::string(65, 'a'), 64));
  EXPECT_FALSE(is_valid_name("\xc3\xa9", 64));
}

TEST(Names, OfEnumerators) {
  EXPECT_STREQ(name(Role::worker), "worker");
  EXPECT_STREQ(name(Health::disconnected), "disconnected");
  EXPECT_STREQ(name(HealthReason::removed), "removed");
  EXPECT_STREQ(name(RunState::failed), "failed");
  EXPECT_EQ(replication_of("async"), Replication::async);
  EXPECT_EQ(replication_of("both"), std::nullopt);
  EXPECT_EQ(strategy_of("consistent_hash"), Strategy::consistent_hash);
  EXPECT_STREQ(name(CommandBody(RestoreState{})), "restore_state");
  EXPECT_STREQ(name(CommandBody(Assign{})), "assign");
  EXPECT_STREQ(name(Message(DeliveryAck{})), "delivery_ack");
  EXPECT_STREQ(name(Message(Heartbeat{})), "heartbeat");
}

TEST(EventId, IsRead) {
  EXPECT_EQ(EventId::parse("12.3").value(), (EventId{12, 3}));
  EXPECT_GT(EventId::parse("12").value(), (EventId{12, 1000}));
  EXPECT_LT(EventId::parse("12").value(), (EventId{13, 0}));
  for (const char* text : {"", ".", "1.", ".1", "-1", "1.-1", "1.2.3", "x", "1 ", "+1",
                           "99999999999999999999", "1.4294967296"}) {
    EXPECT_FALSE(EventId::parse(text)) << text;
  }
}

TEST(Load, ScoreIsTheReferences) {
  const Capacity capacity{4, 8, 1000, 1000};
  EXPECT_DOUBLE_EQ(load_score(std::nullopt, capacity), 50);
  EXPECT_DOUBLE_EQ(load_score(NodeLoad{}, capacity), 0);
  EXPECT_DOUBLE_EQ(load_score(NodeLoad{50, 20, 500, 250}, capacity), 20 + 6 + 10 + 2.5);
  EXPECT_DOUBLE_EQ(load_score(NodeLoad{100, 100, 1000, 5000}, capacity), 100);
}

TEST(Codec, EveryCommandComesBack) {
  RandomNouns nouns(1);
  for (size_t kind = 0; kind < std::variant_size_v<CommandBody>; ++kind) {
    for (int round = 0; round < 200; ++round) {
      const Command command{nouns.command_body(kind), nouns.time(),   nouns.request(), nouns.text(),
                            nouns.number(),           nouns.number(), nouns.actor()};
      const Bytes bytes = encode(command);
      const auto back = decode_command(bytes);
      ASSERT_TRUE(back) << name(command.body) << ": " << back.error().message;
      EXPECT_TRUE(*back == command) << name(command.body);
      EXPECT_EQ(encode(*back), bytes);
    }
  }
}

TEST(Codec, EveryMessageComesBack) {
  RandomNouns nouns(2);
  for (size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    for (int round = 0; round < 200; ++round) {
      const Message message = nouns.message(kind);
      const auto back = decode_message(encode(message));
      ASSERT_TRUE(back) << name(message) << ": " << back.error().message;
      EXPECT_TRUE(*back == message) << name(message);
    }
  }
}

TEST(Codec, DefaultsComeBack) {
  EXPECT_TRUE(decode_command(encode(Command{})).value() == Command{});
  EXPECT_TRUE(decode_message(encode(Message{})).value() == Message{});
}

// Any bytes give a value or an Error. A value that is encoded again decodes to the same value.
TEST(Codec, SpoiledBytesNeverCrash) {
  RandomNouns nouns(3);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    const Bytes bytes = spoiled(encode(nouns.command()), nouns.random());
    if (const auto command = decode_command(bytes)) {
      EXPECT_TRUE(decode_command(encode(*command)).value() == *command);
    } else {
      ++refused;
    }
    const size_t kind = nouns.random().below(std::variant_size_v<Message>);
    const Bytes other = spoiled(encode(nouns.message(kind)), nouns.random());
    if (const auto message = decode_message(other)) {
      EXPECT_TRUE(decode_message(encode(*message)).value() == *message);
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
}

std::string why(const proto::Command& wire) {
  return decode_command(wire.SerializeAsString()).error().message;
}

TEST(Codec, WhatIsWrongIsNamed) {
  EXPECT_EQ(decode_command("").error().message,
            "a command of format 0: this program reads up to 1");
  proto::Command wire;
  wire.set_format(2);
  EXPECT_EQ(why(wire), "a command of format 2: this program reads up to 1");
  wire.set_format(1);
  EXPECT_EQ(why(wire), "a command is of a kind that this version does not know");
  EXPECT_EQ(decode_command(wire.SerializeAsString()).error().code, Code::unprocessable)
      << "a node stops at it";
  wire.mutable_body()->mutable_set_strategy();
  EXPECT_EQ(why(wire), "a command holds unknown strategy 0");
  wire.mutable_body()->mutable_set_strategy()->set_strategy(static_cast<proto::Strategy>(77));
  EXPECT_EQ(why(wire), "a command holds unknown strategy 77");
  wire.mutable_body()->mutable_release();
  EXPECT_EQ(why(wire), "a command holds a release that does not name the epoch it replaces");

  proto::Message message;
  message.set_format(1);
  auto* load = message.mutable_heartbeat()->mutable_load();
  load->set_cpu_percent(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(decode_message(message.SerializeAsString()).error().message,
            "a message holds a number that is not finite");
}

TEST(Codec, TheLargestIsRefusedUnread) {
  const Bytes bytes(codec::kBytesMax + 1, 'x');
  EXPECT_EQ(decode_command(bytes).error().code, Code::too_large);
  EXPECT_EQ(decode_message(bytes).error().code, Code::too_large);
}

TEST(Codec, UnknownFieldsDoNoHarm) {
  RandomNouns nouns(4);
  const Command command = nouns.command();
  proto::Command wire;
  ASSERT_TRUE(wire.ParseFromString(encode(command)));
  wire.GetReflection()->MutableUnknownFields(&wire)->AddVarint(1000, 7);
  EXPECT_TRUE(decode_command(wire.SerializeAsString()).value() == command);
}

}  // namespace
}  // namespace databridge
