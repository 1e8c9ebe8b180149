#include "platform/network.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/check.h"
#include "base/guarded.h"
#include "platform/connection.h"
#include "platform/death_report.h"
#include "platform/dialler.h"
#include "platform/last_will.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using asio::ip::tcp;

constexpr int kBacklog = 1024;
constexpr int kLinesPerSecond = 10;
constexpr Duration kOutOfDescriptors = 100ms;  // Before accepting again.

Error cannot_listen(const Address& address, const asio::error_code& error) {
  const bool taken = error == asio::error::address_in_use;
  return {
      taken ? Code::conflict : Code::io,
      fmt::format("cannot listen on {}: {}{}", address.text(), error.message(),
                  taken ? "; another process has it: stop that one or choose another port" : "")};
}

Result<void> bind_to(const Address& address, asio::io_context& io, tcp::acceptor& acceptor) {
  const auto cannot = [&](const asio::error_code& error) {
    return tl::make_unexpected(cannot_listen(address, error));
  };
  asio::error_code error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return cannot(error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  // Close-on-exec from the first moment: a child that held the port would look like a living node.
  const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot(asio::error_code(errno, asio::error::get_system_category()));
  acceptor.assign(endpoint.protocol(), fd, error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (error) return cannot(error);
  return {};
}

class AsioNetwork : public Network, private DialContext {
 public:
  explicit AsioNetwork(NetworkOptions options)
      : options_(std::move(options)), acceptor_(io_), accept_pause_(io_) {}
  ~AsioNetwork() override;

  Result<void> start(env::Greeting self, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override;
  void dial(const Address& address) override;
  void hang_up(const Address& address) override;
  void send(Incarnation to, Message message) override;
  uint16_t port() const override { return port_; }

 private:
  // A link that somebody else dialled.
  struct Incoming {
    std::shared_ptr<Connection> link;
    env::Greeting peer;  // Once greeted.
    std::unique_ptr<asio::steady_timer> deadline;
  };

  asio::io_context& io() override { return io_; }
  const NetworkOptions& options() const override { return options_; }
  const env::Greeting& self() const override { return self_; }
  void link_up(Incarnation peer, const std::shared_ptr<Connection>& link) override;
  void link_gone(Incarnation peer, const std::shared_ptr<Connection>& link) override;
  void tell(env::LinkEvent event) override { receiver_.on_link(std::move(event)); }
  void trouble(const std::string& line) override;

  Result<void> listen();
  void accept();
  void accept_all();
  void admit(int fd);
  void drop(uint64_t id, const std::string& why);
  Result<void> take_frame(uint64_t id, FrameKind kind, BytesView payload);
  Result<void> take_greeting(uint64_t id, BytesView payload);
  Result<void> take_reaped(uint64_t id, BytesView payload);
  void write_will();
  Result<void> replace_older(uint64_t id, const env::Greeting& peer);
  void stop();

  const NetworkOptions options_;
  asio::io_context io_;
  uint16_t port_ = 0;

  // Network thread only, once started.
  env::Greeting self_;
  Receiver receiver_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_pause_;
  std::map<Address, std::shared_ptr<Dialler>> diallers_;  // Shared: see there.
  std::map<uint64_t, Incoming> incoming_;
  std::set<uint64_t> ungreeted_;  // Of incoming_, oldest first.
  uint64_t last_id_ = 0;
  int64_t lines_second_ = 0;
  int lines_ = 0;
  int lines_dropped_ = 0;
  bool will_due_ = false;  // It is to be written, and will be.

  // Who can be spoken to, and over which links: the first is used. Any thread reads it.
  std::mutex mutex_;
  std::map<Incarnation, std::vector<std::shared_ptr<Connection>>> links_ GUARDED_BY(mutex_);

  std::thread thread_;
};

AsioNetwork::~AsioNetwork() {
  if (!thread_.joinable()) return;
  asio::post(io_, [this] { stop(); });
  thread_.join();
}

// The listener goes last: a refused connection is news of our end, and we are not gone before our
// links are.
void AsioNetwork::stop() {
  for (auto& [address, dialler] : diallers_) dialler->stop();
  for (auto& [id, incoming] : incoming_) incoming.link->close();
  asio::error_code ignored;
  acceptor_.close(ignored);
  io_.stop();
}

Result<void> AsioNetwork::start(env::Greeting self, Receiver receiver) {
  CHECK(!thread_.joinable());
  CHECK(self.incarnation);
  self_ = std::move(self);
  receiver_ = std::move(receiver);
  if (!options_.listen.empty()) {
    if (auto listening = listen(); !listening) return listening;
    accept();
  }
  thread_ = start_thread("network", [this] {
    const auto stay = asio::make_work_guard(io_);
    io_.run();
  });
  return {};
}

Result<void> AsioNetwork::listen() {
  if (auto bound = bind_to(options_.listen, io_, acceptor_); !bound) return bound;
  asio::error_code error;
  acceptor_.listen(kBacklog, error);
  if (!error) acceptor_.non_blocking(true, error);
  if (error) return tl::make_unexpected(cannot_listen(options_.listen, error));
  port_ = acceptor_.local_endpoint(error).port();
  return {};
}

void AsioNetwork::accept() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](asio::error_code error) {
    if (!error) accept_all();
  });
}

