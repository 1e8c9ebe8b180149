// The server over TLS: requests, streams, handshakes that fail or never end, another certificate.
#include "api/http_tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <mutex>
#include <new>
#include <thread>

#include "api/http_test_client.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;

// A context with a certificate of its own making.
std::shared_ptr<SSL_CTX> server_context(const char* name) {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  std::shared_ptr<X509> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  EXPECT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
  return context;
}

// A client that speaks TLS, and blocks.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, int version = TLS1_3_VERSION)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)),
        context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
        ssl_(SSL_new(context_.get()), SSL_free) {
    timeval deadline{kDeadlineSeconds, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    SSL_set_fd(ssl_.get(), socket_);
    SSL_set_max_proto_version(ssl_.get(), version);
    connected = SSL_connect(ssl_.get()) == 1;
  }
  ~TlsClient() { ::close(socket_); }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool send(const std::string& bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }
  std::string read_until(const std::string& end) {
    for (;;) {
      const size_t at = buffer_.find(end);
      if (at != std::string::npos) {
        std::string taken = buffer_.substr(0, at + end.size());
        buffer_.erase(0, at + end.size());
        return taken;
      }
      if (!more()) return std::exchange(buffer_, {});
    }
  }
  Reply read_reply() {
    Reply reply;
    reply.head = read_until("\r\n\r\n");
    if (!reply.head.starts_with("HTTP/1.1 ")) return reply;
    reply.status = std::atoi(reply.head.c_str() + 9);
    const size_t at = reply.head.find("Content-Length: ");
    if (at == std::string::npos) return reply;
    const size_t length = std::strtoul(reply.head.c_str() + at + 16, nullptr, 10);
    while (buffer_.size() < length && more()) {
    }
    reply.body = buffer_.substr(0, length);
    buffer_.erase(0, reply.body.size());
    return reply;
  }
  Reply get(const std::string& target, const std::string& extra = "") {
    EXPECT_TRUE(send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + extra + "\r\n"));
    return read_reply();
  }
  // Whether the server has ended the stream as TLS asks for, so that nothing was cut off.
  bool ended_whole() {
    while (more()) {
    }
    return SSL_get_shutdown(ssl_.get()) == SSL_RECEIVED_SHUTDOWN;
  }
  std::string server_name() const {
    X509* certificate = SSL_get1_peer_certificate(ssl_.get());
    char name[64] = "";
    if (certificate == nullptr) return name;
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, 64);
    X509_free(certificate);
    return name;
  }

  bool connected = false;

 private:
  bool more() {
    char chunk[16384];
    ERR_clear_error();
    const int n = SSL_read(ssl_.get(), chunk, sizeof(chunk));
    if (n <= 0) return false;
    buffer_.append(chunk, static_cast<size_t>(n));
    return true;
  }

  int socket_;
  std::shared_ptr<SSL_CTX> context_;
  std::shared_ptr<SSL> ssl_;
  std::string buffer_;
};

class HttpTlsTest : public HttpTest {
 protected:
  void start_tls(HttpOptions options = {}) {
    options.tls.context = server_context("first");
    options.on_trouble = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      troubles_ += line + "\n";
    };
    start(std::move(options));
  }
  std::string troubles() {
    const std::lock_guard lock(mutex_);
    return troubles_;
  }
  void TearDown() override { server.reset(); }  // Before `troubles_`.

 private:
  std::mutex mutex_;
  std::string troubles_;
};

