#include "platform/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "platform/system.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

using testing::HasSubstr;

constexpr size_t kQueueMax = 8u << 20;

struct Frame {
  FrameKind kind;
  Bytes payload;
};

// One end is a Connection; the test owns the other end.
class Wire {
 public:
  // `first`: bytes that the other end has written before the connection is made.
  explicit Wire(BytesView first = {}, const TlsContext& tls = nullptr) {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    other_ = Descriptor(ends[1]);
    write(first);
    boost::asio::ip::tcp::socket socket(io_);
    socket.assign(boost::asio::ip::tcp::v4(), ends[0]);
    link =
        std::make_shared<Connection>(std::make_unique<Channel>(std::move(socket), tls), kQueueMax);
    link->set_payload_max(kPayloadMax);
    boost::asio::post(io_, [this] {
      link->start(
          [this](FrameKind kind, BytesView payload) {
            const MutexLock lock(mutex_);
            taken_.push_back({kind, Bytes(payload)});
            return Result<void>();
          },
          [this](const std::string& why) {
            const MutexLock lock(mutex_);
            end_ = why;
          });
    });
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Wire() {
    boost::asio::post(io_, [this] { link->close(); });
    work_.reset();
    thread_.join();
  }

  void write(BytesView bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(other_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      CHECK(sent > 0);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void on_thread(std::function<void()> act) { boost::asio::post(io_, std::move(act)); }
  // The next frame that the connection has written.
  Frame read() {
    const Bytes head = read(kFrameHeaderSize);
    const auto header = decode_frame_header(head);
    CHECK(header.has_value());
    return {header->kind, read(header->length)};
  }
  std::vector<Frame> taken() {
    const MutexLock lock(mutex_);
    return taken_;
  }
  std::string end() {
    const MutexLock lock(mutex_);
    return end_;
  }

  std::shared_ptr<Connection> link;

 private:
  Bytes read(size_t size) {
    Bytes bytes(size, '\0');
    for (size_t at = 0; at < size;) {
      const ssize_t got = ::recv(other_.get(), bytes.data() + at, size - at, 0);
      CHECK(got > 0);
      at += static_cast<size_t>(got);
    }
    return bytes;
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  Descriptor other_;
  Mutex mutex_;
  std::vector<Frame> taken_ GUARDED_BY(mutex_);
  std::string end_ GUARDED_BY(mutex_);
  std::thread thread_;
};

Bytes part(bool last, BytesView piece) {
  return encode_frame(FrameKind::part, Bytes(1, last ? '\1' : '\0') + Bytes(piece));
}

// Bulk fills the socket and the queue behind it. A prompt message waits for at most one part.
TEST(Connection, WhatIsPromptOvertakesBulk) {
  Wire wire;
  const Bytes large(4u << 20, 'b');
  wire.link->send_bulk(large);
  wire.link->send_bulk("the second");
  wire.link->send(FrameKind::message, "prompt");
  Bytes whole;
  std::vector<std::string> order;
  size_t before = 0;
  while (order.size() < 3) {
    Frame frame = wire.read();
    if (frame.kind == FrameKind::message) {
      if (frame.payload == "prompt") before = whole.size();
      order.push_back(frame.payload);
      continue;
    }
    ASSERT_EQ(frame.kind, FrameKind::part);
    whole.append(frame.payload, 1);
    if (frame.payload[0] == 1) order.push_back("the first");
  }
  EXPECT_THAT(order, testing::ElementsAre("prompt", "the first", "the second"));
  EXPECT_LT(before, large.size() / 2);
  EXPECT_EQ(whole, large);
}

TEST(Connection, AFullQueueOfBulkKeepsNothingPromptOut) {
  Wire wire;
  for (int i = 0; i < 100; ++i) wire.link->send_bulk(Bytes(1u << 20, 'b'));
  wire.link->send(FrameKind::message, "prompt");
  size_t bulk = 0;
  for (;;) {
    const Frame frame = wire.read();
    if (frame.kind == FrameKind::message) break;
    bulk += frame.payload.size();
  }
  EXPECT_LT(bulk, kQueueMax);
  wire.link->send(FrameKind::farewell, "");
  for (Frame frame = wire.read(); frame.kind != FrameKind::farewell; frame = wire.read()) {
  }
}

TEST(Connection, PartsBecomeOneMessageAndOthersComeBetween) {
  Wire wire;
  wire.write(part(false, "one ") + encode_frame(FrameKind::message, "between") +
             part(false, "two ") + part(true, "three") + part(true, "alone"));
  ASSERT_TRUE(eventually([&] { return wire.taken().size() == 3; }));
  EXPECT_EQ(wire.taken()[0].payload, "between");
  EXPECT_EQ(wire.taken()[1].payload, "one two three");
  EXPECT_EQ(wire.taken()[1].kind, FrameKind::message);
  EXPECT_EQ(wire.taken()[2].payload, "alone");
  EXPECT_EQ(wire.end(), "");
}

TEST(Connection, PartsHaveTheBoundOfOneMessage) {
  Wire wire;
  wire.on_thread([&] { wire.link->set_payload_max(100); });
  wire.write(part(false, Bytes(60, 'x')));
  wire.write(part(false, Bytes(60, 'x')));
  EXPECT_TRUE(eventually([&] { return !wire.end().empty(); }));
  EXPECT_THAT(wire.end(), HasSubstr("at most 100"));
  EXPECT_TRUE(wire.taken().empty());
}

// The bytes are there before the handshake begins, so its very first step fails.
TEST(Connection, AServerThatSpeaksFirstIsNoPeerUnderTls) {
  const TlsContext tls(::SSL_CTX_new(::TLS_client_method()), &SSL_CTX_free);
  Wire wire("SSH-2.0-OpenSSH_9.2 and more than the header of one record\r\n", tls);
  EXPECT_TRUE(eventually([&] { return !wire.end().empty(); }));
  EXPECT_THAT(wire.end(), HasSubstr("TLS: the handshake failed"));
}

// A long queue is not written by a close, which must not take long.
TEST(Connection, AFarewellGoesBehindAShortQueueOnly) {
  for (const bool is_long : {false, true}) {
    Wire wire;
    wire.on_thread([&] {
      wire.link->send(FrameKind::message, "first");
      wire.link->send(FrameKind::message, Bytes(100, 'x'));  // It waits for this thread.
      if (is_long) wire.link->send(FrameKind::message, Bytes(64u << 10, 'x'));
      wire.link->close("the end");
    });
    EXPECT_EQ(wire.read().payload, "first");
    if (is_long) continue;
    EXPECT_EQ(wire.read().payload, Bytes(100, 'x'));
    EXPECT_EQ(wire.read().payload, "the end");
  }
}

TEST(Connection, APartThatCannotBeReadEndsIt) {
  for (const Bytes& payload : {Bytes(), Bytes("\2more")}) {
    Wire wire;
    wire.write(encode_frame(FrameKind::part, payload));
    EXPECT_TRUE(eventually([&] { return !wire.end().empty(); }));
    EXPECT_THAT(wire.end(), HasSubstr("cannot be read"));
  }
}

}  // namespace
}  // namespace databridge::platform
