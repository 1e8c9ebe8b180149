// PutFile: writes each flow file to a file of its own, or to the end of one.
//
// A trigger that was not committed (the node died, the lease ended) is done again. A whole file is
// then there with the same content, or is written again. For a file that it appends to, the state
// keeps the committed size. If the bytes after that size are the beginning of the text to write, an
// earlier trigger wrote them.
#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "env/files.h"
#include "flow/processors/all.h"
#include "flow/record.h"
#include "flow/session.h"
#include "flow/template.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kPathsMax = 1024;  // Paths whose size is remembered.
constexpr Duration kPauseFirst = 100ms;
constexpr Duration kPauseMost = 30s;
constexpr char kTriggers[] = "";  // Not a path: the key for a count of triggers in whole mode.

// Committed sizes, the most recently used last.
class Sizes {
 public:
  static Result<Sizes> load(const Bytes& state) {
    Sizes sizes;
    if (state.empty()) return sizes;
    RecordReader from(state, kFormat);
    for (uint64_t n = from.count(12); n > 0; --n) {
      std::string path(from.text());
      sizes.list_.emplace_back(std::move(path), from.number());
    }
    if (auto whole = from.finish("the state of PutFile"); !whole) {
      return tl::make_unexpected(whole.error());
    }
    return sizes;
  }
  Bytes save() const {
    RecordWriter to(kFormat);
    to.number(list_.size());
    for (const auto& [path, size] : list_) {
      to.text(path);
      to.number(size);
    }
    return to.seal();
  }
  const uint64_t* find(const std::string& path) const {
    const auto it = std::find_if(list_.begin(), list_.end(),
                                 [&](const auto& entry) { return entry.first == path; });
    return it == list_.end() ? nullptr : &it->second;
  }
  void set(const std::string& path, uint64_t size) {
    list_.erase(std::remove_if(list_.begin(), list_.end(),
                               [&](const auto& entry) { return entry.first == path; }),
                list_.end());
    list_.emplace_back(path, size);
    if (list_.size() > kPathsMax) list_.erase(list_.begin());
  }

 private:
  std::vector<std::pair<std::string, uint64_t>> list_;
};

enum class Conflict : uint8_t { replace, rename, ignore, fail };

class PutFile : public Processor {
 public:
  PutFile(const Settings& settings, Template directory, Template filename, Conflict conflict)
      : directory_(std::move(directory)),
        filename_(std::move(filename)),
        append_(settings.text("mode") == "append"),
        separator_(settings.text("separator") == "newline" ? "\n" : ""),
        conflict_(conflict),
        plain_directory_(directory_.plain()),
        plain_(plain_directory_ && filename_.plain() && !filename_.front().empty()) {}

  Result<void> on_trigger(Session& session, World& world) override {
    done_ = 0;
    auto result = append_ ? append_all(session, world) : write_all(session, world);
    // The pauses grow while nothing at all gets done.
    pause_ = world.trouble.empty() || done_ > 0 ? kPauseFirst : std::min(pause_ * 2, kPauseMost);
    if (!world.trouble.empty()) session.wait(pause_);
    return result;
  }

 private:
  // Empty if the attributes make no valid path.
  std::string path_of(const FlowFile& file) const {
    const std::string directory = directory_.fill(file.attributes);
    std::string name = filename_.fill(file.attributes);
    if (name.empty()) name = file.id.text();
    const bool bad = name.find('/') != std::string::npos || name == "." || name == ".." ||
                     name.find('\0') != std::string::npos || directory.empty() ||
                     directory.find('\0') != std::string::npos ||
                     (directory + "/").find("../") != std::string::npos;
    return bad ? "" : directory + "/" + name;
  }

  // Whether this trigger may repeat one that was not committed. It does not if the state is the one
  // that this object's last trigger left. Then a file that looks like ours is another program's.
  bool may_be_again(const Sizes& sizes, const std::string& path) const {
    const auto left = settled_.find(path);
    const uint64_t* committed = sizes.find(path);
    return left == settled_.end() || committed == nullptr || *committed != left->second;
  }
  void settle(Sizes& sizes, const std::string& path, uint64_t value) {
    sizes.set(path, value);
    if (settled_.size() >= kPathsMax) settled_.clear();
    settled_[path] = value;
  }

  // Whether the flow file is at fault: its attributes make a path that can never be written. Any
  // other error (no room, no permission, read-only) may pass.
  bool is_own_fault(const Error& error) const {
    if (plain_) return false;
    const bool of_directory = error.code == Code::unprocessable || error.code == Code::not_found;
    return error.code == Code::invalid || (of_directory && !plain_directory_);
  }

