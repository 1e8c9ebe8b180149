#include "platform/channel.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/check.h"

namespace databridge::platform {
namespace {

constexpr size_t kRecordMax = 16u << 10;      // The most plain bytes in one record of TLS.
constexpr size_t kEncryptedMax = 128u << 10;  // Encrypted bytes that wait for the socket.
constexpr size_t kEncryptedKept = 4u << 10;   // Memory of an idle channel.
constexpr BytesView kFrameMagic("DBCF", 4);   // The first bytes of a peer without TLS.

}  // namespace

// The bytes that OpenSSL writes are collected in memory, so that many records go with one system
// call. It reads from the socket itself.
struct Channel::Tls {
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, &SSL_free};
  int socket = -1;
  int read_error = 0;  // The errno of the last read that failed.
  bool dry = false;    // The last read found no bytes.
  Bytes out;           // Encrypted. The first `sent` bytes are gone.
  size_t sent = 0;
};

namespace {

struct Ends {
  int* socket;
  int* read_error;
  bool* dry;
  Bytes* out;
};

int write_to_memory(BIO* bio, const char* bytes, int size) {
  static_cast<Ends*>(::BIO_get_data(bio))->out->append(bytes, static_cast<size_t>(size));
  return size;
}

int read_from_socket(BIO* bio, char* into, int size) {
  const Ends& ends = *static_cast<Ends*>(::BIO_get_data(bio));
  ::BIO_clear_retry_flags(bio);
  *ends.dry = false;
  for (;;) {
    const ssize_t got = ::recv(*ends.socket, into, static_cast<size_t>(size), MSG_DONTWAIT);
    if (got >= 0) return static_cast<int>(got);
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      ::BIO_set_retry_read(bio);
      *ends.dry = true;
    } else {
      *ends.read_error = errno;
    }
    return -1;
  }
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int destroy(BIO* bio) {
  delete static_cast<Ends*>(::BIO_get_data(bio));
  return 1;
}

const BIO_METHOD* method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* const made =
        ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "channel");
    CHECK(made != nullptr);
    ::BIO_meth_set_write(made, write_to_memory);
    ::BIO_meth_set_read(made, read_from_socket);
    ::BIO_meth_set_ctrl(made, control);
    ::BIO_meth_set_destroy(made, destroy);
    return made;
  }();
  return kMethod;
}

// Why our side does not take the peer's certificate.
std::string verdict_text(long verdict) {
  switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate is not valid yet: compare the clocks of both machines";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "its certificate is of another authority";
    case X509_V_ERR_INVALID_PURPOSE:
      return "its certificate is not made for this side of a connection";
    default:
      return fmt::format("its certificate is refused ({})",
                         ::X509_verify_cert_error_string(verdict));
  }
}

// Why the peer does not take our certificate. Under TLS 1.3 it may say so after our side of the
// handshake has succeeded. Empty: the alert is about something else.
std::string alert_text(int reason) {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "it has expired, or is not valid yet, by the clock there";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
      return "it is of another authority";
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      return "it is not made for this side of a connection";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return "the log of that node says why";
    default:
      return "";
  }
}

std::string text_of_use(const Certificate& certificate) {
  switch (certificate.use) {
    case CertificateUse::client:
      return fmt::format("the certificate of {}, a client of the API", certificate.name);
    case CertificateUse::authority:
      return "the certificate of an authority";
    case CertificateUse::node:
    case CertificateUse::server:
      break;
  }
  return "a certificate that names no node";
}

std::string errno_text(int number) { return std::generic_category().message(number); }

// An address without a name, as in the other lines of the log.
std::string text_of_endpoint(const boost::asio::ip::tcp::endpoint& remote) {
  const std::string address = remote.address().to_string();
  return remote.address().is_v6() ? fmt::format("[{}]:{}", address, remote.port())
                                  : fmt::format("{}:{}", address, remote.port());
}

}  // namespace

