#include "platform/join_proof.h"

#include <fmt/format.h>

#include "platform/frame.h"
#include "platform/process.h"
#include "platform/secret.h"

namespace databridge::platform {

Bytes join_proof(BytesView token, Prover prover, BytesView dialler_greeting,
                 BytesView listener_greeting) {
  // The first line keeps the proof apart from all other uses of the token.
  Bytes content = "databridge join 1\n";
  content.push_back(static_cast<char>(prover));
  for (const BytesView greeting : {dialler_greeting, listener_greeting}) {
    append_little32(content, static_cast<uint32_t>(greeting.size()));
    content.append(greeting);
  }
  return hmac_sha256(token, content);
}

Result<Bytes> JoinCheck::answer(BytesView token, BytesView heard, const env::Greeting& peer,
                                const env::Greeting& self) {
  if (nonce_of(heard).size() != kNonceSize) {
    return fail(Code::forbidden,
                fmt::format("{}node {} has no join token, and node {} asks for one: give node {} "
                            "the file of this cluster with --cluster-join-token-file",
                            kTokenEnd, peer.node.value, self.node.value, peer.node.value));
  }
  heard_ = heard;
  said_ = encode_greeting(self, fresh_nonce());
  return join_proof(token, Prover::listener, heard_, said_);
}

Result<void> JoinCheck::check(BytesView token, BytesView proof, const env::Greeting& peer,
                              const env::Greeting& self) {
  if (proved_ || said_.empty()) {
    return fail(Code::invalid, "a proof came that was not asked for");
  }
  if (!is_equal_secret(proof, join_proof(token, Prover::dialler, heard_, said_))) {
    return fail(Code::forbidden,
                fmt::format("{}node {} has another join token than node {}, or its words were "
                            "changed on the way, or they repeat those of another connection",
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
