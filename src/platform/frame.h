// - Owns: the bytes between members: the form of a frame and of a greeting (docs/frame-format.md).
// - Hides: field order, widths and checksums. Pure. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "env/network.h"

namespace databridge::platform {

inline constexpr uint8_t kProtocolVersion = 1;
inline constexpr size_t kFrameHeaderSize = 16;
inline constexpr uint32_t kPayloadMax = 64u << 20;
inline constexpr uint32_t kGreetingMax = 4096;  // The longest frame before the peer has greeted.
// The longest frame from a peer that is no known member.
inline constexpr uint32_t kGuestPayloadMax = 64u << 10;

enum class FrameKind : uint8_t {
  // Payload: encode_greeting(). The first frame in each direction; sent again when it changes.
  greeting = 1,
  message = 2,   // Payload: model/message.h encode(). Only from the dialler to the listener.
  farewell = 3,  // Payload: UTF-8 text that says why the connection is closed now.
  reaped = 4,    // Payload: encode_reaped() of a process that is gone. Sent by its guardian.
  part = 5,      // Payload: 1 byte (1 for the last part, else 0), then a piece of a message.
  proof = 6,     // Payload: join_proof() of the sender, if the cluster has a join token.
};

struct FrameHeader {
  FrameKind kind = FrameKind::message;
  uint32_t length = 0;  // The length of the payload in bytes.
  uint32_t crc = 0;     // CRC-32C of the header's first 12 bytes and the payload.
};

// A whole frame. The payload must not be longer than kPayloadMax.
Bytes encode_frame(FrameKind kind, BytesView payload);

// Only the header of a frame with that payload. This saves a copy of a large payload.
Bytes encode_frame_header(FrameKind kind, BytesView payload);

// Reads the first kFrameHeaderSize bytes, which must be there. Refuses bytes of other protocols,
// newer protocol versions, unknown kinds and flags, and payloads longer than `payload_max`.
Result<FrameHeader> decode_frame_header(BytesView bytes, uint32_t payload_max = kPayloadMax);

// Whether the payload arrived as it was sent. `header_bytes` are the bytes of `header`.
Result<void> check_payload(const FrameHeader& header, BytesView header_bytes, BytesView payload);

// `nonce`: only in the first greeting of a side that has a join token.
Bytes encode_greeting(const env::Greeting& greeting, BytesView nonce = {});

// Accepts any bytes. Fields of later versions are skipped. A greeting without an incarnation is
// refused.
Result<env::Greeting> decode_greeting(BytesView bytes);

// The nonce in the bytes of a greeting that could be decoded. Empty: it has none.
BytesView nonce_of(BytesView bytes);

// A process that is gone, and the secret whose hash its greeting had named.
struct Reaped {
  env::Greeting process;
  std::string secret;
};
Bytes encode_reaped(const Reaped& reaped);
Result<Reaped> decode_reaped(BytesView bytes);

// Whether both are the same process: the node has dialled itself.
bool is_same_process(const env::Greeting& a, const env::Greeting& b);

// Whether a later greeting on a connection is of the process that has greeted first. What tells
// that a process has ended must not change: neither its place nor the hash of its guardian.
Result<void> check_later_greeting(const env::Greeting& first, const env::Greeting& later);

// Why these two must not talk: they belong to different clusters, or are two processes of one
// incarnation.
Result<void> check_peer(const env::Greeting& self, const env::Greeting& peer);

}  // namespace databridge::platform
