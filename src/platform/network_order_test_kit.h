// One test of order for each kind of channel.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "platform/network_test_kit.h"

namespace databridge::platform {

// a, which has dialled b (incarnation 2), sends so many bytes in messages of all sizes. They fill
// the sockets, and arrive in order.
inline void expect_order_through_full_sockets(Node& a, Node& b, size_t bytes) {
  Random random(3);
  std::vector<Bytes> sent;
  for (size_t total = 0; total < bytes; total += sent.back().size()) {
    Bytes message;
    append_big64(message, sent.size());
    message.resize(8 + (random.chance(0.02) ? random.below(1 << 20) : random.below(2000)), 'x');
    a.network->send(Incarnation{2}, packet(message));
    sent.push_back(std::move(message));
  }
  ASSERT_TRUE(eventually([&] { return b.messages().size() == sent.size(); }));
  const auto got = b.messages();
  for (size_t i = 0; i < sent.size(); ++i) ASSERT_EQ(got[i].second, sent[i]) << i;
}

}  // namespace databridge::platform
