#include "api/http_accept.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace databridge::api {
namespace {

using namespace std::chrono_literals;

void heard(Peer& peer, std::string_view bytes) {
  peer.heard(bytes);
  EXPECT_FALSE(peer.framing.take(bytes));
}

std::shared_ptr<Peer> came(Peers& peers, std::string_view bytes) {
  auto peer = peers.add(-1, false);
  heard(*peer, bytes);
  peer->wait();
  return peer;
}

constexpr std::string_view kLarge = "PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\nx";
constexpr std::string_view kWhole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

TEST(Peers, WhatIsHeldOfAllBodiesIsBounded) {
  Peers peers({2000, 0, 60s, {}});
  std::vector<std::shared_ptr<Peer>> all;
  size_t held = 0;
  for (int i = 0; i < 600; ++i) {
    all.push_back(came(peers, kLarge));
    if (peers.may_hold(*all.back(), 1u << 20)) held += 1u << 20;
  }
  EXPECT_EQ(held, 512u << 20);
  all.push_back(came(peers, kLarge));
  EXPECT_TRUE(peers.may_hold(*all.back(), 64u << 10)) << "small ones are taken all the same";
  EXPECT_FALSE(peers.may_hold(*all.back(), 1));
  all.clear();
  EXPECT_TRUE(peers.may_hold(*came(peers, kLarge), 1u << 20));
}

TEST(Peers, WhoSendsBitByBitKeepsItsPlaceInLine) {
  for (const std::string_view bit : {"GET / HT", "\r\n"}) {
    Peers peers({20, 0, 60s, {}});
    const auto slow = came(peers, bit);
    const auto quick = came(peers, kWhole);
    if (bit == "\r\n") {
      heard(*slow, bit);
    } else {
      heard(*slow, "TP/1.1\r\n");
    }
    slow->wait();
    EXPECT_TRUE(peers.end_one());
    EXPECT_TRUE(slow->ending);
    EXPECT_FALSE(quick->ending);
  }
}

TEST(Peers, WhoWasAnsweredIsTheLastInLine) {
  Peers peers({20, 0, 60s, {}});
  const auto first = came(peers, "");
  const auto second = came(peers, "");
  heard(*first, kWhole);
  first->wait();
  EXPECT_TRUE(peers.end_one());
  EXPECT_TRUE(second->ending);
}

TEST(Peers, AnAddressWithMoreThanItsShareGivesWayFirst) {
  Peers peers({20, 0, 60s, {}});
  const auto from = [&](const char* home) {
    auto peer = peers.add(-1, false, home);
    heard(*peer, kWhole);
    peer->wait();
    return peer;
  };
  const auto alone = from("10.0.0.1");  // It has waited longest.
  auto first = from("10.0.0.2");
  const auto second = from("10.0.0.2");
  EXPECT_TRUE(peers.end_one());
  EXPECT_TRUE(first->ending);
  // Now both have one: the order of waiting counts.
  EXPECT_TRUE(peers.end_one());
  EXPECT_TRUE(alone->ending);
  first.reset();
  const auto third = from("10.0.0.2");
  const auto fourth = from("10.0.0.3");
  EXPECT_TRUE(peers.end_one());
  EXPECT_TRUE(second->ending);
  EXPECT_FALSE(fourth->ending);
}

TEST(Peers, NobodyGivesWayBeforeItWasHeard) {
  Peers peers({20, 0, 60s, {}});
  const auto peer = peers.add(-1, false);
  EXPECT_FALSE(peers.end_one());
  peer->met = true;
  EXPECT_TRUE(peers.end_one());
}

}  // namespace
}  // namespace databridge::api