void AsioNetwork::accept_all() {
  for (;;) {
    const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      admit(fd);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return accept();
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      trouble("cannot accept connections: out of file descriptors or memory");
      accept_pause_.expires_after(kOutOfDescriptors);
      accept_pause_.async_wait([this](asio::error_code error) {
        if (!error) accept();
      });
      return;
    }
    // Others concern only the one connection that is already gone.
  }
}

void AsioNetwork::admit(int fd) {
  set_link_options(fd, options_.silence);
  tcp::socket socket(io_);
  asio::error_code error;
  socket.assign(acceptor_.local_endpoint(error).protocol(), fd, error);
  if (error) {
    ::close(fd);
    return;
  }
  // Members greet at once, so the oldest silent guest is the least likely to be one. Cutting the
  // newest would let a few hundred silent connections lock the members out.
  if (ungreeted_.size() >= options_.ungreeted_max) {
    drop(*ungreeted_.begin(), "too many connections that have not greeted");
  }
  const uint64_t id = ++last_id_;
  auto& incoming = incoming_[id];
  ungreeted_.insert(id);
  incoming.link = std::make_shared<Connection>(std::move(socket), options_.queue_bytes_max);
  incoming.deadline = std::make_unique<asio::steady_timer>(io_, options_.greeting_time);
  incoming.deadline->async_wait([this, id](asio::error_code cancelled) {
    if (!cancelled && ungreeted_.contains(id)) drop(id, "no greeting came in time");
  });
  incoming.link->start(
      [this, id](FrameKind kind, BytesView payload) { return take_frame(id, kind, payload); },
      [this, id](const std::string& why) { drop(id, why); });
}

void AsioNetwork::drop(uint64_t id, const std::string& why) {
  const auto found = incoming_.find(id);
  if (found == incoming_.end()) return;
  const auto link = found->second.link;
  // The end of a greeted link is news for the one who dialled it; of others we tell.
  if (ungreeted_.erase(id) > 0) {
    trouble(fmt::format("connection from {} cut: {}", link->remote_text(), why));
  } else if (why != "closed by the peer") {
    trouble(fmt::format("link from node {} at {} ended: {}", found->second.peer.node.value,
                        link->remote_text(), why));
  }
  incoming_.erase(found);
  link->close(why);
}

Result<void> AsioNetwork::take_frame(uint64_t id, FrameKind kind, BytesView payload) {
  if (kind == FrameKind::greeting) return take_greeting(id, payload);
  if (kind == FrameKind::reaped) return take_reaped(id, payload);
  if (ungreeted_.contains(id)) return fail(Code::invalid, "a message came before the greeting");
  auto message = decode_message(payload);
  if (!message) return tl::make_unexpected(message.error());
  receiver_.on_message(incoming_.at(id).peer.incarnation, std::move(*message));
  return {};
}

Result<void> AsioNetwork::take_greeting(uint64_t id, BytesView payload) {
  auto peer = decode_greeting(payload);
  if (!peer) return tl::make_unexpected(peer.error());
  auto& incoming = incoming_.at(id);
  if (auto fits = check_peer(self_, *peer); !fits) {
    // It may know whom it has found; the farewell with the reason follows.
    incoming.link->send(FrameKind::greeting, encode_greeting(self_));
    return fits;
  }
  if (!ungreeted_.contains(id)) {
    if (peer->incarnation != incoming.peer.incarnation) {
      return fail(Code::invalid, "a second greeting came with another incarnation");
    }
    incoming.peer = *peer;
    return {};
  }
  const bool ourselves = peer->incarnation == self_.incarnation;
  if (!ourselves) {
    if (auto newest = replace_older(id, *peer); !newest) return newest;
  }
  ungreeted_.erase(id);
  incoming.deadline.reset();
  incoming.peer = *peer;
  incoming.link->set_payload_max(kPayloadMax);
  incoming.link->send(FrameKind::greeting, encode_greeting(self_));
  if (!ourselves) receiver_.on_greeting(*peer);
  return {};
}

// The whole conversation of a guardian.
Result<void> AsioNetwork::take_reaped(uint64_t id, BytesView payload) {
  const auto process = decode_greeting(payload);
  if (!process) return tl::make_unexpected(process.error());
  if (!ungreeted_.contains(id)) return fail(Code::invalid, "a member spoke as a guardian");
  if (process->cluster.empty() || process->cluster != self_.cluster ||
      process->incarnation == self_.incarnation) {
    return fail(Code::conflict, kNotConcerned);
  }
  receiver_.on_reaped(*process);
  incoming_.at(id).link->close(kNoted);
  ungreeted_.erase(id);
  incoming_.erase(id);
  return {};
}

