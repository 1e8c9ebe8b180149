#include "api/http_accept.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <utility>

#include "api/http.h"
#include "api/http_drain.h"
#include "api/http_reason.h"
#include "api/routes.h"
#include "base/check.h"

namespace databridge::api {
namespace {

using tcp = boost::asio::ip::tcp;
using Clock = std::chrono::steady_clock;

// The number of connections that are accepted before other work gets its turn.
constexpr int kAtOnce = 16;
constexpr std::chrono::milliseconds kRetry{50};
constexpr std::chrono::milliseconds kBusyRetry{2};
// How many of the clients of one address that have to wait are let in at once. A handshake costs as
// much as several requests.
constexpr size_t kLetInPlain = 4;
constexpr size_t kLetInTls = 1;
constexpr std::chrono::milliseconds kFloodRetry{4};  // One turn for many clients that have to wait.
constexpr size_t kHeldMax = 512u << 20;              // Two backups of the largest size.
// A body of this size is always let in: all connections together hold less in such bodies than
// kHeldMax.
constexpr size_t kHeldSmall = 64u << 10;
constexpr std::chrono::seconds kComplainEvery{60};

bool no_descriptors(const boost::system::error_code& ec) {
  return ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS ||
         ec.value() == ENOMEM;
}

// This time goes on while the machine sleeps, like the engine's clock.
std::chrono::nanoseconds boot_time() {
  timespec now{};
  CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::chrono::nanoseconds steady_time() { return Clock::now().time_since_epoch(); }

bool is_local(int descriptor, const boost::asio::ip::address& peer) {
  if (peer.is_loopback()) return true;
  tcp::endpoint own;
  auto size = static_cast<socklen_t>(own.capacity());
  if (::getsockname(descriptor, own.data(), &size) != 0) return false;
  own.resize(size);
  return own.address() == peer;
}

std::string home_of(const boost::asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  const auto bytes = address.to_v6().to_bytes();
  // An IPv4 client of a socket for both: ::ffff:1.2.3.4.
  if (address.to_v6().is_v4_mapped()) return {bytes.begin(), bytes.end()};
  return {bytes.begin(), bytes.begin() + 8};
}

}  // namespace

void Peer::leave() {
  if (list == nullptr) return;
  Peers& peers = *std::exchange(list, nullptr);
  peers.line_.erase(at);
  ending ? void(--peers.ending_) : peers.leave_home(*this);
  peers.held_ -= held;
  if (!good) peers.note_failure(home);
}

void Peer::wait() {
  reading = true;
  if (list == nullptr || !asked || !framing.between()) return;
  asked = false;
  list->line_.splice(list->line_.end(), list->line_, at);
}

void Peer::heard(std::string_view bytes) {
  reading = false;
  met = true;
  // Empty lines between requests are no request.
  if (bytes.find_first_not_of("\r\n") != std::string_view::npos) asked = true;
}

Peers::Peers(Options options) : options_(std::move(options)), looked_(boot_time()) {}

void Peers::look_at_clock() {
  const auto now = boot_time();
  if (now - std::exchange(looked_, now) <= options_.away_max) return;
  end_all();
  if (options_.trouble) options_.trouble("the API stood still: its connections end unread");
}

bool Peers::make_room(bool local) {
  const size_t count = line_.size() - ending_;
  if (count < options_.most || end_one()) return true;
  return local && count < options_.most + options_.reserve;
}

void Peers::note_failure(const std::string& home) {
  if (home.empty()) return;
  try {
    failures_.failed(home, steady_time());
  } catch (const std::exception&) {
    // There is no memory to count it.
  }
}

bool Peers::fails_often(const std::string& home) const {
  return !home.empty() && failures_.too_many(home, steady_time());
}

void Peers::leave_home(const Peer& peer) {
  if (peer.local) return;
  const auto home = homes_.find(peer.home);
  if (home != homes_.end() && --home->second == 0) homes_.erase(home);
}

// nullptr: no address has more than its share.
const std::string* Peers::crowded_home() const {
  size_t all = 0;
  const std::pair<const std::string, size_t>* first = nullptr;
  for (const auto& home : homes_) {
    all += home.second;
    if (first == nullptr || home.second > first->second) first = &home;
  }
  return first != nullptr && first->second * homes_.size() > all ? &first->first : nullptr;
}

bool Peers::end_one() {
  const std::string* home = crowded_home();
  Peer* chosen = home == nullptr ? nullptr : longest_waiting(home);
  if (chosen == nullptr) chosen = longest_waiting(nullptr);
  if (chosen == nullptr) return false;
  end(*chosen);
  return true;
}

// Of that address, or of all.
Peer* Peers::longest_waiting(const std::string* home) const {
  enum Rank { silent, in_body, local_silent, local_in_body, ranks };
  std::array<Peer*, ranks> first{};
  size_t locals = 0;
  for (Peer* peer : line_) {
    if (peer->ending) continue;
    locals += peer->local;
    if (home != nullptr && (peer->local || peer->home != *home)) continue;
    if (!peer->reading || !peer->met) continue;
    const bool body = peer->framing.in_body();
    Peer*& found =
        first[peer->local ? (body ? local_in_body : local_silent) : (body ? in_body : silent)];
    if (found == nullptr) found = peer;
  }
  // If more connections come from this machine than the reserve, they get no preference.
  if (locals > options_.reserve && first[silent] == nullptr)
    std::swap(first[in_body], first[local_silent]);
  const auto chosen =
      std::find_if(first.begin(), first.end(), [](Peer* peer) { return peer != nullptr; });
  return chosen == first.end() ? nullptr : *chosen;
}

void Peers::end_all() {
  ++ended_all_;
  for (Peer* peer : line_) {
    if (!peer->ending) end(*peer);
  }
}

// The read that is under way then ends as if the client had closed the connection.
void Peers::end(Peer& peer) {
  peer.ending = true;
  ++ending_;
  leave_home(peer);
  ::shutdown(peer.descriptor, SHUT_RDWR);
}

std::shared_ptr<Peer> Peers::add(int descriptor, bool local, std::string home) {
  auto peer = std::make_shared<Peer>();
  peer->at = line_.insert(line_.end(), peer.get());
  peer->list = this;
  peer->descriptor = descriptor;
  peer->local = local;
  if (!local && !home.empty()) ++homes_[home];
  peer->home = std::move(home);
  peer->reading = true;  // It begins to read at once.
  return peer;
}

bool Peers::may_hold(Peer& peer, size_t bytes) {
  const size_t now = peer.framing.in_body() ? peer.held + bytes : 0;
  held_ += now - peer.held;
  peer.held = now;
  return held_ <= kHeldMax || now <= kHeldSmall;
}

Acceptor::Acceptor(boost::asio::io_context& io, Peers& peers, Options options)
    : io_(io),
      peers_(peers),
      options_(std::move(options)),
      acceptor_(io),
      timer_(io),
      hold_(io, options_.tls ? kLetInTls : kLetInPlain,
            [this](Guest guest) { admit(std::move(guest)); }) {}

Acceptor::~Acceptor() {
  if (reserve_ >= 0) ::close(reserve_);
}

uint16_t Acceptor::open(const boost::asio::ip::address& address, uint16_t port,
                        boost::system::error_code& ec) {
  const tcp::endpoint at(address, port);
  protocol_ = at.protocol();
  acceptor_.open(protocol_, ec);
  if (ec) return 0;
  // Child processes of the node must not keep the port open.
  if (fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC) != 0) {
    ec = boost::system::error_code(errno, boost::system::system_category());
    return 0;
  }
  acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor_.bind(at, ec);
  if (!ec) acceptor_.listen(boost::asio::socket_base::max_listen_connections, ec);
  if (!ec) acceptor_.non_blocking(true, ec);
  return ec ? uint16_t{0} : acceptor_.local_endpoint(ec).port();
}

void Acceptor::start() {
  take_reserve();
  wait();
}

void Acceptor::close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  timer_.cancel();
  hold_.clear();
}

