#include "platform/network.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "platform/address_book.h"
#include "platform/bind.h"
#include "platform/connection.h"
#include "platform/death_report.h"
#include "platform/dialler.h"
#include "platform/guarded.h"
#include "platform/join_proof.h"
#include "platform/last_will.h"
#include "platform/line_budget.h"
#include "platform/process.h"
#include "platform/strangers.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using boost::asio::ip::tcp;

constexpr int kBacklog = 1024;
constexpr int kAcceptedAtOnce = 16;  // Then the accepted ones get a turn.
constexpr uint64_t kLinesPerSecond = 10;
constexpr char kTooManyFailures[] = "too many of them have failed of late";
constexpr Duration kOutOfDescriptors = 100ms;  // Before accepting again.
constexpr Duration kAfterAFlood = 4ms;         // The same: one turn for many connections.

Duration steady_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

class AsioNetwork : public Network, private DialContext {
 public:
  explicit AsioNetwork(NetworkOptions options)
      : tls_(std::exchange(options.tls, {}).context),
        token_(std::exchange(options.join_token, {})),
        options_(std::move(options)),
        book_(options_.address_book.empty() ? AddressBook() : AddressBook(options_.address_book)),
        acceptor_(io_),
        accept_pause_(io_) {}
  ~AsioNetwork() override;

