#include "platform/network.h"

#include <gmock/gmock.h>

#include "base/random.h"
#include "platform/address_book.h"
#include "platform/network_order_test_kit.h"
#include "platform/network_test_kit.h"

namespace databridge::platform {
namespace {

using testing::HasSubstr;

// A listener that does only what the test says.
class RawListener {
 public:
  RawListener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* where = reinterpret_cast<sockaddr*>(&at);
    socklen_t size = sizeof at;
    CHECK(::bind(socket_.get(), where, size) == 0);
    CHECK(::listen(socket_.get(), 8) == 0);
    CHECK(::getsockname(socket_.get(), where, &size) == 0);
    port = ntohs(at.sin_port);
  }
  Descriptor accept_and_greet(const Greeting& self) {
    Descriptor link(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const Bytes hello = encode_frame(FrameKind::greeting, encode_greeting(self));
    (void)::send(link.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
    return link;
  }
  uint16_t port = 0;

 private:
  Descriptor socket_;
};

TEST(Network, TwoNodesTalkBothWays) {
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  EXPECT_EQ(a.events().front().peer, greeting_of(2));
  EXPECT_EQ(a.events().front().address, b.address());
  a.network->send(Incarnation{2}, packet("to b"));
  b.network->send(Incarnation{1}, packet("to a"));
  ASSERT_TRUE(eventually([&] { return a.messages().size() == 1 && b.messages().size() == 1; }));
  EXPECT_EQ(a.messages()[0], std::pair(Incarnation{2}, Bytes("to a")));
  EXPECT_EQ(b.messages()[0], std::pair(Incarnation{1}, Bytes("to b")));
  EXPECT_EQ(b.greetings().front(), greeting_of(1));
}

TEST(Network, KeepsOrderThroughFullSockets) {
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  expect_order_through_full_sockets(a, b, 40u << 20);
}

TEST(Network, CarriesBigMessagesAndDropsBiggerOnes) {
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  const Bytes big(size_t{60} << 20, 'b');
  a.network->send(Incarnation{2}, packet(Bytes(size_t{65} << 20, 'c')));
  a.network->send(Incarnation{2}, packet(big));
  ASSERT_TRUE(eventually([&] { return b.messages().size() == 1; }));
  EXPECT_TRUE(b.messages()[0].second == big);
  EXPECT_TRUE(eventually([&] { return a.has_line("was not sent"); }));
  EXPECT_FALSE(a.has_event(LinkNews::lost));
}

TEST(Network, DropsWhatNobodyHears) {
  Node a(greeting_of(1)), b(greeting_of(2));
  a.network->send(Incarnation{2}, packet("too early"));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  a.network->send(Incarnation{9}, packet("to nobody"));
  a.network->send(Incarnation{2}, packet("heard"));
  ASSERT_TRUE(eventually([&] { return !b.messages().empty(); }));
  EXPECT_EQ(b.messages()[0].second, "heard");
}

TEST(Network, DialledTwiceIsOneLink) {
  Node a(greeting_of(1)), b(greeting_of(2));
  a.network->dial(b.address());
  a.network->dial(b.address());
  ASSERT_TRUE(eventually([&] { return a.has_event(LinkNews::up); }));
  a.network->dial(b.address());
  // This link comes after the third dial.
  Node c(greeting_of(3));
  ASSERT_TRUE(a.dial_and_wait(c.address()));
  EXPECT_EQ(b.greetings().size(), 1u);
}

TEST(Network, NamesAreResolved) {
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait({"localhost", b.network->port()}));
  a.network->dial({"no-such-host.invalid", 1});
  EXPECT_TRUE(eventually([&] { return a.has_event(LinkNews::failed); }));
  EXPECT_TRUE(a.has_line("cannot resolve no-such-host.invalid"));
}

// The name server is down when the node starts again, but the node remembers where it met its peer.
TEST(Network, APeerThatWasMetIsFoundWhileItsNameCannotBeResolved) {
  TemporaryDirectory directory;
  NetworkOptions options;
  options.address_book = directory.path() + "/addresses";
  Node peer(greeting_of(2));
  const Address place{"peer.of.this.test.invalid", peer.address().port};
  {
    Node a(greeting_of(1), options);
    a.network->dial(place);
    EXPECT_TRUE(eventually([&] { return a.has_line("cannot resolve"); }));
  }
  {
    AddressBook book(options.address_book);
    ASSERT_TRUE(book.met(place, peer.address()));
    EXPECT_EQ(AddressBook(options.address_book).find(place), peer.address());
  }
  Node again(greeting_of(1), options);
  EXPECT_TRUE(again.dial_and_wait(place));
}

TEST(Network, WhereANamedPeerWasMetIsKept) {
  TemporaryDirectory directory;
  NetworkOptions options;
  options.address_book = directory.path() + "/addresses";
  Node peer(greeting_of(2)), a(greeting_of(1), options);
  const Address place{"localhost", peer.address().port};
  ASSERT_TRUE(a.dial_and_wait(place));
  EXPECT_EQ(AddressBook(options.address_book).find(place), peer.address());
}

TEST(Network, TalksIpv6) {
  NetworkOptions options;
  options.listen = {"::1", 0};
  Node a(greeting_of(1), options), b(greeting_of(2), options);
  ASSERT_TRUE(a.dial_and_wait({"::1", b.network->port()}));
}

TEST(Network, APortInUseIsAClearError) {
  Node a(greeting_of(1));
  NetworkOptions options;
  options.listen = a.address();
  const auto second = make_network(options);
  const auto started = second->start(greeting_of(2), {});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::conflict);
  EXPECT_THAT(started.error().message, HasSubstr(a.address().text()));
}

TEST(Network, APortCanBeTriedWithoutListening) {
  Node node(greeting_of(1));
  const auto taken = check_can_listen(loopback(node.network->port()));
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr(std::to_string(node.network->port())));
  EXPECT_THAT(taken.error().message, HasSubstr("another process has it"));
  EXPECT_TRUE(check_can_listen(loopback(0)));
}

