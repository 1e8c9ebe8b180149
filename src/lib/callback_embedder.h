// Brings the starts and stops of external processors to the callbacks of the embedding program.
//
// - Owns: the threads that call, and the epochs that the program runs.
// - Hides: that calls for one processor come one after the other, while those for others go on.
// - Thread: start, stop, lost and end_all return at once; any thread.
#pragma once

#include <databridge/callbacks.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "env/workers.h"
#include "node/embedder.h"

namespace databridge::lib {

class CallbackEmbedder final : public node::Embedder {
 public:
  explicit CallbackEmbedder(const Callbacks& callbacks);
  ~CallbackEmbedder() override;  // As finish().

  void start(Start start) override;
  void stop(const ProcessorId& processor, Epoch epoch, std::function<void()> returned) override;
  void lost(const ProcessorId& processor, Epoch epoch) override;
  // The node has ended: every epoch that was not stopped is lost, and gets its stop.
  void end_all();
  void finish();  // The same. Returns once every stop has returned; it may wait for long.

 private:
  using Work = std::pair<ProcessorId, Epoch>;
  struct Live {
    std::shared_ptr<const void> hold;
    bool lost = false;
    bool stopping = false;
  };
  using Jobs = std::deque<std::function<void()>>;

  void add(const ProcessorId& processor, std::function<void()> job) REQUIRES(mutex_);
  void work(const ProcessorId& processor);

  const Callbacks& callbacks_;
  Mutex mutex_;
  ConditionVariable idle_;
  std::map<Work, Live> live_ GUARDED_BY(mutex_);
  std::map<ProcessorId, Jobs> jobs_ GUARDED_BY(mutex_);  // The first one is under way.
  // They end first. `lost` has a thread of its own, so that it waits for no other callback.
  std::unique_ptr<env::Workers> urgent_;
  std::unique_ptr<env::Workers> workers_;
};

}  // namespace databridge::lib
