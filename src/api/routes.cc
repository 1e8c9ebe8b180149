#include "api/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "api/call.h"
#include "api/json_writer.h"
#include "base/bytes.h"
#include "base/check.h"

namespace databridge::api {
namespace {

// The name of a Code in an answer, and its status.
struct Shown {
  const char* code;
  int status;
};

Shown shown(Code code) {
  switch (code) {
    case Code::invalid:
      return {"invalid", 400};
    case Code::unprocessable:
      return {"invalid", 422};
    case Code::not_found:
      return {"not_found", 404};
    case Code::conflict:
      return {"conflict", 409};
    case Code::forbidden:
      return {"forbidden", 403};
    case Code::too_large:
      return {"too_large", 413};
    case Code::gone:
      return {"gone", 410};
    case Code::no_leader:
      return {"no_leader", 503};
    case Code::no_quorum:
      return {"no_quorum", 503};
    case Code::unavailable:
      return {"unavailable", 503};
    case Code::timed_out:
      return {"timed_out", 504};
    case Code::internal:
    case Code::corrupt:
    case Code::io:
      return {"internal", 500};
  }
  return {"internal", 500};
}

// "no_leader" → "No leader".
std::string title_of(std::string_view code) {
  std::string title(code);
  std::replace(title.begin(), title.end(), '_', ' ');
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') {
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
  }
  return title;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Whether `path` has the form of a row. The text of its {…} is put into `parameter`, still encoded.
// {key} takes all the rest, since keys may contain slashes.
bool matches(std::string_view form, std::string_view path, std::string_view& parameter) {
  const size_t open = form.find('{');
  if (open == std::string_view::npos) return form == path;
  if (!path.starts_with(form.substr(0, open))) return false;
  const bool tail = form.ends_with("{key}");
  const size_t end = tail ? path.size() : std::min(path.find('/', open), path.size());
  if (path.substr(end) != form.substr(form.find('}') + 1)) return false;
  parameter = path.substr(open, end - open);
  return !parameter.empty();
}

// The row of a path, and the text of its {…}; nullptr if there is none.
std::pair<const Row*, std::string_view> row_of(std::string_view path) {
  std::string_view parameter;
  for (const Row& row : rows()) {
    if (matches(row.path, path, parameter)) return {&row, parameter};
  }
  return {nullptr, {}};
}

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

std::string allowed(const Row& row) {
  std::string methods;
  const auto add = [&methods](const char* method) {
    if (!methods.empty()) methods += ", ";
    methods += method;
  };
  if (row.get.handler != nullptr) add("GET");
  if (row.get.handler != nullptr) add("HEAD");
  if (row.put.handler != nullptr) add("PUT");
  if (row.post.handler != nullptr) add("POST");
  if (row.erase.handler != nullptr) add("DELETE");
  return methods;
}

Method method_of(const Row& row, std::string_view method) {
  if (method == "GET" || method == "HEAD") return row.get;
  if (method == "PUT") return row.put;
  if (method == "POST") return row.post;
  if (method == "DELETE") return row.erase;
  return {};
}

// "Application/JSON; charset=utf-8" → "application/json".
std::string media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  std::string type(content_type);
  for (char& c : type) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return type;
}

// A write must name a content type that no HTML form of a foreign page can send. A write without a
// body has none.
std::optional<ApiResponse> refuse_media(const Row& row, const ApiRequest& request) {
  const std::string type = media_type(request.content_type);
  if (type.empty() && request.body.empty()) return std::nullopt;
  if (type == "application/json") return std::nullopt;
  if (row.put.handler == put_flow && (type == "application/yaml" || type == "application/x-yaml")) {
    return std::nullopt;
  }
  if (row.post.handler == post_restore && type == "application/octet-stream") return std::nullopt;
  return problem("unsupported_media_type", 415,
                 row.put.handler == put_flow        ? "use application/json or application/yaml"
                 : row.post.handler == post_restore ? "use application/octet-stream"
                                                    : "use application/json");
}

}  // namespace

