// Brings the events of the cluster to one subscriber, at the subscriber's own pace.
//
// - Owns: the id of the last event that the subscriber got.
// - Hides: that events are read from views. Nothing waits in a queue for a slow subscriber.
// - Thread: run() is the job of a thread of its own. All others may be called on any thread.
#pragma once

#include <databridge/events.h>

#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "cluster/view.h"
#include "lib/published.h"

namespace databridge::lib {

class EventFeed {
 public:
  struct Source {
    std::function<cluster::ViewPtr()> view;  // Null: there is none yet.
    std::shared_ptr<Published> published;
  };
  struct Subscriber {
    std::function<void(const ClusterEvent&)> on_event;
    std::function<void(const Error&)> on_end;
  };
  EventFeed(Source source, EventId since, Subscriber subscriber);

  // Returns once close() is called, or events are missing.
  void run();
  // No call begins any more. Returns once none is under way, unless it is called from one.
  void close();
  // The feed never runs, for this reason.
  void refuse(const Error& why);

  EventId last() const;
  std::optional<Error> failure() const;
  bool is_over() const;  // It is closed or has failed, and no call is under way.

 private:
  bool deliver(const cluster::View& view);
  void end(const Error& why);
  bool is_closed() const;

  const Source source_;
  const Subscriber subscriber_;
  ClusterId cluster_;  // The first one that it saw.

  mutable Mutex mutex_;
  ConditionVariable over_;
  EventId last_ GUARDED_BY(mutex_);
  std::optional<Error> failure_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  bool runs_ GUARDED_BY(mutex_) = false;
};

}  // namespace databridge::lib
