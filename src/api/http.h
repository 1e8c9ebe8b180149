// The HTTP server.
//
// - Owns: the API's listening socket and its connections; one thread for them and one for the
//   access log.
// - Hides: the HTTP library (only files http*.cc know it), limits, slow and silent clients, event
//   streams.
// - Calls: Backend::view and submit on its own thread. It never waits for the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/auth.h"
#include "api/backend.h"

struct ssl_ctx_st;

namespace databridge::api {

// The certificate of the server.
struct ServerTls {
  // A context of OpenSSL that belongs to this server alone: it sets what else it needs. Shared with
  // the connections that use it. Null: plain HTTP.
  std::shared_ptr<ssl_ctx_st> context;
  int64_t ends = 0;  // In seconds of Unix time.
  // What the certificate is for. Requests may name these hosts as they may name the node's own.
  std::vector<std::string> hosts{};
};

struct HttpOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free port, see HttpServer::port.
  // Names and addresses that a client may use in `Host`, without a port: the advertised ones. The
  // bind address and the loopback names are always allowed.
  std::vector<std::string> hosts;
  // Gets whole lines, each with its line feed, a few times a second, on a thread of its own that
  // may wait for a disk. Empty: there is no access log.
  std::function<void(std::string_view lines)> access_log;
  ServerTls tls;
  // The tokens of the token file; null: there is none. Shared, because a reload replaces it.
  std::shared_ptr<const FileTokens> tokens;
  // Gets one line for the log about a request or connection that was refused or ended. Server
  // thread.
  std::function<void(const std::string& line)> on_trouble;
  uint64_t seed = 0;  // It must differ between nodes and between starts.

  size_t connections_max = 2000;  // The value that connections_allowed returns.
  size_t streams_max = 1500;      // How many of them may be event streams; fewer than all.
  // For a whole request, and for the pause between requests.
  std::chrono::milliseconds read_timeout{20'000};
  std::chrono::milliseconds handshake_timeout{5'000};  // Of TLS.
  std::chrono::milliseconds write_timeout{20'000};     // For a client that reads nothing.
  std::chrono::milliseconds answer_timeout{30'000};
  std::chrono::milliseconds stream_heartbeat{5'000};
  // If the process stood still for longer, it reads no older bytes.
  std::chrono::milliseconds away_max{60'000};
};

// How many connections may be open at once, at most `wanted`: other parts of this process need
// descriptors, too. It raises the process's limit as far as possible.
size_t connections_allowed(size_t wanted);

class HttpServer {
 public:
  // Binds and begins to serve. `backend` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> start(Backend& backend, HttpOptions options);

  virtual ~HttpServer() = default;  // Stops listening, ends all connections, joins the threads.
  virtual uint16_t port() const = 0;

  // They count for the next request, and for the next connection. Connections that are open go on.
  // Whether there is TLS, and whether there is a token file, does not change. Any thread.
  virtual void set_tokens(std::shared_ptr<const FileTokens> tokens) = 0;
  virtual void set_tls(ServerTls tls) = 0;
};

}  // namespace databridge::api
