#include "api/http.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <list>
#include <optional>
#include <restinio/all.hpp>
#include <thread>
#include <utility>

#include "api/compress.h"
#include "api/guard.h"
#include "api/http_accept.h"
#include "api/http_events.h"
#include "api/http_log.h"
#include "api/http_reason.h"
#include "api/http_socket.h"
#include "api/http_worker.h"
#include "api/routes.h"
#include "api/views.h"
#include "base/check.h"
#include "base/gzip.h"
#include "state/backup.h"

namespace databridge::api {
namespace {

using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kBodyMax = 8 << 20;
constexpr std::string_view kRestorePath = "/api/cluster/snapshot/restore";
constexpr size_t kLocalReserve = 32;        // Connections from this machine beyond the most.
constexpr size_t kCompressHere = 32 << 10;  // What is longer is compressed by the worker.
constexpr const char* kLate =
    "the cluster gave no answer in time; whether it was done is not known: look, or send it again "
    "with the same Idempotency-Key";

int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// RESTinio tells its errors to the logger only; one of them is ours to know.
class Logger {
 public:
  template <typename Message>
  void trace(Message&&) const noexcept {}
  template <typename Message>
  void info(Message&&) const noexcept {}
  template <typename Message>
  void warn(Message&&) const noexcept {}
  template <typename Message>
  void error(Message&& message) const {
    if (refusal) return;
    const std::string text = message();
    if (text.find("] parser error HPE_HEADER_OVERFLOW") != std::string::npos) {
      refuse(431, "too_large", "the header is too large");
    } else if (text.find("] parser error") != std::string::npos) {
      refuse(400, "invalid", "this is not HTTP/1.1 as RFC 9112 has it");
    }
  }
};

// Which methods there are; also names our own set of parser callbacks, below.
struct Methods : restinio::default_http_methods_t {};

uint64_t body_limit(const restinio::impl::http_parser_ctx_t& context) {
  std::string_view path = context.m_header.request_target();
  path = path.substr(0, path.find('?'));
  return path == kRestorePath ? kBackupUnpackedMax : kBodyMax;
}

restinio::impl::http_parser_ctx_t& context_of(http_parser* parser) {
  return *static_cast<restinio::impl::http_parser_ctx_t*>(parser->data);
}

int refuse_too_large(const restinio::impl::http_parser_ctx_t& context) {
  return refuse(413, "too_large",
                body_limit(context) == kBodyMax ? "the body is larger than is taken here (8 MiB)"
                                                : "the backup is larger than is taken (256 MiB)");
}

// By the library's name of a field, or by its own.
template <typename Field>
std::string text_of(const restinio::http_request_header_t& header, Field field) {
  const auto value = header.opt_value_of(field);
  return value ? std::string(value->data(), value->size()) : std::string();
}

int on_headers_complete(http_parser* parser) {
  auto& context = context_of(parser);
  context.m_leading_headers_completed = true;
  parser->upgrade = 0;  // No other protocol is spoken here: the request is one like any other.
  const std::string expected = text_of(context.m_header, restinio::http_field::expect);
  if (!expected.empty() && !same_word(expected, "100-continue")) {
    return refuse(417, "invalid", "100-continue is all that can be expected here");
  }
  const bool told = parser->content_length != ULLONG_MAX;  // Else none, or in chunks.
  if (told && parser->content_length > body_limit(context)) {
    return refuse_too_large(context);
  }
  const bool old = parser->http_major == 1 && parser->http_minor == 0;
  context.m_header.http_major(parser->http_major);
  context.m_header.http_minor(parser->http_minor);
  continue_expected = !expected.empty() && !old;
  // What is announced is not believed: memory is taken as the bytes come.
  if (told) context.m_body.reserve(std::min<size_t>(parser->content_length, 64 << 10));
  return 0;
}

int on_body(http_parser* parser, const char* at, size_t length) {
  continue_expected = false;  // The body comes without being asked for.
  auto& context = context_of(parser);
  if (context.m_body.size() + length > body_limit(context)) {
    return refuse_too_large(context);
  }
  context.m_body.append(at, length);
  return 0;
}

int on_url(http_parser* parser, const char* at, size_t length) {
  if (restinio::impl::restinio_url_cb(parser, at, length) == 0) return 0;
  return refuse(414, "too_large", "the path is longer than is taken here (8 KiB)");
}

int on_header_field(http_parser* parser, const char* at, size_t length) {
  if (restinio::impl::restinio_header_field_cb(parser, at, length) == 0) return 0;
  return refuse(431, "too_large", "more or longer header fields than are taken here");
}

int on_header_value(http_parser* parser, const char* at, size_t length) {
  if (restinio::impl::restinio_header_value_cb(parser, at, length) == 0) return 0;
  return refuse(431, "too_large", "more or longer header fields than are taken here");
}

}  // namespace
}  // namespace databridge::api

