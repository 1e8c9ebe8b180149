// Reads one request from the bytes of a connection.
//
// - Owns: the request until it is complete, and its limits.
// - Hides: the parser of the HTTP library. Only http_request.cc knows it.
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
  ApiRequest asks;  // The part that routes need. If a field comes twice, the first one counts.
  std::string host;
  std::string origin;
  std::string accept_encoding;
  std::string content_encoding;
  std::string expect;
  std::string authorization;  // If there are two such fields, it is a text that is no token.
  size_t hosts = 0;           // The number of Host fields.
  bool old = false;           // The request is HTTP/1.0.
  bool keep_alive = false;    // The client wants to send more requests.

  bool head() const { return asks.method == "HEAD"; }
};

// Why the connection ends in the middle of a request.
struct Refusal {
  int status = 400;
  std::string_view code;
  std::string_view detail;
};

// The bytes pass the framing first. Then the library's parser reads them. Both must agree where the
// request ends.
class RequestReader {
 public:
  // `framing` sees every byte of the connection and must outlive this object.
  explicit RequestReader(Framing& framing);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  enum class Step { more, whole, refused };

  // Takes bytes from the front, up to the end of the request. After `refused` it takes no more.
  Step take(std::string_view& bytes);

  // Call it after `whole`. It returns the request; then the next one may come.
  HttpRequest release();
  const Refusal& refusal() const { return refusal_; }

  // The request whose head has come whole, and its body not yet; nullptr if there is none.
  const HttpRequest* head() const;

  // True once for a request whose client waits for "100 Continue" before it sends the body.
  bool wants_continue();

  static constexpr size_t kTargetMax = 8 << 10;
  static constexpr size_t kLineMax = kTargetMax + 256;  // The longest request line.
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
  std::unique_ptr<Parser> parser_;  // Exists from the first byte of a request to its last.
  std::string line_;                // A head, or the lines around chunks, until it is complete.
  bool first_line_ = false;         // Whether `line_` has the request line.
  Refusal refusal_;
};

}  // namespace databridge::api
