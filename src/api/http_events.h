// Events as the text of a stream (server-sent events). Pure.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "cluster/view.h"

namespace databridge::api {

// The events after one event.
struct EventBatch {
  EventId after;
  EventId last;
  // Writes that are under way share it. nullptr: there is nothing new.
  std::shared_ptr<const std::string> text;
  bool gone = false;  // `after` is older than the events that are kept.
};

// Makes a batch only once for all clients that wait for the events after the same event.
class EventBatches {
 public:
  // Valid until clear(). All calls between two calls of clear() must pass the same view.
  const EventBatch& after(const cluster::View& view, EventId after);
  void clear() { batches_.clear(); }

 private:
  std::deque<EventBatch> batches_;
};

}  // namespace databridge::api