namespace restinio::impl {

// The library's callbacks, but for limits that know the path and say what was wrong.
template <>
inline http_parser_settings create_parser_settings<databridge::api::Methods>() noexcept {
  namespace api = databridge::api;
  http_parser_settings settings = create_parser_settings<restinio::default_http_methods_t>();
  settings.on_url = api::on_url;
  settings.on_header_field = api::on_header_field;
  settings.on_header_value = api::on_header_value;
  settings.on_headers_complete = api::on_headers_complete;
  settings.on_body = api::on_body;
  return settings;
}

}  // namespace restinio::impl

namespace databridge::api {
namespace {

class Core;

class Handler {
 public:
  explicit Handler(Core& core) : core_(core) {}
  restinio::request_handling_status_t operator()(const restinio::request_handle_t& request) const;

 private:
  Core& core_;
};

struct Traits : restinio::default_single_thread_traits_t {
  using logger_t = Logger;
  using request_handler_t = Handler;
  using stream_socket_t = Socket;
  using http_methods_mapper_t = Methods;
};
using Connections = restinio::impl::connection_factory_t<Traits>;

// One request on its way to its answer.
struct Exchange {
  restinio::request_handle_t request;
  Clock::time_point begun;
  Clock::time_point deadline;
  bool head = false;
  bool gzip = false;   // The client takes it.
  bool heavy = false;  // The worker sees to it.
  bool answered = false;
  size_t ended_all = 0;  // As Peers counted when it was read.
  std::function<ApiResponse(const cluster::ViewPtr&, const cluster::Outcome&)> render;
  std::string late;
};

// One client that watches events. It pulls: there is at most one write under way, and what comes
// meanwhile waits in the state, not in a buffer of the client's.
struct Watcher {
  restinio::response_builder_t<restinio::chunked_output_t> output;
  EventId seen;
  bool writing = false;
  bool ended = false;
  Clock::time_point wrote;
};

// Everything of the server that its thread owns. Shared, because an answer of the engine may come
// when the server has gone: it then finds nobody.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Backend& backend, HttpOptions options)
      : backend_(backend),
        options_(std::move(options)),
        routes_(backend, options_.seed),
        heavy_routes_(backend, ~options_.seed),
        log_(options_.access_log),
        peers_({options_.connections_max, kLocalReserve, options_.away_max, options_.on_trouble}),
        acceptor_(io_, peers_,
                  {.take = [this](auto socket,
                                  auto peer) { welcome(std::move(socket), std::move(peer)); },
                   .trouble = options_.on_trouble}),
        tick_(io_) {}

  Result<void> open();
  void run();
  void stop();
  void stop_worker() { worker_.stop(); }
  void published();
  uint16_t port() const { return port_; }

  void take(const restinio::request_handle_t& request);

 private:
  void welcome(tcp::socket socket, std::shared_ptr<Peer> peer);
  void handle(const restinio::request_handle_t& request);
  std::optional<ApiResponse> refuse_head(const restinio::http_request_header_t& header) const;
  // `job` makes the answer, on the worker's thread. False: too much waits there already.
  [[nodiscard]] bool toil(std::shared_ptr<Exchange> exchange, size_t bytes,
                          std::function<Routed()> job);
  void settle(std::shared_ptr<Exchange> exchange, Routed routed);
  // Compressed if the client takes that; then sent.
  void answer(const std::shared_ptr<Exchange>& exchange, ApiResponse response);
  void send(Exchange& exchange, ApiResponse response);
  void defer(std::shared_ptr<Exchange> exchange, Deferred deferred);
  void finish(const std::shared_ptr<Exchange>& exchange, cluster::Answer answer);
  void watch(const std::shared_ptr<Exchange>& exchange, EventStream stream);
  void log(const restinio::request_handle_t& request, Clock::time_point begun, int status,
           size_t bytes);

