// A segment log on files that forget. A model remembers what was written, and in which blocks.
#include "log/segment_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/forgetful_files.h"

namespace databridge::log {
namespace {

using testing::HasSubstr;

struct Seen {
  uint8_t kind;
  Position at;
  Bytes bytes;
};

class SegmentLogTest : public testing::Test {
 protected:
  Result<void> open(uint64_t durable = 0) {
    seen.clear();
    log.reset();
    ++options.start;
    auto opened = SegmentLog::open(files, options, durable,
                                   [this](uint8_t kind, const Position& at, BytesView bytes) {
                                     seen.push_back({kind, at, Bytes(bytes)});
                                     return Result<void>();
                                   });
    if (!opened) return tl::make_unexpected(opened.error());
    log = std::move(*opened);
    return {};
  }
  std::vector<Position> write(const std::vector<Bytes>& all) {
    std::vector<Record> records;
    records.reserve(all.size());
    for (const Bytes& bytes : all) records.push_back({7, bytes});
    auto written = log->write(records);
    EXPECT_TRUE(written) << written.error().message;
    return written ? *written : std::vector<Position>();
  }
  void must_open(uint64_t durable = 0) {
    const auto opened = open(durable);
    ASSERT_TRUE(opened) << opened.error().message;
  }

  ForgetfulFiles files;
  SegmentLog::Options options{.secret = 42, .start = 0, .file_bytes = 8192, .spares_max = 2};
  std::unique_ptr<SegmentLog> log;
  std::vector<Seen> seen;
  Random random{1};
};

TEST_F(SegmentLogTest, WhatWasWrittenIsReadAgainInOrder) {
  must_open();
  const auto first = write({"a", "", Bytes(1000, 'x')});
  const auto second = write({"b"});
  ASSERT_TRUE(log->sync());
  EXPECT_EQ(log->durable(), 3u) << "the list of the file is the first block";
  EXPECT_EQ(log->read(first[2]).value(), Bytes(1000, 'x'));
  must_open(3);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].bytes, "a");
  EXPECT_EQ(seen[0].kind, 7);
  EXPECT_EQ(seen[1].bytes, "");
  EXPECT_EQ(seen[3].bytes, "b");
  EXPECT_EQ(seen[3].at, second[0]);
  EXPECT_EQ(log->read(second[0]).value(), "b");
  EXPECT_EQ(log->last(), 3u);
}

TEST_F(SegmentLogTest, AnEmptyLogThatWasNotEmptyIsRefused) {
  const auto opened = open(1);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
}

TEST_F(SegmentLogTest, FilesAreUsedAgain) {
  must_open();
  for (int i = 0; i < 500; ++i) {
    write({Bytes(1500, static_cast<char>('a' + i % 26))});
    ASSERT_TRUE(log->sync());
    for (const FileId file : log->files()) {
      if (file != log->files().back()) log->forget(file);
    }
    ASSERT_LE(files.files.size(), 4u);
  }
  must_open(log->durable());
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().bytes, Bytes(1500, static_cast<char>('a' + 499 % 26)));
}

TEST_F(SegmentLogTest, AForgottenRecordIsNeverTakenForAnother) {
  must_open();
  const auto old = write({Bytes(3000, 'x')});
  for (int i = 0; i < 20; ++i) {
    write({Bytes(3000, 'x')});
    ASSERT_TRUE(log->sync());
    for (const FileId file : log->files()) log->forget(file);
  }
  const auto read = log->read(old[0]);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("was forgotten"));
}

TEST_F(SegmentLogTest, TooLargeABlockIsRefusedAndHarmsNothing) {
  must_open();
  const Bytes large(5000, 'x');
  const auto written = log->write({{7, large}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::invalid);
  write({"a"});
  ASSERT_TRUE(log->sync());
}

TEST_F(SegmentLogTest, AfterAnErrorOfTheDiskNothingMoreIsWritten) {
  must_open();
  write({"a"});
  ASSERT_TRUE(log->sync());
  files.fails = true;
  EXPECT_FALSE(log->write({{7, "b"}}));
  files.fails = false;
  EXPECT_FALSE(log->write({{7, "c"}}));
  EXPECT_FALSE(log->sync());
  must_open(2);
  ASSERT_EQ(seen.size(), 1u);
}

// Every byte of what is durable is covered, but for what fills a block up to a multiple of eight.
TEST_F(SegmentLogTest, AFlippedByteIsNeverTakenForData) {
  options.file_bytes = 2048;
  must_open();
  for (int i = 0; i < 12; ++i) write({Bytes(300, static_cast<char>('a' + i)), "end"});
  ASSERT_TRUE(log->sync());
  const uint64_t durable = log->durable();
  must_open(durable);
  const std::vector<Seen> right = seen;
  ASSERT_GE(files.files.size(), 3u);
  size_t refused = 0, all = 0;
  for (auto& [slot, file] : files.files) {
    for (size_t at = 0; at < file.now.size(); ++at) {
      file.now[at] = static_cast<char>(file.now[at] ^ 1);
      ++all;
      if (const auto opened = open(durable); !opened) {
        EXPECT_EQ(opened.error().code, Code::corrupt);
        ++refused;
      } else {
        ASSERT_EQ(seen.size(), right.size()) << "byte " << at << " of slot " << slot;
        for (size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i].bytes, right[i].bytes);
      }
      file.now[at] = static_cast<char>(file.now[at] ^ 1);
      ASSERT_TRUE(open(durable)) << "what was refused is as it was: byte " << at;
    }
  }
  EXPECT_GT(refused, all * 95 / 100);
}

