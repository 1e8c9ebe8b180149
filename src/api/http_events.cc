#include "api/http_events.h"

#include <utility>

#include "api/views.h"

namespace databridge::api {
namespace {

constexpr size_t kEventsMax = 256;  // In one write to a stream.

}  // namespace

const EventBatch& EventBatches::after(const cluster::View& view, EventId after) {
  for (const EventBatch& batch : batches_) {
    if (batch.after == after) return batch;
  }
  EventBatch batch{after, after, nullptr, false};
  const auto events = view.state.events_after(after, kEventsMax);
  if (!events) {
    batch.gone = true;
  } else if (!events->empty()) {
    std::string text;
    for (const Event& event : *events) {
      text += "id: " + event.id.text() + "\nevent: " + event.type + "\ndata: ";
      text += show_event(event);
      text += "\n\n";
    }
    batch.last = events->back().id;
    batch.text = std::make_shared<const std::string>(std::move(text));
  }
  batches_.push_back(std::move(batch));
  return batches_.back();
}

}  // namespace databridge::api