  void feed(const std::shared_ptr<Watcher>& watcher, const cluster::View& view);
  void write(const std::shared_ptr<Watcher>& watcher, std::shared_ptr<const std::string> text);
  void pump();
  void tick();

  Backend& backend_;
  const HttpOptions options_;
  Routes routes_;
  Routes heavy_routes_;  // The worker's.
  AccessLog log_;
  Peers peers_;
  asio::io_context io_{1};
  std::optional<Connections> connections_;
  Acceptor acceptor_;
  asio::steady_timer tick_;
  Worker worker_;
  uint16_t port_ = 0;
  std::vector<std::string> hosts_;
  std::deque<std::shared_ptr<Exchange>> waiting_;  // By deadline, for all wait equally long.
  std::list<std::shared_ptr<Watcher>> watchers_;
  EventBatches batches_;  // Of one pump.
  std::atomic<size_t> watching_{0};
  std::atomic<bool> pump_pending_{false};
};

restinio::request_handling_status_t Handler::operator()(
    const restinio::request_handle_t& request) const {
  continue_expected = false;
  core_.take(request);
  return restinio::request_accepted();
}

Result<void> Core::open() {
  asio::error_code ec;
  const std::string literal = options_.address == "localhost" ? "127.0.0.1" : options_.address;
  const auto address = asio::ip::make_address(literal, ec);
  if (ec) {
    return fail(Code::invalid, fmt::format("the API address {} is not an IP address", literal));
  }
  hosts_ = options_.hosts;
  for (const char* own : {"localhost", "127.0.0.1", "::1"}) hosts_.emplace_back(own);
  hosts_.push_back(options_.address);
  const auto limits = restinio::incoming_http_msg_limits_t{}
                          .max_url_size(8 << 10)
                          .max_field_name_size(256)
                          .max_field_value_size(8 << 10)
                          .max_field_count(100)
                          .max_body_size(kBackupUnpackedMax);
  // RESTinio's own limit on handling would cut connections; ours answers (see tick).
  constexpr std::chrono::hours kNever{24 * 365};
  restinio::server_settings_t<Traits> settings;
  settings.request_handler(*this)
      .max_pipelined_requests(1)
      .incoming_http_msg_limits(limits)
      .read_next_http_message_timelimit(options_.read_timeout)
      .write_http_response_timelimit(options_.write_timeout)
      .handle_request_timeout(kNever);
  // What its own server is made of, but for the acceptor: that one stops for good when descriptors
  // have run out once.
  const auto timers =
      std::make_shared<restinio::asio_timer_manager_t>(io_, std::chrono::seconds(1));
  connections_.emplace(std::make_shared<restinio::impl::connection_settings_t<Traits>>(
                           settings, restinio::impl::create_parser_settings<Methods>(), timers),
                       settings.socket_options_setter());
  port_ = acceptor_.open(address, options_.port, ec);
  if (ec) {
    return fail(Code::io, fmt::format("cannot listen on {}:{} for the API: {}", options_.address,
                                      options_.port, ec.message()));
  }
  acceptor_.start();
  return {};
}

void Core::welcome(tcp::socket socket, std::shared_ptr<Peer> peer) {
  asio::error_code ec;
  const auto remote = socket.remote_endpoint(ec);
  if (ec) return;  // It has gone again.
  // There is nothing to count: the list of peers does.
  struct Uncounted : restinio::connection_count_limits::impl::acceptor_callback_iface_t {
    void call_accept_now(std::size_t) noexcept override {}
    void schedule_next_accept_attempt(std::size_t) noexcept override {}
  } uncounted;
  using namespace restinio::connection_count_limits;
  noop_connection_count_limiter_t limiter{&uncounted, max_parallel_connections_t{0},
                                          max_active_accepts_t{0}};
  connections_
      ->create_new_connection(
          Socket(std::move(socket), std::move(peer)), remote,
          connection_lifetime_monitor_t<noop_connection_count_limiter_t>{&limiter})
      ->init();
}

void Core::run() {
  tick();
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception&) {
      // A connection's failure (no memory, no descriptor) ends that connection, not the server.
    }
  }
}