// What a loss of power may leave: the mark is older than the damage.
TEST_F(SegmentLogTest, ADamagedBeginningOfTheNewestFileIsALossIfLaterBlocksSaySo) {
  must_open();
  for (int i = 0; i < 2; ++i) write({Bytes(3000, 'x')});
  const auto newest = write({Bytes(3000, 'y')});
  ASSERT_NE(newest[0].file, log->files().front());
  ASSERT_TRUE(log->sync());
  write({"behind"});
  ASSERT_TRUE(log->sync());
  Bytes& file = files.files.at(newest[0].slot).now;
  for (const size_t at :
       {size_t{9}, kFileHeadBytes + kBlockHeadBytes + kRecordHeadBytes + size_t{1}}) {
    file[at] ^= 1;
    const auto opened = open();
    ASSERT_FALSE(opened) << "byte " << at;
    EXPECT_THAT(opened.error().message, HasSubstr("was durable and is damaged"));
    file[at] ^= 1;
  }
  must_open();
  EXPECT_EQ(seen.size(), 4u);
}

// The bytes look like a block that is as long as what follows.
TEST_F(SegmentLogTest, BytesOfUsersDoNotMakeTheSearchForBlocksSlow) {
  options.file_bytes = 16u << 20;
  must_open();
  Bytes fakes;
  while (fakes.size() < (4u << 20)) {
    append_little32(fakes, 0x42534244);
    append_little32(fakes, (4u << 20) - static_cast<uint32_t>(fakes.size()) / 8 * 8);
    append_little64(fakes, 1);
    append_little64(fakes, FileId{options.start} << 32);
    fakes += Bytes(48, '\0');
  }
  for (size_t shift = 0; shift < 8; ++shift) {
    const auto at = write({Bytes(shift, 'x') + fakes.substr(0, 1u << 20)});
    files.files.at(at[0].slot).now[at[0].offset] ^= 1;  // Torn.
  }
  must_open();
}

// On many systems the pages of a failed sync look written.
TEST_F(SegmentLogTest, WhatAFailedSyncHasLeftIsWrittenAgain) {
  must_open();
  write({"one"});
  ASSERT_TRUE(log->sync());
  const uint64_t durable = log->durable();
  write({"two"});
  for (auto& [slot, file] : files.files) file.unsynced.clear();  // Clean, and not on the disk.
  must_open(durable);
  ASSERT_EQ(seen.size(), 2u);
  write({"three"});
  ASSERT_TRUE(log->sync());
  for (auto& [slot, file] : files.files) EXPECT_EQ(file.synced, file.now);
  files.lose_power(random);
  must_open(log->durable());
  EXPECT_EQ(seen.size(), 3u);
}

// A block behind a damaged one says that it was durable: no mark is needed.
TEST_F(SegmentLogTest, DamageInTheMiddleOfTheNewestFileIsALoss) {
  must_open();
  const auto first = write({"first"});
  ASSERT_TRUE(log->sync());
  write({"second"});
  files.files.begin()->second.now[first[0].offset + kRecordHeadBytes] ^= 1;
  const auto opened = open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("was durable and is damaged"));
  EXPECT_THAT(log ? "" : "refused", HasSubstr("refused"));
}

// Block 2 is torn and 3 is whole. Later a block like the old 2 is written again: the old 3 must not
// come back behind it.
TEST_F(SegmentLogTest, WhatWasDroppedDoesNotComeBack) {
  must_open();
  ASSERT_TRUE(log->sync());
  const auto second = write({"second"});
  write({"third"});
  ForgetfulFiles::File& file = files.files.begin()->second;
  const Bytes whole = file.now;
  file.now[second[0].offset + kRecordHeadBytes] ^= 1;
  must_open();
  ASSERT_TRUE(seen.empty());
  write({"second"});
  ASSERT_EQ(file.now.size(), whole.size());
  must_open();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].bytes, "second");
}

// The beginning of a file is torn, and its bytes are whole again later. It must not be the newest
// file then: the one before it has grown.
TEST_F(SegmentLogTest, ATornBeginningIsNoFileEvenIfItIsWholeAgain) {
  must_open();
  const auto first = write({Bytes(3000, 'x')});
  write({Bytes(3000, 'x')});
  const uint64_t durable = log->last();
  const auto second = write({Bytes(3000, 'x')});
  ASSERT_NE(first[0].slot, second[0].slot);
  Bytes& list = files.files.at(second[0].slot).now;
  const size_t at = kFileHeadBytes + kBlockHeadBytes + kRecordHeadBytes;
  list[at] ^= 1;
  must_open(durable);
  ASSERT_EQ(seen.size(), 2u);
  write({"after"});
  ASSERT_TRUE(log->sync());
  list[at] ^= 1;
  must_open(log->durable());
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].bytes, "after");
}