  Result<void> start(env::Greeting self, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override;
  void know(KnownPeers peers) override;
  void set_position(const env::LogPosition& position) override;
  void dial(const Address& address) override;
  void hang_up(const Address& address) override;
  void send(Incarnation to, Message message, uint64_t start) override;
  uint16_t port() const override { return port_; }
  void renew(Credentials tls, std::string join_token) override;

 private:
  // A link that another process dialled.
  struct Incoming {
    std::shared_ptr<Connection> link;
    env::Greeting peer;  // Valid once greeted.
    std::string host;    // The peer's, without its port.
    bool greeted = false;
    JoinCheck join;        // Whether it knows the join token, if there is one.
    bool changed = false;  // Our greeting has changed, and the peer hears it after its proof.
    int greetings = 0;
    bool member = false;  // By its greeting and the known members.
    bool told = false;    // A note said that its message was not taken.
    uint64_t spoke = 0;   // Order of its last valid message, or of its arrival.
    std::unique_ptr<boost::asio::steady_timer> deadline;  // Of a guest.
  };

  boost::asio::io_context& io() override { return io_; }
  const NetworkOptions& options() const override { return options_; }
  TlsContext tls() const override { return tls_; }
  const std::string& join_token() const override { return token_; }
  env::Greeting greeting() const override;
  const env::Greeting& self() const override { return self_; }
  void link_up(const env::Greeting& peer, const std::shared_ptr<Connection>& link) override;
  void link_gone(Incarnation peer, const std::shared_ptr<Connection>& link) override;
  void tell(env::LinkEvent event) override { receiver_.on_link(std::move(event)); }
  void trouble(const std::string& line) override;
  Address remembered(const Address& place) const override { return book_.find(place); }
  void met(const Address& place, const Address& endpoint) override {
    if (auto kept = book_.met(place, endpoint); !kept) trouble(kept.error().message);
  }

  Result<void> listen();
  void accept();
  void accept_some();
  void accept_after(Duration time);
  bool admit(int fd, const std::string& host);
  void drop(uint64_t id, const std::string& why);
  Result<void> take_frame(uint64_t id, FrameKind kind, BytesView payload);
  Result<void> take_greeting(uint64_t id, BytesView payload);
  void welcome(Incoming& incoming, bool is_news);
  Result<void> challenge(Incoming& incoming, const env::Greeting& peer, BytesView heard);
  Result<void> take_proof(uint64_t id, BytesView payload);
  Result<void> take_reaped(uint64_t id, BytesView payload);
  void write_will();
  bool is_member(const env::Greeting& peer) const;
  void classify(Incoming& incoming);
  void wait_for_word(uint64_t id, Incoming& incoming, Duration time);
  void make_room();
  void stop();

  // Network thread only, once started. The options keep no copy of these two.
  TlsContext tls_;
  std::string token_;

  const NetworkOptions options_;
  boost::asio::io_context io_;
  uint16_t port_ = 0;

  // Network thread only, once started.
  Strangers strangers_;
  AddressBook book_;
  env::Greeting self_;
  Receiver receiver_;
  tcp::acceptor acceptor_;
  boost::asio::steady_timer accept_pause_;
  std::map<Address, std::shared_ptr<Dialler>> diallers_;  // Shared: see there.
  std::map<uint64_t, Incoming> incoming_;
  KnownPeers known_;
  Guarded guarded_;
  uint64_t last_id_ = 0;
  uint64_t spoken_ = 0;  // The counter behind Incoming::spoke.
  LineBudget lines_{kLinesPerSecond};
  bool will_due_ = false;  // A write of the will is posted.

  // The links to each peer, of which the first is used. Any thread reads them.
  struct Line {
    std::shared_ptr<Connection> link;
    uint64_t boot = 0;
    uint64_t start = 0;
  };
  mutable Mutex mutex_;
  std::map<Incarnation, std::vector<Line>> links_ GUARDED_BY(mutex_);
  KnownPeers let_in_ GUARDED_BY(mutex_);
  env::LogPosition position_ GUARDED_BY(mutex_);

  std::thread thread_;
};

AsioNetwork::~AsioNetwork() {
  if (!thread_.joinable()) return;
  boost::asio::post(io_, [this] { stop(); });
  thread_.join();
}

// The listener closes last. A refused connection is news of our end, and it must not come before
// our links are gone.
void AsioNetwork::stop() {
  for (auto& [address, dialler] : diallers_) dialler->stop();
  for (auto& [id, incoming] : incoming_) incoming.link->close();
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  io_.stop();
}

Result<void> AsioNetwork::start(env::Greeting self, Receiver receiver) {
  CHECK(!thread_.joinable());
  CHECK(self.incarnation);
  self_ = std::move(self);
  if (options_.will != nullptr) self_.guardian = sha256(options_.will->secret());
  receiver_ = std::move(receiver);
  if (!options_.listen.empty()) {
    if (auto listening = listen(); !listening) return listening;
    accept();
  }
  thread_ = start_thread("network", [this] {
    const auto stay = boost::asio::make_work_guard(io_);
    io_.run();
  });
  return {};
}

Result<void> AsioNetwork::listen() {
  if (auto bound = bind_to(options_.listen, io_, acceptor_); !bound) return bound;
  boost::system::error_code error;
  acceptor_.listen(kBacklog, error);
  if (!error) acceptor_.non_blocking(true, error);
  if (error) return tl::make_unexpected(cannot_listen(options_.listen, error));
  port_ = acceptor_.local_endpoint(error).port();
  return {};
}

void AsioNetwork::accept() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](boost::system::error_code error) {
    if (!error) accept_some();
  });
}

void AsioNetwork::accept_after(Duration time) {
  accept_pause_.expires_after(time);
  accept_pause_.async_wait([this](boost::system::error_code error) {
    if (!error) accept();
  });
}

void AsioNetwork::accept_some() {
  bool is_flood = false;
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    tcp::endpoint from;
    socklen_t size = static_cast<socklen_t>(from.capacity());
    const int fd = ::accept4(acceptor_.native_handle(), from.data(), &size, SOCK_CLOEXEC);
    if (fd >= 0) {
      from.resize(size);
      is_flood |= !admit(fd, from.address().to_string());
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return is_flood ? accept_after(kAfterAFlood) : accept();
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      trouble("cannot accept connections: out of file descriptors or memory");
      return accept_after(kOutOfDescriptors);
    }
    // Other errors concern only one connection, which is already gone.
  }
  accept();
}

