// Owns one TCP connection that carries frames: reading, checking, bounded queues, writing.
// Hides sockets' ways, and that large messages travel in parts: what is prompt goes between them.
// Runs on the network's thread; send() may be called by any thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/frame.h"

namespace databridge::platform {

// Lives as long as somebody holds it or an operation of the event loop is pending on it: therefore
// shared.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // An error ends the connection, with a farewell that gives its message.
  using OnFrame = std::function<Result<void>(FrameKind kind, BytesView payload)>;
  // The connection has ended by itself; `why` is for people.
  using OnEnd = std::function<void(const std::string& why)>;

  Connection(boost::asio::ip::tcp::socket socket, size_t queue_bytes_max);

  // Begins to read. After close(), or once OnEnd was called, neither is called again. They are kept
  // until the connection dies, so they must not hold it.
  void start(OnFrame on_frame, OnEnd on_end);

  // Frames longer than this end the connection. At first kGreetingMax.
  void set_payload_max(uint32_t bytes) { payload_max_ = bytes; }

  // Any thread. Writes at once when nothing waits before it, else the network's thread does.
  // Dropped when the queue is full or the connection closed.
  void send(FrameKind kind, Bytes payload);
  // The same, of a message that all of the above overtakes; it has a queue of its own.
  void send_bulk(Bytes message);

  // Ends the connection now, with a farewell when `reason` is not empty. No callback follows.
  void close(const std::string& reason = "");

  std::string remote_text() const { return remote_; }

 private:
  struct Waiting {
    Bytes header;
    Bytes payload;
    size_t size() const { return header.size() + payload.size(); }
  };

  void read_more();
  void take(size_t count);
  void take_frames();
  Result<void> take_part(BytesView payload);
  void end(const std::string& why);
  void flush_waiting() EXCLUDES(mutex_);
  void write_soon() REQUIRES(mutex_);
  bool flush() REQUIRES(mutex_);  // False: the socket takes no more now.
  void next_part() REQUIRES(mutex_);

  boost::asio::ip::tcp::socket socket_;
  const size_t queue_bytes_max_;
  std::string remote_;
  OnFrame on_frame_;
  OnEnd on_end_;
  bool live_ = false;  // Started and not closed.
  uint32_t payload_max_ = kGreetingMax;
  std::vector<char> buffer_;  // [begin_, end_) was received and is not yet taken.
  size_t begin_ = 0;
  size_t end_ = 0;
  Bytes parts_;  // Of a message whose last part has not come.

  Mutex mutex_;  // Also held to close the socket: another thread may be writing to it.
  std::deque<Waiting> queue_ GUARDED_BY(mutex_);  // What is prompt, and one part of bulk.
  size_t queue_bytes_ GUARDED_BY(mutex_) = 0;
  std::deque<Bytes> bulk_ GUARDED_BY(mutex_);
  size_t bulk_bytes_ GUARDED_BY(mutex_) = 0;
  size_t bulk_begun_ GUARDED_BY(mutex_) = 0;     // Of the first: so much is in parts already.
  size_t front_written_ GUARDED_BY(mutex_) = 0;  // Of the first in the queue.
  bool awaiting_ GUARDED_BY(mutex_) = false;     // The network's thread will flush.
  std::chrono::steady_clock::time_point written_at_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

// No delay, keep-alives, user time-out: a silent peer is noticed after `silence`.
void set_link_options(int fd, Duration silence);

}  // namespace databridge::platform
