#include "model/message.h"
#include "model/nouns_codec.h"
#include "model/proto/message.pb.h"

namespace databridge {
namespace codec {
namespace {

using Case = proto::Message;

void put_ids(const std::vector<Incarnation>& from, google::protobuf::RepeatedField<uint64_t>* to) {
  for (const auto id : from) to->Add(id.value);
}

// ---- One `write` and one `read` for each message, in the order of model/message.h.

void write(const RaftPacket& from, Case* to) { to->mutable_raft_packet()->set_bytes(from.bytes); }
void read(const proto::RaftPacket& from, RaftPacket& to, Check&) { to.bytes = from.bytes(); }

void write(const Probe& from, Case* to) { put(from.self, to->mutable_probe()->mutable_self()); }
void read(const proto::Probe& from, Probe& to, Check& check) { get(from.self(), to.self, check); }

void write(const ProbeReply& from, Case* to) {
  auto* wire = to->mutable_probe_reply();
  put(from.self, wire->mutable_self());
  wire->set_cluster(from.cluster.value);
  put_all(from.known, wire->mutable_known());
  put_ids(from.promised, wire->mutable_promised());
  for (const uint64_t attempt : from.attempts) wire->add_attempts(attempt);
  wire->set_attempt(from.attempt);
  wire->set_replica_count(from.replica_count);
  for (const ClusterId& cluster : from.given_up) wire->add_given_up(cluster.value);
}
void read(const proto::ProbeReply& from, ProbeReply& to, Check& check) {
  get(from.self(), to.self, check);
  to.cluster.value = from.cluster();
  get_all(from.known(), to.known, check);
  for (const uint64_t id : from.promised()) to.promised.push_back(Incarnation{id});
  to.attempts.assign(from.attempts().begin(), from.attempts().end());
  to.attempt = from.attempt();
  to.replica_count = from.replica_count();
  for (const std::string& cluster : from.given_up()) to.given_up.emplace_back(cluster);
}

void write(const Join& from, Case* to) {
  put(from.self, to->mutable_join()->mutable_self());
  to->mutable_join()->set_cluster(from.cluster.value);
  to->mutable_join()->set_features(from.features.bits());
}
void read(const proto::Join& from, Join& to, Check& check) {
  get(from.self(), to.self, check);
  to.cluster.value = from.cluster();
  to.features = FeatureSet(from.features());
}

void write(const JoinReply& from, Case* to) {
  auto* wire = to->mutable_join_reply();
  wire->set_cluster(from.cluster.value);
  wire->set_leader(from.leader.value);
  put_all(from.members, wire->mutable_members());
  wire->set_refused(from.refused);
  wire->set_removed(from.removed);
  wire->set_standing(static_cast<uint32_t>(from.standing));
}
void read(const proto::JoinReply& from, JoinReply& to, Check& check) {
  to.cluster.value = from.cluster();
  to.leader.value = from.leader();
  get_all(from.members(), to.members, check);
  to.refused = from.refused();
  to.removed = from.removed();
  check.that(from.standing() <= static_cast<uint32_t>(Standing::stranger), "standing");
  to.standing = static_cast<Standing>(from.standing());
}

void write(const Heartbeat& from, Case* to) {
  auto* wire = to->mutable_heartbeat();
  wire->set_sequence(from.sequence);
  wire->set_term(from.term);
  wire->set_boot(from.boot);
  put(from.load, wire->mutable_load());
  for (const auto& one : from.running) {
    auto* running = wire->add_running();
    put(one.processor, running->mutable_processor());
    put(one.epoch, running->mutable_epoch());
    running->set_state(enum_out<proto::RunState>(one.state));
  }
  wire->set_loop_late(from.loop_late);
  wire->set_stopping(from.stopping);
  wire->set_applied(from.applied);
  wire->set_held(from.held);
  wire->set_wall_ms(from.wall_ms);
  wire->set_version(from.version);
  wire->set_answers(from.answers);
  wire->set_lapsed(from.lapsed);
}
void read(const proto::Heartbeat& from, Heartbeat& to, Check& check) {
  to.sequence = from.sequence();
  to.term = from.term();
  to.boot = from.boot();
  get(from.load(), to.load, check);
  for (const auto& wire : from.running()) {
    Running& one = to.running.emplace_back();
    get(wire.processor(), one.processor, check);
    get(wire.epoch(), one.epoch, check);
    enum_in(wire.state(), RunState::failed, one.state, check, "run state");
  }
  to.loop_late = from.loop_late();
  to.stopping = from.stopping();
  to.applied = from.applied();
  to.held = from.held();
  to.wall_ms = from.wall_ms();
  to.version = from.version();
  to.answers = from.answers();
  to.lapsed = from.lapsed();
}

void write(const HeartbeatAck& from, Case* to) {
  to->mutable_heartbeat_ack()->set_sequence(from.sequence);
  to->mutable_heartbeat_ack()->set_term(from.term);
  to->mutable_heartbeat_ack()->set_commit(from.commit);
}
void read(const proto::HeartbeatAck& from, HeartbeatAck& to, Check&) {
  to = {from.sequence(), from.term(), from.commit()};
}

void write(const HeartbeatAsk& from, Case* to) {
  to->mutable_heartbeat_ask()->set_number(from.number);
}
void read(const proto::HeartbeatAsk& from, HeartbeatAsk& to, Check&) { to = {from.number()}; }

void write(const SoftTable& from, Case* to) {
  auto* wire = to->mutable_soft_table();
  wire->set_term(from.term);
  wire->set_as_of_ms(from.as_of_ms);
  wire->set_voters_reachable(from.voters_reachable);
  wire->set_log_ahead_ms(from.log_ahead_ms);
  wire->set_voters_wanted(from.voters_wanted);
  wire->set_commit(from.commit);
  for (const auto& one : from.members) {
    auto* member = wire->add_members();
    member->set_incarnation(one.incarnation.value);
    put(one.load, member->mutable_load());
    member->set_sampled(one.sampled);
    member->set_heartbeat_last_ms(one.heartbeat_last_ms);
    member->set_latency_last_ms(one.latency_last_ms);
    member->set_latency_smoothed_ms(one.latency_smoothed_ms);
    member->set_latency_p99_ms(one.latency_p99_ms);
    member->set_started_at_ms(one.started_at_ms);
    member->set_quarantine_given_ms(one.quarantine_given_ms);
    member->set_quarantine_lasted_ms(one.quarantine_lasted_ms);
    member->set_version(one.version);
  }
}
void read(const proto::SoftTable& from, SoftTable& to, Check& check) {
  to.term = from.term();
  to.as_of_ms = from.as_of_ms();
  to.voters_reachable = from.voters_reachable();
  to.log_ahead_ms = from.log_ahead_ms();
  to.voters_wanted = from.voters_wanted();
  to.commit = from.commit();
  for (const auto& wire : from.members()) {
    SoftMember& one = to.members.emplace_back();
    one.incarnation.value = wire.incarnation();
    get(wire.load(), one.load, check);
    one.sampled = wire.sampled();
    one.heartbeat_last_ms = wire.heartbeat_last_ms();
    number_in(wire.latency_last_ms(), one.latency_last_ms, check);
    number_in(wire.latency_smoothed_ms(), one.latency_smoothed_ms, check);
    number_in(wire.latency_p99_ms(), one.latency_p99_ms, check);
    one.started_at_ms = wire.started_at_ms();
    one.quarantine_given_ms = wire.quarantine_given_ms();
    one.quarantine_lasted_ms = wire.quarantine_lasted_ms();
    one.version = wire.version();
  }
}

void write(const StartWork& from, Case* to) {
  auto* wire = to->mutable_start_work();
  put(from.processor, wire->mutable_processor());
  put(from.epoch, wire->mutable_epoch());
  wire->set_term(from.term);
  wire->set_index(from.index);
}
void read(const proto::StartWork& from, StartWork& to, Check& check) {
  check.that(from.has_epoch(), "a start without its epoch");
  get(from.processor(), to.processor, check);
  get(from.epoch(), to.epoch, check);
  to.term = from.term();
  to.index = from.index();
}

void write(const StopWork& from, Case* to) {
  auto* wire = to->mutable_stop_work();
  put(from.processor, wire->mutable_processor());
  put(from.epoch, wire->mutable_epoch());
  wire->set_term(from.term);
}
void read(const proto::StopWork& from, StopWork& to, Check& check) {
  check.that(from.has_epoch(), "a stop without its epoch");
  get(from.processor(), to.processor, check);
  get(from.epoch(), to.epoch, check);
  to.term = from.term();
}

void write(const WorkReport& from, Case* to) {
  auto* wire = to->mutable_work_report();
  put(from.processor, wire->mutable_processor());
  put(from.epoch, wire->mutable_epoch());
  wire->set_state(enum_out<proto::RunState>(from.state));
  wire->set_detail(from.detail);
}
void read(const proto::WorkReport& from, WorkReport& to, Check& check) {
  check.that(from.has_epoch(), "a report without its epoch");
  get(from.processor(), to.processor, check);
  get(from.epoch(), to.epoch, check);
  enum_in(from.state(), RunState::failed, to.state, check, "run state");
  to.detail = from.detail();
}

void write(const Forward& from, Case* to) {
  put(from.request, to->mutable_forward()->mutable_request());
  to->mutable_forward()->set_bytes(from.bytes);
}
void read(const proto::Forward& from, Forward& to, Check& check) {
  get(from.request(), to.request, check);
  to.bytes = from.bytes();
}

void write(const ForwardReply& from, Case* to) {
  put(from.request, to->mutable_forward_reply()->mutable_request());
  to->mutable_forward_reply()->set_bytes(from.bytes);
}
void read(const proto::ForwardReply& from, ForwardReply& to, Check& check) {
  get(from.request(), to.request, check);
  to.bytes = from.bytes();
}

void write(const Delivery& from, Case* to) {
  auto* wire = to->mutable_delivery();
  put(from.connection, wire->mutable_connection());
  put(from.from, wire->mutable_from());
  put(from.epoch, wire->mutable_epoch());
  put(from.tenure, wire->mutable_tenure());
  put_all(from.parcels, wire->mutable_parcels());
}
void read(const proto::Delivery& from, Delivery& to, Check& check) {
  check.that(from.has_epoch() && from.has_tenure(), "a delivery without its epochs");
  get(from.connection(), to.connection, check);
  get(from.from(), to.from, check);
  get(from.epoch(), to.epoch, check);
  get(from.tenure(), to.tenure, check);
  get_all(from.parcels(), to.parcels, check);
}

void write(const DeliveryAck& from, Case* to) {
  auto* wire = to->mutable_delivery_ack();
  put(from.connection, wire->mutable_connection());
  put(from.from, wire->mutable_from());
  put(from.tenure, wire->mutable_tenure());
  put(from.origin, wire->mutable_origin());
  wire->mutable_safe()->Add(from.safe.begin(), from.safe.end());
  wire->mutable_never()->Add(from.never.begin(), from.never.end());
  wire->set_result(enum_out<proto::DeliveryResult>(from.result));
}
void read(const proto::DeliveryAck& from, DeliveryAck& to, Check& check) {
  check.that(from.has_origin() && from.has_tenure(), "a delivery's answer without its epochs");
  get(from.connection(), to.connection, check);
  get(from.from(), to.from, check);
  get(from.tenure(), to.tenure, check);
  get(from.origin(), to.origin, check);
  to.safe.assign(from.safe().begin(), from.safe().end());
  to.never.assign(from.never().begin(), from.never().end());
  enum_in(from.result(), DeliveryResult::not_here, to.result, check, "delivery result");
}

template <typename Alternative, typename Wire>
void read_as(const Wire& from, Message& to, Check& check) {
  read(from, to.emplace<Alternative>(), check);
}

void read_body(const proto::Message& from, Message& to, Check& check) {
  switch (from.body_case()) {
    case Case::kRaftPacket:
      return read_as<RaftPacket>(from.raft_packet(), to, check);
    case Case::kProbe:
      return read_as<Probe>(from.probe(), to, check);
    case Case::kProbeReply:
      return read_as<ProbeReply>(from.probe_reply(), to, check);
    case Case::kJoin:
      return read_as<Join>(from.join(), to, check);
    case Case::kJoinReply:
      return read_as<JoinReply>(from.join_reply(), to, check);
    case Case::kHeartbeat:
      return read_as<Heartbeat>(from.heartbeat(), to, check);
    case Case::kHeartbeatAck:
      return read_as<HeartbeatAck>(from.heartbeat_ack(), to, check);
    case Case::kHeartbeatAsk:
      return read_as<HeartbeatAsk>(from.heartbeat_ask(), to, check);
    case Case::kSoftTable:
      return read_as<SoftTable>(from.soft_table(), to, check);
    case Case::kStartWork:
      return read_as<StartWork>(from.start_work(), to, check);
    case Case::kStopWork:
      return read_as<StopWork>(from.stop_work(), to, check);
    case Case::kWorkReport:
      return read_as<WorkReport>(from.work_report(), to, check);
    case Case::kForward:
      return read_as<Forward>(from.forward(), to, check);
    case Case::kForwardReply:
      return read_as<ForwardReply>(from.forward_reply(), to, check);
    case Case::kDelivery:
      return read_as<Delivery>(from.delivery(), to, check);
    case Case::kDeliveryAck:
      return read_as<DeliveryAck>(from.delivery_ack(), to, check);
    case Case::BODY_NOT_SET:
      break;
  }
  check.bad("nothing of a known kind");
}

}  // namespace
}  // namespace codec

Bytes encode(const Message& message) {
  google::protobuf::Arena arena;  // An arena, because a delivery has thousands of small parts.
  auto* wire = google::protobuf::Arena::CreateMessage<proto::Message>(&arena);
  wire->set_format(codec::kFormat);
  std::visit([&](const auto& body) { codec::write(body, wire); }, message);
  return wire->SerializeAsString();
}

Result<Message> decode_message(BytesView bytes) {
  google::protobuf::Arena arena;
  auto& wire = *google::protobuf::Arena::CreateMessage<proto::Message>(&arena);
  if (auto error = codec::parse(bytes, "a message", wire)) return tl::make_unexpected(*error);
  codec::Check check;
  Message message;
  codec::read_body(wire, message, check);
  if (!check.ok()) return fail(Code::corrupt, "a message holds " + check.wrong());
  return message;
}

}  // namespace databridge