  static void send_on(Session& session, const FlowFile* file, const char* relationship,
                      const char* attribute, const std::string& value) {
    if (session.leads_on(relationship)) {
      FlowFile* changed = session.edit(file);
      changed->attributes[attribute] = value;
      file = changed;
    }
    session.transfer(file, relationship);
  }
  static void refuse(Session& session, const FlowFile* file, const std::string& why) {
    send_on(session, file, "failure", "put.error", why);
  }
  // The flow file waits in its queue. Only the first error of a trigger is shown, so that the text
  // changes only with the cause.
  static void hold(Session& session, World& world, const FlowFile* file, const std::string& why) {
    if (world.trouble.empty()) world.trouble = why;
    session.put_back(file);
  }
  void fail_one(Session& session, World& world, const FlowFile* file, const Error& error) const {
    if (error.code == Code::conflict || is_own_fault(error)) {
      refuse(session, file, error.message);
    } else {
      hold(session, world, file, error.message);
    }
  }

  // Returns the path of the file. `ours`: a file that is there may come from a trigger that was not
  // committed. Other programs may take a name at any moment, so no file is replaced unless the user
  // asked for it.
  Result<std::string> place(World& world, const FlowFile& file, const std::string& path,
                            bool ours) {
    ours = failed_.erase({path, file.id}) > 0 || ours;
    const bool replace = conflict_ == Conflict::replace;
    const auto written =
        replace ? world.files.write(path, file.content) : world.files.create(path, file.content);
    if (written) return path;
    if (replace || written.error().code != Code::conflict) {
      if (failed_.size() < kPathsMax) failed_.insert({path, file.id});
      return tl::make_unexpected(written.error());
    }
    if (conflict_ == Conflict::ignore) return path;
    if (ours) {
      const auto same = has(world, path, file.content);
      if (!same) return tl::make_unexpected(same.error());
      if (*same) return path;
    }
    if (conflict_ == Conflict::fail) return tl::make_unexpected(written.error());
    const std::string other = path + "-" + file.id.text();
    const auto renamed = world.files.create(other, file.content);
    if (renamed) return other;
    if (renamed.error().code != Code::conflict) return tl::make_unexpected(renamed.error());
    const auto same = has(world, other, file.content);  // No other flow file has that id.
    if (same && *same) return other;
    return tl::make_unexpected(same ? renamed.error() : same.error());
  }
  // A file that is gone, or that we may not read, is not ours.
  static Result<bool> has(World& world, const std::string& path, const std::string& content) {
    const auto found = [&]() -> Result<bool> {
      const auto file = world.files.open(path);
      if (!file) return tl::make_unexpected(file.error());
      const auto info = (*file)->stat();
      if (!info) return tl::make_unexpected(info.error());
      if (info->size != content.size()) return false;
      const auto text = (*file)->read(0, info->size);
      if (!text) return tl::make_unexpected(text.error());
      return *text == content;
    }();
    if (!found && found.error().code != Code::io) return false;
    return found;
  }

  Result<void> write_all(Session& session, World& world) {
    auto sizes = Sizes::load(session.state());
    if (!sizes) return tl::make_unexpected(sizes.error());
    const bool again = may_be_again(*sizes, kTriggers);
    const uint64_t* before = sizes->find(kTriggers);
    settle(*sizes, kTriggers, (before == nullptr ? 0 : *before) + 1);
    session.set_state(sizes->save());
    std::set<std::string> ours;  // Paths that this trigger has written.
    while (const FlowFile* file = session.look()) {
      std::string path = path_of(*file);
      if (path.empty()) {
        refuse(session, file, "its attributes make no path");
        continue;
      }
      auto put = place(world, *file, path, again && !ours.contains(path));
      if (!put) {
        fail_one(session, world, file, put.error());
        continue;
      }
      path = std::move(*put);
      ++done_;
      ours.insert(path);
      send_on(session, file, "success", "put.path", path);
    }
    return {};
  }

  Result<void> append_all(Session& session, World& world) {
    auto sizes = Sizes::load(session.state());
    if (!sizes) return tl::make_unexpected(sizes.error());
    std::map<std::string, std::vector<const FlowFile*>> by_path;
    auto last = by_path.end();  // Most flow files go where the one before went.
    while (const FlowFile* file = session.look()) {
      if (last == by_path.end() || !plain_) {
        const std::string path = path_of(*file);
        if (path.empty()) {
          refuse(session, file, "its attributes make no path");
          continue;
        }
        if (last == by_path.end() || last->first != path) last = by_path.try_emplace(path).first;
      }
      last->second.push_back(file);
    }
    for (auto& [path, files] : by_path) {
      if (done_ > 0 && world.must_end()) {
        for (const FlowFile* file : files) session.put_back(file);
        continue;
      }
      const auto info = world.files.stat(path);
      if (!info && info.error().code != Code::not_found) {
        for (const FlowFile* file : files) fail_one(session, world, file, info.error());
        continue;
      }
      const uint64_t size = info ? info->size : 0;
      const uint64_t* committed = sizes->find(path);
      if (committed == nullptr || size < *committed) {  // A new file, or one that was cut short.
        // Its size is committed before the first byte is written, in a trigger of its own.
        settle(*sizes, path, size);
        for (const FlowFile* file : files) session.put_back(file);
        ++done_;
        continue;
      }
      append(session, world, path, size, *committed, files, *sizes);
    }
    session.set_state(sizes->save());
    return {};
  }