const std::vector<Row>& rows() {
  constexpr auto kOpen = Need::nothing;
  constexpr auto kRead = Need::read;
  constexpr auto kOperate = Need::operate;
  constexpr auto kAdmin = Need::admin;
  static const std::vector<Row> kRows = {
      {"/api/cluster/config/{key}",
       {get_config_item, kRead},
       {put_config_item, kOperate},
       {},
       {delete_config_item, kOperate}},
      {"/api/cluster/status", {get_status, kRead}, {}, {}, {}},
      {"/api/cluster/nodes", {get_nodes, kRead}, {}, {}, {}},
      {"/api/cluster/nodes/{id}", {get_node, kRead}, {}, {}, {delete_node, kAdmin}},
      {"/api/cluster/leader", {get_leader, kRead}, {}, {}, {}},
      {"/api/cluster/assignments", {get_assignments, kRead}, {}, {}, {}},
      {"/api/cluster/join", {}, {}, {post_join, kAdmin}, {}},
      {"/api/cluster/rebalance", {}, {}, {post_rebalance, kOperate}, {}},
      {"/api/cluster/processors", {}, {}, {post_processor, kOperate}, {}},
      {"/api/cluster/processors/{id}",
       {get_processor, kRead},
       {},
       {},
       {delete_processor, kOperate}},
      {"/api/cluster/processors/{id}/move", {}, {}, {post_move, kOperate}, {}},
      {"/api/cluster/processors/{id}/stop", {}, {}, {post_stop, kOperate}, {}},
      {"/api/cluster/processors/{id}/start", {}, {}, {post_start, kOperate}, {}},
      {"/api/cluster/flows", {get_flows, kRead}, {}, {}, {}},
      {"/api/cluster/flows/{id}",
       {get_flow, kRead},
       {put_flow, kOperate},
       {},
       {delete_flow, kOperate}},
      {"/api/cluster/nodes/{id}/drain", {}, {}, {post_drain, kOperate}, {delete_drain, kOperate}},
      {"/api/cluster/nodes/{id}/check", {}, {}, {post_check, kOperate}, {}},
      {"/api/cluster/operations", {get_operations, kRead}, {}, {}, {}},
      {"/api/cluster/operations/{id}", {get_operation, kRead}, {}, {}, {}},
      {"/api/cluster/strategy", {get_strategy, kRead}, {put_strategy, kOperate}, {}, {}},
      {"/api/cluster/config", {get_config, kRead}, {}, {}, {}},
      {"/api/cluster/events", {get_events, kRead}, {}, {}, {}},
      {"/api/cluster/leader/transfer", {}, {}, {post_transfer, kOperate}, {}},
      {"/api/cluster/snapshot", {get_snapshot, kAdmin}, {}, {}, {}},
      {"/api/cluster/snapshot/restore", {}, {}, {post_restore, kAdmin}, {}},
      {"/api/cluster/tokens", {get_tokens, kAdmin}, {}, {post_token, kAdmin}, {}},
      {"/api/cluster/tokens/{id}", {}, {}, {}, {delete_token, kAdmin}},
      {"/metrics", {get_metrics, kRead}, {}, {}, {}},
      {"/healthz", {get_health, kOpen}, {}, {}, {}},
      {"/livez", {get_health, kOpen}, {}, {}, {}},
      {"/readyz", {get_ready, kOpen}, {}, {}, {}},
      {"/openapi.json", {get_openapi, kRead}, {}, {}, {}},
  };
  return kRows;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(Code::invalid, "a broken percent escape in the address");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  if (!is_utf8(out) || out.find('\0') != std::string::npos) {
    return fail(Code::invalid, "the address is not valid UTF-8");
  }
  return out;
}

