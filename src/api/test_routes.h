// The routes as a client sees them, over a backend that carries out each request at once.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

#include "api/http_test_backend.h"
#include "api/routes.h"

namespace databridge::api {

using Json = nlohmann::json;

class RoutesTest : public testing::Test {
 protected:
  RoutesTest() { backend.found(); }

  // The answer that a client gets after the cluster has answered.
  ApiResponse call(std::string method, std::string target, std::string body = "",
                   std::string type = "application/json") {
    ApiRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    if (!request.body.empty()) request.content_type = std::move(type);
    return call(std::move(request));
  }
  ApiResponse call(ApiRequest request) {
    Routed routed = routes.route(backend.view(), std::move(request));
    if (auto* response = std::get_if<ApiResponse>(&routed)) return *response;
    if (auto* stream = std::get_if<EventStream>(&routed)) {
      return ApiResponse{200, "stream after " + stream->after.text(), "text/event-stream", {}};
    }
    auto& deferred = std::get<Deferred>(routed);
    ApiResponse shown;
    backend.submit(deferred.request, [&](cluster::Answer answer) {
      shown = answer ? deferred.render(backend.view(), *answer)
                     : problem(answer.error().code, answer.error().message);
    });
    return shown;
  }
  Json json(const ApiResponse& response) { return Json::parse(response.body); }

  TestBackend backend;
  Routes routes{backend, 7};
};

inline const std::string kId = "0190163d-8694-739b-aea5-966c26f8ad91";
inline const std::string kKey = "3f0e9f0a-54c4-4a57-9d6b-0c8a3a1e7f10";
inline const std::string kOtherKey = "3f0e9f0a-54c4-4a57-9d6b-0c8a3a1e7f11";
inline const std::string kProcessor =
    R"({"type":"external","id":")" + kId + R"(","properties":{"a":"b","n":3}})";

}  // namespace databridge::api
