// TailFile: follows a file that grows, line by line, through rotation and truncation.
#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "env/files.h"
#include "flow/processors/all.h"
#include "flow/record.h"
#include "flow/session.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kChunk = 1 << 20;  // Read at once; also the longest line that stays whole.
constexpr uint64_t kCheckMax = 64;  // Bytes before the offset that are remembered by their hash.

// Where it is: which file on which machine, and how far. The check tells a file that was emptied
// and has grown again from one that only grew.
struct Place {
  std::string host;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t offset = 0;
  uint64_t check = 0;

  bool is(const env::FileInfo& file) const {
    return host == file.host && device == file.device && inode == file.inode;
  }
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
    auto file = world.files.stat(path_);
    if (!file && file.error().code != Code::not_found) return tl::make_unexpected(file.error());
    if (!place_ && !file) {
      session.wait(poll_);  // It may come yet.
      return {};
    }
    if (place_ && file && place_->host != file->host) {
      world.note("the file is another one on this node (" + file->host + ", before " +
                 place_->host + "): it is followed from its beginning");
      place_.reset();
      begin(*file, false);
    } else if (!place_) {
      begin(*file, from_end_);
    }

    const bool rotated = !file || !place_->is(*file);
    if (!rotated) return follow(session, world, *file, false);
    // The file that was followed has another name by now: what is left of it comes first.
    auto old = find_moved(world);
    if (!old) return tl::make_unexpected(old.error());
    if (*old) return follow(session, world, **old, true);
    if (file) {
      world.note("the file was replaced, and the old one is gone");
      begin(*file, false);
      return follow(session, world, *file, false);
    }
    session.wait(poll_);
    return {};
  }

 private:
  Result<void> load(Session& session, World& world) {
    place_.reset();
    if (session.state().empty()) return {};
    RecordReader from(session.state(), kFormat);
    Place place;
    place.host = std::string(from.text());
    place.device = from.number();
    place.inode = from.number();
    place.offset = from.number();
    place.check = from.number();
    const std::string path(from.text());
    if (auto whole = from.finish("the state of TailFile"); !whole) return whole;
    if (path == path_) {
      place_ = place;
    } else {
      world.note("it follows another path now, from its beginning");
    }
    return {};
  }

  void save(Session& session) const {
    RecordWriter to(kFormat);
    to.text(place_->host);
    to.number(place_->device);
    to.number(place_->inode);
    to.number(place_->offset);
    to.number(place_->check);
    to.text(path_);
    session.set_state(to.seal());
  }

  void begin(const env::FileInfo& file, bool at_end) {
    place_ = Place{file.host, file.device, file.inode, at_end ? file.size : 0, 0};
    fresh_ = at_end;  // Nothing is known yet of what is before the offset.
  }

  Result<std::optional<env::FileInfo>> find_moved(World& world) const {
    const auto files = world.files.list(directory_of(path_));
    if (!files) return tl::make_unexpected(files.error());
    for (const env::FileInfo& file : *files) {
      if (place_->is(file)) return file;
    }
    return std::nullopt;
  }

  // Reads on in the file of place_. `last`: it will not grow any more.
  Result<void> follow(Session& session, World& world, const env::FileInfo& file, bool last) {
    if (file.size < place_->offset) {
      world.note("the file was cut short: it is followed from its beginning");
      place_->offset = 0;
    }
    uint64_t before = std::min(kCheckMax, place_->offset);
    auto bytes = world.files.read(file.path, place_->offset - before, kChunk + before);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto after = world.files.stat(file.path);
    if (!after || !place_->is(*after)) return {};  // It was rotated just now: look again.
    const bool known = before > 0 && !fresh_;
    if (known && hash64(BytesView(*bytes).substr(0, before)) != place_->check) {
      world.note("the file was emptied and written again: it is followed from its beginning");
      place_->offset = before = 0;
      bytes = world.files.read(file.path, 0, kChunk);
      if (!bytes) return tl::make_unexpected(bytes.error());
    }
    fresh_ = false;

    const uint64_t used = emit(session, BytesView(*bytes).substr(before), file, last);
    const uint64_t end = before + used;
    const uint64_t check = std::min<uint64_t>(kCheckMax, place_->offset + used);
    place_->offset += used;
    place_->check = hash64(BytesView(*bytes).substr(end - std::min(end, check), check));
    if (used == 0 && last) {
      // The old file is read to its end: on to the one that has its name now.
      const auto next = world.files.stat(path_);
      if (next) {
        begin(*next, false);
      } else {
        session.wait(poll_);
      }
    } else if (used == 0) {
      session.wait(poll_);
    }
    save(session);
    return {};
  }

  // Makes flow files of whole lines; returns how many bytes went into them.
  uint64_t emit(Session& session, BytesView text, const env::FileInfo& file, bool last) const {
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
      made->attributes["tail.offset"] = std::to_string(place_->offset + used);
      made->attributes["tail.host"] = file.host;
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
  std::optional<Place> place_;  // Of the present trigger.
  bool fresh_ = false;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  const std::string& start = settings.text("start");
  if (start != "beginning" && start != "end") {
    return fail(Code::unprocessable, "TailFile: \"start\" is \"beginning\" or \"end\"");
  }
  if (settings.number("linesPerFlowFile") == 0 || settings.number("linesPerTrigger") == 0) {
    return fail(Code::unprocessable, "TailFile: a number of lines must be at least 1");
  }
  if (settings.text("path").empty()) {
    return fail(Code::unprocessable, "TailFile: \"path\" is empty");
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
