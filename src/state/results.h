// The results of requests, for those that ask again (safety.md 5.5).
//
// - Owns: the results, oldest first, those with an idempotency key apart from those without; where
//   each lies, by key and by request.
// - Hides: how they are found. Copies share the results and not the index: a copy looks through all
//   of them until its first change, which counts the index anew.
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

// What became of a command.
struct Applied {
  LogIndex index = 0;
  std::optional<Error> rejected;  // An impossible command changes nothing and says why.
  ProcessorId processor;          // The processor it was about, if any.
  uint32_t ignored = 0;           // Of Reports: how many were of an epoch that is over.
  bool operator==(const Applied&) const = default;
};

// A result with the names it may be asked for by.
struct Remembered {
  Applied applied;
  std::string key;
  RequestId request;
  uint64_t age_ms = 0;       // Of the log, when it was applied.
  uint64_t fingerprint = 0;  // Of the request that the key was first used for.
  bool operator==(const Remembered&) const = default;
};

class Results {
 public:
  // How many are kept: the same on all nodes. Those without a key come from our own nodes, which do
  // not ask again for long.
  static constexpr size_t kWithKey = 200'000;
  static constexpr size_t kWithoutKey = 20'000;
  static constexpr uint64_t kKeptMs = 600'000;  // Ten minutes of steady time.

  // nullptr: none is remembered under that name.
  const Remembered* find(const std::string& key) const;
  const Remembered* find(RequestId request) const;

  // False, and nothing is added: one of its names is taken.
  bool add(Remembered result);

  // Takes the oldest one that is too old at `age_ms`, or one too many; none: all may stay.
  std::optional<Remembered> take_old(uint64_t age_ms);

  const AppendLog<Remembered>& with_key() const { return with_key_; }
  const AppendLog<Remembered>& without_key() const { return without_key_; }

 private:
  struct Place {
    bool has_key;
    uint64_t position;
  };
  // Of the state that is changed; its copies do without.
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