// Returns false if the connection was cut, since too many from its address have failed.
bool AsioNetwork::admit(int fd, const std::string& host) {
  if (strangers_.too_many(host, steady_now())) {
    ::close(fd);
    if (!strangers_.to_say(host, kTooManyFailures, steady_now()).empty()) {
      trouble(fmt::format("connections from {} are cut for now: {}", host, kTooManyFailures));
    }
    return false;
  }
  set_link_options(fd, options_.silence);
  tcp::socket socket(io_);
  boost::system::error_code error;
  socket.assign(acceptor_.local_endpoint(error).protocol(), fd, error);
  if (error) {
    ::close(fd);
    return true;
  }
  make_room();
  const uint64_t id = ++last_id_;
  auto& incoming = incoming_[id];
  incoming.host = host;
  incoming.link = std::make_shared<Connection>(
      std::make_unique<Channel>(std::move(socket), tls_, Side::accepted), options_.queue_bytes_max);
  incoming.spoke = ++spoken_;
  wait_for_word(id, incoming, options_.greeting_time);
  incoming.link->start(
      [this, id](FrameKind kind, BytesView payload) { return take_frame(id, kind, payload); },
      [this, id](const std::string& why) { drop(id, why); });
  return true;
}

// Members greet at once, so the oldest silent guest is the least likely to be one. Cutting the
// newest would let a few silent connections lock the members out. The address with the most guests
// gives way first.
void AsioNetwork::make_room() {
  std::map<std::string, size_t> guests;
  size_t all = 0;
  for (const auto& [id, incoming] : incoming_) {
    if (incoming.member) continue;
    ++guests[incoming.host];
    ++all;
  }
  if (all < options_.guests_max) return;
  uint64_t oldest = 0;
  std::pair<size_t, uint64_t> best;  // Its address has most guests; it is silent for longest.
  for (const auto& [id, incoming] : incoming_) {
    if (incoming.member) continue;
    const std::pair mark(guests[incoming.host], UINT64_MAX - incoming.spoke);
    if (oldest != 0 && mark <= best) continue;
    best = mark;
    oldest = id;
  }
  drop(oldest, "too many connections of no member");
}

void AsioNetwork::wait_for_word(uint64_t id, Incoming& incoming, Duration time) {
  // Our own dialler, at one of our own addresses, has nothing to say. A connection that only claims
  // to be ours goes when there is no room.
  const env::Greeting& peer = incoming.peer;
  if (incoming.greeted && peer.incarnation == self_.incarnation && peer.boot == self_.boot &&
      peer.start == self_.start) {
    incoming.deadline.reset();
    return;
  }
  incoming.deadline = std::make_unique<boost::asio::steady_timer>(io_, time);
  incoming.deadline->async_wait([this, id](boost::system::error_code cancelled) {
    const auto found = incoming_.find(id);
    if (cancelled || found == incoming_.end() || found->second.member) return;
    const Incoming& guest = found->second;
    drop(id, guest.join.proved() ? "no valid message came in time"
             : guest.greeted     ? "no proof came in time"
                                 : "no greeting came in time");
  });
}

bool AsioNetwork::is_member(const env::Greeting& peer) const {
  if (self_.cluster.empty() || peer.cluster != self_.cluster) return false;
  const auto known = known_.find(peer.incarnation);
  return known != known_.end() && known->second.admits(peer.boot, peer.start);
}

// To be called when it has greeted, or when the known members have changed.
void AsioNetwork::classify(Incoming& incoming) {
  incoming.member = incoming.join.proved() && is_member(incoming.peer);
  incoming.link->set_payload_max(incoming.member ? kPayloadMax : kGuestPayloadMax);
}

