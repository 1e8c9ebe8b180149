// The proof that both sides of a connection know the cluster's join token (docs/adr/0019).
//
// - Owns: what is proved, and in which form. Pure. Any thread. The token never leaves this process.
#pragma once

#include <string>

#include "base/bytes.h"
#include "env/network.h"

namespace databridge::platform {

// What is said about the end of a connection for a reason of the token begins with this.
inline constexpr char kTokenEnd[] = "join token: ";

constexpr size_t kNonceSize = 16;  // Bytes. Fresh for each side of each connection.

enum class Prover : uint8_t { dialler = 1, listener = 2 };

// One side of a connection as its first greeting named it.
struct Introduction {
  const env::Greeting& greeting;
  BytesView nonce;
};

// The proof of one of the two sides: 32 bytes. It is worth nothing on another connection, in the
// other direction, or for another process.
Bytes join_proof(BytesView token, Prover prover, const Introduction& dialler,
                 const Introduction& listener);

Bytes fresh_nonce();  // From the system's entropy.

}  // namespace databridge::platform
