// GetFile: takes whole files from a directory, and removes them unless told to keep them.
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "env/clock.h"
#include "env/files.h"
#include "flow/processors/all.h"
#include "flow/record.h"
#include "flow/session.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 2;
constexpr uint8_t kOldFormat = 1;
// The state has room for this many.
constexpr size_t kTakenMax = (kStateMax - 64) / 8;
constexpr size_t kTold = 16;

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Identifies one version of a file: the same path with other content is another file. The device
// number is left out, since it may change with a reboot. The old format had it.
uint64_t identity(const env::FileInfo& file, uint8_t format = kFormat) {
  RecordWriter to(format);
  to.text(file.host);
  to.text(file.path);
  if (format == kOldFormat) to.number(file.device);
  to.number(file.inode);
  to.number(file.size);
  to.number(static_cast<uint64_t>(file.modified_ms));
  return hash64(to.seal());
}

// The name as text: each byte that is not UTF-8 becomes %XX.
std::string shown(std::string_view name) {
  std::string text;
  for (size_t from = 0; from < name.size();) {
    size_t size = 1;
    while (size < 4 && !is_utf8(name.substr(from, size))) ++size;
    if (is_utf8(name.substr(from, size))) {
      text += name.substr(from, size);
      from += size;
      continue;
    }
    constexpr char kHex[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(name[from++]);
    text += {'%', kHex[byte / 16], kHex[byte % 16]};
  }
  return text;
}

class GetFile : public Processor {
 public:
  GetFile(const Settings& settings, std::unique_ptr<re2::RE2> pattern)
      : directory_(settings.text("directory")),
        pattern_(std::move(pattern)),
        keep_(settings.flag("keepSource")),
        batch_(settings.number("batch")),
        size_max_(settings.number("sizeMax")),
        age_min_(settings.duration("minAge")),
        poll_(settings.duration("poll")) {}

  // The next trigger comes only when this one is safe (`settles`). So the flow files of all files
  // that the state calls taken have left, and their sources may be removed.
  Result<void> on_trigger(Session& session, World& world) override {
    auto taken = load(session);
    if (!taken) return tl::make_unexpected(taken.error());
    if (session.state() != left_) {
      // The last trigger was undone, so the files that it took must be found again.
      next_ = waiting_.size();
      looked_.reset();
    }
    if (!keep_) remove_sources(*taken, world);
    const Instant now = world.clock.now();
    if (next_ == waiting_.size() && (!looked_ || now >= *looked_ + poll_)) {
      if (auto done = look(*taken, world); !done) return done;
      if (!keep_) remove_sources(*taken, world);  // Sources that an earlier start took.
      looked_ = now;
    }
    const size_t made = take(session, world, *taken);
    if (!stuck_.empty()) {
      world.trouble = stuck_.begin()->second;
      if (stuck_.size() > 1) {
        world.trouble += " (and " + std::to_string(stuck_.size() - 1) + " more files)";
      }
    }
    save(session, *taken);
    // After a take, the next trigger comes at once and removes the sources. Otherwise there is
    // nothing to do before the next look.
    if (made == 0) session.wait(std::max<Duration>(*looked_ + poll_ - now, 10ms));
    return {};
  }

 private:
  struct Waiting {
    std::string path;
    uint64_t id;
  };

  // Notes one line for each file that stays, but only for the first kTold files.
  void tell(World& world, const std::string& path, const std::string& words) {
    std::string& last = told_[path];
    if (last == words) return;
    last = words;
    if (told_.size() <= kTold) world.note(words);
    if (told_.size() == kTold + 1) world.note("more files stay in " + directory_);
  }
  void stay(World& world, const std::string& path, const std::string& words) {
    stuck_[path] = words;
    tell(world, path, words);
  }

  // One look at the directory feeds many triggers.
  Result<void> look(std::set<uint64_t>& taken, World& world) {
    const auto files = world.files.list(directory_);
    if (!files) return tl::make_unexpected(files.error());
    waiting_.clear();
    stuck_.clear();
    next_ = 0;
    std::set<uint64_t> present;
    std::set<std::string> unknown;  // Paths whose files cannot be looked at now.
    std::map<uint64_t, Instant> ahead;
    for (const env::FileInfo& file : *files) {
      const std::string name = shown(name_of(file.path));
      if (!re2::RE2::FullMatch(name, *pattern_)) continue;
      if (!file.trouble.empty()) {
        tell(world, file.path, file.trouble + ": it stays");
        unknown.insert(file.path);
        continue;
      }
      const uint64_t id = identity(file);
      if (taken.contains(id) || (old_ && taken.contains(identity(file, kOldFormat)))) {
        present.insert(id);
        sources_[id] = file.path;
      } else if (is_old(file, id, ahead, world)) {
        if (file.size <= size_max_) {
          waiting_.push_back({file.path, id});
        } else {
          tell(world, file.path, shown(file.path) + " is over sizeMax: it stays");
        }
      }
    }
    ahead_ = std::move(ahead);
    for (const uint64_t id : taken) {
      if (may_be_among(unknown, id)) present.insert(id);
    }
    taken = std::move(present);
    std::erase_if(sources_, [&](const auto& one) { return !taken.contains(one.first); });
    std::erase_if(told_, [&](const auto& one) {
      return !std::ranges::binary_search(*files, one.first, {}, &env::FileInfo::path);
    });
    return {};
  }

  // The path of a file that an earlier start took is not known, so it may be any of them.
  bool may_be_among(const std::set<std::string>& paths, uint64_t id) const {
    const auto source = sources_.find(id);
    return source == sources_.end() ? !paths.empty() : paths.contains(source->second);
  }

  // A modification time ahead of this machine's clock proves nothing. Such a file is old when it
  // has been seen unchanged for `minAge`.
  bool is_old(const env::FileInfo& file, uint64_t id, std::map<uint64_t, Instant>& ahead,
              World& world) {
    const int64_t age_ms = world.clock.unix_ms() - file.modified_ms;
    const Instant now = world.clock.now();
    if (age_ms >= 0) {
      return std::chrono::milliseconds(age_ms) >= age_min_;
    }
    const auto seen = ahead_.find(id);
    const Instant since = seen == ahead_.end() ? now : seen->second;
    ahead[id] = since;
    return seen != ahead_.end() && now - since >= age_min_;
  }

  size_t take(Session& session, World& world, std::set<uint64_t>& taken) {
    size_t made = 0;
    while (next_ < waiting_.size() && made < batch_ && made < session.room()) {
      if (made > 0 && world.must_end()) break;
      if (taken.size() >= kTakenMax) {
        world.trouble = "more than " + std::to_string(kTakenMax) + " files are kept in " +
                        directory_ + ": move some away";
        break;
      }
      const Waiting& file = waiting_[next_++];
      auto content = read(world, file);
      if (!content) {
        // The file stays, if it still exists, and the others are taken.
        if (content.error().code != Code::not_found) {
          stay(world, file.path, content.error().message);
        }
        continue;
      }
      if (!*content) continue;
      emit(session, (*content)->first, std::move((*content)->second));
      taken.insert(file.id);
      sources_[file.id] = file.path;
      ++made;
    }
    return made;
  }

  // Returns nothing if the file was replaced or is being written. The next look finds it again.
  using Content = std::pair<env::FileInfo, std::string>;
  static Result<std::optional<Content>> read(World& world, const Waiting& waiting) {
    const auto file = world.files.open(waiting.path);
    if (!file) return tl::make_unexpected(file.error());
    const auto before = (*file)->stat();
    if (!before) return tl::make_unexpected(before.error());
    if (identity(*before) != waiting.id) return std::nullopt;
    auto content = (*file)->read(0, before->size);
    if (!content) return tl::make_unexpected(content.error());
    auto after = (*file)->stat();
    if (!after) return tl::make_unexpected(after.error());
    if (identity(*after) != waiting.id) return std::nullopt;
    return Content{std::move(*after), std::move(*content)};
  }

  static void emit(Session& session, const env::FileInfo& file, std::string content) {
    FlowFile* flow_file = session.create();
    flow_file->content = std::move(content);
    flow_file->attributes["filename"] = shown(name_of(file.path));
    flow_file->attributes["path"] = shown(file.path);
    flow_file->attributes["file.modified"] = std::to_string(file.modified_ms);
    flow_file->attributes["file.host"] = file.host;
    session.transfer(flow_file, "success");
  }

  // Removes the sources of taken files. A file is forgotten only after the directory is synced: a
  // file that came back after a power failure would be taken twice. A file that cannot be looked at
  // now is not forgotten either.
  void remove_sources(std::set<uint64_t>& taken, World& world) {
    std::vector<uint64_t> gone;
    for (const uint64_t id : taken) {
      const auto source = sources_.find(id);
      if (source == sources_.end()) continue;  // Not known yet: the next look finds it.
      const std::string& path = source->second;
      const auto now = world.files.stat(path);
      if (!now && now.error().code != Code::not_found) {
        stay(world, path, now.error().message);
        continue;
      }
      if (now && identity(*now) == id) {
        auto done = world.files.remove(path);
        if (!done && done.error().code != Code::not_found) {
          stay(world, path, done.error().message);
          continue;
        }
        unsynced_ = true;
      }
      gone.push_back(id);  // Removed, or changed: then it is another file to take.
    }
    if (unsynced_) {
      if (auto synced = world.files.sync(directory_); !synced) {
        world.trouble = synced.error().message;
        return;
      }
      unsynced_ = false;
    }
    for (const uint64_t id : gone) {
      taken.erase(id);
      sources_.erase(id);
    }
  }

  Result<std::set<uint64_t>> load(const Session& session) {
    std::set<uint64_t> taken;
    old_ = !session.state().empty() && session.state()[0] == static_cast<char>(kOldFormat);
    if (session.state().empty()) return taken;
    RecordReader from(session.state(), old_ ? kOldFormat : kFormat);
    for (uint64_t n = from.count(8); n > 0; --n) taken.insert(from.number());
    if (auto whole = from.finish("the state of GetFile"); !whole) {
      return tl::make_unexpected(whole.error());
    }
    return taken;
  }

  void save(Session& session, const std::set<uint64_t>& taken) {
    RecordWriter to(kFormat);
    to.number(taken.size());
    for (const uint64_t id : taken) to.number(id);
    left_ = to.seal();
    session.set_state(left_);
  }

  std::string directory_;
  std::unique_ptr<re2::RE2> pattern_;
  bool keep_;
  uint64_t batch_;
  uint64_t size_max_;
  Duration age_min_;
  Duration poll_;
  std::vector<Waiting> waiting_;  // The files of the last look; those from next_ on still wait.
  size_t next_ = 0;
  std::optional<Instant> looked_;
  bool unsynced_ = false;                     // A removal is not synced yet.
  bool old_ = false;                          // The state names files in the old format.
  Bytes left_;                                // The state as the last trigger left it.
  std::map<uint64_t, std::string> sources_;   // The paths of the taken files.
  std::map<uint64_t, Instant> ahead_;         // When a file ahead of the clock was first seen.
  std::map<std::string, std::string> stuck_;  // Files of the last look that cannot be taken; why.
  std::map<std::string, std::string> told_;   // The last note about each path.
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  auto pattern = compile("(?s)" + settings.text("pattern"));  // A name may contain any character.
  if (!pattern) return tl::make_unexpected(pattern.error());
  if (auto path = check_path("directory", settings.text("directory")); !path) {
    return tl::make_unexpected(path.error());
  }
  if (auto poll = check_poll(settings.duration("poll")); !poll) {
    return tl::make_unexpected(poll.error());
  }
  if (auto size = check_size("sizeMax", settings.number("sizeMax")); !size) {
    return tl::make_unexpected(size.error());
  }
  if (settings.number("batch") == 0) {
    return fail(Code::unprocessable, "GetFile: \"batch\" must be at least 1");
  }
  return std::make_unique<GetFile>(settings, std::move(*pattern));
}

}  // namespace

ProcessorType get_file_type() {
  return {.name = "GetFile",
          .help =
              "Takes the files of a directory, whole. Attributes: filename, path, "
              "file.modified, file.host.",
          .source = true,
          .node_local = true,
          .settles = true,
          .state = StateScope::cluster,
          .relationships = {"success"},
          .losses = {},
          .path = "directory",
          .properties = {{"directory", PropertyKind::text, nullptr, "not the ones below it"},
                         {"pattern", PropertyKind::pattern, "[^.].*", "of the whole name"},
                         {"keepSource", PropertyKind::boolean, "false", "the files stay"},
                         {"batch", PropertyKind::number, "10", "files a trigger"},
                         {"sizeMax", PropertyKind::size, "16MiB", "larger files stay"},
                         {"minAge", PropertyKind::duration, "1s", "younger files wait"},
                         {"poll", PropertyKind::duration, "1s", "between looks at the directory"}},
          .rules = false,
          .make = make};
}

}  // namespace databridge::flow
