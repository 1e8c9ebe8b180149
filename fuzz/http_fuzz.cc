// Any bytes over a socket: the server answers in HTTP or closes, and goes on serving.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/http.h"
#include "api/http_test_backend.h"
#include "base/check.h"

namespace {

using namespace databridge;

// The whole answer to these bytes, after which the client sends no more.
std::string talk(uint16_t port, std::string_view bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const timeval deadline{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) break;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  ::shutdown(fd, SHUT_WR);
  std::string answer;
  char chunk[16384];
  ssize_t n = 0;
  // A stream of events has no end.
  while (answer.find("text/event-stream") == std::string::npos &&
         (n = ::recv(fd, chunk, sizeof(chunk), 0)) > 0) {
    answer.append(chunk, static_cast<size_t>(n));
  }
  ::close(fd);
  CHECK(n >= 0 || errno == ECONNRESET);
  return answer;
}

struct Server {
  Server() {
    backend.found();
    api::HttpOptions options;
    options.port = 0;
    http = std::move(api::HttpServer::start(backend, std::move(options)).value());
  }
  api::TestBackend backend;
  std::unique_ptr<api::HttpServer> http;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const server = new Server;
  static uint64_t count = 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string answer = talk(server->http->port(), bytes);
  CHECK(answer.empty() || answer.starts_with("HTTP/1.1 "));
  if (++count % 64 == 0) {
    const std::string alive = talk(server->http->port(), "GET /healthz HTTP/1.0\r\n\r\n");
    CHECK(alive.starts_with("HTTP/1.1 200 "));
  }
  return 0;
}
