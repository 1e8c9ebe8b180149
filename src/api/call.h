// One request after it was read and matched to a path. The handlers of routes work on it. Private
// to this room.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/routes.h"
#include "api/views.h"

namespace databridge::api {

// Decodes %41 (and '+' in queries). Fails on a broken escape, a zero byte or invalid UTF-8.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

// The query. Each name may be there at most once. Handlers take the names that they know. Others
// are refused, since a mistyped `dryRun` must not carry the request out.
class Query {
 public:
  static Result<Query> parse(std::string_view text);

  std::optional<std::string> take(std::string_view name);
  Result<bool> take_bool(std::string_view name);             // Missing means false.
  Result<size_t> take_limit(size_t otherwise, size_t most);  // The value of `limit`.
  Result<Page> take_page();                                  // The values of `limit` and `after`.
  std::optional<Error> left() const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct Call {
  Routes& routes;
  const cluster::ViewPtr& view;
  ApiRequest& request;
  std::string parameter;  // The value of {…} in the path.
  Query query;
  uint64_t fingerprint = 0;  // A hash of the request as it came, if it has an Idempotency-Key.

  const View& at() const { return *view; }
  const Backend& backend() const;
  Uuid make_id() const;
  // A request to the cluster that has the client's key, and the function that shows its answer.
  Deferred ask(cluster::RequestBody body,
               std::function<ApiResponse(const cluster::ViewPtr&, const cluster::Outcome&)> render);
};

using Handler = Routed (*)(Call&);

// A method of a path. A handler cannot be named without the role that it needs.
struct Method {
  constexpr Method() = default;  // The path has no such method.
  constexpr Method(Handler handles, Need needs) : handler(handles), need(needs) {}
  Handler handler = nullptr;
  Need need = Need::admin;
};

struct Row {
  const char* path;  // "{id}" is one segment, "{key}" is all that follows.
  Method get, put, post, erase;
};
const std::vector<Row>& rows();

bool wants_stream(const ApiRequest& request);  // A stream of events, not a list of them.

ApiResponse problem(const Error& error);
ApiResponse json_response(std::string body, int status = 200);

// The handlers: first those in routes_read.cc, then those in routes_write.cc; those of tokens are
// in routes_tokens.cc.
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
Routed get_tokens(Call& call);

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
Routed post_token(Call& call);
Routed delete_token(Call& call);

}  // namespace databridge::api
