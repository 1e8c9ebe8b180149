#include "api/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "api/http_drain.h"
#include "api/http_reason.h"
#include "api/http_stream.h"
#include "api/http_tls_stream.h"
#include "base/check.h"

namespace databridge::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// The head of most requests fits into it. An idle connection has no other buffer.
constexpr size_t kOwnBuffer = 1 << 10;
constexpr int kReadsAtOnce = 16;  // For one body, before other connections get their turn.
constexpr size_t kSendAtOnce = 1 << 20;
// A client that reads less than this in the write timeout counts as reading nothing.
constexpr size_t kProgress = 64 << 10;
constexpr auto kNever = Connection::Clock::time_point::max();
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

constexpr Refusal kTooSlow{408, "timed_out", "the request did not come in time"};
constexpr Refusal kTooMuch{503, "unavailable", "too many large bodies are sent at once: try again"};

template <typename Stream>
class StreamConnection final : public Connection {
 public:
  StreamConnection(Connections& all, std::string remote, Stream stream, std::shared_ptr<Peer> peer)
      : Connection(all, std::move(remote), std::move(peer)),
        stream_(std::move(stream)),
        reader_(peer_->framing) {}

  void start() override {
    const auto until = Clock::now() + all_.options.read_timeout;
    deadline_ = std::min(until, Clock::now() + all_.options.handshake_timeout);
    stream_.begin([self = self(), until](const error_code& ec) {
      if (ec) return self->close();
      self->deadline_ = until;
      self->read_more();
    });
  }

  void answer(ApiResponse response, bool last) override;
  void begin_stream(const ApiResponse& head) override;
  void write(std::shared_ptr<const std::string> text, std::function<void(bool)> then) override;
  void end_stream() override;
  void look_at_clock(Clock::time_point now) override;

 private:
  enum class State : uint8_t { reading, working, writing, streaming, refusing, closed };

  std::shared_ptr<StreamConnection> self() {
    return std::static_pointer_cast<StreamConnection>(shared_from_this());
  }

  void read_more();
  void received(const error_code& ec, size_t count);
  bool take(std::string_view bytes);
  void say_continue();
  void hand_on(HttpRequest&& request);
  void next();
  void refuse(const Refusal& why) { refuse(problem(why.code, why.status, why.detail)); }
  void refuse(const ApiResponse& why);
  bool may_send_body();
  // Writes the content of `out_`, then calls then(whether it was sent).
  template <typename Then>
  void send(Then then);
  void finish();
  void linger();
  void close();

  Stream stream_;
  RequestReader reader_;
  State state_ = State::reading;
  bool body_let_in_ = false;  // For the request that is being read.
  bool head_ = false;         // For the request at work.
  bool old_ = false;
  bool keep_alive_ = false;
  Clock::time_point deadline_ = kNever;
  std::string rest_;  // Bytes that were read and belong to a later request.
  struct {
    std::string head;
    std::string body;
    std::shared_ptr<const std::string> shared;
    std::string_view tail;
  } out_;
  std::array<char, kOwnBuffer> own_;
};

// ---- Requests

template <typename Stream>
void StreamConnection<Stream>::read_more() {
  state_ = State::reading;
  peer_->wait();
  stream_.receive(asio::buffer(own_), [self = self()](const error_code& ec, size_t count) {
    self->received(ec, count);
  });
}

template <typename Stream>
void StreamConnection<Stream>::received(const error_code& ec, size_t count) {
  peer_->reading = false;
  if (state_ != State::reading) return;  // It was refused meanwhile, because its time was over.
  if (peer_->list != nullptr) peer_->list->look_at_clock();
  if (ec || peer_->ending) return close();
  std::string_view bytes(own_.data(), count);
  bool filled = count == own_.size();
  for (int i = 0; !bytes.empty(); ++i) {
    peer_->heard(bytes);
    if (!take(bytes)) return;
    if (!filled || i == kReadsAtOnce) break;
    bytes = {all_.scratch.data(), stream_.receive_now(asio::buffer(all_.scratch))};
    filled = bytes.size() == all_.scratch.size();
  }
  read_more();
}

// Returns true if more must be read. Otherwise another operation is under way.
template <typename Stream>
bool StreamConnection<Stream>::take(std::string_view bytes) {
  const size_t count = bytes.size();
  const auto step = reader_.take(bytes);
  if (step == RequestReader::Step::refused) {
    refuse(reader_.refusal());
  } else if (peer_->list != nullptr && !peer_->list->may_hold(*peer_, count)) {
    refuse(kTooMuch);
    judged(true);  // It is not the client that has failed.
  } else if (step == RequestReader::Step::whole) {
    rest_ = bytes;
    hand_on(reader_.release());
  } else if (!may_send_body()) {
    return false;  // It was refused.
  } else if (reader_.wants_continue()) {
    say_continue();
  } else {
    return true;
  }
  return false;
}

template <typename Stream>
bool StreamConnection<Stream>::may_send_body() {
  const HttpRequest* head = reader_.head();
  if (head == nullptr || std::exchange(body_let_in_, true)) return true;
  const auto refused = all_.options.refuse_body(shared_from_this(), *head);
  if (refused) refuse(*refused);
  return !refused;
}

template <typename Stream>
void StreamConnection<Stream>::say_continue() {
  state_ = State::writing;
  out_.head = kContinue;
  send([this, until = deadline_](bool sent) {
    if (!sent) return close();
    deadline_ = until;
    read_more();
  });
}

