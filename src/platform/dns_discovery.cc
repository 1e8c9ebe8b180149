#include "platform/dns_discovery.h"

#include <ares.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <map>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "base/time.h"
#include "platform/process.h"
#include "platform/srv.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using Watch = std::chrono::steady_clock;

// How long an answer is used, whatever its time to live says. A node without a cluster looks more
// often, since it waits for others to appear.
constexpr Duration kAloneLeast = 500ms, kAloneMost = 2s;
constexpr Duration kLeast = 5s, kMost = 5min;
constexpr Duration kFailedMost = 30s;  // Before a member asks again a server that failed.
constexpr int kTimeOutMs = 500;        // Of the first try; c-ares doubles it for the next one.
constexpr int kTries = 2;              // For each server.
constexpr size_t kTargetsMax = 64;     // Targets whose addresses are asked for.
constexpr size_t kIpsMax = 8;          // Of one target.

// One channel of c-ares, with its queries. It reads the machine's list of servers when it is made,
// so each round has its own.
class Channel {
 public:
  Channel() {
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH;
    options.timeout = kTimeOutMs;
    options.tries = kTries;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    if (ares_init_options(&channel_, &options, mask) != ARES_SUCCESS) channel_ = nullptr;
  }
  ~Channel() {
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  ares_channel get() const { return channel_; }

  // Runs the queries until all have their answer. False: `wake` became readable first.
  bool run(int wake) {
    for (;;) {
      std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
      const int mask = ares_getsock(channel_, sockets.data(), ARES_GETSOCK_MAXNUM);
      std::array<pollfd, ARES_GETSOCK_MAXNUM + 1> waits{};
      nfds_t count = 0;
      waits[count++] = {wake, POLLIN, 0};
      for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
        const bool reads = ARES_GETSOCK_READABLE(mask, i), writes = ARES_GETSOCK_WRITABLE(mask, i);
        if (!reads && !writes) continue;
        waits[count++] = {sockets[i],
                          static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
      }
      timeval most{1, 0}, left{};
      const timeval* time = ares_timeout(channel_, &most, &left);
      if (count == 1) return true;  // No query is left.
      ::poll(waits.data(), count, static_cast<int>(time->tv_sec * 1000 + time->tv_usec / 1000 + 1));
      if (waits[0].revents != 0) return false;
      for (nfds_t i = 1; i < count; ++i) {
        const bool reads = (waits[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        const bool writes = (waits[i].revents & POLLOUT) != 0;
        ares_process_fd(channel_, reads ? waits[i].fd : ARES_SOCKET_BAD,
                        writes ? waits[i].fd : ARES_SOCKET_BAD);
      }
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // Time-outs.
    }
  }

 private:
  ares_channel channel_ = nullptr;
};

struct Queried {
  int status = ARES_ECANCELLED;
  Bytes message;
};
void take_answer(void* to, int status, int, unsigned char* message, int size) {
  auto* queried = static_cast<Queried*>(to);
  queried->status = status;
  if (status == ARES_SUCCESS && size > 0) {
    queried->message.assign(reinterpret_cast<const char*>(message), static_cast<size_t>(size));
  }
}

struct Resolved {
  int status = ARES_ECANCELLED;
  std::vector<std::string> ips;
  std::optional<int> ttl;
};
void take_addresses(void* to, int status, int, ares_addrinfo* found) {
  auto* resolved = static_cast<Resolved*>(to);
  resolved->status = status;
  if (found == nullptr) return;
  for (const auto* node = found->nodes; node != nullptr; node = node->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    const bool is_text = ::getnameinfo(node->ai_addr, node->ai_addrlen, text.data(), text.size(),
                                       nullptr, 0, NI_NUMERICHOST) == 0;
    if (!is_text || resolved->ips.size() >= kIpsMax) continue;
    resolved->ips.emplace_back(text.data());
    resolved->ttl = std::min(resolved->ttl.value_or(node->ai_ttl), node->ai_ttl);
  }
  ares_freeaddrinfo(found);
}

// The server has said that there are no such records. All other failures say nothing about them.
bool is_answer(int status) {
  return status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
}

class DnsDiscovery final : public env::Discovery {
 public:
  explicit DnsDiscovery(DnsOptions options)
      : options_(std::move(options)),
        random_(entropy64()),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CHECK(wake_.get() >= 0);
  }
  ~DnsDiscovery() override;

  Result<void> start(Sighting self, uint64_t boot, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override;

 private:
  // nullopt: no server has answered; `why_` says it in words.
  std::optional<std::vector<Address>> look();
  bool resolve(const SrvAnswer& answer);
  void run();
  Duration took_answer(const std::vector<Address>& found);
  Duration failed();
  void tell(const std::vector<Address>& found);
  void recall();
  bool is_alone();
  bool wait(Duration time);

  const DnsOptions options_;
  Receiver receiver_;

  // The thread of this source only.
  Random random_;
  std::map<std::string, std::vector<std::string>> ips_;  // By target, as they were found last.
  std::optional<std::vector<Address>> told_;
  Duration ttl_{};
  Duration pause_{};                                               // After a failure.
  bool is_lost_ = false, is_empty_ = false, cannot_keep_ = false;  // These were said.
  std::string why_;

  const Descriptor wake_;  // Readable once this source must end.
  Mutex mutex_;
  ConditionVariable changed_;
  bool ending_ GUARDED_BY(mutex_) = false;
  bool alone_ GUARDED_BY(mutex_) = true;
  std::thread thread_;
};

DnsDiscovery::~DnsDiscovery() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  const uint64_t one = 1;
  const auto written = ::write(wake_.get(), &one, sizeof one);
  (void)written;  // If it cannot be written, it is readable already.
  if (thread_.joinable()) thread_.join();
}

Result<void> DnsDiscovery::start(Sighting self, uint64_t, Receiver receiver) {
  CHECK(!thread_.joinable());
  receiver_ = std::move(receiver);
  if (!self.cluster.empty()) set_cluster(self.cluster);
  if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
    return fail(Code::io, "the DNS library does not start");
  }
  thread_ = start_thread("dns-discovery", [this] { run(); });
  return {};
}

void DnsDiscovery::set_cluster(const ClusterId& cluster) {
  const MutexLock lock(mutex_);
  alone_ = cluster.empty();
}

void DnsDiscovery::run() {
  for (;;) {
    const auto found = look();
    if (!wait(found ? took_answer(*found) : failed())) return;
  }
}

std::optional<std::vector<Address>> DnsDiscovery::look() {
  Queried queried;
  Channel channel;  // It ends first, and then gives its last answers.
  if (channel.get() == nullptr) {
    why_ = "the DNS library does not start";
    return std::nullopt;
  }
  ares_query(channel.get(), options_.name.c_str(), 1, 33, take_answer, &queried);
  if (!channel.run(wake_.get())) return std::nullopt;
  if (!is_answer(queried.status)) {
    why_ = ares_strerror(queried.status);
    return std::nullopt;
  }
  ttl_ = Duration::zero();
  if (queried.status != ARES_SUCCESS) return std::vector<Address>{};
  const auto answer = parse_srv(queried.message);
  if (!answer) {
    why_ = answer.error().message;
    return std::nullopt;
  }
  ttl_ = std::chrono::seconds(answer->ttl);
  if (!resolve(*answer)) return std::nullopt;
  std::vector<Address> found;
  for (const SrvRecord& record : in_order(answer->records, random_)) {
    const auto ips = ips_.find(record.target.host);
    if (ips == ips_.end()) continue;
    for (const std::string& ip : ips->second) found.push_back({ip, record.target.port});
  }
  if (found.size() > kSightingsMax) found.resize(kSightingsMax);
  return found;
}

// Finds the addresses of all targets. A target that no server knows at the moment keeps those that
// it had. False: this source must end.
bool DnsDiscovery::resolve(const SrvAnswer& answer) {
  std::map<std::string, std::vector<std::string>> ips;
  std::map<std::string, Resolved> asked;
  Channel channel;
  for (const SrvRecord& record : answer.records) {
    const std::string& host = record.target.host;
    boost::system::error_code not_numeric;
    (void)boost::asio::ip::make_address(host, not_numeric);
    if (!not_numeric) {
      ips[host] = {host};
    } else if (const auto sent = answer.ips.find(host); sent != answer.ips.end()) {
      ips[host] = sent->second;
    } else if (asked.size() < kTargetsMax && !asked.contains(host) && channel.get() != nullptr) {
      ares_addrinfo_hints hints{};
      hints.ai_family = AF_UNSPEC;
      hints.ai_flags = ARES_AI_NOSORT;
      ares_getaddrinfo(channel.get(), host.c_str(), nullptr, &hints, take_addresses, &asked[host]);
    }
  }
  if (!asked.empty() && !channel.run(wake_.get())) return false;
  for (auto& [host, resolved] : asked) {
    if (resolved.status == ARES_SUCCESS) {
      ips[host] = std::move(resolved.ips);
      if (resolved.ttl) ttl_ = std::min<Duration>(ttl_, std::chrono::seconds(*resolved.ttl));
    } else if (!is_answer(resolved.status) && ips_.contains(host)) {
      ips[host] = ips_[host];
    }
  }
  ips_ = std::move(ips);
  return true;
}

// Returns the time until it is asked again.
Duration DnsDiscovery::took_answer(const std::vector<Address>& found) {
  pause_ = Duration::zero();
  if (std::exchange(is_lost_, false)) {
    receiver_.on_note(false, "DNS answers again for " + options_.name);
  }
  if (found.empty() && !std::exchange(is_empty_, true)) {
    receiver_.on_note(true, fmt::format("DNS knows no address of a node under {}", options_.name));
  } else if (!found.empty() && std::exchange(is_empty_, false)) {
    receiver_.on_note(false, fmt::format("DNS knows addresses of nodes under {}", options_.name));
  }
  // The order changes by chance; the nodes are what counts.
  std::vector<Address> sorted = found;
  std::sort(sorted.begin(), sorted.end());
  if (told_ != sorted) {
    told_ = std::move(sorted);
    tell(found);
    std::string lines;
    for (const Address& address : found) lines += address.text() + "\n";
    const auto kept = write_whole_file(options_.memory, lines);
    if (!kept && !std::exchange(cannot_keep_, true)) {
      receiver_.on_note(true,
                        fmt::format("the addresses of DNS are not kept for the next start: {}",
                                    kept.error().message));
    } else if (kept && std::exchange(cannot_keep_, false)) {
      receiver_.on_note(false, "the addresses of DNS are kept again for the next start");
    }
  }
  return is_alone() ? std::clamp(ttl_, kAloneLeast, kAloneMost) : std::clamp(ttl_, kLeast, kMost);
}

Duration DnsDiscovery::failed() {
  {
    const MutexLock lock(mutex_);
    if (ending_) return Duration::zero();
  }
  if (!std::exchange(is_lost_, true)) {
    receiver_.on_note(
        true, fmt::format("DNS does not answer for {}: {}; nodes that were found stay, and their "
                          "last addresses are used until it does",
                          options_.name, why_));
    if (!told_) recall();
  }
  pause_ = std::clamp<Duration>(pause_ * 2, kAloneLeast, is_alone() ? kAloneMost : kFailedMost);
  return pause_;
}

void DnsDiscovery::tell(const std::vector<Address>& found) {
  Sightings seen;
  for (const Address& address : found) seen.push_back({address, {}, {}, {}});
  receiver_.on_sightings(std::move(seen));
}

// The last answer of an earlier start. A file that cannot be read counts as empty.
void DnsDiscovery::recall() {
  const auto text = read_file(options_.memory);
  if (!text) return;
  std::vector<Address> found;
  for (BytesView rest = *text; !rest.empty() && found.size() < kSightingsMax;) {
    const BytesView line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (auto address = Address::parse(line)) found.push_back(std::move(*address));
  }
  if (!found.empty()) tell(found);
}

bool DnsDiscovery::is_alone() {
  const MutexLock lock(mutex_);
  return alone_;
}

// False: this source must end.
bool DnsDiscovery::wait(Duration time) {
  const auto until = Watch::now() + time;
  const MutexLock lock(mutex_);
  while (!ending_ && changed_.wait_until(mutex_, until)) continue;
  return !ending_;
}

}  // namespace

std::unique_ptr<env::Discovery> make_dns_discovery(DnsOptions options) {
  return std::make_unique<DnsDiscovery>(std::move(options));
}

}  // namespace databridge::platform
