// For tests of this room and of rooms above it: files in memory, a clock that tests set, and a
// bench that runs one processor.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "env/clock.h"
#include "env/files.h"
#include "flow/registry.h"
#include "flow/session.h"

namespace databridge::flow {

class SetClock : public env::Clock {
 public:
  Instant now() const override { return now_; }
  int64_t unix_ms() const override {
    return 1'700'000'000'000 +
           std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  }
  void advance(Duration by) { now_ += by; }

 private:
  Instant now_{Duration(1s)};
};

class MemoryFiles : public env::Files {
 public:
  explicit MemoryFiles(const env::Clock& clock) : clock_(clock) {}

  struct File {
    uint64_t inode = 0;
    uint64_t birth = 0;
    int64_t modified_ms = 0;
    std::string content;
  };

  std::string host = "here";
  bool broken = false;            // Every write fails as if the disk were full.
  int fails_in = 0;               // The n-th read of an open file from now on fails; 0: none does.
  bool fails_late = false;        // A whole file is written, but an error is returned.
  bool forbidden = false;         // Every write fails for lack of permission.
  std::string locked;             // This path cannot be opened or read.
  std::string hidden;             // For the moment, nothing can be found out about this path.
  std::string stray;              // This path is listed as a link that leads to no usable file.
  std::string unreadable;         // This path can be opened, but not read.
  std::string unknown;            // This path can be opened, but stat fails.
  bool nameless_unknown = false;  // stat also fails for open files that have lost their name.
  bool dated = true;              // Files know the time when they were made.
  uint64_t device = 1;

  std::string machine() const override { return host; }
  Result<env::FileInfo> stat(const std::string& path) override {
    if (path == hidden) return fail(Code::io, "cannot open " + path);
    const auto it = files_.find(path);
    if (it == files_.end()) return fail(Code::not_found, path + " is not there");
    return info(path, *it->second);
  }
  Result<std::unique_ptr<env::OpenFile>> open(const std::string& path) override {
    if (path == hidden) return fail(Code::io, "cannot open " + path);
    if (path == locked) return fail(Code::forbidden, path + " is locked");
    const auto it = files_.find(path);
    if (it == files_.end()) return fail(Code::not_found, path + " is not there");
    return std::make_unique<Open>(*this, path, it->second);
  }
  void keep(const std::string& owner, std::unique_ptr<env::OpenFile> file) override {
    kept_[owner].push_back(std::move(file));
  }
  std::vector<std::unique_ptr<env::OpenFile>> kept(const std::string& owner) override {
    return std::exchange(kept_[owner], {});
  }
  Result<std::string> read(const std::string& path, uint64_t offset, size_t length) override {
    auto file = open(path);
    if (!file) return tl::make_unexpected(file.error());
    return (*file)->read(offset, length);
  }
  Result<std::vector<env::FileInfo>> list(const std::string& directory) override {
    std::vector<env::FileInfo> found;
    ++lists;
    for (const auto& [path, file] : files_) {
      if (path.substr(0, path.rfind('/')) != directory) continue;
      if (path == hidden) return fail(Code::io, "cannot open " + path);
      if (path == stray) {
        found.push_back({.path = path, .host = host, .trouble = "cannot open " + path});
      } else {
        found.push_back(info(path, *file));
      }
    }
    return found;
  }
  Result<void> write(const std::string& path, const std::string& content) override {
    if (auto refused = refusal(path); !refused) return refused;
    if (before_write) before_write();
    files_[path] = made(content);
    ++writes;
    if (on_write) on_write();
    if (fails_late) return fail(Code::io, "cannot sync the directory of " + path);
    return {};
  }
  Result<void> create(const std::string& path, const std::string& content) override {
    if (before_write) before_write();
    if (has(path)) return fail(Code::conflict, path + " is there already");
    return write(path, content);
  }
  Result<void> append(const std::string& path, BytesView content) override {
    if (auto refused = refusal(path); !refused) return refused;
    auto& file = files_[path];
    if (!file) file = made("");
    file->content += content;
    file->modified_ms = clock_.unix_ms();
    return {};
  }
  Result<void> remove(const std::string& path) override {
    if (files_.erase(path) == 0) return fail(Code::not_found, path + " is not there");
    return {};
  }
  Result<void> sync(const std::string& directory) override {
    if (broken) return fail(Code::io, "cannot sync " + directory);
    ++syncs;
    return {};
  }

  // The acts of a user or of a log daemon.
  Result<void> rename(const std::string& from, const std::string& to) {
    auto file = files_.extract(from);
    if (file.empty()) return fail(Code::not_found, from + " is not there");
    files_.erase(to);
    file.key() = to;
    files_.insert(std::move(file));
    return {};
  }
  std::string& content(const std::string& path) { return files_.at(path)->content; }
  File& file(const std::string& path) { return *files_.at(path); }
  bool has(const std::string& path) const { return files_.count(path) > 0; }
  void modify(const std::string& path, int64_t unix_ms) { files_.at(path)->modified_ms = unix_ms; }
  void forget_kept() { kept_.clear(); }  // As when the process ends.
  int writes = 0;
  int lists = 0;
  int syncs = 0;
  int opened = 0;                        // Files that are open now.
  std::function<void()> before_write{};  // An act of another program just before a write.
  std::function<void()> on_write{};      // For a test that lets time pass, for example.

