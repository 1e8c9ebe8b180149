// Applier: the effect of each command on a State. Internal to apply*.cc.
//
// - Owns: one method for each command. It checks everything first and changes the state afterwards,
//   so a rejected command has changed nothing.
// - Pure: as State::apply is.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "state/changes.h"
#include "state/state.h"

namespace databridge {

// The user's part of a state.
struct Backup {
  Strategy strategy = Strategy::least_loaded;
  std::vector<FlowSpec> flows;
  std::vector<ProcessorSpec> processors;  // Those that belong to no flow's list.
  std::vector<ProcessorId> stopped;       // Processors that are not wanted.
  std::map<std::string, std::string> config;
};
Bytes encode(const Backup& backup);
Result<Backup> decode_backup(BytesView bytes);

class Applier {
 public:
  Applier(State& state, LogIndex index) : state_(state), changes_(state), index_(index) {}

  Transition run(const Command& command);

 private:
  using Rejected = std::optional<Error>;  // nullopt: the command was carried out.
  using Data = std::map<std::string, std::string>;

  // ---- Members (apply.cc)
  Rejected on(const AdmitMember& command);
  Rejected on(const RemoveMember& command);
  Rejected on(const SetVerdict& command);
  Rejected on(const SetDraining& command);
  Rejected on(const SetVoters& command);
  Rejected on(const NoteEmpty& command);
  Rejected on(const SetLogTime& command);
  Rejected on(const BeginGeneration& command);
  Rejected on(const NoteAction& command);
  Rejected on(const ActivateFeatures& command);

  // ---- Work (apply_work.cc)
  Rejected on(const SetWanted& command);
  Rejected on(const Release& command);
  Rejected on(const Assign& command);
  Rejected on(const Unassign& command);
  Rejected on(const Reports& command);
  Rejected on(const SaveCheckpoint& command);
  Rejected on(const NoteRebalance& command);
  Rejected on(const WishPlace& command);

  // ---- The user's part (apply_flows.cc)
  Rejected on(const PutFlow& command);
  Rejected on(const DeleteFlow& command);
  Rejected on(const AddProcessor& command);
  Rejected on(const DeleteProcessor& command);
  Rejected on(const SetConfig& command);
  Rejected on(const DeleteConfig& command);
  Rejected on(const SetStrategy& command);
  Rejected on(const RestoreState& command);

  // ---- Tokens of the API (apply_tokens.cc)
  Rejected on(const PutToken& command);
  Rejected on(const DeleteToken& command);
  Rejected refuse_stranger() const;
  Rejected refuse_last(const Token& token) const;

  // ---- Steps
  Rejected find_current(const ProcessorId& id, const Epoch& replaces, const Assignment*& found);
  bool report(const Report& report);  // Returns false if the epoch is over.
  Rejected clash(const FlowSpec& flow) const;
  void name_connections(FlowSpec& flow) const;
  void put_flow(const FlowSpec& flow);
  void put_processor(const ProcessorSpec& spec);
  bool may_stay(const ProcessorSpec& spec, const NodeId& node) const;
  void begin_anew(Assignment& assignment) const;
  void revive(const ProcessorSpec& spec, Assignment& assignment, bool new_type);
  void delete_processor(const ProcessorId& id, const std::string& reason);
  void verdict_event(const Member& before, const Member& after);
  void take_label(const MemberInfo& info);
  Data tied_to(const NodeId& node) const;
  void remember_removed(Incarnation incarnation, const NodeId& node, const std::string& reason);

  void touch_work(Incarnation member);
  void unpin(const ProcessorId& id, const std::string& why);

  void event(const char* type, const std::string& node, Data data);
  std::string label(Incarnation incarnation) const;  // The node id of that incarnation, or empty.
  Data about(const Assignment& assignment) const;    // The data that events about this work carry.

  // ---- Results of requests
  std::optional<Applied> seen(const Command& command) const;
  void remember(const Command& command, const Applied& applied);
  void forget_old();

  State& state_;  // Only for reading; its tables change through `changes_`.
  Changes changes_;
  const LogIndex index_;
  Actor by_;  // Who asked for the command. Its events name them.
  uint32_t k_ = 0;
  ProcessorId about_;     // Becomes Applied::processor.
  uint32_t ignored_ = 0;  // Becomes Applied::ignored.
};

// Why the user's input is impossible; nullopt if it is fine.
std::optional<Error> why_bad(const FlowSpec& flow);
std::optional<Error> why_bad(const ProcessorSpec& spec);
std::optional<Error> why_bad_config(const std::string& key, const std::string& json);
// True if all texts are UTF-8, no key is longer than 256 bytes and no value longer than
// `value_max`.
bool are_fine(const std::map<std::string, std::string>& texts, size_t count_max, size_t value_max);
bool are_fine(const std::vector<std::string>& texts, size_t count_max, size_t size_max);

}  // namespace databridge
