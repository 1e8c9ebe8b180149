#include "api/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <list>
#include <optional>
#include <thread>
#include <utility>

#include "api/compress.h"
#include "api/door.h"
#include "api/guard.h"
#include "api/http_accept.h"
#include "api/http_connection.h"
#include "api/http_events.h"
#include "api/http_log.h"
#include "api/http_request.h"
#include "api/http_tls.h"
#include "api/http_worker.h"
#include "api/routes.h"
#include "api/views.h"

namespace databridge::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using ConnectionPtr = std::shared_ptr<Connection>;

constexpr size_t kLocalReserve = 32;        // Additional connections, for clients on this machine.
constexpr size_t kCompressHere = 32 << 10;  // The worker compresses longer answers.
constexpr const char* kLate =
    "the cluster gave no answer in time; whether it was done is not known: look, or send it again "
    "with the same Idempotency-Key";

int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// One request until it is answered.
struct Exchange {
  ConnectionPtr connection;  // Until the answer was given to it.
  std::string method;        // For the access log, if there is one.
  std::string target;
  std::optional<Caller> caller;  // Nullopt: no token was needed.
  Clock::time_point begun;
  Clock::time_point deadline;
  bool head = false;
  bool gzip = false;   // The client accepts it.
  bool heavy = false;  // The worker handles it.
  bool answered = false;
  bool known = false;    // The result is known; the answer is being written.
  bool last = false;     // The connection must end with the answer.
  size_t ended_all = 0;  // The count of Peers when it was read.
  std::function<ApiResponse(const cluster::ViewPtr&, const cluster::Outcome&)> render;
  std::string late;
};

// One client that watches events. It pulls: at most one write is under way. Events that come
// meanwhile wait in the state, not in a buffer for the client.
struct Watcher {
  ConnectionPtr connection;
  std::optional<Caller> caller;
  EventId seen;
  bool writing = false;
  bool ended = false;
  Clock::time_point wrote;
};

// All parts of the server that its thread owns. Shared, because an answer of the engine may come
// after the server has gone; it then has no effect.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Backend& backend, HttpOptions options)
      : backend_(backend),
        options_(std::move(options)),
        door_(std::exchange(options_.tokens, nullptr), options_.on_trouble),
        routes_(backend, options_.seed,
                [this] { return door_.metrics() + tls_.metrics() + acceptor_.metrics(); }),
        heavy_routes_(backend, ~options_.seed),
        log_(options_.access_log),
        peers_({options_.connections_max, kLocalReserve, options_.away_max, options_.on_trouble}),
        connections_({options_.read_timeout, options_.handshake_timeout, options_.write_timeout,
                      tls_,
                      [this](const ConnectionPtr& connection, HttpRequest&& request) {
                        take(connection, std::move(request));
                      },
                      [this](const ConnectionPtr& connection, const HttpRequest& head) {
                        return refuse_body(connection, head);
                      }}),
        tls_(io_,
             [this](const std::string& address, const char* why) {
               door_.handshake_failed(address, why, Instant(Clock::now().time_since_epoch()));
             }),
        acceptor_(io_, peers_,
                  {.take = [this](auto socket,
                                  auto peer) { welcome(std::move(socket), std::move(peer)); },
                   .trouble = options_.on_trouble,
                   .busy = [this] { return tls_.is_busy(); },
                   .tls = options_.tls.context != nullptr}),
        tick_(io_) {}

  Result<void> open();
  void run();
  void stop();
  void stop_worker() { worker_.stop(); }
  void published();
  void set_tokens(std::shared_ptr<const FileTokens> tokens);
  void set_tls(ServerTls tls);
  uint16_t port() const { return port_; }

 private:
  void use_tls(const ServerTls& tls);
  void welcome(tcp::socket socket, std::shared_ptr<Peer> peer);
  Exchange begin(const ConnectionPtr& connection, const HttpRequest& request) const;
  void take(const ConnectionPtr& connection, HttpRequest&& request);
  std::optional<ApiResponse> refuse_body(const ConnectionPtr& connection, const HttpRequest& head);
  std::optional<ApiResponse> ask_for_token(const HttpRequest& request, const Target& target,
                                           const cluster::View& view, Exchange& exchange);
  std::optional<ApiResponse> refuse_head(const HttpRequest& request, const Target& target,
                                         bool* last) const;
  // `job` makes the answer on the worker's thread. Returns false if too much waits there already.
  [[nodiscard]] bool toil(std::shared_ptr<Exchange> exchange, size_t bytes,
                          std::function<Routed()> job);
  void settle(const std::shared_ptr<Exchange>& exchange, Routed routed);
  // Compresses the answer if the client accepts that, then sends it.
  void answer(const std::shared_ptr<Exchange>& exchange, ApiResponse response);
  void send(Exchange& exchange, ApiResponse response);
  void defer(const std::shared_ptr<Exchange>& exchange, Deferred deferred);
  void finish(const std::shared_ptr<Exchange>& exchange, cluster::Answer answer);
  void watch(const std::shared_ptr<Exchange>& exchange, EventStream stream);
  void log(const Exchange& exchange, int status, size_t bytes);

  void feed(const std::shared_ptr<Watcher>& watcher, const cluster::View& view);
  void write(const std::shared_ptr<Watcher>& watcher, std::shared_ptr<const std::string> text);
  void pump();
  bool end_if_shut_out(Watcher& watcher, const cluster::View& view) const;
  void look_at_watchers();
  void tick();

  Backend& backend_;
  HttpOptions options_;
  Door door_;
  Routes routes_;
  Routes heavy_routes_;  // For the worker.
  AccessLog log_;
  Peers peers_;
  Connections connections_;
  asio::io_context io_{1};  // Destroyed before the members that its handlers refer to.
  Tls tls_;
  Acceptor acceptor_;
  asio::steady_timer tick_;
  Worker worker_;
  uint16_t port_ = 0;
  std::vector<std::string> own_hosts_;
  std::vector<std::string> hosts_;  // These, and those of the certificate.
  // In order of deadline, since all wait for the same time.
  std::deque<std::shared_ptr<Exchange>> waiting_;
  std::list<std::shared_ptr<Watcher>> watchers_;
  EventBatches batches_;  // For one round of feeding watchers.
  std::atomic<size_t> watching_{0};
  std::atomic<bool> pump_pending_{false};
};

