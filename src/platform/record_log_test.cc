// Records in the store on a real disk. What a loss of power does to them is tested in the simulated
// world and in the room `log`.
#include "platform/record_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "platform/data_dir.h"
#include "platform/store_test_kit.h"
#include "platform/system.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class StoreRecords : public testing::Test {
 protected:
  // The message with which the directory is refused.
  Error refusal() const {
    const Subject store(data);
    EXPECT_TRUE(store.error);
    return store.error.value_or(Error{});
  }
  void write(const std::string& name, uint32_t offset, const Bytes& bytes) const {
    std::fstream stream(data + "/log/" + name, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(offset);
    stream << bytes;
  }

  const TemporaryDirectory at;
  const std::string data = at.path() + "/data";
};

TEST_F(StoreRecords, AreThereAfterTheNextStart) {
  std::vector<env::Position> first, second;
  {
    Subject store(data);
    ASSERT_FALSE(store.error) << store.error->message;
    first = store.append({"a", Bytes(100'000, 'x')});
    second = store.append({""});
    EXPECT_EQ(store.store->read(first[1]).value(), Bytes(100'000, 'x'));
  }
  Subject again(data);
  ASSERT_FALSE(again.error) << again.error->message;
  ASSERT_EQ(again.records.size(), 3u);
  EXPECT_EQ(again.records[0], std::pair(first[0], Bytes("a")));
  EXPECT_EQ(again.records[2], std::pair(second[0], Bytes()));
  EXPECT_EQ(again.get(Space::meta, "records"), "");
  EXPECT_EQ(again.store->read(first[0]).value(), "a");
  const auto third = again.append({"c"});
  EXPECT_GT(third[0].offset, second[0].offset) << "the file of the last start goes on";
}

TEST_F(StoreRecords, ManyBatchesAtOnceHaveTheirPositionsInOrder) {
  Subject store(data);
  ASSERT_FALSE(store.error) << store.error->message;
  for (int i = 0; i < 200; ++i) {
    Batch batch;
    batch.records.push_back({1, Payload(std::to_string(i))});
    store.store->submit(std::move(batch));
  }
  const auto positions = store.append({"last"});
  ASSERT_EQ(positions.size(), 201u);
  for (size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(store.store->read(positions[i]).value(), std::to_string(i));
  }
}

TEST_F(StoreRecords, WithoutARecordThereIsNoLog) {
  {
    Subject store(data);
    store.put(Space::meta, "a", "b");
  }
  EXPECT_FALSE(fs::exists(data + "/log"));
  EXPECT_FALSE(Subject(data).error);
}

TEST_F(StoreRecords, AMissingLogIsRefused) {
  Subject(data).append({"a"});
  fs::remove_all(data + "/log");
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, AllOf(HasSubstr("/log is missing"), HasSubstr("move the data")));
}

TEST_F(StoreRecords, ADamagedRecordIsRefused) {
  const auto positions = Subject(data).append({"a", "b"});
  write("0.segment", positions[0].offset + 12, "z");
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("/log is damaged"));
}

TEST_F(StoreRecords, AnOlderCopyOfTheLogIsRefused) {
  Subject(data).append({"a"});
  fs::copy(data + "/log", at.path() + "/older", fs::copy_options::recursive);
  Subject(data).append({"b"});
  fs::remove_all(data + "/log");
  fs::copy(at.path() + "/older", data + "/log", fs::copy_options::recursive);
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("was durable"));
}

TEST_F(StoreRecords, ADamagedOrMissingIdentityIsRefused) {
  Subject(data).append({"a"});
  write("identity", 3, "z");
  EXPECT_THAT(refusal().message, HasSubstr("identity is damaged"));
  fs::remove(data + "/log/identity");
  EXPECT_THAT(refusal().message, HasSubstr("identity is missing"));
}

TEST_F(StoreRecords, ADamagedMarkIsRefusedAndOneGoodHalfIsEnough) {
  {
    Subject store(data);
    store.append({"a"});
    store.append({"b"});
  }
  write("../mark", 8192, "z");
  EXPECT_FALSE(Subject(data).error);
  write("../mark", 8192, "z");
  write("../mark", 12288, "z");
  EXPECT_THAT(refusal().message, HasSubstr("mark is damaged"));
}

TEST_F(StoreRecords, AMarkThatLostWhatItKnewOfTheLogIsRefused) {
  Subject(data).append({"a"});
  fs::resize_file(data + "/mark", 8192);
  EXPECT_THAT(refusal().message, HasSubstr("mark does not know of"));
}

TEST_F(StoreRecords, ALogOfAnOlderCopyIsRefused) {
  Subject(data).append({"a"});
  {
    RecordLog log(data + "/log");
    const auto nothing = [](uint8_t, const env::Position&, BytesView) { return Result<void>(); };
    EXPECT_FALSE(log.open(std::nullopt, nothing));
    EXPECT_FALSE(log.append({{1, "b"}}));
  }
  // A program from before the log would set these aside, and leave the log.
  for (const char* name : {"/db", "/mark", "/format"}) fs::remove_all(data + name);
  EXPECT_THAT(refusal().message, HasSubstr("mark does not know of"));
}

TEST_F(StoreRecords, AreKnownByTheMarkAlone) {
  {
    Subject store(data);
    Batch batch;
    batch.records.push_back({1, Payload(Bytes("a"))});
    store.write(std::move(batch));
  }
  fs::remove(data + "/format");
  EXPECT_EQ(refusal().code, Code::corrupt);
}

TEST_F(StoreRecords, KeepOlderProgramsOut) {
  Subject(data).append({"a"});
  EXPECT_EQ(read_file(data + "/format").value(), "databridge data format 2\n");
}

TEST_F(StoreRecords, ARefusedLogStaysAsItIs) {
  const auto positions = Subject(data).append({"a"});
  const Bytes whole = read_file(data + "/log/0.segment").value();
  write("0.segment", positions[0].offset + 12, "z");
  {
    RecordLog log(data + "/log");
    const auto nothing = [](uint8_t, const env::Position&, BytesView) { return Result<void>(); };
    EXPECT_FALSE(log.open(2, nothing));
    EXPECT_FALSE(log.append({{1, "b"}}));
  }
  write("0.segment", positions[0].offset + 12, "a");
  EXPECT_EQ(read_file(data + "/log/0.segment").value(), whole);
  const Subject again(data);
  EXPECT_FALSE(again.error) << again.error->message;
}

// Each of them has 12 bytes more on the disk than it counts by itself.
TEST_F(StoreRecords, ManyEmptyOnesFitIntoABatch) {
  Subject store(data);
  Batch batch;
  batch.records.assign(env::kBatchRecordsMax / env::kRecordBytes, {1, Payload()});
  store.write(std::move(batch));
}

TEST_F(StoreRecords, GoAsideWithTheirDirectory) {
  Subject(data).append({"a"});
  const auto aside = DataDir::set_aside(data, "heritage");
  ASSERT_TRUE(aside) << aside.error().message;
  EXPECT_TRUE(fs::exists(*aside + "/log/identity"));
  const Subject fresh(data);
  EXPECT_FALSE(fresh.error) << fresh.error->message;
  EXPECT_TRUE(fresh.records.empty());
}

}  // namespace
}  // namespace databridge::platform