TEST_F(HttpTlsTest, RequestsOfEverySizeAreAnswered) {
  start_tls();
  TlsClient client(port());
  ASSERT_TRUE(client.connected);
  EXPECT_EQ(client.get("/healthz").status, 200);
  for (const size_t size : {1u, 1000u, 16'000u, 17'000u, 300'000u, 1'000'000u}) {
    const std::string value(size, 'x');
    ASSERT_TRUE(client.send(put("k", "{\"value\":\"" + value + "\"}"))) << size;
    EXPECT_EQ(client.read_reply().status, 200) << size;
    EXPECT_EQ(nlohmann::json::parse(client.get("/api/cluster/config/k").body)["value"], value);
  }
  // Compressed on the worker's thread.
  EXPECT_EQ(client.get("/openapi.json", "Accept-Encoding: gzip\r\n").status, 200);
}

TEST_F(HttpTlsTest, TheHostsOfTheCertificateAreOurs) {
  HttpOptions options;
  options.tls.hosts = {"n2.example"};
  start_tls(std::move(options));
  const auto status = [this](const std::string& host) {
    TlsClient client(port());
    client.send("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    return client.read_reply().status;
  };
  EXPECT_EQ(status("N2.Example:8080"), 200);
  EXPECT_EQ(status("n3.example"), 403);
  server->set_tls({server_context("second"), 0, {"n3.example"}});
  EXPECT_EQ(status("n3.example"), 200);
  EXPECT_EQ(status("n2.example"), 403);
  EXPECT_EQ(status("localhost"), 200);
}

TEST_F(HttpTlsTest, ManyRequestsInOnePieceAreAnsweredInOrder) {
  start_tls();
  TlsClient client(port());
  std::string many;
  constexpr int kCount = 2000;
  for (int i = 0; i < kCount; ++i) {
    many += "GET /no-such HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  ASSERT_TRUE(client.send(many));
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(client.read_reply().status, 404) << i;
}

TEST_F(HttpTlsTest, AnAnswerWaitsForASlowReader) {
  start_tls();
  backend.apply(SetConfig{"big", '"' + std::string(1'000'000, 'x') + '"', {}});
  TlsClient client(port());
  std::string many;
  for (int i = 0; i < 20; ++i) {
    many += "GET /api/cluster/config/big HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  ASSERT_TRUE(client.send(many));
  TlsClient other(port());
  EXPECT_EQ(other.get("/healthz").status, 200);
  for (int i = 0; i < 20; ++i) EXPECT_GT(client.read_reply().body.size(), 1'000'000u);
}

TEST_F(HttpTlsTest, TheEndOfAConnectionIsTold) {
  start_tls();
  TlsClient client(port());
  EXPECT_EQ(client.get("/healthz", "Connection: close\r\n").status, 200);
  EXPECT_TRUE(client.ended_whole());
  TlsClient refused(port());
  ASSERT_TRUE(refused.send("NOT HTTP\r\n\r\n"));
  EXPECT_EQ(refused.read_reply().status, 400);
  EXPECT_TRUE(refused.ended_whole());
}

TEST_F(HttpTlsTest, OlderVersionsAreRefusedInWords) {
  start_tls();
  EXPECT_FALSE(TlsClient(port(), TLS1_2_VERSION).connected);
  EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
  EXPECT_THAT(troubles(), HasSubstr("a TLS handshake with 127.0.0.1 has failed: "));
}

TEST_F(HttpTlsTest, PlainHttpIsToldToUseTls) {
  start_tls();
  for (int i = 0; i < 3; ++i) {
    const Reply reply = get("/healthz");
    EXPECT_EQ(reply.status, 400);
    EXPECT_THAT(reply.body, HasSubstr("use https://"));
  }
  const std::string lines = troubles();
  EXPECT_THAT(lines, HasSubstr("speaks plain HTTP"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << lines;
}

TEST_F(HttpTlsTest, AnotherCertificateCountsForNewConnectionsOnly) {
  HttpOptions options;
  options.stream_heartbeat = std::chrono::milliseconds(50);
  start_tls(options);
  TlsClient stream(port());
  stream.send(
      "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  EXPECT_THAT(stream.read_until(":\n\n"), HasSubstr("200 OK"));
  TlsClient idle(port());
  EXPECT_EQ(idle.get("/healthz").status, 200);
  server->set_tls({server_context("second"), 0, {}});
  EXPECT_EQ(idle.get("/healthz").status, 200);  // By now the server has the new one.
  EXPECT_EQ(TlsClient(port()).server_name(), "second");
  EXPECT_EQ(idle.server_name(), "first");
  backend.apply(SetConfig{"k", "1", {}});
  EXPECT_THAT(stream.read_until("config_changed"), HasSubstr("config_changed"));
}

TEST_F(HttpTlsTest, SilentHandshakesEndAndHarmNobody) {
  HttpOptions options;
  options.read_timeout = std::chrono::milliseconds(300);
  start_tls(options);
  std::vector<std::unique_ptr<Client>> silent;
  silent.reserve(500);
  for (int i = 0; i < 500; ++i) silent.push_back(std::make_unique<Client>(port()));
  // The first bytes of a handshake, and then nothing more.
  for (int i = 0; i < 250; ++i) silent[static_cast<size_t>(i)]->send("\x16\x03\x01\x02");
  EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
  for (auto& client : silent) EXPECT_TRUE(client->closed_by_server());
  EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
}

TEST_F(HttpTlsTest, AHelloThatClaimsTooMuchEndsItsConnection) {
  start_tls();
  Client client(port());
  client.send(std::string("\x16\x03\x01\x00\x04\x01\x02\x01\x44", 9));  // 131,396 bytes.
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_THAT(troubles(), HasSubstr("127.0.0.1 has failed: its first message is longer"));
}

TEST_F(HttpTlsTest, HandshakesHaveATimeOfTheirOwn) {
  HttpOptions options;
  options.handshake_timeout = std::chrono::milliseconds(300);
  start_tls(options);
  TlsClient good(port());
  Client silent(port());
  EXPECT_TRUE(silent.closed_by_server());
  EXPECT_EQ(good.get("/healthz").status, 200);  // The rest of its time is not cut.
}

TEST_F(HttpTlsTest, TooManyHandshakesThatHaveBegunEndTheOldest) {
  start_tls();
  std::vector<std::unique_ptr<Client>> begun;
  for (int i = 0; i < 257; ++i) {
    begun.push_back(std::make_unique<Client>(port()));
    begun.back()->send("\x16\x03\x01\x02");
  }
  int gone = 0;
  while (gone == 0) {
    for (auto& client : begun) gone += client->has_news();
  }
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
}

TEST_F(HttpTlsTest, WithoutRoomNobodyIsAnsweredInPlainWords) {
  HttpOptions options;
  options.connections_max = 1;
  start_tls(options);
  backend.silent = true;
  std::vector<std::unique_ptr<TlsClient>> busy;
  for (size_t i = 0; i < 33; ++i) {  // One, and the reserve for this machine.
    busy.push_back(std::make_unique<TlsClient>(port()));
    busy.back()->send(put("k", "{\"value\":1}"));
    while (backend.asked <= i) std::this_thread::yield();
  }
  Client another(port());
  EXPECT_EQ(another.read_until("HTTP"), "");
}

TEST(Tls, AStepThatFailsDoesNotStopTheOthers) {
  boost::asio::io_context io;
  Tls tls(io, {});
  int done = 0;
  tls.take_turn([] { throw std::bad_alloc(); });
  tls.take_turn([&] { ++done; });
  io.run();
  io.restart();
  tls.take_turn([&] { ++done; });
  io.run();
  EXPECT_EQ(done, 2);
}

TEST_F(HttpTlsTest, AContextThatIsReplacedIsForgotten) {
  HttpOptions options;
  const auto first = server_context("first");
  options.tls.context = first;
  start(std::move(options));
  server->set_tls({server_context("second"), 0, {}});
  EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
  EXPECT_EQ(first.use_count(), 1);
}

TEST_F(HttpTlsTest, MoreHandshakesThanConnectionsLeaveRoomForNewOnes) {
  HttpOptions options;
  options.connections_max = 50;
  start_tls(options);
  std::vector<std::unique_ptr<Client>> silent;
  silent.reserve(300);
  for (int i = 0; i < 300; ++i) silent.push_back(std::make_unique<Client>(port()));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
}

// More clients shake hands at once than the server takes in at once.
TEST_F(HttpTlsTest, ACrowdOfHandshakesIsServed) {
  start_tls();
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 40; ++i) served += TlsClient(port()).get("/healthz").status == 200;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(served, 320);
}

TEST_F(HttpTlsTest, GarbageEndsItsConnectionOnly) {
  start_tls();
  TlsClient good(port());
  Random random(7);
  for (int i = 0; i < 300; ++i) {
    Client client(port());
    std::string bytes(random.below(2000), ' ');
    for (char& c : bytes) c = static_cast<char>(random.below(256));
    if (i % 2 == 0) bytes = "\x16\x03\x01" + bytes;
    client.send(bytes);
    client.end_sending();
    (void)client.closed_by_server();  // Or it was sent an alert.
  }
  EXPECT_EQ(good.get("/healthz").status, 200);
}

TEST_F(HttpTlsTest, ClientsThatGoAtAnyTimeHarmNobody) {
  start_tls();
  for (int i = 0; i < 50; ++i) {
    TlsClient client(port());
    client.send("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  EXPECT_EQ(TlsClient(port()).get("/healthz").status, 200);
}

}  // namespace
}  // namespace databridge::api
