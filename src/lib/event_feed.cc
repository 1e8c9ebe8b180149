#include "lib/event_feed.h"

#include <utility>

#include "lib/callback_scope.h"

namespace databridge::lib {
namespace {

constexpr size_t kAtOnce = 256;
constexpr Duration kLookEvery = 1s;

// The feed whose subscriber this thread is calling.
thread_local const EventFeed* calling = nullptr;

ClusterEvent shown(const Event& event) {
  return {event.id, event.at_ms, event.type, event.node, event.data};
}

// The id just before the oldest event that is kept. A subscriber that has seen nothing begins
// there, since it misses nothing.
EventId before_all(const State& state) {
  if (state.events().empty()) return {};
  const EventId oldest = state.events().at(state.events().begin()).id();
  return oldest.k > 0 ? EventId{oldest.index, oldest.k - 1} : EventId{oldest.index - 1, UINT32_MAX};
}

}  // namespace

EventFeed::EventFeed(Source source, EventId since, Subscriber subscriber)
    : source_(std::move(source)), subscriber_(std::move(subscriber)), last_(since) {}

void EventFeed::run() {
  {
    const MutexLock lock(mutex_);
    if (closed_ || failure_) return;
    runs_ = true;
  }
  calling = this;
  for (;;) {
    const uint64_t seen = source_.published->count();
    if (is_closed() || failure()) break;
    const cluster::ViewPtr view = source_.view();
    if (!view || !deliver(*view)) source_.published->wait_beyond(seen, kLookEvery);
  }
  calling = nullptr;
  {
    const MutexLock lock(mutex_);
    runs_ = false;
  }
  over_.notify_all();
}

// False: there is nothing more to deliver from this view.
bool EventFeed::deliver(const cluster::View& view) {
  if (view.cluster.empty()) return false;
  if (!cluster_.empty() && cluster_ != view.cluster) {
    end({Code::gone, "the node has left the cluster " + cluster_.value + " for " +
                         view.cluster.value + ", whose events are others: subscribe again"});
    return false;
  }
  cluster_ = view.cluster;
  if (last() == EventId()) {
    const MutexLock lock(mutex_);
    last_ = before_all(view.state);
  }
  const auto events = view.state.events_after(last(), kAtOnce);
  if (!events) {
    end(events.error());
    return false;
  }
  for (const Event& event : *events) {
    if (is_closed()) return false;
    {
      const CallbackScope scope;
      subscriber_.on_event(shown(event));
    }
    const MutexLock lock(mutex_);
    last_ = event.id;
  }
  return !events->empty();
}

void EventFeed::end(const Error& why) {
  {
    const MutexLock lock(mutex_);
    failure_ = why;
  }
  const CallbackScope scope;
  if (subscriber_.on_end) subscriber_.on_end(why);
}

void EventFeed::refuse(const Error& why) { end(why); }

void EventFeed::close() {
  {
    const MutexLock lock(mutex_);
    closed_ = true;
  }
  source_.published->tell();
  if (calling == this) return;
  const MutexLock lock(mutex_);
  while (runs_) over_.wait(mutex_);
}

bool EventFeed::is_closed() const {
  const MutexLock lock(mutex_);
  return closed_;
}

bool EventFeed::is_over() const {
  const MutexLock lock(mutex_);
  return (closed_ || failure_) && !runs_;
}

EventId EventFeed::last() const {
  const MutexLock lock(mutex_);
  return last_;
}

std::optional<Error> EventFeed::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

}  // namespace databridge::lib
