// Owns the link to one address: resolving, connecting, greeting, and doing so again for ever.
// Hides its state and time-outs. Runs on the network's thread.
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

// What diallers ask of the network that owns them.
class DialContext {
 public:
  virtual ~DialContext() = default;
  virtual boost::asio::io_context& io() = 0;
  virtual const NetworkOptions& options() const = 0;
  virtual const env::Greeting& self() const = 0;
  virtual env::Greeting greeting() const = 0;  // The same, with what the log holds by now.
  virtual void link_up(const env::Greeting& peer, const std::shared_ptr<Connection>& link) = 0;
  virtual void link_gone(Incarnation peer, const std::shared_ptr<Connection>& link) = 0;
  virtual void tell(env::LinkEvent event) = 0;
  virtual void trouble(const std::string& line) = 0;
  // Where that named place was met last, perhaps before this start; and that it was met there.
  virtual Address remembered(const Address& place) const = 0;
  virtual void met(const Address& place, const Address& endpoint) = 0;
};

// Shared with the operations that are pending on the event loop.
class Dialler : public std::enable_shared_from_this<Dialler> {
 public:
  Dialler(DialContext& context, Address address);

  void start();
  void stop();     // No event follows.
  void hang_up();  // A link that was up is told as lost, and no event follows.
  void hurry();    // There is reason to think that somebody is there: no more waiting.

  // Our own greeting has changed: says so to the peer, or cuts a link that may no longer be.
  void greet_again();

  // The endpoint at which a peer has greeted last, numeric; empty: none yet.
  const std::string& met_at() const { return met_at_; }

  // A link to a process that has a successor is dead, whatever the socket says.
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
  Result<void> take_first_greeting(const env::Greeting& peer);
  void ended(const std::string& why);
  void give_up_attempt(const std::string& why);
  void all_refused();
  void again_after(Duration delay);
  Duration next_backoff();
  void tell(env::LinkNews news, bool process_gone = false);

  // Runs `act` after `delay`, unless the attempt has changed by then.
  template <typename Act>
  void after(Duration delay, Act act);

  enum class State : uint8_t { idle, resolving, connecting, greeting, up, parked };

  DialContext& context_;
  const Address address_;
  State state_ = State::idle;
  uint64_t attempt_ = 0;  // Handlers of an older one do nothing.
  bool stopped_ = false;

  Endpoints endpoints_;
  std::optional<Endpoints> fresh_;  // Resolved meanwhile: for the next attempt.
  bool resolving_ = false;          // A query is under way, perhaps of an older attempt.
  std::chrono::steady_clock::time_point resolved_at_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer timer_;
  boost::asio::ip::tcp::socket socket_;
  bool any_refused_ = false;
  bool any_failed_ = false;  // Otherwise than refused.
  std::string last_error_;

  std::shared_ptr<Connection> link_;
  env::Greeting peer_;  // The last one greeted here.
  int greetings_ = 0;   // On this link.
  std::string met_at_;
  env::Greeting stranger_;  // One that we must not talk to, found in this attempt.
  std::chrono::steady_clock::time_point up_since_;
  int cut_in_row_ = 0;       // Connections that ended before the greeting.
  int lingering_tries_ = 0;  // Refusals while the peer's process is still on its way out.
  Duration backoff_{};
  std::string trouble_told_;
};

}  // namespace databridge::platform
