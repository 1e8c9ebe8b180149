#include "api/http_hold.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <vector>

namespace databridge::api {

Guest::~Guest() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Hold::add(Guest guest) {
  ++held_;
  if (size_ >= kMost) drop_one();
  lines_[guest.home].waiting.push_back(std::move(guest));
  ++size_;
  if (!waits_) wait();
}

// Of the address with the most, so that one address pushes out no other.
void Hold::drop_one() {
  const auto longest = std::max_element(
      lines_.begin(), lines_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  Line& line = longest->second;
  (line.ended.empty() ? line.waiting : line.ended).pop_front();
  ++dropped_;
  --size_;
  if (line.size() == 0) lines_.erase(longest);
}

void Hold::clear() {
  lines_.clear();
  size_ = 0;
  timer_.cancel();
}

void Hold::wait() {
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    waits_ = false;
    if (!ec) serve();
  });
  waits_ = true;
}

// Forgets clients that have gone. One that has only ended its own direction may still wait for an
// answer, if it has sent something.
void Hold::sort(Line& line) {
  std::vector<pollfd> polls;
  polls.reserve(line.waiting.size());
  for (const Guest& guest : line.waiting) polls.push_back({guest.descriptor(), POLLRDHUP, 0});
  if (::poll(polls.data(), polls.size(), 0) <= 0) return;
  size_t at = 0;
  std::erase_if(line.waiting, [&](Guest& guest) {
    const auto events = polls[at++].revents;
    if (events == 0) return false;
    int unread = 0;
    const bool may_wait = (events & (POLLERR | POLLHUP)) == 0 &&
                          ::ioctl(guest.descriptor(), FIONREAD, &unread) == 0 && unread > 0;
    if (may_wait) line.ended.push_back(std::move(guest));
    return true;
  });
}

void Hold::serve() {
  if (lines_.empty()) return;
  wait();  // First, so that it always comes again.
  for (auto at = lines_.begin(); at != lines_.end();) {
    Line& line = at->second;
    const size_t before = line.size();
    sort(line);
    for (size_t i = 0; i < at_once_ && line.size() > 0; ++i) {
      auto& from = line.waiting.empty() ? line.ended : line.waiting;
      Guest guest = std::move(from.front());
      from.pop_front();
      try {
        admit_(std::move(guest));
      } catch (const std::exception&) {
        // There is no memory for it. It is closed, and others are let in.
      }
    }
    size_ -= before - line.size();
    at = line.size() == 0 ? lines_.erase(at) : std::next(at);
  }
}

std::string Hold::metrics() const {
  return fmt::format(
      "# HELP databridge_api_delayed_connections_total Connections that waited, since too many of "
      "their address have failed.\n"
      "# TYPE databridge_api_delayed_connections_total counter\n"
      "databridge_api_delayed_connections_total {}\n"
      "# HELP databridge_api_dropped_connections_total Of these, closed ones, since too many "
      "waited.\n"
      "# TYPE databridge_api_dropped_connections_total counter\n"
      "databridge_api_dropped_connections_total {}\n",
      held_, dropped_);
}

}  // namespace databridge::api
