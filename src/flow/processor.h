// The contract of a processor: its work is done in triggers, one at a time, and each trigger is a
// transaction.
//
// A processor object belongs to one (processor, epoch) and is destroyed with it. It runs on a
// worker thread and may block there. Two triggers of one processor never overlap. It keeps data in
// the session's state, because members of the object die with the epoch.
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

// Everything outside a session that a processor may use.
struct World {
  env::Files& files;
  const env::Clock& clock;
  Random random;  // Seeded by node, processor and epoch.
  // For people: logged after the trigger, even if the trigger failed.
  std::vector<std::string> notes;
  // What keeps it from its work, such as no room or no permission. It tries again by itself. If the
  // trouble lasts, it is shown in the cluster.
  std::string trouble{};

  // The host sets these for each trigger: when its time, its lease or its epoch ends.
  Instant end = Instant::max();
  const std::atomic<bool>* stop = nullptr;

  // True: the time of the trigger is over. A processor asks after each file, chunk or page of work.
  // The work done so far is handed in; the rest is for the next trigger. Even so, a trigger does at
  // least one piece of work. The process ends if a trigger does not return (safety.md 1.6).
  bool must_end() const { return clock.now() >= end || (stop != nullptr && *stop); }

  Uuid processor{};  // Its id.

  void note(std::string text) { notes.push_back(std::move(text)); }
};

class Processor {
 public:
  virtual ~Processor() = default;

  // Takes flow files from the session, puts results there, and returns soon after world.must_end().
  // From then on session.get() gives no more, except for the first one. An error (or an exception)
  // undoes the session: inputs stay, outputs and state vanish, and the next trigger waits for a
  // back-off that grows to 30 s. If the input itself is at fault, it belongs to `failure`, if the
  // type has that relationship. If the world does not accept it yet, the processor puts it back and
  // sets `trouble`.
  virtual Result<void> on_trigger(Session& session, World& world) = 0;

  // For types that watch: called now and then while no trigger runs because the outputs are full.
  // It is never called during a trigger.
  virtual void watch(World&) {}
};

}  // namespace databridge::flow