 private:
  class Open : public env::OpenFile {
   public:
    Open(MemoryFiles& all, std::string path, std::shared_ptr<File> file)
        : all_(all), path_(std::move(path)), file_(std::move(file)) {
      ++all_.opened;
    }
    ~Open() override { --all_.opened; }
    Result<env::FileInfo> stat() override {
      const bool is_nameless = !all_.files_.contains(where().value());
      if (path_ == all_.unknown || (all_.nameless_unknown && is_nameless)) {
        return fail(Code::io, "cannot stat " + path_);
      }
      return all_.info(path_, *file_);
    }
    Result<std::string> read(uint64_t offset, size_t length) override {
      if (path_ == all_.unreadable || (all_.fails_in > 0 && --all_.fails_in == 0)) {
        return fail(Code::io, "cannot read " + path_);
      }
      if (offset >= file_->content.size()) return std::string();
      return file_->content.substr(offset, length);
    }
    Result<uint64_t> data_after(uint64_t offset) override { return offset; }
    Result<std::string> where() override {
      for (const auto& [path, file] : all_.files_) {
        if (file == file_) return path;
      }
      return path_ + " (deleted)";
    }

   private:
    MemoryFiles& all_;
    std::string path_;
    std::shared_ptr<File> file_;  // An open file needs no name.
  };

  Result<void> refusal(const std::string& path) const {
    if (path.rfind("/outside", 0) == 0) return fail(Code::unprocessable, path + " is outside");
    if (broken) return fail(Code::io, "no space left for " + path);
    if (forbidden) return fail(Code::forbidden, "no permission for " + path);
    return {};
  }
  std::shared_ptr<File> made(std::string content) {
    const uint64_t number = next_++;
    return std::make_shared<File>(
        File{number, dated ? number : 0, clock_.unix_ms(), std::move(content)});
  }
  env::FileInfo info(const std::string& path, const File& file) const {
    env::FileInfo info;
    info.path = path;
    info.host = host;
    info.device = device;
    info.inode = file.inode;
    info.size = file.content.size();
    info.modified_ms = file.modified_ms;
    info.birth = file.birth;
    return info;
  }

  const env::Clock& clock_;
  std::map<std::string, std::shared_ptr<File>> files_;
  std::map<std::string, std::vector<std::unique_ptr<env::OpenFile>>> kept_;
  uint64_t next_ = 100;
};

// Runs one processor alone, one trigger after the other.
class Bench {
 public:
  Bench(const std::string& type, std::map<std::string, std::string> properties)
      : files(clock), world_{files, clock, Random(7), {}} {
    spec.name = "it";
    spec.type = type;
    spec.properties = std::move(properties);
    reborn();
  }

  // As after a move or a crash: only the committed state is left.
  void reborn() {
    processor_.reset();
    auto made = make_processor(spec);
    CHECK(made.has_value());
    processor_ = std::move(*made);
  }

  // Runs one trigger. If it is not committed, its state is lost.
  Result<Delta> trigger(std::vector<FlowFile> inputs = {}, bool committed = true) {
    Offer offer;
    offer.state = state;
    offer.room = room;
    const Uuid from = Uuid::from_name("bench", "in");
    for (auto& file : inputs) {
      offer.inputs.push_back({from, next_++, std::make_shared<const FlowFile>(std::move(file))});
    }
    for (const auto& name : relationships(spec)) {
      offer.outputs[name] = {Uuid::from_name("bench", name)};
    }
    world_.end = end;
    Session session(std::move(offer), world_.random, clock.unix_ms(), &world_);
    const auto done = processor_->on_trigger(session, world_);
    notes = std::exchange(world_.notes, {});
    trouble = std::exchange(world_.trouble, {});
    if (!done) return tl::make_unexpected(done.error());
    auto delta = session.finish();
    if (delta && delta->state && committed) state = *delta->state;
    return delta;
  }

  // Calls watch(), as while the outputs have no room.
  void watch() {
    processor_->watch(world_);
    world_.trouble.clear();  // The trouble is not shown to anyone.
  }
  std::vector<std::string> said() { return std::exchange(world_.notes, {}); }

  // The contents that were transferred to the relationship in one trigger.
  static std::vector<std::string> contents(const Result<Delta>& delta,
                                           const std::string& relationship = "success") {
    CHECK(delta.has_value());
    std::vector<std::string> list;
    for (const auto& output : delta->outputs) {
      if (output.connection == Uuid::from_name("bench", relationship)) {
        list.push_back(output.file->content);
      }
    }
    return list;
  }

  SetClock clock;
  MemoryFiles files;
  ProcessorSpec spec;
  Bytes state;
  size_t room = 1000;
  Instant end = Instant::max();  // The time when its triggers must end.
  std::vector<std::string> notes;
  std::string trouble;

 private:
  World world_;
  std::unique_ptr<Processor> processor_;
  uint64_t next_ = 1;
};

}  // namespace databridge::flow
