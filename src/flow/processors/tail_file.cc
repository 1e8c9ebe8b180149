// TailFile: follows files that grow, line by line, through rotation and truncation.
//
// It keeps the present file of a path open, and each rotated file until that is read and quiet. So
// no line is lost, whatever happens to the names. After a start, a file that is found by its name
// counts as one of them only if that can be proved.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/canary.h"
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
// A rotated file is read until it has been quiet for kForgottenAfter, since its writer may still
// have it open. Text at its end without a newline counts as a line after kRestAfter.
constexpr Duration kRestAfter = 5s;
constexpr Duration kForgottenAfter = 60s;

// An open file, as the last look found it.
struct Held {
  std::unique_ptr<env::OpenFile> file;
  std::string path;  // Its path when it was opened.
  std::string directory;
  uint64_t met_size = 0;  // Its size then.
  bool early = false;     // It was there at the first look.
  uint64_t size = 0;
  bool newest = true;
  bool away = false;      // It has no path now, or another file has its path.
  Instant since{};        // Size, `newest` and `away` have not changed since then.
  bool known = false;     // It is proved to be the file of its place.
  std::string trouble{};  // Why it cannot be read.
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

  // The next epoch on this node may begin at once. Only these open files lead it to files that have
  // lost their names.
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
    meet(world);
    if (session.room() > 0) {
      TailBudget budget{lines_, lines_max_, session.room()};
      if (follow_all(session, world, budget) == 0) session.wait(poll_);
    }
    let_go();
    tell(world);
    // The first state is saved even if nothing was read: with `start` = "end", the next owner would
    // find a later end. Without a look there is none, so that the next look still counts as the
    // first.
    if (seen_ || !left_.empty()) {
      left_ = places_.save();
      session.set_state(left_);
      note_saved();
    }
    return {};
  }

  void watch(World& world) override { look(world); }

 private:
  // ---- The files that have the path now

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

  // Opens new files. Also called while there is no room for flow files.
  void look(World& world) {
    if (!inherited_) inherit(world);
    const Instant now = world.clock.now();
    if (!pattern_.empty() && looked_at_ && now < *looked_at_ + poll_) return;
    looked_at_ = now;
    trouble_.clear();
    const auto found = present(world);
    if (!found) {
      trouble_ = found.error().message;
      return;
    }
    current_.clear();
    present_.clear();
    for (const env::FileInfo& file : *found) {
      const FileKey key = key_of(file);
      if (!held_.contains(key) && !open(file.path, world)) continue;
      current_[file.path] = key;
      present_.insert(key);
    }
    seen_ = true;
    if (held_.size() >= kHeldNear) warn(world);
  }

  // Takes over the files that an earlier epoch on this node left open.
  void inherit(World& world) {
    files_ = &world.files;
    owner_ = world.processor.text() + " " + path_;
    inherited_ = true;
    for (auto& file : files_->kept(owner_)) {
      if (const auto info = file->stat()) {
        hold(std::move(file), *info, world);
      } else {  // It may have no name, so it is kept for the next look.
        inherited_ = false;
        files_->keep(owner_, std::move(file));
      }
    }
  }

  bool open(const std::string& path, World& world) {
    if (held_.size() >= kHeldMax) {
      trouble_ = "it has " + std::to_string(held_.size()) +
                 " files open and can hold no more: " + path +
                 " waits, and may be lost when it is rotated away";
      return false;
    }
    auto file = world.files.open(path);
    if (!file) {
      // It is no trouble if the file is gone again.
      if (file.error().code != Code::not_found) trouble_ = file.error().message;
      return false;
    }
    const auto info = (*file)->stat();
    return info && hold(std::move(*file), *info, world);  // Otherwise the next look tries again.
  }

  bool hold(std::unique_ptr<env::OpenFile> file, const env::FileInfo& info, World& world) {
    if (held_.contains(key_of(info))) return false;
    met_.push_back(key_of(info));
    Held& held = held_[met_.back()];
    held.path = info.path;
    held.directory = directory_of(file->where().value_or(info.path));
    held.met_size = held.size = info.size;
    held.early = !seen_;
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

  // ---- The saved state

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
      std::erase_if(met_, [&](const FileKey& key) { return !present_.contains(key); });
    }
    places_.host = host;
    places_.path = path_;
    find_all(world);
    return {};
  }

  // Gives each place its open file. A place is dropped if no file can be proved to be its file.
  void find_all(World& world) {
    stray_ = false;
    doubt_.clear();
    std::map<std::string, Result<std::vector<env::FileInfo>>> listed;
    std::erase_if(places_.list, [&](Place& place) {
      const auto at = current_.find(place.path);
      const bool replaced = at != current_.end() && at->second.inode != place.key.inode;
      const std::string before = std::exchange(doubt_, {});
      if (find(place, listed, world)) {
        doubt_ = before;
        return false;
      }
      if (!doubt_.empty()) {  // The file that could not be read just now may be this one.
        stray_ = true;
        return false;
      }
      doubt_ = before;
      bool seen = true;  // Whether every directory could be listed.
      for (const auto& [directory, files] : listed) seen = seen && files.has_value();
      // The place is kept while a directory cannot be listed, or while no file has the path: then a
      // rotation may be half done.
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
    if (held != held_.end() && take(place, held->second.file, world, true)) return true;
    for (const std::string& directory : {place.directory, directory_of(place.path)}) {
      if (CANARY(looks_beside_the_link) && directory != directory_of(place.path)) continue;
      auto at = listed.find(directory);
      if (at == listed.end()) at = listed.emplace(directory, world.files.list(directory)).first;
      if (!at->second) continue;
      for (const env::FileInfo& file : *at->second) {
        if (file.inode != place.key.inode) continue;
        auto opened = world.files.open(file.path);
        if (!opened) {
          doubt(opened.error());
        } else if (take(place, *opened, world, false)) {
          return true;
        }
      }
    }
    if (!inherited_ && doubt_.empty()) doubt_ = "a file that is open cannot be looked at";
    return false;
  }

  // Whether this is the file of the place. `named`: it is followed in any case, so other bytes mean
  // that it was written anew. The device number may change with a reboot, so it is not compared.
  bool take(Place& place, std::unique_ptr<env::OpenFile>& file, World& world, bool named) {
    const auto info = file->stat();
    if (!info) return doubt(info.error());
    const FileKey key = key_of(*info);
    const bool dated = key.birth != 0 && place.key.birth != 0;
    if (key.inode != place.key.inode) return false;
    if (dated && key.birth != place.key.birth && !CANARY(any_number_is_it)) return false;
    const bool evidence = dated || place.head_size > 0 || place.offset > 0;
    const auto same = CANARY(any_number_is_it) ? true : is_same(place, *file, info->size);
    if (!named && !same) return doubt(same.error());
    if (!named && (!evidence || !*same)) return false;
    if (named && same && !*same) restart(place, world, "was emptied and written again");
    place.key = key;
    auto taken = std::move(file);
    Held& held = held_[key];
    held.file = std::move(taken);
    held.size = info->size;
    held.since = world.clock.now();
    held.known = true;
    return true;
  }

  // A passing error does not prove that it is another file.
  bool doubt(const Error& error) {
    if (error.code == Code::io) doubt_ = error.message;
    return false;
  }

  // Gives each newly opened file a place. The file stays in `met_` until a state with its place is
  // committed, since a trigger may be undone.
  void meet(World& world) {
    full_.clear();
    std::erase_if(met_, [&](const FileKey& key) { return saved_.contains(key); });
    for (const FileKey& key : met_) {
      if (full_.empty() && !placed(key)) add(key, world);
    }
    for (const auto& [path, key] : current_) {
      if (full_.empty() && !placed(key)) add(key, world);
    }
    for (const auto& [path, key] : current_) {
      const auto place = std::ranges::find(places_.list, key, &Place::key);
      if (place == places_.list.end() || place->path != path) continue;
      const bool last =
          std::none_of(place + 1, places_.list.end(),
                       [&name = path](const Place& later) { return later.path == name; });
      if (!last) std::rotate(place, place + 1, places_.list.end());  // It has its name back.
    }
  }

  void note_saved() {
    saved_.clear();
    for (const Place& place : places_.list) saved_.insert(place.key);
  }
  bool placed(const FileKey& key) const {
    return std::ranges::find(places_.list, key, &Place::key) != places_.list.end();
  }
  bool saved(const FileKey& key) const { return std::ranges::find(met_, key) == met_.end(); }
  // A file that does not fit the state stays open and waits, and so do files that were met after
  // it.
  void add(const FileKey& key, World& world) {
    Held& held = held_.at(key);
    Place place{key, held.path, held.directory};
    if (places_.size() + size_of(place) > kStateMax) {
      full_ = "its state has no room for more than " + std::to_string(places_.list.size()) +
              " files: " + held.path + " waits until one of them is read and quiet";
      return;
    }
    if (from_end_ && !looked_ && held.early) {
      const auto done = go_to(place, *held.file, held.met_size);
      if (!done) return cannot(held, world, done.error());  // The next trigger tries again.
    }
    held.known = true;
    places_.list.push_back(std::move(place));
  }

  // ---- Reading

  uint64_t follow_all(Session& session, World& world, TailBudget& budget) {
    std::map<std::string, std::vector<size_t>> by_path;
    for (size_t i = 0; i < places_.list.size(); ++i) by_path[places_.list[i].path].push_back(i);
    std::set<size_t> over;
    uint64_t used = 0;
    // Each trigger begins with another path. Within one path, the oldest file comes first.
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
    if (at == held_.end() || !at->second.known) return 0;
    Held& held = at->second;
    const Instant now = world.clock.now();
    const auto info = held.file->stat();
    if (!info) {
      cannot(held, world, info.error());
      return 0;
    }
    const bool away = !present_.contains(place.key);
    if (held.size != info->size || held.newest != newest || held.away != away) {
      held.size = info->size;
      held.newest = newest;
      held.away = away;
      held.since = now;
    }
    const Duration quiet = now - held.since;
    const bool rests = quiet >= kForgottenAfter || CANARY(forgets_rotated);
    const bool last = away && rests && (!newest || is_nobodys(place, world));
    const bool ends = last || (!newest && quiet >= kRestAfter);
    if (info->size < place.offset) restart(place, world, "was cut short");
    const auto used =
        reader_.read(session, world, place, *held.file, held.gap, info->size, ends, budget,
                     [&] { restart(place, world, "was emptied and written again"); });
    if (!used) {
      cannot(held, world, used.error());
      return 0;
    }
    held.trouble.clear();
    // Before it is dropped, a committed state must have its end.
    if (last && *used == 0 && budget.left() && saved(place.key)) over.insert(i);
    return *used;
  }

  // While the directory is missing or cannot be read, it is not known whether a file has the name.
  static bool is_nobodys(const Place& place, World& world) {
    return world.files.list(directory_of(place.path)).has_value();
  }

  // A file that cannot be read does not hold up the others.
  static void cannot(Held& held, World& world, const Error& error) {
    if (held.trouble.empty()) world.note(error.message);
    held.trouble = error.message;
  }

  // Closes files that have no place and no path any more.
  void let_go() {
    if (held_.size() <= places_.list.size()) return;
    std::erase_if(held_, [&](const auto& one) {
      return !placed(one.first) && !present_.contains(one.first) && saved(one.first);
    });
  }

  // A trouble is shown until it is over: not every trigger looks at the directory, or at every
  // file.
  void tell(World& world) const {
    world.trouble = !trouble_.empty() ? trouble_ : !doubt_.empty() ? doubt_ : full_;
    for (const auto& [key, held] : held_) {
      if (world.trouble.empty()) world.trouble = held.trouble;
    }
  }

  void restart(Place& place, World& world, const std::string& why) {
    reader_.drop();
    world.note("the file " + place.path + " " + why + ": it is followed from its beginning");
    place.offset = place.check = place.head_size = place.head = 0;
  }

  const std::string path_;
  const std::string pattern_;  // A pattern of names. Empty if there is one path.
  bool from_end_;
  uint64_t lines_;
  uint64_t lines_max_;
  Duration poll_;
  env::Files* files_ = nullptr;
  bool inherited_ = false;
  std::string owner_;

  std::map<FileKey, Held> held_;
  std::map<std::string, FileKey> current_;  // The file that each path has, as of the last look.
  std::vector<FileKey> met_;                // Opened, but in no committed state yet; oldest first.
  std::set<FileKey> present_;               // The files in `current_`.
  std::optional<Instant> looked_at_;
  bool seen_ = false;    // A look has succeeded.
  std::string trouble_;  // Of the last look.
  std::string doubt_;    // Why it is not known where the file of a place is.
  std::string full_;     // Why files wait: the state is full.
  std::set<std::string> told_;
  bool warned_ = false;

  Places places_;
  Bytes left_;               // The state that `places_` was loaded from or saved as.
  std::set<FileKey> saved_;  // The files that have a place in it.
  bool looked_ = false;      // An earlier trigger saved a state for this path, perhaps empty.
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
