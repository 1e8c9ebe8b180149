// - Owns: one connection that carries frames: reading, checking, bounded queues, writing.
// - Hides: its channel, and that large messages travel in parts, so that prompt messages go in
//   between.
// - Threads: the network's thread. Any thread may call send().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/channel.h"
#include "platform/frame.h"

namespace databridge::platform {

// It lives as long as some object holds it or an operation of the event loop is pending on it. That
// is why it is shared.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // An error ends the connection, with a farewell that has the error's message.
  using OnFrame = std::function<Result<void>(FrameKind kind, BytesView payload)>;
  // The connection has ended by itself. `why` is for people.
  using OnEnd = std::function<void(const std::string& why)>;

  Connection(std::unique_ptr<Channel> channel, size_t queue_bytes_max);

  // Begins to read. After close(), or after OnEnd was called, neither is called again. Both are
  // kept until the connection is destroyed, so they must not hold the connection.
  void start(OnFrame on_frame, OnEnd on_end);

  // A longer frame ends the connection. The first value is kGreetingMax.
  void set_payload_max(uint32_t bytes) { payload_max_ = bytes; }

  // Any thread. Writes at once if nothing waits before it; otherwise the network's thread writes.
  // Dropped if the queue is full or the connection is closed.
  void send(FrameKind kind, Bytes payload);
  // The same for a message that all others overtake. It has a queue of its own.
  void send_bulk(Bytes message);

  // Ends the connection now, with a farewell when `reason` is not empty. No callback follows.
  void close(const std::string& reason = "");

  std::string remote_text() const { return channel_->remote_text(); }
  // See Channel::peer.
  const std::optional<Certificate>& certificate() const;

 private:
  struct Waiting {
    Bytes header;
    Bytes payload;
    size_t size() const { return header.size() + payload.size(); }
  };

  void read_more();
  void secured() EXCLUDES(mutex_);
  void take(size_t count);
  void take_frames();
  Result<void> take_part(BytesView payload);
  void end(const std::string& why);
  void flush_waiting() EXCLUDES(mutex_);
  void write_soon() REQUIRES(mutex_);
  bool flush() REQUIRES(mutex_);  // Returns false if the socket takes no more now.
  void next_part() REQUIRES(mutex_);

  const std::unique_ptr<Channel> channel_;
  const size_t queue_bytes_max_;
  OnFrame on_frame_;
  OnEnd on_end_;
  bool live_ = false;  // It was started and not closed.
  uint32_t payload_max_ = kGreetingMax;
  std::vector<char> buffer_;  // [begin_, end_) was received and is not handled yet.
  size_t begin_ = 0;
  size_t end_ = 0;
  Bytes parts_;  // The parts so far of a message whose last part has not come.

  Mutex mutex_;  // Also held to close the socket, since another thread may be writing to it.
  // Prompt frames, and at most one part of a bulk message.
  std::deque<Waiting> queue_ GUARDED_BY(mutex_);
  size_t queue_bytes_ GUARDED_BY(mutex_) = 0;
  std::deque<Bytes> bulk_ GUARDED_BY(mutex_);
  size_t bulk_bytes_ GUARDED_BY(mutex_) = 0;
  // How many bytes of the first message are in parts already.
  size_t bulk_begun_ GUARDED_BY(mutex_) = 0;
  // How many bytes of the queue's first frame are written.
  size_t front_written_ GUARDED_BY(mutex_) = 0;
  bool awaiting_ GUARDED_BY(mutex_) = false;  // The network's thread will flush.
  std::chrono::steady_clock::time_point written_at_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

// Sets no delay, keep-alives and a user time-out: a silent peer is noticed after `silence`.
void set_link_options(int fd, Duration silence);

}  // namespace databridge::platform