Channel::Channel(boost::asio::ip::tcp::socket socket, const TlsContext& context, Side side)
    : socket_(std::move(socket)),
      secure_(context == nullptr),
      tls_(context ? std::make_unique<Tls>() : nullptr) {
  boost::system::error_code error;
  const auto remote = socket_.remote_endpoint(error);
  if (!error) remote_ = text_of_endpoint(remote);
  socket_.non_blocking(true, error);
  if (!tls_) return;
  tls_->socket = socket_.native_handle();
  tls_->ssl.reset(::SSL_new(context.get()));  // It keeps the context.
  CHECK(tls_->ssl != nullptr);
  BIO* const bio = ::BIO_new(method());
  CHECK(bio != nullptr);
  ::BIO_set_data(bio, new Ends{&tls_->socket, &tls_->read_error, &tls_->dry, &tls_->out});
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(tls_->ssl.get(), bio, bio);
  side == Side::dialled ? ::SSL_set_connect_state(tls_->ssl.get())
                        : ::SSL_set_accept_state(tls_->ssl.get());
  // The dialler speaks first, so its handshake begins at once.
  if (side == Side::dialled) {
    const MutexLock lock(mutex_);
    end_ = handshake().why;
    may_have_more_ = !end_.empty();  // The first read tells it.
  }
}

Channel::~Channel() = default;

std::string Channel::text_of(const boost::system::error_code& error) {
  if (error == boost::asio::error::eof) return "closed by the peer";
  return error ? error.message() : std::string();
}

// A node without TLS gets its answer in a form that it can read.
bool Channel::meets_plain_peer() {
  char first[4];
  const ssize_t got = ::recv(tls_->socket, first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
  if (got <= 0) return false;
  looked_ = true;
  return BytesView(first, static_cast<size_t>(got)) == kFrameMagic;
}

Channel::Step Channel::advance(char* into, size_t size) {
  const MutexLock lock(mutex_);
  if (!end_.empty()) return {Need::nothing, 0, end_};
  if (!secure()) {
    if (!looked_ && meets_plain_peer()) {
      peer_plain_ = true;
      return {Need::nothing, 0,
              fmt::format("{}the other side speaks without TLS, and this node does not: give the "
                          "three files --cluster-tls-ca, -cert and -key to both nodes, or to "
                          "neither",
                          kTlsEnd)};
    }
    return handshake();
  }
  SSL* const ssl = tls_->ssl.get();
  size_t count = 0;
  while (count < size) {
    size_t got = 0;
    tls_->dry = false;
    ::ERR_clear_error();
    const int result = ::SSL_read_ex(ssl, into + count, size - count, &got);
    if (result == 1) {
      count += got;
      continue;
    }
    Step ended = failed(result, false);
    (void)push_locked();  // An answer to a change of keys, or an alert.
    if (count == 0) {
      // A record without bytes for us, such as a change of keys. OpenSSL may hold more records, but
      // the event loop gets its turn first.
      may_have_more_ = ended.need == Need::more_to_read && !tls_->dry;
      return ended;
    }
    // What came before the end is taken first.
    if (ended.need == Need::nothing) end_ = ended.why;
    break;
  }
  may_have_more_ = ::SSL_has_pending(ssl) == 1 || count == size || !end_.empty();
  return {Need::nothing, count, ""};
}

Channel::Step Channel::handshake() {
  SSL* const ssl = tls_->ssl.get();
  ::ERR_clear_error();
  const int result = ::SSL_do_handshake(ssl);
  Step step = result == 1 ? Step() : failed(result, true);
  const bool all_sent = push_locked();
  if (step.need == Need::more_to_read && !all_sent) return {Need::room_to_write, 0, ""};
  if (result != 1) return step;
  const auto shown = peer_certificate(ssl);
  secure_.store(true, std::memory_order_release);
  if (!shown) return {Need::nothing, 0, kTlsEnd + shown.error().message};
  if (shown->use != CertificateUse::node) {
    return {
        Need::nothing, 0,
        fmt::format("{}only nodes may connect here, and this is {}", kTlsEnd, text_of_use(*shown))};
  }
  peer_ = *shown;
  may_have_more_ = ::SSL_has_pending(ssl) == 1;
  return {};
}

// What an operation of TLS that has not succeeded needs, or why the channel ends.
Channel::Step Channel::failed(int result, bool in_handshake) {
  SSL* const ssl = tls_->ssl.get();
  const int kind = ::SSL_get_error(ssl, result);
  if (kind == SSL_ERROR_WANT_READ) return {Need::more_to_read, 0, ""};
  if (kind == SSL_ERROR_WANT_WRITE) return {Need::room_to_write, 0, ""};
  const unsigned long error = ::ERR_peek_last_error();
  const int reason = ERR_GET_REASON(error);
  const long verdict = ::SSL_get_verify_result(ssl);
  ::ERR_clear_error();
  if (tls_->read_error != 0) return {Need::nothing, 0, errno_text(tls_->read_error)};
  if (kind != SSL_ERROR_SSL) return {Need::nothing, 0, "closed by the peer"};
  if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED) {
    return {
        Need::nothing, 0,
        fmt::format("{}the other side asks for a certificate, and this node showed none", kTlsEnd)};
  }
  std::string why = alert_text(reason);
  if (!why.empty()) {
    const std::string who = peer_ ? "node " + peer_->name : "the other side";
    return {Need::nothing, 0, fmt::format("{}{} refused our certificate: {}", kTlsEnd, who, why)};
  }
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    why = verdict_text(verdict);
  } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    why = "it showed no certificate";
  } else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return {Need::nothing, 0, "closed by the peer"};
  } else {
    const char* const text = ::ERR_reason_error_string(error);
    why = fmt::format("{} ({})", in_handshake ? "the handshake failed" : "the bytes are damaged",
                      text == nullptr ? "no reason was given" : text);
  }
  return {Need::nothing, 0, kTlsEnd + why};
}

