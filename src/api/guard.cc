#include "api/guard.h"

#include <algorithm>
#include <cctype>

namespace databridge::api {
namespace {

bool is_port(std::string_view text) {
  return text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

std::string_view host_without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view rest = host.substr(end + 1);
    if (!rest.empty() && (rest[0] != ':' || !is_port(rest.substr(1)))) return {};
    return host.substr(1, end - 1);
  }
  const size_t colon = host.find(':');
  if (colon == std::string_view::npos) return host;
  return is_port(host.substr(colon + 1)) ? host.substr(0, colon) : std::string_view{};
}

std::optional<std::string> foreign(std::string_view host, std::string_view origin,
                                   const std::vector<std::string>& hosts) {
  const std::string_view name = host_without_port(host);
  const bool known = std::any_of(hosts.begin(), hosts.end(),
                                 [&](const std::string& own) { return same_word(own, name); });
  if (name.empty() || !known) {
    return "the host of this request is not an address of this node: use its advertised address";
  }
  if (origin.empty()) return std::nullopt;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme) && same_word(origin.substr(scheme.size()), host)) {
      return std::nullopt;
    }
  }
  return "requests of other origins are refused";
}

Target split_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || !same_word(target.substr(0, scheme.size()), scheme))
      continue;
    const std::string_view rest = target.substr(scheme.size());
    const size_t end = std::min(rest.find_first_of("/?"), rest.size());
    const std::string_view path = rest.substr(end);
    return {(path.starts_with('/') ? "" : "/") + std::string(path),
            std::string(rest.substr(0, end))};
  }
  return {std::string(target), {}};
}

}  // namespace databridge::api
