#include "platform/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/random.h"

namespace databridge::platform {
namespace {

using testing::HasSubstr;

env::Greeting example() {
  env::Greeting greeting;
  greeting.incarnation = Incarnation{0x1122334455667788};
  greeting.node = NodeId("node-1");
  greeting.cluster = ClusterId("c0ffee");
  greeting.boot = 7;
  greeting.host_boot_id = "0e7f2c3d-1111-2222-3333-444455556666";
  greeting.netns = 4026531840;
  greeting.pidns = 4026531836;
  greeting.pid = 4711;
  greeting.pid_start = 123456;
  return greeting;
}

env::Greeting full_example() {
  env::Greeting greeting = example();
  greeting.start = 0xfeed;
  greeting.device = 2049;
  greeting.inode = 131073;
  greeting.log = {12, Incarnation{0x55}, 340, 11, 0xc0ffee00c0ffee, 339};
  return greeting;
}

// Lines of "name: hex". The hex may continue on lines that begin with a blank.
std::map<std::string, std::string> golden() {
  std::ifstream file("src/platform/testdata/frames.hex");
  std::map<std::string, std::string> frames;
  std::string line, name;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') {
      name = line.substr(0, line.find(':'));
      line = line.substr(line.find(':') + 1);
    }
    for (const char c : line) {
      if (c != ' ') frames[name].push_back(c);
    }
  }
  return frames;
}

TEST(Frame, BytesAreTheGoldenOnes) {
  const auto frames = golden();
  ASSERT_EQ(frames.size(), 6u);
  EXPECT_EQ(to_hex(encode_frame(FrameKind::greeting, encode_greeting(example()))),
            frames.at("greeting"));
  EXPECT_EQ(to_hex(encode_frame(FrameKind::message, "hello")), frames.at("message"));
  EXPECT_EQ(to_hex(encode_frame(FrameKind::message, "")), frames.at("empty"));
  EXPECT_EQ(to_hex(encode_frame(FrameKind::farewell, "another cluster: a1b2")),
            frames.at("farewell"));
  EXPECT_EQ(to_hex(encode_frame(FrameKind::reaped, encode_greeting(example()))),
            frames.at("reaped"));
  EXPECT_EQ(to_hex(encode_reaped({example(), "word"})),
            to_hex(encode_greeting(example())) + "150400776f7264");
}

TEST(Frame, WhatLaterVersionsAddedToAGreetingHasGoldenBytesToo) {
  EXPECT_EQ(to_hex(encode_frame(FrameKind::greeting, encode_greeting(full_example()))),
            golden().at("greeting-full"));
  EXPECT_EQ(decode_greeting(encode_greeting(full_example())).value(), full_example());
}

TEST(Frame, AGreetingMayAskForAProof) {
  const Bytes bytes = encode_greeting(full_example(), "0123456789abcdef");
  EXPECT_EQ(to_hex(bytes),
            to_hex(encode_greeting(full_example())) + "161000" + to_hex("0123456789abcdef"));
  EXPECT_EQ(decode_greeting(bytes).value(), full_example());
  EXPECT_EQ(nonce_of(bytes), "0123456789abcdef");
  EXPECT_EQ(nonce_of(encode_greeting(full_example())), "");
  EXPECT_TRUE(decode_frame_header(encode_frame(FrameKind::proof, Bytes(32, 'p'))));
}

TEST(Frame, AHandshakeOfTlsIsRecognised) {
  const auto refused = decode_frame_header(Bytes("\x16\x03\x01\x02", 4) + Bytes(20, 'x'));
  EXPECT_THAT(refused.error().message,
              HasSubstr("the other side uses TLS, and this node does not"));
}

TEST(Frame, AGreetingMaySayWhereToDial) {
  env::Greeting greeting = example();
  greeting.address = {"fd00::1", 8090};
  EXPECT_EQ(decode_greeting(encode_greeting(greeting)).value(), greeting);
  // A text that is no address counts as none.
  Bytes odd = encode_greeting(example());
  odd += Bytes(
      "\x0a\x03\x00"
      "odd",
      6);
  EXPECT_EQ(decode_greeting(odd).value(), example());
}