void AsioNetwork::drop(uint64_t id, const std::string& why) {
  const auto found = incoming_.find(id);
  if (found == incoming_.end()) return;
  const Incoming& peer = found->second;
  const auto link = peer.link;
  const bool proved = peer.join.proved();
  // Peers that have not shown that they may greet are counted.
  if (!proved) strangers_.failed(peer.host, steady_now());
  if (!proved || why != "closed by the peer") {
    // One address cannot fill the log with what comes from no member.
    const std::string said = peer.member ? why : strangers_.to_say(peer.host, why, steady_now());
    const std::string& at = link->remote_text().empty() ? peer.host : link->remote_text();
    const std::string who =
        proved ? fmt::format("link from node {} at {} ended", peer.peer.node.value, at)
               : fmt::format("connection from {} cut", at);
    if (!said.empty()) trouble(fmt::format("{}: {}", who, said));
  }
  incoming_.erase(found);
  link->close(why);
}

Result<void> AsioNetwork::take_frame(uint64_t id, FrameKind kind, BytesView payload) {
  if (kind == FrameKind::greeting) return take_greeting(id, payload);
  if (kind == FrameKind::reaped) return take_reaped(id, payload);
  if (kind == FrameKind::proof) return take_proof(id, payload);
  Incoming& incoming = incoming_.at(id);
  if (!incoming.greeted) return fail(Code::invalid, "a message came before the greeting");
  if (!incoming.join.proved()) return fail(Code::forbidden, "a message came before the proof");
  auto message = decode_message(payload);
  if (!message) return tl::make_unexpected(message.error());
  const env::Greeting& peer = incoming.peer;
  if (!incoming.member) {
    if (!is_for_strangers(*message)) {
      const std::string said =
          std::exchange(incoming.told, true)
              ? ""
              : strangers_.to_say(incoming.host, "it is not known as a member", steady_now());
      if (!said.empty()) {
        trouble(fmt::format("a {} from {} at {} is not taken: {}", name(*message), peer.node.value,
                            incoming.link->remote_text(), said));
      }
      return {};
    }
    incoming.spoke = ++spoken_;
    wait_for_word(id, incoming, options_.guest_time);
  }
  const bool is_ours = !self_.cluster.empty() && peer.cluster == self_.cluster;
  receiver_.on_message({peer.incarnation, peer.boot, peer.start, is_ours, peer.features},
                       std::move(*message));
  return {};
}

Result<void> AsioNetwork::take_greeting(uint64_t id, BytesView payload) {
  auto peer = decode_greeting(payload);
  if (!peer) return tl::make_unexpected(peer.error());
  auto& incoming = incoming_.at(id);
  if (auto named = check_node_name(incoming.link->certificate(), peer->node); !named) return named;
  const bool first = !incoming.greeted;
  if (first && !token_.empty()) return challenge(incoming, *peer, payload);
  if (!first && !incoming.join.proved()) {
    return fail(Code::invalid, "a greeting came instead of a proof");
  }
  if (auto fits = check_peer(self_, *peer); !fits) {
    // The greeting tells the peer which node it has found. The farewell with the reason follows.
    incoming.link->send(FrameKind::greeting, encode_greeting(greeting()));
    return fits;
  }
  if (auto same = first ? Result<void>() : check_later_greeting(incoming.peer, *peer); !same) {
    return same;
  }
  if (++incoming.greetings > kGreetingsMax) return fail(Code::invalid, "it greets too often");
  const bool has_entered = peer->cluster != incoming.peer.cluster;
  incoming.greeted = true;
  incoming.peer = *peer;
  incoming.join.waive();
  if (first) incoming.link->send(FrameKind::greeting, encode_greeting(greeting()));
  if (first) wait_for_word(id, incoming, options_.guest_time);
  welcome(incoming, first || has_entered);
  return {};
}

// What follows from a greeting that counts.
void AsioNetwork::welcome(Incoming& incoming, bool is_news) {
  const env::Greeting& peer = incoming.peer;
  guarded_.met(peer, false, known_);
  classify(incoming);
  if (peer.incarnation != self_.incarnation && is_news) receiver_.on_greeting(peer);
}

