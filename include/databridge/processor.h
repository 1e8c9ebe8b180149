// Processor types of a program's own, for the flow engine of DataBridge. The contract is the one
// that the processors of DataBridge have.
//
// The work of a processor is done in triggers, one at a time, and each trigger is a transaction:
// the inputs that it takes, its outputs and its state take effect together, or not at all. After a
// crash a trigger may be repeated from the state before it. So what a processor does outside of its
// session must bear a repetition.
#pragma once

#include <databridge/flow_file.h>
#include <databridge/result.h>
#include <databridge/uuid.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace databridge {

// One trigger. It lives only as long as the call of on_trigger(), and belongs to its thread. Every
// flow file that was taken or created must be transferred, removed or put back; otherwise the
// trigger fails. The pointers are valid until the end of the trigger.
class Session {
 public:
  virtual ~Session() = default;

  // The next waiting flow file, as a copy that may be changed. Null: there is none, or the time of
  // the trigger is over (the first one is always given).
  virtual FlowFile* get() = 0;
  virtual FlowFile* create() = 0;                       // A new one, with an id of its own.
  virtual FlowFile* clone(const FlowFile& source) = 0;  // As create(), with the same content.
  // Sends it to all connections of that relationship; if there are none, it ends there.
  virtual void transfer(const FlowFile* file, const std::string& relationship) = 0;
  virtual void remove(const FlowFile* file) = 0;    // It ends here.
  virtual void put_back(const FlowFile* file) = 0;  // An input stays, as if it was not taken.

  // The state of the processor, at most 64 KiB; see StateScope.
  virtual const std::string& state() const = 0;
  virtual void set_state(std::string state) = 0;
  virtual uint64_t epoch() const = 0;  // The fencing token; see ProcessorStart::epoch.
  // How many flow files the fullest output has room for. A source makes no more than that.
  virtual size_t room() const = 0;
  // No trigger before that time has passed, even if inputs wait.
  virtual void wait(std::chrono::nanoseconds time) = 0;
};

// The world around a trigger.
class World {
 public:
  virtual ~World() = default;

  virtual Uuid processor() const = 0;  // Its id.
  // True: the time of the trigger, its lease or its epoch is over. Ask after each piece of work; do
  // at least one, and return soon. If a trigger does not return, the process ends (see
  // Callbacks::lost).
  virtual bool must_end() const = 0;
  virtual void note(std::string_view text) = 0;  // A line in the log of the node.
  // What keeps it from its work, such as a server that does not answer. It is shown in the cluster
  // if it lasts.
  virtual void trouble(std::string_view text) = 0;
};

// One object for each processor and epoch. It is made, used and destroyed on threads of the
// library, and by one of them at a time. It keeps what must outlive the epoch in the session's
// state. In its functions all calls of the manager that wait are refused.
class Processor {
 public:
  virtual ~Processor() = default;

  // It may wait. An error undoes the session: inputs stay, outputs and state are gone, and the next
  // trigger comes after a back-off of up to 30 s. An exception counts as an error.
  virtual Result<void> on_trigger(Session& session, World& world) = 0;
};

enum class PropertyKind : uint8_t {
  text,
  number,    // 0 … 2^53
  duration,  // 250ms, 10s, 5m, 1h
  size,      // 512, 64KiB, 1MiB, 1GiB
  boolean,   // true, false
  pattern    // A regular expression of RE2.
};

// A property that a flow may give to a processor of this type. Its value is checked before the
// factory gets it.
struct Property {
  std::string name;
  PropertyKind kind = PropertyKind::text;
  std::optional<std::string> fallback;  // nullopt: it must be given.
  std::string help;
};

enum class StateScope : uint8_t {
  none,
  // In the log of the cluster, so the next owner goes on from it on any node. Outputs of a trigger
  // without inputs leave only after it is committed there.
  cluster
};

struct ProcessorTraits {
  std::string help;
  bool source = false;  // It is triggered without inputs.
  StateScope state = StateScope::none;
  std::vector<std::string> relationships = {"success"};
  // Those of them that carry failures: a flow must connect them, or terminate them.
  std::vector<std::string> losses;
};

// Makes one processor from its properties, each with a value. It is called on any thread, several
// at a time, and also only to check a flow: so it must return at once and do no work. It must not
// call the manager. On the node that takes a flow an error refuses the flow. On the owner of a
// processor an error makes the processor `failed`. An exception counts as an error.
using ProcessorFactory = std::function<Result<std::unique_ptr<Processor>>(
    const std::map<std::string, std::string>& properties)>;

}  // namespace databridge
