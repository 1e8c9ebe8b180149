#include "api/framing.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "api/guard.h"
#include "base/bytes.h"

namespace databridge::api {
namespace {

constexpr size_t kWordMax = 32;    // Longer than any name that matters here.
constexpr size_t kValueMax = 256;  // A longer length or list of codings is not valid.
constexpr std::string_view kLines = "a line of the header ends with anything but CR LF";
constexpr std::string_view kMethod = "the request does not begin with a method";
constexpr std::string_view kCoding = "the transfer coding is not \"chunked\"";

// For each byte, which parts of a message it may belong to.
constexpr uint8_t kToken = 1;  // Names and methods: RFC 9110, section 5.6.2.
constexpr uint8_t kText = 2;   // Values: no control characters except the tabulator.
constexpr std::array<uint8_t, 256> kParts = [] {
  std::array<uint8_t, 256> parts{};
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (size_t c = 0; c < parts.size(); ++c) {
    const bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c < 0x80 && kMarks.find(static_cast<char>(c)) != std::string_view::npos);
    const bool text = c == '\t' || (c >= 0x20 && c != 0x7f);
    parts[c] = static_cast<uint8_t>((token ? kToken : 0) | (text ? kText : 0));
  }
  return parts;
}();

bool is_token(unsigned char c) { return (kParts[c] & kToken) != 0; }
bool is_text(unsigned char c) { return (kParts[c] & kText) != 0; }

int hex_of(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::string_view> Framing::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const Part part = next(bytes);
    if (part.wrong) return part.wrong;
    bytes.remove_prefix(part.size);
  }
  return std::nullopt;
}

Framing::Part Framing::next(std::string_view bytes) {
  if (in_data()) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
    left_ -= n;
    if (left_ > 0) return {n};
    state_ = state_ == State::body ? State::start : State::chunk_end_cr;
    return {n, true};
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    i += take_run(bytes.substr(i));
    if (i == bytes.size()) break;
    const State before = state_;
    if (const auto wrong = step(static_cast<unsigned char>(bytes[i]))) return {i, false, wrong};
    if (before == State::end_lf || before == State::start_lf || state_ == State::chunk)
      return {i + 1, true};
  }
  return {bytes.size()};
}

// Targets and values may be long, so their bytes are taken as runs, up to the first byte that ends
// one or is wrong. Returns the length of the run.
size_t Framing::take_run(std::string_view bytes) {
  const auto run_of = [bytes](auto&& belongs) {
    size_t length = 0;
    while (length < bytes.size() && belongs(static_cast<unsigned char>(bytes[length]))) ++length;
    return length;
  };
  if (state_ == State::target && target_given_) {
    return run_of([](unsigned char c) { return c > 0x20 && c != 0x7f; });
  }
  if (state_ != State::value || trailer_) return 0;  // The bytes of a trailer are counted.
  const size_t length = run_of(is_text);
  value_.append(bytes.substr(0, std::min(length, kValueMax - value_.size())));
  return length;
}

std::optional<std::string_view> Framing::step(unsigned char c) {
  if (state_ <= State::version) return request_line(c);
  if ((trailer_ || state_ == State::chunk_extension) && ++beside_ > kBesideMax)
    return kTooMuchBeside;
  return state_ < State::body ? field(c) : chunks(c);
}

std::optional<std::string_view> Framing::request_line(unsigned char c) {
  switch (state_) {
    case State::start:
      if (c == '\r') {
        state_ = State::start_lf;
        return std::nullopt;
      }
      *this = Framing();
      state_ = State::method;
      if (!is_token(c)) return kMethod;
      return std::nullopt;
    case State::start_lf:
      if (c != '\n') return kLines;
      state_ = State::start;
      return std::nullopt;
    case State::method:
      if (c == ' ') {
        state_ = State::target;
      } else if (!is_token(c)) {
        return kMethod;
      }
      return std::nullopt;
    case State::target:
      if (c == ' ' && target_given_) {
        state_ = State::version;
        return std::nullopt;
      }
      if (c < 0x21 || c == 0x7f) return "the request line is not a method, a target and HTTP/1.1";
      target_given_ = true;
      return std::nullopt;
    default:  // The state `version`.
      if (c == '\n') return kLines;
      if (c != '\r') {
        word_ += static_cast<char>(c);
        if (word_.size() <= 8) return std::nullopt;
      }
      old_ = word_ == "HTTP/1.0";
      if (!old_ && word_ != "HTTP/1.1") return "only HTTP/1.1 and HTTP/1.0 are spoken here";
      state_ = State::line_lf;
      return std::nullopt;
  }
}