Result<Query> Query::parse(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    auto name = percent_decode(part.substr(0, equals), true);
    if (!name) return tl::make_unexpected(name.error());
    auto value = percent_decode(
        equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
    if (!value) return tl::make_unexpected(value.error());
    for (const auto& [other, ignored] : query.pairs_) {
      if (other == *name) {
        return fail(Code::invalid, fmt::format("the parameter \"{}\" is there twice", *name));
      }
    }
    query.pairs_.emplace_back(std::move(*name), std::move(*value));
    if (query.pairs_.size() > 32) return fail(Code::invalid, "more than 32 parameters");
  }
  return query;
}

std::optional<std::string> Query::take(std::string_view name) {
  for (auto pair = pairs_.begin(); pair != pairs_.end(); ++pair) {
    if (pair->first != name) continue;
    std::string value = std::move(pair->second);
    pairs_.erase(pair);
    return value;
  }
  return std::nullopt;
}

Result<bool> Query::take_bool(std::string_view name) {
  const auto value = take(name);
  if (!value || *value == "false") return false;
  if (*value == "true") return true;
  return fail(Code::invalid, fmt::format("the parameter \"{}\" must be true or false", name));
}

Result<size_t> Query::take_limit(size_t otherwise, size_t most) {
  const auto value = take("limit");
  if (!value) return otherwise;
  size_t limit = 0;
  const auto [end, ec] = std::from_chars(value->data(), value->data() + value->size(), limit);
  const bool digits = end == value->data() + value->size() && !value->empty();
  if (ec != std::errc() || !digits || limit == 0) {
    return fail(Code::invalid, "the parameter \"limit\" must be a whole number from 1");
  }
  return std::min(limit, most);
}

Result<Page> Query::take_page() {
  constexpr size_t kMost = 100'000;
  const auto limit = take_limit(kMost, kMost);
  if (!limit) return tl::make_unexpected(limit.error());
  return Page{*limit, take("after").value_or("")};
}

std::optional<Error> Query::left() const {
  if (pairs_.empty()) return std::nullopt;
  return Error{Code::unprocessable,
               fmt::format("the parameter \"{}\" is not known here", pairs_.front().first)};
}

const Backend& Call::backend() const { return routes.backend_; }

Uuid Call::make_id() const {
  // A retry with the same key means the same processor.
  if (!request.idempotency_key.empty()) {
    return Uuid::from_name("idempotency-key", request.idempotency_key);
  }
  return make_uuid(at().published_at_ms, routes.random_);
}

Deferred Call::ask(
    cluster::RequestBody body,
    std::function<ApiResponse(const cluster::ViewPtr&, const cluster::Outcome&)> render) {
  return Deferred{
      cluster::Request{std::move(body), request.idempotency_key, fingerprint, request.by},
      std::move(render)};
}

