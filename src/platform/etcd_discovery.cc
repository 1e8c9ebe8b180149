#include "platform/etcd_discovery.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "base/time.h"
#include "platform/etcd_json.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using Watch = std::chrono::steady_clock;

constexpr int kLeaseSeconds = 10;  // A node that is gone is seen for so long.
constexpr Duration kKeepAlive = 3s;
constexpr Duration kReadAgain = 15s;  // Also without news: a watch may fail silently.
constexpr long kConnectMs = 1000, kRequestMs = 2000, kGoodbyeMs = 500;
constexpr Duration kPauseFirst = 250ms, kPauseLast = 5s;  // After a session or a round of failures.
constexpr Duration kWasGood = 10s;                        // A session that lasted so long.

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyCloser>;
struct HeadersCloser {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// One HTTP request and its answer. libcurl keeps its address.
struct Exchange {
  Easy easy{curl_easy_init()};
  std::unique_ptr<curl_slist, HeadersCloser> headers{
      curl_slist_append(nullptr, "Content-Type: application/json")};
  std::string body, answer;
  bool is_done = false;
  CURLcode outcome = CURLE_OK;
};

size_t take_bytes(char* data, size_t, size_t size, void* to) {
  auto& answer = static_cast<Exchange*>(to)->answer;
  if (answer.size() + size > kEtcdAnswerMax) return 0;  // libcurl ends the request.
  answer.append(data, size);
  return size;
}

std::string base_of(const std::string& url) { return url.substr(0, url.find('/', 7)); }

std::string name_of(const std::string& url) {
  const size_t slash = url.find('/', 7);
  const std::string name = slash == std::string::npos ? "" : url.substr(slash + 1);
  return name.empty() ? "default" : name;
}

class EtcdDiscovery final : public env::Discovery {
 public:
  explicit EtcdDiscovery(EtcdOptions options)
      : options_(std::move(options)),
        prefix_("/databridge/" + name_of(options_.endpoints.at(0)) + "/nodes/"),
        multi_(curl_multi_init()) {
    CHECK(multi_ != nullptr);
  }
  ~EtcdDiscovery() override;

