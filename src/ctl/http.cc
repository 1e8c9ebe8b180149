#include "ctl/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/check.h"

namespace databridge::ctl {
namespace {

constexpr size_t kReplyMax = 1 << 30;
constexpr long kConnectSeconds = 5;
constexpr long kAnswerSeconds = 60;

using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

Headers headers_of(const std::vector<std::string>& lines) {
  curl_slist* list = nullptr;
  for (const std::string& line : lines) list = curl_slist_append(list, line.c_str());
  return Headers(list, curl_slist_free_all);
}

size_t append(char* data, size_t size, size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + size * count > kReplyMax) return 0;
  body.append(data, size * count);
  return size * count;
}

// Cuts the received bytes into lines.
struct Lines {
  CURL* handle;
  const std::function<bool(std::string_view)>& take;
  // The bytes after the last line feed. If the status is not 200, the whole answer.
  std::string rest;
  bool enough = false;
};

size_t take_lines(char* data, size_t size, size_t count, void* to) {
  auto& lines = *static_cast<Lines*>(to);
  lines.rest.append(data, size * count);
  long status = 0;
  curl_easy_getinfo(lines.handle, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return size * count;
  size_t begin = 0;
  for (size_t end = 0; (end = lines.rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (lines.take(std::string_view(lines.rest).substr(begin, end - begin))) continue;
    lines.enough = true;
    return 0;
  }
  lines.rest.erase(0, begin);
  return size * count;
}

}  // namespace

Http::Http(std::string base) : base_(std::move(base)), handle_(curl_easy_init()) {
  CHECK(handle_ != nullptr);
  while (base_.ends_with('/')) base_.pop_back();
}

Http::~Http() { curl_easy_cleanup(handle_); }

void Http::go_to(const std::string& address) {
  base_ = base_.substr(0, base_.find("://") + 3) + address;
}

Result<Reply> Http::send(const std::string& method, const std::string& path,
                         const std::string& body, const std::string& content_type,
                         const std::vector<std::string>& headers) {
  CURL* handle = handle_;
  curl_easy_reset(handle);
  const std::string url = base_ + path;
  std::vector<std::string> lines = headers;
  // The node refuses a body that is too large by itself, without being asked first.
  lines.emplace_back("Expect:");
  lines.emplace_back(body.empty() ? "Content-Type:" : "Content-Type: " + content_type);
  const Headers list = headers_of(lines);
  Reply reply;
  char error[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, kAnswerSeconds);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &reply.body);
  if (method != "GET") {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  const CURLcode code = curl_easy_perform(handle);
  if (code != CURLE_OK) {
    return fail(Code::io,
                fmt::format("no answer from {}: {} (is the node up? --api or DATABRIDGE_API names "
                            "another)",
                            base_, *error != 0 ? error : curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  reply.status = static_cast<int>(status);
  return reply;
}

Result<void> Http::stream(const std::string& path, const std::vector<std::string>& headers,
                          const std::function<bool(std::string_view line)>& take) {
  CURL* handle = handle_;
  curl_easy_reset(handle);
  const std::string url = base_ + path;
  const Headers list = headers_of(headers);
  Lines lines{handle, take, {}, false};
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  // The node sends heartbeats every few seconds, so without any it is gone.
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_lines);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &lines);
  const CURLcode code = curl_easy_perform(handle);
  if (lines.enough) return {};
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  if (status != 0 && status != 200) {
    return tl::make_unexpected(problem(Reply{static_cast<int>(status), lines.rest}));
  }
  return fail(Code::unavailable,
              fmt::format("the stream from {} ended: {}", base_, curl_easy_strerror(code)));
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Result<std::string> read_file(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return fail(Code::io, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  std::string content;
  char chunk[65536];
  for (size_t n = 0; (n = std::fread(chunk, 1, sizeof(chunk), file)) > 0;) content.append(chunk, n);
  const bool bad = std::ferror(file) != 0;
  if (file != stdin) std::fclose(file);
  if (bad) return fail(Code::io, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  return content;
}

Result<void> write_file(const std::string& path, std::string_view content) {
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "wb");
  if (file == nullptr) {
    return fail(Code::io, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  bool fine = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  fine = std::fflush(file) == 0 && fine;
  if (file != stdout) fine = std::fclose(file) == 0 && fine;
  if (!fine) return fail(Code::io, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  return {};
}

void wait_a_second() { std::this_thread::sleep_for(std::chrono::seconds(1)); }

std::string environment_api() {
  const char* api = std::getenv("DATABRIDGE_API");
  return api != nullptr ? api : "";
}

Error problem(const Reply& reply) {
  const auto json = nlohmann::json::parse(reply.body, nullptr, false);
  const auto text = [&json](const char* key) {
    const bool there = json.is_object() && json.contains(key) && json[key].is_string();
    return there ? json[key].get<std::string>() : std::string();
  };
  const std::string code = text("code");
  const std::string detail = text("detail");
  Error error{Code::internal, detail.empty() ? fmt::format("the node answered {}", reply.status)
                                             : fmt::format("{} ({})", detail, code)};
  if (code == "no_leader") error.code = Code::no_leader;
  if (code == "no_quorum") error.code = Code::no_quorum;
  if (code == "not_found") error.code = Code::not_found;
  if (code == "conflict") error.code = Code::conflict;
  if (code == "gone") error.code = Code::gone;
  return error;
}

}  // namespace databridge::ctl