std::optional<std::string_view> Framing::field(unsigned char c) {
  switch (state_) {
    case State::line_lf:
      if (c != '\n') return kLines;
      state_ = State::line;
      return std::nullopt;
    case State::line:
      word_.clear();
      value_.clear();
      if (c == '\r') {
        state_ = State::end_lf;
        return std::nullopt;
      }
      if (c == ' ' || c == '\t') return "a header field goes on in a second line";
      if (!is_token(c)) return "a header field has no name";
      state_ = State::name;
      [[fallthrough]];
    case State::name:
      if (c == ':') {
        state_ = State::value;
      } else if (!is_token(c)) {
        return "the name of a header field is not followed by a colon";
      } else if (word_.size() < kWordMax) {
        word_ += static_cast<char>(c);
      }
      return std::nullopt;
    case State::value:
      if (c == '\r') {
        state_ = State::line_lf;
        return end_of_field();
      }
      if (c == '\n') return kLines;
      if (!is_text(c)) return "a header field has a control character";
      if (value_.size() < kValueMax) value_ += static_cast<char>(c);
      return std::nullopt;
    default:  // The end of the head.
      if (c != '\n') return kLines;
      return end_of_head();
  }
}

std::optional<std::string_view> Framing::end_of_field() {
  const std::string_view value = trimmed(value_);
  const bool cut_off = value_.size() == kValueMax;
  if (same_word(word_, "content-length")) {
    if (trailer_) return "a length behind the body";
    if (length_given_) return "the length is given twice";
    length_given_ = true;
    const bool digits = !cut_off && !value.empty() && value.size() <= 18 &&
                        std::all_of(value.begin(), value.end(),
                                    [](char digit) { return digit >= '0' && digit <= '9'; });
    if (!digits) return "the length is not a number";
    std::from_chars(value.data(), value.data() + value.size(), length_);
  } else if (same_word(word_, "transfer-encoding")) {
    if (trailer_) return "a transfer coding behind the body";
    if (coding_given_) return "the transfer coding is given twice";
    coding_given_ = true;
    if (cut_off || !same_word(value, "chunked")) return kCoding;
  } else if (same_word(word_, "content_length") || same_word(word_, "transfer_encoding")) {
    return "the name of a field has _ instead of -";  // Some gateways read _ as -.
  }
  return std::nullopt;
}

std::optional<std::string_view> Framing::end_of_head() {
  if (trailer_) {
    *this = Framing();
    return std::nullopt;
  }
  if (coding_given_ && length_given_) return "both a length and a transfer coding are given";
  if (coding_given_ && old_) return "HTTP/1.0 has no transfer codings";
  left_ = length_;
  digits_ = 0;
  state_ = coding_given_ ? State::chunk_size : left_ > 0 ? State::body : State::start;
  if (coding_given_) left_ = 0;
  return std::nullopt;
}

std::optional<std::string_view> Framing::chunks(unsigned char c) {
  switch (state_) {
    case State::chunk_size:
      if (const int digit = hex_of(c); digit >= 0) {
        if (++digits_ > 8) return "a chunk is too long";
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        return std::nullopt;
      }
      if (digits_ == 0) return "a chunk has no length";
      state_ = c == ';' ? State::chunk_extension : State::chunk_lf;
      return c == ';' || c == '\r' ? std::nullopt
                                   : std::optional("the length of a chunk is not a number");
    case State::chunk_extension:
      if (c == '\r') state_ = State::chunk_lf;
      return c == '\r' || is_text(c) ? std::nullopt : std::optional(kLines);
    case State::chunk_lf:
      if (c != '\n') return kLines;
      trailer_ = left_ == 0;
      state_ = trailer_ ? State::line : State::chunk;
      return std::nullopt;
    case State::chunk_end_cr:
      state_ = State::chunk_end_lf;
      return c == '\r' ? std::nullopt : std::optional(kLines);
    default:
      state_ = State::chunk_size;
      digits_ = 0;
      return c == '\n' ? std::nullopt : std::optional(kLines);
  }
}

}  // namespace databridge::api
