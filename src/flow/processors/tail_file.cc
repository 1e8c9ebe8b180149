// TailFile: follows files that grow, line by line, through rotation and truncation.
//
// It holds the present file of a path and each one that was rotated away, open, until it is read
// and quiet: whatever becomes of their names, nothing is lost that was written to them. What it
// finds by a name after a start is taken for one of them only if it can be proved.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "env/clock.h"
#include "env/files.h"
#include "flow/processors/all.h"
#include "flow/processors/tail_places.h"
#include "flow/processors/tail_reader.h"
#include "flow/session.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

constexpr size_t kHeldMax = 256;
constexpr size_t kHeldNear = 192;
// A file that was rotated away is looked at for so long after it last grew: its writer may have it
// open still. What it ends with, without the end of a line, is a line sooner.
constexpr Duration kRestAfter = 5s;
constexpr Duration kForgottenAfter = 60s;

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// An open file, and how it was at the last look.
struct Held {
  std::unique_ptr<env::OpenFile> file;
  std::string path;  // By which it was met,
  std::string directory;
  uint64_t met_size = 0;  // and how large it was.
  uint64_t size = 0;
  bool newest = true;
  Instant since{};     // It has been so since then.
  bool known = false;  // It is proved to be what its place tells of.
  bool told = false;   // That it cannot be read.
  Gap gap{};
};

class TailFile : public Processor {
 public:
  explicit TailFile(const Settings& settings)
      : path_(settings.text("path")),
        pattern_(is_pattern(name_of(path_)) ? name_of(path_) : ""),
        from_end_(settings.text("start") == "end"),
        lines_(settings.number("linesPerFlowFile")),
        lines_max_(settings.number("linesPerTrigger")),
        poll_(settings.duration("poll")) {}

  // Its next epoch may begin at once: it goes on with what only this one has open.
  ~TailFile() override {
    const auto leave = [&](const FileKey& key) {
      const auto held = held_.find(key);
      if (held == held_.end()) return;
      files_->keep(owner_, std::move(held->second.file));
      held_.erase(held);
    };
    for (const Place& place : places_.list) leave(place.key);
    for (const FileKey& key : met_) leave(key);
  }

  Result<void> on_trigger(Session& session, World& world) override {
    look(world);
    if (auto loaded = load(session, world); !loaded) return loaded;
    meet();
    if (session.room() == 0) return {};
    TailBudget budget{lines_, lines_max_, session.room()};
    const uint64_t used = follow_all(session, world, budget);
    if (used == 0) session.wait(poll_);
    // One that has not been looked into has no check yet.
    if (std::ranges::none_of(places_.list, &Place::fresh)) {
      left_ = places_.save();
      session.set_state(left_);
      note_saved();
    }
    return {};
  }

  void watch(World& world) override { look(world); }

 private:
  // ---- Who has the path now

  Result<std::vector<env::FileInfo>> present(World& world) {
    std::vector<env::FileInfo> found;
    if (pattern_.empty()) {
      auto file = world.files.stat(path_);
      if (!file && file.error().code != Code::not_found) return tl::make_unexpected(file.error());
      if (file) found.push_back(std::move(*file));
      return found;
    }
    auto all = world.files.list(directory_of(path_));
    if (!all && all.error().code == Code::not_found) return found;
    if (!all) return all;
    for (env::FileInfo& file : *all) {
      if (!matches(name_of(file.path), pattern_)) continue;
      if (file.trouble.empty()) {
        found.push_back(std::move(file));
      } else if (told_.insert(file.path).second) {
        world.note(file.trouble);
      }
    }
    return found;
  }

  // Opens what is new. Also called while there is no room for flow files.
  void look(World& world) {
    if (files_ == nullptr) inherit(world);
    const Instant now = world.clock.now();
    if (!pattern_.empty() && looked_at_ && now < *looked_at_ + poll_) return;
    looked_at_ = now;
    const auto found = present(world);
    if (!found) {
      world.trouble = found.error().message;
      return;
    }
    current_.clear();
    for (const env::FileInfo& file : *found) {
      const FileKey key = key_of(file);
      if (held_.contains(key) || open(file.path, world)) current_[file.path] = key;
    }
    if (held_.size() >= kHeldNear) warn(world);
  }

