// The small parts: clock, workers, files, load, processes, log lines.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>

#include "platform/clock.h"
#include "platform/files.h"
#include "platform/load_probe.h"
#include "platform/log.h"
#include "platform/process.h"
#include "platform/system.h"
#include "platform/testing.h"
#include "platform/trimmer.h"
#include "platform/workers.h"

namespace databridge::platform {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(Clock, GoesForward) {
  const auto clock = make_clock();
  const Instant before = clock->now();
  EXPECT_TRUE(eventually([&] { return clock->now() > before; }));
  EXPECT_GT(clock->unix_ms(), 1'600'000'000'000);
}

TEST(Process, KnowsItself) {
  const auto self = this_process();
  EXPECT_EQ(self.pid, static_cast<uint64_t>(::getpid()));
  EXPECT_FALSE(self.host_boot_id.empty());
  EXPECT_NE(self.netns, 0u);
  EXPECT_NE(self.pidns, 0u);
  EXPECT_NE(self.pid_start, 0u);
  EXPECT_FALSE(is_gone(self, self));
  EXPECT_NE(entropy64(), entropy64());
}

TEST(Process, AMachineHasItsIdForANameElseOneThatIsKept) {
  const TemporaryDirectory dir;
  const std::string id = dir.path() + "/machine-id";
  const auto named = [&] { return machine_name(dir.path(), id).value_or("none"); };
  const std::string made = named();
  EXPECT_EQ(made.rfind("dir-", 0), 0u) << made;
  EXPECT_EQ(named(), made);
  std::ofstream(id) << "not an id\n";
  EXPECT_EQ(named(), made);
  std::ofstream(id) << "0123456789abcdef0123456789abcdef\n";
  EXPECT_EQ(named(), "0123456789abcdef0123456789abcdef");
}

const ChildRole kSleeper("sleeper", [](const std::string&) {
  ChildRole::put(this_process().pid_start);
  for (;;) ::pause();
});

TEST(Process, ADeadOneIsGoneAsAZombieAndReaped) {
  ChildProcess child("sleeper", "");
  const auto self = this_process();
  auto peer = self;
  peer.pid = static_cast<uint64_t>(child.pid());
  ASSERT_TRUE(child.get(peer.pid_start));
  EXPECT_FALSE(is_gone(peer, self));
  child.kill();
  EXPECT_TRUE(eventually([&] { return is_gone(peer, self); })) << "a zombie";
  child.reap();
  EXPECT_TRUE(is_gone(peer, self));
}

TEST(Process, ProvesNothingAboutOtherHostsOrNamespaces) {
  auto peer = this_process();
  const auto self = peer;
  peer.pid_start += 1;  // The pid was given to another process, which is this one.
  EXPECT_TRUE(is_gone(peer, self));
  for (auto change :
       {+[](env::Greeting& p) { p.host_boot_id = "other"; },
        +[](env::Greeting& p) { p.host_boot_id = ""; }, +[](env::Greeting& p) { p.netns += 1; },
        +[](env::Greeting& p) { p.pidns += 1; }, +[](env::Greeting& p) { p.pid = 0; },
        +[](env::Greeting& p) { p.pid_start = 0; }}) {
    auto stranger = peer;
    change(stranger);
    EXPECT_FALSE(is_gone(stranger, self));
  }
}

TEST(Workers, RunManyJobsAtOnceAndAllBeforeTheyEnd) {
  std::atomic<int> done = 0;
  std::latch together(4);  // Passes only if four threads are there at the same time.
  {
    const auto workers = make_workers({.threads_max = 4});
    for (int i = 0; i < 4; ++i) {
      workers->run([&] {
        together.arrive_and_wait();
        ++done;
      });
    }
    for (int i = 0; i < 1000; ++i) workers->run([&] { ++done; });
    together.wait();
  }
  EXPECT_EQ(done, 1004);
}

TEST(Workers, NeverMoreThanTheLimit) {
  std::atomic<int> now = 0, most = 0;
  {
    const auto workers = make_workers({.threads_max = 3});
    for (int i = 0; i < 300; ++i) {
      workers->run([&] {
        const int here = ++now;
        int seen = most;
        while (here > seen && !most.compare_exchange_weak(seen, here)) {
        }
        --now;
      });
    }
  }
  EXPECT_LE(most, 3);
}

TEST(Workers, WhatRunsApartDoesNotWaitForJobsThatDoNotReturn) {
  std::promise<void> ran;
  const auto workers = make_workers({.threads_max = 1});
  workers->run([&] { EXPECT_EQ(ran.get_future().wait_for(30s), std::future_status::ready); });
  workers->run_apart([&] { ran.set_value(); });
}

// Memory that is touched and private, and does not belong to the allocator.
class Grown {
 public:
  explicit Grown(size_t bytes) : bytes_(bytes) {
    at_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at_ != MAP_FAILED);
    std::memset(at_, 1, bytes);
  }
  ~Grown() { ::munmap(at_, bytes_); }
  Grown(const Grown&) = delete;
  Grown& operator=(const Grown&) = delete;

