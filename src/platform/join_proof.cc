#include "platform/join_proof.h"

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

Bytes fresh_nonce() {
  Bytes nonce;
  while (nonce.size() < kNonceSize) append_little64(nonce, entropy64());
  return nonce;
}

}  // namespace databridge::platform
