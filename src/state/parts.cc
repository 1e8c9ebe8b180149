#include "state/parts.h"

namespace databridge {

KeptEvent::KeptEvent(const Event& event)
    : id_(event.id), at_ms_(event.at_ms), type_(event.type), node_(event.node) {
  size_t size = 0;
  for (const auto& [key, value] : event.data) size += 8 + key.size() + value.size();
  data_.reserve(size);
  for (const auto& [key, value] : event.data) {
    append_little32(data_, static_cast<uint32_t>(key.size()));
    data_ += key;
    append_little32(data_, static_cast<uint32_t>(value.size()));
    data_ += value;
  }
}

template <typename Visit>
void KeptEvent::each_datum(Visit&& visit) const {
  BytesView rest = data_;
  const auto next = [&] {
    const BytesView text = rest.substr(4, read_little32(rest));
    rest.remove_prefix(4 + text.size());
    return text;
  };
  while (!rest.empty()) {
    const BytesView key = next();
    if (!visit(key, next())) return;
  }
}

Event KeptEvent::event() const {
  Event event{id_, at_ms_, type_, node_, {}};
  each_datum([&](BytesView key, BytesView value) {
    event.data.emplace_hint(event.data.end(), key, value);
    return true;
  });
  return event;
}

std::string_view KeptEvent::datum(std::string_view key) const {
  std::string_view found;
  each_datum([&](BytesView name, BytesView value) {
    if (name != key) return true;
    found = value;
    return false;
  });
  return found;
}

}  // namespace databridge