TEST(Network, ALostPeerIsNewsAndThenRefused) {
  Node a(greeting_of(1));
  auto b = std::make_unique<Node>(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait(b->address()));
  b.reset();
  ASSERT_TRUE(eventually([&] { return a.has_event(LinkNews::refused); }));
  const auto events = a.events();
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events[1].news, LinkNews::lost);
  EXPECT_EQ(events[1].peer, greeting_of(2));
  const auto refused = std::find_if(events.begin(), events.end(), [](const LinkEvent& event) {
    return event.news == LinkNews::refused;
  });
  EXPECT_EQ(refused->peer.incarnation, Incarnation{2});
  EXPECT_FALSE(refused->process_gone) << "this very process is not gone";
}

TEST(Network, ARefusalByAStrangerProvesNothing) {
  // Nobody listens at that port, and nobody else gets it.
  const Descriptor held(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(held.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::getsockname(held.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  Node a(greeting_of(1));
  a.network->dial(loopback(ntohs(at.sin_port)));
  ASSERT_TRUE(eventually([&] { return a.has_event(LinkNews::refused); }));
  EXPECT_FALSE(a.events().front().peer.incarnation);
  EXPECT_FALSE(a.events().front().process_gone);
}

const ChildRole kPeer("network_peer", [](const std::string&) {
  Node peer(greeting_of(2));
  ChildRole::put(peer.network->port());
  for (;;) ::pause();
});

// safety.md 2: on the same host, /proc is proof.
TEST(Network, AKilledProcessOfThisHostIsSeenToBeGone) {
  ChildProcess child("network_peer", "");
  uint16_t port = 0;
  ASSERT_TRUE(child.get(port));
  Node a(greeting_of(1));
  ASSERT_TRUE(a.dial_and_wait(loopback(port)));
  child.kill();
  // It is not reaped yet: a zombie counts as gone, too.
  EXPECT_TRUE(eventually([&] {
    const auto events = a.events();
    return std::any_of(events.begin(), events.end(), [](const LinkEvent& event) {
      return event.news == LinkNews::refused && event.process_gone;
    });
  }));
}

TEST(Network, ComesBackToAnAddressThatListensAgain) {
  Node a(greeting_of(1));
  auto b = std::make_unique<Node>(greeting_of(2));
  const Address address = b->address();
  ASSERT_TRUE(a.dial_and_wait(address));
  b.reset();
  ASSERT_TRUE(eventually([&] { return a.has_event(LinkNews::refused); }));
  NetworkOptions options;
  options.listen = address;
  Node again(greeting_of(2, "c", 2), options);
  ASSERT_TRUE(eventually([&] { return a.count(LinkNews::up) == 2; }));
  EXPECT_EQ(a.events().back().peer.boot, 2u);
  a.network->send(Incarnation{2}, packet("hello again"));
  EXPECT_TRUE(eventually([&] { return again.messages().size() == 1; }));
}

TEST(Network, TheLastNewsOfALinkThatWasHungUpIsItsEnd) {
  Node a(greeting_of(1)), b(greeting_of(2)), c(greeting_of(3));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  a.network->hang_up(b.address());
  ASSERT_TRUE(a.dial_and_wait(c.address()));
  a.network->send(Incarnation{2}, packet("dropped"));
  EXPECT_EQ(a.count(LinkNews::lost), 1u);
  EXPECT_TRUE(b.messages().empty());
  // It can be dialled again.
  EXPECT_TRUE(a.dial_and_wait(b.address()));
}

TEST(Network, DiallingItselfIsToldOnceAndIsNoGreeting) {
  Node a(greeting_of(1)), b(greeting_of(2));
  a.network->dial(a.address());
  ASSERT_TRUE(eventually([&] { return a.events().size() == 1; }));
  EXPECT_EQ(a.events()[0].news, LinkNews::up);
  EXPECT_EQ(a.events()[0].address, a.address());
  EXPECT_EQ(a.events()[0].peer.incarnation, Incarnation{1});
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  EXPECT_TRUE(eventually([&] { return a.greetings().size() == 1; }));
  EXPECT_EQ(a.events().size(), 2u);
}

// Bytes that a hostile or broken peer may send. Each such peer must be told why and cut, while
// other peers go on.
TEST(Network, BadBytesAreRefusedAndHarmNobodyElse) {
  const Bytes hello = encode_frame(FrameKind::greeting, encode_greeting(greeting_of(7)));
  Bytes newer = hello;
  newer[4] = 2;
  Bytes flipped = hello;
  flipped[30] = static_cast<char>(flipped[30] ^ 1);
  Bytes flipped_message = encode_frame(FrameKind::message, encode(packet("x")));
  flipped_message.back() = static_cast<char>(flipped_message.back() ^ 8);
  Bytes too_long = encode_frame(FrameKind::message, "x");
  too_long[11] = 0x7f;
  struct Row {
    const char* what;
    Bytes bytes;
    const char* line;
  };
  const Row rows[] = {
      {"garbage", Bytes(100, '\x17'), "not a cluster frame"},
      {"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not a cluster frame"},
      {"a newer protocol", newer, "protocol version 2"},
      {"a flipped bit", flipped, "checksum mismatch"},
      {"a message first", encode_frame(FrameKind::message, encode(packet("x"))),
       "before the greeting"},
      {"a long greeting", encode_frame(FrameKind::greeting, Bytes(5000, 'x')),
       "frame of 5000 bytes"},
      {"a nonsense greeting", encode_frame(FrameKind::greeting, "nonsense"), "greeting"},
      {"a nonsense message", hello + encode_frame(FrameKind::message, "\xff\xff\xff"), ""},
      {"a flipped message", hello + flipped_message, "checksum mismatch"},
      {"a huge length", hello + too_long, "where at most"},
  };
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  size_t talked = 0;
  for (const auto& row : rows) {
    RawPeer bad(b.address());
    bad.write(row.bytes);
    const Bytes answer = bad.read_to_end();
    EXPECT_TRUE(bad.closed) << row.what;
    EXPECT_THAT(answer, HasSubstr(row.line)) << row.what;
    a.network->send(Incarnation{2}, packet(row.what));
    ++talked;
    ASSERT_TRUE(eventually([&] { return b.messages().size() == talked; })) << row.what;
  }
  EXPECT_FALSE(a.has_event(LinkNews::lost));
  EXPECT_TRUE(b.has_line("cut: "));
}

TEST(Network, RandomBytesNeverCrashIt) {
  Node a(greeting_of(1));
  Random random(11);
  const Bytes hello = encode_frame(FrameKind::greeting, encode_greeting(greeting_of(7)));
  for (int round = 0; round < 200; ++round) {
    RawPeer peer(a.address());
    Bytes bytes = random.chance(0.5) ? hello : Bytes();
    for (uint64_t i = random.below(200); i > 0; --i)
      bytes.push_back(static_cast<char>(random.next()));
    if (!bytes.empty() && random.chance(0.5)) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    peer.write(bytes);
  }
  Node b(greeting_of(2));
  EXPECT_TRUE(b.dial_and_wait(a.address()));
}

TEST(Network, SilenceInsteadOfAGreetingIsCut) {
  NetworkOptions options;
  options.greeting_time = 30ms;
  Node a(greeting_of(1), options);
  RawPeer silent(a.address());
  silent.read_to_end();
  EXPECT_TRUE(silent.closed);
  EXPECT_TRUE(eventually([&] { return a.has_line("no greeting came in time"); }));
}

TEST(Network, AListenerThatNeverGreetsIsGivenUp) {
  RawListener deaf;
  NetworkOptions options;
  options.greeting_time = 30ms;
  Node a(greeting_of(1), options);
  a.network->dial(loopback(deaf.port));
  EXPECT_TRUE(eventually([&] { return a.count(LinkNews::failed) >= 2; }));
}

TEST(Network, AListenerThatGreetsTooOftenIsLeft) {
  RawListener listener;
  Node a(greeting_of(1));
  a.network->dial(loopback(listener.port));
  const Descriptor link = listener.accept_and_greet(greeting_of(2, ""));
  for (int n = 1; n <= kGreetingsMax; ++n) {
    const Bytes again =
        encode_frame(FrameKind::greeting, encode_greeting(greeting_of(2, n % 2 == 0 ? "" : "c")));
    (void)::send(link.get(), again.data(), again.size(), MSG_NOSIGNAL);
  }
  EXPECT_TRUE(eventually([&] { return a.has_event(LinkNews::lost); }));
  EXPECT_EQ(a.count(LinkNews::up), kGreetingsMax);
}

TEST(Network, AThousandSilentGuestsKeepNoMemberOut) {
  Node a(greeting_of(1)), b(greeting_of(2));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  std::vector<std::unique_ptr<RawPeer>> guests;
  for (int i = 0; i < 1000; ++i) {
    guests.push_back(std::make_unique<RawPeer>(b.address()));
    ASSERT_TRUE(guests.back()->connected) << i;
  }
  Node c(greeting_of(3));
  EXPECT_TRUE(c.dial_and_wait(b.address()));
  c.network->send(Incarnation{2}, packet("newcomer"));
  a.network->send(Incarnation{2}, packet("member"));
  EXPECT_TRUE(eventually([&] { return b.messages().size() == 2; }));
  EXPECT_FALSE(a.has_event(LinkNews::lost));
  guests.front()->read_to_end();
  EXPECT_TRUE(guests.front()->closed) << "more than the limit are kept";
}

// When members come all at once, those that were accepted are heard before more are let in: a
// member that has greeted is never cut as if it were silent.
TEST(Network, ACrowdOfMembersIsHeardAsItComes) {
  NetworkOptions options;
  options.guests_max = 20;
  Node a(greeting_of(1), options);
  const Bytes hello = encode_frame(FrameKind::greeting, encode_greeting(greeting_of(2)));
  std::vector<std::unique_ptr<RawPeer>> crowd;
  {
    const MutexLock held(a.mutex());
    for (int i = 0; i < 60; ++i) {
      crowd.push_back(std::make_unique<RawPeer>(a.address()));
      ASSERT_TRUE(crowd.back()->connected) << i;
      crowd.back()->write(hello);
    }
  }
  EXPECT_TRUE(eventually([&] { return a.greetings().size() == crowd.size(); }));
  EXPECT_FALSE(a.has_line("cut"));
}

TEST(Network, APeerThatReadsNothingCostsBoundedMemory) {
  RawListener peer;
  NetworkOptions options;
  options.queue_bytes_max = 1 << 20;
  options.silence = 60s;
  Node a(greeting_of(1), options);
  a.network->dial(loopback(peer.port));
  Descriptor link = peer.accept_and_greet(greeting_of(2));
  ASSERT_TRUE(eventually([&] { return a.has_event(LinkNews::up); }));
  for (int i = 0; i < 200; ++i) a.network->send(Incarnation{2}, packet(Bytes(1 << 20, 'q')));
  a.network->hang_up(loopback(peer.port));
  size_t received = 0;
  static char buffer[1 << 16];
  for (ssize_t got = 1; got > 0; got = ::read(link.get(), buffer, sizeof buffer)) {
    received += static_cast<size_t>(got);
  }
  EXPECT_GT(received, size_t{64} << 10);
  EXPECT_LT(received, size_t{100} << 20) << "nothing was dropped";
}

}  // namespace
}  // namespace databridge::platform
