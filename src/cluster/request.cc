#include "cluster/request.h"

#include "model/command_codec.h"
#include "model/proto/request.pb.h"

namespace databridge::cluster {
namespace {

using codec::Check;
using codec::get;
using codec::put;
using Case = proto::Request;

// ---- One `write` and one `read` a request, in the order of request.h.

void write(const Change& from, Case* to) { put(from.body, to->mutable_change()); }
void read(const proto::CommandBody& from, Change& to, Check& check) { get(from, to.body, check); }

void write(const Place& from, Case* to) { put(from.spec, to->mutable_place()); }
void read(const proto::ProcessorSpec& from, Place& to, Check& check) { get(from, to.spec, check); }

void write(const MoveWork& from, Case* to) {
  put(from.processor, to->mutable_move_work()->mutable_processor());
  to->mutable_move_work()->set_to(from.to.value);
  to->mutable_move_work()->set_force(from.force);
}
void read(const proto::MoveWork& from, MoveWork& to, Check& check) {
  get(from.processor(), to.processor, check);
  to.to.value = from.to();
  to.force = from.force();
}

void write(const Rebalance& from, Case* to) {
  to->mutable_rebalance()->set_dry_run(from.dry_run);
  to->mutable_rebalance()->set_plan_id(from.plan_id);
}
void read(const proto::Rebalance& from, Rebalance& to, Check&) {
  to = {from.dry_run(), from.plan_id()};
}

void write(const RemoveNode& from, Case* to) {
  to->mutable_remove_node()->set_node(from.node.value);
  to->mutable_remove_node()->set_force(from.force);
}
void read(const proto::RemoveNode& from, RemoveNode& to, Check&) {
  to = {NodeId(from.node()), from.force()};
}

void write(const DrainNode& from, Case* to) {
  to->mutable_drain_node()->set_node(from.node.value);
  to->mutable_drain_node()->set_draining(from.draining);
}
void read(const proto::DrainNode& from, DrainNode& to, Check&) {
  to = {NodeId(from.node()), from.draining()};
}

void write(const CheckNode& from, Case* to) { to->mutable_check_node()->set_node(from.node.value); }
void read(const proto::CheckNode& from, CheckNode& to, Check&) { to = {NodeId(from.node())}; }

void write(const TransferLeadership& from, Case* to) {
  to->mutable_transfer_leadership()->set_to(from.to.value);
}
void read(const proto::TransferLeadership& from, TransferLeadership& to, Check&) {
  to = {NodeId(from.to())};
}

void write(const ReadBarrier&, Case* to) { to->mutable_read_barrier(); }
void read(const proto::ReadBarrier&, ReadBarrier&, Check&) {}

void write(const JoinCluster& from, Case* to) {
  codec::put_all(from.seeds, to->mutable_join_cluster()->mutable_seeds());
}
void read(const proto::JoinCluster& from, JoinCluster& to, Check& check) {
  codec::get_all(from.seeds(), to.seeds, check);
}

template <typename Alternative, typename Wire>
void read_as(const Wire& from, RequestBody& to, Check& check) {
  read(from, to.emplace<Alternative>(), check);
}

void read_body(const proto::Request& from, RequestBody& to, Check& check) {
  switch (from.body_case()) {
    case Case::kChange:
      return read_as<Change>(from.change(), to, check);
    case Case::kPlace:
      return read_as<Place>(from.place(), to, check);
    case Case::kMoveWork:
      return read_as<MoveWork>(from.move_work(), to, check);
    case Case::kRebalance:
      return read_as<Rebalance>(from.rebalance(), to, check);
    case Case::kRemoveNode:
      return read_as<RemoveNode>(from.remove_node(), to, check);
    case Case::kDrainNode:
      return read_as<DrainNode>(from.drain_node(), to, check);
    case Case::kCheckNode:
      return read_as<CheckNode>(from.check_node(), to, check);
    case Case::kTransferLeadership:
      return read_as<TransferLeadership>(from.transfer_leadership(), to, check);
    case Case::kReadBarrier:
      return read_as<ReadBarrier>(from.read_barrier(), to, check);
    case Case::kJoinCluster:
      return read_as<JoinCluster>(from.join_cluster(), to, check);
    case Case::BODY_NOT_SET:
      break;
  }
  check.bad("nothing of a known kind");
}

// ---- Plans

void write(const placement::LoadSpread& from, proto::LoadSpread* to) {
  to->set_average(from.average);
  to->set_least(from.least);
  to->set_most(from.most);
}
void read(const proto::LoadSpread& from, placement::LoadSpread& to, Check& check) {
  codec::number_in(from.average(), to.average, check);
  codec::number_in(from.least(), to.least, check);
  codec::number_in(from.most(), to.most, check);
}

void write(const placement::Plan& from, proto::Plan* to) {
  to->set_id(from.id);
  to->set_state_version(from.state_version);
  for (const auto& move : from.moves) {
    auto* wire = to->add_moves();
    put(move.processor, wire->mutable_processor());
    wire->set_from(move.from.value);
    wire->set_to(move.to.value);
    wire->set_reason(move.reason);
    wire->set_gain(move.gain);
  }
  to->set_lower_bound(from.lower_bound);
  write(from.before, to->mutable_before());
  write(from.after, to->mutable_after());
  for (const auto& blocked : from.blocked) {
    auto* wire = to->add_blocked();
    put(blocked.processor, wire->mutable_processor());
    wire->set_reason(blocked.reason);
  }
}
void read(const proto::Plan& from, placement::Plan& to, Check& check) {
  to.id = from.id();
  to.state_version = from.state_version();
  for (const auto& wire : from.moves()) {
    placement::Move& move = to.moves.emplace_back();
    get(wire.processor(), move.processor, check);
    move.from.value = wire.from();
    move.to.value = wire.to();
    move.reason = wire.reason();
    codec::number_in(wire.gain(), move.gain, check);
  }
  to.lower_bound = from.lower_bound();
  read(from.before(), to.before, check);
  read(from.after(), to.after, check);
  for (const auto& wire : from.blocked()) {
    placement::BlockedMove& blocked = to.blocked.emplace_back();
    get(wire.processor(), blocked.processor, check);
    blocked.reason = wire.reason();
  }
}

}  // namespace

Bytes encode(const Request& request) {
  proto::Request wire;
  wire.set_format(codec::kFormat);
  std::visit([&](const auto& body) { write(body, &wire); }, request.body);
  wire.set_idempotency_key(request.idempotency_key);
  wire.set_fingerprint(request.fingerprint);
  if (request.by != Actor{}) put(request.by, wire.mutable_by());
  return wire.SerializeAsString();
}

Result<Request> decode_request(BytesView bytes) {
  proto::Request wire;
  if (auto error = codec::parse(bytes, "a request", wire)) return tl::make_unexpected(*error);
  Check check;
  Request request;
  read_body(wire, request.body, check);
  request.idempotency_key = wire.idempotency_key();
  request.fingerprint = wire.fingerprint();
  get(wire.by(), request.by, check);
  if (!check.ok()) return fail(Code::corrupt, "a request holds " + check.wrong());
  return request;
}

Bytes encode(const Answer& answer) {
  proto::Answer wire;
  wire.set_format(codec::kFormat);
  if (answer) {
    auto* outcome = wire.mutable_outcome();
    outcome->set_index(answer->index);
    if (answer->plan) write(*answer->plan, outcome->mutable_plan());
    outcome->set_text(answer->text);
  } else {
    wire.mutable_error()->set_code(codec::enum_out<proto::Code>(answer.error().code));
    wire.mutable_error()->set_message(answer.error().message);
  }
  return wire.SerializeAsString();
}

Result<Answer> decode_answer(BytesView bytes) {
  proto::Answer wire;
  if (auto error = codec::parse(bytes, "an answer", wire)) return tl::make_unexpected(*error);
  Check check;
  Answer answer;
  if (wire.has_outcome()) {
    answer->index = wire.outcome().index();
    if (wire.outcome().has_plan()) {
      read(wire.outcome().plan(), answer->plan.emplace(), check);
    }
    answer->text = wire.outcome().text();
  } else if (wire.has_error()) {
    Error error{Code::internal, wire.error().message()};
    codec::enum_in(wire.error().code(), Code::io, error.code, check, "code");
    answer = tl::make_unexpected(std::move(error));
  } else {
    check.bad("neither an outcome nor an error");
  }
  if (!check.ok()) return fail(Code::corrupt, "an answer holds " + check.wrong());
  return answer;
}

}  // namespace databridge::cluster
