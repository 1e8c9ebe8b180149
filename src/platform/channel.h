// - Owns: the bytes of one TCP connection, plain or under TLS, and the handshake (docs/adr/0019).
// - Hides: sockets and OpenSSL; that two threads must not use one TLS object at the same time.
// - Threads: the network's thread. Any thread may write, one at a time (see `write`).
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/mutex.h"
#include "platform/certificates.h"

namespace databridge::platform {

enum class Side : uint8_t { dialled, accepted };

class Channel {
 public:
  // Without a context the bytes are plain. The socket becomes non-blocking.
  explicit Channel(boost::asio::ip::tcp::socket socket, const TlsContext& context = nullptr,
                   Side side = Side::dialled);
  ~Channel();

  // Reads at least one byte, or makes the handshake. `done(why, count)` is called later, on the
  // event loop. `why` is empty if the channel lives, and else says why it has ended. A count of 0
  // says that the handshake is over, so the channel is secure from now on.
  template <typename Done>
  void read_some(char* into, size_t size, Done done);

  // False before the end of the handshake. Nothing can be written until then. Any thread.
  bool secure() const { return secure_.load(std::memory_order_acquire); }
  bool has_tls() const { return tls_ != nullptr; }

  // These three never block. Any thread, but not two at a time.
  // Takes bytes from the front of the pieces, as many as go now, and returns how many. 0: none now.
  // Negative: the connection is broken.
  ssize_t write(const iovec* pieces, size_t count);
  // Sends what `write` has taken and the socket has not. Returns false if some of it is left.
  bool push();
  // Writes the last bytes, if they go, and closes the socket. Nothing can be written after that.
  void close(BytesView last);

  // `ready` is called on the event loop, with an error code, when the socket takes more bytes.
  template <typename Ready>
  void wait_writable(Ready ready) {
    socket_.async_wait(boost::asio::ip::tcp::socket::wait_write, std::move(ready));
  }
  auto executor() { return socket_.get_executor(); }
  std::string remote_text() const { return remote_; }
  // The certificate that the peer has proved to own; nullopt: it is a plain channel, or the
  // handshake is not over. Network's thread.
  const std::optional<Certificate>& peer() const { return peer_; }

 private:
  struct Tls;
  enum class Need : uint8_t { nothing, more_to_read, room_to_write };
  struct Step {
    Need need = Need::nothing;
    size_t count = 0;
    std::string why;
  };

  template <typename Done>
  void step_tls(char* into, size_t size, Done done);
  Step advance(char* into, size_t size);
  Step handshake() REQUIRES(mutex_);
  Step failed(int result, bool in_handshake) REQUIRES(mutex_);
  bool meets_plain_peer();
  ssize_t encrypt(const iovec* pieces, size_t count) REQUIRES(mutex_);
  bool push_locked() REQUIRES(mutex_);
  static std::string text_of(const boost::system::error_code& error);

  boost::asio::ip::tcp::socket socket_;
  std::string remote_;
  std::optional<Certificate> peer_;
  std::atomic<bool> secure_;
  bool looked_ = false;         // At the first bytes of the peer.
  bool peer_plain_ = false;     // It sent a plain frame.
  bool may_have_more_ = false;  // Bytes that were received wait within the TLS object.
  std::string end_;             // Why it has ended, behind bytes that were taken first.
  Mutex mutex_;
  const std::unique_ptr<Tls> tls_;  // What it points to is used under the mutex. Null: no TLS.
};

template <typename Done>
void Channel::read_some(char* into, size_t size, Done done) {
  if (!tls_) {
    socket_.async_read_some(
        boost::asio::buffer(into, size),
        [done = std::move(done)](boost::system::error_code error, size_t count) {
          done(text_of(error), count);
        });
    return;
  }
  if (std::exchange(may_have_more_, false)) {
    boost::asio::post(executor(),
                      [this, into, size, done = std::move(done)] { step_tls(into, size, done); });
    return;
  }
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_read,
                     [this, into, size, done = std::move(done)](boost::system::error_code error) {
                       error ? done(text_of(error), 0) : step_tls(into, size, done);
                     });
}

// `done` keeps the channel alive.
template <typename Done>
void Channel::step_tls(char* into, size_t size, Done done) {
  Step step = advance(into, size);
  if (step.need == Need::nothing) return done(step.why, step.count);
  if (step.need == Need::more_to_read) return read_some(into, size, std::move(done));
  wait_writable([this, into, size, done = std::move(done)](boost::system::error_code error) {
    error ? done(text_of(error), 0) : step_tls(into, size, done);
  });
}

}  // namespace databridge::platform