void Core::stop() {
  asio::post(io_, [this] {
    acceptor_.close();
    io_.stop();
  });
}

// Not at once: to an answer from inside its handler RESTinio reads the next request twice, after
// the handler and after the write, and loses what it has in hand. So each connection has one
// request at a time, and those that were sent behind it wait in its buffers.
void Core::take(const restinio::request_handle_t& request) {
  asio::post(io_, [this, request, ended = peers_.ended_all()] {
    peers_.look_at_clock();
    if (peers_.ended_all() == ended) handle(request);
  });
}

void Core::handle(const restinio::request_handle_t& request) {
  auto exchange = std::make_shared<Exchange>();
  exchange->ended_all = peers_.ended_all();
  exchange->request = request;
  exchange->begun = Clock::now();
  const auto& header = request->header();
  exchange->head = header.method() == restinio::http_method_head();
  exchange->gzip = takes_gzip(text_of(header, restinio::http_field::accept_encoding));

  ApiRequest call;
  call.method = header.method().c_str();
  const auto target = split_target(header.request_target());
  call.target = target.path;
  std::string host = "localhost";  // Of HTTP/1.0, which may name none.
  if (header.has_field(restinio::http_field::host)) {
    host = text_of(header, restinio::http_field::host);
  }
  if (!target.authority.empty()) host = target.authority;  // RFC 9112, section 3.2.2.
  if (auto refused = refuse_head(header)) return answer(exchange, std::move(*refused));
  if (const auto why = foreign(host, text_of(header, restinio::http_field::origin), hosts_)) {
    return answer(exchange, problem("forbidden", 403, *why));
  }
  call.accept = text_of(header, restinio::http_field::accept);
  call.last_event_id = text_of(header, "Last-Event-ID");
  if (!exchange->head && header.method() != restinio::http_method_get()) {
    call.content_type = text_of(header, restinio::http_field::content_type);
    call.if_match = text_of(header, restinio::http_field::if_match);
    call.idempotency_key = text_of(header, "Idempotency-Key");
    call.body = request->body();
  }
  if (!Routes::is_heavy(call)) {
    return settle(std::move(exchange), routes_.route(backend_.view(), std::move(call)));
  }
  const size_t bytes = call.body.size();
  const bool taken =
      toil(exchange, bytes, [this, view = backend_.view(), call = std::move(call)]() mutable {
        return heavy_routes_.route(view, std::move(call));
      });
  if (taken) return;
  send(*exchange, problem(Code::unavailable,
                          "too many large requests wait for their turn on this node: try again"));
}

// What is wrong with the fields that say how a request is to be read.
std::optional<ApiResponse> Core::refuse_head(const restinio::http_request_header_t& header) const {
  size_t hosts = 0;
  header.for_each_value_of(restinio::http_field::host, [&](const auto&) {
    ++hosts;
    return restinio::http_header_fields_t::continue_enumeration();
  });
  const bool old = header.http_major() == 1 && header.http_minor() == 0;
  if (hosts > 1 || (hosts == 0 && !old)) {
    return problem("invalid", 400, "one Host field is needed");
  }
  const std::string coding = text_of(header, restinio::http_field::content_encoding);
  const std::string transfer = text_of(header, restinio::http_field::transfer_encoding);
  if ((!coding.empty() && !same_word(coding, "identity")) ||
      (!transfer.empty() && !same_word(transfer, "chunked"))) {
    return problem("unsupported_media_type", 415,
                   "the body must come as it is, without a coding like gzip");
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
      routed = problem(Code::unavailable, fmt::format("this was too much: {}", error.what()));
    }
    job = {};
    // The last word on a request is the server thread's: its connection is of that one.
    asio::post(io_, [this, exchange = std::move(exchange), routed = std::move(routed)]() mutable {
      settle(std::move(exchange), std::move(routed));
    });
  });
}

