// Events as the text of a stream (server-sent events). Pure.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "cluster/view.h"

namespace databridge::api {

// What comes after one event.
struct EventBatch {
  EventId after;
  EventId last;
  std::shared_ptr<const std::string> text;  // Shared with the writes under way; null: nothing new.
  bool gone = false;                        // It is older than what is kept.
};

// The same batch is made once for all who watch from the same event on.
class EventBatches {
 public:
  // Valid until clear(). All calls between two clears are of the same view.
  const EventBatch& after(const cluster::View& view, EventId after);
  void clear() { batches_.clear(); }

 private:
  std::deque<EventBatch> batches_;
};

}  // namespace databridge::api
