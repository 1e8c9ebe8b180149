// From a request to its answer.
//
// - Owns: the table of paths, strict reading of queries and bodies, status codes.
// - Hides: JSON parsing, how each write becomes a cluster::Request, and how its answer is shown.
// - Pure: no socket and no clock; random numbers come only from the seed. One thread at a time (the
//   HTTP thread).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/backend.h"
#include "base/random.h"

namespace databridge::api {

struct ApiRequest {
  std::string method;  // GET, HEAD, POST, PUT, DELETE, or any other word that came.
  std::string target;  // Path and query as they came, percent-encoded.
  std::string content_type;
  std::string accept;
  std::string if_match;
  std::string idempotency_key;
  std::string last_event_id;
  std::string body;
  Actor by{};  // The client, if the node has asked it for a token.
};

// The role that a method of a path needs (docs/adr/0020).
enum class Need : uint8_t { nothing, read, operate, admin };

struct ApiResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  // Allow, ETag, Location, Retry-After.
};

// The client gets its answer when the cluster has given one. `render` gets the view of that time.
struct Deferred {
  cluster::Request request;
  std::function<ApiResponse(const cluster::ViewPtr&, const cluster::Outcome&)> render;
  // The message if no answer comes in time. Empty: a message that the outcome is not known.
  std::string late{};
};

// The client wants a stream of all events after `after`.
struct EventStream {
  EventId after;
};

using Routed = std::variant<ApiResponse, Deferred, EventStream>;

struct Call;

class Routes {
 public:
  // `seed` must differ between nodes and starts, since ids of processors are made from it.
  // `more_metrics` returns series of the server itself, for /metrics.
  Routes(const Backend& backend, uint64_t seed, std::function<std::string()> more_metrics = {});

  // Accepts any request and never throws.
  Routed route(const cluster::ViewPtr& view, ApiRequest request);

  // Whether a request may take so long that others would have to wait: large bodies, flow files,
  // backups, long lists. Cheap.
  static bool is_heavy(const ApiRequest& request);

  // The role that a request needs. A path that is not there needs `read`: it tells nothing to a
  // stranger. Cheap.
  static Need need(std::string_view method, std::string_view target);

  // Every path of the table and its methods: {"/api/cluster/nodes/{id}", "GET, DELETE"}.
  static std::vector<std::pair<std::string, std::string>> table();

 private:
  friend struct Call;
  friend Routed get_status(Call& call);
  friend Routed get_metrics(Call& call);
  Routed linearizable(ApiRequest request);
  const std::string& status(const cluster::ViewPtr& view);

  const Backend& backend_;
  Random random_;
  const std::function<std::string()> more_metrics_;
  // The status adds up all assignments, so it is computed once for each view, not for each request.
  cluster::ViewPtr status_of_;
  std::string status_;
};

// An answer as in RFC 9457. `status` 0: the status of the code.
ApiResponse problem(Code code, std::string_view detail, int status = 0);
// The same for errors without a Code: "method_not_allowed" 405, "unsupported_media_type" 415.
ApiResponse problem(std::string_view code, int status, std::string_view detail);

}  // namespace databridge::api
