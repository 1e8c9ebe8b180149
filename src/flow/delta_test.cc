#include "flow/delta.h"

#include <gtest/gtest.h>

#include "flow/delta_for_test.h"

namespace databridge::flow {
namespace {

constexpr Uuid kProcessor{1, 1};
constexpr Uuid kIn{2, 1};
constexpr Uuid kOut{2, 2};
const DeltaHead kHead{kProcessor, {{0, 9}, 4}, {{0, 9}, 3}, {{0, 9}, 1}};
const Content kLarge{{{0, 8}, ContentId::kLarge | 5}, 0, 70000};

// One operation of each kind, with contents here, earlier here, in another delta, and in chunks.
Bytes example() {
  DeltaWriter writer(kHead, 1024);
  writer.fence({kIn, {0, 7}, {0, 6}});
  writer.enqueue(kIn, {0, 7}, 11);
  const Content here = writer.file({3, 1}, {{"a", "1"}, {"b", ""}}, "first");
  writer.file({3, 2}, {}, kLarge);
  writer.file({3, 3}, {}, "");
  writer.consume({kIn, {{5, 2, 200}, {9, 1, 50}}});
  writer.emit(kOut, 1);
  writer.file({3, 4}, {}, here);
  writer.file({3, 5}, {}, Content{{{0, 5}, 2}, 100, 7});
  writer.delivered({kOut, {0, 5}, 44, 4400});
  writer.state("state");
  writer.erase({kOut});
  return writer.finish().value();
}

std::string error_of(BytesView bytes) {
  const auto delta = decode_delta(bytes);
  return delta ? "" : delta.error().message;
}

TEST(Delta, GivesBackWhatWasWritten) {
  const Bytes bytes = example();
  const DeltaView delta = decode_delta(bytes).value();
  EXPECT_EQ(delta.head.processor, kProcessor);
  EXPECT_EQ(delta.head.lsn, kHead.lsn);
  EXPECT_EQ(delta.head.previous, kHead.previous);
  EXPECT_EQ(delta.head.safe, kHead.safe);
  ASSERT_EQ(delta.ops.size(), 7u);
  EXPECT_EQ(std::get<Erase>(delta.ops[6]).connection, kOut);

  const auto& fence = std::get<Fence>(delta.ops[0]);
  EXPECT_EQ(std::tie(fence.connection, fence.epoch.index, fence.floor.index),
            std::make_tuple(kIn, 7u, 6u));
  const auto& consume = std::get<Consume>(delta.ops[2]);
  ASSERT_EQ(consume.ranges.size(), 2u);
  EXPECT_EQ(consume.ranges[1].first, 9u);
  EXPECT_EQ(consume.ranges[0].count, 2u);
  EXPECT_EQ(consume.ranges[0].bytes, 200u);
  const auto& delivered = std::get<Delivered>(delta.ops[4]);
  EXPECT_EQ(std::tie(delivered.connection, delivered.origin.index, delivered.upto, delivered.bytes),
            std::make_tuple(kOut, 5u, 44u, 4400u));
  const Content& state = std::get<SetState>(delta.ops[5]).content;
  EXPECT_EQ(bytes.substr(state.offset, state.length), "state");
}

TEST(Delta, FilesAreReadByTheirPlaceInIt) {
  const Bytes bytes = example();
  const DeltaView delta = decode_delta(bytes).value();
  const auto& enqueue = std::get<Enqueue>(delta.ops[1]);
  EXPECT_EQ(enqueue.origin, (Epoch{0, 7}));
  EXPECT_EQ(enqueue.first, 11u);
  ASSERT_EQ(enqueue.files.count, 3u);
  EXPECT_EQ(enqueue.files.elsewhere, std::vector{kLarge.id});

  const auto files = read_files(bytes, enqueue.files.offset, 0, 3).value();
  EXPECT_EQ(files[0].id, (Uuid{3, 1}));
  EXPECT_EQ(attributes_of(files[0]), (Attributes{{"a", "1"}, {"b", ""}}));
  EXPECT_EQ(files[0].content.id, content_of(kHead.lsn));
  EXPECT_EQ(bytes.substr(files[0].content.offset, files[0].content.length), "first");
  EXPECT_EQ(files[0].size(), kFileBytes + (8 + 2) + (8 + 1) + 5);
  EXPECT_EQ(files[1].content, kLarge);
  EXPECT_EQ(files[2].content.length, 0u);
  EXPECT_EQ(enqueue.files.bytes, files[0].size() + files[1].size() + files[2].size());

  const auto& emit = std::get<Emit>(delta.ops[3]);
  const auto second = read_files(bytes, emit.files.offset, 1, 1).value();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].id, (Uuid{3, 5}));
  const auto shared = read_files(bytes, emit.files.offset, 0, 1).value();
  EXPECT_EQ(shared[0].content, files[0].content) << "its bytes are written once";
  EXPECT_EQ(read_files(bytes, shared[0].end, 0, 1).value()[0].id, second[0].id) << "reads on";
  EXPECT_EQ(emit.files.elsewhere, (std::vector<ContentId>{{{0, 5}, 2}}));
  EXPECT_FALSE(read_files(bytes, emit.files.offset, 0, 90).has_value());
  EXPECT_FALSE(read_files(bytes, 0, 0, 1).has_value());
}

