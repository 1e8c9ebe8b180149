#include "platform/strangers.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/bytes.h"

namespace databridge::platform {
namespace {

constexpr size_t kReasonBytes = 200;

// Whoever has one IPv6 address has 2^64 of them.
std::string network_of(const std::string& host) {
  in6_addr address{};
  if (::inet_pton(AF_INET6, host.c_str(), &address) != 1) return host;
  if (IN6_IS_ADDR_V4MAPPED(&address)) return host;
  return to_hex(BytesView(reinterpret_cast<const char*>(address.s6_addr), 8));
}

}  // namespace

void Strangers::failed(const std::string& host, Duration now) {
  failed_.failed(network_of(host), now);
}

bool Strangers::too_many(const std::string& host, Duration now) const {
  return failed_.too_many(network_of(host), now);
}

std::string Strangers::to_say(const std::string& host, const std::string& why, Duration now) {
  const std::string from = network_of(host);
  auto found = said_.find(from);
  if (found == said_.end()) {
    if (said_.size() >= kRememberedMax) {
      std::erase_if(said_, [&](const auto& entry) { return now - entry.second.since >= kSilence; });
    }
    if (said_.size() >= kRememberedMax) return why;  // The limit of lines a second still holds.
    found = said_.try_emplace(from).first;
    found->second.since = now;
  }
  Said& said = found->second;
  if (now - said.since >= kSilence) said = {now, {}};
  if (said.reasons.size() > kReasonsMax ||
      !said.reasons.insert(why.substr(0, kReasonBytes)).second) {
    return "";
  }
  if (said.reasons.size() <= kReasonsMax) return why;
  return "for further reasons, which are not named for a minute";
}

}  // namespace databridge::platform