Result<void> Core::open() {
  error_code ec;
  const std::string literal = options_.address == "localhost" ? "127.0.0.1" : options_.address;
  const auto address = asio::ip::make_address(literal, ec);
  if (ec) {
    return fail(Code::invalid, fmt::format("the API address {} is not an IP address", literal));
  }
  own_hosts_ = options_.hosts;
  for (const char* own : {"localhost", "127.0.0.1", "::1"}) own_hosts_.emplace_back(own);
  own_hosts_.push_back(options_.address);
  port_ = acceptor_.open(address, options_.port, ec);
  if (ec) {
    return fail(Code::io, fmt::format("cannot listen on {}:{} for the API: {}", options_.address,
                                      options_.port, ec.message()));
  }
  // A key or token that is replaced later must not stay in memory here.
  use_tls(std::exchange(options_.tls, {}));
  acceptor_.start();
  return {};
}

void Core::welcome(tcp::socket socket, std::shared_ptr<Peer> peer) {
  error_code ec;
  const auto remote = socket.remote_endpoint(ec);
  if (ec) return;  // The client has gone again.
  connections_.add(std::move(socket), std::move(peer), remote.address().to_string())->start();
}

void Core::run() {
  tick();
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception&) {
      // If a connection fails (no memory, no descriptor), only that connection ends, not the
      // server.
    }
  }
}

void Core::stop() {
  asio::post(io_, [this] {
    acceptor_.close();
    io_.stop();
  });
}

Exchange Core::begin(const ConnectionPtr& connection, const HttpRequest& request) const {
  Exchange exchange;
  exchange.connection = connection;
  exchange.ended_all = peers_.ended_all();
  exchange.begun = Clock::now();
  exchange.head = request.head();
  exchange.gzip = takes_gzip(request.accept_encoding);
  if (log_.wanted()) {
    exchange.method = request.asks.method;
    exchange.target = request.asks.target;
  }
  return exchange;
}

// Strangers must not make the node hold their bodies, so the token is looked at before the body has
// come whole, and again when it has.
std::optional<ApiResponse> Core::refuse_body(const ConnectionPtr& connection,
                                             const HttpRequest& head) {
  Exchange exchange = begin(connection, head);
  auto refused = ask_for_token(head, split_target(head.asks.target), *backend_.view(), exchange);
  if (refused) log(exchange, refused->status, refused->body.size());
  return refused;
}

