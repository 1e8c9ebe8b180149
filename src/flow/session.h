// A trigger as a transaction: inputs taken, outputs, attributes and state become one Delta, or
// nothing happens at all.
//
// - Owns: its copies of the inputs and what was made in the trigger.
// - Hides: the accounting: every flow file taken or created must be transferred, removed or put
//   back.
// - Pure: touches nothing outside itself. One worker thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "flow/processor.h"
#include "model/assignment.h"
#include "model/flow_file.h"

namespace databridge::flow {

// State that goes through the log must leave room for what the host adds to it.
inline constexpr size_t kStateMax = kCheckpointMax - (4 << 10);  // 64 KiB.

struct Input {
  Uuid connection;
  uint64_t arrival = 0;  // Its place in the connection, on this node.
  FlowFilePtr file;
};

// What a trigger may use; put together on the engine's thread.
struct Offer {
  Epoch epoch;  // Under which the trigger runs.
  std::vector<Input> inputs;
  Bytes state;
  std::map<std::string, std::vector<Uuid>> outputs;  // Relationship → connections.
  size_t room = SIZE_MAX;  // How many flow files the fullest output still takes.
};

struct Output {
  Uuid connection;
  FlowFilePtr file;
};

struct Delta {
  std::vector<Input> consumed;
  std::vector<Output> outputs;   // In the order of transfer.
  std::optional<Bytes> state;    // Nothing: unchanged.
  std::optional<Duration> wait;  // Not to be triggered again before that.
  uint64_t files_in = 0, files_out = 0, bytes_in = 0, bytes_out = 0;

  bool empty() const { return consumed.empty() && outputs.empty() && !state; }
};

class Session {
 public:
  // `world`, if given, says when the trigger must end: then there is nothing more to get.
  Session(Offer offer, Random& random, int64_t unix_ms, const World* world = nullptr);
  ~Session();

  // The next waiting flow file, or nullptr: there is none, or no time for it (the first is always
  // given). Valid until the session ends. get() gives a copy that may be changed in place; look()
  // gives what waits itself, and it is let through as it is unless edit() makes a copy of it.
  FlowFile* get();
  const FlowFile* look();
  FlowFile* edit(const FlowFile* file);

  FlowFile* create();                       // With an id of its own.
  FlowFile* clone(const FlowFile& source);  // Same content and attributes, an id of its own.

  // To all connections of the relationship; without any it ends there.
  void transfer(const FlowFile* file, const std::string& relationship);
  bool leads_on(const std::string& relationship) const;  // Some connection takes what goes there.
  void remove(const FlowFile* file);                     // It ends here.
  void put_back(const FlowFile* file);  // An input stays where it was, as if never taken.

  Epoch epoch() const { return offer_.epoch; }
  const Bytes& state() const;
  void set_state(Bytes state);

  // How many flow files the fullest output connection still takes: a source makes no more.
  size_t room() const { return offer_.room; }

  // Asks not to be triggered before that much time has passed, even when inputs wait.
  void wait(Duration duration);

  // Ends the session. An error if a flow file was forgotten.
  Result<Delta> finish();

 private:
  enum class Fate : uint8_t { open, transferred, removed, put_back };
  struct Item {
    const FlowFile* shown = nullptr;  // To the processor.
    std::shared_ptr<FlowFile> own;    // Null: the input itself is shown.
    Input* input = nullptr;           // Null: created here.
    Fate fate = Fate::open;
    const std::vector<Uuid>* to = nullptr;  // Null: it ends here.
  };
  size_t find(const FlowFile* file) const;
  Item& decide(const FlowFile* file, Fate fate);
  const std::vector<Uuid>* connections(const std::string& relationship) const;

  Offer offer_;
  Random& random_;
  int64_t unix_ms_;
  const World* world_;
  size_t next_ = 0;  // Of offer_.inputs.
  std::vector<Item> items_;
  mutable size_t found_ = 0;         // In items_, last.
  std::vector<size_t> transferred_;  // Of items_, in order.
  std::optional<Bytes> state_;
  std::optional<Duration> wait_;
};

}  // namespace databridge::flow
