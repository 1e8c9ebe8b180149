// The CPU that deltas cost: to encode, to decode, and to apply to the index of a partition, for
// each flow file of 1 KiB in batches of 200. The last figure is for finding and reading it again.
// No disk is used.
#include <fmt/format.h>
#include <time.h>

#include <chrono>

#include "base/check.h"
#include "base/random.h"
#include "flow/partition.h"

namespace databridge::flow {
namespace {

// CPU of this program, since the machine may do other things.
std::chrono::nanoseconds cpu() {
  timespec used{};
  CHECK(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

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
  std::chrono::nanoseconds encode{}, decode{}, apply{}, read{};
  uint64_t bytes = 0;
  for (uint64_t i = 1; i <= kBatches; ++i) {
    const auto begin = cpu();
    const Bytes delta = encode_batch(batch, i, bytes);
    const auto encoded = cpu();
    const DeltaView view = decode_delta(delta).value();
    const auto decoded = cpu();
    CHECK(partition.apply(view).has_value());
    const auto applied = cpu();
    const Piece piece = partition.waiting(kIn, 0, kBatch).front();
    const auto views = read_files(delta, piece.offset, piece.first, piece.count).value();
    CHECK(views.back().content.length == 1024);
    const auto done = cpu();
    bytes = partition.queued(kIn).bytes;
    encode += encoded - begin;
    decode += decoded - encoded;
    apply += applied - decoded;
    read += done - applied;
  }
  const auto tell = [](const char* what, std::chrono::nanoseconds time) {
    const double sum = static_cast<double>(time.count()) / 1000;
    fmt::print("{:>14}: {:.3f} µs of CPU a file of 1 KiB, {} in a delta\n", what,
               sum / static_cast<double>(kBatches * kBatch), kBatch);
  };
  tell("encode", encode);
  tell("decode", decode);
  tell("apply", apply);
  tell("find and read", read);
}

}  // namespace
}  // namespace databridge::flow

int main() {
  for (int round = 0; round < 3; ++round) databridge::flow::measure();
}