void Core::take(const ConnectionPtr& connection, HttpRequest&& request) {
  connection->judged(false);
  auto exchange = std::make_shared<Exchange>(begin(connection, request));
  auto target = split_target(request.asks.target);
  if (auto refused = refuse_head(request, target, &exchange->last))
    return answer(exchange, std::move(*refused));
  const cluster::ViewPtr view = backend_.view();
  if (auto refused = ask_for_token(request, target, *view, *exchange))
    return answer(exchange, std::move(*refused));
  connection->judged(true);
  ApiRequest call = std::move(request.asks);
  call.target = std::move(target.path);
  if (exchange->caller) call.by = {exchange->caller->label, connection->remote()};
  // These have no body, and no fields that describe one.
  if (exchange->head || call.method == "GET") {
    call.content_type = call.if_match = call.idempotency_key = call.body = std::string();
  }
  if (!Routes::is_heavy(call)) {
    return settle(exchange, routes_.route(view, std::move(call)));
  }
  const size_t bytes = call.body.size();
  const bool taken = toil(exchange, bytes, [this, view, call = std::move(call)]() mutable {
    return heavy_routes_.route(view, std::move(call));
  });
  if (taken) return;
  send(*exchange, problem(Code::unavailable,
                          "too many large requests wait for their turn on this node: try again"));
}

// Why the client may not do what it asks for. Otherwise the exchange knows the client.
std::optional<ApiResponse> Core::ask_for_token(const HttpRequest& request, const Target& target,
                                               const cluster::View& view, Exchange& exchange) {
  const std::string_view path(target.path);
  auto passed = door_.pass({.need = Routes::need(request.asks.method, path),
                            .method = request.asks.method,
                            .path = path.substr(0, path.find('?')),
                            .authorization = request.authorization,
                            .address = exchange.connection->remote(),
                            .now = Instant(exchange.begun.time_since_epoch()),
                            .unix_ms = unix_ms_now()},
                           view);
  exchange.caller = std::move(passed.caller);
  return std::move(passed.refused);
}

// Why the fields are wrong that say for which host a request is and how to read it.
std::optional<ApiResponse> Core::refuse_head(const HttpRequest& request, const Target& target,
                                             bool* last) const {
  if (request.hosts > 1 || (request.hosts == 0 && !request.old)) {
    *last = true;  // A proxy in front of the node may have used another one of them.
    return problem("invalid", 400, "one Host field is needed");
  }
  if (!request.content_encoding.empty() && !same_word(request.content_encoding, "identity")) {
    return problem("unsupported_media_type", 415,
                   "the body must come as it is, without a coding like gzip");
  }
  // HTTP/1.0 may have no Host field. A host in the target counts more than the field (RFC 9112,
  // section 3.2.2).
  const std::string_view host = !target.authority.empty() ? std::string_view(target.authority)
                                : request.hosts == 0      ? "localhost"
                                                          : std::string_view(request.host);
  if (const auto why = foreign(host, request.origin, hosts_)) {
    return problem("forbidden", 403, *why);
  }
  return std::nullopt;
}

bool Core::toil(std::shared_ptr<Exchange> exchange, size_t bytes, std::function<Routed()> job) {
  exchange->heavy = true;
  return worker_.post(bytes, [this, exchange, job = std::move(job)]() mutable {
    Routed routed;
    try {
      routed = job();
    } catch (const std::exception& error) {
      routed = problem(Code::unavailable,
                       fmt::format("this node could not process the request: {}", error.what()));
    }
    job = {};
    // The server thread ends each request, since the connection belongs to that thread.
    asio::post(io_, [this, exchange = std::move(exchange), routed = std::move(routed)]() mutable {
      settle(exchange, std::move(routed));
    });
  });
}

void Core::settle(const std::shared_ptr<Exchange>& exchange, Routed routed) {
  if (exchange->answered || exchange->ended_all != peers_.ended_all()) return;  // Too late.
  if (auto* response = std::get_if<ApiResponse>(&routed)) {
    answer(exchange, std::move(*response));
  } else if (auto* deferred = std::get_if<Deferred>(&routed)) {
    defer(exchange, std::move(*deferred));
  } else {
    watch(exchange, std::get<EventStream>(routed));
  }
}

void Core::log(const Exchange& exchange, int status, size_t bytes) {
  if (!log_.wanted()) return;
  const auto took = Clock::now() - exchange.begun;
  log_.add({.unix_ms = unix_ms_now(),
            .remote = exchange.connection->remote(),
            .method = exchange.method,
            .target = exchange.target,
            .status = status,
            .bytes = bytes,
            .micros = static_cast<uint64_t>(
                std::chrono::duration_cast<std::chrono::microseconds>(took).count()),
            .token = exchange.caller ? std::string_view(exchange.caller->id) : std::string_view()});
}

