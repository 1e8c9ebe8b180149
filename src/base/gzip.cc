#include "base/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace databridge {
namespace {

constexpr int kLevel = 4;              // At this level, JSON lists already shrink to a tenth.
constexpr int kGzip = MAX_WBITS + 16;  // zlib's window size for the gzip format.
constexpr size_t kGrow = 64 << 10;

Bytef* bytef(const char* bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes));  // zlib only reads there.
}

}  // namespace

std::optional<Bytes> gzip(BytesView bytes) {
  if (bytes.size() > std::numeric_limits<uInt>::max()) return std::nullopt;
  Bytes out(bytes.size(), '\0');  // If the result does not fit into this, it is not smaller.
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return std::nullopt;
  }
  stream.next_in = bytef(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = bytef(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) return std::nullopt;
  out.shrink_to_fit();
  return out;
}

bool is_gzip(BytesView bytes) { return bytes.starts_with("\x1f\x8b"); }

std::optional<Bytes> gunzip(BytesView bytes, size_t most) {
  z_stream stream{};
  if (bytes.size() > std::numeric_limits<uInt>::max() || inflateInit2(&stream, kGzip) != Z_OK) {
    return std::nullopt;
  }
  stream.next_in = bytef(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  Bytes out;
  int done = Z_OK;
  // Memory grows with the bytes that were unpacked. The size that the input claims is not trusted.
  while (done == Z_OK && out.size() <= most) {
    const size_t before = out.size();
    out.resize(std::min(most + 1, std::max(before + kGrow, before * 2)));
    stream.next_out = bytef(out.data() + before);
    stream.avail_out = static_cast<uInt>(out.size() - before);
    done = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  const bool whole = done == Z_STREAM_END && stream.avail_in == 0 && out.size() <= most;
  inflateEnd(&stream);
  if (!whole) return std::nullopt;
  return out;
}

}  // namespace databridge