  // What an earlier epoch on this node had open.
  void inherit(World& world) {
    files_ = &world.files;
    owner_ = world.processor.text() + " " + path_;
    for (auto& file : files_->kept(owner_)) hold(std::move(file), world);
  }

  bool open(const std::string& path, World& world) {
    if (held_.size() >= kHeldMax || left_.size() + 4 * path.size() + 1024 > kStateMax) {
      world.trouble = "it has " + std::to_string(held_.size()) +
                      " files open and can hold no more: " + path +
                      " waits, and may be lost when " + "it is rotated away";
      return false;
    }
    auto file = world.files.open(path);
    if (!file) {
      // Gone again; or it is to be said.
      if (file.error().code != Code::not_found) world.trouble = file.error().message;
      return false;
    }
    return hold(std::move(*file), world);
  }

  bool hold(std::unique_ptr<env::OpenFile> file, World& world) {
    const auto info = file->stat();
    if (!info || held_.contains(key_of(*info))) return false;  // The next look knows.
    met_.push_back(key_of(*info));
    Held& held = held_[met_.back()];
    held.path = info->path;
    held.directory = directory_of(file->where().value_or(info->path));
    held.met_size = held.size = info->size;
    held.since = world.clock.now();
    held.file = std::move(file);
    return true;
  }

  void warn(World& world) {
    if (!std::exchange(warned_, true)) {
      world.note("it has " + std::to_string(held_.size()) + " of at most " +
                 std::to_string(kHeldMax) +
                 " files open: what follows it is too slow for files that are rotated so often");
    }
  }

  // ---- What the state says

  Result<void> load(Session& session, World& world) {
    if (session.state() == left_ && !left_.empty()) {
      if (stray_) find_all(world);
      return {};
    }
    left_ = session.state();
    const bool first = left_.empty();
    auto places = first ? Result<Places>(Places{}) : Places::load(left_);
    if (!places) return tl::make_unexpected(places.error());
    places_ = std::move(*places);
    note_saved();
    const std::string host = world.files.machine();
    looked_ = !first && places_.path == path_;
    if (!first && !looked_) {
      world.note("it follows another path now");
      places_.list.clear();
    } else if (!places_.host.empty() && places_.host != host && !places_.list.empty()) {
      world.note("the file is another one on this node (" + host + ", before " + places_.host +
                 "): it is followed from its beginning");
      places_.list.clear();
      std::erase_if(met_, [&](const FileKey& key) { return !is_present(key); });
    }
    places_.host = host;
    places_.path = path_;
    find_all(world);
    return {};
  }

  // Gives each place its open file. What cannot be found, or not be proved to be it, is gone.
  void find_all(World& world) {
    stray_ = false;
    std::map<std::string, Result<std::vector<env::FileInfo>>> listed;
    std::erase_if(places_.list, [&](Place& place) {
      const auto at = current_.find(place.path);
      const bool replaced = at != current_.end() && at->second.inode != place.key.inode;
      if (find(place, listed, world)) return false;
      bool seen = true;  // The directories.
      for (const auto& [directory, files] : listed) seen = seen && files.has_value();
      // The newest has lost its name, and nobody has that yet; or the directory is not there.
      if (!seen || (!replaced && at == current_.end())) {
        stray_ = true;
        return false;
      }
      world.note("the file that was " + place.path +
                 " is gone, with what was not read of it (after byte " +
                 std::to_string(place.offset) + ")");
      return true;
    });
  }

  bool find(Place& place, std::map<std::string, Result<std::vector<env::FileInfo>>>& listed,
            World& world) {
    const auto held = held_.find(place.key);
    if (held != held_.end() && held->second.known) return true;
    if (held != held_.end() && take(place, std::move(held->second.file), world, true)) return true;
    for (const std::string& directory : {place.directory, directory_of(place.path)}) {
      auto at = listed.find(directory);
      if (at == listed.end()) at = listed.emplace(directory, world.files.list(directory)).first;
      if (!at->second) continue;
      for (const env::FileInfo& file : *at->second) {
        if (file.inode != place.key.inode) continue;
        auto opened = world.files.open(file.path);
        if (opened && take(place, std::move(*opened), world, false)) return true;
      }
    }
    return false;
  }

