#include "ctl/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "base/check.h"

namespace databridge::ctl {
namespace {

constexpr size_t kReplyMax = 1 << 30;
constexpr long kConnectSeconds = 5;
constexpr long kAnswerSeconds = 60;

// What a user may do when no answer has come.
const char* hint(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return "--ca or DATABRIDGE_CA names the file with the authority of the API's certificate";
    case CURLE_SSL_CONNECT_ERROR:
      return "does the API speak TLS? use http:// where it does not";
    default:
      return "is the node up? --api or DATABRIDGE_API names another";
  }
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

Http::Http(Target target)
    : target_(std::move(target)),
      headers_(nullptr, curl_slist_free_all),
      handle_(curl_easy_init()) {
  CHECK(handle_ != nullptr);
  const auto cut = [](std::string& base) {
    while (base.ends_with('/')) base.pop_back();
  };
  cut(target_.base);
  std::for_each(target_.others.begin(), target_.others.end(), cut);
}

Http::~Http() { curl_easy_cleanup(handle_); }

void Http::go_to(const std::string& address) {
  target_.base = target_.base.substr(0, target_.base.find("://") + 3) + address;
  target_.others.clear();
}

// A request that may have reached a node is not sent to another one.
bool Http::go_on(int curl_code) {
  long sent = 0;
  curl_easy_getinfo(handle_, CURLINFO_REQUEST_SIZE, &sent);
  const bool none = curl_code == CURLE_COULDNT_CONNECT || curl_code == CURLE_COULDNT_RESOLVE_HOST ||
                    (curl_code == CURLE_OPERATION_TIMEDOUT && sent == 0);
  if (!none || tried_ == target_.others.size()) {
    tried_ = 0;
    return false;
  }
  ++tried_;
  target_.others.push_back(std::exchange(target_.base, target_.others.front()));
  target_.others.erase(target_.others.begin());
  return true;
}

// What all calls have in common.
void Http::set_up(const std::string& url, const std::vector<std::string>& headers) {
  CURL* handle = handle_;
  curl_easy_reset(handle);
  curl_slist* list = nullptr;
  for (const std::string& line : headers) list = curl_slist_append(list, line.c_str());
  if (!target_.token.empty()) {
    list = curl_slist_append(list, ("Authorization: Bearer " + target_.token).c_str());
  }
  headers_.reset(list);
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list);
  if (!target_.ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, target_.ca.c_str());
}

Result<Reply> Http::send(const std::string& method, const std::string& path,
                         const std::string& body, const std::string& content_type,
                         const std::vector<std::string>& headers) {
  CURL* handle = handle_;
  std::vector<std::string> lines = headers;
  // The node refuses a body that is too large by itself, without being asked first.
  lines.emplace_back("Expect:");
  lines.emplace_back(body.empty() ? "Content-Type:" : "Content-Type: " + content_type);
  set_up(target_.base + path, lines);
  Reply reply;
  char error[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, kAnswerSeconds);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &reply.body);
  if (method != "GET") {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  const CURLcode code = curl_easy_perform(handle);
  const std::string from = target_.base;
  const bool goes_on = go_on(code);
  if (code != CURLE_OK) {
    const std::string why =
        fmt::format("no answer from {}: {}", from, *error != 0 ? error : curl_easy_strerror(code));
    if (!goes_on) return fail(Code::io, fmt::format("{} ({})", why, hint(code)));
    auto next = send(method, path, body, content_type, headers);
    if (!next && next.error().code == Code::io) next.error().message.insert(0, why + "; ");
    return next;
  }
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  reply.status = static_cast<int>(status);
  return reply;
}

Result<void> Http::stream(const std::string& path, const std::vector<std::string>& headers,
                          const std::function<bool(std::string_view line)>& take) {
  CURL* handle = handle_;
  set_up(target_.base + path, headers);
  Lines lines{handle, take, {}, false};
  // The node sends heartbeats every few seconds, so without any it is gone.
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_lines);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &lines);
  const CURLcode code = curl_easy_perform(handle);
  if (lines.enough) return {};
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  const std::string from = target_.base;
  if (go_on(code)) return stream(path, headers, take);
  if (status != 0 && status != 200) {
    return tl::make_unexpected(problem(Reply{static_cast<int>(status), lines.rest}));
  }
  return fail(Code::unavailable,
              fmt::format("the stream from {} ended: {}", from, curl_easy_strerror(code)));
}

bool is_loopback(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme)) url.remove_prefix(scheme.size());
  }
  url = url.substr(0, url.find_first_of("/?#"));
  url.remove_prefix(url.rfind('@') + 1);  // npos + 1 is 0.
  if (url.starts_with('[')) return url.substr(0, url.find(']') + 1) == "[::1]";
  const std::string host(url.substr(0, url.find(':')));
  in_addr address{};
  return host == "localhost" || (::inet_pton(AF_INET, host.c_str(), &address) == 1 &&
                                 (ntohl(address.s_addr) >> 24) == 127);
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

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

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

namespace {

tl::unexpected<Error> cannot_write(const std::string& path) {
  return fail(Code::io, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

// Owner and mode of `like`, if there is such a file.
bool take_after(int file, const std::string& like) {
  struct stat old {};
  if (::stat(like.c_str(), &old) != 0) return errno == ENOENT;
  struct stat own {};
  if (::fstat(file, &own) != 0) return false;
  const bool same = own.st_uid == old.st_uid && own.st_gid == old.st_gid;
  return (same || ::fchown(file, old.st_uid, old.st_gid) == 0) &&
         ::fchmod(file, old.st_mode & (S_IRUSR | S_IWUSR | S_IRGRP)) == 0;
}

bool sync_folder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int opened = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) return false;
  const bool fine = ::fsync(opened) == 0;
  ::close(opened);
  return fine;
}

}  // namespace

Result<void> replace_secret_file(const std::string& path, std::string_view content) {
  // A link stays; the file behind it is replaced.
  std::error_code ignored;
  const auto behind = std::filesystem::canonical(path, ignored);
  const std::string real = ignored ? path : behind.string();
  std::string fresh = real + ".XXXXXX";
  const int made = ::mkostemp(fresh.data(), O_CLOEXEC);  // A new file, for its owner only.
  if (made < 0) return cannot_write(path);
  std::FILE* file = ::fdopen(made, "wb");
  CHECK(file != nullptr);
  bool fine = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  fine = std::fflush(file) == 0 && fine;
  fine = fine && take_after(made, real) && ::fsync(made) == 0;
  fine = std::fclose(file) == 0 && fine;
  fine = fine && std::rename(fresh.c_str(), real.c_str()) == 0 && sync_folder(real);
  if (fine) return {};
  auto why = cannot_write(path);
  (void)std::remove(fresh.c_str());
  return why;
}

Result<Bytes> random_bytes(size_t count) {
  Bytes bytes(count, 0);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) {
    return fail(Code::io, "the system gives no random numbers");
  }
  return bytes;
}

int64_t unix_ms_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void wait_a_second() { std::this_thread::sleep_for(std::chrono::seconds(1)); }

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
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
  if (code == "unauthorized") {
    error.code = Code::forbidden;
    error.message += "; --token-file or DATABRIDGE_TOKEN_FILE names the file with your token";
  }
  if (code == "forbidden") {
    error.code = Code::forbidden;
  }
  if (code == "no_leader") error.code = Code::no_leader;
  if (code == "no_quorum") error.code = Code::no_quorum;
  if (code == "not_found") error.code = Code::not_found;
  if (code == "conflict") error.code = Code::conflict;
  if (code == "gone") error.code = Code::gone;
  return error;
}

}  // namespace databridge::ctl
