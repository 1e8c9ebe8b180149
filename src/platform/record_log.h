// The segment log of a data directory (docs/adr/0023), with what it needs to know of itself.
//
// - Owns: the folder `log` with the files of the log, and `identity` in it: the secret of the log,
//   and how often it was opened.
// - Hides: that the folder is made only when the first record is written.
//
// read() may be called on any thread; all other functions on one thread at a time. They may wait
// for the disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/segment_files.h"
#include "log/segment_log.h"

namespace databridge::platform {

class RecordLog {
 public:
  explicit RecordLog(std::string folder) : folder_(std::move(folder)) {}

  // Visits each record that is there. `durable`: a block that is known to have been durable; 0:
  // none. nullopt: nothing is known, so a log that has records is refused. Codes: corrupt, io, and
  // those of `visit`. Called once, before all other functions. After an error nothing can be
  // written.
  Result<void> open(std::optional<uint64_t> durable, const log::SegmentLog::Visit& visit);

  // Writes the records as one block, and makes them durable. After an error nothing more can be
  // written.
  Result<std::vector<env::Position>> append(const std::vector<log::Record>& records);
  Result<Bytes> read(const env::Position& at) const;
  void forget(env::FileId file);

  uint64_t durable() const { return log_ ? log_->durable() : 0; }  // The newest durable block.

 private:
  Result<void> open_if_there(uint64_t durable, const log::SegmentLog::Visit& visit);
  Result<void> open_log(uint64_t durable, const log::SegmentLog::Visit& visit);
  Result<log::SegmentLog::Options> next_start();

  const std::string folder_;
  bool refused_ = false;  // What is there cannot be used, so nothing is written to it.
  std::unique_ptr<env::SegmentFiles> files_;
  std::unique_ptr<log::SegmentLog> log_;
};

}  // namespace databridge::platform
