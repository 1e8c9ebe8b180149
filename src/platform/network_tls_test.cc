// Links under TLS, impostors among them, and certificates that are renewed.
#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <functional>

#include "base/random.h"
#include "platform/certificate_authority.h"
#include "platform/certificates.h"
#include "platform/death_report.h"
#include "platform/network_order_test_kit.h"
#include "platform/network_test_kit.h"

namespace databridge::platform {
namespace {

// An authority, and what it has signed.
class Authority {
 public:
  Authority() {
    CertificateOrder order;
    order.directory = directory_.path();
    CHECK(create_authority(order));
  }

  TlsFiles make(CertificateUse use, const std::string& name) const {
    CertificateOrder order;
    order.directory = directory_.path();
    order.name = name;
    order.replace = true;
    const auto made = create_certificate(use, order);
    CHECK(made);
    return {path("ca.crt"), made->cert, made->key};
  }

  // Of the node "n1" for 1, and so on.
  Credentials node(uint64_t id) const {
    return load_credentials(make(CertificateUse::node, "n" + std::to_string(id))).value();
  }
  // The same, but it takes any peer: an impostor does not check others.
  static Credentials careless(const TlsFiles& files) {
    return load_credentials({"", files.cert, files.key}).value();
  }

  // Signs that certificate again, after a change.
  void sign_again(const TlsFiles& files, const std::function<void(X509*)>& change) const {
    FILE* file = std::fopen(path("ca.key").c_str(), "r");
    EVP_PKEY* const key = ::PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    file = std::fopen(files.cert.c_str(), "r");
    X509* const certificate = ::PEM_read_X509(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    CHECK(key != nullptr && certificate != nullptr);
    change(certificate);
    CHECK(::X509_sign(certificate, key, ::EVP_sha256()) > 0);
    file = std::fopen(files.cert.c_str(), "w");
    CHECK(::PEM_write_X509(file, certificate) == 1);
    std::fclose(file);
    ::X509_free(certificate);
    ::EVP_PKEY_free(key);
  }
  void expire(const TlsFiles& files) const {
    sign_again(files, [](X509* certificate) {
      ::X509_gmtime_adj(::X509_getm_notAfter(certificate), -60);
    });
  }
  // Takes away what names the node, so that it is the certificate of any server.
  void forget_name(const TlsFiles& files) const {
    sign_again(files, [](X509* certificate) {
      const int at = ::X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
      ::X509_EXTENSION_free(::X509_delete_ext(certificate, at));
    });
  }

 private:
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

  TemporaryDirectory directory_;
};

NetworkOptions with(Credentials tls) {
  NetworkOptions options;
  options.tls = std::move(tls);
  return options;
}

class NetworkTls : public testing::Test {
 protected:
  Authority authority;
};

TEST_F(NetworkTls, TwoNodesTalkBothWays) {
  Node a(greeting_of(1), with(authority.node(1))), b(greeting_of(2), with(authority.node(2)));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  EXPECT_EQ(a.events().front().peer, greeting_of(2));
  a.network->send(Incarnation{2}, packet("to b"));
  b.network->send(Incarnation{1}, packet("to a"));
  ASSERT_TRUE(eventually([&] { return a.messages().size() == 1 && b.messages().size() == 1; }));
  EXPECT_EQ(a.messages()[0], std::pair(Incarnation{2}, Bytes("to a")));
  EXPECT_EQ(b.messages()[0], std::pair(Incarnation{1}, Bytes("to b")));
}

TEST_F(NetworkTls, KeepsOrderThroughFullSockets) {
  Node a(greeting_of(1), with(authority.node(1))), b(greeting_of(2), with(authority.node(2)));
  ASSERT_TRUE(a.dial_and_wait(b.address()));
  expect_order_through_full_sockets(a, b, 30u << 20);
}

TEST_F(NetworkTls, TheEndOfAProcessIsNewsAtOnce) {
  Node a(greeting_of(1), with(authority.node(1)));
  auto b = std::make_unique<Node>(greeting_of(2), with(authority.node(2)));
  ASSERT_TRUE(a.dial_and_wait(b->address()));
  b.reset();
  EXPECT_TRUE(eventually([&] { return a.has_event(LinkNews::refused); }));
  EXPECT_TRUE(a.has_event(LinkNews::lost));
}

// Each dials a good node, and is refused in words that both sides note.
TEST_F(NetworkTls, ImpostorsAreRefusedInWords) {
  const Authority foreign;
  TlsFiles expired = authority.make(CertificateUse::node, "n2");
  authority.expire(expired);
  Credentials none;
  none.context = TlsContext(::SSL_CTX_new(::TLS_client_method()), &SSL_CTX_free);
  struct Row {
    const char* what;
    Credentials tls;
    const char* noted;  // By the node that was dialled.
    const char* told;   // By the impostor.
  };
  const Row rows[] = {
      {"no certificate", none, "it showed no certificate",
       "asks for a certificate, and this node showed none"},
      {"expired", Authority::careless(expired), "its certificate has expired", "has expired"},
      {"foreign authority", Authority::careless(foreign.make(CertificateUse::node, "n2")),
       "is of another authority", "is of another authority"},
      {"wrong name", Authority::careless(authority.make(CertificateUse::node, "n3")),
       "calls itself n2 and shows the certificate of node n3", "shows the certificate of node n3"},
      {"a client of the API", Authority::careless(authority.make(CertificateUse::client, "ann")),
       "the certificate of ann, a client of the API", "only nodes may connect here"},
      {"no TLS", Credentials(), "speaks without TLS", "give the three files"},
  };
  Node good(greeting_of(1), with(authority.node(1)));
  for (const Row& row : rows) {
    Node impostor(greeting_of(2), with(row.tls));
    impostor.network->dial(good.address());
    EXPECT_TRUE(eventually([&] { return good.has_line(row.noted); })) << row.what;
    EXPECT_TRUE(eventually([&] { return impostor.has_line(row.told); })) << row.what;
    EXPECT_FALSE(impostor.has_event(LinkNews::up)) << row.what;
  }
  EXPECT_TRUE(good.greetings().empty());
  Node b(greeting_of(2), with(authority.node(2)));
  EXPECT_TRUE(b.dial_and_wait(good.address()));
}

// The other direction: a good node dials an address at which something else listens.
TEST_F(NetworkTls, ANodeDoesNotTalkToImpostors) {
  const Authority foreign;
  const TlsFiles server = authority.make(CertificateUse::node, "n2");
  authority.forget_name(server);
  struct Row {
    const char* what;
    Credentials tls;
    const char* noted;
  };
  const Row rows[] = {
      {"foreign authority", Authority::careless(foreign.make(CertificateUse::node, "n2")),
       "another authority"},
      {"wrong name", authority.node(3), "shows the certificate of node n3"},
      {"a client of the API", Authority::careless(authority.make(CertificateUse::client, "ann")),
       "not made for this side"},
      {"any server", load_credentials(server).value(), "a certificate that names no node"},
      {"no TLS", Credentials(), "speaks without TLS"},
  };
  for (const Row& row : rows) {
    Node good(greeting_of(1), with(authority.node(1)));
    Node impostor(greeting_of(2), with(row.tls));
    good.network->dial(impostor.address());
    EXPECT_TRUE(eventually([&] { return good.has_line(row.noted); })) << row.what;
    EXPECT_FALSE(good.has_event(LinkNews::up)) << row.what;
    if (&row != &rows[3]) continue;
    // The farewell is the first that it gets, and no greeting comes before it.
    EXPECT_TRUE(eventually([&] { return impostor.has_line("names no node"); }));
    EXPECT_TRUE(impostor.greetings().empty());
  }
}

// A read ends behind each of them, and none of them may be left where no news of the socket leads
// to it.
TEST_F(NetworkTls, ManyChangesOfKeysHoldNothingUp) {
  Node good(greeting_of(1), with(authority.node(1)));
  RawPeer peer(good.address());
  const Credentials tls = authority.node(2);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(::SSL_new(tls.context.get()), &SSL_free);
  ASSERT_EQ(::SSL_set_fd(ssl.get(), peer.descriptor()), 1);
  ASSERT_EQ(::SSL_connect(ssl.get()), 1);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(::SSL_key_update(ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(::SSL_do_handshake(ssl.get()), 1);
  }
  const Bytes hello = encode_frame(FrameKind::greeting, encode_greeting(greeting_of(2)));
  ASSERT_EQ(::SSL_write(ssl.get(), hello.data(), static_cast<int>(hello.size())),
            static_cast<int>(hello.size()));
  EXPECT_TRUE(eventually([&] { return good.greetings().size() == 1; }));
}

TEST_F(NetworkTls, ANodeWithoutTlsSaysThatTheOtherUsesIt) {
  Node plain(greeting_of(1));
  Node tls(greeting_of(2), with(authority.node(2)));
  tls.network->dial(plain.address());
  EXPECT_TRUE(eventually([&] { return plain.has_line("the other side uses TLS"); }));
}

TEST_F(NetworkTls, NewCertificatesAreForNewLinks) {
  const Authority next;
  Node a(greeting_of(1), with(authority.node(1)));
  Node b(greeting_of(2), with(authority.node(2)));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  a.network->renew(next.node(1), "");
  Node c(greeting_of(3), with(next.node(3)));
  EXPECT_TRUE(c.dial_and_wait(a.address()));
  Node d(greeting_of(4), with(authority.node(4)));
  d.network->dial(a.address());
  EXPECT_TRUE(eventually([&] { return d.has_line("another authority"); }));
  b.network->send(Incarnation{1}, packet("still here"));
  EXPECT_TRUE(eventually([&] { return a.messages().size() == 1; }));
  EXPECT_FALSE(b.has_event(LinkNews::lost));
}

// The first bytes of a real handshake, bent in many ways, and bytes that are none.
TEST_F(NetworkTls, MalformedHandshakesHarmNobody) {
  Node a(greeting_of(1), with(authority.node(1)));
  Node b(greeting_of(2), with(authority.node(2)));
  ASSERT_TRUE(b.dial_and_wait(a.address()));
  const Credentials tls = authority.node(7);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(::SSL_new(tls.context.get()), &SSL_free);
  BIO* const out = ::BIO_new(::BIO_s_mem());
  ::SSL_set_bio(ssl.get(), ::BIO_new(::BIO_s_mem()), out);
  ::SSL_set_connect_state(ssl.get());
  (void)::SSL_do_handshake(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  const Bytes first(bytes, static_cast<size_t>(size));
  ASSERT_GT(first.size(), 100u);
  Random random(5);
  for (int round = 0; round < 400; ++round) {
    RawPeer peer(a.address());
    Bytes bent = random.chance(0.8) ? first : Bytes(random.below(300), '\x16');
    for (uint64_t i = random.below(6); i > 0 && !bent.empty(); --i) {
      bent[random.below(bent.size())] = static_cast<char>(random.next());
    }
    if (random.chance(0.3)) bent.resize(random.below(bent.size() + 1));
    if (random.chance(0.3)) bent += Bytes(random.below(2000), static_cast<char>(random.next()));
    peer.write(bent);
  }
  b.network->send(Incarnation{1}, packet("still here"));
  EXPECT_TRUE(eventually([&] { return a.messages().size() == 1; }));
  EXPECT_FALSE(b.has_event(LinkNews::lost));
  Node c(greeting_of(3), with(authority.node(3)));
  EXPECT_TRUE(c.dial_and_wait(a.address()));
}

TEST_F(NetworkTls, AHandshakeThatIsNotFinishedIsCut) {
  NetworkOptions options = with(authority.node(1));
  options.greeting_time = 50ms;
  Node a(greeting_of(1), options);
  RawPeer slow(a.address());
  slow.write(Bytes("\x16\x03\x01", 3));
  (void)slow.read_to_end();
  EXPECT_TRUE(slow.closed);
  EXPECT_TRUE(eventually([&] { return a.has_line("no greeting came in time"); }));
}

TEST_F(NetworkTls, AGuardianReportsWithTheCertificateOfItsNode) {
  Reaped dead{greeting_of(2), "secret"};
  dead.process.guardian = sha256(dead.secret);
  Node member(greeting_of(1), with(authority.node(1)));
  {
    Node process(dead.process, with(authority.node(2)));
    ASSERT_TRUE(process.dial_and_wait(member.address()));
  }
  EXPECT_EQ(report_death(dead, {member.address()}, 500ms), 0u) << "without TLS";
  EXPECT_EQ(report_death(dead, {member.address()}, 500ms, authority.node(3).context), 0u);
  EXPECT_TRUE(member.reaped().empty());
  EXPECT_EQ(report_death(dead, {member.address()}, 20s, authority.node(2).context), 1u);
  EXPECT_EQ(member.reaped(), std::vector<Greeting>{dead.process});
}

}  // namespace
}  // namespace databridge::platform
