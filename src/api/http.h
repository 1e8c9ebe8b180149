// The HTTP server.
//
// - Owns: the API's listening socket, its connections, one thread for them and one for the access
//   log.
// - Hides: the HTTP library (http.cc is the only file that knows it), limits, slow and silent
//   clients, event streams.
// - Calls: Backend::view and submit from its own thread; never waits for the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.h"

namespace databridge::api {

struct HttpOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one, see HttpServer::port.
  // Names and addresses that a client may use in `Host`, without a port: the advertised ones. The
  // bind address and the loopback's names are always among them.
  std::vector<std::string> hosts;
  // Gets whole lines, each with its line feed, a few times a second, on a thread of its own that
  // may wait for a disk. Empty: no access log.
  std::function<void(std::string_view lines)> access_log;
  // One line for the log about what the server had to refuse or end. Server thread.
  std::function<void(const std::string& line)> on_trouble;
  uint64_t seed = 0;  // Differs between nodes and starts.

  size_t connections_max = 2000;                    // As connections_allowed gives it.
  size_t streams_max = 1500;                        // Of which event streams; fewer than all.
  std::chrono::milliseconds read_timeout{20'000};   // For a whole request, and between requests.
  std::chrono::milliseconds write_timeout{20'000};  // For a reader that takes nothing.
  std::chrono::milliseconds answer_timeout{30'000};
  std::chrono::milliseconds stream_heartbeat{5'000};
  std::chrono::milliseconds away_max{60'000};  // After a longer stand-still nothing old is read.
};

// How many connections may be open at once, of those wanted: others in this process need
// descriptors, too. Raises the process's limit as far as it may be.
size_t connections_allowed(size_t wanted);

class HttpServer {
 public:
  // Binds and starts to serve. `backend` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> start(Backend& backend, HttpOptions options);

  virtual ~HttpServer() = default;  // Stops listening, ends all connections, joins the threads.
  virtual uint16_t port() const = 0;
};

}  // namespace databridge::api
