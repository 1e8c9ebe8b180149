// The results of requests, for clients that ask again (safety.md 5.5).
//
// - Owns: the results, oldest first; those with an idempotency key are apart from the others. An
//   index finds a result by key or by request.
// - Hides: how a result is found. Copies share the results but not the index. A copy searches all
//   results until its first change, which builds the index again.
// - Pure: as State is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/append_log.h"
#include "base/result.h"
#include "model/command.h"

namespace databridge {

// The outcome of a command.
struct Applied {
  LogIndex index = 0;
  std::optional<Error> rejected;  // An impossible command changes nothing and says why.
  ProcessorId processor;          // The processor that it was about, if any.
  uint32_t ignored = 0;           // For Reports: the number of reports for an epoch that is over.
  bool operator==(const Applied&) const = default;
};

// A result, with the key and the request under which it is found.
struct Remembered {
  Applied applied;
  std::string key;
  RequestId request;
  uint64_t age_ms = 0;       // The age of the log when it was applied.
  uint64_t fingerprint = 0;  // The fingerprint of the request for which the key was first used.
  bool operator==(const Remembered&) const = default;
};

class Results {
 public:
  // The number of results that are kept, the same on all nodes. Requests without a key come from
  // our own nodes, which do not ask again for long.
  static constexpr size_t kWithKey = 200'000;
  static constexpr size_t kWithoutKey = 20'000;
  static constexpr uint64_t kKeptMs = 600'000;  // Ten minutes of steady time.

  // nullptr if no result is remembered under that name.
  const Remembered* find(const std::string& key) const;
  const Remembered* find(RequestId request) const;

  // Returns false, and adds nothing, if its key or its request is taken.
  bool add(Remembered result);

  // Takes the oldest result that is too old at `age_ms`, or one that is too many. nullopt: all may
  // stay.
  std::optional<Remembered> take_old(uint64_t age_ms);

  const AppendLog<Remembered>& with_key() const { return with_key_; }
  const AppendLog<Remembered>& without_key() const { return without_key_; }

 private:
  struct Place {
    bool has_key;
    uint64_t position;
  };
  // Only the state that is changed has an index; its copies have none.
  struct Index {
    Index() = default;
    Index(const Index&) {}
    Index& operator=(const Index&) {
      *this = Index();
      return *this;
    }
    Index(Index&&) = default;
    Index& operator=(Index&&) = default;

    bool is_counted = false;
    std::map<std::string, uint64_t> keys;  // Positions in `with_key_`.
    std::map<RequestId, Place> requests;
  };
  void count();
  void note(const Remembered& result, uint64_t position);
  const AppendLog<Remembered>& log(bool has_key) const {
    return has_key ? with_key_ : without_key_;
  }

  AppendLog<Remembered> with_key_;
  AppendLog<Remembered> without_key_;
  Index index_;
};

}  // namespace databridge
