#include "platform/srv.h"

#include <ares.h>
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace databridge::platform {
namespace {

constexpr uint16_t kTypeA = 1, kTypeAaaa = 28, kTypeSrv = 33, kClassIn = 1;
constexpr size_t kIpsMax = 8;  // Of one target.

// Reads a message from the front. Each step fails beyond its end.
class Reader {
 public:
  explicit Reader(BytesView message) : message_(message) {}

  std::optional<uint16_t> number() {
    if (at_ + 2 > message_.size()) return std::nullopt;
    const auto high = static_cast<uint8_t>(message_[at_]);
    const auto low = static_cast<uint8_t>(message_[at_ + 1]);
    at_ += 2;
    return static_cast<uint16_t>(high << 8 | low);
  }

  // A name is compressed: it may point back into the message.
  std::optional<std::string> name() {
    if (at_ >= message_.size()) return std::nullopt;
    const auto* begin = reinterpret_cast<const unsigned char*>(message_.data());
    char* text = nullptr;
    long size = 0;
    if (ares_expand_name(begin + at_, begin, static_cast<int>(message_.size()), &text, &size) !=
        ARES_SUCCESS) {
      return std::nullopt;
    }
    std::string name(text);
    ares_free_string(text);
    at_ += static_cast<size_t>(size);
    return name;
  }

  std::optional<BytesView> bytes(size_t size) {
    if (at_ + size > message_.size()) return std::nullopt;
    const BytesView part = message_.substr(at_, size);
    at_ += size;
    return part;
  }

  size_t at() const { return at_; }
  void go_to(size_t at) { at_ = at; }

 private:
  BytesView message_;
  size_t at_ = 0;
};

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_host(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return c > ' ' && c < 0x7f && c != '\\' && c != '/'; });
}

std::string ip_text(uint16_t type, BytesView data) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool is_v4 = type == kTypeA && data.size() == 4;
  const bool is_v6 = type == kTypeAaaa && data.size() == 16;
  if (!is_v4 && !is_v6) return {};
  ::inet_ntop(is_v4 ? AF_INET : AF_INET6, data.data(), text.data(), text.size());
  return text.data();
}

// One resource record. False: the message ends within it, or is damaged.
bool take_record(Reader& reader, SrvAnswer& answer) {
  const auto owner = reader.name();
  const auto type = owner ? reader.number() : std::nullopt;
  const auto kind = type ? reader.number() : std::nullopt;
  const auto ttl_high = kind ? reader.number() : std::nullopt;
  const auto ttl_low = ttl_high ? reader.number() : std::nullopt;
  const auto size = ttl_low ? reader.number() : std::nullopt;
  if (!size) return false;
  const size_t begin = reader.at();
  const auto data = reader.bytes(*size);
  if (!data) return false;
  if (*kind != kClassIn) return true;
  const auto ttl = static_cast<uint32_t>(*ttl_high << 16 | *ttl_low);
  if (*type == kTypeSrv) {
    if (answer.records.size() >= SrvAnswer::kRecordsMax) return true;
    const size_t end = reader.at();
    reader.go_to(begin);
    const auto priority = reader.number();
    const auto weight = priority ? reader.number() : std::nullopt;
    const auto port = weight ? reader.number() : std::nullopt;
    const auto target = port ? reader.name() : std::nullopt;
    if (!target || reader.at() != end) return false;
    answer.ttl = std::min(answer.ttl, ttl);
    if (*port != 0 && is_host(*target)) {
      answer.records.push_back({*priority, *weight, {lower(*target), *port}});
    }
    return true;
  }
  const std::string ip = ip_text(*type, *data);
  if (ip.empty() || answer.ips.size() >= SrvAnswer::kRecordsMax) return true;
  auto& ips = answer.ips[lower(*owner)];
  if (ips.size() < kIpsMax) ips.push_back(ip);
  answer.ttl = std::min(answer.ttl, ttl);
  return true;
}

}  // namespace

Result<SrvAnswer> parse_srv(BytesView message) {
  const auto damaged = [] { return fail(Code::invalid, "the DNS server's answer is damaged"); };
  Reader reader(message);
  std::array<uint16_t, 6> head{};  // Id, flags, then the number of records of four sections.
  for (uint16_t& field : head) {
    const auto number = reader.number();
    if (!number) return damaged();
    field = *number;
  }
  for (int i = 0; i < head[2]; ++i) {
    if (!reader.name() || !reader.bytes(4)) return damaged();
  }
  SrvAnswer answer;
  answer.ttl = std::numeric_limits<uint32_t>::max();
  const int records = head[3] + head[4] + head[5];
  for (int i = 0; i < records; ++i) {
    if (!take_record(reader, answer)) return damaged();
  }
  if (answer.records.empty()) answer.ttl = 0;
  return answer;
}

std::vector<SrvRecord> in_order(std::vector<SrvRecord> records, Random& random) {
  std::vector<SrvRecord> ordered;
  // Within a priority, weight 0 stands before the others when the draw is made.
  std::stable_sort(records.begin(), records.end(), [](const SrvRecord& a, const SrvRecord& b) {
    return a.priority != b.priority ? a.priority < b.priority : (a.weight == 0) > (b.weight == 0);
  });
  while (!records.empty()) {
    const uint16_t priority = records.front().priority;
    uint64_t sum = 0;
    for (const SrvRecord& record : records) {
      if (record.priority == priority) sum += record.weight;
    }
    const uint64_t drawn = random.between(0, sum);
    uint64_t running = 0;
    const auto chosen = std::find_if(records.begin(), records.end(), [&](const SrvRecord& record) {
      running += record.weight;
      return running >= drawn;
    });
    ordered.push_back(*chosen);
    records.erase(chosen);
  }
  return ordered;
}

}  // namespace databridge::platform
