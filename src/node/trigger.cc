#include "node/trigger.h"

#include <algorithm>
#include <exception>

#include "base/canary.h"
#include "env/clock.h"

namespace databridge::node {
namespace {

// Tells the processor when to end. It gets no more time than is left of the lease, because a result
// that comes after the lease is not handed in.
void limit(Trigger& trigger, flow::World& world) {
  world.end = std::min(trigger.began_at + trigger.time_max, trigger.lease_until);
}

}  // namespace

// The worker reads the clock itself, so no trigger begins at or after the end of the lease, even if
// the engine's thread hangs. A trigger that ends after the lease hands nothing in.
void run(Trigger& trigger, const env::Clock& clock) {
  Instance& instance = *trigger.instance;
  trigger.began_at = clock.now();
  // The trigger takes its slot before it looks whether its epoch is over. So an epoch that ends now
  // is either seen below, or finds the slot and marks it for the watchdog.
  if (!enter(trigger, trigger.began_at)) return;
  trigger.lease_until = trigger.board->ends();
  const bool leased = trigger.began_at < trigger.lease_until || CANARY(trigger_after_lease);
  if (!instance.gone && leased) {
    trigger.began = true;
    if (trigger.watch != nullptr) {
      trigger.watch->began(trigger.processor, trigger.epoch, trigger.began_at, trigger.lease_until);
    }
    limit(trigger, instance.world);
    flow::Session session(std::move(trigger.offer), instance.world.random, clock.unix_ms(),
                          &instance.world);
    try {
      Result<void> done;
      if (trigger.watches) {
        instance.processor->watch(instance.world);
      } else {
        done = instance.processor->on_trigger(session, instance.world);
      }
      trigger.result = done ? session.finish() : tl::make_unexpected(done.error());
    } catch (const std::exception& error) {
      trigger.result = fail(Code::internal, std::string("the processor threw: ") + error.what());
    }
    trigger.notes = std::exchange(instance.world.notes, {});
    trigger.trouble = std::exchange(instance.world.trouble, {});
    if (clock.now() >= trigger.board->ends()) {
      trigger.result = fail(Code::unavailable, "the lease ended during the trigger");
    }
  }
  leave(trigger);
}

bool enter(Trigger& trigger, Instant now) {
  LeaseBoard::Slot* slot = trigger.board->take();
  if (slot == nullptr) return false;
  slot->since = now.time_since_epoch().count();
  trigger.slot = slot;
  return true;
}

void leave(Trigger& trigger) { trigger.slot.load()->since = 0; }

void orphan(Trigger& trigger, Instant now) {
  if (LeaseBoard::Slot* slot = trigger.slot) slot->orphaned = now.time_since_epoch().count();
}

}  // namespace databridge::node