ApiResponse problem(std::string_view code, int status, std::string_view detail) {
  ApiResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  JsonWriter json(response.body);
  json.object().key("type").text("about:blank").key("title").text(title_of(code));
  json.key("status").number(static_cast<uint64_t>(status)).key("detail").text(detail);
  json.key("code").text(code).end_object();
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

ApiResponse problem(Code code, std::string_view detail, int status) {
  const Shown as = shown(code);
  return problem(as.code, status != 0 ? status : as.status, detail);
}

ApiResponse problem(const Error& error) { return problem(error.code, error.message); }

ApiResponse json_response(std::string body, int status) {
  ApiResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Routes::Routes(const Backend& backend, uint64_t seed, std::function<std::string()> more_metrics)
    : backend_(backend), random_(seed), more_metrics_(std::move(more_metrics)) {}

Need Routes::need(std::string_view method, std::string_view target) {
  const auto [row, parameter] = row_of(path_of(target));
  if (row == nullptr) return Need::read;
  const Method found = method_of(*row, method);
  return found.handler == nullptr ? Need::read : found.need;
}

bool Routes::is_heavy(const ApiRequest& request) {
  constexpr size_t kBodySmall = 32 << 10;
  if (request.body.size() > kBodySmall) return true;
  const auto [row, parameter] = row_of(path_of(request.target));
  if (row == nullptr) return false;
  const Handler handler = method_of(*row, request.method).handler;
  if (handler == get_events) return !wants_stream(request);
  return handler == put_flow || handler == post_restore || handler == get_snapshot ||
         handler == get_flows || handler == get_flow || handler == get_assignments ||
         handler == get_config || handler == get_operations || handler == get_operation;
}

Routed Routes::route(const cluster::ViewPtr& view, ApiRequest request) {
  const std::string target = request.target;
  const std::string_view path = path_of(target);
  const auto [found, parameter] = row_of(path);
  if (found == nullptr) return problem(Code::not_found, "there is nothing at this path");
  const Handler handler = method_of(*found, request.method).handler;
  if (handler == nullptr) {
    ApiResponse response = problem("method_not_allowed", 405, "this path has other methods");
    response.headers.emplace_back("Allow", allowed(*found));
    return response;
  }
  const bool reads = handler == found->get.handler;
  if (!reads) {
    if (auto refused = refuse_media(*found, request)) return std::move(*refused);
    if (!request.idempotency_key.empty()) {
      const auto key = Uuid::parse(request.idempotency_key);
      if (!key) {
        return problem(Code::invalid,
                       "the Idempotency-Key must be a UUID, a new one for each write");
      }
      request.idempotency_key = key->text();  // In one fixed spelling.
    }
    if (!request.if_match.empty() && found->put.handler != put_config_item) {
      return problem(Code::unprocessable, "If-Match is only accepted for a configuration key");
    }
  }
  auto decoded = percent_decode(parameter, false);
  if (!decoded) return problem(decoded.error());
  auto query =
      Query::parse(path.size() < target.size() ? std::string_view(target).substr(path.size() + 1)
                                               : std::string_view{});
  if (!query) return problem(query.error());
  if (reads) {
    if (const auto consistency = query->take("consistency")) {
      if (*consistency == "linearizable") {
        // Strangers must not be able to make the cluster work, and a read barrier is work.
        if (found->get.need == Need::nothing) {
          return problem(Code::unprocessable,
                         "this path needs no token, so it shows only what this node knows: leave "
                         "consistency out");
        }
        return linearizable(std::move(request));
      }
      if (*consistency != "local") {
        return problem(Code::unprocessable, "consistency must be local or linearizable");
      }
    }
  }
  Call call{*this, view, request, std::move(*decoded), std::move(*query)};
  // The fingerprint is computed from the bytes that came, before a handler uses them: a handler may
  // make a new id, which differs from one retry to the next.
  if (!request.idempotency_key.empty()) {
    call.fingerprint = hash64(request.body, hash64(target, hash64(request.method)));
  }
  return handler(call);
}

// Reads again, once the view has an index that was committed after the request arrived.
Routed Routes::linearizable(ApiRequest request) {
  const size_t at = request.target.find("consistency=linearizable");
  if (at == std::string::npos) {
    return problem(Code::invalid, "write consistency=linearizable without escapes");
  }
  request.target.replace(at, sizeof("consistency=linearizable") - 1, "consistency=local");
  return Deferred{cluster::Request{cluster::ReadBarrier{}, {}},
                  [this, request = std::move(request)](const cluster::ViewPtr& view,
                                                       const cluster::Outcome&) -> ApiResponse {
                    Routed routed = route(view, request);
                    if (auto* response = std::get_if<ApiResponse>(&routed)) {
                      return std::move(*response);
                    }
                    return problem(Code::unprocessable, "a stream has no consistency to ask for");
                  }};
}

const std::string& Routes::status(const cluster::ViewPtr& view) {
  if (status_of_ != view) {
    status_ = show_status(*view, backend_.warnings());
    status_of_ = view;
  }
  return status_;
}

std::vector<std::pair<std::string, std::string>> Routes::table() {
  std::vector<std::pair<std::string, std::string>> table;
  for (const Row& row : rows()) table.emplace_back(row.path, allowed(row));
  return table;
}

}  // namespace databridge::api
