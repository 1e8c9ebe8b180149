// Decides which web pages may use the API from a browser: only the node's own pages.
//
// With DNS rebinding, a hostile page reaches a loopback port under a foreign `Host`. Without it, a
// hostile page can post to the port, with a foreign `Origin`. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace databridge::api {

// Whether they are equal, apart from upper and lower case.
bool same_word(std::string_view a, std::string_view b);

// "name", "name:port", "1.2.3.4:80", "[::1]:80" without the port and the brackets.
std::string_view host_without_port(std::string_view host);

// Why the request must be refused with 403; nullopt if it is allowed. An empty `origin` means that
// there was none.
std::optional<std::string> foreign(std::string_view host, std::string_view origin,
                                   const std::vector<std::string>& hosts);

// The target of a request line: "/a?b", or the absolute form "http://host:port/a?b" (RFC 9112,
// section 3.2.2). The authority of the latter counts instead of the Host field.
struct Target {
  std::string path;  // Path and query. A target of another form stays as it came.
  std::string authority;
};
Target split_target(std::string_view target);

}  // namespace databridge::api
