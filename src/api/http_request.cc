#include "api/http_request.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <stdexcept>
#include <utility>

#include "api/guard.h"
#include "state/backup.h"

namespace databridge::api {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

constexpr std::string_view kRestorePath = "/api/cluster/snapshot/restore";
constexpr size_t kReserve = 64 << 10;

constexpr Refusal kNotHttp{400, "invalid", "this is not HTTP/1.1 as RFC 9112 has it"};
constexpr Refusal kMethod{400, "invalid", "the method is none of HTTP's"};
constexpr Refusal kTarget{400, "invalid", "the target is neither a path nor a URL"};
constexpr Refusal kTargetTooLong{414, "too_large", "the path is longer than is taken here (8 KiB)"};
constexpr Refusal kHeadTooLarge{431, "too_large", "the header is larger than is taken here"};
constexpr Refusal kFieldsTooLarge{431, "too_large",
                                  "more or longer header fields than are taken here"};
constexpr Refusal kBodyTooLarge{413, "too_large", "the body is larger than is taken here (8 MiB)"};
constexpr Refusal kBackupTooLarge{413, "too_large", "the backup is larger than is taken (256 MiB)"};
constexpr Refusal kExpectation{417, "invalid",
                               "the only expectation that is accepted is 100-continue"};

std::string_view plain(string_view text) { return {text.data(), text.size()}; }

// RFC 9112, section 3.2: a path, a whole URL or "*"; for CONNECT a host and a port.
bool is_target(http::verb method, std::string_view target) {
  return target.starts_with('/') || target == "*" || method == http::verb::connect ||
         target.find("://") != std::string_view::npos;
}

}  // namespace

// Beast's parser. It fills in the request.
class RequestReader::Parser final : public http::basic_parser<true> {
 public:
  Parser() {
    header_limit(kHeadMax + 1);
    body_limit(boost::none);  // RequestReader has its own limits, which depend on the path.
    eager(true);
  }

  HttpRequest request;
  Refusal refusal = kNotHttp;  // The refusal if the parser itself finds an error.
  bool continue_expected = false;
  bool in_body = false;

 private:
  void refuse(const Refusal& why, error_code& ec) {
    refusal = why;
    ec = http::error::bad_value;
  }

  uint64_t body_max() const {
    const std::string_view target = request.asks.target;
    return target.substr(0, target.find('?')) == kRestorePath ? kBackupUnpackedMax : kBodyMax;
  }

  void refuse_body(error_code& ec) {
    refuse(body_max() == kBodyMax ? kBodyTooLarge : kBackupTooLarge, ec);
  }

  void on_request_impl(http::verb method, string_view word, string_view target, int version,
                       error_code& ec) override {
    if (method == http::verb::unknown) return refuse(kMethod, ec);
    if (target.size() > kTargetMax) return refuse(kTargetTooLong, ec);
    if (!is_target(method, plain(target))) return refuse(kTarget, ec);
    request.asks.method = plain(word);
    request.asks.target = plain(target);
    request.old = version < 11;
  }

  void on_field_impl(http::field field, string_view name, string_view value,
                     error_code& ec) override {
    if (++fields_ > kFieldsMax || name.size() > kNameMax || value.size() > kValueMax)
      return refuse(kFieldsTooLarge, ec);
    if (in_body) return;  // The fields of a trailer do not matter here.
    if (field == http::field::host) ++request.hosts;
    // Two of them are no token: it would not be clear which one counts.
    if (field == http::field::authorization && !request.authorization.empty()) {
      request.authorization = "two fields";
    }
    if (std::string* place = place_of(field, plain(name)); place != nullptr && place->empty())
      *place = plain(value);
  }

  std::string* place_of(http::field field, std::string_view name) {
    switch (field) {
      case http::field::host:
        return &request.host;
      case http::field::origin:
        return &request.origin;
      case http::field::expect:
        return &request.expect;
      case http::field::accept:
        return &request.asks.accept;
      case http::field::accept_encoding:
        return &request.accept_encoding;
      case http::field::content_encoding:
        return &request.content_encoding;
      case http::field::content_type:
        return &request.asks.content_type;
      case http::field::authorization:
        return &request.authorization;
      case http::field::if_match:
        return &request.asks.if_match;
      case http::field::unknown:
        if (same_word(name, "Last-Event-ID")) return &request.asks.last_event_id;
        if (same_word(name, "Idempotency-Key")) return &request.asks.idempotency_key;
        return nullptr;
      default:
        return nullptr;
    }
  }