// What our guardian would need now. Once for all that happens in one go.
void AsioNetwork::write_will() {
  if (options_.will == nullptr || std::exchange(will_due_, true)) return;
  asio::post(io_, [this] {
    will_due_ = false;
    std::vector<Address> peers;
    for (const auto& [address, dialler] : diallers_) {
      if (auto met = Address::parse(dialler->met_at())) peers.push_back(*met);
    }
    options_.will->write(self_, peers);
  });
}

// A node that started anew has no older process: what is left of that one's links is cut.
Result<void> AsioNetwork::replace_older(uint64_t id, const env::Greeting& peer) {
  std::vector<uint64_t> older;
  for (const auto& [other_id, other] : incoming_) {
    if (other_id == id || other.peer.incarnation != peer.incarnation) continue;
    if (other.peer.boot > peer.boot) {
      return fail(Code::conflict,
                  fmt::format("a newer process of node {} is already here", peer.node.value));
    }
    if (other.peer.boot < peer.boot) older.push_back(other_id);
  }
  for (const uint64_t other : older) drop(other, "a newer process of that node has come");
  for (const auto& [address, dialler] : diallers_) dialler->cut_older(peer);
  return {};
}

void AsioNetwork::set_cluster(const ClusterId& cluster) {
  asio::post(io_, [this, cluster] {
    if (self_.cluster == cluster) return;
    self_.cluster = cluster;
    write_will();
    std::vector<std::pair<uint64_t, std::string>> strangers;
    for (const auto& [id, incoming] : incoming_) {
      if (ungreeted_.contains(id)) continue;
      if (auto fits = check_peer(self_, incoming.peer); !fits) {
        strangers.emplace_back(id, fits.error().message);
      } else {
        incoming.link->send(FrameKind::greeting, encode_greeting(self_));
      }
    }
    for (const auto& [id, why] : strangers) drop(id, why);
    for (const auto& [address, dialler] : diallers_) dialler->greet_again();
  });
}

void AsioNetwork::dial(const Address& address) {
  asio::post(io_, [this, address] {
    auto& dialler = diallers_[address];
    if (dialler) return;
    dialler = std::make_shared<Dialler>(static_cast<DialContext&>(*this), address);
    dialler->start();
  });
}

void AsioNetwork::hang_up(const Address& address) {
  asio::post(io_, [this, address] {
    const auto found = diallers_.find(address);
    if (found == diallers_.end()) return;
    found->second->stop();
    diallers_.erase(found);
    write_will();
  });
}

void AsioNetwork::send(Incarnation to, Message message) {
  std::shared_ptr<Connection> link;
  {
    const std::lock_guard lock(mutex_);
    const auto found = links_.find(to);
    if (found == links_.end()) return;
    link = found->second.front();
  }
  Bytes payload = encode(message);
  if (payload.size() > kPayloadMax) {
    asio::post(io_, [this, kind = name(message), size = payload.size()] {
      trouble(
          fmt::format("a {} of {} bytes was not sent: the limit is {}", kind, size, kPayloadMax));
    });
    return;
  }
  link->send(FrameKind::message, std::move(payload));
}

void AsioNetwork::link_up(Incarnation peer, const std::shared_ptr<Connection>& link) {
  write_will();
  const std::lock_guard lock(mutex_);
  links_[peer].push_back(link);
}

void AsioNetwork::link_gone(Incarnation peer, const std::shared_ptr<Connection>& link) {
  const std::lock_guard lock(mutex_);
  const auto found = links_.find(peer);
  if (found == links_.end()) return;
  std::erase(found->second, link);
  if (found->second.empty()) links_.erase(found);
}

// A storm of bad connections must not become a storm of lines.
void AsioNetwork::trouble(const std::string& line) {
  if (!options_.on_trouble) return;
  const int64_t second = std::chrono::duration_cast<std::chrono::seconds>(
                             std::chrono::steady_clock::now().time_since_epoch())
                             .count();
  if (second != lines_second_) {
    lines_second_ = second;
    lines_ = 0;
    if (lines_dropped_ > 0) {
      options_.on_trouble(fmt::format("{} more lines like the last ones", lines_dropped_));
    }
    lines_dropped_ = 0;
  }
  if (++lines_ > kLinesPerSecond) {
    ++lines_dropped_;
    return;
  }
  options_.on_trouble(line);
}

}  // namespace

Result<void> check_can_listen(const Address& address) {
  asio::io_context io;
  tcp::acceptor acceptor(io);
  return bind_to(address, io, acceptor);
}

std::unique_ptr<Network> make_network(NetworkOptions options) {
  return std::make_unique<AsioNetwork>(std::move(options));
}

}  // namespace databridge::platform
