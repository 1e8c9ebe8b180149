// Where requests begin and end in the bytes of one connection, read more strictly than the HTTP
// library does.
//
// Why: the library takes what RFC 9112 forbids (a line feed without its carriage return, a bare
// carriage return, spaces before a colon, two codings, any version). A proxy before the node that
// reads such bytes otherwise would see other requests in them than the node does. So the bytes pass
// here first, and what two readers could read in two ways is refused.
//
// Pure. One object a connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace databridge::api {

class Framing {
 public:
  // The next bytes of the connection. Why they are refused, in words: the connection is to end
  // then, and nothing more is to be handed in.
  std::optional<std::string_view> take(std::string_view bytes);

  bool between() const { return state_ == State::start; }  // No part of a request is here.
  bool in_body() const { return state_ >= State::body; }   // A whole head is here, and no more.

 private:
  enum class State : uint8_t {
    start,  // Before a request: empty lines may come.
    start_lf,
    method,
    target,
    version,
    line_lf,  // After the carriage return of a line of the head.
    line,     // At the first byte of a line of the head.
    name,
    value,
    end_lf,  // After the carriage return of the empty line.
    body,    // `left_` bytes.
    chunk_size,
    chunk_extension,
    chunk_lf,
    chunk,  // `left_` bytes.
    chunk_end_cr,
    chunk_end_lf,
  };

  std::optional<std::string_view> step(unsigned char c);
  std::optional<std::string_view> request_line(unsigned char c);
  std::optional<std::string_view> field(unsigned char c);
  std::optional<std::string_view> chunks(unsigned char c);
  std::optional<std::string_view> end_of_field();
  std::optional<std::string_view> end_of_head();

  State state_ = State::start;
  bool trailer_ = false;  // The lines are those behind the last chunk.
  bool old_ = false;      // HTTP/1.0.
  bool target_given_ = false;
  std::string word_;   // Version, or name of a field; cut off where no known word is as long.
  std::string value_;  // Of a field that counts here; cut off likewise.
  bool length_given_ = false;
  bool coding_given_ = false;
  uint64_t length_ = 0;
  uint64_t left_ = 0;
  uint8_t digits_ = 0;  // Of the size of a chunk.
};

}  // namespace databridge::api
