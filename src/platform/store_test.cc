#include "platform/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/mutex.h"
#include "base/random.h"
#include "base/time.h"
#include "platform/store_test_kit.h"
#include "platform/system.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<fs::path> files_with(const std::string& directory, const std::string& extension) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory + "/db")) {
    if (entry.path().extension() == extension) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void flip(const fs::path& file, uintmax_t offset, uint8_t mask = 0x10) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const char byte = static_cast<char>(stream.get() ^ mask);
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(byte);
}

TEST(Store, KeepsWhatItCalledDurable) {
  const TemporaryDirectory at;
  const auto data = at.path() + "/deep/data";
  {
    Subject store(data);
    ASSERT_FALSE(store.error) << store.error->message;
    store.put(Space::meta, "vote", "3");
    store.put(Space::raft_log, "vote", "other space");
  }
  Subject again(data);
  ASSERT_FALSE(again.error) << again.error->message;
  EXPECT_EQ(again.get(Space::meta, "vote"), "3");
  EXPECT_EQ(again.get(Space::raft_log, "vote"), "other space");
  EXPECT_EQ(again.get(Space::queue, "vote"), "(nothing)");
  EXPECT_EQ(again.all(Space::meta).size(), 1u) << "the store's own record shows";
}

TEST(Store, NumbersBatchesAndKeepsTheirOrder) {
  const TemporaryDirectory at;
  Subject store(at.path());
  uint64_t last = 0;
  for (uint64_t i = 1; i <= 2000; ++i) {
    Batch batch;
    batch.put(Space::state, "counter", std::to_string(i));
    last = store.store->submit(std::move(batch));
    EXPECT_EQ(last, i);
  }
  store.wait(last);
  EXPECT_EQ(store.get(Space::state, "counter"), "2000");
}

TEST(Store, ErasesAndScansRanges) {
  const TemporaryDirectory at;
  Subject store(at.path());
  Batch batch;
  for (const char* key : {"a", "b", "c", "d", "e"}) batch.put(Space::event, key, key);
  batch.erase(Space::event, "e");
  batch.erase_range(Space::event, "b", "d");
  batch.erase_range(Space::event, "d", "a");  // An empty range.
  batch.put(Space::event, "c", "again");
  store.write(std::move(batch));
  EXPECT_THAT(store.all(Space::event),
              testing::ElementsAre(std::pair<const Bytes, Bytes>("a", "a"),
                                   std::pair<const Bytes, Bytes>("c", "again"),
                                   std::pair<const Bytes, Bytes>("d", "d")));
  EXPECT_EQ(store.all(Space::event, "b", "d").size(), 1u);
  EXPECT_EQ(store.all(Space::event, "d").size(), 1u);

  int visited = 0;
  ASSERT_TRUE(
      store.store->scan(Space::event, "", "", [&](BytesView, BytesView) { return ++visited < 2; }));
  EXPECT_EQ(visited, 2);
}

// Keys are written and erased in runs, as in queues, through flushes and compactions. At times an
// erased key is used again.
TEST(Store, RunsThatAreErasedStayErasedAndTheirNeighboursStay) {
  const TemporaryDirectory at;
  Random random(7);
  std::map<Bytes, Bytes> expected;
  for (int start = 0; start < 6; ++start) {
    Subject store(at.path());
    EXPECT_EQ(store.all(Space::queue), expected) << start;
    for (int turn = 0; turn < 40; ++turn) {
      Batch batch;
      const uint64_t first = random.below(2000);
      const uint64_t count = random.below(400);
      for (uint64_t n = 0; n < count; ++n) {
        Bytes key;
        append_big64(key, first + n);
        expected[key] = Bytes(1024, static_cast<char>('a' + turn % 26));
        batch.put(Space::queue, key, expected[key]);
      }
      for (int range = 0; range < 4; ++range) {
        Bytes from, to;
        const uint64_t begin = random.below(2400);
        append_big64(from, begin);
        append_big64(to, begin + 1 + random.below(range == 0 ? 600 : 3));
        expected.erase(expected.lower_bound(from), expected.lower_bound(to));
        batch.erase_range(Space::queue, from, to);
      }
      store.write(std::move(batch));
    }
    EXPECT_EQ(store.all(Space::queue), expected) << start;
  }
}

TEST(Store, MakesDurableOnItsWayOut) {
  const TemporaryDirectory at;
  {
    Subject store(at.path());
    for (int i = 0; i < 100; ++i) {
      Batch batch;
      batch.put(Space::queue, std::to_string(i), "x");
      store.store->submit(std::move(batch));
    }
  }
  EXPECT_EQ(Subject(at.path()).all(Space::queue).size(), 100u);
}

TEST(Store, KnowsTheRoomOnTheDisk) {
  const TemporaryDirectory at;
  Subject store(at.path());
  const auto room = store.store->room();
  EXPECT_GT(room.total, 0u);
  EXPECT_LE(room.free, room.total);
}

