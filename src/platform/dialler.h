// - Owns: the link to one address: resolving, connecting, greeting, and all this again for ever.
// - Hides: its state and time-outs. Network's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/connection.h"
#include "platform/network.h"

namespace databridge::platform {

// What diallers need from the network that owns them.
class DialContext {
 public:
  virtual ~DialContext() = default;
  virtual boost::asio::io_context& io() = 0;
  virtual const NetworkOptions& options() const = 0;
  // For the next connection. Empty: it is plain, or needs no proof.
  virtual TlsContext tls() const = 0;
  virtual const std::string& join_token() const = 0;
  virtual const env::Greeting& self() const = 0;
  virtual env::Greeting greeting() const = 0;  // The same, with the present position of the log.
  virtual void link_up(const env::Greeting& peer, const std::shared_ptr<Connection>& link) = 0;
  virtual void link_gone(Incarnation peer, const std::shared_ptr<Connection>& link) = 0;
  virtual void tell(env::LinkEvent event) = 0;
  virtual void trouble(const std::string& line) = 0;
  // remembered(): where that named place was met last, perhaps before this start. met(): it was met
  // there now.
  virtual Address remembered(const Address& place) const = 0;
  virtual void met(const Address& place, const Address& endpoint) = 0;
};

// Shared, because operations that are pending on the event loop hold it.
class Dialler : public std::enable_shared_from_this<Dialler> {
 public:
  Dialler(DialContext& context, Address address);

  void start();
  void stop();     // No event follows.
  void hang_up();  // A link that was up is reported as lost. No other event follows.
  void hurry();    // There is reason to expect a process at the address, so it waits no longer.

  // Our own greeting has changed. Sends it to the peer, or cuts a link that is no longer allowed.
  void greet_again();

  // The numeric endpoint at which a peer has greeted last; empty: none yet.
  const std::string& met_at() const { return met_at_; }

  // Cuts a link to a process that has a successor: it is dead, even if the socket seems alive.
  void cut_older(const KnownPeers& known);

 private:
  using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;

  void attempt();
  void resolve();
  void resolved(Endpoints found);
  bool use_remembered();
  void connect(size_t index);
  void connected(size_t index, boost::system::error_code error);
  void greet();
  Result<void> take_frame(FrameKind kind, BytesView payload);
  Result<void> check(const env::Greeting& peer);
  Result<void> await_proof(const env::Greeting& peer, BytesView payload);
  Result<void> take_first_greeting(const env::Greeting& peer);
  Result<void> take_proof(BytesView payload);
  void ended(const std::string& why);
  void give_up_attempt(const std::string& why);
  void all_refused();
  void again_after(Duration delay);
  Duration next_backoff();
  void tell(env::LinkNews news, bool process_gone = false);

  // Runs `act` after `delay`, unless another attempt has begun by then.
  template <typename Act>
  void after(Duration delay, Act act);

  enum class State : uint8_t { idle, resolving, connecting, greeting, up, parked };

  DialContext& context_;
  const Address address_;
  State state_ = State::idle;
  uint64_t attempt_ = 0;  // Handlers of an older attempt do nothing.
  bool stopped_ = false;

  Endpoints endpoints_;
  std::optional<Endpoints> fresh_;  // Resolved meanwhile, for the next attempt.
  bool resolving_ = false;          // A query is under way, perhaps one of an older attempt.
  std::chrono::steady_clock::time_point resolved_at_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_;
  boost::asio::ip::tcp::socket socket_;
  bool any_refused_ = false;
  bool any_failed_ = false;  // An attempt failed in another way than refused.
  std::string last_error_;

  std::shared_ptr<Connection> link_;
  env::Greeting peer_;    // The last peer that greeted here.
  int greetings_ = 0;     // The number of greetings on this link.
  std::string token_;     // The join token of this link; empty: none.
  Bytes said_, heard_;    // The first greetings, ours and the peer's, while a proof is awaited.
  env::Greeting met_;     // What `heard_` says.
  bool changed_ = false;  // Our greeting has changed since, and the peer hears it after the proof.
  std::string met_at_;
  env::Greeting stranger_;  // A process that we must not talk to, found in this attempt.
  std::chrono::steady_clock::time_point up_since_;
  int cut_in_row_ = 0;       // How many connections in a row ended before the greeting.
  int lingering_tries_ = 0;  // Refusals while the peer's process is still ending.
  Duration backoff_{};
  std::string trouble_told_;
};

}  // namespace databridge::platform