TEST(Frame, AGreetingNamesFeaturesIfThereAreAny) {
  env::Greeting greeting = full_example();
  greeting.features = FeatureSet(0x8001);
  const Bytes bytes = encode_greeting(greeting);
  EXPECT_EQ(to_hex(bytes), to_hex(encode_greeting(full_example())) + "1708000180000000000000");
  EXPECT_EQ(decode_greeting(bytes).value(), greeting);
  EXPECT_FALSE(decode_greeting(Bytes(encode_greeting(example())) + Bytes("\x17\x01\x00x", 4)));
}

TEST(Frame, ComesBackAsItWent) {
  for (const auto& payload : {Bytes(), Bytes("x"), Bytes(100000, '\xff')}) {
    const Bytes frame = encode_frame(FrameKind::message, payload);
    const auto header = decode_frame_header(frame);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->kind, FrameKind::message);
    ASSERT_EQ(header->length, payload.size());
    EXPECT_TRUE(check_payload(*header, frame, BytesView(frame).substr(kFrameHeaderSize)));
  }
}

TEST(Frame, NoFlippedBitGoesUnseen) {
  const Bytes whole = encode_frame(FrameKind::message, "a payload of some length");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes frame = whole;
    frame[bit / 8] = static_cast<char>(frame[bit / 8] ^ (1 << (bit % 8)));
    const auto header = decode_frame_header(frame);
    if (!header) continue;
    if (header->length != frame.size() - kFrameHeaderSize) {
      // A shorter length: the checksum of the shorter payload does not match.
      // The reader waits for more bytes.
      if (header->length > frame.size() - kFrameHeaderSize) continue;
      EXPECT_FALSE(
          check_payload(*header, frame, BytesView(frame).substr(kFrameHeaderSize, header->length)));
      continue;
    }
    EXPECT_FALSE(check_payload(*header, frame, BytesView(frame).substr(kFrameHeaderSize)))
        << "bit " << bit;
  }
}

TEST(Frame, SaysWhatIsWrong) {
  struct Row {
    const char* what;
    size_t offset;
    char value;
    const char* message;
  };
  const Row rows[] = {
      {"a stranger", 0, 'G', "not a cluster frame"},
      {"a newer version", 4, 2, "protocol version 2 where this node speaks up to 1"},
      {"an unknown kind", 5, 9, "unknown kind 9"},
      {"an unknown flag", 6, 1, "flags"},
      {"too long", 11, 5, "where at most"},
  };
  for (const auto& row : rows) {
    Bytes frame = encode_frame(FrameKind::message, "hello");
    frame[row.offset] = row.value;
    const auto header = decode_frame_header(frame);
    ASSERT_FALSE(header) << row.what;
    EXPECT_THAT(header.error().message, HasSubstr(row.message)) << row.what;
  }
}

TEST(Greeting, ComesBackAsItWent) {
  const auto back = decode_greeting(encode_greeting(example()));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, example());
}

TEST(Greeting, OfAReapedProcessComesWithASecret) {
  env::Greeting process = full_example();
  process.guardian = "a hash";
  const auto back = decode_reaped(encode_reaped({process, "a secret"}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->process, process);
  EXPECT_EQ(back->secret, "a secret");
  EXPECT_EQ(decode_reaped(encode_greeting(process))->secret, "");
  EXPECT_FALSE(decode_reaped(""));
}

TEST(Greeting, SkipsFieldsOfLaterVersions) {
  const auto back = decode_greeting(encode_greeting(example()) + Bytes("\x63\x03\x00new", 6));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, example());
}

TEST(Greeting, NeedsAnIncarnation) {
  EXPECT_FALSE(decode_greeting(""));
  EXPECT_FALSE(decode_greeting(encode_greeting(env::Greeting{})));
}

TEST(Greeting, TakesAnyBytes) {
  Random random(1);
  const Bytes good = encode_greeting(full_example());
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = good.substr(0, random.below(good.size() + 1));
    for (uint64_t flips = random.below(4); flips > 0 && !bytes.empty(); --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const auto back = decode_greeting(bytes);
    if (back) {
      EXPECT_TRUE(back->incarnation);
    } else {
      EXPECT_FALSE(back.error().message.empty());
    }
  }
}

}  // namespace
}  // namespace databridge::platform