TEST(Delta, EachCutAndEachLongerFormIsRefused) {
  const Bytes bytes = example();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(error_of(BytesView(bytes).substr(0, size)), "") << size;
  }
  EXPECT_NE(error_of(bytes + '\0').find("bytes follow its end"), std::string::npos);
}

// There is one form for each value: what is accepted gives the same bytes when it is written again.
TEST(Delta, AChangedByteIsAnotherValueOrRefused) {
  const Bytes bytes = example();
  size_t accepted = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      Bytes changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const auto delta = decode_delta(changed);
      if (!delta) continue;
      ++accepted;
      EXPECT_EQ(Rewriter(*delta, changed).finish(), changed) << "byte " << i;
    }
  }
  EXPECT_GT(accepted, 100u);
}

// A delta that was written by hand, to put wrong values into it.
struct ByHand {
  Bytes bytes;
  ByHand& number32(uint32_t value) { return append_little32(bytes, value), *this; }
  ByHand& number64(uint64_t value) { return append_little64(bytes, value), *this; }
  ByHand& epoch(uint64_t index) { return number32(0).number64(index); }
  ByHand& lsn(uint64_t index, uint64_t sequence) { return epoch(index).number64(sequence); }
  ByHand& uuid(uint64_t low) { return number64(2).number64(low); }
  ByHand& head(uint32_t ops) {
    return number32(1).number32(ops).uuid(1).lsn(9, 4).lsn(9, 3).lsn(9, 1);
  }
  ByHand& emit(uint64_t first, uint32_t files) {
    return number32(4).uuid(1).number64(first).number32(files);
  }
  // Without attributes; its content would stand 48 bytes behind its beginning.
  ByHand& file(uint64_t epoch_index, uint64_t counter, size_t offset, uint32_t length) {
    return uuid(7)
        .lsn(epoch_index, counter)
        .number32(static_cast<uint32_t>(offset))
        .number32(length)
        .number32(0);
  }
};

TEST(Delta, WrongValuesAreRefusedInWords) {
  const auto head = [](uint32_t ops = 1) { return ByHand().head(ops); };
  const size_t here = head().emit(1, 1).bytes.size() + 48;
  ASSERT_EQ(error_of(head().emit(1, 1).file(9, 4, here, 0).bytes), "");
  const std::vector<std::pair<Bytes, std::string>> wrong = {
      {ByHand().number32(2).bytes, "its format is unknown"},
      {ByHand().number32(1).number32(0).uuid(1).lsn(9, 4).lsn(9, 2).lsn(9, 1).bytes,
       "does not follow the one before"},
      {ByHand().number32(1).number32(0).uuid(1).lsn(9, 2).lsn(8, 7).lsn(8, 1).bytes,
       "does not follow the one before"},
      {ByHand().number32(1).number32(0).uuid(1).lsn(9, 4).lsn(9, 3).lsn(9, 4).bytes,
       "a later delta as safe"},
      {ByHand().number32(1).number32(0).uuid(1).lsn(9, 0).lsn(9, ~uint64_t{0}).lsn(0, 0).bytes,
       "its place is out of range"},
      {head().number32(8).bytes, "unknown kind"},
      {head().number32(1).uuid(1).epoch(5).epoch(6).bytes, "a floor is above its fence"},
      {head().number32(1).uuid(1).epoch(0).epoch(0).bytes, "names no epoch"},
      {head().number32(2).uuid(1).epoch(5).number64(0).bytes, "out of range"},
      {head().number32(3).uuid(1).number32(0).bytes, "no ranges"},
      {head().number32(3).uuid(1).number32(1).number64(4).number32(0).number64(9).bytes,
       "a range is empty"},
      {head()
           .number32(3)
           .uuid(1)
           .number32(2)
           .number64(4)
           .number32(2)
           .number64(9)
           .number64(5)
           .number32(1)
           .number64(9)
           .bytes,
       "ranges do not ascend"},
      {head().emit(1, 0).bytes, "no files"},
      {head().emit(kNumberMax - 1, 2).file(9, 4, here, 0).file(9, 4, here + 48, 0).bytes,
       "sequences are used up"},
      {head().emit(1, 1).file(9, 4, here, kContentInDeltaMax + 1).bytes + Bytes(70000, 'x'),
       "too large for a delta"},
      {head().emit(1, 1).file(9, 4, here - 8, 8).bytes, "that the delta does not have"},
      {head().emit(1, 1).file(9, 3, 20, 8).bytes, "outside its delta"},
      {head().emit(1, 1).file(9, 5, 100, 8).bytes, "not written yet"},
      {head().emit(1, 1).file(9, 3, 100, 0).bytes, "an empty content stands elsewhere"},
      {head().emit(1, 1).file(9, ContentId::kLarge, 1, 8).bytes, "a large content with an offset"},
      {head().emit(1, 1).file(9, ContentId::kLarge, 0, kLargeContentMax + 1).bytes,
       "above the limit"},
      {head()
           .number32(6)
           .lsn(9, ContentId::kLarge)
           .number32(0)
           .number32(kPartitionStateMax + 1)
           .bytes,
       "above the limit"},
      {head().emit(1, 1).uuid(7).lsn(9, 4).number32(0).number32(0).number32(4).number32(9).bytes,
       "attributes do not add up"},
      {head(1u << 30).bytes, "a number of items is too large"},
  };
  for (const auto& [bytes, words] : wrong) {
    EXPECT_NE(error_of(bytes).find(words), std::string::npos) << words << ": " << error_of(bytes);
  }
}