 private:
  void* at_;
  size_t bytes_;
};

TEST(Trimmer, TrimsOnceWhatHasGrownWhenTheProcessRests) {
  std::atomic<int> trims = 0;
  const auto trimmer = trim_when_quiet(500ms, [&] { ++trims; });
  const Grown first(16 << 20);
  // It is not trimmed while the process works.
  const std::clock_t until = std::clock() + CLOCKS_PER_SEC;
  while (std::clock() < until) {
  }
  EXPECT_EQ(trims, 0);
  EXPECT_TRUE(eventually([&] { return trims == 1; }));
  const Grown second(16 << 20);
  EXPECT_TRUE(eventually([&] { return trims == 2; }));
}

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(root_);
    fs::create_directories(outside_);
    auto made = make_files({.roots = {root_}, .host = "here"});
    ASSERT_TRUE(made) << made.error().message;
    files_ = std::move(*made);
  }
  Code code(const Result<void>& result) { return result ? Code::internal : result.error().code; }

  TemporaryDirectory at_;
  std::string root_ = at_.path() + "/root";
  std::string outside_ = at_.path() + "/outside";
  std::unique_ptr<env::Files> files_;
};

TEST_F(FilesTest, WritesReadsListsAndRemoves) {
  ASSERT_TRUE(files_->write(root_ + "/deep/er/b.txt", "hello"));
  ASSERT_TRUE(files_->write(root_ + "/deep/er/b.txt", "hello world"));
  ASSERT_TRUE(files_->append(root_ + "/deep/er/a.txt", "one"));
  ASSERT_TRUE(files_->append(root_ + "/deep/er/a.txt", "two"));
  EXPECT_EQ(files_->read(root_ + "/deep/er/b.txt", 6, 100).value(), "world");
  EXPECT_EQ(files_->read(root_ + "/deep/er/b.txt", 0, 5).value(), "hello");
  EXPECT_EQ(files_->read(root_ + "/deep/er/b.txt", 50, 5).value(), "");
  EXPECT_EQ(files_->read(root_ + "/deep/er/a.txt", 0, 100).value(), "onetwo");

  const auto list = files_->list(root_ + "/deep/er");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].path, root_ + "/deep/er/a.txt");
  EXPECT_EQ((*list)[1].size, 11u);
  EXPECT_EQ((*list)[1].host, "here");
  const auto info = files_->stat(root_ + "/deep/er/b.txt");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->inode, (*list)[1].inode);

  ASSERT_TRUE(files_->remove(root_ + "/deep/er/a.txt"));
  EXPECT_EQ(files_->read(root_ + "/deep/er/a.txt", 0, 1).error().code, Code::not_found);
  EXPECT_EQ(files_->list(root_)->size(), 0u) << "directories are no files";
}

TEST_F(FilesTest, CreatingReplacesNothing) {
  const std::string path = root_ + "/deep/a";
  ASSERT_TRUE(files_->create(path, "first"));
  EXPECT_EQ(code(files_->create(path, "second")), Code::conflict);
  fs::create_symlink(root_ + "/nowhere", root_ + "/deep/link");
  EXPECT_EQ(code(files_->create(root_ + "/deep/link", "x")), Code::conflict);
  EXPECT_EQ(files_->read(path, 0, 100).value(), "first");
  EXPECT_EQ(code(files_->create(root_ + "/" + std::string(300, 'n'), "x")), Code::invalid);
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ + "/deep"), fs::directory_iterator()), 2);
}

