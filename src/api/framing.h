// Where requests begin and end in the bytes of one connection, read more strictly than the HTTP
// library does.
//
// Why: the library takes what another reader may take otherwise (a field that goes on in a second
// line, a length twice, codings that it does not know, trailers without bound). A proxy before the
// node that reads such bytes otherwise would see other requests in them than the node does. So the
// bytes pass here first, and what two readers could read in two ways is refused.
//
// Pure. One object a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace databridge::api {

class Framing {
 public:
  // What the next bytes are part of: an empty line before a request, a head, the line before a
  // chunk, bytes of a body, or the last chunk with its trailer.
  struct Part {
    size_t size = 0;     // So many of the bytes.
    bool whole = false;  // It ends with them.
    // Why the bytes are refused, in words: the connection is to end then, and nothing more is to be
    // handed in.
    std::optional<std::string_view> wrong{};
  };
  Part next(std::string_view bytes);

  // All parts of the bytes. Why they are refused, in words.
  std::optional<std::string_view> take(std::string_view bytes);

  bool between() const { return state_ == State::start; }  // No part of a request is here.
  bool before_request() const { return state_ <= State::start_lf; }  // But empty lines, perhaps.
  bool in_data() const { return state_ == State::body || state_ == State::chunk; }
  // A whole head is here, and its body is not.
  bool in_body() const { return state_ >= State::body || trailer_; }

  static constexpr size_t kBesideMax = 8 << 10;
  static constexpr std::string_view kTooMuchBeside =
      "the extensions of chunks and the trailer are longer than is taken here (8 KiB)";

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
  size_t beside_ = 0;   // Bytes of the extensions of chunks and of the trailer.
  uint8_t digits_ = 0;  // Of the size of a chunk.
};

}  // namespace databridge::api