void Core::answer(const std::shared_ptr<Exchange>& exchange, ApiResponse response) {
  if (response.body.size() < kCompressFrom) return send(*exchange, std::move(response));
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (!exchange->gzip) return send(*exchange, std::move(response));
  if (response.body.size() <= kCompressHere) {
    compress(response);
    return send(*exchange, std::move(response));
  }
  const auto whole = std::make_shared<ApiResponse>(std::move(response));
  exchange->gzip = false;  // It is done only once.
  const bool taken = worker_.post(whole->body.size(), [this, exchange, whole] {
    compress(*whole);
    asio::post(io_, [this, exchange, whole] {
      if (!exchange->answered) send(*exchange, std::move(*whole));
    });
  });
  if (!taken) send(*exchange, std::move(*whole));
}

void Core::send(Exchange& exchange, ApiResponse response) {
  exchange.answered = true;
  log(exchange, response.status, exchange.head ? 0 : response.body.size());
  // The exchange may stay in the list for long, but must not hold its connection.
  std::exchange(exchange.connection, nullptr)->answer(std::move(response), exchange.last);
}

void Core::defer(const std::shared_ptr<Exchange>& exchange, Deferred deferred) {
  // The time begins now: before, it may have waited for the worker behind other requests.
  exchange->deadline = Clock::now() + options_.answer_timeout;
  exchange->render = std::move(deferred.render);
  exchange->late = std::move(deferred.late);
  waiting_.push_back(exchange);
  // The engine may keep the callback for longer than the server lives. So it owns nothing of the
  // server: a connection must not outlive its event loop.
  backend_.submit(
      std::move(deferred.request),
      [weak = weak_from_this(), asker = std::weak_ptr(exchange)](cluster::Answer result) {
        const auto core = weak.lock();
        if (!core) return;
        asio::post(core->io_, [weak, asker, result = std::move(result)]() mutable {
          const auto still = weak.lock();
          const auto asked = asker.lock();
          if (still && asked) still->finish(asked, std::move(result));
        });
      });
}

void Core::finish(const std::shared_ptr<Exchange>& exchange, cluster::Answer result) {
  if (exchange->answered) return;
  if (!result) {
    const bool late = result.error().code == Code::timed_out && !exchange->late.empty();
    return answer(exchange,
                  problem(result.error().code, late ? exchange->late : result.error().message));
  }
  exchange->known = true;
  const auto outcome = std::make_shared<const cluster::Outcome>(std::move(*result));
  const auto render = [exchange, view = backend_.view(), outcome]() -> Routed {
    return exchange->render(view, *outcome);
  };
  if (exchange->heavy && toil(exchange, 0, render)) return;
  // The change is done. The client must learn that even if many other requests wait for the worker.
  settle(exchange, render());
}

void Core::watch(const std::shared_ptr<Exchange>& asker, EventStream stream) {
  Exchange& exchange = *asker;
  if (watchers_.size() >= options_.streams_max) {
    return answer(asker, problem("rate_limited", 429, "too many event streams on this node"));
  }
  log(exchange, 200, 0);
  exchange.answered = true;
  ApiResponse header;
  header.content_type = "text/event-stream";
  exchange.connection->begin_stream(header);
  if (exchange.head) return;
  auto watcher = std::make_shared<Watcher>(Watcher{
      std::exchange(exchange.connection, nullptr), exchange.caller, stream.after, {}, {}, {}});
  watchers_.push_back(watcher);
  // Set before the first look at the state, so that no publish is missed in between.
  watching_.store(watchers_.size());
  write(watcher, std::make_shared<const std::string>(":\n\n"));
}

void Core::feed(const std::shared_ptr<Watcher>& watcher, const cluster::View& view) {
  if (watcher->writing || watcher->ended) return;
  if (view.state.last_event() <= watcher->seen || end_if_shut_out(*watcher, view)) return;
  const EventBatch& batch = batches_.after(view, watcher->seen);
  if (batch.gone) {
    // It was slower than the retention of events. The client connects again and gets 410.
    watcher->ended = true;
    watcher->connection->end_stream();
    return;
  }
  if (!batch.text) return;
  watcher->seen = batch.last;
  write(watcher, batch.text);
}