// All of them look, and then all of them write. One gets the name, and its content is complete.
TEST_F(FilesTest, OfManyThatCreateOneNameOneDoes) {
  for (int round = 0; round < 20; ++round) {
    const std::string path = root_ + "/" + std::to_string(round);
    std::latch start(4);
    std::vector<std::future<Result<void>>> all;
    for (int n = 0; n < 4; ++n) {
      all.push_back(std::async(std::launch::async, [&, n] {
        start.arrive_and_wait();
        return files_->create(path, std::to_string(n));
      }));
    }
    std::vector<std::string> made;
    for (int n = 0; n < 4; ++n) {
      const auto done = all[static_cast<size_t>(n)].get();
      if (done) made.push_back(std::to_string(n));
      EXPECT_TRUE(done || done.error().code == Code::conflict);
    }
    ASSERT_EQ(made.size(), 1u);
    EXPECT_EQ(files_->read(path, 0, 100).value(), made[0]);
  }
}

// At times another thread takes descriptors that the list needs.
TEST_F(FilesTest, AListIsWholeOrAnError) {
  for (int n = 0; n < 200; ++n) std::ofstream(root_ + "/" + std::to_string(n)) << "x";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const Descriptor next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(next.get()) + 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::atomic<bool> ends = false, shall_rest = false, rests = false;
  auto other = std::async(std::launch::async, [&] {
    while (!ends) {
      rests = shall_rest.load();
      if (!rests) const Descriptor one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
  });
  size_t whole = 0, errors = 0, odd = 0;
  for (int n = 0; n < 100'000 && (whole < 50 || errors < 50); ++n) {
    shall_rest = n % 2 == 0;  // Without pauses perhaps no list would succeed.
    while (rests != shall_rest) std::this_thread::yield();
    const auto list = files_->list(root_);
    const bool troubled = list && std::ranges::any_of(*list, [](const env::FileInfo& file) {
                            return !file.trouble.empty();
                          });
    if (!list) ++errors;
    if (list && list->size() == 200 && !troubled) ++whole;
    if (list && (list->size() != 200 || troubled)) ++odd;
  }
  ends = true;
  other.get();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_GT(whole, 0u);
  EXPECT_GT(errors, 0u);
  EXPECT_EQ(odd, 0u);
}

TEST_F(FilesTest, WhatIsKeptIsDroppedAlthoughNobodyAsks) {
  const auto files = make_files({.roots = {root_}, .host = "here", .kept_for = 20ms}).value();
  ASSERT_TRUE(files->write(root_ + "/a", "x"));
  const std::string real = fs::canonical(root_ + "/a").string() + " (deleted)";
  const auto is_open = [&] {
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry.path(), gone) == real) return true;
    }
    return false;
  };
  auto file = files->open(root_ + "/a").value();
  ASSERT_TRUE(files->remove(root_ + "/a"));
  EXPECT_TRUE(is_open());
  files->keep("owner", std::move(file));
  EXPECT_TRUE(eventually([&] { return !is_open(); }));
}

constexpr size_t kLong = 1 << 20;

const ChildRole kWriter("files_writer", [](const std::string& root) {
  const auto files = make_files({.roots = {root}, .host = "here"}).value();
  for (size_t n = 0;; ++n) {
    const auto written = files->write(root + "/" + std::to_string(n), Bytes(kLong, 'x'));
    ChildRole::put(written.has_value());
  }
});

TEST_F(FilesTest, AWriterThatIsKilledLeavesWholeFilesOnly) {
  const bool nameless =
      static_cast<bool>(Descriptor(::open(root_.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600)));
  size_t files = 0;
  for (int round = 0; round < 10; ++round) {
    ChildProcess writer("files_writer", root_);
    bool written = false;
    for (int n = 0; n <= round % 3; ++n) ASSERT_TRUE(writer.get(written) && written);
    writer.kill();
    writer.reap();
    for (const auto& entry : fs::directory_iterator(root_)) {
      const bool aside = entry.path().filename().string().front() == '.';
      EXPECT_FALSE(aside && nameless) << entry.path();
      EXPECT_TRUE(aside || entry.file_size() == kLong) << entry.path();
      ++files;
    }
  }
  EXPECT_GT(files, 10u);
}

