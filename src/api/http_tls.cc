#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "api/http_reason.h"
#include "api/http_tls_stream.h"
#include "api/routes.h"
#include "base/check.h"

namespace databridge::api {
namespace {

constexpr std::chrono::milliseconds kTurn{1};

// ---- A BIO over a socket. OpenSSL's own would raise SIGPIPE when the client has gone.

Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

bool is_for_later(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int read_socket(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  Wire& wire = wire_of(bio);
  if (wire.descriptor < 0 || wire.hello_refused) return -1;
  const ssize_t n = ::recv(wire.descriptor, to, static_cast<size_t>(size), MSG_DONTWAIT);
  if (n < 0 && is_for_later(errno)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  if (n > 0 && wire.shaking && !wire.hello.fits({to, static_cast<size_t>(n)})) {
    wire.hello_refused = true;
    return -1;
  }
  return static_cast<int>(n);
}

int write_socket(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  const int descriptor = wire_of(bio).descriptor;
  if (descriptor < 0) return -1;
  const ssize_t n =
      ::send(descriptor, from, static_cast<size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && is_for_later(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

long control_socket(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* socket_method() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "api socket");
    CHECK(method != nullptr);
    BIO_meth_set_read(method, read_socket);
    BIO_meth_set_write(method, write_socket);
    BIO_meth_set_ctrl(method, control_socket);
    return method;
  }();
  return kMethod;
}

// Why the last operation has failed, in OpenSSL's words.
const char* why() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  return reason != nullptr ? reason : "the client has closed the connection";
}

}  // namespace

// ---- Shared by all connections

void Tls::set_context(std::shared_ptr<ssl_ctx_st> context) {
  if (context) {
    SSL_CTX* const ctx = context.get();
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // No session is resumed, so none is kept: clients cannot fill the memory.
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_read_ahead(ctx, 1);  // One system call for a record, not two.
  }
  context_ = std::move(context);
}

Wire::~Wire() {
  if (shakes_in != nullptr) shakes_in->ended(*this);
}

// Connections may live a little longer, in the event loop.
Tls::~Tls() {
  for (Wire* wire : begun_) wire->shakes_in = nullptr;
}

void Tls::begun(Wire& wire) {
  if (wire.shakes_in != nullptr || wire.gave_way) return;
  wire.at = begun_.insert(begun_.end(), &wire);
  wire.shakes_in = this;
  if (begun_.size() <= kBegunMax) return;
  Wire& oldest = *begun_.front();
  ended(oldest);
  oldest.gave_way = true;
  // Its wait then ends as if the client had closed the connection.
  ::shutdown(oldest.descriptor, SHUT_RDWR);
}

void Tls::ended(Wire& wire) {
  if (wire.shakes_in == nullptr) return;
  begun_.erase(wire.at);
  wire.shakes_in = nullptr;
}

void Tls::shaken(Wire& wire) {
  ended(wire);
  wire.shaking = false;
  ++shaken_;
}

void Tls::take_turn(std::function<void()> step) {
  steps_.push_back(std::move(step));
  post_run();
}

// Without memory for the post, the next step tries it again.
void Tls::post_run() {
  if (running_ || steps_.empty()) return;
  boost::asio::post(io_, [this] { run(); });
  running_ = true;
}

void Tls::run() {
  const auto until = std::chrono::steady_clock::now() + kTurn;
  do {
    const auto step = std::move(steps_.front());
    steps_.pop_front();
    try {
      step();
    } catch (const std::exception&) {
      // There is no memory for it. That connection ends, and the turns go on.
    }
  } while (!steps_.empty() && std::chrono::steady_clock::now() < until);
  running_ = false;
  post_run();
}

void Tls::failed(const std::string& address, const char* reason) {
  ++failed_;
  trouble_(address, reason);
}

std::string Tls::metrics() const {
  if (!context_) return {};
  return fmt::format(
      "# HELP databridge_api_tls_handshakes_total TLS handshakes with clients, by result.\n"
      "# TYPE databridge_api_tls_handshakes_total counter\n"
      "databridge_api_tls_handshakes_total{{result=\"done\"}} {}\n"
      "databridge_api_tls_handshakes_total{{result=\"failed\"}} {}\n",
      shaken_, failed_);
}

// ---- One connection

void TlsStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(Socket socket, Tls& tls)
    : socket_(std::move(socket)),
      tls_(&tls),
      wire_(std::make_unique<Wire>(socket_.native_handle())),
      ssl_(SSL_new(tls.context())) {
  BIO* const bio = ssl_ ? BIO_new(socket_method()) : nullptr;
  if (bio == nullptr) throw std::bad_alloc();  // The acceptor closes the connection and goes on.
  ErrorCode ec;
  remote_ = socket_.remote_endpoint(ec).address();
  BIO_set_data(bio, wire_.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
}

TlsStream::Step TlsStream::shake_once() {
  ERR_clear_error();
  if (wire_->shaking) tls_->begun(*wire_);
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    shaken_ = true;
    tls_->shaken(*wire_);
    return Step::done;
  }
  const int error = SSL_get_error(ssl_.get(), done);
  if (error == SSL_ERROR_WANT_READ) return Step::wants_read;
  if (error == SSL_ERROR_WANT_WRITE) return Step::wants_write;
  tls_->ended(*wire_);
  if (!socket_.is_open() || wire_->gave_way) {
    tls_->failed(remote_.to_string(), "it took too long, or gave way to a new client");
    return Step::ended;
  }
  const bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
  tls_->failed(remote_.to_string(),
               plain ? "it speaks plain HTTP, and this port speaks TLS: use https://"
               : wire_->hello_refused ? HelloLimit::kWhy
                                      : why());
  if (plain) {
    const std::string answer =
        raw_answer(problem("invalid", 400, "this port speaks TLS: use https:// here"));
    const int descriptor = socket_.native_handle();
    // A few hundred bytes always fit into an empty send buffer.
    (void)::send(descriptor, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  return Step::ended;
}

bool TlsStream::has_read() const { return SSL_has_pending(ssl_.get()) != 0; }

TlsStream::Step TlsStream::read_once(boost::asio::mutable_buffer to, size_t& count) {
  ERR_clear_error();
  const int done = SSL_read_ex(ssl_.get(), to.data(), to.size(), &count);
  if (done == 1) return Step::done;
  const int error = SSL_get_error(ssl_.get(), done);
  if (error == SSL_ERROR_WANT_READ) return Step::wants_read;
  if (error == SSL_ERROR_WANT_WRITE) return Step::wants_write;
  shaken_ = shaken_ && error == SSL_ERROR_ZERO_RETURN;
  return Step::ended;
}

size_t TlsStream::receive_now(boost::asio::mutable_buffer to) {
  size_t sum = 0;
  while (sum < to.size()) {
    size_t count = 0;
    if (read_once(to + sum, count) != Step::done) break;
    sum += count;
  }
  return sum;
}

TlsStream::Step TlsStream::write_once(const std::array<boost::asio::const_buffer, 4>& bytes,
                                      size_t at, size_t& count) {
  // A head and a short body become one record.
  size_t size = 0;
  for (boost::asio::const_buffer each : bytes) {
    const size_t skipped = std::min(at, each.size());
    at -= skipped;
    each += skipped;
    const size_t n = std::min(each.size(), tls_->scratch.size() - size);
    if (n > 0) std::memcpy(tls_->scratch.data() + size, each.data(), n);
    size += n;
  }
  count = 0;
  if (size == 0) return Step::done;
  ERR_clear_error();
  // If a record must wait, the next call has the same bytes again.
  const int done = SSL_write_ex(ssl_.get(), tls_->scratch.data(), size, &count);
  if (done == 1) return Step::done;
  const int error = SSL_get_error(ssl_.get(), done);
  if (error == SSL_ERROR_WANT_READ) return Step::wants_read;
  if (error == SSL_ERROR_WANT_WRITE) return Step::wants_write;
  shaken_ = false;
  return Step::ended;
}

// The client learns that nothing was cut off.
void TlsStream::end_sending() {
  ERR_clear_error();
  if (std::exchange(shaken_, false)) (void)SSL_shutdown(ssl_.get());
  ErrorCode ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void TlsStream::close() {
  if (!socket_.is_open()) return;
  ERR_clear_error();
  if (std::exchange(shaken_, false)) (void)SSL_shutdown(ssl_.get());
  // The number of the descriptor may soon belong to another connection.
  wire_->descriptor = -1;
  ErrorCode ignored;
  socket_.close(ignored);
}

TlsStream::Socket TlsStream::release() {
  wire_->descriptor = -1;
  ErrorCode ignored;
  socket_.cancel(ignored);
  return std::move(socket_);
}

}  // namespace databridge::api