TEST(Store, OneProcessAtATime) {
  const TemporaryDirectory at;
  Subject first(at.path());
  Subject second(at.path());
  ASSERT_TRUE(second.error);
  EXPECT_EQ(second.error->code, Code::conflict);
  EXPECT_THAT(second.error->message, HasSubstr("pid " + std::to_string(::getpid())));
}

TEST(Store, RefusesANewerFormatAndSaysWhatToDo) {
  const TemporaryDirectory at;
  { Subject store(at.path()); }
  std::ofstream(at.path() + "/format") << "databridge data format 3\n";
  Subject store(at.path());
  ASSERT_TRUE(store.error);
  EXPECT_EQ(store.error->code, Code::unprocessable);
  EXPECT_THAT(store.error->message, HasSubstr("start the newer program"));
}

TEST(Store, KeepsOlderProgramsOutOnceItIsTold) {
  const TemporaryDirectory at;
  const auto format = [&] { return read_file(at.path() + "/format").value(); };
  {
    Subject store(at.path());
    store.put(Space::meta, "k", "v");
    EXPECT_EQ(format(), "databridge data format 1\n");
    Batch batch;
    batch.fences_older = true;
    EXPECT_FALSE(batch.empty()) << "it must be submitted";
    store.store->submit(std::move(batch));
  }
  EXPECT_EQ(format(), "databridge data format 2\n");
  Subject again(at.path());
  EXPECT_FALSE(again.error);
  EXPECT_EQ(format(), "databridge data format 2\n") << "a start keeps it";
  EXPECT_EQ(again.all(Space::meta).size(), 1u);
}

TEST(Store, LosingItsSmallFilesIsDamage) {
  for (const char* file : {"format", "mark", "db/CURRENT"}) {
    const TemporaryDirectory at;
    {
      Subject store(at.path());
      store.put(Space::meta, "k", "v");
    }
    fs::remove(at.path() + "/" + file);
    Subject store(at.path());
    ASSERT_TRUE(store.error) << file;
    EXPECT_EQ(store.error->code, Code::corrupt) << file << ": " << store.error->message;
    EXPECT_THAT(store.error->message, HasSubstr("join")) << file;
  }
}

// Writes numbers for ever, and reports each one once it is durable.
const ChildRole kWriter("store_writer", [](const std::string& directory) {
  Subject store(directory);
  if (store.error) ::_exit(1);
  for (uint64_t i = 0;; ++i) {
    store.put(Space::state, "last", std::to_string(i));
    ChildRole::put(i);
  }
});

// The process ends at once: without closing, and with no syncs except those of the commits.
TEST(Store, SurvivesACrashAtAnyMoment) {
  const TemporaryDirectory at;
  for (int round = 0; round < 5; ++round) {
    uint64_t acknowledged = 0;
    ChildProcess writer("store_writer", at.path());
    for (int i = 0; i < 50 + round; ++i) ASSERT_TRUE(writer.get(acknowledged));
    writer.kill();
    while (writer.get(acknowledged)) {
    }
    writer.reap();
    Subject store(at.path());
    ASSERT_FALSE(store.error) << store.error->message;
    EXPECT_GE(std::stoull(store.get(Space::state, "last")), acknowledged);
  }
}

class StoreDamage : public testing::Test {
 protected:
  // A directory with a few hundred acknowledged writes in the log of the database.
  void SetUp() override {
    live_ = std::make_unique<Subject>(at_.path() + "/live");
    ASSERT_FALSE(live_->error) << live_->error->message;
    for (int i = 0; i < 200; ++i) live_->put(Space::raft_log, key(i), value(i));
    copy_crash_image(at_.path() + "/live", image());
  }
  static Bytes key(int i) { return "key" + std::to_string(1000 + i); }
  static Bytes value(int i) { return Bytes(100, static_cast<char>('a' + i % 26)); }
  std::string image() const { return at_.path() + "/image"; }

  // Either all acknowledged writes are there, or the error is clear. Returns whether it opened.
  bool whole_or_refused(const std::string& what) {
    Subject store(image());
    if (store.error) {
      EXPECT_EQ(store.error->code, Code::corrupt) << what << ": " << store.error->message;
      EXPECT_THAT(store.error->message, HasSubstr("join")) << what;
      return false;
    }
    for (int i = 0; i < 200; ++i) {
      const auto got = store.store->get(Space::raft_log, key(i));
      if (!got) {
        EXPECT_EQ(got.error().code, Code::corrupt) << what;
        return false;
      }
      EXPECT_EQ(got->value_or("(nothing)"), value(i)) << what << ": lost in silence";
    }
    return true;
  }

  TemporaryDirectory at_;
  std::unique_ptr<Subject> live_;
};

TEST_F(StoreDamage, NoneIsNoDamage) { EXPECT_TRUE(whole_or_refused("untouched")); }