void Core::settle(std::shared_ptr<Exchange> exchange, Routed routed) {
  if (exchange->answered || exchange->ended_all != peers_.ended_all()) return;  // Too late.
  if (auto* response = std::get_if<ApiResponse>(&routed)) {
    answer(exchange, std::move(*response));
  } else if (auto* deferred = std::get_if<Deferred>(&routed)) {
    defer(std::move(exchange), std::move(*deferred));
  } else {
    watch(exchange, std::get<EventStream>(routed));
  }
}

void Core::log(const restinio::request_handle_t& request, Clock::time_point begun, int status,
               size_t bytes) {
  if (!log_.wanted()) return;
  const auto took = Clock::now() - begun;
  const std::string remote = request->remote_endpoint().address().to_string();
  log_.add({.unix_ms = unix_ms_now(),
            .remote = remote,
            .method = request->header().method().c_str(),
            .target = request->header().request_target(),
            .status = status,
            .bytes = bytes,
            .micros = static_cast<uint64_t>(
                std::chrono::duration_cast<std::chrono::microseconds>(took).count())});
}

ApiResponse compressed(ApiResponse response) {
  auto smaller = gzip(response.body);
  if (!smaller) return response;
  response.body = std::move(*smaller);
  response.headers.emplace_back("Content-Encoding", "gzip");
  return response;
}

