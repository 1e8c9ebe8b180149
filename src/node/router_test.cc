#include "node/router.h"

#include <gtest/gtest.h>

#include <string>

namespace databridge::node {
namespace {

constexpr Incarnation kThere{2};
constexpr Epoch kTenure{0, 2}, kOrigin{0, 5};

struct Sender {
  flow::Connection connection{Uuid{1, 1}};
  Router router;
  env::Batch batch;
  uint64_t sequence = 0;
  Instant now{Duration(10s)};
  std::vector<std::pair<Instant, Delivery>> sent;

  Sender() { connection.set_route({kThere, kTenure, false}, batch); }
  void append(size_t count) {
    for (; count > 0; --count) {
      connection.append(kOrigin, ++sequence, 0, std::make_shared<const FlowFile>(), batch);
    }
    connection.became_safe(connection.written().value());
    connection.promote([](Epoch) { return flow::Said{}; }, batch);
    pump();
  }
  void pump() {
    router.pump(connection, {{}, kOrigin, {kThere, kTenure, false}}, now,
                [&](Incarnation to, Message message) {
                  EXPECT_EQ(to, kThere);
                  sent.emplace_back(now, std::get<Delivery>(std::move(message)));
                });
  }
  // Lets time pass, and sends each delivery that becomes due.
  void pass(Duration time) {
    const Instant end = now + time;
    while (router.next_wake() && *router.next_wake() <= end) {
      now = *router.next_wake();
      EXPECT_EQ(router.due(now), std::vector<Uuid>{connection.id()});
      pump();
    }
    now = end;
  }
  void answer(const Delivery& delivery, DeliveryResult result = DeliveryResult::accepted,
              size_t count = SIZE_MAX) {
    DeliveryAck ack;
    ack.tenure = delivery.tenure;
    ack.origin = kOrigin;
    ack.result = result;
    for (const Parcel& parcel : delivery.parcels) {
      if (ack.safe.size() < count) ack.safe.push_back(parcel.sequence);
    }
    router.receive(connection, kThere, ack, now, batch);
    pump();
  }
  std::vector<Duration> gaps() const {
    std::vector<Duration> found;
    for (size_t i = 1; i < sent.size(); ++i) found.push_back(sent[i].first - sent[i - 1].first);
    return found;
  }
};

using Durations = std::vector<Duration>;

TEST(Router, SendsAgainAfterFiftyMillisecondsAndThenTwiceAsLongEachTime) {
  Sender sender;
  sender.append(1);
  sender.pass(10s);
  EXPECT_EQ(sender.gaps(),
            (Durations{50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 2000ms, 2000ms, 2000ms}));
}

TEST(Router, WhereAnswersTakeLongItWaitsLonger) {
  Sender sender;
  for (int i = 0; i < 40; ++i) {
    sender.append(1);
    const size_t before = sender.sent.size();
    sender.pass(120ms);
    // Once the router knows the round trip, it does not send again needlessly.
    if (i > 0) {
      EXPECT_EQ(sender.sent.size(), before) << i;
    }
    sender.answer(sender.sent.back().second);
  }
  sender.append(1);
  sender.sent.erase(sender.sent.begin(), sender.sent.end() - 1);
  sender.pass(3s);
  EXPECT_EQ(sender.gaps(), (Durations{480ms, 960ms}));
  // When answers come faster, it waits less again.
  sender.answer(sender.sent.back().second);
  for (int i = 0; i < 60; ++i) {
    sender.append(1);
    sender.pass(1ms);
    sender.answer(sender.sent.back().second);
  }
  sender.append(1);
  sender.sent.erase(sender.sent.begin(), sender.sent.end() - 1);
  sender.pass(60ms);
  EXPECT_EQ(sender.gaps(), Durations{50ms});
}

TEST(Router, ALateSecondAnswerCausesNothing) {
  Sender sender;
  sender.append(Router::kParcelsMax + 744);
  sender.pass(60ms);
  ASSERT_EQ(sender.sent.size(), 2u);
  const Delivery first = sender.sent[0].second;
  sender.answer(first);
  EXPECT_EQ(sender.sent.size(), 3u) << "the next one";
  sender.answer(first);
  EXPECT_EQ(sender.sent.size(), 3u);
  EXPECT_EQ(sender.sent[2].second.parcels.front().sequence, Router::kParcelsMax + 1);
  EXPECT_EQ(sender.connection.count(), 744u);
}

TEST(Router, OneParcelAsksWhetherThereIsRoomAgain) {
  Sender sender;
  sender.append(Router::kParcelsMax + 744);
  sender.answer(sender.sent.back().second, DeliveryResult::busy, 100);
  EXPECT_EQ(sender.sent.size(), 1u) << "it is full there";
  sender.pass(1s);
  ASSERT_GT(sender.sent.size(), 1u);
  EXPECT_EQ(sender.sent[1].second.parcels.size(), 1u);
  sender.answer(sender.sent.back().second);
  EXPECT_EQ(sender.sent.back().second.parcels.size(), Router::kParcelsMax);
  EXPECT_EQ(sender.sent.back().second.parcels.front().sequence, 102u);
}

}  // namespace
}  // namespace databridge::node