template <typename Stream>
void StreamConnection<Stream>::hand_on(HttpRequest&& request) {
  state_ = State::working;
  deadline_ = kNever;
  body_let_in_ = false;
  head_ = request.head();
  old_ = request.old;
  keep_alive_ = request.keep_alive;
  all_.options.take(shared_from_this(), std::move(request));
}

// Bytes after the last request are in `rest_` or still in the socket.
template <typename Stream>
void StreamConnection<Stream>::next() {
  deadline_ = Clock::now() + all_.options.read_timeout;
  if (!rest_.empty()) {
    if (peer_->list != nullptr) peer_->list->look_at_clock();
    if (peer_->ending) return close();
    const std::string bytes = std::exchange(rest_, {});
    if (!take(bytes)) return;
  }
  read_more();
}

// ---- Answers

template <typename Stream>
template <typename Then>
void StreamConnection<Stream>::send(Then then) {
  deadline_ = Clock::now() + all_.options.write_timeout;
  const std::array<asio::const_buffer, 4> bytes{
      asio::buffer(out_.head), asio::buffer(out_.body),
      out_.shared ? asio::buffer(*out_.shared) : asio::const_buffer(), asio::buffer(out_.tail)};
  const auto progress = [this, counted = size_t{0}](const error_code& ec, size_t sent) mutable {
    if (sent - counted >= kProgress) {
      counted = sent;
      deadline_ = Clock::now() + all_.options.write_timeout;
    }
    return ec ? size_t{0} : kSendAtOnce;
  };
  stream_.send(bytes, progress,
               [self = self(), then = std::move(then)](const error_code& ec, size_t) mutable {
                 self->out_ = {};
                 self->deadline_ = kNever;
                 then(!ec && self->state_ != State::closed);
               });
}

template <typename Stream>
void StreamConnection<Stream>::answer(ApiResponse response, bool last) {
  CHECK(state_ == State::working);
  state_ = State::writing;
  last = last || !keep_alive_;
  out_.head = answer_head(response, BodyEnd::length, last);
  if (!head_) out_.body = std::move(response.body);
  send([this, last](bool sent) {
    if (!sent) return close();
    last ? finish() : next();
  });
}

template <typename Stream>
void StreamConnection<Stream>::begin_stream(const ApiResponse& head) {
  CHECK(state_ == State::working);
  out_.head = answer_head(head, old_ ? BodyEnd::close : BodyEnd::chunk, true);
  state_ = State::streaming;  // The header is sent with the first text.
  if (head_) send([this](bool sent) { sent ? finish() : close(); });
}

template <typename Stream>
void StreamConnection<Stream>::write(std::shared_ptr<const std::string> text,
                                     std::function<void(bool)> then) {
  if (state_ != State::streaming) return then(false);
  if (!old_) {
    out_.head += fmt::format("{:x}\r\n", text->size());
    out_.tail = "\r\n";
  }
  out_.shared = std::move(text);
  send([this, then = std::move(then)](bool sent) {
    if (!sent) close();
    then(sent);
  });
}

template <typename Stream>
void StreamConnection<Stream>::end_stream() {
  if (state_ != State::streaming) return;
  if (old_) return finish();
  out_.tail = "0\r\n\r\n";
  send([this](bool sent) { sent ? finish() : close(); });
}

// ---- Ends

template <typename Stream>
void StreamConnection<Stream>::refuse(const ApiResponse& why) {
  state_ = State::refusing;
  judged(false);
  rest_.clear();
  out_.head = raw_answer(why);
  send([this](bool sent) { sent ? linger() : close(); });
}

template <typename Stream>
void StreamConnection<Stream>::finish() {
  rest_.empty() ? close() : linger();
}

// The client may still be sending, so its bytes are read for a while.
template <typename Stream>
void StreamConnection<Stream>::linger() {
  stream_.end_sending();
  if (Drain::alive >= Drain::kAliveMax) return close();
  state_ = State::closed;
  peer_->leave();
  std::make_shared<Drain>(stream_.release())->start();
}

template <typename Stream>
void StreamConnection<Stream>::close() {
  state_ = State::closed;
  deadline_ = kNever;
  peer_->leave();
  stream_.close();
}

template <typename Stream>
void StreamConnection<Stream>::look_at_clock(Clock::time_point now) {
  if (now < deadline_) return;
  const bool amid = state_ == State::reading && !peer_->framing.between() && !peer_->ending;
  amid ? refuse(kTooSlow) : close();
}

}  // namespace

// ---- All

Connection::Connection(Connections& all, std::string remote, std::shared_ptr<Peer> peer)
    : all_(all),
      peer_(std::move(peer)),
      remote_(std::move(remote)),
      at_(all.all_.insert(all.all_.end(), this)) {}

Connection::~Connection() { all_.all_.erase(at_); }

std::shared_ptr<Connection> Connections::add(asio::ip::tcp::socket socket,
                                             std::shared_ptr<Peer> peer, std::string remote) {
  if (options.tls.context() != nullptr) {
    return std::make_shared<StreamConnection<TlsStream>>(
        *this, std::move(remote), TlsStream(std::move(socket), options.tls), std::move(peer));
  }
  return std::make_shared<StreamConnection<PlainStream>>(
      *this, std::move(remote), PlainStream(std::move(socket)), std::move(peer));
}

void Connections::look_at_clock() {
  const auto now = Connection::Clock::now();
  // No connection leaves the list here: a closed one lives until its operations have ended.
  for (Connection* connection : all_) connection->look_at_clock(now);
}

}  // namespace databridge::api
