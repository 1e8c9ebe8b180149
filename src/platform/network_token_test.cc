// The join token at the connection.
#include <gmock/gmock.h>

#include "platform/join_proof.h"
#include "platform/network_test_kit.h"

namespace databridge::platform {
namespace {

using testing::HasSubstr;

NetworkOptions knowing(const std::string& token) {
  NetworkOptions options;
  options.join_token = token;
  return options;
}

constexpr char kToken[] = "a token of this cluster";

TEST(JoinToken, ThoseThatKnowItTalk) {
  Node a(greeting_of(1), knowing(kToken)), b(greeting_of(2), knowing(kToken));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  a.network->send(Incarnation{2}, packet("to b"));
  ASSERT_TRUE(eventually([&] { return b.messages().size() == 1; }));
  EXPECT_EQ(b.greetings().front(), greeting_of(1));
  b.network->set_cluster(ClusterId("c"));  // It greets again, without another proof.
  a.network->send(Incarnation{2}, packet("again"));
  EXPECT_TRUE(eventually([&] { return b.messages().size() == 2; }));
}

struct Pair {
  const char* dialler;
  const char* listener;
  const char* noted;  // By both, each in its own log.
};

class JoinTokens : public testing::TestWithParam<Pair> {};

TEST_P(JoinTokens, ThatDifferAreSaidOnBothSides) {
  const Pair& given = GetParam();
  Node dialler(greeting_of(1), knowing(given.dialler));
  Node listener(greeting_of(2), knowing(given.listener));
  dialler.network->dial(listener.address());
  EXPECT_TRUE(eventually([&] { return dialler.has_line(given.noted); }));
  EXPECT_TRUE(eventually([&] { return listener.has_line(given.noted); }));
  EXPECT_FALSE(dialler.has_event(LinkNews::up));
  if (*given.listener != 0) {
    EXPECT_TRUE(listener.greetings().empty());
  }
  for (Node* node : {&dialler, &listener}) EXPECT_FALSE(node->has_line(kToken));
}

INSTANTIATE_TEST_SUITE_P(
    Network, JoinTokens,
    testing::Values(Pair{kToken, "a token of another one", "node n2 has another one than node n1"},
                    Pair{"", kToken, "node n1 has no join token, and node n2 asks for one"},
                    Pair{kToken, "", "node n2 has none, and node n1 asks for one"}));

TEST(JoinToken, IsRenewedForNewLinks) {
  Node a(greeting_of(1), knowing(kToken)), b(greeting_of(2), knowing(kToken));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  a.network->renew({}, "the next token of this cluster");
  Node c(greeting_of(3), knowing("the next token of this cluster"));
  EXPECT_TRUE(c.dial_and_wait(a.address()));
  EXPECT_FALSE(b.has_event(LinkNews::lost));
}

TEST(JoinToken, AProofIsForOneConnectionOneSideAndOneProcess) {
  const Greeting one = greeting_of(1), two = greeting_of(2), again = greeting_of(1, "c", 2);
  const Bytes x = fresh_nonce(), y = fresh_nonce();
  const Bytes proof = join_proof(kToken, Prover::dialler, {one, x}, {two, y});
  EXPECT_EQ(proof.size(), 32u);
  EXPECT_EQ(proof, join_proof(kToken, Prover::dialler, {one, x}, {two, y}));
  EXPECT_NE(x, y);
  EXPECT_NE(proof, join_proof("another token", Prover::dialler, {one, x}, {two, y}));
  EXPECT_NE(proof, join_proof(kToken, Prover::listener, {one, x}, {two, y}));
  EXPECT_NE(proof, join_proof(kToken, Prover::dialler, {two, x}, {one, y}));
  EXPECT_NE(proof, join_proof(kToken, Prover::dialler, {one, y}, {two, x}));
  EXPECT_NE(proof, join_proof(kToken, Prover::dialler, {again, x}, {two, y}));
}

// A stranger on the way records all that a member says, and says it again.
TEST(JoinToken, AReplayedJoinIsRefused) {
  const Greeting member = greeting_of(2);
  Node good(greeting_of(1), knowing(kToken));
  Bytes recorded;
  {
    RawPeer honest(good.address());  // The test plays the member, since it can record itself.
    const Bytes nonce = fresh_nonce();
    recorded = encode_frame(FrameKind::greeting, encode_greeting(member, nonce));
    honest.write(recorded);
    Bytes answer;
    ASSERT_TRUE(eventually([&] {
      answer += honest.read_some();
      return answer.size() > kFrameHeaderSize &&
             answer.size() > kFrameHeaderSize + decode_frame_header(answer)->length;
    }));
    const BytesView greeting =
        BytesView(answer).substr(kFrameHeaderSize, decode_frame_header(answer)->length);
    const Bytes proof =
        join_proof(kToken, Prover::dialler, {member, nonce}, {greeting_of(1), nonce_of(greeting)});
    const Bytes frame = encode_frame(FrameKind::proof, proof);
    honest.write(frame);
    recorded += frame;
    ASSERT_TRUE(eventually([&] { return good.greetings().size() == 1; }));
  }
  RawPeer replayed(good.address());
  replayed.write(recorded);
  EXPECT_THAT(replayed.read_to_end(), HasSubstr("repeats the words of another connection"));
  EXPECT_TRUE(replayed.closed);
  EXPECT_TRUE(eventually([&] { return good.has_line("repeats the words of another"); }));
  EXPECT_EQ(good.greetings().size(), 1u);
}

TEST(JoinToken, NothingIsTakenBeforeTheProof) {
  Node good(greeting_of(1), knowing(kToken));
  const Bytes hello =
      encode_frame(FrameKind::greeting, encode_greeting(greeting_of(2), fresh_nonce()));
  for (const auto& [then, why] :
       {std::pair{encode_frame(FrameKind::message, encode(packet("x"))), "before the proof"},
        {encode_frame(FrameKind::proof, "short"), "another join token"},
        {encode_frame(FrameKind::proof, Bytes(32, 'x')), "another join token"}}) {
    RawPeer hasty(good.address());
    hasty.write(hello + then);
    EXPECT_THAT(hasty.read_to_end(), HasSubstr(why));
  }
  RawPeer odd(good.address());
  odd.write(encode_frame(FrameKind::proof, Bytes(32, 'x')));
  EXPECT_THAT(odd.read_to_end(), HasSubstr("not asked for"));
  EXPECT_TRUE(good.messages().empty());
  EXPECT_TRUE(good.greetings().empty());
}

}  // namespace
}  // namespace databridge::platform
