#include "api/http_hello.h"

namespace databridge::api {

bool HelloLimit::fits(std::string_view bytes) {
  constexpr uint8_t kHandshake = 22;  // The type of a record that is not encrypted.
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (record_size_ < record_.size()) {
      record_[record_size_++] = byte;
      if (record_size_ < record_.size()) continue;
      record_left_ = static_cast<size_t>(record_[3]) << 8 | record_[4];
    } else {
      --record_left_;
      if (record_[0] == kHandshake && !of_message(byte)) return false;
    }
    if (record_left_ == 0) record_size_ = 0;
  }
  return true;
}

bool HelloLimit::of_message(uint8_t byte) {
  if (message_left_ > 0) {
    --message_left_;
    return true;
  }
  message_ = message_ << 8 | byte;
  if (++message_size_ < 4) return true;
  message_size_ = 0;
  message_left_ = message_ & 0xffffff;
  return message_left_ <= kMost;
}

}  // namespace databridge::api
