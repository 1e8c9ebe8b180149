// The join token at the connection.
#include <gmock/gmock.h>

#include "platform/death_report.h"
#include "platform/join_proof.h"
#include "platform/network_test_kit.h"
#include "platform/secret.h"

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
    testing::Values(Pair{kToken, "a token of another one",
                         "node n2 has another join token than node n1"},
                    Pair{"", kToken, "node n1 has no join token, and node n2 asks for one"},
                    Pair{kToken, "", "node n2 has none, and node n1 asks for one"}));

TEST(JoinToken, IsRenewedForNewLinks) {
  Node a(greeting_of(1), knowing(kToken)), b(greeting_of(2), knowing(kToken));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  // Only then has it checked the proof of the other side.
  ASSERT_TRUE(eventually([&] { return !a.greetings().empty(); }));
  a.network->renew({}, "the next token of this cluster");
  Node c(greeting_of(3), knowing("the next token of this cluster"));
  EXPECT_TRUE(c.dial_and_wait(a.address()));
  EXPECT_FALSE(b.has_event(LinkNews::lost));
}

TEST(JoinToken, AProofIsForOneConnectionOneSideAndOneProcess) {
  const Bytes x = fresh_nonce();
  EXPECT_NE(x, fresh_nonce());
  const Bytes one = encode_greeting(greeting_of(1), x), two = encode_greeting(greeting_of(2), x);
  const Bytes proof = join_proof(kToken, Prover::dialler, one, two);
  EXPECT_EQ(proof.size(), 32u);
  EXPECT_EQ(proof, join_proof(kToken, Prover::dialler, one, two));
  EXPECT_NE(proof, join_proof("another token", Prover::dialler, one, two));
  EXPECT_NE(proof, join_proof(kToken, Prover::listener, one, two));
  EXPECT_NE(proof, join_proof(kToken, Prover::dialler, two, one));
  for (size_t i = 0; i < one.size(); ++i) {
    Bytes bent = one;
    bent[i] = static_cast<char>(bent[i] ^ 1);
    EXPECT_NE(proof, join_proof(kToken, Prover::dialler, bent, two)) << i;
    EXPECT_NE(proof, join_proof(kToken, Prover::dialler, one, bent)) << i;
  }
}

// A peer that reads and writes the frames itself.
class TokenPeer : public RawPeer {
 public:
  TokenPeer(const Address& to, const Greeting& self)
      : RawPeer(to), said_(encode_greeting(self, fresh_nonce())) {
    write(encode_frame(FrameKind::greeting, said_));
  }
  // Reads the other's greeting and proof. Whether both came.
  bool read_answer() {
    return eventually([this] {
      heard_ += read_some();
      return heard_.size() > kFrameHeaderSize &&
             heard_.size() == greeting_size() + kFrameHeaderSize + 32;
    });
  }
  // The proof about what it has said, or about other bytes.
  void prove(std::optional<Bytes> said = {}) {
    const BytesView listener =
        BytesView(heard_).substr(kFrameHeaderSize, greeting_size() - kFrameHeaderSize);
    proof_ = encode_frame(FrameKind::proof,
                          join_proof(kToken, Prover::dialler, said.value_or(said_), listener));
    write(proof_);
  }
  Bytes written() const { return encode_frame(FrameKind::greeting, said_) + proof_; }
  Bytes said_;

 private:
  size_t greeting_size() const {
    return kFrameHeaderSize + decode_frame_header(heard_).value().length;
  }
  Bytes heard_, proof_;
};

// Somebody on the way replaces the hash of the guardian, so as to report the death of that process.
TEST(JoinToken, AGreetingThatWasChangedOnTheWayIsRefused) {
  Node good(greeting_of(1), knowing(kToken));
  Greeting bent = greeting_of(2);
  bent.guardian = sha256("a secret of somebody else");
  TokenPeer peer(good.address(), bent);
  ASSERT_TRUE(peer.read_answer());
  peer.prove(encode_greeting(greeting_of(2), nonce_of(peer.said_)));
  EXPECT_THAT(peer.read_to_end(), HasSubstr("changed on the way"));
  EXPECT_TRUE(good.greetings().empty());
  EXPECT_EQ(report_death({bent, "a secret of somebody else"}, {good.address()}, 20s), 1u);
  EXPECT_TRUE(good.reaped().empty());
}

