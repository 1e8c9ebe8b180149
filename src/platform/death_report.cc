#include "platform/death_report.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "platform/connection.h"
#include "platform/frame.h"

namespace databridge::platform {
namespace {

using boost::asio::ip::tcp;

constexpr Duration kPatience = 1s;      // For one attempt.
constexpr Duration kFirstPause = 50ms;  // After a failed attempt; it doubles up to the last.
constexpr Duration kLastPause = 1s;
constexpr size_t kQueueBytes = 64u << 10;

// A report to one peer, which is repeated until the peer answers. Handlers on the event loop share
// it.
class Report : public std::enable_shared_from_this<Report> {
 public:
  Report(boost::asio::io_context& io, tcp::endpoint to, const TlsContext& tls, const Bytes& payload,
         std::function<void()> answered)
      : to_(std::move(to)),
        tls_(tls),
        payload_(payload),
        answered_(std::move(answered)),
        io_(io),
        socket_(io),
        timer_(io) {}

  void attempt() {
    const uint64_t attempt = ++attempt_;
    after(kPatience, [this] { failed(); });
    socket_ = tcp::socket(io_);
    socket_.async_connect(to_,
                          [self = shared_from_this(), attempt](boost::system::error_code error) {
                            if (attempt != self->attempt_) return;
                            error ? self->failed() : self->say();
                          });
  }

 private:
  void say() {
    set_link_options(socket_.native_handle(), kPatience);
    link_ = std::make_shared<Connection>(
        std::make_unique<Channel>(std::move(socket_), tls_, Side::dialled), kQueueBytes);
    // Weak, since the link is ours and keeps these handlers.
    link_->start([](FrameKind, BytesView) -> Result<void> { return {}; },
                 [weak = weak_from_this()](const std::string& why) {
                   const auto self = weak.lock();
                   if (!self) return;
                   why.ends_with(kNoted) || why.ends_with(kNotConcerned) ? self->done()
                                                                         : self->failed();
                 });
    link_->send(FrameKind::reaped, payload_);
  }

  void failed() {
    end_attempt();
    after(pause_, [this] { attempt(); });
    pause_ = std::min(2 * pause_, kLastPause);
  }

  void done() {
    end_attempt();
    answered_();
  }

  void end_attempt() {
    ++attempt_;
    timer_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    if (link_) link_->close();
    link_.reset();
  }

  template <typename Act>
  void after(Duration delay, Act act) {
    timer_.expires_after(delay);
    timer_.async_wait(
        [self = shared_from_this(), attempt = attempt_, act](boost::system::error_code error) {
          if (!error && attempt == self->attempt_) act();
        });
  }

  const tcp::endpoint to_;
  const TlsContext& tls_;
  const Bytes& payload_;
  const std::function<void()> answered_;
  boost::asio::io_context& io_;
  tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<Connection> link_;
  uint64_t attempt_ = 0;  // Handlers of an older attempt do nothing.
  Duration pause_ = kFirstPause;
};

}  // namespace

size_t report_death(const Reaped& reaped, const std::vector<Address>& peers, Duration time,
                    const TlsContext& tls) {
  const Bytes payload = encode_reaped(reaped);
  boost::asio::io_context io;
  size_t answered = 0;
  // All reports start at once: if descriptors run out, an attempt fails and is repeated like any
  // other.
  for (const Address& peer : peers) {
    boost::system::error_code error;
    const auto ip = boost::asio::ip::make_address(peer.host, error);
    if (error) continue;
    const tcp::endpoint to(ip, peer.port);
    std::make_shared<Report>(io, to, tls, payload, [&answered] { ++answered; })->attempt();
  }
  io.run_for(time);
  return answered;
}

}  // namespace databridge::platform
