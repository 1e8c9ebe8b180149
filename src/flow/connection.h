// One connection on one node: the flow files that wait here, in order, durable.
//
// - Owns: the entries (contents in memory and in Space::queue), the marks of received sequences,
//   and for each entry its binding to the owner that it may have been sent to.
// - Hides: the key layout. The same entries are the input queue if the destination runs here, and
//   the outbox if it runs elsewhere. So a move copies nothing.
// - Pure: all writes go into the batch that is passed in. Engine thread.
//
// At any time exactly one node has the custody of an entry. First the entry is waiting (not durable
// yet, or held until its sender's checkpoint is safe). Then it is ready (for the processor here) or
// outgoing (bound to a tenure of the destination elsewhere). Then it is gone.
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

// Which commits of an origin count, so that their outputs may leave. (Outputs of commit 0 need no
// permission.)
struct Said {
  uint64_t upto = 0;   // Commits up to this one count.
  bool final = false;  // Later commits never count: another owner does that work.
};
using Gate = std::function<Said(Epoch origin)>;

// Where the destination runs: nowhere (owner 0), here, or on another node.
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

  // ---- Entries arrive: from a session here, or from another node.
  void append(Epoch origin, uint64_t sequence, uint64_t commit, FlowFilePtr file,
              env::Batch& batch);
  enum class Receipt : uint8_t { taken, seen, full };
  Receipt receive(const Parcel& parcel, env::Batch& batch);  // Takes it under the present tenure.
  void write_marks(Epoch origin, env::Batch& batch);  // Call it after the receipts of one delivery.
  bool seen(Epoch tenure, Epoch origin, uint64_t sequence) const;
  // The marks of that tenure are not known any more, so no sender may be told "never".
  bool forgotten(Epoch tenure) const { return tenure <= forgotten_; }

  // ---- Entries become ready.
  // A number for all writes since the last call, to be given to became_safe() once they are on the
  // disk. nullopt: nothing was written.
  std::optional<uint64_t> written();
  void became_safe(uint64_t written) { safe_ = written; }
  bool promote(const Gate& gate, env::Batch& batch);  // True if an entry became ready.
  // True if there are entries of that origin whose fate only the log still decides.
  bool awaits_word(Epoch origin) const;

  // ---- Entries are given to the processor here.
  std::vector<Input> take(size_t count, uint64_t bytes);
  void put_back(const std::vector<uint64_t>& arrivals);
  void consume(const std::vector<uint64_t>& arrivals, env::Batch& batch);

  // ---- Entries are sent to another node.
  const Route& route() const { return route_; }
  // Gives a new binding to entries that were never sent.
  void set_route(const Route& route, env::Batch& batch);
  struct Group {  // The entries that are bound to one tenure.
    Incarnation owner;
    Epoch tenure;
    // The entries that may be sent, as (origin, sequence, arrival). They are sent in this order.
    std::set<std::tuple<Epoch, uint64_t, uint64_t>> outgoing;
    size_t bound = 0;  // The number of all bound entries.
  };
  const std::map<Epoch, Group>& groups() const { return groups_; }
  // The next parcels for that tenure, all of one origin. It marks them as perhaps sent.
  std::vector<Parcel> send(Epoch tenure, size_t count, uint64_t bytes);
  bool safe(Epoch tenure, Epoch origin, uint64_t sequence, env::Batch& batch);
  bool never(Epoch tenure, Epoch origin, uint64_t sequence, env::Batch& batch);
  // The owner was removed: entries that it may have got are sent again. Returns their number.
  size_t write_off(Incarnation owner, env::Batch& batch);

  // ---- Fences: the newest known tenure of the destination and epoch of the source.
  Epoch tenure() const { return tenure_; }
  Epoch fence() const { return fence_; }
  void raise(Epoch tenure, Epoch fence, env::Batch& batch);  // Writes only if it raises one.

  // ---- On disk.
  void erase(env::Batch& batch);  // The connection was deleted.
  // Takes one key of Space::queue while a node starts. Returns false if the key belongs to no
  // connection.
  static Result<bool> restore(BytesView key, BytesView value, std::map<Uuid, Connection>& into);
  Result<void> check_restored() const;  // Call it after the last key.

 private:
  enum class Stage : uint8_t { waiting, ready, taken, outgoing };
  struct Entry {
    Epoch origin;
    uint64_t sequence = 0;
    uint64_t commit = 0;
    FlowFilePtr file;
    uint64_t size = 0;
    uint64_t written = 0;  // The entry is durable once this number is safe.
    Stage stage = Stage::waiting;
    Incarnation owner;  // The owner to which it is bound; 0: none.
    Epoch tenure;
    bool sent = false;     // The owner to which it is bound may have it.
    bool bound = false;    // Its record on disk names the owner to which it was bound first.
    bool rebound = false;  // A record of its own names a later owner, or none.
  };
  static constexpr uint64_t kLookedAt = ~uint64_t{0};
  // Entries of one origin whose fate its commits decide.
  struct Origin {
    size_t count = 0;
    std::set<uint64_t> held;  // Durable, but the log does not say yet whether they count.
    // The last commit that counts, once that is decided and on disk.
    std::optional<uint64_t> final;
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
  Entries entries_;       // The key is the arrival.
  uint64_t writing_ = 1;  // The number of the next write.
  uint64_t safe_ = 0;     // The newest number that is on the disk.
  // (number, arrival) of writes that promote() has not looked at yet.
  std::deque<std::pair<uint64_t, uint64_t>> unsafe_;
  std::map<Epoch, Origin> origins_;
  std::deque<uint64_t> ready_;     // In the order in which they became ready.
  std::map<Epoch, Group> groups_;  // The key is the tenure.
  std::map<std::pair<Epoch, Epoch>, SequenceSet> marks_;  // (tenure, origin) → received sequences.
  Route route_;
  Epoch tenure_;
  Epoch fence_;
  Epoch forgotten_;  // The newest tenure whose marks are forgotten.
};

}  // namespace databridge::flow
