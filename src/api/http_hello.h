// Looks at the plain part of a client's TLS handshake for messages that are too long.
//
// - Owns: the place in the client's records and messages.
// - Hides: their form (RFC 8446, sections 4 and 5.1).
// - Pure. Server thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace databridge::api {

// OpenSSL takes memory for as many bytes as the first four bytes of a message announce, up to
// 128 KiB. A client would not even have to send them.
class HelloLimit {
 public:
  // Call it with all bytes of the client, in order. Returns false if they announce too long a
  // message.
  bool fits(std::string_view bytes);

  static constexpr size_t kMost = 16 << 10;  // Of one message. A browser's hello has 2 KiB.
  static constexpr const char* kWhy = "its first message is longer than is taken here (16 KiB)";

 private:
  bool of_message(uint8_t byte);

  std::array<uint8_t, 5> record_{};  // The head of a record.
  size_t record_size_ = 0;           // How much of the head has come.
  size_t record_left_ = 0;           // The bytes of the record that are still to come.
  uint32_t message_ = 0;             // The head of a message: type and length.
  size_t message_size_ = 0;
  size_t message_left_ = 0;
};

}  // namespace databridge::api
