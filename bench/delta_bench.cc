// The CPU that deltas cost: to encode, to decode, and to apply to the index of a partition, for
// each flow file of 1 KiB in batches of 200. No disk is used.
#include <fmt/format.h>

#include <chrono>

#include "base/check.h"
#include "base/random.h"
#include "flow/partition.h"

namespace databridge::flow {
namespace {

using Watch = std::chrono::steady_clock;

constexpr uint64_t kBatch = 200;
constexpr uint64_t kBatches = 5000;
constexpr Uuid kProcessor{1, 1}, kIn{2, 1};
constexpr Epoch kEpoch{0, 9};

struct File {
  Uuid id;
  Attributes attributes;
  Bytes content;
};

std::vector<File> files() {
  Random random(1);
  std::vector<File> made(kBatch);
  for (File& file : made) {
    file.id = make_uuid(1, random);
    file.attributes = {{"filename", "a-file.txt"}, {"mime.type", "text/plain"}};
    file.content.resize(1024);
    for (char& c : file.content) c = static_cast<char>(random.next());
  }
  return made;
}

// The files of the batch before are consumed, and new ones arrive.
Bytes encode_batch(const std::vector<File>& files, uint64_t batch, uint64_t bytes) {
  const Lsn previous = batch == 1 ? Lsn{} : Lsn{kEpoch, batch - 1};
  DeltaWriter writer(
      {kProcessor, {kEpoch, batch}, previous, batch < 9 ? Lsn{} : Lsn{kEpoch, batch - 8}},
      kBatch * 1300);
  const uint64_t first = (batch - 1) * kBatch + 1;
  if (batch == 1) writer.fence({kIn, kEpoch, kEpoch});
  if (batch > 1) writer.consume({kIn, {{first - kBatch, uint32_t{kBatch}, bytes}}});
  writer.enqueue(kIn, kEpoch, first);
  for (const File& file : files) writer.file(file.id, file.attributes, file.content);
  return writer.finish().value();
}

void measure() {
  const std::vector<File> batch = files();
  Partition partition(kProcessor);
  Watch::duration encode{}, decode{}, apply{}, read{};
  uint64_t bytes = 0;
  for (uint64_t i = 1; i <= kBatches; ++i) {
    const auto begin = Watch::now();
    const Bytes delta = encode_batch(batch, i, bytes);
    const auto encoded = Watch::now();
    const DeltaView view = decode_delta(delta).value();
    const auto decoded = Watch::now();
    CHECK(partition.apply(view).has_value());
    const auto applied = Watch::now();
    const Piece piece = partition.waiting(kIn, 0, kBatch).front();
    const auto views = read_files(delta, piece.offset, piece.first, piece.count).value();
    CHECK(views.back().content.length == 1024);
    const auto done = Watch::now();
    bytes = partition.queued(kIn).bytes;
    encode += encoded - begin;
    decode += decoded - encoded;
    apply += applied - decoded;
    read += done - applied;
  }
  const auto a_file = [](Watch::duration time) {
    return std::chrono::duration<double, std::micro>(time).count() / (kBatches * kBatch);
  };
  fmt::print(
      "files of 1 KiB, {} a delta: encode {:.3f} µs, decode {:.3f} µs, apply {:.3f} µs, "
      "find and read {:.3f} µs a file\n",
      kBatch, a_file(encode), a_file(decode), a_file(apply), a_file(read));
}

}  // namespace
}  // namespace databridge::flow

int main() {
  for (int round = 0; round < 3; ++round) databridge::flow::measure();
}