void Acceptor::wait() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](const boost::system::error_code& ec) {
    if (ec == boost::asio::error::operation_aborted) return;
    if (ec) return wait_a_little(kRetry);
    accept_some();
  });
}

void Acceptor::accept_some() {
  bool is_flood = false;
  for (int i = 0; i < kAtOnce; ++i) {
    if (!take_reserve()) {
      if (!peers_.any_ending()) peers_.end_one();
      return wait_a_little(kRetry);
    }
    if (options_.busy && options_.busy()) return wait_a_little(kBusyRetry);
    boost::system::error_code ec;
    try {
      if (auto guest = accept_one(ec)) {
        is_flood |= !receive(*std::move(guest));
        continue;
      }
    } catch (const std::exception&) {
      continue;  // There is no memory for it. It is closed, and others are accepted.
    }
    if (ec == boost::asio::error::would_block || ec == boost::asio::error::try_again) {
      return is_flood ? wait_a_little(kFloodRetry) : wait();
    } else if (no_descriptors(ec)) {
      complain("no descriptors are left: idle connections to the API give way to new ones");
      use_reserve();
    }  // Otherwise the client has gone again.
  }
  wait();
}

std::optional<Guest> Acceptor::accept_one(boost::system::error_code& ec) {
  tcp::endpoint from;
  auto size = static_cast<socklen_t>(from.capacity());
  const int descriptor =
      ::accept4(acceptor_.native_handle(), from.data(), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (descriptor < 0) {
    ec = boost::system::error_code(errno, boost::system::system_category());
    return std::nullopt;
  }
  from.resize(size);
  Guest guest(descriptor);
  guest.address = from.address();
  guest.home = home_of(guest.address);
  guest.local = is_local(descriptor, guest.address);
  return guest;
}

bool Acceptor::receive(Guest guest) {
  if (!peers_.fails_often(guest.home)) {
    admit(std::move(guest));
    return true;
  }
  if (may_complain(complained_of_failures_)) {
    options_.trouble(fmt::format(
        "many connections to the API from {} have failed of late: new ones from there wait",
        guest.address.to_string()));
  }
  hold_.add(std::move(guest));
  return false;
}

// Accepts one more connection although no descriptor is left. An idle connection is ended for it,
// and its descriptor becomes the new reserve.
void Acceptor::use_reserve() {
  const bool room = peers_.end_one();
  ::close(std::exchange(reserve_, -1));
  boost::system::error_code ec;
  auto guest = accept_one(ec);
  // It is closed if no connection is ended for it.
  if (guest && (room || guest->local)) receive(*std::move(guest));
}

bool Acceptor::take_reserve() {
  if (reserve_ < 0) reserve_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  return reserve_ >= 0;
}

void Acceptor::wait_a_little(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) accept_some();
  });
}