TEST(JoinToken, WhatTellsTheEndOfAProcessDoesNotChangeLater) {
  Node good(greeting_of(1), knowing(kToken));
  for (const bool guardian : {true, false}) {
    TokenPeer peer(good.address(), greeting_of(2));
    ASSERT_TRUE(peer.read_answer());
    peer.prove();
    Greeting bent = greeting_of(2);
    guardian ? bent.guardian = sha256("x") : bent.host_boot_id = "of another host";
    peer.write(encode_frame(FrameKind::greeting, encode_greeting(bent)));
    EXPECT_THAT(peer.read_to_end(), HasSubstr("a second greeting came of another process"));
  }
}

// The word of a peer that has proved nothing moves nobody, wherever it says that it belongs.
TEST(JoinToken, APeerOfAnotherClusterIsBelievedOnlyWithAProof) {
  Node joining(greeting_of(1, ""), knowing(kToken));
  joining.network->set_cluster(ClusterId("c"));
  for (const bool proves : {false, true}) {
    Node other(greeting_of(2, "another cluster"),
               knowing(proves ? kToken : "a token of another one"));
    joining.network->dial(other.address());
    ASSERT_TRUE(eventually([&] { return joining.has_event(LinkNews::failed); }));
    ASSERT_TRUE(eventually(
        [&] { return joining.has_line(proves ? "belongs to cluster" : "another join token"); }));
    const auto events = joining.events();
    const bool named = std::any_of(events.begin(), events.end(), [](const LinkEvent& event) {
      return event.peer.incarnation == Incarnation{2};
    });
    EXPECT_EQ(named, proves);
    joining.network->hang_up(other.address());
  }
}

// A node enters a cluster between its first greeting and the proof.
TEST(JoinToken, ANewClusterIsToldAfterTheProof) {
  Node good(greeting_of(1, ""), knowing(kToken));
  TokenPeer peer(good.address(), greeting_of(2));
  ASSERT_TRUE(peer.read_answer());
  good.network->set_cluster(ClusterId("c"));
  Node other(greeting_of(3), knowing(kToken));  // Its link shows that the change is done.
  ASSERT_TRUE(other.dial_and_wait(good.address()));
  peer.prove();
  Bytes later;
  ASSERT_TRUE(eventually([&] { return (later += peer.read_some()).size() > kFrameHeaderSize; }));
  EXPECT_EQ(decode_frame_header(later)->kind, FrameKind::greeting);
  EXPECT_EQ(decode_greeting(BytesView(later).substr(kFrameHeaderSize))->cluster, ClusterId("c"));
}

// A stranger that greets well and proves nothing is one stranger among many.
TEST(JoinToken, WithoutAProofAPeerIsAStranger) {
  NetworkOptions options = knowing(kToken);
  options.greeting_time = 300ms;
  Node good(greeting_of(1), options);
  TokenPeer silent(good.address(), greeting_of(2));
  EXPECT_THAT(silent.read_to_end(), HasSubstr("no proof came in time"));
  TokenPeer twice(good.address(), greeting_of(2));
  twice.write(encode_frame(FrameKind::greeting, twice.said_));
  EXPECT_THAT(twice.read_to_end(), HasSubstr("a greeting came instead of a proof"));
  TokenPeer large(good.address(), greeting_of(2));
  ASSERT_TRUE(large.read_answer());
  good.know_all();
  Node other(greeting_of(3), knowing(kToken));  // Its link shows that the members are known.
  ASSERT_TRUE(other.dial_and_wait(good.address()));
  large.write(encode_frame_header(FrameKind::proof, Bytes(kGreetingMax + 1, 'x')));
  EXPECT_THAT(large.read_to_end(), HasSubstr("at most 4096 are allowed"));
  for (int i = 0; i < 3; ++i) {
    TokenPeer liar(good.address(), greeting_of(2));
    ASSERT_TRUE(liar.read_answer());
    liar.prove("other bytes");
    EXPECT_THAT(liar.read_to_end(), HasSubstr("another join token"));
  }
  EXPECT_EQ(good.count_lines("another join token"), 1);
}

// A stranger on the way records all that a member says, and says it again.
TEST(JoinToken, AReplayedJoinIsRefused) {
  Node good(greeting_of(1), knowing(kToken));
  Bytes recorded;
  {
    TokenPeer honest(good.address(), greeting_of(2));
    ASSERT_TRUE(honest.read_answer());
    honest.prove();
    recorded = honest.written();
    ASSERT_TRUE(eventually([&] { return good.greetings().size() == 1; }));
  }
  RawPeer replayed(good.address());
  replayed.write(recorded);
  EXPECT_THAT(replayed.read_to_end(), HasSubstr("repeat those of another connection"));
  EXPECT_TRUE(replayed.closed);
  EXPECT_TRUE(eventually([&] { return good.has_line("repeat those of another"); }));
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