TEST_F(FilesTest, StaysInsideTheRoots) {
  std::ofstream(outside_ + "/secret") << "secret";
  fs::create_symlink(outside_, root_ + "/way-out");
  fs::create_symlink(outside_ + "/secret", root_ + "/link");
  fs::create_symlink(outside_ + "/new", root_ + "/dangling");
  for (const std::string& path :
       {outside_ + "/secret", root_ + "/../outside/secret", root_ + "/way-out/secret",
        root_ + "/link", std::string("/etc/passwd"), root_ + "/../root-not/x"}) {
    EXPECT_FALSE(files_->read(path, 0, 10)) << path;
    EXPECT_FALSE(files_->stat(path)) << path;
    if (path != root_ + "/link") {
      EXPECT_FALSE(files_->write(path, "x")) << path;
    }
    EXPECT_FALSE(files_->append(path, "x")) << path;
  }
  EXPECT_EQ(files_->read(root_ + "/way-out/secret", 0, 10).error().code, Code::unprocessable);
  EXPECT_FALSE(files_->append(root_ + "/dangling", "x"));
  EXPECT_FALSE(files_->write(root_ + "/way-out/deep/new", "x"));
  EXPECT_FALSE(files_->remove(root_ + "/way-out/secret"));
  EXPECT_FALSE(files_->create(root_ + "/way-out/deep/new", "x"));
  const auto listed = files_->list(root_).value();
  EXPECT_EQ(listed.size(), 2u) << "way-out is a directory";
  for (const env::FileInfo& file : listed) {
    EXPECT_FALSE(file.trouble.empty()) << file.path;
    EXPECT_EQ(file.inode, 0u);
  }
  // Writing replaces the link itself, inside.
  EXPECT_TRUE(files_->write(root_ + "/link", "replaced"));
  std::string secret;
  std::ifstream(outside_ + "/secret") >> secret;
  EXPECT_EQ(secret, "secret");
  EXPECT_EQ(std::distance(fs::directory_iterator(outside_), fs::directory_iterator()), 1);
}

TEST_F(FilesTest, LinksThatStayInsideAreFine) {
  ASSERT_TRUE(files_->write(root_ + "/real/file", "content"));
  fs::create_symlink(root_ + "/real", root_ + "/alias");
  EXPECT_EQ(files_->read(root_ + "/alias/file", 0, 100).value(), "content");
  EXPECT_TRUE(files_->append(root_ + "/alias/file", "!"));
  EXPECT_EQ(files_->list(root_ + "/alias")->size(), 1u);
}

TEST_F(FilesTest, NamesThatCanNeverBeWrittenAreInvalid) {
  const std::string long_name = root_ + "/" + std::string(300, 'n');
  EXPECT_EQ(code(files_->write(long_name, "x")), Code::invalid);
  EXPECT_EQ(code(files_->append(long_name, "x")), Code::invalid);
  ASSERT_TRUE(fs::create_directory(root_ + "/directory"));
  EXPECT_EQ(code(files_->write(root_ + "/directory", "x")), Code::invalid);
}

