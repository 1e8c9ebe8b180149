// One request, read and matched to a path: what the handlers of routes work on. Room-private.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/routes.h"
#include "api/views.h"

namespace databridge::api {

// Decodes %41 (and, in queries, '+'). Fails on a broken escape, a zero byte or invalid UTF-8.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

// The query, each name at most once. Handlers take what they know; what is left is refused, for a
// mistyped `dryRun` must not do the real thing.
class Query {
 public:
  static Result<Query> parse(std::string_view text);

  std::optional<std::string> take(std::string_view name);
  Result<bool> take_bool(std::string_view name);             // Not there: false.
  Result<size_t> take_limit(size_t otherwise, size_t most);  // `limit`.
  Result<Page> take_page();                                  // `limit` and `after`.
  std::optional<Error> left() const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct Call {
  Routes& routes;
  const cluster::ViewPtr& view;
  ApiRequest& request;
  std::string parameter;  // The {…} of the path.
  Query query;
  uint64_t fingerprint = 0;  // Of the request as it came, if it has an Idempotency-Key.

  const View& at() const { return *view; }
  const Backend& backend() const;
  Uuid make_id() const;
  // A request to the cluster that carries the client's key, and how its answer is shown.
  Deferred ask(cluster::RequestBody body,
               std::function<ApiResponse(const cluster::ViewPtr&, const cluster::Outcome&)> render);
};

using Handler = Routed (*)(Call&);

struct Row {
  const char* path;  // "{id}" is one segment, "{key}" all that follows.
  Handler get, put, post, erase;
};
const std::vector<Row>& rows();

bool wants_stream(const ApiRequest& request);  // Of events, and not a list of them.

ApiResponse problem(const Error& error);
ApiResponse json_response(std::string body, int status = 200);

// Handlers, by file: routes_read.cc, then routes_write.cc.
Routed get_status(Call& call);
Routed get_nodes(Call& call);
Routed get_node(Call& call);
Routed get_leader(Call& call);
Routed get_assignments(Call& call);
Routed get_processor(Call& call);
Routed get_flows(Call& call);
Routed get_flow(Call& call);
Routed get_config(Call& call);
Routed get_config_item(Call& call);
Routed get_strategy(Call& call);
Routed get_events(Call& call);
Routed get_operation(Call& call);
Routed get_operations(Call& call);
Routed get_snapshot(Call& call);
Routed get_health(Call& call);
Routed get_ready(Call& call);
Routed get_metrics(Call& call);
Routed get_openapi(Call& call);

Routed post_join(Call& call);
Routed delete_node(Call& call);
Routed post_rebalance(Call& call);
Routed post_processor(Call& call);
Routed delete_processor(Call& call);
Routed post_move(Call& call);
Routed post_stop(Call& call);
Routed post_start(Call& call);
Routed put_flow(Call& call);
Routed delete_flow(Call& call);
Routed post_drain(Call& call);
Routed delete_drain(Call& call);
Routed post_check(Call& call);
Routed put_strategy(Call& call);
Routed put_config_item(Call& call);
Routed delete_config_item(Call& call);
Routed post_transfer(Call& call);
Routed post_restore(Call& call);

}  // namespace databridge::api
