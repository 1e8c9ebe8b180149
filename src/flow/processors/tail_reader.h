// Reads one open file for TailFile: whole lines become flow files, holes are passed over.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/files.h"
#include "flow/processors/tail_places.h"

namespace databridge::flow {

class Session;
struct World;

// How much one trigger may still make.
struct TailBudget {
  uint64_t lines_each = 1;  // Lines in one flow file.
  uint64_t lines = 0;
  size_t files = 0;

  bool left() const { return lines > 0 && files > 0; }
};

// A range of zeros that was read and may turn out to be a gap.
struct Gap {
  uint64_t from = 0;
  uint64_t to = 0;
};

class TailReader {
 public:
  // Reads on from the place and returns how many bytes it has passed. `ends`: bytes without a line
  // end count as a line, too. `emptied` is called when the bytes before the place have changed. It
  // must set the place to the beginning.
  Result<uint64_t> read(Session& session, World& world, Place& place, env::OpenFile& file, Gap& gap,
                        uint64_t size, bool ends, TailBudget& budget,
                        const std::function<void()>& emptied);

  void drop() { bytes_.clear(), of_ = {}; }  // The bytes that were read ahead are no longer valid.

 private:
  Result<BytesView> view(const Place& place, env::OpenFile& file, uint64_t size, size_t least);
  static Result<std::string> bytes_before(uint64_t offset, env::OpenFile& file);
  static Result<std::optional<std::string>> head_of(const Place& place, env::OpenFile& file,
                                                    uint64_t size);
  static void learn(Place& place, std::string before, BytesView read,
                    const std::optional<std::string>& head);
  Result<uint64_t> lines_of(Session& session, World& world, const Place& place, env::OpenFile& file,
                            Gap& gap, uint64_t size, BytesView text, bool ends, TailBudget& budget);
  uint64_t emit(Session& session, World& world, BytesView text, const Place& place, bool ends,
                TailBudget& budget) const;

  // Bytes that were read ahead, of one file at a time.
  FileKey of_;
  uint64_t at_ = 0;
  std::string bytes_;
  bool stale_ = false;  // The bytes may be used only once more.
};

}  // namespace databridge::flow
