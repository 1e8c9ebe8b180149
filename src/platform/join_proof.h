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

// The proof of one of the two sides: 32 bytes. It covers each byte of the first greetings of both,
// nonces included. So it is worth nothing on another connection, in the other direction, or if
// somebody on the way has changed a greeting.
Bytes join_proof(BytesView token, Prover prover, BytesView dialler_greeting,
                 BytesView listener_greeting);

// What a listener knows of one connection. Network's thread.
class JoinCheck {
 public:
  // `heard` are the bytes of the peer's first greeting. Returns our proof, which follows
  // greeting(). Fails if the peer has no token.
  Result<Bytes> answer(BytesView token, BytesView heard, const env::Greeting& peer,
                       const env::Greeting& self);
  // Checks the proof of the peer that was answered.
  Result<void> check(BytesView token, BytesView proof, const env::Greeting& peer,
                     const env::Greeting& self);
  void waive() { proved_ = true; }  // No token is asked for.

  bool proved() const { return proved_; }
  const Bytes& greeting() const { return said_; }  // The bytes of our own first greeting.

 private:
  bool proved_ = false;
  Bytes said_;  // Empty: it was not answered yet.
  Bytes heard_;
};

Bytes fresh_nonce();  // From the system's entropy.

}  // namespace databridge::platform
