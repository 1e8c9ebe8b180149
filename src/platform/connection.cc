#include "platform/connection.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cstring>

#include "base/check.h"

namespace databridge::platform {
namespace {

constexpr size_t kBufferFirst = 16u << 10;
constexpr size_t kBufferBusy = 256u << 10;  // Much traffic needs fewer reads.
constexpr size_t kBufferKept = 1u << 20;    // A larger buffer is freed once it is empty.
constexpr auto kStreamGap = 20us;
constexpr size_t kGatherMax = 256;  // Pieces in one write.
constexpr size_t kPartMax = 64u << 10;
constexpr size_t kInlineMax = 32u << 10;  // Under TLS the network's thread writes more than that.
// The kernel takes at most this much ahead of the network, since nothing can overtake bytes in it.
constexpr int kUnsentMax = 128 << 10;

void set_option(int fd, int level, int name, int value) {
  // A missing option makes news slower, not wrong.
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

}  // namespace

void set_link_options(int fd, Duration silence) {
  const int ms =
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(silence).count());
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentMax);
}

Connection::Connection(std::unique_ptr<Channel> channel, size_t queue_bytes_max)
    : channel_(std::move(channel)), queue_bytes_max_(queue_bytes_max) {}

void Connection::start(OnFrame on_frame, OnEnd on_end) {
  on_frame_ = std::move(on_frame);
  on_end_ = std::move(on_end);
  live_ = true;
  buffer_.resize(kBufferFirst);
  read_more();
}

void Connection::read_more() {
  channel_->read_some(buffer_.data() + end_, buffer_.size() - end_,
                      [self = shared_from_this()](const std::string& why, size_t count) {
                        if (!self->live_) return;  // It was closed meanwhile.
                        if (!why.empty()) return self->end(why);
                        count == 0 ? self->secured() : self->take(count);
                      });
}

// The handshake is over. What waited for that goes now.
void Connection::secured() {
  {
    const MutexLock lock(mutex_);
    write_soon();
  }
  read_more();
}

void Connection::take(size_t count) {
  end_ += count;
  const bool filled = end_ == buffer_.size();
  take_frames();
  if (!live_) return;
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.size() > kBufferKept) {
      buffer_ = std::vector<char>(kBufferFirst);
    }
  } else if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // The buffer grows with bytes that came, and not with the length in a header.
  if (end_ == buffer_.size() || (filled && buffer_.size() < kBufferBusy)) {
    buffer_.resize(buffer_.size() * 2);
  }
  read_more();
}

void Connection::take_frames() {
  while (end_ - begin_ >= kFrameHeaderSize) {
    const BytesView bytes(buffer_.data() + begin_, end_ - begin_);
    const auto header = decode_frame_header(bytes, payload_max_);
    if (!header) return end(header.error().message);
    if (bytes.size() - kFrameHeaderSize < header->length) return;
    const BytesView payload = bytes.substr(kFrameHeaderSize, header->length);
    if (const auto whole = check_payload(*header, bytes, payload); !whole) {
      return end(whole.error().message);
    }
    if (header->kind == FrameKind::farewell) {
      return end(fmt::format("the peer said: {}", is_utf8(payload) ? payload : "(no text)"));
    }
    begin_ += kFrameHeaderSize + header->length;
    const auto taken =
        header->kind == FrameKind::part ? take_part(payload) : on_frame_(header->kind, payload);
    if (!taken && live_) end(taken.error().message);
    if (!live_) return;
  }
}

// No frame comes under TLS before a certificate was taken.
const std::optional<Certificate>& Connection::certificate() const {
  CHECK(channel_->peer() || !channel_->has_tls());
  return channel_->peer();
}

// A message in parts grows with bytes that came. Once it is whole, it is like any other message.
Result<void> Connection::take_part(BytesView payload) {
  if (payload.empty() || static_cast<uint8_t>(payload[0]) > 1) {
    return fail(Code::invalid, "a part of a message that cannot be read");
  }
  const bool last = payload[0] == 1;
  payload.remove_prefix(1);
  if (parts_.size() + payload.size() > payload_max_) {
    return fail(Code::too_large, fmt::format("a message in parts of more than {} bytes: at most {} "
                                             "are allowed",
                                             parts_.size() + payload.size(), payload_max_));
  }
  parts_.append(payload);
  return last ? on_frame_(FrameKind::message, std::exchange(parts_, {})) : Result<void>();
}

// The peer gets the reason, too. If the peer ended the link, that write fails, which does not
// matter.
void Connection::end(const std::string& why) {
  close(why);
  on_end_(why);
}