void Core::write(const std::shared_ptr<Watcher>& watcher, std::shared_ptr<const std::string> text) {
  watcher->writing = true;
  watcher->wrote = Clock::now();
  watcher->connection->write(std::move(text), [this, weak = std::weak_ptr(watcher)](bool sent) {
    const auto written = weak.lock();
    if (!written) return;
    written->writing = false;
    written->ended = !sent;
    // More events may have come meanwhile. All watchers that are behind get them together, from the
    // same text.
    if (sent && backend_.view()->state.last_event() > written->seen) published();
  });
}

void Core::published() {
  if (watching_.load() == 0) return;
  if (pump_pending_.exchange(true)) return;
  asio::post(io_, [weak = weak_from_this()] {
    if (auto core = weak.lock()) core->pump();
  });
}

void Core::pump() {
  pump_pending_.store(false);
  const cluster::ViewPtr view = backend_.view();
  batches_.clear();
  for (const auto& watcher : watchers_) feed(watcher, *view);
  batches_.clear();
}

// The stream of a client ends when its token is revoked or has expired, or if it showed none and
// tokens are wanted by now.
bool Core::end_if_shut_out(Watcher& watcher, const cluster::View& view) const {
  if (door_.may_stay(watcher.caller, view, unix_ms_now())) return false;
  watcher.ended = true;
  watcher.connection->end_stream();
  return true;
}

void Core::look_at_watchers() {
  const auto now = Clock::now();
  const cluster::ViewPtr view = backend_.view();
  static const auto kHeartbeat = std::make_shared<const std::string>(": heartbeat\n\n");
  for (const auto& watcher : watchers_) {
    if (watcher->writing || watcher->ended) continue;
    if (end_if_shut_out(*watcher, *view)) continue;
    if (now - watcher->wrote >= options_.stream_heartbeat) write(watcher, kHeartbeat);
  }
  watchers_.remove_if([](const auto& watcher) { return watcher->ended; });
  watching_.store(watchers_.size());
}

void Core::set_tokens(std::shared_ptr<const FileTokens> tokens) {
  asio::post(io_,
             [this, tokens = std::move(tokens)]() mutable { door_.set_file(std::move(tokens)); });
}

void Core::set_tls(ServerTls tls) {
  asio::post(io_, [this, tls = std::move(tls)] { use_tls(tls); });
}

void Core::use_tls(const ServerTls& tls) {
  hosts_ = own_hosts_;
  hosts_.insert(hosts_.end(), tls.hosts.begin(), tls.hosts.end());
  tls_.set_context(tls.context);
}

// Once a second: ends connections whose time is over, sends heartbeats to watchers, answers
// requests that got no answer. It sets its timer first, so that it always comes again.
void Core::tick() {
  tick_.expires_after(
      std::min<Clock::duration>(std::chrono::seconds(1), options_.stream_heartbeat));
  tick_.async_wait([this](const error_code& ec) {
    if (!ec) tick();
  });
  peers_.look_at_clock();
  connections_.look_at_clock();
  look_at_watchers();
  const auto now = Clock::now();

  while (!waiting_.empty() && (waiting_.front()->answered || waiting_.front()->deadline <= now)) {
    const std::shared_ptr<Exchange> exchange = waiting_.front();
    if (!exchange->answered && !exchange->known) {
      send(*exchange, problem(Code::timed_out, exchange->late.empty() ? kLate : exchange->late));
    }
    waiting_.pop_front();
  }
}

class Server : public HttpServer {
 public:
  Server(Backend& backend, std::shared_ptr<Core> core)
      : backend_(backend), core_(std::move(core)), thread_([this] { core_->run(); }) {
    backend_.on_publish([weak = std::weak_ptr(core_)] {
      if (auto listening = weak.lock()) listening->published();
    });
  }
  ~Server() override {
    backend_.on_publish({});
    core_->stop();
    thread_.join();
    core_->stop_worker();
  }
  uint16_t port() const override { return core_->port(); }
  void set_tokens(std::shared_ptr<const FileTokens> tokens) override {
    core_->set_tokens(std::move(tokens));
  }
  void set_tls(ServerTls tls) override { core_->set_tls(std::move(tls)); }

 private:
  Backend& backend_;
  std::shared_ptr<Core> core_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(Backend& backend, HttpOptions options) {
  options.connections_max = connections_allowed(options.connections_max);
  auto core = std::make_shared<Core>(backend, std::move(options));
  if (auto opened = core->open(); !opened) return tl::make_unexpected(opened.error());
  return std::make_unique<Server>(backend, std::move(core));
}

}  // namespace databridge::api