TEST(Delta, NamesOfAttributesAscend) {
  DeltaWriter writer(kHead, 100);
  writer.emit(kOut, 1);
  writer.file({3, 1}, {{"a", "1"}, {"b", "2"}}, "");
  Bytes bytes = writer.finish().value();
  bytes[bytes.find('b')] = 'a';
  EXPECT_NE(error_of(bytes).find("do not ascend"), std::string::npos);
}

TEST(Delta, AWriterRefusesWhatIsTooLarge) {
  DeltaWriter writer(kHead, 1024);
  writer.emit(kOut, 1);
  EXPECT_FALSE(writer.fits(kContentInDeltaMax + 1));
  const Bytes content(kContentInDeltaMax, 'x');
  uint64_t files = 0;
  for (; writer.fits(content.size()); ++files) writer.file({3, files}, {}, content);
  EXPECT_EQ(files, kContentsInDeltaMax / kContentInDeltaMax);
  EXPECT_TRUE(decode_delta(writer.finish().value()));

  DeltaWriter wide(kHead, 1024);
  wide.emit(kOut, 1);
  for (int i = 0; i < 17; ++i) wide.file({3, 1}, {{"a", Bytes(1 << 20, 'x')}}, "");
  const auto refused = wide.finish();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::too_large);
}

TEST(Chunk, GivesBackWhatWasWrittenAndNothingElse) {
  const Bytes content(kChunkBytes + 3, 'c');
  const ContentId id{{0, 9}, ContentId::kLarge | 1};
  const auto total = static_cast<uint32_t>(content.size());
  const Bytes first = encode(ChunkView{id, total, 0, BytesView(content).substr(0, kChunkBytes)});
  const Bytes last =
      encode(ChunkView{id, total, kChunkBytes, BytesView(content).substr(kChunkBytes)});
  const auto decoded = decode_chunk(last).value();
  EXPECT_EQ(decoded.id, id);
  EXPECT_EQ(decoded.total, total);
  EXPECT_EQ(decoded.offset, kChunkBytes);
  EXPECT_EQ(decoded.bytes, "ccc");
  EXPECT_EQ(decode_chunk(first).value().bytes.size(), kChunkBytes);

  for (size_t size = 0; size < last.size(); ++size) {
    EXPECT_FALSE(decode_chunk(BytesView(last).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_chunk(last + "c"));
  for (const ChunkView& wrong : {ChunkView{{{0, 9}, 1}, 3, 0, "ccc"}, ChunkView{id, 0, 0, ""},
                                 ChunkView{id, kChunkBytes + 1, 1, "c"},
                                 ChunkView{id, kLargeContentMax + 1, kLargeContentMax, "c"}}) {
    EXPECT_FALSE(decode_chunk(encode(wrong)));
  }
}

}  // namespace
}  // namespace databridge::flow
