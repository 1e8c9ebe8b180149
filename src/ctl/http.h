// The way to a node's API, and to the user's files: the only file of ctl that touches the world.
//
// - Hides: libcurl, redirects to nothing, time limits, reconnecting streams. Calls wait.
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

  // `io` when no answer came: the node is not there, or gave none within a minute.
  Result<Reply> send(const std::string& method, const std::string& path,
                     const std::string& body = "",
                     const std::string& content_type = "application/json",
                     const std::vector<std::string>& headers = {});

  // Hands over every line of an endless answer until `take` returns false (fine) or the node ends
  // it (`unavailable`). An answer other than 200 is an Error made of its text, by problem().
  Result<void> stream(const std::string& path, const std::vector<std::string>& headers,
                      const std::function<bool(std::string_view line)>& take);

 private:
  std::string base_;
  void* handle_;  // CURL*, kept so that the connection is, too.
};

// "a b/c" → "a%20b%2Fc": for one segment of a path, or a value of a query.
std::string escape(std::string_view text);

// "-" is standard input or output.
Result<std::string> read_file(const std::string& path);
Result<void> write_file(const std::string& path, std::string_view content);

void wait_a_second();

// DATABRIDGE_API, or "".
std::string environment_api();

// What a problem+json answer says.
Error problem(const Reply& reply);

}  // namespace databridge::ctl
