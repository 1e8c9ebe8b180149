#include "platform/multicast.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <set>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "base/time.h"
#include "platform/announcement.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

using boost::asio::ip::udp;
using Watch = std::chrono::steady_clock;
using Failure = boost::system::error_code;

constexpr Duration kSoon = 200ms;       // Between announcements, at the start and to a new node.
constexpr int kSoonTimes = 10;          // Then the pause is longer.
constexpr Duration kEvery = 1s;         // Between announcements.
constexpr Duration kBelievedFor = 10s;  // An announcement.
constexpr Duration kTellEvery = 200ms;  // What is sighted; changes in between are told together.
constexpr int kTakenPerSecond = 500;    // Datagrams; more are dropped unread.
constexpr Duration kSameNoteAfter = 10min;
constexpr size_t kKindsMax = 64;  // Of notes. There are fewer, but for the numbers of versions.

Failure last_failure() { return Failure(errno, boost::system::system_category()); }

// The index of the interface with that name or address; 0: there is none.
unsigned index_of(const std::string& interface) {
  if (const unsigned index = ::if_nametoindex(interface.c_str())) return index;
  in_addr wanted{};
  ifaddrs* all = nullptr;
  if (::inet_pton(AF_INET, interface.c_str(), &wanted) != 1 || ::getifaddrs(&all) != 0) return 0;
  unsigned index = 0;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if (address->sin_addr.s_addr == wanted.s_addr) index = ::if_nametoindex(one->ifa_name);
  }
  ::freeifaddrs(all);
  return index;
}

template <typename Value>
bool set_option(int fd, int option, const Value& value) {
  return ::setsockopt(fd, IPPROTO_IP, option, &value, sizeof value) == 0;
}

class Multicast final : public env::Discovery {
 public:
  explicit Multicast(MulticastOptions options)
      : options_(std::move(options)), socket_(io_), announce_(io_), mind_(io_), tell_(io_) {}
  ~Multicast() override;

