// Events of the cluster. They are numbered, and the same on every node, in the same order.
#pragma once

#include <databridge/event_id.h>
#include <databridge/export.h>
#include <databridge/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace databridge {

namespace lib {
class EventFeed;
}

struct ClusterEvent {
  EventId id;
  int64_t at_ms = 0;  // Unix time in milliseconds, stamped by the leader.
  std::string type;   // node_joined, node_failed, leader_elected, work_assigned, work_released, …
  std::string node;   // The id of the node that the event is about, or empty.
  std::map<std::string, std::string> data;
};

// Calls come until this object is destroyed, or until events are missing. It may outlive its
// manager; then no call comes any more. It can be moved.
class DATABRIDGE_EXPORT Subscription {
 public:
  Subscription();  // A subscription to nothing.
  Subscription(Subscription&& other) noexcept;
  Subscription& operator=(Subscription&& other) noexcept;
  ~Subscription();  // Returns once no call is under way, unless it is called from such a call.

  // The id of the last event whose call has returned. Any thread.
  EventId last() const;
  // Why no call comes any more; nullopt: it goes on. Code::gone: the subscriber was so slow that
  // the next events are no longer kept, or the node has entered another cluster. Any thread.
  std::optional<Error> failure() const;

 private:
  friend class ClusterManager;
  explicit Subscription(std::shared_ptr<lib::EventFeed> feed);
  std::shared_ptr<lib::EventFeed> feed_;
};

}  // namespace databridge
