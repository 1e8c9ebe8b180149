#include "platform/dialler.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/connect.hpp>

#include "base/check.h"
#include "platform/join_proof.h"
#include "platform/process.h"
#include "platform/secret.h"

namespace databridge::platform {
namespace {

using boost::asio::ip::tcp;
using Watch = std::chrono::steady_clock;

constexpr int kCutsAtOnce = 5;  // After a cut, so many attempts come without a pause.
constexpr Duration kLinkWasGood = 100ms;
constexpr Duration kResolvedFor = 1s;
constexpr Duration kResolvePatience = 1s;
constexpr int kLingeringTries = 20;
constexpr Duration kLingeringPause = 1ms;

// Errors that say nothing about the peer, but only that this machine cannot reach such an address:
// for example, a name has an IPv6 address and the machine has no IPv6.
bool is_no_way(const boost::system::error_code& error) {
  return error == boost::asio::error::address_family_not_supported ||
         error == boost::asio::error::network_unreachable ||
         error == std::error_code(EADDRNOTAVAIL, std::generic_category());
}

}  // namespace

Dialler::Dialler(DialContext& context, Address address)
    : context_(context),
      address_(std::move(address)),
      resolver_(context.io()),
      timer_(context.io()),
      socket_(context.io()),
      backoff_(context.options().backoff_first) {}

void Dialler::start() { attempt(); }

void Dialler::stop() {
  stopped_ = true;
  ++attempt_;
  resolver_.cancel();
  timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (link_) {
    if (state_ == State::up) context_.link_gone(peer_.incarnation, link_);
    link_->close();
    link_.reset();
  }
}

void Dialler::hang_up() {
  if (state_ == State::up) tell(env::LinkNews::lost);
  stop();
}

void Dialler::hurry() {
  if (state_ == State::idle) attempt();
}

template <typename Act>
void Dialler::after(Duration delay, Act act) {
  timer_.expires_after(delay);
  timer_.async_wait(
      [self = shared_from_this(), attempt = attempt_, act](boost::system::error_code error) {
        if (!error && attempt == self->attempt_ && !self->stopped_) act();
      });
}

void Dialler::attempt() {
  ++attempt_;
  any_refused_ = any_failed_ = false;
  stranger_ = {};
  boost::system::error_code not_numeric;
  const auto numeric = boost::asio::ip::make_address(address_.host, not_numeric);
  if (!not_numeric) {
    endpoints_ = {tcp::endpoint(numeric, address_.port)};
    return connect(0);
  }
  if (fresh_) endpoints_ = *std::exchange(fresh_, std::nullopt);
  // After a loss the known addresses are tried at once, since the news must not wait for a name
  // server.
  if (!endpoints_.empty() && Watch::now() - resolved_at_ < kResolvedFor) return connect(0);
  if (!endpoints_.empty() && (state_ == State::up || resolving_)) return connect(0);
  resolve();
}

// If a name server does not answer, the node still tries the address where the peer was met last.
void Dialler::resolve() {
  state_ = State::resolving;
  after(kResolvePatience, [this] {
    if (!endpoints_.empty() || use_remembered()) return connect(0);
    // Otherwise it waits for the answer.
  });
  if (std::exchange(resolving_, true)) return;
  resolver_.async_resolve(address_.host, std::to_string(address_.port),
                          tcp::resolver::numeric_service,
                          [self = shared_from_this()](boost::system::error_code error,
                                                      const tcp::resolver::results_type& found) {
                            self->resolving_ = false;
                            if (self->stopped_) return;
                            Endpoints endpoints;
                            for (const auto& entry : found) endpoints.push_back(entry.endpoint());
                            if (!error) return self->resolved(std::move(endpoints));
                            if (self->state_ != State::resolving) return;
                            // An outage of the name server is no reason to forget an address.
                            if (!self->endpoints_.empty() || self->use_remembered()) {
                              return self->connect(0);
                            }
                            self->give_up_attempt(fmt::format(
                                "cannot resolve {}: {}", self->address_.host, error.message()));
                          });
}

void Dialler::resolved(Endpoints found) {
  resolved_at_ = Watch::now();
  if (state_ != State::resolving) {
    fresh_ = std::move(found);
    return;
  }
  endpoints_ = std::move(found);
  connect(0);
}

bool Dialler::use_remembered() {
  const Address known = context_.remembered(address_);
  boost::system::error_code error;
  const auto ip = boost::asio::ip::make_address(known.host, error);
  if (error) return false;
  endpoints_ = {tcp::endpoint(ip, known.port)};
  return true;
}

void Dialler::connect(size_t index) {
  state_ = State::connecting;
  if (index >= endpoints_.size()) {
    if (any_refused_ && !any_failed_) return all_refused();
    return give_up_attempt(last_error_);
  }
  const auto& endpoint = endpoints_[index];
  boost::system::error_code error;
  socket_ = tcp::socket(context_.io());
  const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return connected(index, boost::system::error_code(errno, boost::system::system_category()));
  }
  socket_.assign(endpoint.protocol(), fd, error);
  set_link_options(fd, context_.options().silence);
  after(context_.options().connect_time,
        [this, index] { connected(index, boost::asio::error::timed_out); });
  socket_.async_connect(endpoint, [self = shared_from_this(), attempt = attempt_,
                                   index](boost::system::error_code outcome) {
    if (attempt == self->attempt_ && !self->stopped_) self->connected(index, outcome);
  });
}