// Proves that we know the token, and waits for the peer's proof. The time to greet goes on. Nothing
// else follows from a greeting without a proof.
Result<void> AsioNetwork::challenge(Incoming& incoming, const env::Greeting& peer,
                                    BytesView heard) {
  auto proof = incoming.join.answer(token_, heard, peer, greeting());
  if (!proof) return tl::make_unexpected(proof.error());
  incoming.greeted = true;
  incoming.peer = peer;
  ++incoming.greetings;
  incoming.link->send(FrameKind::greeting, incoming.join.greeting());
  incoming.link->send(FrameKind::proof, std::move(*proof));
  return {};
}

Result<void> AsioNetwork::take_proof(uint64_t id, BytesView payload) {
  Incoming& incoming = incoming_.at(id);
  if (auto proved = incoming.join.check(token_, payload, incoming.peer, self_); !proved) {
    return proved;
  }
  if (auto fits = check_peer(self_, incoming.peer); !fits) return fits;
  if (incoming.changed) incoming.link->send(FrameKind::greeting, encode_greeting(greeting()));
  wait_for_word(id, incoming, options_.guest_time);
  welcome(incoming, true);
  return {};
}

// A guardian sends only this frame.
Result<void> AsioNetwork::take_reaped(uint64_t id, BytesView payload) {
  const auto reaped = decode_reaped(payload);
  if (!reaped) return tl::make_unexpected(reaped.error());
  const env::Greeting& process = reaped->process;
  if (auto named = check_node_name(incoming_.at(id).link->certificate(), process.node); !named) {
    return named;
  }
  if (incoming_.at(id).greeted) return fail(Code::invalid, "a member spoke as a guardian");
  const bool is_ours = !process.cluster.empty() && process.cluster == self_.cluster;
  if (!is_ours || process.incarnation == self_.incarnation || !guarded_.proves(*reaped)) {
    return fail(Code::conflict, kNotConcerned);
  }
  receiver_.on_reaped(process);
  incoming_.at(id).link->close(kNoted);
  incoming_.erase(id);
  return {};
}

// Writes down all that our guardian would need now, once for all changes of one turn.
void AsioNetwork::write_will() {
  if (options_.will == nullptr || std::exchange(will_due_, true)) return;
  boost::asio::post(io_, [this] {
    will_due_ = false;
    std::vector<Address> peers;
    for (const auto& [address, dialler] : diallers_) {
      if (auto met = Address::parse(dialler->met_at())) peers.push_back(*met);
    }
    options_.will->write(self_, peers);
  });
}

// If a process has a successor, its remaining links are dead, whatever the sockets say.
void AsioNetwork::know(KnownPeers peers) {
  {
    const MutexLock lock(mutex_);
    let_in_ = peers;
  }
  boost::asio::post(io_, [this, peers = std::move(peers)]() mutable {
    known_ = std::move(peers);
    std::vector<uint64_t> older;
    for (auto& [id, incoming] : incoming_) {
      if (!incoming.join.proved()) continue;
      const bool was_member = incoming.member;
      classify(incoming);
      if (was_member && !incoming.member) wait_for_word(id, incoming, options_.guest_time);
      const auto known = known_.find(incoming.peer.incarnation);
      if (known != known_.end() && incoming.peer.boot < known->second.boot) older.push_back(id);
    }
    for (const uint64_t id : older) drop(id, "a newer process of that node has come");
    for (const auto& [address, dialler] : diallers_) dialler->cut_older(known_);
  });
}

void AsioNetwork::set_position(const env::LogPosition& position) {
  const MutexLock lock(mutex_);
  position_ = position;
}

env::Greeting AsioNetwork::greeting() const {
  env::Greeting greeting = self_;
  const MutexLock lock(mutex_);
  greeting.log = position_;
  return greeting;
}

