// The epochs that the embedding program runs on this node (docs/adr/0021).
//
// - Owns: which epochs it was told to run and has not returned from, and the saves that wait for
//   the log.
// - Hides: that each start is followed by one stop, and which epochs are lost.
// - Thread: the engine's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "env/clock.h"
#include "model/flow.h"
#include "node/embedder.h"
#include "node/lease_board.h"

namespace databridge::node {

class External {
 public:
  // `returned` is called on the engine's thread once the stop of the processor's epoch has
  // returned. `post` brings a call to that thread, and drops it if the host is gone. `embedder` may
  // be null.
  External(Embedder* embedder, const env::Clock& clock, std::shared_ptr<LeaseBoard> board,
           std::function<void(std::function<void()>)> post,
           std::function<void(const ProcessorId&)> returned);
  ~External();  // All its epochs are lost.
  External(const External&) = delete;
  External& operator=(const External&) = delete;

  bool is_there() const { return embedder_ != nullptr; }

  // The epoch begins. Fails if there are too many on this node.
  Result<void> begin(const ProcessorSpec& spec, Epoch epoch, Bytes state, Instant now);
  // The epoch ends. `lost`: at once. It may be called again, also to say that it is lost now.
  void end(const ProcessorId& processor, bool lost, Instant now);
  // True until the stop has returned.
  bool holds(const ProcessorId& processor) const { return held_.contains(processor); }
  // True: an epoch goes on that must be told when it is lost, also if its stop is under way.
  bool can_be_lost() const;
  // True: an epoch that may still save.
  bool may_save(const ProcessorId& processor, Epoch epoch) const;

  using Saved = std::function<void(Result<void>)>;
  // `saved` is called once the log has that commit of the processor's epoch.
  void await(const ProcessorId& processor, uint64_t commit, Saved saved);
  void covered(const ProcessorId& processor, uint64_t commit);
  // The epoch is over: it is not known whether what was not covered will count.
  void forget(const ProcessorId& processor);

 private:
  struct Hold;
  struct Held {
    Epoch epoch;
    std::shared_ptr<Hold> hold;
    bool stopping = false;
    bool lost = false;
  };

  Embedder* const embedder_;
  const env::Clock& clock_;
  const std::shared_ptr<LeaseBoard> board_;
  const std::function<void(std::function<void()>)> post_;
  const std::function<void(const ProcessorId&)> returned_;
  std::map<ProcessorId, Held> held_;
  std::map<ProcessorId, std::multimap<uint64_t, Saved>> saves_;
};

}  // namespace databridge::node