// Writes, syncs, forgets files and loses power at random. After each start all is there that was
// durable, behind it a first part of what was not, and nothing else.
class Storm {
 public:
  explicit Storm(uint64_t seed) : random_(seed) {
    options_.secret = random_.next();
    options_.file_bytes = static_cast<uint32_t>(random_.between(4, 24)) * 512;
    options_.spares_max = static_cast<uint32_t>(random_.below(3));
  }

  void run() {
    start();
    for (int i = 0; i < 300 && !testing::Test::HasFatalFailure(); ++i) {
      const uint64_t dice = random_.below(100);
      if (dice < 60) {
        write();
      } else if (dice < 80) {
        sync();
      } else if (dice < 92) {
        forget();
      } else {
        log_.reset();
        if (dice < 98) files_.lose_power(random_);  // Otherwise only the process ends.
        start();
      }
      if (!written_.empty()) read_one();
    }
  }

 private:
  struct Written {
    uint64_t block;
    Position at;
    Bytes bytes;
  };

  void start() {
    ++options_.start;
    std::vector<Seen> seen;
    auto opened = SegmentLog::open(files_, options_, durable_,
                                   [&](uint8_t kind, const Position& at, BytesView bytes) {
                                     seen.push_back({kind, at, Bytes(bytes)});
                                     return Result<void>();
                                   });
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
    ASSERT_GE(log_->last(), durable_);
    // Blocks that were dropped never come back.
    std::erase_if(written_, [&](const Written& one) { return one.block > log_->last(); });
    durable_ = log_->last();
    size_t next = 0;
    for (const Written& one : written_) {
      while (next < seen.size() && is_forgotten(seen[next])) ++next;
      ASSERT_LT(next, seen.size()) << "block " << one.block << " is missing";
      ASSERT_EQ(seen[next].at, one.at);
      ASSERT_EQ(seen[next].bytes, one.bytes);
      ++next;
    }
    while (next < seen.size() && is_forgotten(seen[next])) ++next;
    ASSERT_EQ(next, seen.size()) << "a record that is not there any more";
    // What was forgotten and is there again is forgotten again. If it is in the newest file now,
    // only what is written from now on is needed.
    for (const FileId file : log_->files()) {
      const auto found = forgotten_.find(file);
      if (found != forgotten_.end() && found->second == UINT32_MAX) log_->forget(file);
    }
    if (log_->files().empty()) return;
    const FileId newest = log_->files().back();
    const auto again = forgotten_.find(newest);
    if (again == forgotten_.end() || again->second != UINT32_MAX) return;
    forgotten_.erase(again);
    if (!seen.empty() && seen.back().at.file == newest) forgotten_[newest] = seen.back().at.offset;
  }
  bool is_forgotten(const Seen& seen) const {
    const auto found = forgotten_.find(seen.at.file);
    return found != forgotten_.end() && seen.at.offset <= found->second;
  }

  void write() {
    std::vector<Bytes> all(random_.between(1, 4));
    std::vector<Record> records;
    for (Bytes& bytes : all) {
      // Often the same, so that blocks are alike.
      bytes = Bytes(random_.below(3) == 0 ? random_.below(700) : 40,
                    random_.chance(0.5) ? 'x' : static_cast<char>('a' + random_.below(26)));
      records.push_back({static_cast<uint8_t>(random_.between(1, 255)), bytes});
    }
    if (block_bytes(records) > options_.file_bytes / 2 - kFileHeadBytes) return;
    while (log_->files().size() > options_.file_bytes / 128) forget();
    const auto written = log_->write(records);
    ASSERT_TRUE(written) << written.error().message;
    for (size_t i = 0; i < all.size(); ++i) {
      written_.push_back({log_->last(), (*written)[i], all[i]});
    }
    durable_ = log_->durable();
  }
  void sync() {
    ASSERT_TRUE(log_->sync());
    durable_ = log_->durable();
    ASSERT_EQ(durable_, log_->last());
  }
  void forget() {
    const auto files = log_->files();
    if (files.size() < 2) return;
    const FileId file = files[random_.below(files.size() - 1)];
    log_->forget(file);
    forgotten_[file] = UINT32_MAX;
    std::erase_if(written_, [&](const Written& one) { return one.at.file == file; });
  }
  void read_one() {
    const Written& one = written_[random_.below(written_.size())];
    const auto read = log_->read(one.at);
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(*read, one.bytes);
  }

  Random random_;
  SegmentLog::Options options_{.secret = 0, .start = 0, .file_bytes = 0, .spares_max = 0};
  ForgetfulFiles files_;
  std::unique_ptr<SegmentLog> log_;
  uint64_t durable_ = 0;
  std::vector<Written> written_;
  std::map<FileId, uint32_t> forgotten_;  // The offset of the last record of it that is.
};

TEST(SegmentLogStorm, NothingDurableIsLostAndNothingDroppedComesBack) {
  for (uint64_t seed = 1; seed <= 1000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm(seed).run();
  }
}

}  // namespace
}  // namespace databridge::log
