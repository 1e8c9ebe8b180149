#include "platform/last_will.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "base/bytes.h"
#include "base/check.h"
#include "platform/frame.h"
#include "platform/process.h"

namespace databridge::platform {
namespace {

constexpr size_t kHalf = 128u << 10;
constexpr size_t kSecretSize = 32;

}  // namespace

// The two halves are written in turn, so an unfinished write leaves the one before it intact.
struct LastWill::Page {
  struct Half {
    uint32_t greeting_size = 0;
    uint32_t peers_size = 0;
    uint32_t crc = 0;
    char bytes[kHalf];  // The greeting, then an address a line.
  };
  char secret[kSecretSize] = {};   // No process writes it while a node runs.
  std::atomic<uint32_t> valid{0};  // Which half; 0: none.
  Half halves[2];
};

LastWill::LastWill() {
  void* const memory =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  page_ = new (memory) Page;
}

LastWill::~LastWill() { ::munmap(page_, sizeof(Page)); }

void LastWill::write(const env::Greeting& self, const std::vector<Address>& peers) {
  const uint32_t next = page_->valid == 1 ? 2 : 1;
  Page::Half& half = page_->halves[next - 1];
  const Bytes greeting = encode_greeting(self);
  Bytes lines;
  for (const Address& peer : peers) {
    const std::string line = peer.text() + '\n';
    if (greeting.size() + lines.size() + line.size() > kHalf) break;
    lines += line;
  }
  std::memcpy(half.bytes, greeting.data(), greeting.size());
  std::memcpy(half.bytes + greeting.size(), lines.data(), lines.size());
  half.greeting_size = static_cast<uint32_t>(greeting.size());
  half.peers_size = static_cast<uint32_t>(lines.size());
  half.crc = crc32c(BytesView(half.bytes, greeting.size() + lines.size()));
  page_->valid = next;
}

std::optional<LastWill::Content> LastWill::read() const {
  // The process that wrote it may have died of a write to a wrong place, so everything is checked.
  const uint32_t valid = page_->valid;
  if (valid != 1 && valid != 2) return std::nullopt;
  const Page::Half& half = page_->halves[valid - 1];
  const size_t greeting_size = half.greeting_size;
  const size_t peers_size = half.peers_size;
  if (greeting_size > kHalf || peers_size > kHalf - greeting_size) return std::nullopt;
  const BytesView bytes(half.bytes, greeting_size + peers_size);
  if (crc32c(bytes) != half.crc) return std::nullopt;
  const auto greeting = decode_greeting(bytes.substr(0, greeting_size));
  if (!greeting) return std::nullopt;
  Content content{*greeting, {}};
  for (BytesView lines = bytes.substr(greeting_size); !lines.empty();) {
    const size_t end = std::min(lines.find('\n'), lines.size() - 1);
    if (auto peer = Address::parse(lines.substr(0, end))) content.peers.push_back(*peer);
    lines.remove_prefix(end + 1);
  }
  return content;
}

void LastWill::renew_secret() {
  for (size_t at = 0; at < kSecretSize; at += sizeof(uint64_t)) {
    const uint64_t part = entropy64();
    std::memcpy(page_->secret + at, &part, sizeof part);
  }
}

std::string LastWill::secret() const { return to_hex(BytesView(page_->secret, kSecretSize)); }

void LastWill::clear() { page_->valid = 0; }

}  // namespace databridge::platform
