// TailFile on real files: logs with numbered lines that rotate in every way.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/random.h"
#include "flow/registry.h"
#include "flow/session.h"
#include "platform/clock.h"
#include "platform/files.h"
#include "platform/testing.h"

namespace databridge::lib {
namespace {

namespace fs = std::filesystem;

// A TailFile processor, and the lines that it has read.
class Tail {
 public:
  Tail(const std::string& root, const std::string& path) : clock_(platform::make_clock()) {
    files_ = std::move(*platform::make_files({.roots = {root}, .host = "here"}));
    spec_.id = {1, 2};
    spec_.type = "TailFile";
    spec_.properties = {{"path", path}, {"poll", "10ms"}};
    world_.emplace(flow::World{*files_, *clock_, Random(1), {}});
    begin();
  }

  void begin() {
    processor_.reset();  // It leaves its open files to the next one.
    processor_ = std::move(*flow::make_processor(spec_));
  }
  // Does what an end of the process does: no file stays open.
  void restart(const std::string& root) {
    processor_.reset();
    files_ = std::move(*platform::make_files({.roots = {root}, .host = "here"}));
    world_.emplace(flow::World{*files_, *clock_, Random(1), {}});
    processor_ = std::move(*flow::make_processor(spec_));
  }
  void watch() { processor_->watch(*world_); }
  size_t trigger(size_t room, bool counts = true) {
    flow::Offer offer;
    offer.state = state_;
    offer.room = room;
    offer.outputs["success"] = {Uuid{3, 4}};
    flow::Session session(std::move(offer), world_->random, clock_->unix_ms());
    EXPECT_TRUE(processor_->on_trigger(session, *world_));
    const auto delta = session.finish();
    EXPECT_TRUE(delta);
    if (!counts) return 0;
    for (const auto& output : delta->outputs) lines.push_back(output.file->content);
    if (delta->state) state_ = *delta->state;
    return delta->outputs.size();
  }

  std::vector<std::string> lines;

 private:
  std::unique_ptr<env::Clock> clock_;
  std::unique_ptr<env::Files> files_;
  ProcessorSpec spec_;
  std::optional<flow::World> world_;
  std::unique_ptr<flow::Processor> processor_;
  Bytes state_;
};

// A program that writes numbered lines, and a daemon that rotates its log.
class Log {
 public:
  Log(const std::string& directory, bool linked, Random& random)
      : random_(random), directory_(directory), path_(directory + "/app.log") {
    if (linked) {
      fs::create_directories(directory + "/pods");
      real_ = directory + "/pods/0.log";
      fs::create_symlink("pods/0.log", path_);
    } else {
      real_ = path_;
    }
    open();
  }
  ~Log() { ::close(fd_); }

  void write() {
    const std::string line = "line " + std::to_string(written_++) + "\n";
    ASSERT_EQ(::write(fd_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  // Renames the file, as a rotation does. The old file may be deleted at once, and then a file of
  // another program may get its inode number.
  void rotate() {
    const std::string old = real_ + "." + std::to_string(++rotations_);
    fs::rename(real_, old);
    for (uint64_t n = random_.below(4); n > 0; --n) write();  // The old file is still open.
    ::close(fd_);
    open();
    if (random_.chance(0.6)) fs::remove(old);
    std::ofstream(directory_ + "/foreign-" + std::to_string(rotations_) + ".txt")
        << "foreign\nforeign\nforeign\n";
  }
  uint64_t written() const { return written_; }
  const std::string& path() const { return path_; }

 private:
  void open() { fd_ = ::open(real_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600); }

  Random& random_;
  std::string directory_;
  std::string path_;
  std::string real_;
  int fd_ = -1;
  uint64_t written_ = 0;
  int rotations_ = 0;
};

TEST(TailOfRealFiles, NoLineIsLostOrForeignHoweverTheLogRotates) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const platform::TemporaryDirectory at;
    const std::string root = fs::canonical(at.path());
    Log log(root, seed % 2 == 0, random);
    Tail tail(root, log.path());
    for (int step = 0; step < 300; ++step) {
      switch (random.below(7)) {
        case 0:
          tail.watch();  // Also under back-pressure it sees rotations.
          log.rotate();
          break;
        case 1:
          tail.begin();
          break;
        case 2:
          tail.trigger(random.between(0, 20), random.chance(0.8));
          break;
        default:
          log.write();
      }
    }
    tail.watch();
    for (int quiet = 0; quiet < 3;) quiet = tail.trigger(1000) == 0 ? quiet + 1 : 0;
    std::vector<std::string> expected;
    for (uint64_t i = 0; i < log.written(); ++i) expected.push_back("line " + std::to_string(i));
    std::ranges::sort(tail.lines);
    std::ranges::sort(expected);
    ASSERT_EQ(tail.lines, expected) << "seed " << seed;
  }
}

// While the node is down, the log is rotated once, and the old file is kept in the same directory.
TEST(TailOfRealFiles, AfterARestartItGoesOnInTheRotatedFile) {
  for (const bool linked : {false, true}) {
    Random random(1);
    const platform::TemporaryDirectory at;
    const std::string root = fs::canonical(at.path());
    Log log(root, linked, random);
    Tail tail(root, log.path());
    for (int i = 0; i < 50; ++i) log.write();
    tail.trigger(20);
    tail.restart(root);
    for (int i = 0; i < 50; ++i) log.write();
    const std::string real = fs::canonical(log.path());
    fs::rename(real, real + ".20261128-150000");
    for (int i = 0; i < 5; ++i) log.write();
    std::ofstream(real) << "new\n";
    for (int quiet = 0; quiet < 3;) quiet = tail.trigger(1000) == 0 ? quiet + 1 : 0;
    ASSERT_EQ(tail.lines.size(), 106u);
    EXPECT_EQ(tail.lines.back(), "new");
    EXPECT_EQ(std::set<std::string>(tail.lines.begin(), tail.lines.end()).size(), 106u);
  }
}

TEST(TailOfRealFiles, AHoleIsNoText) {
  const platform::TemporaryDirectory at;
  const std::string root = fs::canonical(at.path());
  const std::string path = root + "/app.log";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::write(fd, "before\n", 7), 7);
  Tail tail(root, path);
  tail.trigger(10);
  ASSERT_EQ(::ftruncate(fd, 0), 0);
  ASSERT_EQ(::pwrite(fd, "after\n", 6, (48 << 20) + 7), 6);
  for (int i = 0; i < 3; ++i) tail.trigger(10);
  ::close(fd);
  EXPECT_THAT(tail.lines, testing::ElementsAre("before", "after"));
}

}  // namespace
}  // namespace databridge::lib