  Result<void> start(Sighting self, uint64_t boot, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override;

 private:
  void run();
  Result<void> session(const std::string& endpoint);
  Result<void> register_node();
  Result<void> put();
  Result<void> keep_alive();
  Result<void> read();
  void watch();
  void end_watch();
  Result<void> take_news();
  void say_goodbye();
  Result<std::string> ask(const char* path, std::string body, long time_ms = kRequestMs);
  void prepare(Exchange& exchange, const char* path, std::string body);
  void work(Duration most);
  void pause(Duration time);
  void came_back();

  const EtcdOptions options_;
  const std::string prefix_;
  Receiver receiver_;

  // The thread of this source only.
  CURLM* const multi_;
  std::string endpoint_;
  Sighting self_;
  std::string put_as_;  // The value under our key.
  int64_t lease_ = 0;
  int64_t revision_ = 0;
  std::unique_ptr<Exchange> watched_;
  Watch::time_point kept_at_, put_at_, read_at_;
  std::optional<Sightings> told_;
  size_t unreadable_ = 0;
  bool is_lost_ = false, was_well_ = false;

  std::atomic<bool> ending_ = false;
  Mutex mutex_;
  ClusterId cluster_ GUARDED_BY(mutex_);
  std::thread thread_;
};

EtcdDiscovery::~EtcdDiscovery() {
  ending_ = true;
  curl_multi_wakeup(multi_);
  if (thread_.joinable()) thread_.join();
  end_watch();
  curl_multi_cleanup(multi_);
}

Result<void> EtcdDiscovery::start(Sighting self, uint64_t, Receiver receiver) {
  CHECK(!thread_.joinable());
  self_ = std::move(self);
  receiver_ = std::move(receiver);
  {
    const MutexLock lock(mutex_);
    if (cluster_.empty()) cluster_ = self_.cluster;
  }
  thread_ = start_thread("etcd-discovery", [this] { run(); });
  return {};
}

void EtcdDiscovery::set_cluster(const ClusterId& cluster) {
  {
    const MutexLock lock(mutex_);
    cluster_ = cluster;
  }
  curl_multi_wakeup(multi_);
}

// Tries the endpoints in turn, for ever. Only a whole round of failures to begin is a loss.
void EtcdDiscovery::run() {
  Duration wait = kPauseFirst;
  for (size_t turn = 0, failures = 0; !ending_; ++turn) {
    was_well_ = false;
    const auto began = Watch::now();
    const auto ended = session(options_.endpoints[turn % options_.endpoints.size()]);
    end_watch();
    if (ending_) break;
    if (Watch::now() - began >= kWasGood) wait = kPauseFirst;
    // A server or a proxy may end a watch at any time. That is no loss if the next session begins
    // well. But if no watch can be held, the pauses grow all the same.
    if (was_well_) {
      failures = 0;
    } else if (++failures < options_.endpoints.size()) {
      continue;
    }
    if (!was_well_ && !std::exchange(is_lost_, true)) {
      receiver_.on_note(true, fmt::format("etcd does not answer at {}: {}; nodes that were found "
                                          "stay, new ones cannot be found by it",
                                          endpoint_, ended ? "" : ended.error().message));
    }
    pause(wait);
    wait = std::min(wait * 2, kPauseLast);
  }
  say_goodbye();
}

// Lasts as long as all goes well, and returns why it does no longer.
Result<void> EtcdDiscovery::session(const std::string& endpoint) {
  endpoint_ = base_of(endpoint);
  if (auto done = register_node(); !done) return done;
  if (auto done = read(); !done) return done;
  came_back();
  watch();
  while (!ending_) {
    work(std::max<Duration>(kept_at_ + kKeepAlive - Watch::now(), 1ms));
    if (ending_) break;
    if (auto done = take_news(); !done) return done;
    if (auto done = put(); !done) return done;
    if (Watch::now() - kept_at_ >= kKeepAlive) {
      if (auto done = keep_alive(); !done) return done;
    }
    if (Watch::now() - read_at_ >= kReadAgain) {
      if (auto done = read(); !done) return done;
    }
  }
  return {};
}

void EtcdDiscovery::came_back() {
  was_well_ = true;
  if (std::exchange(is_lost_, false)) {
    receiver_.on_note(false, fmt::format("etcd answers again at {}", endpoint_));
  }
}

Result<void> EtcdDiscovery::register_node() {
  // A lease of an earlier session may go on, and the key with it.
  if (lease_ == 0) {
    const auto answer = ask("/v3/lease/grant", fmt::format(R"({{"TTL":"{}"}})", kLeaseSeconds));
    if (!answer) return tl::make_unexpected(answer.error());
    const auto lease = parse_etcd_lease(*answer);
    if (!lease) return tl::make_unexpected(lease.error());
    lease_ = lease->id;
    put_as_.clear();
    kept_at_ = Watch::now();
  } else if (auto kept = keep_alive(); !kept) {
    return kept;
  }
  return put();
}

// Writes this node's key, if it does not say so already.
Result<void> EtcdDiscovery::put() {
  {
    const MutexLock lock(mutex_);
    self_.cluster = cluster_;
  }
  if (lease_ == 0) return register_node();
  std::string value = etcd_value(self_);
  if (value == put_as_) return {};
  const std::string key = prefix_ + fmt::format("{:016x}", self_.incarnation.value);
  const auto answer = ask("/v3/kv/put", fmt::format(R"({{"key":"{}","value":"{}","lease":"{}"}})",
                                                    to_base64(key), to_base64(value), lease_));
  if (!answer) {
    lease_ = 0;  // Perhaps it has ended: a new one is asked for.
    return tl::make_unexpected(answer.error());
  }
  put_as_ = std::move(value);
  put_at_ = Watch::now();
  return {};
}

Result<void> EtcdDiscovery::keep_alive() {
  const auto answer = ask("/v3/lease/keepalive", fmt::format(R"({{"ID":"{}"}})", lease_));
  if (!answer) return tl::make_unexpected(answer.error());
  const auto lease = parse_etcd_lease(*answer);
  if (!lease) return tl::make_unexpected(lease.error());
  kept_at_ = Watch::now();
  if (lease->ttl > 0) return {};
  lease_ = 0;  // It has ended, and our key with it.
  return register_node();
}

// A linearizable read: only a server with a quorum answers it.
Result<void> EtcdDiscovery::read() {
  const auto answer =
      ask("/v3/kv/range",
          fmt::format(R"({{"key":"{}","range_end":"{}","limit":"{}"}})", to_base64(prefix_),
                      to_base64(etcd_range_end(prefix_)), 2 * kSightingsMax));
  if (!answer) return tl::make_unexpected(answer.error());
  auto range = parse_etcd_range(*answer);
  if (!range) return tl::make_unexpected(range.error());
  read_at_ = Watch::now();
  // Somebody has deleted this node's key: it is written again. The pause is for a reader that never
  // shows it, since each write is news.
  const bool is_there =
      std::any_of(range->nodes.begin(), range->nodes.end(),
                  [&](const Sighting& node) { return node.incarnation == self_.incarnation; });
  if (!is_there && read_at_ - put_at_ >= kKeepAlive) put_as_.clear();
  revision_ = range->revision;
  if (range->unreadable > std::exchange(unreadable_, range->unreadable)) {
    receiver_.on_note(true, fmt::format("etcd has {} keys under {} that no node wrote: they are "
                                        "passed over",
                                        unreadable_, prefix_));
  }
  if (told_ == range->nodes) return {};
  told_ = range->nodes;
  receiver_.on_sightings(std::move(range->nodes));
  return {};
}

void EtcdDiscovery::watch() {
  end_watch();
  watched_ = std::make_unique<Exchange>();
  prepare(
      *watched_, "/v3/watch",
      fmt::format(R"({{"create_request":{{"key":"{}","range_end":"{}","start_revision":"{}"}}}})",
                  to_base64(prefix_), to_base64(etcd_range_end(prefix_)), revision_ + 1));
  curl_easy_setopt(watched_->easy.get(), CURLOPT_TCP_KEEPALIVE, 1L);
  curl_multi_add_handle(multi_, watched_->easy.get());
}

void EtcdDiscovery::end_watch() {
  if (watched_) curl_multi_remove_handle(multi_, watched_->easy.get());
  watched_.reset();
}

// The lines of the watch. News only cause a new read, so none can be missed or read wrongly.
Result<void> EtcdDiscovery::take_news() {
  bool has_news = false, must_watch = false;
  for (;;) {
    const size_t end = watched_->answer.find('\n');
    if (end == std::string::npos) break;
    const auto watched = parse_etcd_watched(BytesView(watched_->answer).substr(0, end));
    if (!watched) return tl::make_unexpected(watched.error());
    has_news |= watched->has_events || watched->has_ended;
    must_watch |= watched->has_ended;
    watched_->answer.erase(0, end + 1);
  }
  if (watched_->is_done) {
    return fail(Code::unavailable,
                std::string("the watch ended: ") + curl_easy_strerror(watched_->outcome));
  }
  if (has_news) {
    if (auto done = read(); !done) return done;
  }
  if (must_watch) watch();
  return {};
}

// Takes this node's key away at once. The lease would end by itself.
void EtcdDiscovery::say_goodbye() {
  if (lease_ == 0 || is_lost_) return;
  const auto answer = ask("/v3/lease/revoke", fmt::format(R"({{"ID":"{}"}})", lease_), kGoodbyeMs);
  if (!answer) return;  // Then the lease ends by itself.
}

void EtcdDiscovery::prepare(Exchange& exchange, const char* path, std::string body) {
  CHECK(exchange.easy != nullptr && exchange.headers != nullptr);
  CURL* easy = exchange.easy.get();
  exchange.body = std::move(body);
  curl_easy_setopt(easy, CURLOPT_URL, (endpoint_ + path).c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // The environment of the process has no say.
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange.body.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange.headers.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &exchange);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // It waits for no name that hangs.
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
}

Result<std::string> EtcdDiscovery::ask(const char* path, std::string body, long time_ms) {
  const bool is_goodbye = ending_;
  Exchange exchange;
  prepare(exchange, path, std::move(body));
  curl_easy_setopt(exchange.easy.get(), CURLOPT_TIMEOUT_MS, time_ms);
  curl_multi_add_handle(multi_, exchange.easy.get());
  while (!exchange.is_done && ending_ == is_goodbye) work(1s);
  curl_multi_remove_handle(multi_, exchange.easy.get());
  if (!exchange.is_done) return fail(Code::unavailable, "the node ends");
  if (exchange.outcome != CURLE_OK) {
    return fail(Code::unavailable, curl_easy_strerror(exchange.outcome));
  }
  return std::move(exchange.answer);
}

// Lets libcurl work until something has happened, or the time is over.
void EtcdDiscovery::work(Duration most) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(most).count();
  curl_multi_poll(multi_, nullptr, 0, static_cast<int>(ms), nullptr);
  int running = 0, left = 0;
  curl_multi_perform(multi_, &running);
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* exchange = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
    auto* done = reinterpret_cast<Exchange*>(exchange);
    done->is_done = true;
    done->outcome = message->data.result;
  }
}

void EtcdDiscovery::pause(Duration time) {
  const auto until = Watch::now() + time;
  while (!ending_ && Watch::now() < until) work(until - Watch::now());
}

}  // namespace

std::unique_ptr<env::Discovery> make_etcd_discovery(EtcdOptions options) {
  return std::make_unique<EtcdDiscovery>(std::move(options));
}

}  // namespace databridge::platform
