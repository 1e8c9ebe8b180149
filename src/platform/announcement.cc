#include "platform/announcement.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "platform/secret.h"

namespace databridge::platform {
namespace {

// "DBan", a version, how it ends, the incarnation, the counter, the port, then three texts with
// their lengths: host, node id, cluster id. It ends with a checksum or with an HMAC.
constexpr BytesView kMagic = "DBan";
constexpr char kVersion = 1;
enum class Ending : uint8_t { checksum = 0, hmac = 1 };
constexpr size_t kHostMax = 253, kNameMax = 64;
constexpr size_t kHead = 6 + 8 + 8 + 2;
constexpr size_t kHmac = 32, kChecksum = 4;
static_assert(kHead + 3 + kHostMax + 2 * kNameMax + kHmac <= kAnnouncementMax);

void put_text(Bytes& to, BytesView text, size_t most) {
  CHECK(text.size() <= most);
  to += static_cast<char>(text.size());
  to += text;
}

std::optional<BytesView> take_text(BytesView& from, size_t most) {
  if (from.empty()) return std::nullopt;
  const size_t size = static_cast<uint8_t>(from[0]);
  if (size > most || from.size() < 1 + size) return std::nullopt;
  const BytesView text = from.substr(1, size);
  from.remove_prefix(1 + size);
  return text;
}

bool is_host(BytesView text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > ' ' && c < 0x7f && c != ',' && c != '/';
  });
}

bool is_name_or_empty(BytesView text) { return text.empty() || is_valid_name(text, kNameMax); }

Result<void> check_ending(BytesView body, BytesView rest, Ending ending, BytesView token) {
  if (ending == Ending::checksum) {
    if (!token.empty()) {
      return fail(Code::forbidden, "it does not prove the join token of this node");
    }
    if (rest.size() != kChecksum || read_little32(rest) != crc32c(body)) {
      return fail(Code::invalid, "it is damaged");
    }
    return {};
  }
  if (ending != Ending::hmac || rest.size() != kHmac) return fail(Code::invalid, "it is damaged");
  if (token.empty()) {
    return fail(Code::forbidden,
                "it proves a join token and this node has none: give it --cluster-join-token-file");
  }
  if (!is_equal_secret(rest, hmac_sha256(token, body))) {
    return fail(Code::forbidden, "it proves another join token than that of this node");
  }
  return {};
}

}  // namespace

Bytes encode_announcement(const Announcement& announcement, BytesView token) {
  const Sighting& node = announcement.node;
  Bytes bytes(kMagic);
  bytes += kVersion;
  bytes += static_cast<char>(token.empty() ? Ending::checksum : Ending::hmac);
  append_little64(bytes, node.incarnation.value);
  append_little64(bytes, announcement.counter);
  bytes += static_cast<char>(node.address.port & 0xff);
  bytes += static_cast<char>(node.address.port >> 8);
  put_text(bytes, node.address.host, kHostMax);
  put_text(bytes, node.node.value, kNameMax);
  put_text(bytes, node.cluster.value, kNameMax);
  if (token.empty()) {
    append_little32(bytes, crc32c(bytes));
  } else {
    bytes += hmac_sha256(token, bytes);
  }
  return bytes;
}

Result<Announcement> decode_announcement(BytesView datagram, BytesView token) {
  if (datagram.size() > kAnnouncementMax || datagram.size() < kHead ||
      datagram.substr(0, kMagic.size()) != kMagic) {
    return fail(Code::invalid, "it is no announcement of a node");
  }
  if (datagram[4] != kVersion) {
    return fail(Code::invalid, fmt::format("it is of version {}, this node knows version {}",
                                           static_cast<uint8_t>(datagram[4]), int{kVersion}));
  }
  const auto ending = static_cast<Ending>(datagram[5]);
  Announcement announcement;
  announcement.node.incarnation = Incarnation{read_little64(datagram.substr(6))};
  announcement.counter = read_little64(datagram.substr(14));
  announcement.node.address.port = static_cast<uint16_t>(static_cast<uint8_t>(datagram[22]) |
                                                         static_cast<uint8_t>(datagram[23]) << 8);
  BytesView rest = datagram.substr(kHead);
  const auto host = take_text(rest, kHostMax);
  const auto node = host ? take_text(rest, kNameMax) : std::nullopt;
  const auto cluster = node ? take_text(rest, kNameMax) : std::nullopt;
  if (!cluster) return fail(Code::invalid, "it is damaged");
  // The proof comes first: what a stranger wrote is looked at no further.
  const BytesView body = datagram.substr(0, datagram.size() - rest.size());
  if (auto proved = check_ending(body, rest, ending, token); !proved) {
    return tl::make_unexpected(proved.error());
  }
  if (!announcement.node.incarnation || announcement.node.address.port == 0 || !is_host(*host) ||
      !is_name_or_empty(*node) || !is_name_or_empty(*cluster)) {
    return fail(Code::invalid, "it names no node");
  }
  announcement.node.address.host = *host;
  announcement.node.node = NodeId(std::string(*node));
  announcement.node.cluster = ClusterId(std::string(*cluster));
  return announcement;
}

bool NewestCounters::is_newer(Incarnation node, uint64_t counter) {
  const auto found = newest_.find(node);
  if (found != newest_.end()) {
    if (counter <= found->second) return false;
    found->second = counter;
    return true;
  }
  if (newest_.size() >= kNodesMax) newest_.erase(newest_.begin());
  newest_[node] = counter;
  return true;
}

}  // namespace databridge::platform
