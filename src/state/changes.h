// Changes: commands change the tables of a State only through this class.
//
// - Owns: the list of changes, and the indexes that are computed from the tables.
// - Hides: which index depends on which column.
// - Pure: as State::apply is.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "state/state.h"
#include "state/touched.h"

namespace databridge {

class Changes {
 public:
  explicit Changes(State& state) : state_(state) {}

  // Inserts, or replaces the one with the same id. Replacing it by an equal one is no change.
  void put(Member member);
  void put(ProcessorSpec spec);
  void put(Assignment assignment);
  void put(FlowRow flow);  // It, or something that it lists, is new or another one.
  void put(ConnectionSpec connection);

  void erase_member(Incarnation id);
  void erase_processor(ProcessorId id);
  void erase_assignment(ProcessorId id);
  void erase_flow(FlowId id);
  void erase_connection(Uuid id);

  // `how` gets a Member& or an Assignment&. The id must be known, and `how` must not change it.
  template <typename How>
  void change_member(Incarnation id, How&& how) {
    Member member = *state_.member(id);
    how(member);
    put(std::move(member));
  }
  template <typename How>
  void change_assignment(ProcessorId id, How&& how) {
    const Columns before(state_.assignments_.rows().find(id));
    CHECK(state_.assignments_.rows_.change(id, how));
    changed(id, before);
  }

  void set_strategy(Strategy strategy);

  // Sets whether the processor names a flow that does not list it.
  void is_loose(const FlowId& flow, ProcessorId id, bool is);

  // Returns all changes so far and empties the list.
  Touched take();

 private:
  // The columns of one assignment on which indexes depend. Without an assignment: as of a processor
  // that never was.
  struct Columns {
    explicit Columns(const Assignment* assignment);
    bool same_place(const Columns& other) const;

    bool is_there = false;
    Incarnation owner, wish;
    Epoch epoch;
    bool releasing = false, wanted = true, deleted = false;
    NodeId pinned;
    LogIndex spec_index = 0;
    std::string reason;
    int64_t assigned_at_ms = 0;
    RunState state = RunState::unassigned;
    std::string detail;
    int64_t reported_at_ms = 0;
    Epoch checkpoint_epoch;
    uint64_t checkpoint_sequence = 0;
  };
  void changed(ProcessorId id, const Columns& before);
  void move_owner(ProcessorId id, Incarnation from, Incarnation to);
  void count_flow(Incarnation owner, const ProcessorSpec* spec, int by);

  State& state_;
  std::set<ProcessorId> assignments_, reports_, checkpoints_, processors_;
  std::set<Uuid> connections_;
  std::set<FlowId> flows_;
  std::set<Incarnation> members_, verdicts_, holdings_;
  std::vector<std::pair<Incarnation, Address>> left_;
  bool placement_ = false;
};

}  // namespace databridge