TEST_F(FilesTest, OddPathsAreClearErrors) {
  EXPECT_EQ(files_->read("relative", 0, 1).error().code, Code::invalid);
  EXPECT_EQ(code(files_->write(root_ + "/", "x")), Code::invalid);
  EXPECT_EQ(code(files_->write(root_ + "/..", "x")), Code::invalid);
  EXPECT_EQ(files_->read(root_ + std::string("/a\0b", 4), 0, 1).error().code, Code::invalid);
  EXPECT_EQ(files_->read(root_, 0, 1).error().code, Code::invalid);
  // Opening a pipe for real would wait for a process at the other end.
  ASSERT_EQ(::mkfifo((root_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(files_->read(root_ + "/pipe", 0, 1).error().code, Code::invalid);
  EXPECT_EQ(code(files_->append(root_ + "/pipe", "x")), Code::invalid);
}

TEST_F(FilesTest, WithoutRootsNothingIsAllowed) {
  const auto none = make_files({.roots = {}, .host = ""});
  ASSERT_TRUE(none);
  EXPECT_EQ((*none)->read("/etc/passwd", 0, 1).error().code, Code::unprocessable);
  EXPECT_FALSE(make_files({.roots = {at_.path() + "/missing"}, .host = ""}));
}

TEST(Log, TextIsOneReadableLine) {
  EXPECT_EQ(format_log_line(LogFormat::text, 1'700'000'000'123, LogLevel::info, "raft", "leader",
                            {{"node", "n1"}, {"why", "a b"}, {"empty", ""}}),
            "2023-11-14T22:13:20.123Z info  raft: leader node=n1 why=\"a b\" empty=\"\"");
  EXPECT_EQ(format_log_line(LogFormat::text, 0, LogLevel::error, "x", "two\nlines \x1b[31m\xff",
                            {{"k", "a=\"b\""}}),
            "1970-01-01T00:00:00.000Z error x: two\\nlines \\u001b[31m\xef\xbf\xbd "
            "k=\"a=\\\"b\\\"\"");
}

TEST(Log, JsonIsEscaped) {
  EXPECT_EQ(
      format_log_line(LogFormat::json, 0, LogLevel::warn, "net", "say \"hi\"\\\n\x01 \xc3\xa9\xc3",
                      {{"peer", "a\tb"}}),
      "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"component\":\"net\","
      "\"message\":\"say \\\"hi\\\"\\\\\\n\\u0001 \xc3\xa9\xef\xbf\xbd\",\"peer\":\"a\\tb\"}");
}

TEST(Log, LevelsSwitchAtRunTime) {
  const auto log = make_log(LogLevel::warn, LogFormat::text);
  testing::internal::CaptureStderr();
  log->write(LogLevel::info, "x", "hidden");
  log->set_level(LogLevel::info);
  log->write(LogLevel::info, "x", "shown {}", {{"k", "v"}});
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("x: shown {} k=v\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("hidden")));
  EXPECT_EQ(parse_log_level("debug").value(), LogLevel::debug);
  EXPECT_FALSE(parse_log_level("loud"));
  EXPECT_EQ(parse_log_format("json").value(), LogFormat::json);
  EXPECT_FALSE(parse_log_format("xml"));
}

// Files as the kernel writes them, below a directory of the test, and a clock that it owns.
class LoadTest : public testing::Test {
 protected:
  class HandClock : public env::Clock {
   public:
    Instant now() const override { return time; }
    int64_t unix_ms() const override { return 0; }
    Instant time{};
  };

  void put(const std::string& path, const std::string& content) {
    fs::create_directories(fs::path(at_.path() + path).parent_path());
    std::ofstream(at_.path() + path) << content;
  }
  void put_cpu(uint64_t busy, uint64_t idle, uint64_t other_busy = 0, uint64_t other_idle = 0) {
    // user nice system idle iowait irq softirq steal guest guest_nice
    put("/proc/stat",
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        "cpu0 " +
            std::to_string(busy) + " 0 0 " + std::to_string(idle) + " 0 0 0 0 7 7\n" + "cpu1 " +
            std::to_string(other_busy) + " 0 0 0 " + std::to_string(other_idle) +
            " 0 0 0 0 0\nintr 1 2 3\n");
  }
  void put_machine() {
    put("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-1\n");
    put("/proc/meminfo",
        "MemTotal:       8038296 kB\nMemFree: 1 kB\nMemAvailable:    2009574 kB\n");
    put("/proc/self/cgroup", "0::/\n");
    put_cpu(0, 100, 0, 100);
  }
  // One second passes, in which the two cores of the machine do this.
  env::LoadSample after(env::LoadProbe& probe, uint64_t busy, uint64_t idle,
                        uint64_t other_busy = 0, uint64_t other_idle = 100) {
    put_cpu(busy, idle + 100, other_busy, other_idle + 100);
    clock_.time += 1s;
    const auto sample = probe.sample();
    EXPECT_TRUE(sample);
    return sample.value_or(env::LoadSample{});
  }

  TemporaryDirectory at_;
  HandClock clock_;
};

TEST_F(LoadTest, MeasuresTheMachine) {
  put_machine();
  const auto probe = make_load_probe(clock_, at_.path());
  EXPECT_EQ(probe->machine().cpu_cores, 2u);
  EXPECT_EQ(probe->machine().memory_gb, 8u);
  EXPECT_FALSE(probe->sample()) << "nothing to compare with";
  const auto sample = after(*probe, 100, 0);
  EXPECT_DOUBLE_EQ(sample.cpu_percent, 50);
  EXPECT_DOUBLE_EQ(sample.memory_percent, 75);
  EXPECT_DOUBLE_EQ(probe->sample()->cpu_percent, 50) << "too soon: the last one holds";
}

TEST_F(LoadTest, CountsOnlyCoresThatWeMayUse) {
  put_machine();
  put("/proc/self/status", "Cpus_allowed_list:\t0\n");
  const auto probe = make_load_probe(clock_, at_.path());
  EXPECT_EQ(probe->machine().cpu_cores, 1u);
  EXPECT_DOUBLE_EQ(after(*probe, 100, 0).cpu_percent, 100);
}

TEST_F(LoadTest, ACgroupOfVersion2IsTheMeasure) {
  put_machine();
  put("/proc/self/cgroup", "0::/box/inner\n");
  put("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  put("/sys/fs/cgroup/box/inner/cgroup.controllers", "cpu memory\n");
  put("/sys/fs/cgroup/box/inner/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/box/inner/memory.max", "max\n");
  put("/sys/fs/cgroup/box/cpu.max", "50000 100000\n");  // The limit is set one level up.
  put("/sys/fs/cgroup/box/cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
  put("/sys/fs/cgroup/box/memory.max", "1073741824\n");
  put("/sys/fs/cgroup/box/memory.current", "966367641\n");
  put("/sys/fs/cgroup/box/memory.stat", "anon 1\ninactive_file 107374182\n");
  const auto probe = make_load_probe(clock_, at_.path());
  EXPECT_EQ(probe->machine().cpu_cores, 1u);
  EXPECT_EQ(probe->machine().memory_gb, 1u);
  put("/sys/fs/cgroup/box/cpu.stat", "usage_usec 1400000\n");
  const auto sample = after(*probe, 20, 80);
  EXPECT_NEAR(sample.cpu_percent, 80, 0.01);     // 0.4 s of the 0.5 s that it may use.
  EXPECT_NEAR(sample.memory_percent, 80, 0.01);  // 90 % less 10 % that can be given back.
}

TEST_F(LoadTest, ACgroupOfVersion1IsTheMeasure) {
  put_machine();
  put("/proc/self/cgroup", "4:memory:/host/path\n3:cpu,cpuacct:/host/path\n0::/\n");
  // As in a container: the mount shows only its own part, not the path on the host.
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "5000000000\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1932735283\n");
  put("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 0\n");
  const auto probe = make_load_probe(clock_, at_.path());
  EXPECT_EQ(probe->machine().cpu_cores, 2u);
  EXPECT_EQ(probe->machine().memory_gb, 2u);
  put("/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "6500000000\n");
  const auto sample = after(*probe, 0, 100);
  EXPECT_NEAR(sample.cpu_percent, 100, 0.01);
  EXPECT_NEAR(sample.memory_percent, 90, 0.01);
}

TEST_F(LoadTest, NoLimitInVersion1IsNone) {
  put_machine();
  put("/proc/self/cgroup", "4:memory:/\n3:cpu:/\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  const auto probe = make_load_probe(clock_, at_.path());
  EXPECT_EQ(probe->machine().cpu_cores, 2u);
  EXPECT_EQ(probe->machine().memory_gb, 8u);
}

TEST_F(LoadTest, WithoutProcNothingIsClaimed) {
  const auto probe = make_load_probe(clock_, at_.path());
  EXPECT_FALSE(probe->sample());
  EXPECT_EQ(probe->machine().cpu_cores, 1u);
}

TEST_F(LoadTest, TheRealMachineGivesSaneNumbers) {
  const auto clock = make_clock();
  const auto probe = make_load_probe(*clock);
  std::optional<env::LoadSample> sample;
  ASSERT_TRUE(eventually([&] { return (sample = probe->sample()).has_value(); }));
  EXPECT_GE(sample->cpu_percent, 0);
  EXPECT_LE(sample->cpu_percent, 100);
  EXPECT_GT(sample->memory_percent, 0);
  EXPECT_LE(sample->memory_percent, 100);
  EXPECT_GE(probe->machine().cpu_cores, 1u);
}

}  // namespace
}  // namespace databridge::platform
