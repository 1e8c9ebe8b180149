// Calls to a node's API, and the user's files. Only this file of ctl uses the network and the disk.
//
// - Hides: libcurl, that redirects are not followed, time limits, reconnecting streams. Calls
//   block.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace databridge::ctl {

struct Reply {
  int status = 0;
  std::string body;
};

class Http {
 public:
  // `base`: http://host:port, without a path.
  explicit Http(std::string base);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // Later calls go to the node with that API address (host:port), in the same way.
  void go_to(const std::string& address);

  // Fails with `io` when no answer came: the node is not there, or gave no answer within a minute.
  Result<Reply> send(const std::string& method, const std::string& path,
                     const std::string& body = "",
                     const std::string& content_type = "application/json",
                     const std::vector<std::string>& headers = {});

  // Passes every line of an endless answer to `take`, until `take` returns false (success) or the
  // node ends the answer (`unavailable`). An answer other than 200 becomes an Error by problem().
  Result<void> stream(const std::string& path, const std::vector<std::string>& headers,
                      const std::function<bool(std::string_view line)>& take);

 private:
  std::string base_;
  void* handle_;  // CURL*, kept so that the connection stays open.
};

// "a b/c" → "a%20b%2Fc": for one segment of a path, or for a value in a query.
std::string escape(std::string_view text);

// "-" is standard input or output.
Result<std::string> read_file(const std::string& path);
Result<void> write_file(const std::string& path, std::string_view content);

void wait_a_second();

// The environment variable DATABRIDGE_API, or "".
std::string environment_api();

// The error that a problem+json answer describes.
Error problem(const Reply& reply);

}  // namespace databridge::ctl
