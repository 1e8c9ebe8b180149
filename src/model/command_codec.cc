#include "model/command_codec.h"

namespace databridge {
namespace codec {
namespace {

using Case = proto::CommandBody;

// ---- One `write` and one `read` for each command, in the order of model/command.h.

void write(const AdmitMember& from, Case* to) {
  put(from.info, to->mutable_admit_member()->mutable_info());
  to->mutable_admit_member()->set_outwaited(from.outwaited);
  to->mutable_admit_member()->set_features(from.features.bits());
}
void read(const proto::AdmitMember& from, AdmitMember& to, Check& check) {
  check.that(from.has_info(), "a member without its description");
  get(from.info(), to.info, check);
  to.outwaited = from.outwaited();
  to.features = FeatureSet(from.features());
}

void write(const RemoveMember& from, Case* to) {
  auto* wire = to->mutable_remove_member();
  wire->set_incarnation(from.incarnation.value);
  wire->set_reason(from.reason);
}
void read(const proto::RemoveMember& from, RemoveMember& to, Check&) {
  to.incarnation.value = from.incarnation();
  to.reason = from.reason();
}

void write(const SetVerdict& from, Case* to) {
  auto* wire = to->mutable_set_verdict();
  wire->set_incarnation(from.incarnation.value);
  wire->set_health(enum_out<proto::Health>(from.health));
  wire->set_reason(enum_out<proto::HealthReason>(from.reason));
  wire->set_quarantine_ms(from.quarantine_ms);
}
void read(const proto::SetVerdict& from, SetVerdict& to, Check& check) {
  to.incarnation.value = from.incarnation();
  enum_in(from.health(), Health::stopped, to.health, check, "health");
  enum_in(from.reason(), HealthReason::behind, to.reason, check, "health reason");
  to.quarantine_ms = from.quarantine_ms();
  if (from.quarantined_until_ms() != 0 && to.quarantine_ms == 0) to.quarantine_ms = 1;
}

void write(const SetDraining& from, Case* to) {
  auto* wire = to->mutable_set_draining();
  wire->set_incarnation(from.incarnation.value);
  wire->set_draining(from.draining);
  wire->set_leaving(from.leaving);
  wire->set_forced(from.forced);
}
void read(const proto::SetDraining& from, SetDraining& to, Check&) {
  to = {Incarnation{from.incarnation()}, from.draining(), from.leaving(), from.forced()};
}

void write(const SetVoters& from, Case* to) {
  auto* wire = to->mutable_set_voters();
  for (const auto voter : from.voters) wire->add_voters(voter.value);
  wire->set_leader(from.leader.value);
}
void read(const proto::SetVoters& from, SetVoters& to, Check&) {
  for (const uint64_t voter : from.voters()) to.voters.push_back(Incarnation{voter});
  to.leader.value = from.leader();
}

void write(const PutFlow& from, Case* to) {
  put(from.flow, to->mutable_put_flow()->mutable_flow());
}
void read(const proto::PutFlow& from, PutFlow& to, Check& check) {
  check.that(from.has_flow(), "a flow without its description");
  get(from.flow(), to.flow, check);
}

void write(const DeleteFlow& from, Case* to) {
  to->mutable_delete_flow()->set_flow(from.flow.value);
}
void read(const proto::DeleteFlow& from, DeleteFlow& to, Check&) { to.flow.value = from.flow(); }

void write(const AddProcessor& from, Case* to) {
  put(from.spec, to->mutable_add_processor()->mutable_spec());
}
void read(const proto::AddProcessor& from, AddProcessor& to, Check& check) {
  check.that(from.has_spec(), "a processor without its description");
  get(from.spec(), to.spec, check);
}

void write(const DeleteProcessor& from, Case* to) {
  put(from.processor, to->mutable_delete_processor()->mutable_processor());
}
void read(const proto::DeleteProcessor& from, DeleteProcessor& to, Check& check) {
  get(from.processor(), to.processor, check);
}

void write(const SetWanted& from, Case* to) {
  auto* wire = to->mutable_set_wanted();
  put(from.processor, wire->mutable_processor());
  wire->set_wanted(from.wanted);
}
void read(const proto::SetWanted& from, SetWanted& to, Check& check) {
  get(from.processor(), to.processor, check);
  to.wanted = from.wanted();
}

void write(const Release& from, Case* to) {
  auto* wire = to->mutable_release();
  put(from.processor, wire->mutable_processor());
  put(from.replaces, wire->mutable_replaces());
  wire->set_reason(from.reason);
}
void read(const proto::Release& from, Release& to, Check& check) {
  check.that(from.has_replaces(), "a release that does not name the epoch it replaces");
  get(from.processor(), to.processor, check);
  get(from.replaces(), to.replaces, check);
  to.reason = from.reason();
}

void write(const Assign& from, Case* to) {
  auto* wire = to->mutable_assign();
  put(from.processor, wire->mutable_processor());
  put(from.replaces, wire->mutable_replaces());
  wire->set_to(from.to.value);
  wire->set_reason(from.reason);
}
void read(const proto::Assign& from, Assign& to, Check& check) {
  check.that(from.has_replaces(), "an assignment that does not name the epoch it replaces");
  get(from.processor(), to.processor, check);
  get(from.replaces(), to.replaces, check);
  to.to.value = from.to();
  to.reason = from.reason();
}

void write(const Unassign& from, Case* to) {
  auto* wire = to->mutable_unassign();
  put(from.processor, wire->mutable_processor());
  put(from.replaces, wire->mutable_replaces());
  wire->set_reason(from.reason);
}
void read(const proto::Unassign& from, Unassign& to, Check& check) {
  check.that(from.has_replaces(), "an unassignment that does not name the epoch it replaces");
  get(from.processor(), to.processor, check);
  get(from.replaces(), to.replaces, check);
  to.reason = from.reason();
}

void write(const Reports& from, Case* to) {
  auto* reports = to->mutable_reports()->mutable_reports();
  for (const auto& report : from.reports) {
    auto* wire = reports->Add();
    put(report.processor, wire->mutable_processor());
    put(report.epoch, wire->mutable_epoch());
    wire->set_state(enum_out<proto::RunState>(report.state));
    wire->set_detail(report.detail);
  }
}
void read(const proto::Reports& from, Reports& to, Check& check) {
  for (const auto& wire : from.reports()) {
    Report& report = to.reports.emplace_back();
    check.that(wire.has_epoch(), "a report without its epoch");
    get(wire.processor(), report.processor, check);
    get(wire.epoch(), report.epoch, check);
    enum_in(wire.state(), RunState::failed, report.state, check, "run state");
    report.detail = wire.detail();
  }
}

void write(const SaveCheckpoint& from, Case* to) {
  auto* wire = to->mutable_save_checkpoint();
  put(from.processor, wire->mutable_processor());
  put(from.checkpoint, wire->mutable_checkpoint());
}
void read(const proto::SaveCheckpoint& from, SaveCheckpoint& to, Check& check) {
  check.that(from.has_checkpoint(), "a saved checkpoint without its content");
  get(from.processor(), to.processor, check);
  get(from.checkpoint(), to.checkpoint, check);
}

void write(const SetConfig& from, Case* to) {
  auto* wire = to->mutable_set_config();
  wire->set_key(from.key);
  wire->set_json(from.json);
  if (from.expected) wire->set_expected(*from.expected);
}
void read(const proto::SetConfig& from, SetConfig& to, Check&) {
  to.key = from.key();
  to.json = from.json();
  if (from.has_expected()) to.expected = from.expected();
}

void write(const DeleteConfig& from, Case* to) {
  auto* wire = to->mutable_delete_config();
  wire->set_key(from.key);
  if (from.expected) wire->set_expected(*from.expected);
}
void read(const proto::DeleteConfig& from, DeleteConfig& to, Check&) {
  to.key = from.key();
  if (from.has_expected()) to.expected = from.expected();
}

void write(const SetStrategy& from, Case* to) {
  to->mutable_set_strategy()->set_strategy(enum_out<proto::Strategy>(from.strategy));
}
void read(const proto::SetStrategy& from, SetStrategy& to, Check& check) {
  enum_in(from.strategy(), Strategy::consistent_hash, to.strategy, check, "strategy");
}

void write(const NoteRebalance& from, Case* to) {
  to->mutable_note_rebalance()->set_plan_id(from.plan_id);
  to->mutable_note_rebalance()->set_moves(from.moves);
}
void read(const proto::NoteRebalance& from, NoteRebalance& to, Check&) {
  to = {from.plan_id(), from.moves()};
}

void write(const NoteEmpty& from, Case* to) {
  to->mutable_note_empty()->set_incarnation(from.incarnation.value);
  to->mutable_note_empty()->set_as_of(from.as_of);
}
void read(const proto::NoteEmpty& from, NoteEmpty& to, Check&) {
  to.incarnation.value = from.incarnation();
  to.as_of = from.as_of();
}

void write(const SetLogTime& from, Case* to) { to->mutable_set_log_time()->set_to_ms(from.to_ms); }
void read(const proto::SetLogTime& from, SetLogTime& to, Check&) { to.to_ms = from.to_ms(); }

void write(const WishPlace& from, Case* to) {
  auto* wire = to->mutable_wish_place();
  put(from.processor, wire->mutable_processor());
  wire->set_to(from.to.value);
  wire->set_force(from.force);
}
void read(const proto::WishPlace& from, WishPlace& to, Check& check) {
  get(from.processor(), to.processor, check);
  to.to.value = from.to();
  to.force = from.force();
}

void write(const PutToken& from, Case* to) {
  auto* wire = to->mutable_put_token();
  wire->set_id(from.id);
  wire->set_name(from.name);
  wire->set_role(enum_out<proto::TokenRole>(from.role));
  wire->set_hash(from.hash);
  wire->set_life_ms(from.life_ms);
}
void read(const proto::PutToken& from, PutToken& to, Check& check) {
  to.id = from.id();
  to.name = from.name();
  enum_in(from.role(), TokenRole::admin, to.role, check, "role of a token");
  to.hash = from.hash();
  to.life_ms = from.life_ms();
}

void write(const DeleteToken& from, Case* to) { to->mutable_delete_token()->set_id(from.id); }
void read(const proto::DeleteToken& from, DeleteToken& to, Check&) { to.id = from.id(); }

void write(const BeginGeneration& from, Case* to) {
  to->mutable_begin_generation()->set_generation(from.generation);
  to->mutable_begin_generation()->set_survivor(from.survivor.value);
}
void read(const proto::BeginGeneration& from, BeginGeneration& to, Check&) {
  to.generation = from.generation();
  to.survivor.value = from.survivor();
}

void write(const NoteAction& from, Case* to) {
  to->mutable_note_action()->set_action(from.action);
  to->mutable_note_action()->set_subject(from.subject);
}
void read(const proto::NoteAction& from, NoteAction& to, Check&) {
  to = {from.action(), from.subject()};
}

void write(const ActivateFeatures& from, Case* to) {
  auto* wire = to->mutable_activate_features();
  wire->set_features(from.features.bits());
  for (const auto& member : from.members) {
    auto* process = wire->add_members();
    process->set_incarnation(member.incarnation.value);
    process->set_boot(member.boot);
    process->set_start(member.start);
  }
}
void read(const proto::ActivateFeatures& from, ActivateFeatures& to, Check&) {
  to.features = FeatureSet(from.features());
  for (const auto& process : from.members()) {
    to.members.push_back({Incarnation{process.incarnation()}, process.boot(), process.start()});
  }
}

void write(const RestoreState& from, Case* to) {
  to->mutable_restore_state()->set_bytes(from.bytes);
}
void read(const proto::RestoreState& from, RestoreState& to, Check&) { to.bytes = from.bytes(); }

template <typename Alternative, typename Wire>
void read_as(const Wire& from, CommandBody& to, Check& check) {
  read(from, to.emplace<Alternative>(), check);
}

}  // namespace

void put(const CommandBody& from, proto::CommandBody* to) {
  std::visit([&](const auto& body) { write(body, to); }, from);
}

void get(const proto::CommandBody& from, CommandBody& to, Check& check) {
  switch (from.body_case()) {
    case Case::kAdmitMember:
      return read_as<AdmitMember>(from.admit_member(), to, check);
    case Case::kRemoveMember:
      return read_as<RemoveMember>(from.remove_member(), to, check);
    case Case::kSetVerdict:
      return read_as<SetVerdict>(from.set_verdict(), to, check);
    case Case::kSetDraining:
      return read_as<SetDraining>(from.set_draining(), to, check);
    case Case::kSetVoters:
      return read_as<SetVoters>(from.set_voters(), to, check);
    case Case::kPutFlow:
      return read_as<PutFlow>(from.put_flow(), to, check);
    case Case::kDeleteFlow:
      return read_as<DeleteFlow>(from.delete_flow(), to, check);
    case Case::kAddProcessor:
      return read_as<AddProcessor>(from.add_processor(), to, check);
    case Case::kDeleteProcessor:
      return read_as<DeleteProcessor>(from.delete_processor(), to, check);
    case Case::kSetWanted:
      return read_as<SetWanted>(from.set_wanted(), to, check);
    case Case::kRelease:
      return read_as<Release>(from.release(), to, check);
    case Case::kAssign:
      return read_as<Assign>(from.assign(), to, check);
    case Case::kUnassign:
      return read_as<Unassign>(from.unassign(), to, check);
    case Case::kReports:
      return read_as<Reports>(from.reports(), to, check);
    case Case::kSaveCheckpoint:
      return read_as<SaveCheckpoint>(from.save_checkpoint(), to, check);
    case Case::kSetConfig:
      return read_as<SetConfig>(from.set_config(), to, check);
    case Case::kDeleteConfig:
      return read_as<DeleteConfig>(from.delete_config(), to, check);
    case Case::kSetStrategy:
      return read_as<SetStrategy>(from.set_strategy(), to, check);
    case Case::kNoteEmpty:
      return read_as<NoteEmpty>(from.note_empty(), to, check);
    case Case::kNoteRebalance:
      return read_as<NoteRebalance>(from.note_rebalance(), to, check);
    case Case::kRestoreState:
      return read_as<RestoreState>(from.restore_state(), to, check);
    case Case::kSetLogTime:
      return read_as<SetLogTime>(from.set_log_time(), to, check);
    case Case::kWishPlace:
      return read_as<WishPlace>(from.wish_place(), to, check);
    case Case::kPutToken:
      return read_as<PutToken>(from.put_token(), to, check);
    case Case::kDeleteToken:
      return read_as<DeleteToken>(from.delete_token(), to, check);
    case Case::kBeginGeneration:
      return read_as<BeginGeneration>(from.begin_generation(), to, check);
    case Case::kNoteAction:
      return read_as<NoteAction>(from.note_action(), to, check);
    case Case::kActivateFeatures:
      return read_as<ActivateFeatures>(from.activate_features(), to, check);
    case Case::BODY_NOT_SET:
      break;
  }
  check.bad("a command of no known kind");
}

}  // namespace codec

Bytes encode(const Command& command) {
  proto::Command wire;
  wire.set_format(codec::kFormat);
  codec::put(command.body, wire.mutable_body());
  wire.set_at_ms(command.at_ms);
  if (command.request != RequestId{}) codec::put(command.request, wire.mutable_request());
  wire.set_idempotency_key(command.idempotency_key);
  wire.set_fingerprint(command.fingerprint);
  wire.set_age_ms(command.age_ms);
  if (command.by != Actor{}) codec::put(command.by, wire.mutable_by());
  return wire.SerializeAsString();
}

Result<Command> decode_command(BytesView bytes) {
  proto::Command wire;
  if (auto error = codec::parse(bytes, "a command", wire)) return tl::make_unexpected(*error);
  if (wire.body().body_case() == proto::CommandBody::BODY_NOT_SET) {
    return fail(Code::unprocessable, "a command is of a kind that this version does not know");
  }
  codec::Check check;
  Command command;
  codec::get(wire.body(), command.body, check);
  command.at_ms = wire.at_ms();
  codec::get(wire.request(), command.request, check);
  command.idempotency_key = wire.idempotency_key();
  command.fingerprint = wire.fingerprint();
  command.age_ms = wire.age_ms();
  codec::get(wire.by(), command.by, check);
  if (!check.ok()) return fail(Code::corrupt, "a command holds " + check.wrong());
  return command;
}

}  // namespace databridge
