// TailFile's reading of one open file: whole lines become flow files, holes are passed over.
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

// What one trigger may make.
struct TailBudget {
  uint64_t lines_each = 1;  // In a flow file.
  uint64_t lines = 0;
  size_t files = 0;

  bool left() const { return lines > 0 && files > 0; }
};

// How far zeros have been read that may turn out to be a gap.
struct Gap {
  uint64_t from = 0;
  uint64_t to = 0;
};

class TailReader {
 public:
  // Reads on from the place; returns how many bytes it has passed. `ends`: what has no end of a
  // line is a line. `emptied` is called when the bytes before the place are others than they were,
  // and must put the place to the beginning.
  Result<uint64_t> read(Session& session, World& world, Place& place, env::OpenFile& file, Gap& gap,
                        uint64_t size, bool ends, TailBudget& budget,
                        const std::function<void()>& emptied);

  void drop() { bytes_.clear(), of_ = {}; }  // What is read ahead is good no more.

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

  // Read ahead: of one file at a time.
  FileKey of_;
  uint64_t at_ = 0;
  std::string bytes_;
  bool stale_ = false;  // They are good for this once.
};

}  // namespace databridge::flow