void AsioNetwork::set_cluster(const ClusterId& cluster) {
  boost::asio::post(io_, [this, cluster] {
    if (self_.cluster == cluster) return;
    self_.cluster = cluster;
    write_will();
    std::vector<std::pair<uint64_t, std::string>> strangers;
    for (auto& [id, incoming] : incoming_) {
      if (!incoming.join.proved()) {
        incoming.changed = true;
        continue;
      }
      if (auto fits = check_peer(self_, incoming.peer); !fits) {
        strangers.emplace_back(id, fits.error().message);
      } else {
        classify(incoming);
        incoming.link->send(FrameKind::greeting, encode_greeting(greeting()));
      }
    }
    for (const auto& [id, why] : strangers) drop(id, why);
    for (const auto& [address, dialler] : diallers_) dialler->greet_again();
  });
}

void AsioNetwork::renew(Credentials tls, std::string join_token) {
  boost::asio::post(io_, [this, tls = std::move(tls), token = std::move(join_token)]() mutable {
    tls_ = std::move(tls.context);
    token_ = std::move(token);
  });
}

void AsioNetwork::dial(const Address& address) {
  boost::asio::post(io_, [this, address] {
    auto& dialler = diallers_[address];
    if (dialler) return dialler->hurry();
    dialler = std::make_shared<Dialler>(static_cast<DialContext&>(*this), address);
    dialler->start();
  });
}

void AsioNetwork::hang_up(const Address& address) {
  boost::asio::post(io_, [this, address] {
    const auto found = diallers_.find(address);
    if (found == diallers_.end()) return;
    found->second->hang_up();
    diallers_.erase(found);
    write_will();
  });
}

void AsioNetwork::send(Incarnation to, Message message, uint64_t start) {
  std::shared_ptr<Connection> link;
  {
    const MutexLock lock(mutex_);
    const auto found = links_.find(to);
    if (found == links_.end()) return;
    // Several processes may have greeted with one incarnation.
    const auto known = let_in_.find(to);
    for (const Line& line : found->second) {
      const bool is_it =
          start != 0 ? line.start == start
                     : known == let_in_.end() || known->second.admits(line.boot, line.start);
      if (!is_it) continue;
      link = line.link;
      break;
    }
    if (!link) return;
  }
  const bool bulk = std::holds_alternative<Delivery>(message);
  Bytes payload = encode(message);
  if (payload.size() > kPayloadMax) {
    boost::asio::post(io_, [this, kind = name(message), size = payload.size()] {
      trouble(
          fmt::format("a {} of {} bytes was not sent: the limit is {}", kind, size, kPayloadMax));
    });
    return;
  }
  bulk ? link->send_bulk(std::move(payload)) : link->send(FrameKind::message, std::move(payload));
}

void AsioNetwork::link_up(const env::Greeting& peer, const std::shared_ptr<Connection>& link) {
  write_will();
  guarded_.met(peer, true, known_);
  const MutexLock lock(mutex_);
  links_[peer.incarnation].push_back({link, peer.boot, peer.start});
}

void AsioNetwork::link_gone(Incarnation peer, const std::shared_ptr<Connection>& link) {
  const MutexLock lock(mutex_);
  const auto found = links_.find(peer);
  if (found == links_.end()) return;
  std::erase_if(found->second, [&](const Line& line) { return line.link == link; });
  if (found->second.empty()) links_.erase(found);
}

void AsioNetwork::trouble(const std::string& line) {
  if (!options_.on_trouble) return;
  if (const uint64_t left_out = lines_.left_out(steady_now()); left_out > 0) {
    options_.on_trouble(fmt::format("{} more lines like the last ones", left_out));
  }
  if (lines_.may_write()) options_.on_trouble(line);
}

}  // namespace

Result<void> check_can_listen(const Address& address) {
  boost::asio::io_context io;
  tcp::acceptor acceptor(io);
  return bind_to(address, io, acceptor);
}

std::unique_ptr<Network> make_network(NetworkOptions options) {
  return std::make_unique<AsioNetwork>(std::move(options));
}

}  // namespace databridge::platform
