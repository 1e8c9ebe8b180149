// A trigger as a transaction: the inputs, outputs, attributes and state become one Delta, or
// nothing happens at all.
//
// - Owns: its copies of the inputs, and the flow files that the trigger created.
// - Hides: the accounting. Every flow file that was taken or created must be transferred, removed
//   or put back.
// - Pure: changes nothing outside itself. One worker thread.
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

// State that is committed through the log must leave room for data that the host adds.
inline constexpr size_t kStateMax = kCheckpointMax - (4 << 10);  // 64 KiB.

struct Input {
  Uuid connection;
  uint64_t arrival = 0;  // Its arrival number in the connection, on this node.
  FlowFilePtr file;
};

// What a trigger may use. The engine's thread builds it.
struct Offer {
  Epoch epoch;  // The epoch under which the trigger runs.
  std::vector<Input> inputs;
  Bytes state;
  std::map<std::string, std::vector<Uuid>> outputs;  // Relationship → connections.
  size_t room = SIZE_MAX;  // The number of flow files for which the fullest output has room.
};

struct Output {
  Uuid connection;
  FlowFilePtr file;
};

struct Delta {
  std::vector<Input> consumed;
  std::vector<Output> outputs;   // In the order of transfer.
  std::optional<Bytes> state;    // nullopt: unchanged.
  std::optional<Duration> wait;  // The next trigger must not begin before this time has passed.
  uint64_t files_in = 0, files_out = 0, bytes_in = 0, bytes_out = 0;

  bool empty() const { return consumed.empty() && outputs.empty() && !state; }
};

class Session {
 public:
  // `world`, if given, says when the trigger must end. After that there is nothing more to get.
  Session(Offer offer, Random& random, int64_t unix_ms, const World* world = nullptr);
  ~Session();

  // The next waiting flow file. nullptr: there is none, or the time is over (the first one is
  // always given). Valid until the session ends. get() gives a copy that may be changed in place.
  // look() gives the waiting flow file itself, which is passed on unchanged unless edit() makes a
  // copy.
  FlowFile* get();
  const FlowFile* look();
  FlowFile* edit(const FlowFile* file);

  FlowFile* create();  // It has an id of its own.
  // It has the same content and attributes, and an id of its own.
  FlowFile* clone(const FlowFile& source);

  // Sends it to all connections of the relationship; if there are none, it ends there.
  void transfer(const FlowFile* file, const std::string& relationship);
  // True if some connection takes what is sent there.
  bool leads_on(const std::string& relationship) const;
  void remove(const FlowFile* file);  // The flow file ends here.
  // The input stays where it was, as if it had never been taken.
  void put_back(const FlowFile* file);

  Epoch epoch() const { return offer_.epoch; }
  const Bytes& state() const;
  void set_state(Bytes state);

  // The number of flow files for which the fullest output connection has room. A source makes no
  // more than that.
  size_t room() const { return offer_.room; }

  // Asks for no trigger before that time has passed, even if inputs wait.
  void wait(Duration duration);

  // Ends the session. Fails if a flow file was forgotten.
  Result<Delta> finish();

 private:
  enum class Fate : uint8_t { open, transferred, removed, put_back };
  struct Item {
    const FlowFile* shown = nullptr;  // The one that the processor sees.
    std::shared_ptr<FlowFile> own;    // nullptr: the processor sees the input itself.
    Input* input = nullptr;           // nullptr: it was created here.
    Fate fate = Fate::open;
    const std::vector<Uuid>* to = nullptr;  // nullptr: it ends here.
  };
  size_t find(const FlowFile* file) const;
  Item& decide(const FlowFile* file, Fate fate);
  const std::vector<Uuid>* connections(const std::string& relationship) const;

  Offer offer_;
  Random& random_;
  int64_t unix_ms_;
  const World* world_;
  size_t next_ = 0;  // The next index in offer_.inputs.
  std::vector<Item> items_;
  mutable size_t found_ = 0;         // The index in items_ that find() found last.
  std::vector<size_t> transferred_;  // Indexes in items_, in order of transfer.
  std::optional<Bytes> state_;
  std::optional<Duration> wait_;
};

}  // namespace databridge::flow
