// Calls to a node's API, and the user's files. Only this file of ctl uses the network and the disk.
//
// - Hides: libcurl, that redirects are not followed, time limits, reconnecting streams. Calls
//   block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

struct curl_slist;

namespace databridge::ctl {

struct Reply {
  int status = 0;
  std::string body;
};

// How a node is reached.
struct Target {
  std::string base;  // http://host:port or https://host:port, without a path.
  // More of them. They are tried in turn while no connection to a node can be made.
  std::vector<std::string> others{};
  std::string token;  // The text of a token; empty: none is sent.
  std::string ca;     // A file with the authorities that are trusted; empty: the system's.
};

class Http {
 public:
  explicit Http(Target target);
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
  void set_up(const std::string& url, const std::vector<std::string>& headers);
  // Goes on to the next node, if the call has reached none. Returns false if it has, or if it has
  // tried all nodes.
  bool go_on(int curl_code);

  Target target_;
  size_t tried_ = 0;  // So many of target_.others, by the call under way.
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers_;  // Of the call.
  void* handle_;  // CURL*, kept so that the connection stays open.
};

// Whether a URL, or "host:port", names this machine by an address that leads nowhere else.
bool is_loopback(std::string_view url);

// "a b/c" → "a%20b%2Fc": for one segment of a path, or for a value in a query.
std::string escape(std::string_view text);

// "-" is standard input or output.
Result<std::string> read_file(const std::string& path);
bool is_there(const std::string& path);
Result<void> write_file(const std::string& path, std::string_view content);
// A new file is for its owner only. One that is there keeps its owner, its group, and of its mode
// what lets the owner write and the group read. After a crash it is the old or the new one, whole.
Result<void> replace_secret_file(const std::string& path, std::string_view content);

Result<Bytes> random_bytes(size_t count);  // Nobody can guess them.
int64_t unix_ms_now();

void wait_a_second();

// The value of an environment variable, or "".
std::string environment(const char* name);

// The error that a problem+json answer describes.
Error problem(const Reply& reply);

}  // namespace databridge::ctl