void Dialler::connected(size_t index, boost::system::error_code error) {
  timer_.cancel();
  ++attempt_;  // Pending events of this endpoint are stale now.
  if (!error) {
    // A port of the ephemeral range on which no process listens may connect to itself.
    boost::system::error_code ignored;
    if (socket_.local_endpoint(ignored) == socket_.remote_endpoint(ignored)) {
      error = boost::asio::error::connection_refused;
    }
  }
  if (!error) return greet();
  boost::system::error_code ignored;
  socket_.close(ignored);
  last_error_ = error.message();
  if (error == boost::asio::error::connection_refused) {
    any_refused_ = true;
  } else if (!is_no_way(error)) {
    any_failed_ = true;
  }
  connect(index + 1);
}

void Dialler::greet() {
  state_ = State::greeting;
  greetings_ = 1;
  link_ = std::make_shared<Connection>(
      std::make_unique<Channel>(std::move(socket_), context_.tls(), Side::dialled),
      context_.options().queue_bytes_max);
  after(context_.options().greeting_time, [this] {
    link_->close("no greeting came");
    ended(heard_.empty() ? "no greeting came in time"
                         : fmt::format("{}no proof came in time", kTokenEnd));
  });
  // Weak, since the link is ours and keeps these handlers.
  const std::weak_ptr<Dialler> weak = weak_from_this();
  link_->start(
      [weak](FrameKind kind, BytesView payload) -> Result<void> {
        const auto self = weak.lock();
        if (!self) return {};
        return self->take_frame(kind, payload);
      },
      [weak](const std::string& why) {
        if (const auto self = weak.lock()) self->ended(why);
      });
  token_ = context_.join_token();
  heard_.clear();
  changed_ = false;
  said_ = encode_greeting(context_.greeting(), token_.empty() ? Bytes() : fresh_nonce());
  link_->send(FrameKind::greeting, said_);
}

Result<void> Dialler::take_frame(FrameKind kind, BytesView payload) {
  if (kind == FrameKind::proof) return take_proof(payload);
  if (kind != FrameKind::greeting) {
    return fail(Code::invalid, "a message came from the side that only listens");
  }
  auto peer = decode_greeting(payload);
  if (!peer) return tl::make_unexpected(peer.error());
  if (auto named = check_node_name(link_->certificate(), peer->node); !named) return named;
  if (state_ == State::greeting && !token_.empty()) return await_proof(*peer, payload);
  if (auto fits = check(*peer); !fits) return fits;
  if (state_ == State::greeting) return take_first_greeting(*peer);
  if (state_ == State::parked) return {};
  if (auto same = check_later_greeting(peer_, *peer); !same) return same;
  if (++greetings_ > kGreetingsMax) return fail(Code::invalid, "it greets too often");
  const bool has_entered = peer->cluster != peer_.cluster;
  peer_ = *peer;
  if (has_entered) tell(env::LinkNews::up);
  return {};
}

Result<void> Dialler::check(const env::Greeting& peer) {
  auto fits = check_peer(context_.self(), peer);
  if (!fits) stranger_ = peer;
  return fits;
}

// Nothing follows from a greeting before its proof: neither where that process belongs, nor that it
// is there.
Result<void> Dialler::await_proof(const env::Greeting& peer, BytesView payload) {
  if (!heard_.empty()) return fail(Code::invalid, "a greeting came instead of a proof");
  if (nonce_of(payload).size() != kNonceSize) {
    return fail(
        Code::forbidden,
        fmt::format("{}node {} has none, and node {} asks for one: give node {} the file "
                    "of this cluster with --cluster-join-token-file",
                    kTokenEnd, peer.node.value, context_.self().node.value, peer.node.value));
  }
  heard_ = payload;
  met_ = peer;
  return {};
}

// The listener proves first, so only a listener with the token ever gets our proof.
Result<void> Dialler::take_proof(BytesView payload) {
  if (state_ != State::greeting || heard_.empty()) {
    return fail(Code::invalid, "a proof came that was not asked for");
  }
  if (!is_equal_secret(payload, join_proof(token_, Prover::listener, said_, heard_))) {
    return fail(Code::forbidden,
                fmt::format("{}node {} has another join token than node {}, or its words were "
                            "changed on the way",
                            kTokenEnd, met_.node.value, context_.self().node.value));
  }
  if (auto fits = check(met_); !fits) return fits;
  link_->send(FrameKind::proof, join_proof(token_, Prover::dialler, said_, heard_));
  if (changed_) link_->send(FrameKind::greeting, encode_greeting(context_.greeting()));
  return take_first_greeting(met_);
}

