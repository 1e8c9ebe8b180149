#include "api/http_reason.h"

#include <fmt/format.h>

#include <iterator>

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
  const auto to = std::back_inserter(head);
  fmt::format_to(to, "HTTP/1.1 {} {}\r\nConnection: {}\r\n", answer.status,
                 reason_of(answer.status), last ? "close" : "keep-alive");
  if (end == BodyEnd::length) fmt::format_to(to, "Content-Length: {}\r\n", answer.body.size());
  if (end == BodyEnd::chunk) head += "Transfer-Encoding: chunked\r\n";
  fmt::format_to(to,
                 "Content-Type: {}\r\nCache-Control: no-store\r\n"
                 "X-Content-Type-Options: nosniff\r\n",
                 answer.content_type);
  for (const auto& [name, value] : answer.headers) fmt::format_to(to, "{}: {}\r\n", name, value);
  head += "\r\n";
  return head;
}

std::string raw_answer(const ApiResponse& answer) {
  return answer_head(answer, BodyEnd::length, true) + answer.body;
}

}  // namespace databridge::api