  Result<void> start(Sighting self, uint64_t boot, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override;

 private:
  struct Seen {
    Sighting node;
    Watch::time_point at;
  };

  Result<void> open();
  void announce();
  void announce_after(Duration pause);
  void receive();
  void take(size_t size);
  void believe(const Sighting& node);
  void mind();
  template <typename Test>
  size_t erase_seen(const Test& test);
  void tell_soon();
  void tell();
  void lost(const std::string& why);
  void note(const std::string& kind, const std::string& text);

  const MulticastOptions options_;
  boost::asio::io_context io_;

  // The thread of this source only, once started.
  udp::socket socket_;
  udp::endpoint group_, from_;
  uint64_t opened_ = 0;  // How often the socket was made.
  boost::asio::steady_timer announce_, mind_, tell_;
  Receiver receiver_;
  Sighting self_;
  uint64_t counter_ = 0;
  int announced_ = 0;
  Watch::time_point announced_at_, second_, told_at_;
  bool will_tell_ = false;
  int taken_ = 0;  // In this second.
  bool is_lost_ = false;
  std::array<char, kAnnouncementMax + 1> buffer_{};
  NewestCounters counters_;
  std::map<Incarnation, Seen> seen_;
  std::map<std::string, Watch::time_point> noted_;  // By kind.

  Mutex mutex_;
  ClusterId cluster_ GUARDED_BY(mutex_);  // Set before the start, perhaps.
  std::thread thread_;
};

Multicast::~Multicast() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

Result<void> Multicast::start(Sighting self, uint64_t boot, Receiver receiver) {
  CHECK(!thread_.joinable());
  self_ = std::move(self);
  receiver_ = std::move(receiver);
  // Each start of the data directory has higher counters than the one before.
  counter_ = boot << 32;
  {
    const MutexLock lock(mutex_);
    if (!cluster_.empty()) self_.cluster = cluster_;
  }
  // A member of a cluster needs no source: its network may be up later. A first start shows whether
  // the settings fit this machine.
  if (auto opened = open(); !opened && self_.cluster.empty()) {
    return fail(
        Code::unprocessable,
        opened.error().message + ": name the network interface with cluster.multicast.interface");
  }
  boost::asio::post(io_, [this] {
    announce();
    mind();
  });
  thread_ = start_thread("multicast", [this] {
    const auto stay = boost::asio::make_work_guard(io_);
    io_.run();
  });
  return {};
}

void Multicast::set_cluster(const ClusterId& cluster) {
  {
    const MutexLock lock(mutex_);
    cluster_ = cluster;
  }
  boost::asio::post(io_, [this, cluster] {
    self_.cluster = cluster;
    announce();
  });
}

Result<void> Multicast::open() {
  const auto cannot = [&](const char* what) {
    Failure ignored;
    const std::string why = last_failure().message();
    socket_.close(ignored);
    return fail(Code::io,
                fmt::format("cannot {} the multicast group {}:{}{}: {}", what, options_.group,
                            options_.port,
                            options_.interface.empty() ? "" : " on " + options_.interface, why));
  };
  ip_mreqn membership{};
  if (::inet_pton(AF_INET, options_.group.c_str(), &membership.imr_multiaddr) != 1) {
    return fail(Code::invalid, options_.group + " is not an IPv4 group");
  }
  if (!options_.interface.empty()) {
    membership.imr_ifindex = static_cast<int>(index_of(options_.interface));
    if (membership.imr_ifindex == 0) {
      return fail(Code::io, "no network interface has the name or address " + options_.interface);
    }
  }
  group_ = udp::endpoint(boost::asio::ip::make_address_v4(options_.group), options_.port);
  ++opened_;
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return cannot("open a socket for");
  Failure failure;
  socket_.assign(udp::v4(), fd, failure);
  const int on = 1, off = 0;
  // Several nodes of one machine share the port, and each gets every datagram.
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return cannot("share");
  // Bound to the group, it gets nothing that was sent to another address.
  if (socket_.bind(group_, failure)) {
    errno = failure.value();
    return cannot("bind");
  }
  if (!set_option(fd, IP_ADD_MEMBERSHIP, membership)) return cannot("join");
  // It does not get what other sockets of this machine have joined, and sends no further than the
  // local network.
  if (!set_option(fd, IP_MULTICAST_ALL, off) || !set_option(fd, IP_MULTICAST_IF, membership) ||
      !set_option(fd, IP_MULTICAST_TTL, on) || !set_option(fd, IP_MULTICAST_LOOP, on)) {
    return cannot("use");
  }
  receive();
  return {};
}

void Multicast::announce() {
  announced_at_ = Watch::now();
  Failure failure;
  if (!socket_.is_open()) {
    if (auto opened = open(); !opened) lost(opened.error().message);
  }
  if (socket_.is_open()) {
    const Bytes bytes = encode_announcement({self_, ++counter_}, options_.token);
    socket_.send_to(boost::asio::buffer(bytes), group_, 0, failure);
    if (failure && failure != boost::asio::error::would_block) lost(failure.message());
  }
  if (!failure && socket_.is_open() && std::exchange(is_lost_, false)) {
    receiver_.on_note(false, "multicast announcements go out again");
    // Nobody was heard meanwhile, so all nodes get the time to be heard again.
    for (auto& [incarnation, seen] : seen_) seen.at = Watch::now();
  }
  announce_after(announced_ < kSoonTimes ? kSoon : kEvery);
  announced_ = std::min(announced_ + 1, kSoonTimes);
}

void Multicast::announce_after(Duration pause) {
  announce_.expires_at(std::max(Watch::now(), announced_at_ + pause));
  announce_.async_wait([this](Failure cancelled) {
    if (!cancelled) announce();
  });
}

// The interface is gone or down. The socket is made again with the next announcement, since a
// membership ends with its interface.
void Multicast::lost(const std::string& why) {
  Failure ignored;
  socket_.close(ignored);
  if (std::exchange(is_lost_, true)) return;
  receiver_.on_note(true, fmt::format("multicast announcements do not go out: {}; nodes that were "
                                      "found stay, new ones cannot be found by them",
                                      why));
}

void Multicast::receive() {
  socket_.async_receive_from(boost::asio::buffer(buffer_), from_,
                             [this, opened = opened_](Failure failure, size_t size) {
                               if (failure == boost::asio::error::operation_aborted) return;
                               // The socket may have been made again meanwhile, and then has a
                               // chain of its own.
                               if (!socket_.is_open() || opened != opened_) return;
                               if (!failure) take(size);
                               receive();
                             });
}

void Multicast::take(size_t size) {
  const auto now = Watch::now();
  if (now - second_ >= 1s) {
    second_ = now;
    taken_ = 0;
  }
  if (++taken_ > kTakenPerSecond) {
    if (taken_ == kTakenPerSecond + 1) {
      note("flood", fmt::format("more than {} datagrams a second come to the multicast group {}: "
                                "the rest is dropped",
                                kTakenPerSecond, options_.group));
    }
    return;
  }
  const auto heard = decode_announcement(BytesView(buffer_.data(), size), options_.token);
  const std::string sender = from_.address().to_string();
  if (!heard) {
    return note(heard.error().message, fmt::format("an announcement from {} is not taken: {}",
                                                   sender, heard.error().message));
  }
  if (heard->node.incarnation == self_.incarnation) return;
  if (!counters_.is_newer(heard->node.incarnation, heard->counter)) {
    return note("copy", fmt::format("a copy of an earlier announcement of node {} came from {}, "
                                    "and is not taken",
                                    heard->node.node.value, sender));
  }
  believe(heard->node);
}

void Multicast::believe(const Sighting& node) {
  const auto found = seen_.find(node.incarnation);
  if (found == seen_.end() && seen_.size() >= kSightingsMax) {
    if (options_.token.empty()) counters_.forget(node.incarnation);
    return note("many", fmt::format("more than {} nodes announce themselves: the rest is not taken",
                                    kSightingsMax));
  }
  const bool is_new = found == seen_.end();
  const bool has_changed = is_new || found->second.node != node;
  seen_[node.incarnation] = {node, Watch::now()};
  // A process that has an address replaces the one that had it before.
  erase_seen([&](const auto& entry) {
    return entry.first != node.incarnation && entry.second.node.address == node.address;
  });
  if (has_changed) tell_soon();
  if (is_new) announce_after(kSoon);  // It learns of this node soon, too.
}

void Multicast::mind() {
  const auto now = Watch::now();
  const size_t gone = erase_seen([&](const auto& entry) {
    return !is_lost_ && now - entry.second.at >= kBelievedFor;  // An outage takes no node away.
  });
  if (gone > 0) tell_soon();
  mind_.expires_after(kEvery);
  mind_.async_wait([this](Failure cancelled) {
    if (!cancelled) mind();
  });
}

template <typename Test>
size_t Multicast::erase_seen(const Test& test) {
  return std::erase_if(seen_, [&](const auto& entry) {
    if (!test(entry)) return false;
    if (options_.token.empty()) counters_.forget(entry.first);
    return true;
  });
}

void Multicast::tell_soon() {
  if (std::exchange(will_tell_, true)) return;
  tell_.expires_at(told_at_ + kTellEvery);
  tell_.async_wait([this](Failure cancelled) {
    if (!cancelled) tell();
  });
}

void Multicast::tell() {
  will_tell_ = false;
  told_at_ = Watch::now();
  Sightings all;
  for (const auto& [incarnation, seen] : seen_) all.push_back(seen.node);
  receiver_.on_sightings(std::move(all));
}

void Multicast::note(const std::string& kind, const std::string& text) {
  const auto now = Watch::now();
  const auto found = noted_.find(kind);
  if (found != noted_.end() && now - found->second < kSameNoteAfter) return;
  if (found == noted_.end() && noted_.size() >= kKindsMax) {
    std::erase_if(noted_, [&](const auto& one) { return now - one.second >= kSameNoteAfter; });
    if (noted_.size() >= kKindsMax) return;
  }
  noted_[kind] = now;
  receiver_.on_note(true, text);
}

}  // namespace

std::unique_ptr<env::Discovery> make_multicast(MulticastOptions options) {
  return std::make_unique<Multicast>(std::move(options));
}

}  // namespace databridge::platform