void Connection::send(FrameKind kind, Bytes payload) {
  Waiting frame{encode_frame_header(kind, payload), std::move(payload)};
  const MutexLock lock(mutex_);
  if (closed_) return;
  if (!queue_.empty() && queue_bytes_ + frame.size() > queue_bytes_max_) return;
  queue_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
  write_soon();
}

void Connection::send_bulk(Bytes message) {
  const MutexLock lock(mutex_);
  if (closed_) return;
  if (!bulk_.empty() && bulk_bytes_ + message.size() > queue_bytes_max_) return;
  bulk_bytes_ += message.size();
  bulk_.push_back(std::move(message));
  write_soon();
}

void Connection::write_soon() {
  if (awaiting_) return;
  // A single message is written at once, which spares a hop to the other thread. A stream of
  // messages is left to that thread, which finds many each time and writes them with one call.
  const auto now = std::chrono::steady_clock::now();
  const bool in_stream = now - written_at_ < kStreamGap;
  written_at_ = now;
  // The caller is not held up by the encryption of a long message.
  const bool is_long = channel_->has_tls() && queue_bytes_ + bulk_bytes_ > kInlineMax;
  if (!in_stream && !is_long && flush()) return;
  awaiting_ = true;
  boost::asio::post(channel_->executor(), [self = shared_from_this()] { self->flush_waiting(); });
}

void Connection::flush_waiting() {
  {
    const MutexLock lock(mutex_);
    if (flush()) {
      awaiting_ = false;
      return;
    }
  }
  channel_->wait_writable([self = shared_from_this()](boost::system::error_code error) {
    // On an error the link is closed, or the pending read will report it.
    if (!error) self->flush_waiting();
  });
}

// A small message goes whole, and a large one in parts.
void Connection::next_part() {
  Bytes& message = bulk_.front();
  const size_t size = std::min(kPartMax, message.size() - bulk_begun_);
  const bool last = bulk_begun_ + size == message.size();
  const FrameKind kind = last && bulk_begun_ == 0 ? FrameKind::message : FrameKind::part;
  Bytes payload;
  if (kind == FrameKind::message) {
    payload = std::move(message);
  } else {
    payload.reserve(size + 1);
    payload.push_back(last ? 1 : 0);
    payload.append(message, bulk_begun_, size);
  }
  bulk_begun_ += size;
  bulk_bytes_ -= size;
  if (last) {
    bulk_.pop_front();
    bulk_begun_ = 0;
  }
  Bytes header = encode_frame_header(kind, payload);
  queue_.push_back({std::move(header), std::move(payload)});
  queue_bytes_ += queue_.back().size();
}

bool Connection::flush() {
  if (!channel_->secure()) return true;  // secured() goes on.
  while (!closed_) {
    if (queue_.empty() && !bulk_.empty()) next_part();
    if (queue_.empty()) return channel_->push();
    std::array<iovec, kGatherMax> pieces{};
    size_t count = 0;
    size_t skip = front_written_;
    for (auto frame = queue_.begin(); frame != queue_.end() && count + 2 <= kGatherMax; ++frame) {
      for (Bytes* part : {&frame->header, &frame->payload}) {
        const size_t skipped = std::min(skip, part->size());
        skip -= skipped;
        if (skipped < part->size()) {
          pieces[count++] = {part->data() + skipped, part->size() - skipped};
        }
      }
    }
    const ssize_t sent = channel_->write(pieces.data(), count);
    if (sent == 0) return false;
    if (sent < 0) {
      // The link is broken. The pending read tells the owner, and no data is worth keeping.
      queue_.clear();
      bulk_.clear();
      queue_bytes_ = front_written_ = bulk_bytes_ = bulk_begun_ = 0;
      return true;
    }
    size_t left = static_cast<size_t>(sent) + front_written_;
    while (!queue_.empty() && left >= queue_.front().size()) {
      left -= queue_.front().size();
      queue_bytes_ -= queue_.front().size();
      queue_.pop_front();
    }
    front_written_ = left;
  }
  return true;
}

void Connection::close(const std::string& reason) {
  live_ = false;
  const MutexLock lock(mutex_);
  if (closed_) return;
  Bytes farewell;
  // A greeting that waits for the network's thread must come before it. Behind more than that, or
  // behind frames that the socket does not take, there is no room for it.
  const bool is_short = queue_bytes_ <= kInlineMax && bulk_.empty();
  if (!reason.empty() && is_short && flush()) {
    farewell = encode_frame(FrameKind::farewell, BytesView(reason).substr(0, 1024));
  }
  closed_ = true;
  queue_.clear();
  bulk_.clear();
  channel_->close(farewell);
}

}  // namespace databridge::platform