  void append(Session& session, World& world, const std::string& path, uint64_t size,
              uint64_t committed, const std::vector<const FlowFile*>& files, Sizes& sizes) {
    size_t length = 0;
    for (const FlowFile* file : files) length += file->content.size() + separator_.size();
    std::string text;
    text.reserve(length);
    for (const FlowFile* file : files) text.append(file->content).append(separator_);
    uint64_t base = size, skip = 0;
    const bool again = may_be_again(sizes, path);
    settled_.erase(path);  // Until the append is done, it is not known what the file holds.
    if (size > committed && again) {
      const uint64_t most = std::min<uint64_t>(size - committed, text.size());
      const auto found = world.files.read(path, committed, most);
      if (!found) {
        for (const FlowFile* file : files) fail_one(session, world, file, found.error());
        return;
      }
      if (*found == text.substr(0, most)) {
        base = committed;
        skip = most;
      } else {
        world.note(path + " was written to by somebody else too");
      }
    }
    if (skip < text.size()) {
      if (auto written = world.files.append(path, BytesView(text).substr(skip)); !written) {
        for (const FlowFile* file : files) fail_one(session, world, file, written.error());
        return;
      }
    }
    done_ += files.size();
    const uint64_t end = base + text.size();
    settle(sizes, path, end);
    if (end < size) settled_.erase(path);  // More text of the earlier trigger may follow.
    for (const FlowFile* file : files) {
      send_on(session, file, "success", "put.path", path);
    }
  }

  std::map<std::string, uint64_t> settled_;  // The value that the last trigger left for each path.
  // Whole files whose write failed, by path and flow file: the file may exist all the same.
  std::set<std::pair<std::string, Uuid>> failed_;
  Template directory_;
  Template filename_;
  bool append_;
  std::string separator_;
  Conflict conflict_;
  bool plain_directory_;
  bool plain_;  // Every flow file has the same path.
  size_t done_ = 0;
  Duration pause_ = kPauseFirst;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  if (auto path = check_path("directory", settings.text("directory")); !path) {
    return tl::make_unexpected(path.error());
  }
  auto directory = Template::parse(settings.text("directory"));
  if (!directory) return tl::make_unexpected(directory.error());
  auto filename = Template::parse(settings.text("filename"));
  if (!filename) return tl::make_unexpected(filename.error());
  const auto wrong = [](const char* name, const char* allowed) {
    return fail(Code::unprocessable,
                "PutFile: \"" + std::string(name) + "\" is one of " + std::string(allowed));
  };
  const std::string& mode = settings.text("mode");
  if (mode != "whole" && mode != "append") return wrong("mode", "whole, append");
  const std::string& separator = settings.text("separator");
  if (separator != "newline" && separator != "none") return wrong("separator", "newline, none");
  const std::string& conflict = settings.text("conflict");
  const std::vector<std::string> known = {"replace", "rename", "ignore", "fail"};
  const auto it = std::find(known.begin(), known.end(), conflict);
  if (it == known.end()) return wrong("conflict", "replace, rename, ignore, fail");
  return std::make_unique<PutFile>(settings, std::move(*directory), std::move(*filename),
                                   static_cast<Conflict>(it - known.begin()));
}

}  // namespace

ProcessorType put_file_type() {
  return {
      .name = "PutFile",
      .help =
          "Writes each flow file to a file of its own, or to the end of one. Attribute: "
          "put.path; put.error on failure.",
      .source = false,
      .node_local = true,
      .settles = false,
      .state = StateScope::node,
      .relationships = {"success", "failure"},
      .losses = {"failure"},
      .path = "directory",
      .properties = {{"directory", PropertyKind::tmpl, nullptr, "inside the file roots"},
                     {"filename", PropertyKind::tmpl, "${filename}", "empty: the flow file's id"},
                     {"mode", PropertyKind::text, "whole", "whole, append"},
                     {"separator", PropertyKind::text, "newline",
                      "after each flow file when appending: newline, none"},
                     {"conflict", PropertyKind::text, "rename",
                      "when another file is there: rename (the flow file's id is added), replace, "
                      "ignore, fail"}},
      .rules = false,
      .make = make};
}

}  // namespace databridge::flow
