// Who may talk to the API from a browser: nobody but pages of its own.
//
// A foreign `Host` is how a hostile page reaches a loopback port by DNS rebinding; a foreign
// `Origin` is how it posts to one. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace databridge::api {

// Whether they differ in capitals at most.
bool same_word(std::string_view a, std::string_view b);

// "name", "name:port", "1.2.3.4:80", "[::1]:80" without the port and the brackets.
std::string_view host_without_port(std::string_view host);

// Why the request must be refused with 403, or nothing. `origin` empty: there was none.
std::optional<std::string> foreign(std::string_view host, std::string_view origin,
                                   const std::vector<std::string>& hosts);

// The target of a request line: "/a?b", or in the absolute form "http://host:port/a?b"
// (RFC 9112, section 3.2.2), whose authority counts instead of the Host field.
struct Target {
  std::string path;  // And query. As it came where it has no such form.
  std::string authority;
};
Target split_target(std::string_view target);

}  // namespace databridge::api
