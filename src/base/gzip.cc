#include "base/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace databridge {
namespace {

constexpr int kLevel = 4;              // Lists of JSON shrink to a tenth at this level already.
constexpr int kGzip = MAX_WBITS + 16;  // As zlib wants to be told.
constexpr size_t kGrow = 64 << 10;

Bytef* bytef(const char* bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes));  // zlib only reads there.
}

}  // namespace

std::optional<Bytes> gzip(BytesView bytes) {
  if (bytes.size() > std::numeric_limits<uInt>::max()) return std::nullopt;
  Bytes out(bytes.size(), '\0');  // Less than before, or it is not worth it.
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
  // Room is taken as it is filled: what the bytes claim is not believed.
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