TEST_F(StoreDamage, ATornWriteThatNobodyWasToldOfIsDropped) {
  const auto log = files_with(image(), ".log").back();
  std::ofstream(log, std::ios::app | std::ios::binary)
      << Bytes("\x12\x34\x56\x78\x90\x00\x01torn", 11);
  EXPECT_TRUE(whole_or_refused("garbage at the end"));
  copy_crash_image(at_.path() + "/live", image());
  std::ofstream(log, std::ios::app | std::ios::binary) << Bytes(5000, '\0');
  EXPECT_TRUE(whole_or_refused("zeros at the end"));
  // A write after such a recovery is still there after the next one.
  {
    Subject store(image());
    ASSERT_FALSE(store.error) << store.error->message;
    store.put(Space::meta, "after", "1");
  }
  EXPECT_EQ(Subject(image()).get(Space::meta, "after"), "1");
}

TEST_F(StoreDamage, ATruncatedLogIsRefused) {
  const auto size = fs::file_size(files_with(image(), ".log").back());
  for (const uintmax_t cut : {uintmax_t{1}, uintmax_t{150}, size / 2, size}) {
    copy_crash_image(at_.path() + "/live", image());
    fs::resize_file(files_with(image(), ".log").back(), size - cut);
    EXPECT_FALSE(whole_or_refused("cut by " + std::to_string(cut)));
    EXPECT_FALSE(whole_or_refused("a second try"));
  }
}

TEST_F(StoreDamage, AMissingLogIsRefused) {
  fs::remove(files_with(image(), ".log").back());
  EXPECT_FALSE(whole_or_refused("no log"));
}

TEST_F(StoreDamage, AFlippedBitInTheLogIsRefused) {
  Random random(7);
  const auto size = fs::file_size(files_with(image(), ".log").back());
  for (int round = 0; round < 40; ++round) {
    copy_crash_image(at_.path() + "/live", image());
    const uint64_t offset = random.below(size);
    flip(files_with(image(), ".log").back(), offset);
    EXPECT_FALSE(whole_or_refused("bit at " + std::to_string(offset)));
  }
}

TEST_F(StoreDamage, AnOlderDatabaseUnderANewerMarkIsRefused) {
  live_->put(Space::raft_log, "newer", "1");
  fs::copy(at_.path() + "/live/mark", image() + "/mark", fs::copy_options::overwrite_existing);
  EXPECT_FALSE(whole_or_refused("restored by halves"));
}

TEST_F(StoreDamage, AFlippedBitInATableIsNeverReadAsData) {
  // Opening writes the log's records to tables.
  {
    Subject store(image());
    ASSERT_FALSE(store.error) << store.error->message;
  }
  const std::string tables = at_.path() + "/tables";
  copy_crash_image(image(), tables);
  const auto size = fs::file_size(files_with(tables, ".sst").front());
  Random random(8);
  int found = 0;
  for (int round = 0; round < 40; ++round) {
    copy_crash_image(tables, image());
    for (const auto& file : files_with(image(), ".sst")) {
      flip(file, random.below(std::min(size, fs::file_size(file))));
    }
    if (!whole_or_refused("table, round " + std::to_string(round))) ++found;
  }
  EXPECT_GT(found, 10);
  copy_crash_image(tables, image());
  for (const auto& file : files_with(image(), ".sst")) fs::resize_file(file, 10);
  EXPECT_FALSE(whole_or_refused("short tables"));
}

// An iterator may silently skip such a table where a range was erased.
TEST_F(StoreDamage, ADamagedTableBehindAnErasedRangeIsRefused) {
  const auto numbered = [](uint64_t number) {
    Bytes made;
    append_big64(made, number);
    return made;
  };
  {
    Subject store(image());
    for (uint64_t turn = 0; turn < 3; ++turn) {
      Batch batch;
      batch.erase_range(Space::queue, numbered(0), numbered(turn * 4000));
      for (uint64_t n = 0; n < 5000; ++n) {
        batch.put(Space::queue, numbered(turn * 5000 + n), Bytes(1024, 'x'));
      }
      store.write(std::move(batch));
    }
  }
  { Subject store(image()); }  // The rest of the log goes to tables.
  const std::string tables = at_.path() + "/tables";
  copy_crash_image(image(), tables);
  int large = 0;
  for (const auto& table : files_with(tables, ".sst")) {
    if (fs::file_size(table) < 1 << 20) continue;
    ++large;
    copy_crash_image(tables, image());
    flip(image() + "/db/" + fs::path(table).filename().string(), 1000);
    Subject store(image());
    ASSERT_TRUE(store.error) << table;
    EXPECT_EQ(store.error->code, Code::corrupt) << store.error->message;
  }
  EXPECT_GE(large, 2);
}

TEST_F(StoreDamage, AMissingTableIsRefused) {
  {
    Subject store(image());
    ASSERT_FALSE(store.error) << store.error->message;
  }
  for (const auto& file : files_with(image(), ".sst")) fs::remove(file);
  EXPECT_FALSE(whole_or_refused("no tables"));
}

}  // namespace
}  // namespace databridge::platform
