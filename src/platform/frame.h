// Owns the bytes between members: what a frame and a greeting look like (docs/frame-format.md).
// Hides field order, widths and checksums. Pure. Any thread.
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
inline constexpr uint32_t kGreetingMax = 4096;  // Until a peer has greeted, no frame may be longer.
inline constexpr uint32_t kGuestPayloadMax = 64u << 10;  // Of one that is no known member.

enum class FrameKind : uint8_t {
  greeting = 1,  // Payload: encode_greeting(). The first frame each way; again when it changes.
  message = 2,   // Payload: model/message.h encode(). Only from the dialler to the listener.
  farewell = 3,  // Payload: UTF-8 text, why the connection is closed now.
  reaped = 4,    // Payload: encode_reaped() of a process that is no more; from its guardian.
  part = 5,      // Payload: 1 byte, 1 if it is the last part, else 0; then a piece of a message.
};

struct FrameHeader {
  FrameKind kind = FrameKind::message;
  uint32_t length = 0;  // Of the payload, in bytes.
  uint32_t crc = 0;     // CRC-32C of the header's first 12 bytes and the payload.
};

// A whole frame. The payload must not be longer than kPayloadMax.
Bytes encode_frame(FrameKind kind, BytesView payload);

// The header alone, as it goes before that payload; spares a copy of large payloads.
Bytes encode_frame_header(FrameKind kind, BytesView payload);

// Reads the first kFrameHeaderSize bytes, which must be there. Refuses strangers, newer protocol
// versions, unknown kinds and flags, and payloads longer than `payload_max`.
Result<FrameHeader> decode_frame_header(BytesView bytes, uint32_t payload_max = kPayloadMax);

// Whether the payload is what was sent; `header_bytes` are those the header was decoded from.
Result<void> check_payload(const FrameHeader& header, BytesView header_bytes, BytesView payload);

Bytes encode_greeting(const env::Greeting& greeting);

// Takes anything. Fields of later versions are skipped; an incarnation there must be.
Result<env::Greeting> decode_greeting(BytesView bytes);

// A process that is no more, and the secret whose hash its greeting had named.
struct Reaped {
  env::Greeting process;
  std::string secret;
};
Bytes encode_reaped(const Reaped& reaped);
Result<Reaped> decode_reaped(BytesView bytes);

// Whether both are the very same process: a node that dialled itself.
bool is_same_process(const env::Greeting& a, const env::Greeting& b);

// Why these two must not talk: different clusters, or one incarnation in two processes.
Result<void> check_peer(const env::Greeting& self, const env::Greeting& peer);

}  // namespace databridge::platform
