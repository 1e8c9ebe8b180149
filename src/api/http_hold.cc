#include "api/http_hold.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <set>
#include <vector>

namespace databridge::api {

Guest::~Guest() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Hold::add(Guest guest) {
  ++held_;
  if (line_.size() >= kMost) {
    ++dropped_;
    line_.pop_front();
  }
  line_.push_back(std::move(guest));
  if (!waits_) wait();
}

void Hold::clear() {
  line_.clear();
  timer_.cancel();
}

void Hold::wait() {
  waits_ = true;
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    waits_ = false;
    if (!ec) serve();
  });
}

// A client that only ends its own direction still waits for an answer. So it counts as gone when
// both directions are closed.
void Hold::forget_gone() {
  std::vector<pollfd> polls;
  polls.reserve(line_.size());
  for (const Guest& guest : line_) polls.push_back({guest.descriptor(), 0, 0});
  if (::poll(polls.data(), polls.size(), 0) <= 0) return;
  size_t at = 0;
  std::erase_if(line_, [&](const Guest&) { return polls[at++].revents != 0; });
}

void Hold::serve() {
  forget_gone();
  std::deque<Guest> rest;
  std::set<std::string> served;
  for (Guest& guest : std::exchange(line_, {})) {
    if (served.insert(guest.home).second) {
      admit_(std::move(guest));
    } else {
      rest.push_back(std::move(guest));
    }
  }
  line_ = std::move(rest);
  if (!line_.empty()) wait();
}

std::string Hold::metrics() const {
  return fmt::format(
      "# HELP databridge_api_delayed_connections_total Connections that had to wait, since too "
      "many "
      "from their address have failed.\n"
      "# TYPE databridge_api_delayed_connections_total counter\n"
      "databridge_api_delayed_connections_total {}\n"
      "# HELP databridge_api_dropped_connections_total Of these, the ones that were closed, since "
      "too many waited.\n"
      "# TYPE databridge_api_dropped_connections_total counter\n"
      "databridge_api_dropped_connections_total {}\n",
      held_, dropped_);
}

}  // namespace databridge::api