  // Whether this is the file of the place. `named`: it has the path, so it is followed anyway; if
  // its bytes are others, it was emptied. A machine that was started again may have another number
  // for the device.
  bool take(Place& place, std::unique_ptr<env::OpenFile> file, World& world, bool named) {
    const auto info = file->stat();
    if (!info) return false;
    const FileKey key = key_of(*info);
    const bool dated = key.birth != 0 && place.key.birth != 0;
    if (key.inode != place.key.inode || (dated && key.birth != place.key.birth)) return false;
    const bool evidence = dated || place.head_size > 0 || place.offset > 0;
    const auto same = is_same(place, *file, info->size);
    if (!named && (!evidence || !same || !*same)) return false;
    if (named && same && !*same) restart(place, world, "was emptied and written again");
    place.key = key;
    Held& held = held_[key];
    held.file = std::move(file);
    held.size = info->size;
    held.since = world.clock.now();
    held.known = true;
    return true;
  }

  // What was opened since becomes a place of its own, and stays met until the state that has it is
  // committed: a trigger may not count.
  void meet() {
    std::erase_if(met_, [&](const FileKey& key) { return saved_.contains(key); });
    for (const FileKey& key : met_) {
      if (!placed(key)) add(key);
    }
    for (const auto& [path, key] : current_) {
      if (!placed(key)) add(key);
    }
    for (const auto& [path, key] : current_) {
      const auto place = std::ranges::find(places_.list, key, &Place::key);
      if (place == places_.list.end() || place->path != path) continue;
      const bool last =
          std::none_of(place + 1, places_.list.end(),
                       [&name = path](const Place& later) { return later.path == name; });
      if (!last) std::rotate(place, place + 1, places_.list.end());  // It got its name back.
    }
  }

  void note_saved() {
    saved_.clear();
    for (const Place& place : places_.list) saved_.insert(place.key);
  }
  bool is_present(const FileKey& key) const {
    return std::ranges::any_of(current_, [&](const auto& one) { return one.second == key; });
  }
  bool placed(const FileKey& key) const {
    return std::ranges::find(places_.list, key, &Place::key) != places_.list.end();
  }
  void add(const FileKey& key) {
    Held& held = held_.at(key);
    const bool at_end = from_end_ && !looked_;
    held.known = true;
    Place place{key, held.path, held.directory};
    place.offset = at_end ? held.met_size : 0;
    place.fresh = at_end;
    places_.list.push_back(std::move(place));
  }

  // ---- Reading

  uint64_t follow_all(Session& session, World& world, TailBudget& budget) {
    std::map<std::string, std::vector<size_t>> by_path;
    for (size_t i = 0; i < places_.list.size(); ++i) by_path[places_.list[i].path].push_back(i);
    std::set<size_t> over;
    uint64_t used = 0;
    // Another path goes first each time; of one path the oldest file.
    auto next = by_path.upper_bound(first_path_);
    for (size_t n = 0; n < by_path.size() && budget.left(); ++n, ++next) {
      if (next == by_path.end()) next = by_path.begin();
      if (n == 0) first_path_ = next->first;
      for (const size_t i : next->second) {
        if (!budget.left() || (used > 0 && world.must_end())) break;
        used += follow(session, world, i, i == next->second.back(), budget, over);
      }
    }
    for (auto i = over.rbegin(); i != over.rend(); ++i) {
      held_.erase(places_.list[*i].key);
      places_.list.erase(places_.list.begin() + static_cast<ptrdiff_t>(*i));
    }
    if (held_.size() < kHeldNear) warned_ = false;
    return used;
  }

