// Greetings between clusters, copies, successors and strangers.
#include <gmock/gmock.h>

#include "platform/network_test_kit.h"

namespace databridge::platform {
namespace {

using testing::HasSubstr;

TEST(Network, ACopiedDataDirectoryIsRefused) {
  Node a(greeting_of(1));
  Greeting copy = greeting_of(1);
  copy.pid += 1;
  Node b(copy);
  b.network->dial(a.address());
  EXPECT_TRUE(eventually([&] { return b.has_event(LinkNews::failed); }));
  EXPECT_TRUE(b.has_line("copy of the other's data directory"));
  EXPECT_TRUE(a.greetings().empty());
}

TEST(Network, MembersOfAnotherClusterAreRefused) {
  Node a(greeting_of(1, "red")), b(greeting_of(2, "blue")), c(greeting_of(3, ""));
  a.network->dial(b.address());
  EXPECT_TRUE(eventually([&] { return a.has_event(LinkNews::failed); }));
  EXPECT_TRUE(a.has_line("belongs to cluster"));
  EXPECT_EQ(a.events().front().peer.cluster, ClusterId("blue"));
  EXPECT_TRUE(eventually([&] { return b.has_line("belongs to cluster"); }));
  EXPECT_TRUE(b.greetings().empty());
  // A node without a cluster may talk to any node.
  EXPECT_TRUE(c.dial_and_wait(b.address()));
}

TEST(Network, EnteringAnotherClusterCutsTheLink) {
  Node a(greeting_of(1, "")), b(greeting_of(2, "")), c(greeting_of(3, ""));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  ASSERT_TRUE(a.dial_and_wait(c.address()));
  a.network->set_cluster(ClusterId("red"));
  c.network->set_cluster(ClusterId("red"));
  a.network->send(Incarnation{2}, Probe{});
  ASSERT_TRUE(eventually([&] { return b.messages().size() == 1; }));
  b.network->set_cluster(ClusterId("blue"));
  EXPECT_TRUE(eventually([&] { return a.has_event(LinkNews::lost); }));
  EXPECT_TRUE(eventually([&] { return a.has_event(LinkNews::failed); }));
  a.network->send(Incarnation{3}, packet("same cluster"));
  EXPECT_TRUE(eventually([&] { return c.messages().size() == 1; }));
}

// On a link that is already up, each end is told the new cluster once.
TEST(Network, EnteringAClusterIsToldOnTheLinksThereAre) {
  Node a(greeting_of(1, "red")), b(greeting_of(2, ""));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  b.network->set_cluster(ClusterId("red"));
  ASSERT_TRUE(eventually([&] { return a.count(LinkNews::up) == 2; }));
  EXPECT_EQ(a.events()[0].peer.cluster, ClusterId(""));
  EXPECT_EQ(a.events()[1].peer.cluster, ClusterId("red"));
  ASSERT_TRUE(eventually([&] { return a.greetings().size() == 2; }));
  EXPECT_EQ(a.greetings()[1].cluster, ClusterId("red"));
  EXPECT_EQ(b.count(LinkNews::up), 1u) << "node 1 has entered nothing";
  EXPECT_EQ(b.greetings().size(), 1u);
}

TEST(Network, WhoGreetsTooOftenIsCutOff) {
  Node a(greeting_of(1));
  RawPeer peer(a.address());
  for (int n = 0; n <= kGreetingsMax; ++n) {
    const auto again = greeting_of(2, n % 2 == 0 ? "" : "c");
    peer.write(encode_frame(FrameKind::greeting, encode_greeting(again)));
  }
  EXPECT_THAT(peer.read_to_end(), HasSubstr("it greets too often"));
  EXPECT_EQ(a.greetings().size(), static_cast<size_t>(kGreetingsMax));
}

TEST(Network, LinksOfAProcessThatHasASuccessorAreCut) {
  Node a(greeting_of(1));
  RawPeer old_process(a.address());
  old_process.write(encode_frame(FrameKind::greeting, encode_greeting(greeting_of(2, "c", 4))));
  ASSERT_TRUE(eventually([&] { return a.greetings().size() == 1; }));
  RawPeer new_process(a.address());
  new_process.write(encode_frame(FrameKind::greeting, encode_greeting(greeting_of(2, "c", 5))));
  ASSERT_TRUE(eventually([&] { return a.greetings().size() == 2; }));
  a.know_all({{Incarnation{2}, {4, 5, 2005}}});  // The new process was let in.
  EXPECT_THAT(old_process.read_to_end(), HasSubstr("a newer process of that node has come"));
  EXPECT_TRUE(old_process.closed);
}

// Two processes greet with one incarnation. Only the one that was let in is heard and spoken to.
TEST(Network, OneProcessOfAnIncarnationSpeaksAtATime) {
  Node a(greeting_of(1)), original(greeting_of(2, "c", 4)), copy(greeting_of(2, "c", 5));
  a.know_all({{Incarnation{2}, {4, 4, 2004}}});
  ASSERT_TRUE(a.dial_and_wait(copy.address()));
  ASSERT_TRUE(a.dial_and_wait(original.address()));
  ASSERT_TRUE(copy.dial_and_wait(a.address()));
  ASSERT_TRUE(original.dial_and_wait(a.address()));
  a.network->send(Incarnation{2}, packet("to the member"));
  a.network->send(Incarnation{2}, JoinReply{}, 2005);
  ASSERT_TRUE(eventually([&] { return copy.messages().size() == 1; }));
  ASSERT_TRUE(eventually([&] { return original.messages().size() == 1; }));
  EXPECT_EQ(copy.messages()[0].second, Bytes(name(Message(JoinReply{}))));
  copy.network->send(Incarnation{1}, packet("of the copy"));
  copy.network->send(Incarnation{1}, Join{});
  ASSERT_TRUE(eventually([&] { return a.messages().size() == 1; }));
  original.network->send(Incarnation{1}, packet("of the original"));
  ASSERT_TRUE(eventually([&] { return a.messages().size() == 2; }));
  EXPECT_EQ(a.messages()[1].second, Bytes("of the original"));
  EXPECT_TRUE(a.has_line("it is not known as a member"));
}

TEST(Network, AStrangerHasShortFramesAndLittleTime) {
  NetworkOptions options;
  options.guest_time = 100ms;
  Node a(greeting_of(1), options), stranger(greeting_of(77));
  ASSERT_TRUE(stranger.dial_and_wait(a.address()));
  EXPECT_TRUE(eventually([&] { return stranger.has_event(LinkNews::lost); }));
  EXPECT_TRUE(eventually([&] { return a.has_line("no valid message came in time"); }));
  ASSERT_TRUE(eventually([&] { return stranger.count(LinkNews::up) >= 2; }));
  Probe probe;
  probe.self.labels["long"] = std::string(70'000, 'x');
  stranger.network->send(Incarnation{1}, probe);
  EXPECT_TRUE(eventually([&] { return a.has_line("at most 65536 are allowed"); }));
  EXPECT_TRUE(a.messages().empty());
}

TEST(Network, StrangersHaveFewConnectionsTheOldestSilentOneGoesFirst) {
  NetworkOptions options;
  options.guests_max = 3;
  Node a(greeting_of(1), options), member(greeting_of(2));
  ASSERT_TRUE(member.dial_and_wait(a.address()));
  std::vector<std::unique_ptr<RawPeer>> guests;
  const auto come = [&](uint64_t id) {
    guests.push_back(std::make_unique<RawPeer>(a.address()));
    guests.back()->write(encode_frame(FrameKind::greeting, encode_greeting(greeting_of(id))));
    ASSERT_TRUE(eventually([&] { return a.greetings().size() == guests.size() + 1; }));
  };
  for (uint64_t id = 71; id <= 73; ++id) come(id);
  guests[0]->write(encode_frame(FrameKind::message, encode(Message(Probe{}))));
  ASSERT_TRUE(eventually([&] { return a.messages().size() == 1; }));
  come(74);
  EXPECT_THAT(guests[1]->read_to_end(), HasSubstr("too many connections of no member"));
  member.network->send(Incarnation{1}, packet("of a member"));
  EXPECT_TRUE(eventually([&] { return a.messages().size() == 2; }));
  EXPECT_FALSE(member.has_event(LinkNews::lost));
}

// They have greeted, so their handshakes are no failures. The log must not grow with them either.
TEST(Network, WhatStrangersOfOneAddressDoIsSaidOnce) {
  Node a(greeting_of(1));
  for (uint64_t id = 71; id < 76; ++id) {
    RawPeer guest(a.address());
    guest.write(encode_frame(FrameKind::greeting, encode_greeting(greeting_of(id))));
    guest.write(encode_frame(FrameKind::message, encode(Message(packet("of a stranger")))));
    guest.write(Bytes(64, 'x'));
    EXPECT_THAT(guest.read_to_end(), HasSubstr("not a cluster frame"));
  }
  EXPECT_EQ(a.count_lines("it is not known as a member"), 1);
  EXPECT_EQ(a.count_lines(" ended: "), 1);
}

TEST(Network, AnAddressOfWhichManyHaveFailedIsCutAndLinksStay) {
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  EXPECT_TRUE(eventually([&] {
    RawPeer guest(a.address());
    guest.write(Bytes(64, 'x'));
    guest.read_to_end();
    return a.has_line("connections from 127.0.0.1 are cut for now: too many of them have failed");
  }));
  b.network->send(Incarnation{1}, packet("still here"));
  EXPECT_TRUE(eventually([&] { return !a.messages().empty(); }));
  Node c(greeting_of(3));
  EXPECT_TRUE(c.dial_and_wait(a.address())) << "it gets in again by and by";
  EXPECT_EQ(a.count_lines("are cut for now"), 1);
}

TEST(Network, AGreetingNamesWhatTheLogHolds) {
  Node a(greeting_of(1)), b(greeting_of(2));
  a.network->set_position({7, Incarnation{2}, 40, 6, 0xabc, 39});
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  EXPECT_EQ(b.events().front().peer.log, (env::LogPosition{7, Incarnation{2}, 40, 6, 0xabc, 39}));
}

}  // namespace
}  // namespace databridge::platform
