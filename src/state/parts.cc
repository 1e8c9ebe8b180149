#include "state/parts.h"

namespace databridge {

namespace {

constexpr uint8_t kLong = 0xff;

size_t packed_size(BytesView text) { return (text.size() < kLong ? 1 : 5) + text.size(); }

void pack(BytesView text, Bytes& to) {
  if (text.size() < kLong) {
    to += static_cast<char>(text.size());
  } else {
    to += static_cast<char>(kLong);
    append_little32(to, static_cast<uint32_t>(text.size()));
  }
  to += text;
}

BytesView unpack(BytesView& from) {
  size_t size = static_cast<uint8_t>(from[0]);
  from.remove_prefix(1);
  if (size == kLong) {
    size = read_little32(from);
    from.remove_prefix(4);
  }
  const BytesView text = from.substr(0, size);
  from.remove_prefix(size);
  return text;
}

}  // namespace

KeptEvent::KeptEvent(const Event& event) : id_(event.id), at_ms_(event.at_ms) {
  size_t size = packed_size(event.type) + packed_size(event.node);
  for (const auto& [key, value] : event.data) size += packed_size(key) + packed_size(value);
  texts_.reserve(size);
  pack(event.type, texts_);
  pack(event.node, texts_);
  for (const auto& [key, value] : event.data) {
    pack(key, texts_);
    pack(value, texts_);
  }
}

template <typename Visit>
void KeptEvent::each_text(Visit&& visit) const {
  for (BytesView rest = texts_; !rest.empty();) {
    if (!visit(unpack(rest))) return;
  }
}

std::string_view KeptEvent::text(size_t at) const {
  std::string_view found;
  each_text([&](BytesView text) {
    found = text;
    return at-- > 0;
  });
  return found;
}

Event KeptEvent::event() const {
  Event event{id_, at_ms_, std::string(type()), std::string(node()), {}};
  size_t at = 0;
  BytesView key;
  each_text([&](BytesView text) {
    if (at >= 2 && at % 2 == 0) key = text;
    if (at >= 2 && at % 2 == 1) event.data.emplace_hint(event.data.end(), key, text);
    ++at;
    return true;
  });
  return event;
}

std::string_view KeptEvent::datum(std::string_view key) const {
  std::string_view found;
  size_t at = 0;
  bool is_next = false;
  each_text([&](BytesView text) {
    if (is_next) found = text;
    const bool done = is_next;
    is_next = at >= 2 && at % 2 == 0 && text == key;
    ++at;
    return !done;
  });
  return found;
}

}  // namespace databridge
