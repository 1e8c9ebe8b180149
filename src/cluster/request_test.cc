#include "cluster/request.h"

#include <gtest/gtest.h>

#include "model/random_nouns.h"

namespace databridge::cluster {
namespace {

RequestBody body(size_t kind, RandomNouns& nouns) {
  switch (kind) {
    case 0:
      return Change{nouns.command().body};
    case 1:
      return Place{nouns.spec()};
    case 2:
      return MoveWork{nouns.uuid(), NodeId(nouns.text()), nouns.flip()};
    case 3:
      return Rebalance{nouns.flip(), nouns.text()};
    case 4:
      return RemoveNode{NodeId(nouns.text()), nouns.flip()};
    case 5:
      return DrainNode{NodeId(nouns.text()), nouns.flip()};
    case 6:
      return CheckNode{NodeId(nouns.text())};
    case 7:
      return TransferLeadership{NodeId(nouns.text())};
    case 8:
      return ReadBarrier{};
    default:
      return JoinCluster{nouns.list([&] { return nouns.address(); })};
  }
}
static_assert(std::variant_size_v<RequestBody> == 10, "the switch above must have them all");

placement::LoadSpread spread(RandomNouns& nouns) {
  return {nouns.real(), nouns.real(), nouns.real()};
}

Answer answer(RandomNouns& nouns) {
  if (nouns.random().chance(0.3)) return fail(nouns.one_of(Code::io), nouns.text());
  Outcome outcome{nouns.number(), std::nullopt, nouns.text()};
  if (nouns.flip()) {
    outcome.plan = placement::Plan{
        nouns.text(),
        nouns.number(),
        nouns.list([&] {
          return placement::Move{nouns.uuid(), nouns.incarnation(), nouns.incarnation(),
                                 nouns.text(), nouns.real()};
        }),
        nouns.small(),
        spread(nouns),
        spread(nouns),
        nouns.list([&] {
          return placement::BlockedMove{nouns.uuid(), nouns.text()};
        }),
    };
  }
  return outcome;
}

// Requests and answers have no ==. Their bytes can be compared, and depend on every field.
TEST(Request, EveryKindComesBack) {
  RandomNouns nouns(1);
  for (size_t kind = 0; kind < std::variant_size_v<RequestBody>; ++kind) {
    std::string last;
    for (int round = 0; round < 200; ++round) {
      const Request request{body(kind, nouns), nouns.text(), nouns.number(), nouns.actor()};
      ASSERT_EQ(request.body.index(), kind);
      const Bytes bytes = encode(request);
      const auto back = decode_request(bytes);
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->body.index(), kind);
      EXPECT_EQ(back->idempotency_key, request.idempotency_key);
      EXPECT_EQ(back->fingerprint, request.fingerprint);
      EXPECT_EQ(encode(*back), bytes);
    }
  }
  const auto place = decode_request(encode(Request{Place{nouns.spec()}, "key"})).value();
  EXPECT_NE(std::get<Place>(place.body).spec, ProcessorSpec{});
  const auto move =
      decode_request(encode(Request{MoveWork{{1, 2}, NodeId("n"), true}, ""})).value();
  EXPECT_EQ(std::get<MoveWork>(move.body).processor, (Uuid{1, 2}));
  EXPECT_EQ(std::get<MoveWork>(move.body).to, NodeId("n"));
  EXPECT_TRUE(std::get<MoveWork>(move.body).force);
}

TEST(Request, EveryAnswerComesBack) {
  RandomNouns nouns(2);
  for (int round = 0; round < 1'000; ++round) {
    const Answer said = answer(nouns);
    const Bytes bytes = encode(said);
    const auto back = decode_answer(bytes);
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(back->has_value(), said.has_value());
    if (said) {
      EXPECT_EQ((*back)->index, said->index);
      EXPECT_EQ((*back)->text, said->text);
      EXPECT_EQ((*back)->plan.has_value(), said->plan.has_value());
    } else {
      EXPECT_EQ(back->error(), said.error());
    }
    EXPECT_EQ(encode(*back), bytes);
  }
}

TEST(Request, SpoiledBytesNeverCrash) {
  RandomNouns nouns(3);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    const size_t kind = nouns.random().below(std::variant_size_v<RequestBody>);
    const Request request{body(kind, nouns), nouns.text()};
    if (!decode_request(spoiled(encode(request), nouns.random()))) ++refused;
    if (!decode_answer(spoiled(encode(answer(nouns)), nouns.random()))) ++refused;
  }
  EXPECT_GT(refused, 5'000);
}

}  // namespace
}  // namespace databridge::cluster
