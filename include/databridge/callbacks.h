// Callbacks: what the library asks of the program that embeds it.
//
// All are optional. They are called on threads of the library, several at a time, and must not
// throw. Only ClusterManager::save() may be called from them, and only from `start` and `stop`; all
// other calls of the manager that wait are refused there. At most 16 calls of `start` and `stop`
// are under way at one time; the others wait for their turn.
#pragma once

#include <databridge/uuid.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace databridge {

enum class LogLevel : uint8_t { debug, info, warn, error };

// A processor of type "external" is to run here.
struct ProcessorStart {
  Uuid id;
  std::string type;                               // "external".
  std::map<std::string, std::string> properties;  // As its flow or assign_processor() gave them.
  // The fencing token. It grows each time that the processor gets an owner, and no two owners have
  // the same one. A store that the processor writes to can refuse lower ones.
  uint64_t epoch = 0;
  // The bytes of the last save() that the cluster knows of, on whichever node it was made. Empty:
  // there is none.
  std::string state;
};

struct Callbacks {
  // The program begins to run the processor, and returns soon. Each start is followed by exactly
  // one `stop` of the same epoch. A processor has at most one epoch at a time on a node. No start
  // is called after the lease of its epoch has ended.
  std::function<void(const ProcessorStart&)> start;
  // Returns when nothing of that epoch runs any more. Until then no other node gets the processor,
  // unless this node has lost its lease (see `lost`). After a move or a removal was decided, save()
  // is refused: the next owner repeats the work done after the last successful save. When the node
  // is stopped, a last save() here may come too late, too, since the leader gives the processor
  // away as soon as it knows; the answer of save() says so. When the node stops, all its stops
  // together have 8 s. Then the node ends as if it was killed, and the stop budget begins (see
  // `lost`).
  std::function<void(const Uuid& id, uint64_t epoch)> stop;
  // The lease of this node has ended, or the processor has another owner already: it must stop at
  // once. It is called once, as soon as the node knows, on a thread that waits for nothing else; it
  // must return at once. It may come while the `start` or the `stop` of its epoch is under way, but
  // never before that start nor after that stop has returned. `stop` follows, unless it was called
  // before. If that has not returned within the stop budget (docs/library.md), this process ends:
  // another node may run the processor by then. All epochs of the node are lost together, so the
  // budget is for all their stops, 16 at a time. A process that a debugger has held for longer than
  // the lease has lost its epochs, and ends if they do not stop in time: set a longer
  // ClusterConfig::heartbeat_timeout to debug.
  std::function<void(const Uuid& id, uint64_t epoch)> lost;

  // A line for people, without its end. It may be called on the thread that runs the node, and then
  // the whole node waits for it. So it must return at once: put lines into a queue of your own if
  // what you do with them may wait. Without this, warnings and errors go
  // to standard error, and nothing else is said.
  std::function<void(LogLevel level, std::string_view line)> log;
};

}  // namespace databridge
