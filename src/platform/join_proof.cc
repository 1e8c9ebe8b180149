#include "platform/join_proof.h"

#include <fmt/format.h>

#include "platform/process.h"
#include "platform/secret.h"

namespace databridge::platform {
namespace {

// The cluster is left out: a node may enter one while the proof is on its way, and the greetings
// compare clusters anyway.
void append_side(Bytes& to, const Introduction& side) {
  append_little64(to, side.greeting.incarnation.value);
  append_little64(to, side.greeting.boot);
  append_little64(to, side.greeting.start);
  for (const BytesView text : {BytesView(side.greeting.node.value), side.nonce}) {
    append_little32(to, static_cast<uint32_t>(text.size()));
    to.append(text);
  }
}

}  // namespace

Bytes join_proof(BytesView token, Prover prover, const Introduction& dialler,
                 const Introduction& listener) {
  // The first line keeps the proof apart from all other uses of the token.
  Bytes content = "databridge join 1\n";
  content.push_back(static_cast<char>(prover));
  append_side(content, dialler);
  append_side(content, listener);
  return hmac_sha256(token, content);
}

Result<Bytes> JoinCheck::answer(BytesView token, const env::Greeting& peer, BytesView peer_nonce,
                                const env::Greeting& self) {
  if (peer_nonce.size() != kNonceSize) {
    return fail(Code::forbidden,
                fmt::format("{}node {} has no join token, and node {} asks for one: give it the "
                            "file of this cluster with --cluster-join-token-file",
                            kTokenEnd, peer.node.value, self.node.value));
  }
  peer_nonce_ = peer_nonce;
  nonce_ = fresh_nonce();
  return join_proof(token, Prover::listener, {peer, peer_nonce_}, {self, nonce_});
}

Result<void> JoinCheck::check(BytesView token, BytesView proof, const env::Greeting& peer,
                              const env::Greeting& self) {
  if (proved_ || nonce_.empty()) {
    return fail(Code::invalid, "a proof came that was not asked for");
  }
  const Bytes wanted = join_proof(token, Prover::dialler, {peer, peer_nonce_}, {self, nonce_});
  if (!is_equal_secret(proof, wanted)) {
    return fail(Code::forbidden,
                fmt::format("{}node {} has another join token than node {}, or repeats the words "
                            "of another connection",
                            kTokenEnd, peer.node.value, self.node.value));
  }
  proved_ = true;
  return {};
}

Bytes fresh_nonce() {
  Bytes nonce;
  while (nonce.size() < kNonceSize) append_little64(nonce, entropy64());
  return nonce;
}

}  // namespace databridge::platform