Result<void> Dialler::take_first_greeting(const env::Greeting& peer) {
  timer_.cancel();
  ++attempt_;  // The time-out may already be under way.
  cut_in_row_ = 0;
  trouble_told_.clear();
  if (peer.incarnation == context_.self().incarnation) {
    state_ = State::parked;  // Ourselves. If this link ends, the address has moved.
    // A name that also stands for other addresses may be a name of all nodes.
    if (endpoints_.size() == 1) context_.tell({env::LinkNews::up, address_, peer, false});
    return {};
  }
  state_ = State::up;
  peer_ = peer;
  if (Watch::now() - up_since_ > context_.options().backoff_last) {
    backoff_ = context_.options().backoff_first;
  }
  up_since_ = Watch::now();
  met_at_ = link_->remote_text();
  boost::system::error_code not_numeric;
  (void)boost::asio::ip::make_address(address_.host, not_numeric);
  if (not_numeric) {
    if (const auto endpoint = Address::parse(met_at_)) context_.met(address_, *endpoint);
  }
  lingering_tries_ = 0;
  context_.link_up(peer_, link_);
  tell(env::LinkNews::up);
  return {};
}

void Dialler::ended(const std::string& why) {
  timer_.cancel();
  ++attempt_;
  const auto link = std::move(link_);
  link_.reset();
  if (state_ == State::up) {
    context_.link_gone(peer_.incarnation, link);
    tell(env::LinkNews::lost);
    if (stopped_) return;
    // A link that ends as soon as it is up must not be dialled again at once.
    if (Watch::now() - up_since_ < kLinkWasGood) return again_after(next_backoff());
    backoff_ = context_.options().backoff_first;
    return attempt();
  }
  if (state_ == State::parked) {
    context_.tell({env::LinkNews::lost, address_, context_.self(), false});
    return again_after(context_.options().backoff_last);
  }
  // The connection was cut before the greeting, by a process that is about to end or has too many
  // guests. The next connect tells more.
  const bool is_cut = !stranger_.incarnation && !why.starts_with("the peer said") &&
                      !why.starts_with("no greeting") && !why.starts_with(kTlsEnd) &&
                      !why.starts_with(kTokenEnd);
  if (is_cut && ++cut_in_row_ <= kCutsAtOnce) return attempt();
  give_up_attempt(why);
}

void Dialler::give_up_attempt(const std::string& why) {
  cut_in_row_ = 0;
  if (why != trouble_told_) {
    trouble_told_ = why;
    context_.trouble(fmt::format("no link to {}: {}", address_.text(), why));
  }
  context_.tell(
      {env::LinkNews::failed, address_, stranger_.incarnation ? stranger_ : peer_, false});
  if (!stopped_) again_after(next_backoff());
}

void Dialler::all_refused() {
  cut_in_row_ = 0;
  const bool had_peer = static_cast<bool>(peer_.incarnation);
  const bool gone = had_peer && is_gone(peer_, context_.self());
  tell(env::LinkNews::refused, gone);
  if (stopped_) return;
  // A killed process closes its port a little before it is gone, so the next look comes soon.
  const bool may_linger = had_peer && !gone && peer_.host_boot_id == context_.self().host_boot_id &&
                          peer_.pidns == context_.self().pidns;
  if (may_linger && lingering_tries_ < kLingeringTries) {
    ++lingering_tries_;
    return again_after(kLingeringPause);
  }
  again_after(next_backoff());
}

void Dialler::again_after(Duration delay) {
  state_ = State::idle;
  ++attempt_;
  after(delay, [this] { attempt(); });
}

Duration Dialler::next_backoff() {
  const Duration now = backoff_;
  backoff_ = std::min(backoff_ * 2, context_.options().backoff_last);
  return now;
}

void Dialler::tell(env::LinkNews news, bool process_gone) {
  context_.tell({news, address_, peer_, process_gone});
}

void Dialler::cut_older(const KnownPeers& known) {
  if (state_ != State::up) return;
  const auto successor = known.find(peer_.incarnation);
  if (successor == known.end() || peer_.boot >= successor->second.boot) return;
  link_->close("a newer process of this node has come");
  ended("a newer process of that node has come");
}

void Dialler::greet_again() {
  if (!link_) return;
  if (state_ == State::greeting && !token_.empty()) {
    changed_ = true;  // The proof is about the first greeting alone.
    return;
  }
  if (state_ == State::up) {
    if (const auto fits = check_peer(context_.self(), peer_); !fits) {
      link_->close(fits.error().message);
      return ended(fits.error().message);
    }
  }
  link_->send(FrameKind::greeting, encode_greeting(context_.greeting()));
}

}  // namespace databridge::platform
