// GetFile: takes the files of a directory, whole, and removes them unless told to keep them.
#include <re2/re2.h>

#include <algorithm>
#include <map>
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

constexpr uint8_t kFormat = 1;
// As many as the state has room for.
constexpr size_t kTakenMax = (kStateMax - 64) / 8;

// A file as it was: the same name with other content is another file.
uint64_t identity(const env::FileInfo& file) {
  RecordWriter to(kFormat);
  to.text(file.host);
  to.text(file.path);
  to.number(file.device);
  to.number(file.inode);
  to.number(file.size);
  to.number(static_cast<uint64_t>(file.modified_ms));
  return hash64(to.seal());
}

class GetFile : public Processor {
 public:
  GetFile(const Settings& settings, std::unique_ptr<re2::RE2> pattern)
      : directory_(settings.text("directory")),
        pattern_(std::move(pattern)),
        keep_(settings.flag("keepSource")),
        batch_(settings.number("batch")),
        size_max_(settings.number("sizeMax")),
        age_min_ms_(
            std::chrono::duration_cast<std::chrono::milliseconds>(settings.duration("minAge"))
                .count()),
        poll_(settings.duration("poll")) {}

  // The next trigger comes only when this one is safe (`settles`): so whatever the state says is
  // taken has left already, and its source may go.
  Result<void> on_trigger(Session& session, World& world) override {
    auto taken = load(session);
    if (!taken) return tl::make_unexpected(taken.error());
    const auto files = world.files.list(directory_);
    if (!files) return tl::make_unexpected(files.error());

    std::set<uint64_t> present;
    size_t made = 0;
    for (const env::FileInfo& file : *files) {
      const std::string name = file.path.substr(file.path.rfind('/') + 1);
      if (!re2::RE2::FullMatch(name, *pattern_)) continue;
      const uint64_t id = identity(file);
      if (taken->count(id) > 0) {
        if (keep_ || !remove(file, id, world)) present.insert(id);
        continue;
      }
      const bool young = world.clock.unix_ms() - file.modified_ms < age_min_ms_;
      if (young || made >= batch_ || made >= session.room()) continue;
      if (file.size > size_max_) {
        tell(world, file.path, file.path + " is over sizeMax: it stays");
        continue;
      }
      if (present.size() >= kTakenMax) {
        return fail(Code::too_large, "more than " + std::to_string(kTakenMax) +
                                         " files are kept in " + directory_ + ": move some away");
      }
      auto content = world.files.read(file.path, 0, file.size);
      if (!content) {
        // It stays, if it is there at all, and the others go on.
        if (content.error().code != Code::not_found) {
          tell(world, file.path, content.error().message);
        }
        continue;
      }
      const auto after = world.files.stat(file.path);
      if (!after || identity(*after) != id) continue;  // It is being written: later.
      FlowFile* flow_file = session.create();
      flow_file->content = std::move(*content);
      flow_file->attributes["filename"] = name;
      flow_file->attributes["path"] = file.path;
      flow_file->attributes["file.modified"] = std::to_string(file.modified_ms);
      flow_file->attributes["file.host"] = file.host;
      session.transfer(flow_file, "success");
      present.insert(id);
      ++made;
    }
    std::erase_if(told_, [&](const auto& one) {
      return !std::ranges::binary_search(*files, one.first, {}, &env::FileInfo::path);
    });
    save(session, present);
    const bool more = made > 0 && (made >= batch_ || !keep_);
    if (!more) session.wait(poll_);
    return {};
  }

 private:
  void tell(World& world, const std::string& path, const std::string& words) {
    std::string& last = told_[path];
    if (last == words) return;
    last = words;
    world.note(words);
  }

  bool remove(const env::FileInfo& file, uint64_t id, World& world) {
    const auto now = world.files.stat(file.path);
    if (!now || identity(*now) != id) return false;  // It has changed: another file to take.
    const auto removed = world.files.remove(file.path);
    if (!removed) tell(world, file.path, removed.error().message);
    return removed.has_value();
  }

  static Result<std::set<uint64_t>> load(const Session& session) {
    std::set<uint64_t> taken;
    if (session.state().empty()) return taken;
    RecordReader from(session.state(), kFormat);
    for (uint64_t n = from.count(8); n > 0; --n) taken.insert(from.number());
    if (auto whole = from.finish("the state of GetFile"); !whole) {
      return tl::make_unexpected(whole.error());
    }
    return taken;
  }

  static void save(Session& session, const std::set<uint64_t>& taken) {
    RecordWriter to(kFormat);
    to.number(taken.size());
    for (const uint64_t id : taken) to.number(id);
    session.set_state(to.seal());
  }

  std::string directory_;
  std::unique_ptr<re2::RE2> pattern_;
  bool keep_;
  uint64_t batch_;
  uint64_t size_max_;
  int64_t age_min_ms_;
  Duration poll_;
  std::map<std::string, std::string> told_;  // What was said of each path last.
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  auto pattern = compile(settings.text("pattern"));
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