void Acceptor::admit(Guest guest) {
  boost::system::error_code ignored;
  tcp::socket socket(io_);
  if (socket.assign(protocol_, guest.descriptor(), ignored); ignored) return;
  guest.release();
  if (!peers_.make_room(guest.local)) {
    complain("requests are at work on all connections to the API: new ones are refused");
    if (options_.tls) return;
    const ApiResponse answer =
        problem(Code::unavailable, "requests are at work on all connections: try again");
    // A few hundred bytes always fit into an empty send buffer.
    socket.non_blocking(true, ignored);
    socket.write_some(boost::asio::buffer(raw_answer(answer)), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    if (Drain::alive < Drain::kAliveMax) std::make_shared<Drain>(std::move(socket))->start();
    return;
  }
  socket.set_option(tcp::no_delay(true), ignored);
  auto peer = peers_.add(socket.native_handle(), guest.local, std::move(guest.home));
  try {
    options_.take(std::move(socket), peer);
    // By then all bytes that it had sent before are read.
    boost::asio::post(io_, [weak = std::weak_ptr(peer)] {
      if (const auto same = weak.lock()) same->met = true;
    });
  } catch (const std::exception&) {
    // There is no memory for it. It is closed, and others are accepted.
    peer->good = true;  // It is not the client that has failed.
  }
}

void Acceptor::complain(const char* words) {
  if (may_complain(complained_)) options_.trouble(words);
}

bool Acceptor::may_complain(Clock::time_point& last) const {
  const auto now = Clock::now();
  if (!options_.trouble || (last != Clock::time_point() && now - last < kComplainEvery))
    return false;
  last = now;
  return true;
}

size_t connections_allowed(size_t wanted) {
  constexpr size_t kOthers = 1024;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
  if (files.rlim_cur < wanted + kOthers) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, wanted + kOthers);
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) getrlimit(RLIMIT_NOFILE, &files);
  }
  const size_t limit = files.rlim_cur;
  return std::min(wanted, limit > 2 * kOthers ? limit - kOthers : limit / 2);
}

}  // namespace databridge::api
