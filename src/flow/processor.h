// The contract of a processor: work that is triggered, one trigger at a time, each a transaction.
//
// A processor belongs to one (processor, epoch) and is destroyed with it. It runs on a worker
// thread and may wait there; two triggers of one processor never overlap. What it wants to keep it
// puts into the session's state: members of the object die with the epoch.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "base/uuid.h"
#include "env/clock.h"

namespace databridge::env {
class Files;
}  // namespace databridge::env

namespace databridge::flow {

class Session;

// All of the world that a processor may touch.
struct World {
  env::Files& files;
  const env::Clock& clock;
  Random random;                   // Seeded by node, processor and epoch.
  std::vector<std::string> notes;  // For people: logged after the trigger, whatever became of it.
  std::string trouble{};  // What in the world keeps it from work: no room, no permission. It tries
                          // again by itself; when that goes on, everybody is told.

  // Set by the host for each trigger: its time, its lease or its epoch ends.
  Instant end = Instant::max();
  const std::atomic<bool>* stop = nullptr;

  // True: the trigger has had its time. A processor asks after each file, chunk or page of work:
  // what is done by then is handed in, the rest is left for the next trigger. A trigger does one
  // piece of work even so; the process ends if one does not return (safety.md 1.6).
  bool must_end() const { return clock.now() >= end || (stop != nullptr && *stop); }

  Uuid processor{};  // Its id.

  void note(std::string text) { notes.push_back(std::move(text)); }
};

class Processor {
 public:
  virtual ~Processor() = default;

  // Takes what it likes from the session and puts results there, and returns soon after
  // world.must_end(): session.get() gives no more then, but for the first. An error (or an
  // exception) undoes the session: inputs stay, outputs and state vanish, and the next trigger
  // waits for a back-off that grows to 30 s. An input that fails by its own fault belongs to
  // `failure` instead, where the type has that relationship; one that the world will not have yet
  // is put back, with `trouble`.
  virtual Result<void> on_trigger(Session& session, World& world) = 0;

  // Of types that watch: called now and then while there is no trigger because nothing more can be
  // put out. Never together with a trigger.
  virtual void watch(World&) {}
};

}  // namespace databridge::flow
