// TailFile: follows a file that grows, line by line, through rotation and truncation.
#include <algorithm>
#include <map>
#include <utility>
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
constexpr size_t kChunk = 1 << 20;  // Read at once; also the longest line that stays whole.
constexpr uint64_t kCheckMax = 64;  // Bytes before the offset that are remembered by their hash.
constexpr size_t kFollowedMax = 16;
// A file that was rotated away is looked at for so long after it last grew: its writer may have it
// open still. What it ends with, without the end of a line, is a line sooner.
constexpr Duration kRestAfter = 5s;
constexpr Duration kForgottenAfter = 60s;

// Where it is: which file on which machine, and how far. The check tells a file that was emptied
// and has grown again from one that only grew.
struct Place {
  std::string host;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t offset = 0;
  uint64_t check = 0;
  bool fresh = false;  // Not kept: nothing is known yet of what is before the offset.

  bool is(const env::FileInfo& file) const {
    return host == file.host && device == file.device && inode == file.inode;
  }
};

// How it was at the last look, and since when.
struct Seen {
  uint64_t size = 0;
  bool newest = false;
  Instant since{};
  bool read = false;  // To its end.
  bool told = false;  // That it cannot be read.
};

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class TailFile : public Processor {
 public:
  explicit TailFile(const Settings& settings)
      : path_(settings.text("path")),
        from_end_(settings.text("start") == "end"),
        lines_(settings.number("linesPerFlowFile")),
        lines_max_(settings.number("linesPerTrigger")),
        poll_(settings.duration("poll")) {}

  Result<void> on_trigger(Session& session, World& world) override {
    if (auto read = load(session, world); !read) return read;
    if (session.room() == 0) return {};
    const auto file = world.files.stat(path_);
    if (!file && file.error().code != Code::not_found) return tl::make_unexpected(file.error());
    if (file) meet(*file, world);
    const bool rotated = places_.size() > 1 || (!file && !places_.empty());
    auto around = rotated ? world.files.list(directory_of(path_))
                          : Result<std::vector<env::FileInfo>>(std::vector<env::FileInfo>());
    if (!around) return tl::make_unexpected(around.error());
    if (file) around->insert(around->begin(), *file);
    const auto used = follow_all(session, world, *around, file.has_value());
    if (!used) return tl::make_unexpected(used.error());
    if (*used == 0) session.wait(poll_);
    // One that has not been looked into has no check yet.
    const bool whole = std::none_of(places_.begin(), places_.end(),
                                    [](const Place& place) { return place.fresh; });
    if (whole) save(session);
    return {};
  }

 private:
  Result<void> load(Session& session, World& world) {
    places_.clear();
    looked_ = false;
    if (session.state().empty()) return {};
    RecordReader from(session.state(), kFormat);
    std::vector<Place> places;
    for (uint64_t n = from.count(36); n > 0; --n) {
      Place& place = places.emplace_back();
      place.host = std::string(from.text());
      place.device = from.number();
      place.inode = from.number();
      place.offset = from.number();
      place.check = from.number();
    }
    const std::string path(from.text());
    if (auto whole = from.finish("the state of TailFile"); !whole) return whole;
    looked_ = path == path_;
    if (looked_) {
      places_ = std::move(places);
    } else {
      world.note("it follows another path now");
    }
    return {};
  }

  void save(Session& session) const {
    RecordWriter to(kFormat);
    to.number(places_.size());
    for (const Place& place : places_) {
      to.text(place.host);
      to.number(place.device);
      to.number(place.inode);
      to.number(place.offset);
      to.number(place.check);
    }
    to.text(path_);
    session.set_state(to.seal());
  }

  // The file that has the path now becomes the last of those that are followed.
  void meet(const env::FileInfo& file, World& world) {
    if (!places_.empty() && places_.back().host != file.host) {
      world.note("the file is another one on this node (" + file.host + ", before " +
                 places_.back().host + "): it is followed from its beginning");
      places_.clear();
    }
    const auto known = std::find_if(places_.begin(), places_.end(),
                                    [&](const Place& place) { return place.is(file); });
    if (known != places_.end()) {
      std::rotate(known, known + 1, places_.end());
      return;
    }
    const bool at_end = from_end_ && !looked_;
    places_.push_back({file.host, file.device, file.inode, at_end ? file.size : 0, 0, at_end});
    if (places_.size() > kFollowedMax) {
      world.note("more than " + std::to_string(kFollowedMax) +
                 " rotated files still grow: the oldest is let alone");
      places_.erase(places_.begin());
    }
  }

  // The oldest that has something new; returns how many bytes became flow files. `present`: a file
  // has the path.
  Result<uint64_t> follow_all(Session& session, World& world,
                              const std::vector<env::FileInfo>& around, bool present) {
    for (size_t i = 0; i < places_.size();) {
      Place& place = places_[i];
      const bool newest = i + 1 == places_.size();
      const auto file = std::find_if(around.begin(), around.end(),
                                     [&](const auto& one) { return place.is(one); });
      if (file == around.end()) {
        // The newest has lost its name, and nobody has that yet; or the directory is not there.
        if (newest || !present) {
          ++i;
          continue;
        }
        if (!seen_[place.inode].read) world.note("the file was replaced, and the old one is gone");
        places_.erase(places_.begin() + static_cast<ptrdiff_t>(i));
        continue;
      }
      const Instant now = world.clock.now();
      Seen& seen = seen_.try_emplace(place.inode, Seen{file->size, newest, now}).first->second;
      if (seen.size != file->size || seen.newest != newest) seen = {file->size, newest, now};
      const Duration quiet = now - seen.since;
      const auto used = follow(session, world, place, *file, !newest && quiet >= kRestAfter);
      if (!used && !may_pass(used.error(), newest)) return used;
      if (!used && newest) break;
      if (!used && !std::exchange(seen.told, true)) world.note(used.error().message);
      if (used && *used > 0) return used;
      seen.read = seen.read || used.has_value();
      if (!newest && quiet >= kForgottenAfter) {
        places_.erase(places_.begin() + static_cast<ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    std::erase_if(seen_, [&](const auto& one) {
      return std::none_of(places_.begin(), places_.end(),
                          [&](const Place& place) { return place.inode == one.first; });
    });
    return 0;
  }

  // A file that is renamed while it is looked at; an old one that cannot be read holds up no other.
  static bool may_pass(const Error& error, bool newest) {
    return error.code == Code::not_found ||
           (!newest && (error.code == Code::forbidden || error.code == Code::invalid));
  }

  // Reads on in a file. `last`: it will hardly grow any more.
  Result<uint64_t> follow(Session& session, World& world, Place& place, const env::FileInfo& file,
                          bool last) const {
    if (file.size < place.offset) {
      world.note("the file was cut short: it is followed from its beginning");
      place.offset = 0;
    }
    uint64_t before = std::min(kCheckMax, place.offset);
    auto bytes = world.files.read(file.path, place.offset - before, kChunk + before);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto after = world.files.stat(file.path);
    if (!after || !place.is(*after)) return fail(Code::not_found, file.path + " was rotated");
    const bool known = before > 0 && !place.fresh;
    if (known && hash64(BytesView(*bytes).substr(0, before)) != place.check) {
      world.note("the file was emptied and written again: it is followed from its beginning");
      place.offset = before = 0;
      bytes = world.files.read(file.path, 0, kChunk);
      if (!bytes) return tl::make_unexpected(bytes.error());
    }
    place.fresh = false;

    const uint64_t used = emit(session, BytesView(*bytes).substr(before), place, last);
    const uint64_t end = before + used;
    const uint64_t check = std::min<uint64_t>(kCheckMax, place.offset + used);
    place.offset += used;
    place.check = hash64(BytesView(*bytes).substr(end - std::min(end, check), check));
    return used;
  }

  // Makes flow files of whole lines; returns how many bytes went into them.
  uint64_t emit(Session& session, BytesView text, const Place& place, bool last) const {
    uint64_t used = 0, lines = 0;
    size_t room = session.room();
    while (room > 0 && lines < lines_max_ && used < text.size()) {
      size_t end = used, in_file = 0;
      bool partial = false;
      while (in_file < lines_) {
        const size_t newline = text.find('\n', end);
        if (newline != BytesView::npos) {
          end = newline + 1;
          ++in_file;
          continue;
        }
        // A line without an end: wait for the rest, unless there is none or it is too long.
        const bool too_long = used == 0 && end == 0 && text.size() >= kChunk;
        if (end < text.size() && (too_long || (last && text.size() < kChunk))) {
          end = text.size();
          partial = too_long;
          ++in_file;
        }
        break;
      }
      if (end == used) break;
      BytesView content = text.substr(used, end - used);
      if (content.back() == '\n') content.remove_suffix(1);
      FlowFile* made = session.create();
      made->content = std::string(content);
      made->attributes["path"] = path_;
      made->attributes["filename"] = name_of(path_);
      made->attributes["tail.offset"] = std::to_string(place.offset + used);
      made->attributes["tail.host"] = place.host;
      if (partial) made->attributes["tail.partial"] = "true";
      session.transfer(made, "success");
      used = end;
      lines += in_file;
      --room;
    }
    return used;
  }

  std::string path_;
  bool from_end_;
  uint64_t lines_;
  uint64_t lines_max_;
  Duration poll_;
  // Of the present trigger: the file of that path last, before it those that had the path.
  std::vector<Place> places_;
  bool looked_ = false;            // Before this trigger, whether it was there or not.
  std::map<uint64_t, Seen> seen_;  // By inode. Known again soon after a restart.
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  const std::string& start = settings.text("start");
  if (start != "beginning" && start != "end") {
    return fail(Code::unprocessable, "TailFile: \"start\" is \"beginning\" or \"end\"");
  }
  if (settings.number("linesPerFlowFile") == 0 || settings.number("linesPerTrigger") == 0) {
    return fail(Code::unprocessable, "TailFile: a number of lines must be at least 1");
  }
  if (auto path = check_path("path", settings.text("path")); !path) {
    return tl::make_unexpected(path.error());
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
          "Follows a file that grows, line by line, through rotation and truncation. "
          "Attributes: path, filename, tail.offset, tail.host.",
      .source = true,
      .node_local = true,
      .settles = false,
      .state = StateScope::cluster,
      .relationships = {"success"},
      .losses = {},
      .path = "path",
      .properties = {{"path", PropertyKind::text, nullptr, "of the file"},
                     {"start", PropertyKind::text, "beginning",
                      "where a new file begins: beginning, end"},
                     {"linesPerFlowFile", PropertyKind::number, "1", "at most"},
                     {"linesPerTrigger", PropertyKind::number, "1000", "at most"},
                     {"poll", PropertyKind::duration, "250ms", "between looks at an idle file"}},
      .rules = false,
      .make = make};
}

}  // namespace databridge::flow
