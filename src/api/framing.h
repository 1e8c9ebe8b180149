// Finds where requests begin and end in the bytes of one connection. It is stricter than the HTTP
// library.
//
// Why: the library accepts bytes that another reader may read differently (a field that goes on in
// a second line, a length twice, codings that it does not know, trailers without bound). A proxy in
// front of the node that reads such bytes differently would see other requests than the node does.
// So the bytes pass through here first, and bytes that could be read in two ways are refused.
//
// Pure. One object for each connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace databridge::api {

class Framing {
 public:
  // The next bytes belong to one part: an empty line before a request, a head, the line before a
  // chunk, bytes of a body, or the last chunk with its trailer.
  struct Part {
    size_t size = 0;     // The number of bytes in this part.
    bool whole = false;  // The part ends with these bytes.
    // Why the bytes are refused, in words. The caller must then end the connection and pass in no
    // more bytes.
    std::optional<std::string_view> wrong{};
  };
  Part next(std::string_view bytes);

  // Reads all parts of the bytes. Returns why they are refused, in words.
  std::optional<std::string_view> take(std::string_view bytes);

  bool between() const { return state_ == State::start; }  // No part of a request has come.
  // At most empty lines have come.
  bool before_request() const { return state_ <= State::start_lf; }
  bool in_data() const { return state_ == State::body || state_ == State::chunk; }
  // A whole head has come, but not all of its body.
  bool in_body() const { return state_ >= State::body || trailer_; }

  static constexpr size_t kBesideMax = 8 << 10;
  static constexpr std::string_view kTooMuchBeside =
      "the extensions of chunks and the trailer are longer than is taken here (8 KiB)";

 private:
  enum class State : uint8_t {
    start,  // Before a request; empty lines may come.
    start_lf,
    method,
    target,
    version,
    line_lf,  // After the carriage return of a line in the head.
    line,     // At the first byte of a line in the head.
    name,
    value,
    end_lf,  // After the carriage return of the empty line.
    body,    // `left_` bytes are still to come.
    chunk_size,
    chunk_extension,
    chunk_lf,
    chunk,  // `left_` bytes are still to come.
    chunk_end_cr,
    chunk_end_lf,
  };

  size_t take_run(std::string_view bytes);
  std::optional<std::string_view> step(unsigned char c);
  std::optional<std::string_view> request_line(unsigned char c);
  std::optional<std::string_view> field(unsigned char c);
  std::optional<std::string_view> chunks(unsigned char c);
  std::optional<std::string_view> end_of_field();
  std::optional<std::string_view> end_of_head();

  State state_ = State::start;
  bool trailer_ = false;  // The lines are those after the last chunk.
  bool old_ = false;      // The request is HTTP/1.0.
  bool target_given_ = false;
  // The version, or the name of a field. It is cut where no known word is as long.
  std::string word_;
  std::string value_;  // The value of a field that matters here. It is cut in the same way.
  bool length_given_ = false;
  bool coding_given_ = false;
  uint64_t length_ = 0;
  uint64_t left_ = 0;
  size_t beside_ = 0;   // The bytes of chunk extensions and of the trailer.
  uint8_t digits_ = 0;  // The digits of the size of a chunk.
};

}  // namespace databridge::api
