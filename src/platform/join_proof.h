// The proof that both sides of a connection know the cluster's join token (docs/adr/0019).
//
// - Owns: what is proved, in which form, and the words when it is not. The token never leaves this
//   process.
// - Threads: functions any; a JoinCheck the network's thread.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
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

// What a listener knows of one connection. Network's thread.
class JoinCheck {
 public:
  // The peer has greeted with that nonce. Returns our proof; nonce() goes into our greeting. Fails
  // if the peer has no token.
  Result<Bytes> answer(BytesView token, const env::Greeting& peer, BytesView peer_nonce,
                       const env::Greeting& self);
  // Checks the proof of the peer that was answered.
  Result<void> check(BytesView token, BytesView proof, const env::Greeting& peer,
                     const env::Greeting& self);
  void waive() { proved_ = true; }  // No token is asked for.

  bool proved() const { return proved_; }
  const Bytes& nonce() const { return nonce_; }

 private:
  bool proved_ = false;
  Bytes nonce_;  // Empty: it was not answered yet.
  Bytes peer_nonce_;
};

Bytes fresh_nonce();  // From the system's entropy.

}  // namespace databridge::platform