  void on_header_impl(error_code& ec) override {
    in_body = true;
    request.keep_alive = keep_alive();
    if (!request.expect.empty() && !same_word(request.expect, "100-continue"))
      return refuse(kExpectation, ec);
    if (content_length().value_or(0) > body_max()) return refuse_body(ec);
    continue_expected = !request.expect.empty() && !request.old && !is_done();
  }

  // The announced length is not trusted: memory is taken as the bytes come.
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override {
    request.asks.body.reserve(
        static_cast<size_t>(std::min<uint64_t>(length.value_or(0), kReserve)));
  }

  std::size_t on_body_impl(string_view bytes, error_code& ec) override {
    continue_expected = false;  // The client sends the body without waiting.
    if (request.asks.body.size() + bytes.size() > body_max()) {
      refuse_body(ec);
    } else {
      request.asks.body.append(bytes.data(), bytes.size());
    }
    return bytes.size();
  }

  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code& ec) override {
    return on_body_impl(bytes, ec);
  }

  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {
    continue_expected = false;
  }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  size_t fields_ = 0;
};

RequestReader::RequestReader(Framing& framing) : framing_(framing) {}
RequestReader::~RequestReader() = default;

RequestReader::Step RequestReader::refuse(const Refusal& why) {
  refusal_ = why;
  parser_.reset();
  line_ = {};
  return Step::refused;
}

RequestReader::Step RequestReader::take(std::string_view& bytes) {
  while (!bytes.empty()) {
    const bool empty_line =
        framing_.before_request() && (bytes.front() == '\r' || bytes.front() == '\n');
    const bool data = framing_.in_data();
    const Framing::Part part = framing_.next(bytes.substr(0, room()));
    if (part.wrong == Framing::kTooMuchBeside) return refuse({431, "too_large", *part.wrong});
    if (part.wrong) return refuse({400, "invalid", *part.wrong});
    const std::string_view taken = bytes.substr(0, part.size);
    bytes.remove_prefix(part.size);
    if (empty_line) continue;
    if (!parser_) {
      parser_ = std::make_unique<Parser>();
      first_line_ = false;
    }
    // The parser gets only whole lines: a part of the last chunk's line would make it end the
    // process.
    bool fed = true;
    if (data || (part.whole && line_.empty())) {
      fed = feed(taken);
    } else {
      line_ += taken;
      if (too_long(line_)) return Step::refused;
      if (part.whole) fed = feed(std::exchange(line_, {}));
    }
    if (!fed) return refuse(parser_->refusal);
    if (!framing_.between()) continue;
    return parser_->is_done() ? Step::whole : refuse(kNotHttp);
  }
  return Step::more;
}

// How many bytes are taken before it is known whether a head or its first line is too long.
size_t RequestReader::room() const {
  if (framing_.before_request()) return kLineMax + 1;
  if (framing_.in_body()) return std::string_view::npos;
  return (first_line_ ? kHeadMax : kLineMax) + 1 - line_.size();
}

bool RequestReader::too_long(std::string_view line) {
  if (framing_.in_body()) return false;  // The framing has its own limit.
  if (!first_line_ && line.find('\n') != std::string_view::npos) first_line_ = true;
  if (line.size() <= (first_line_ ? kHeadMax : kLineMax)) return false;
  refuse(first_line_ ? kHeadTooLarge : kTargetTooLong);
  return true;
}

// Returns false if the parser refuses the part or has not taken all of it.
bool RequestReader::feed(std::string_view part) {
  if (parser_->is_done()) return false;
  error_code ec;
  try {
    return parser_->put(boost::asio::const_buffer(part.data(), part.size()), ec) == part.size() &&
           !ec;
  } catch (const std::length_error&) {
    return false;
  }
}

HttpRequest RequestReader::release() {
  HttpRequest request = std::move(parser_->request);
  parser_.reset();
  return request;
}

const HttpRequest* RequestReader::head() const {
  return parser_ != nullptr && parser_->in_body ? &parser_->request : nullptr;
}

bool RequestReader::wants_continue() {
  return parser_ != nullptr && std::exchange(parser_->continue_expected, false);
}

}  // namespace databridge::api
