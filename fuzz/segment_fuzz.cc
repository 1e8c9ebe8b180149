// Any bytes may be found in the files of a segment log. It is opened or refused, and one that is
// open goes on. Blocks that the input describes have right checksums, in an order and with numbers
// of the input; the rest are its bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "log/forgetful_files.h"
#include "log/segment_log.h"

namespace {

using namespace databridge;  // A fuzzer's main file: nothing else is here.

constexpr uint64_t kSecret = 7;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  log::ForgetfulFiles files;
  uint64_t hash = 0;
  while (size >= 6) {
    Bytes& file = files.files[data[0] % 3].now;
    const log::FileId id = data[1] % 4;
    const size_t length = std::min<size_t>(size - 6, data[2]);
    const BytesView content(reinterpret_cast<const char*>(data + 6), length);
    if (data[0] % 4 == 0) {
      file = log::encode(log::FileHead{id, data[3]}, kSecret);
    } else if (data[0] % 4 == 1) {
      file += content;
    } else {
      file.resize((file.size() + 7) / 8 * 8);
      const log::BlockHead head{data[4] % 3u, id, data[3], data[4] % 2 == 0 ? hash : data[4],
                                data[5]};
      log::append_block(file, head, {{static_cast<uint8_t>(data[5] % 2), content}}, kSecret, hash);
    }
    data += 6 + length;
    size -= 6 + length;
  }
  size_t records = 0;
  const log::SegmentLog::Options options{kSecret, 5, 4096, 1};
  auto opened =
      log::SegmentLog::open(files, options, 0, [&](uint8_t, const log::Position&, BytesView) {
        ++records;
        return Result<void>();
      });
  if (!opened) return 0;
  const auto written = (*opened)->write({{9, "after"}});
  if (!written) return 0;  // The list of files may be too long.
  CHECK((*opened)->sync());
  CHECK(*(*opened)->read(written->front()) == "after");
  const uint64_t durable = (*opened)->durable();
  size_t again = 0;
  const auto reopened = log::SegmentLog::open(files, {kSecret, 6, 4096, 1}, durable,
                                              [&](uint8_t, const log::Position&, BytesView) {
                                                ++again;
                                                return Result<void>();
                                              });
  CHECK(reopened.has_value() && again == records + 1);
  return 0;
}
