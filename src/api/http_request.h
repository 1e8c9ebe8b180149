// One request of a connection, out of the bytes that come.
//
// - Owns: the request until it is whole, and how much it may be.
// - Hides: the HTTP library's parser: http_request.cc is the only file that knows it.
// - Pure: no socket, no clock. Server thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "api/framing.h"
#include "api/routes.h"

namespace databridge::api {

struct HttpRequest {
  ApiRequest asks;  // What the routes need; where a field comes twice, the first counts.
  std::string host;
  std::string origin;
  std::string accept_encoding;
  std::string content_encoding;
  std::string expect;
  size_t hosts = 0;         // How many Host fields.
  bool old = false;         // HTTP/1.0.
  bool keep_alive = false;  // The client wants to ask more.

  bool head() const { return asks.method == "HEAD"; }
};

// Why the connection ends in the middle of a request.
struct Refusal {
  int status = 400;
  std::string_view code;
  std::string_view detail;
};

// The bytes pass the framing first; then the library's parser reads them, and both must agree where
// the request ends.
class RequestReader {
 public:
  // `framing` sees every byte of the connection and outlives this.
  explicit RequestReader(Framing& framing);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  enum class Step { more, whole, refused };

  // Takes bytes away from the front, up to the end of the request. After `refused` it takes no
  // more.
  Step take(std::string_view& bytes);

  // After `whole`: the request. The next one may come then.
  HttpRequest release();
  const Refusal& refusal() const { return refusal_; }

  // Once for a request whose sender waits for "100 Continue" before it sends the body.
  bool wants_continue();

  static constexpr size_t kTargetMax = 8 << 10;
  static constexpr size_t kLineMax = kTargetMax + 256;  // The request line.
  static constexpr size_t kHeadMax = 80 << 10;
  static constexpr size_t kFieldsMax = 100;
  static constexpr size_t kNameMax = 256;
  static constexpr size_t kValueMax = 8 << 10;
  static constexpr size_t kBodyMax = 8 << 20;

 private:
  class Parser;

  Step refuse(const Refusal& why);
  size_t room() const;
  bool too_long(std::string_view line);
  bool feed(std::string_view part);

  Framing& framing_;
  std::unique_ptr<Parser> parser_;  // From the first byte of a request to its last.
  std::string line_;                // A head, or what stands around chunks, until it is whole.
  bool first_line_ = false;         // Whether the request line is in it.
  Refusal refusal_;
};

}  // namespace databridge::api
