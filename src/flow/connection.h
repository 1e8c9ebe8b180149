// One connection as one node has it: the flow files waiting here, in order, durable.
//
// - Owns: the entries (contents in memory and in Space::queue), the marks of what was received, and
//   the binding of each entry to the owner it may have been sent to.
// - Hides: the key layout. The same entries are the input queue when the destination runs here and
//   the outbox when it runs elsewhere: a move flips the role and copies nothing.
// - Pure: all writes go into the batch that is handed in. Engine thread.
//
// An entry is in the custody of exactly one node. It is waiting (not durable yet, or held until
// its sender's checkpoint is safe), then ready (for the processor here) or outgoing (bound to a
// tenure of the destination elsewhere), then gone.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/store.h"
#include "flow/sequence_set.h"
#include "flow/session.h"
#include "model/flow_file.h"
#include "model/ids.h"

namespace databridge::flow {

// May what an origin's commits made leave? (What was made by commit 0 needs no permission.)
struct Said {
  uint64_t upto = 0;   // Those count.
  bool final = false;  // Later ones never will: somebody else does that work.
};
using Gate = std::function<Said(Epoch origin)>;

// Where the destination runs: nowhere (owner 0), here, or there.
struct Route {
  Incarnation owner;
  Epoch tenure;  // The epoch of the destination's assignment.
  bool here = false;

  bool operator==(const Route&) const = default;
};

class Connection {
 public:
  explicit Connection(Uuid id) : id_(id) {}

  const Uuid& id() const { return id_; }
  size_t count() const { return entries_.size(); }
  uint64_t bytes() const { return bytes_; }
  bool full() const { return count() >= count_max_ || bytes_ >= bytes_max_; }
  size_t room() const { return full() ? 0 : count_max_ - count(); }
  size_t ready() const { return ready_.size(); }
  void set_limits(uint64_t count_max, uint64_t bytes_max);

  // ---- Entries come: from a session here, or from another node.
  void append(Epoch origin, uint64_t sequence, uint64_t commit, FlowFilePtr file,
              env::Batch& batch);
  enum class Receipt : uint8_t { taken, seen, full };
  Receipt receive(const Parcel& parcel, env::Batch& batch);  // Under the present tenure.
  void write_marks(Epoch origin, env::Batch& batch);         // After the receipts of one delivery.
  bool seen(Epoch tenure, Epoch origin, uint64_t sequence) const;
  // What was received under that tenure is not known any more: nobody may be told "never".
  bool forgotten(Epoch tenure) const { return tenure <= forgotten_; }

  // ---- Entries become ready. True if something did.
  void submitted(uint64_t batch);  // What was written since the last call is in that batch.
  bool promote(uint64_t durable, const Gate& gate, env::Batch& batch);
  // There are entries here of that origin whose fate the log alone still decides.
  bool awaits_word(Epoch origin) const;

  // ---- Entries go to the processor here.
  std::vector<Input> take(size_t count, uint64_t bytes);
  void put_back(const std::vector<uint64_t>& arrivals);
  void consume(const std::vector<uint64_t>& arrivals, env::Batch& batch);

  // ---- Entries go to another node.
  const Route& route() const { return route_; }
  void set_route(const Route& route, env::Batch& batch);  // Binds afresh what was never sent.
  struct Group {                                          // Entries bound to one tenure.
    Incarnation owner;
    Epoch tenure;
    // Those that may be sent: origin, sequence, arrival. In this order they go.
    std::set<std::tuple<Epoch, uint64_t, uint64_t>> outgoing;
    size_t bound = 0;  // All of them.
  };
  const std::map<Epoch, Group>& groups() const { return groups_; }
  // The next parcels for that tenure, all of one origin; marks them as perhaps sent.
  std::vector<Parcel> send(Epoch tenure, size_t count, uint64_t bytes);
  bool safe(Epoch tenure, Epoch origin, uint64_t sequence, env::Batch& batch);
  bool never(Epoch tenure, Epoch origin, uint64_t sequence, env::Batch& batch);
  // The owner is no more: what it may have had is sent again. Returns how many.
  size_t write_off(Incarnation owner, env::Batch& batch);

  // ---- Fences: the newest tenure of the destination and epoch of the source heard of.
  Epoch tenure() const { return tenure_; }
  Epoch fence() const { return fence_; }
  void raise(Epoch tenure, Epoch fence, env::Batch& batch);  // Writes if it raises.

  // ---- Durable form.
  void erase(env::Batch& batch);  // The connection is no more.
  // Takes one key of Space::queue while a node starts; false if it is none of a connection.
  static Result<bool> restore(BytesView key, BytesView value, std::map<Uuid, Connection>& into);
  Result<void> check_restored() const;  // After the last key.

 private:
  enum class Stage : uint8_t { waiting, ready, taken, outgoing };
  struct Entry {
    Epoch origin;
    uint64_t sequence = 0;
    uint64_t commit = 0;
    FlowFilePtr file;
    uint64_t size = 0;
    uint64_t batch = 0;  // That makes it durable; kUnsubmitted until it has a number.
    Stage stage = Stage::waiting;
    Incarnation owner;  // Bound to; 0: to nobody.
    Epoch tenure;
    bool sent = false;     // The owner it is bound to may have it.
    bool bound = false;    // Its record on disk names the owner it was bound to at first;
    bool rebound = false;  // a record of its own names another one since, or none.
  };
  static constexpr uint64_t kUnsubmitted = ~uint64_t{0};
  // Entries of one origin that its commits decide.
  struct Origin {
    size_t count = 0;
    std::set<uint64_t> held;        // Durable, and not said yet.
    std::optional<uint64_t> final;  // The last commit that counts: decided, and on disk.
  };

  using Entries = std::map<uint64_t, Entry>;
  void add(Entry entry, env::Batch& batch);
  void write_binding(uint64_t arrival, Entry& entry, const Route& to, env::Batch& batch);
  void bind(uint64_t arrival, Entry& entry, env::Batch& batch);
  void unbind(uint64_t arrival, Entry& entry, env::Batch& batch);
  void await(uint64_t arrival, Entry& entry);
  void drop(Entries::iterator at, env::Batch& batch);
  void join_group(Entry& entry, Incarnation owner, Epoch tenure);
  void leave_group(uint64_t arrival, Entry& entry);
  void reroute(uint64_t arrival, Entry& entry, env::Batch& batch);
  void write_fences(env::Batch& batch) const;
  void decide(Epoch epoch, const Gate& gate, std::vector<uint64_t>& free, env::Batch& batch);
  Entries::iterator find(Epoch tenure, Epoch origin, uint64_t sequence);

  Uuid id_;
  uint64_t count_max_ = 10000;
  uint64_t bytes_max_ = 64 << 20;
  uint64_t bytes_ = 0;
  uint64_t next_arrival_ = 1;
  Entries entries_;                                      // By arrival.
  std::vector<uint64_t> unsubmitted_;                    // Entries whose batch has no number yet.
  std::deque<std::pair<uint64_t, uint64_t>> submitted_;  // (batch, arrival): not durable yet.
  std::map<Epoch, Origin> origins_;
  std::deque<uint64_t> ready_;                            // In order of becoming ready.
  std::map<Epoch, Group> groups_;                         // By tenure.
  std::map<std::pair<Epoch, Epoch>, SequenceSet> marks_;  // (tenure, origin) → received.
  Route route_;
  Epoch tenure_;
  Epoch fence_;
  Epoch forgotten_;  // The newest tenure whose marks are.
};

}  // namespace databridge::flow
