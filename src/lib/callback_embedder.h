// Brings the starts and stops of external processors to the callbacks of the embedding program.
//
// - Owns: the threads that call, and the epochs that the program runs.
// - Hides: that calls for one processor come one after the other, while those for others go on; and
//   starts whose lease has ended before their turn came, of which the program never hears.
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
  // One start and its stop. After the node has entered another cluster, a new one may have the same
  // processor and epoch while the old one still stops.
  struct Live {
    Start start;
    bool begun = false;    // The program was told to start.
    bool losing = false;   // A call of `lost` is under way.
    bool stopped = false;  // The program's stop has returned, or it never began.
    bool lost = false;
    bool stopping = false;
  };
  using Jobs = std::deque<std::function<void()>>;

  bool may_begin(Live& live);
  void lose(Live& live);
  void end(Live& live);
  void add(const ProcessorId& processor, std::function<void()> job) REQUIRES(mutex_);
  void work(const ProcessorId& processor);

  const Callbacks& callbacks_;
  Mutex mutex_;
  ConditionVariable idle_;
  ConditionVariable lost_;  // A call of `lost` has returned.
  std::map<Work, std::shared_ptr<Live>> live_ GUARDED_BY(mutex_);
  std::map<ProcessorId, Jobs> jobs_ GUARDED_BY(mutex_);  // The first one is under way.
  // They end first. `lost` has a thread of its own, so that it waits for no other callback.
  std::unique_ptr<env::Workers> urgent_;
  std::unique_ptr<env::Workers> workers_;
};

}  // namespace databridge::lib
