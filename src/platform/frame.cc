#include "platform/frame.h"

#include <fmt/format.h>

#include "base/check.h"

namespace databridge::platform {
namespace {

constexpr BytesView kMagic("DBCF", 4);
constexpr size_t kCheckedHeader = 12;  // The header up to its checksum.
// The first record of TLS: its type, and the first byte of its version.
constexpr uint8_t kTlsHandshake = 22;
constexpr uint8_t kTlsMajor = 3;

// Fields of a greeting. Numbers are never given a second meaning.
enum Tag : uint8_t {
  tag_incarnation = 1,
  tag_node = 2,
  tag_cluster = 3,
  tag_boot = 4,
  tag_host_boot_id = 5,
  tag_netns = 6,
  tag_pidns = 7,
  tag_pid = 8,
  tag_pid_start = 9,
  tag_address = 10,
  tag_start = 11,
  tag_device = 12,
  tag_inode = 13,
  tag_term = 14,
  tag_vote = 15,
  tag_last = 16,
  tag_last_term = 17,
  tag_chain = 18,
  tag_commit = 19,
  tag_guardian = 20,
  tag_secret = 21,  // In a reaped frame only.
  tag_nonce = 22,
  tag_features = 23,
};
constexpr size_t kTextMax = 256;

void append_text(Bytes& to, uint8_t tag, BytesView text) {
  CHECK(text.size() <= kTextMax);
  to.push_back(static_cast<char>(tag));
  to.push_back(static_cast<char>(text.size() & 0xff));
  to.push_back(static_cast<char>(text.size() >> 8));
  to.append(text);
}

void append_number(Bytes& to, uint8_t tag, uint64_t value) {
  Bytes bytes;
  append_little64(bytes, value);
  append_text(to, tag, bytes);
}

uint8_t byte_at(BytesView bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }

bool is_text(uint8_t tag) {
  return tag == tag_node || tag == tag_cluster || tag == tag_host_boot_id || tag == tag_address ||
         tag == tag_guardian;
}

// The number of a greeting with that tag; none for texts and for tags of later versions.
uint64_t* number_of(env::Greeting& greeting, uint8_t tag) {
  switch (tag) {
    case tag_incarnation:
      return &greeting.incarnation.value;
    case tag_boot:
      return &greeting.boot;
    case tag_netns:
      return &greeting.netns;
    case tag_pidns:
      return &greeting.pidns;
    case tag_pid:
      return &greeting.pid;
    case tag_pid_start:
      return &greeting.pid_start;
    case tag_start:
      return &greeting.start;
    case tag_device:
      return &greeting.device;
    case tag_inode:
      return &greeting.inode;
    case tag_term:
      return &greeting.log.term;
    case tag_vote:
      return &greeting.log.vote.value;
    case tag_last:
      return &greeting.log.last;
    case tag_last_term:
      return &greeting.log.last_term;
    case tag_chain:
      return &greeting.log.chain;
    case tag_commit:
      return &greeting.log.commit;
    default:
      return nullptr;
  }
}

void set_text(env::Greeting& greeting, uint8_t tag, BytesView value) {
  switch (tag) {
    case tag_node:
      greeting.node = NodeId(std::string(value));
      break;
    case tag_cluster:
      greeting.cluster = ClusterId(std::string(value));
      break;
    case tag_host_boot_id:
      greeting.host_boot_id = std::string(value);
      break;
    case tag_guardian:
      greeting.guardian = std::string(value);
      break;
    case tag_address:
      // A text that is no address counts as none.
      if (auto address = Address::parse(value)) greeting.address = std::move(*address);
      break;
    default:
      break;
  }
}

// The last field of that tag in the bytes of a greeting that could be decoded. Empty: none.
BytesView field_of(BytesView bytes, uint8_t wanted) {
  BytesView found;
  while (bytes.size() >= 3) {
    const size_t length =
        static_cast<size_t>(byte_at(bytes, 1)) | static_cast<size_t>(byte_at(bytes, 2)) << 8;
    if (byte_at(bytes, 0) == wanted) found = bytes.substr(3, length);
    bytes.remove_prefix(3 + length);
  }
  return found;
}

}  // namespace

Bytes encode_frame_header(FrameKind kind, BytesView payload) {
  CHECK(payload.size() <= kPayloadMax);
  Bytes header(kMagic);
  header.push_back(static_cast<char>(kProtocolVersion));
  header.push_back(static_cast<char>(kind));
  header.append(2, '\0');  // Flags: none yet.
  append_little32(header, static_cast<uint32_t>(payload.size()));
  append_little32(header, crc32c(payload, crc32c(header)));
  return header;
}

Bytes encode_frame(FrameKind kind, BytesView payload) {
  Bytes frame = encode_frame_header(kind, payload);
  frame.append(payload);
  return frame;
}

Result<FrameHeader> decode_frame_header(BytesView bytes, uint32_t payload_max) {
  CHECK(bytes.size() >= kFrameHeaderSize);
  if (byte_at(bytes, 0) == kTlsHandshake && byte_at(bytes, 1) == kTlsMajor) {
    return fail(Code::invalid,
                "TLS: the other side uses TLS, and this node does not: give the three "
                "files --cluster-tls-ca, -cert and -key to both nodes, or to neither");
  }
  if (bytes.substr(0, 4) != kMagic) {
    return fail(Code::invalid,
                fmt::format("not a cluster frame (it begins with {}): the other side is no member",
                            to_hex(bytes.substr(0, 4))));
  }
  const uint8_t version = byte_at(bytes, 4);
  if (version == 0 || version > kProtocolVersion) {
    return fail(
        Code::invalid,
        fmt::format("protocol version {} where this node speaks up to {}: upgrade this node",
                    version, kProtocolVersion));
  }
  const uint8_t kind = byte_at(bytes, 5);
  if (kind < 1 || kind > 6)
    return fail(Code::invalid, fmt::format("frame of unknown kind {}", kind));
  if (byte_at(bytes, 6) != 0 || byte_at(bytes, 7) != 0) {
    return fail(Code::invalid, "frame with flags that version 1 does not know");
  }
  FrameHeader header;
  header.kind = static_cast<FrameKind>(kind);
  header.length = read_little32(bytes.substr(8));
  header.crc = read_little32(bytes.substr(kCheckedHeader));
  if (header.length > payload_max) {
    return fail(Code::too_large, fmt::format("frame of {} bytes where at most {} are allowed",
                                             header.length, payload_max));
  }
  return header;
}

Result<void> check_payload(const FrameHeader& header, BytesView header_bytes, BytesView payload) {
  CHECK(payload.size() == header.length);
  if (crc32c(payload, crc32c(header_bytes.substr(0, kCheckedHeader))) != header.crc) {
    return fail(Code::corrupt, "frame damaged on its way: checksum mismatch");
  }
  return {};
}

Bytes encode_greeting(const env::Greeting& greeting, BytesView nonce) {
  Bytes bytes;
  append_number(bytes, tag_incarnation, greeting.incarnation.value);
  append_text(bytes, tag_node, greeting.node.value);
  append_text(bytes, tag_cluster, greeting.cluster.value);
  append_number(bytes, tag_boot, greeting.boot);
  append_text(bytes, tag_host_boot_id, greeting.host_boot_id);
  append_number(bytes, tag_netns, greeting.netns);
  append_number(bytes, tag_pidns, greeting.pidns);
  append_number(bytes, tag_pid, greeting.pid);
  append_number(bytes, tag_pid_start, greeting.pid_start);
  const std::string address = greeting.address.empty() ? "" : greeting.address.text();
  if (!address.empty() && address.size() <= kTextMax) append_text(bytes, tag_address, address);
  // A field of a later version is left out if it is zero.
  env::Greeting copy = greeting;
  for (uint8_t tag = tag_start; tag <= tag_commit; ++tag) {
    if (const uint64_t value = *number_of(copy, tag)) append_number(bytes, tag, value);
  }
  if (!greeting.guardian.empty()) append_text(bytes, tag_guardian, greeting.guardian);
  if (!greeting.features.empty()) append_number(bytes, tag_features, greeting.features.bits());
  if (!nonce.empty()) append_text(bytes, tag_nonce, nonce);
  return bytes;
}

Result<env::Greeting> decode_greeting(BytesView bytes) {
  env::Greeting greeting;
  while (!bytes.empty()) {
    if (bytes.size() < 3) return fail(Code::invalid, "greeting ends within a field");
    const uint8_t tag = byte_at(bytes, 0);
    const size_t length =
        static_cast<size_t>(byte_at(bytes, 1)) | static_cast<size_t>(byte_at(bytes, 2)) << 8;
    bytes.remove_prefix(3);
    if (bytes.size() < length) return fail(Code::invalid, "greeting ends within a field");
    const BytesView value = bytes.substr(0, length);
    bytes.remove_prefix(length);
    if (tag == tag_features) {
      if (length != 8) return fail(Code::invalid, "greeting field 23 is no number");
      greeting.features = FeatureSet(read_little64(value));
    } else if (uint64_t* const number = number_of(greeting, tag)) {
      if (length != 8)
        return fail(Code::invalid, fmt::format("greeting field {} is no number", tag));
      *number = read_little64(value);
    } else if (is_text(tag)) {
      if (length > kTextMax || !is_utf8(value)) {
        return fail(Code::invalid, fmt::format("greeting field {} is no text", tag));
      }
      set_text(greeting, tag, value);
    }
  }
  if (!greeting.incarnation) return fail(Code::invalid, "greeting without an incarnation");
  return greeting;
}

Bytes encode_reaped(const Reaped& reaped) {
  Bytes bytes = encode_greeting(reaped.process);
  append_text(bytes, tag_secret, reaped.secret);
  return bytes;
}

// The secret comes last. To a reader of greetings, it is a field of a later version.
Result<Reaped> decode_reaped(BytesView bytes) {
  auto process = decode_greeting(bytes);
  if (!process) return tl::make_unexpected(process.error());
  return Reaped{std::move(*process), std::string(field_of(bytes, tag_secret))};
}

BytesView nonce_of(BytesView bytes) { return field_of(bytes, tag_nonce); }

bool is_same_process(const env::Greeting& a, const env::Greeting& b) {
  return a.incarnation == b.incarnation && a.boot == b.boot && a.start == b.start &&
         a.host_boot_id == b.host_boot_id && a.pidns == b.pidns && a.pid == b.pid &&
         a.pid_start == b.pid_start;
}

Result<void> check_later_greeting(const env::Greeting& first, const env::Greeting& later) {
  if (is_same_process(first, later) && first.guardian == later.guardian) return {};
  return fail(Code::invalid, "a second greeting came of another process");
}

Result<void> check_peer(const env::Greeting& self, const env::Greeting& peer) {
  if (!self.cluster.empty() && !peer.cluster.empty() && self.cluster != peer.cluster) {
    return fail(Code::conflict,
                fmt::format("node {} belongs to cluster {}, node {} to {}", peer.node.value,
                            peer.cluster.value, self.node.value, self.cluster.value));
  }
  if (peer.incarnation == self.incarnation && !is_same_process(self, peer)) {
    return fail(Code::conflict,
                fmt::format("node {} runs with the identity of node {}: one of them uses a copy of "
                            "the other's data directory; give it an empty one",
                            peer.node.value, self.node.value));
  }
  return {};
}

}  // namespace databridge::platform
