#include "model/nouns_codec.h"

namespace databridge::codec {

void put(const Texts& from, Pairs* to) {
  to->Reserve(static_cast<int>(from.size()));
  for (const auto& [key, value] : from) {
    auto* pair = to->Add();
    pair->set_key(key);
    pair->set_value(value);
  }
}
void get(const Pairs& from, Texts& to, Check& check) {
  for (const auto& pair : from) {
    check.that(to.emplace(pair.key(), pair.value()).second, "a key twice in one map");
  }
}

void put(const Uuid& from, proto::Uuid* to) {
  to->set_high(from.high);
  to->set_low(from.low);
}
void get(const proto::Uuid& from, Uuid& to, Check&) { to = {from.high(), from.low()}; }

void put(const Epoch& from, proto::Epoch* to) {
  to->set_generation(from.generation);
  to->set_index(from.index);
}
void get(const proto::Epoch& from, Epoch& to, Check&) { to = {from.generation(), from.index()}; }

void put(const Address& from, proto::Address* to) {
  to->set_host(from.host);
  to->set_port(from.port);
}
void get(const proto::Address& from, Address& to, Check& check) {
  check.that(from.port() <= 65535, "a port above 65535");
  to = {from.host(), static_cast<uint16_t>(from.port())};
}

void put(const NodeLoad& from, proto::NodeLoad* to) {
  to->set_cpu_percent(from.cpu_percent);
  to->set_memory_percent(from.memory_percent);
  to->set_processors_active(from.processors_active);
  to->set_queue_depth(from.queue_depth);
  to->set_trouble(enum_out<proto::NodeTrouble>(from.trouble));
}
void get(const proto::NodeLoad& from, NodeLoad& to, Check& check) {
  number_in(from.cpu_percent(), to.cpu_percent, check);
  number_in(from.memory_percent(), to.memory_percent, check);
  to.processors_active = from.processors_active();
  to.queue_depth = from.queue_depth();
  enum_in(from.trouble(), NodeTrouble::disk_full, to.trouble, check, "trouble");
}

void put(const MemberInfo& from, proto::MemberInfo* to) {
  to->set_incarnation(from.incarnation.value);
  to->set_node(from.node.value);
  put(from.address, to->mutable_address());
  put(from.api_address, to->mutable_api_address());
  put(from.labels, to->mutable_labels());
  put(from.metadata, to->mutable_metadata());
  auto* capacity = to->mutable_capacity();
  capacity->set_cpu_cores(from.capacity.cpu_cores);
  capacity->set_memory_gb(from.capacity.memory_gb);
  capacity->set_processors_max(from.capacity.processors_max);
  capacity->set_connections_max(from.capacity.connections_max);
  to->set_software_version(from.software_version);
  to->set_boot(from.boot);
  to->set_started_at_ms(from.started_at_ms);
  for (const auto& root : from.file_roots) to->add_file_roots(root);
  to->set_start(from.start);
  to->set_machine(from.home.machine);
  to->set_device(from.home.device);
  to->set_inode(from.home.inode);
}
void get(const proto::MemberInfo& from, MemberInfo& to, Check& check) {
  check.that(from.has_capacity(), "a member without its capacity");
  to.incarnation.value = from.incarnation();
  to.node.value = from.node();
  get(from.address(), to.address, check);
  get(from.api_address(), to.api_address, check);
  get(from.labels(), to.labels, check);
  get(from.metadata(), to.metadata, check);
  to.capacity.cpu_cores = from.capacity().cpu_cores();
  to.capacity.memory_gb = from.capacity().memory_gb();
  to.capacity.processors_max = from.capacity().processors_max();
  to.capacity.connections_max = from.capacity().connections_max();
  to.software_version = from.software_version();
  to.boot = from.boot();
  to.started_at_ms = from.started_at_ms();
  to.file_roots.assign(from.file_roots().begin(), from.file_roots().end());
  to.start = from.start();
  to.home = {from.machine(), from.device(), from.inode()};
}

void put(const Member& from, proto::Member* to) {
  put(from.info, to->mutable_info());
  to->set_health(enum_out<proto::Health>(from.health));
  to->set_reason(enum_out<proto::HealthReason>(from.reason));
  to->set_quarantine_ms(from.quarantine_ms);
  to->set_quarantine_count(from.quarantine_count);
  to->set_draining(from.draining);
  to->set_leaving(from.leaving);
  to->set_voter(from.voter);
  to->set_admitted_at(from.admitted_at);
  to->set_forced(from.forced);
  to->set_holds_data(from.holds_data);
  to->set_work_at(from.work_at);
  to->set_heir(from.heir);
}
void get(const proto::Member& from, Member& to, Check& check) {
  get(from.info(), to.info, check);
  enum_in(from.health(), Health::stopped, to.health, check, "health");
  enum_in(from.reason(), HealthReason::behind, to.reason, check, "health reason");
  to.quarantine_ms = from.quarantine_ms();
  // The length of the quarantine is not known any more. The next leader ends it at the next good
  // check.
  if (from.quarantined_until_ms() != 0 && to.quarantine_ms == 0) to.quarantine_ms = 1;
  to.quarantine_count = from.quarantine_count();
  to.draining = from.draining();
  to.leaving = from.leaving();
  to.voter = from.voter();
  to.admitted_at = from.admitted_at();
  to.forced = from.forced();
  to.holds_data = from.holds_data();
  to.work_at = from.work_at();
  to.heir = from.heir();
}

void put(const ProcessorSpec& from, proto::ProcessorSpec* to) {
  put(from.id, to->mutable_id());
  to->set_name(from.name);
  to->set_type(from.type);
  put(from.properties, to->mutable_properties());
  to->set_flow(from.flow.value);
  to->set_replication(enum_out<proto::Replication>(from.replication));
  put(from.constraints.require, to->mutable_constraints()->mutable_require());
  put(from.constraints.prefer, to->mutable_constraints()->mutable_prefer());
  to->mutable_constraints()->set_spread(from.constraints.spread);
  to->set_node_local(from.node_local);
  for (const auto& name : from.terminate) to->add_terminate(name);
  for (const auto& path : from.files) to->add_files(path);
}
void get(const proto::ProcessorSpec& from, ProcessorSpec& to, Check& check) {
  check.that(from.has_id(), "a processor without its id");
  get(from.id(), to.id, check);
  to.name = from.name();
  to.type = from.type();
  get(from.properties(), to.properties, check);
  to.flow.value = from.flow();
  enum_in(from.replication(), Replication::async, to.replication, check, "replication");
  get(from.constraints().require(), to.constraints.require, check);
  get(from.constraints().prefer(), to.constraints.prefer, check);
  to.constraints.spread = from.constraints().spread();
  to.node_local = from.node_local();
  to.terminate.assign(from.terminate().begin(), from.terminate().end());
  to.files.assign(from.files().begin(), from.files().end());
}

void put(const ConnectionSpec& from, proto::ConnectionSpec* to) {
  put(from.id, to->mutable_id());
  put(from.from, to->mutable_from());
  to->set_relationship(from.relationship);
  put(from.to, to->mutable_to());
  to->set_count_max(from.count_max);
  to->set_bytes_max(from.bytes_max);
}
void get(const proto::ConnectionSpec& from, ConnectionSpec& to, Check& check) {
  check.that(from.has_id() && from.has_from() && from.has_to(), "a connection without its ends");
  get(from.id(), to.id, check);
  get(from.from(), to.from, check);
  to.relationship = from.relationship();
  get(from.to(), to.to, check);
  to.count_max = from.count_max();
  to.bytes_max = from.bytes_max();
}

void put(const FlowSpec& from, proto::FlowSpec* to) {
  to->set_id(from.id.value);
  to->set_name(from.name);
  put_all(from.processors, to->mutable_processors());
  put_all(from.connections, to->mutable_connections());
}
void get(const proto::FlowSpec& from, FlowSpec& to, Check& check) {
  to.id.value = from.id();
  to.name = from.name();
  get_all(from.processors(), to.processors, check);
  get_all(from.connections(), to.connections, check);
}

void put(const Checkpoint& from, proto::Checkpoint* to) {
  put(from.epoch, to->mutable_epoch());
  to->set_sequence(from.sequence);
  to->set_bytes(from.bytes);
}
void get(const proto::Checkpoint& from, Checkpoint& to, Check& check) {
  check.that(from.has_epoch(), "a checkpoint without its epoch");
  get(from.epoch(), to.epoch, check);
  to.sequence = from.sequence();
  to.bytes = from.bytes();
}

void put(const Assignment& from, proto::Assignment* to) {
  put(from.processor, to->mutable_processor());
  to->set_owner(from.owner.value);
  put(from.epoch, to->mutable_epoch());
  to->set_state(enum_out<proto::RunState>(from.state));
  to->set_releasing(from.releasing);
  to->set_reason(from.reason);
  to->set_assigned_at_ms(from.assigned_at_ms);
  to->set_wanted(from.wanted);
  to->set_pinned(from.pinned.value);
  if (from.checkpoint != Checkpoint{}) put(from.checkpoint, to->mutable_checkpoint());
  to->set_deleted(from.deleted);
  to->set_detail(from.detail);
  to->set_reported_at_ms(from.reported_at_ms);
  to->set_wish(from.wish.value);
  to->set_spec_index(from.spec_index);
}
void get(const proto::Assignment& from, Assignment& to, Check& check) {
  check.that(from.has_processor() && from.has_epoch(), "an assignment without processor or epoch");
  get(from.processor(), to.processor, check);
  to.owner.value = from.owner();
  get(from.epoch(), to.epoch, check);
  enum_in(from.state(), RunState::failed, to.state, check, "run state");
  to.releasing = from.releasing();
  to.reason = from.reason();
  to.assigned_at_ms = from.assigned_at_ms();
  to.wanted = from.wanted();
  to.pinned.value = from.pinned();
  if (from.has_checkpoint()) get(from.checkpoint(), to.checkpoint, check);
  to.deleted = from.deleted();
  to.detail = from.detail();
  to.reported_at_ms = from.reported_at_ms();
  to.wish.value = from.wish();
  to.spec_index = from.spec_index();
}

void put(const Parcel& from, proto::Parcel* to) {
  put(from.origin, to->mutable_origin());
  to->set_sequence(from.sequence);
  auto* file = to->mutable_file();
  put(from.file->id, file->mutable_id());
  put(from.file->attributes, file->mutable_attributes());
  file->set_content(from.file->content);
}
void get(const proto::Parcel& from, Parcel& to, Check& check) {
  check.that(from.has_origin() && from.has_file(), "a parcel without its origin or file");
  get(from.origin(), to.origin, check);
  to.sequence = from.sequence();
  auto file = std::make_shared<FlowFile>();
  get(from.file().id(), file->id, check);
  get(from.file().attributes(), file->attributes, check);
  file->content = from.file().content();
  to.file = std::move(file);
}

void put(const Event& from, proto::Event* to) {
  to->set_index(from.id.index);
  to->set_k(from.id.k);
  to->set_at_ms(from.at_ms);
  to->set_type(from.type);
  to->set_node(from.node);
  put(from.data, to->mutable_data());
}
void get(const proto::Event& from, Event& to, Check& check) {
  to.id = {from.index(), from.k()};
  to.at_ms = from.at_ms();
  to.type = from.type();
  to.node = from.node();
  get(from.data(), to.data, check);
}

void put(const Actor& from, proto::Actor* to) {
  to->set_name(from.name);
  to->set_address(from.address);
}
void get(const proto::Actor& from, Actor& to, Check&) { to = {from.name(), from.address()}; }

void put(const Token& from, proto::Token* to) {
  to->set_id(from.id);
  to->set_name(from.name);
  to->set_role(enum_out<proto::TokenRole>(from.role));
  to->set_hash(from.hash);
  to->set_created_ms(from.created_ms);
  to->set_expires_ms(from.expires_ms);
}
void get(const proto::Token& from, Token& to, Check& check) {
  to.id = from.id();
  to.name = from.name();
  enum_in(from.role(), TokenRole::admin, to.role, check, "role of a token");
  to.hash = from.hash();
  to.created_ms = from.created_ms();
  to.expires_ms = from.expires_ms();
}

void put(const RequestId& from, proto::RequestId* to) {
  to->set_from(from.from.value);
  to->set_counter(from.counter);
}
void get(const proto::RequestId& from, RequestId& to, Check&) {
  to = {Incarnation{from.from()}, from.counter()};
}

}  // namespace databridge::codec