template <typename Builder>
void set_header(Builder& builder, const ApiResponse& response) {
  builder.append_header(restinio::http_field::content_type, response.content_type);
  builder.append_header(restinio::http_field::cache_control, "no-store");
  builder.append_header("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) builder.append_header(name, value);
}

void Core::answer(const std::shared_ptr<Exchange>& exchange, ApiResponse response) {
  if (response.body.size() < kCompressFrom) return send(*exchange, std::move(response));
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (!exchange->gzip) return send(*exchange, std::move(response));
  if (response.body.size() <= kCompressHere)
    return send(*exchange, compressed(std::move(response)));
  const auto whole = std::make_shared<ApiResponse>(std::move(response));
  exchange->gzip = false;  // Done once.
  const bool taken = worker_.post(whole->body.size(), [this, exchange, whole] {
    *whole = compressed(std::move(*whole));
    asio::post(io_, [this, exchange, whole] {
      if (!exchange->answered) send(*exchange, std::move(*whole));
    });
  });
  if (!taken) send(*exchange, std::move(*whole));
}

void Core::send(Exchange& exchange, ApiResponse response) {
  exchange.answered = true;
  log(exchange.request, exchange.begun, response.status, exchange.head ? 0 : response.body.size());
  const restinio::http_status_line_t status{
      restinio::http_status_code_t{static_cast<uint16_t>(response.status)},
      std::string(reason_of(response.status))};
  if (exchange.head) {
    auto builder = exchange.request->create_response<restinio::user_controlled_output_t>(status);
    set_header(builder, response);
    builder.set_content_length(response.body.size());
    builder.done();
    exchange.request.reset();
    return;
  }
  auto builder = exchange.request->create_response(status);
  set_header(builder, response);
  builder.set_body(std::move(response.body));
  builder.done();
  exchange.request.reset();  // It may wait in line for long; its body need not.
}

void Core::defer(std::shared_ptr<Exchange> exchange, Deferred deferred) {
  // From now on: it may have waited for the worker before, and others with it.
  exchange->deadline = Clock::now() + options_.answer_timeout;
  exchange->render = std::move(deferred.render);
  exchange->late = std::move(deferred.late);
  waiting_.push_back(exchange);
  // The engine may keep what it is given for longer than the server lives, so it owns nothing of
  // it: a connection must not outlive the loop that it belongs to.
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
  if (!result) return answer(exchange, problem(result.error().code, result.error().message));
  const auto outcome = std::make_shared<const cluster::Outcome>(std::move(*result));
  const auto render = [exchange, view = backend_.view(), outcome]() -> Routed {
    return exchange->render(view, *outcome);
  };
  if (exchange->heavy && toil(exchange, 0, render)) return;
  settle(exchange, render());  // It is done: to say so must not fail because others wait.
}

void Core::watch(const std::shared_ptr<Exchange>& asker, EventStream stream) {
  Exchange& exchange = *asker;
  if (watchers_.size() >= options_.streams_max) {
    return answer(asker, problem("rate_limited", 429, "too many event streams on this node"));
  }
  log(exchange.request, exchange.begun, 200, 0);
  auto builder = exchange.request->create_response<restinio::chunked_output_t>();
  ApiResponse header;
  header.content_type = "text/event-stream";
  set_header(builder, header);
  builder.connection_close();
  if (exchange.head) {
    builder.done();
    return;
  }
  auto watcher = std::make_shared<Watcher>(Watcher{std::move(builder), stream.after, {}, {}, {}});
  watchers_.push_back(watcher);
  // Before the first look at the state, so that no publish falls between the two.
  watching_.store(watchers_.size());
  write(watcher, std::make_shared<const std::string>(":\n\n"));
}

void Core::feed(const std::shared_ptr<Watcher>& watcher, const cluster::View& view) {
  if (watcher->writing || watcher->ended) return;
  if (view.state.last_event() <= watcher->seen) return;
  const EventBatch& batch = batches_.after(view, watcher->seen);
  if (batch.gone) {
    // It was too slow for the retention. The client comes back and is told 410.
    watcher->ended = true;
    watcher->output.done();
    return;
  }
  if (!batch.text) return;
  watcher->seen = batch.last;
  write(watcher, batch.text);
}

void Core::write(const std::shared_ptr<Watcher>& watcher, std::shared_ptr<const std::string> text) {
  watcher->writing = true;
  watcher->wrote = Clock::now();
  watcher->output.append_chunk(std::const_pointer_cast<std::string>(std::move(text)));
  watcher->output.flush(
      [weak = weak_from_this(), weak_watcher = std::weak_ptr(watcher)](const asio::error_code& ec) {
        const auto core = weak.lock();
        const auto written = weak_watcher.lock();
        if (!core || !written) return;
        written->writing = false;
        if (ec) written->ended = true;
        // More may have come meanwhile; all that are behind are fed together, from the same text.
        if (core->backend_.view()->state.last_event() > written->seen) core->published();
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

// Once a second: heartbeats to watchers, an end to those that are gone, answers to those whose
// request got none.
void Core::tick() {
  peers_.look_at_clock();
  const auto now = Clock::now();
  static const auto kHeartbeat = std::make_shared<const std::string>(": heartbeat\n\n");
  for (const auto& watcher : watchers_) {
    if (watcher->writing || watcher->ended) continue;
    if (now - watcher->wrote >= options_.stream_heartbeat) write(watcher, kHeartbeat);
  }
  watchers_.remove_if([](const auto& watcher) { return watcher->ended; });
  watching_.store(watchers_.size());

  while (!waiting_.empty() && (waiting_.front()->answered || waiting_.front()->deadline <= now)) {
    const std::shared_ptr<Exchange> exchange = waiting_.front();
    if (!exchange->answered) {
      send(*exchange, problem(Code::timed_out, exchange->late.empty() ? kLate : exchange->late));
    }
    waiting_.pop_front();
  }
  tick_.expires_after(
      std::min<Clock::duration>(std::chrono::seconds(1), options_.stream_heartbeat));
  tick_.async_wait([this](const asio::error_code& ec) {
    if (!ec) tick();
  });
}

class RestinioServer : public HttpServer {
 public:
  RestinioServer(Backend& backend, std::shared_ptr<Core> core)
      : backend_(backend), core_(std::move(core)), thread_([this] { core_->run(); }) {
    backend_.on_publish([weak = std::weak_ptr(core_)] {
      if (auto listening = weak.lock()) listening->published();
    });
  }
  ~RestinioServer() override {
    backend_.on_publish({});
    core_->stop();
    thread_.join();
    core_->stop_worker();
  }
  uint16_t port() const override { return core_->port(); }

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
  return std::make_unique<RestinioServer>(backend, std::move(core));
}

}  // namespace databridge::api
