#include "api/http_reason.h"

#include <fmt/format.h>

#include "api/routes.h"

namespace databridge::api {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return status < 500 ? "Other" : "Internal Server Error";
  }
}

std::string answer_head(const ApiResponse& answer, BodyEnd end, bool last) {
  std::string head;
  head.reserve(256);
  const auto line = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  head.append("HTTP/1.1 ").append(fmt::format_int(answer.status).c_str()).append(" ");
  head.append(reason_of(answer.status)).append("\r\n");
  line("Connection", last ? "close" : "keep-alive");
  if (end == BodyEnd::length) line("Content-Length", fmt::format_int(answer.body.size()).c_str());
  if (end == BodyEnd::chunk) line("Transfer-Encoding", "chunked");
  line("Content-Type", answer.content_type);
  line("Cache-Control", "no-store");
  line("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : answer.headers) line(name, value);
  return head.append("\r\n");
}

std::string raw_answer(const ApiResponse& answer) {
  return answer_head(answer, BodyEnd::length, true) + answer.body;
}

}  // namespace databridge::api