ssize_t Channel::write(const iovec* pieces, size_t count) {
  if (!tls_) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    for (;;) {
      const ssize_t sent =
          ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) return sent;
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    }
  }
  const MutexLock lock(mutex_);
  if (!secure() || !push_locked()) return 0;
  if (!peer_) return -1;  // The certificate was refused. Only the farewell goes there.
  const ssize_t taken = encrypt(pieces, count);
  (void)push_locked();
  return taken;
}

// Small pieces share a record.
ssize_t Channel::encrypt(const iovec* pieces, size_t count) {
  std::array<char, kRecordMax> record;
  ssize_t taken = 0;
  size_t at = 0;      // The piece.
  size_t within = 0;  // Bytes of that piece that are taken.
  while (at < count && tls_->out.size() < kEncryptedMax) {
    size_t filled = 0;
    while (at < count && filled < record.size()) {
      const size_t part = std::min(pieces[at].iov_len - within, record.size() - filled);
      std::memcpy(record.data() + filled, static_cast<const char*>(pieces[at].iov_base) + within,
                  part);
      filled += part;
      within += part;
      if (within == pieces[at].iov_len) {
        ++at;
        within = 0;
      }
    }
    size_t written = 0;
    ::ERR_clear_error();
    if (::SSL_write_ex(tls_->ssl.get(), record.data(), filled, &written) != 1 ||
        written != filled) {
      ::ERR_clear_error();
      // Memory always takes all, so the connection has failed. The pending read must notice it.
      (void)::shutdown(tls_->socket, SHUT_RDWR);
      return -1;
    }
    taken += static_cast<ssize_t>(filled);
  }
  return taken;
}

bool Channel::push() {
  if (!tls_) return true;
  const MutexLock lock(mutex_);
  return push_locked();
}

bool Channel::push_locked() {
  Tls& tls = *tls_;
  while (tls.sent < tls.out.size()) {
    const ssize_t sent = ::send(tls.socket, tls.out.data() + tls.sent, tls.out.size() - tls.sent,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (sent < 0) break;  // The link is broken. The pending read says so.
    tls.sent += static_cast<size_t>(sent);
  }
  tls.out.clear();
  tls.sent = 0;
  if (tls.out.capacity() > kEncryptedKept) tls.out.shrink_to_fit();
  return true;
}

void Channel::close(BytesView last) {
  if (tls_ && !peer_plain_) {
    const MutexLock lock(mutex_);
    if (secure()) {
      const iovec piece{const_cast<char*>(last.data()), last.size()};
      if (!last.empty()) (void)encrypt(&piece, 1);
      ::ERR_clear_error();
      (void)::SSL_shutdown(tls_->ssl.get());
      ::ERR_clear_error();
    }
    (void)push_locked();
    tls_->socket = -1;
  } else if (!last.empty()) {
    (void)::send(socket_.native_handle(), last.data(), last.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  boost::system::error_code ignored;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

}  // namespace databridge::platform