  uint64_t follow(Session& session, World& world, size_t i, bool newest, TailBudget& budget,
                  std::set<size_t>& over) {
    Place& place = places_.list[i];
    const auto at = held_.find(place.key);
    if (at == held_.end()) return 0;
    Held& held = at->second;
    const Instant now = world.clock.now();
    const auto info = held.file->stat();
    if (!info) return cannot(held, world, info.error());
    if (held.size != info->size || held.newest != newest) {
      held.size = info->size;
      held.newest = newest;
      held.since = now;
    }
    const Duration quiet = now - held.since;
    const bool ends = !newest && quiet >= kRestAfter;
    if (info->size < place.offset) restart(place, world, "was cut short");
    const auto used =
        reader_.read(session, world, place, *held.file, held.gap, info->size, ends, budget,
                     [&] { restart(place, world, "was emptied and written again"); });
    if (!used) return cannot(held, world, used.error());
    held.told = false;
    if (!newest && !is_present(place.key) && *used == 0 && budget.left() &&
        quiet >= kForgottenAfter) {
      over.insert(i);
    }
    return *used;
  }

  // It holds up no other.
  static uint64_t cannot(Held& held, World& world, const Error& error) {
    world.trouble = error.message;
    if (!std::exchange(held.told, true)) world.note(error.message);
    return 0;
  }

  void restart(Place& place, World& world, const std::string& why) {
    reader_.drop();
    world.note("the file " + place.path + " " + why + ": it is followed from its beginning");
    place.offset = place.check = place.head_size = place.head = 0;
  }

  const std::string path_;
  const std::string pattern_;  // Of names; empty: there is one path.
  bool from_end_;
  uint64_t lines_;
  uint64_t lines_max_;
  Duration poll_;
  env::Files* files_ = nullptr;
  std::string owner_;

  std::map<FileKey, Held> held_;
  std::map<std::string, FileKey> current_;  // Who has which path, as of the last look.
  std::vector<FileKey> met_;                // Opened, and in no committed state; the oldest first.
  std::optional<Instant> looked_at_;
  std::set<std::string> told_;
  bool warned_ = false;

  Places places_;
  Bytes left_;               // The state that they are the next of.
  std::set<FileKey> saved_;  // What it has a place for.
  bool looked_ = false;      // There was a trigger before, whether the file was there or not.
  bool stray_ = false;       // Some place has no open file.
  std::string first_path_;
  TailReader reader_;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  const std::string& start = settings.text("start");
  if (start != "beginning" && start != "end") {
    return fail(Code::unprocessable, "TailFile: \"start\" is \"beginning\" or \"end\"");
  }
  for (const char* name : {"linesPerFlowFile", "linesPerTrigger"}) {
    if (settings.number(name) > 0) continue;
    return fail(Code::unprocessable, "TailFile: \"" + std::string(name) + "\" must be at least 1");
  }
  const std::string& path = settings.text("path");
  if (auto fine = check_path("path", path); !fine) return tl::make_unexpected(fine.error());
  if (is_pattern(directory_of(path)) || name_of(path).empty()) {
    return fail(Code::unprocessable,
                "TailFile: \"path\": only the name at its end may be a pattern, with * and ?");
  }
  if (auto poll = check_poll(settings.duration("poll")); !poll) {
    return tl::make_unexpected(poll.error());
  }
  return std::make_unique<TailFile>(settings);
}

}  // namespace

ProcessorType tail_file_type() {
  return {
      .name = "TailFile",
      .help =
          "Follows files that grow, line by line, through rotation and truncation. "
          "Attributes: path, filename, tail.offset, tail.host.",
      .source = true,
      .node_local = true,
      .settles = false,
      .state = StateScope::cluster,
      .relationships = {"success"},
      .losses = {},
      .path = "path",
      .properties = {{"path", PropertyKind::text, nullptr, "its name may be a pattern: * and ?"},
                     {"start", PropertyKind::text, "beginning",
                      "where a new file begins: beginning, end"},
                     {"linesPerFlowFile", PropertyKind::number, "1", "at most"},
                     {"linesPerTrigger", PropertyKind::number, "1000", "at most"},
                     {"poll", PropertyKind::duration, "250ms", "between looks at an idle file"}},
      .rules = false,
      .watches = true,
      .make = make};
}

}  // namespace databridge::flow
