// The public ClusterManager and its parts: each call as a request to the cluster, or as a look at
// the newest view.
#include <databridge/cluster.h>

#include <utility>

#include "api/body.h"
#include "flow/flow_yaml.h"
#include "lib/cluster.h"
#include "lib/cluster_settings.h"
#include "lib/custom_type.h"
#include "lib/statistics.h"
#include "model/command.h"
#include "placement/rebalance.h"
#include "platform/log.h"

namespace databridge {

using cluster::Answer;
using cluster::Change;
using cluster::ViewPtr;

namespace {

Result<void> done(const Answer& answer) {
  if (!answer) return tl::make_unexpected(answer.error());
  return {};
}

std::optional<std::string> owner_of(const ViewPtr& view, const Uuid& id) {
  const Assignment* assignment = view ? view->state.assignments().find(id) : nullptr;
  if (assignment == nullptr || assignment->deleted || !assignment->owner) return std::nullopt;
  const Member* owner = view->state.member(assignment->owner);
  if (owner == nullptr) return std::nullopt;
  return owner->info.node.value;
}

// The processor as the cluster knows it, or a new one.
ProcessorSpec external(const ViewPtr& view, const Uuid& id,
                       std::map<std::string, std::string> properties) {
  const ProcessorSpec* known = view ? view->state.processors().find(id) : nullptr;
  if (known != nullptr && (properties.empty() || properties == known->properties)) return *known;
  ProcessorSpec spec;
  spec.id = id;
  spec.type = "external";
  spec.name = "external-" + id.text().substr(24);
  spec.properties = std::move(properties);
  return spec;
}

// The inverse of Epoch::number().
Epoch epoch_of(uint64_t number) {
  return {static_cast<uint32_t>(number >> 40), number & ((uint64_t{1} << 40) - 1)};
}

}  // namespace

Result<std::unique_ptr<ClusterManager>> ClusterManager::create(const ClusterConfig& config,
                                                               Callbacks callbacks) {
  auto settings = lib::read_settings(config);
  if (!settings) return tl::make_unexpected(settings.error());
  lib::Cluster::Options options;
  options.start_timeout = config.start_timeout;
  options.discovery = lib::name(config.discovery);
  return std::unique_ptr<ClusterManager>(new ClusterManager(std::make_unique<lib::Cluster>(
      std::move(*settings), std::move(options), std::move(callbacks))));
}

ClusterManager::ClusterManager(std::unique_ptr<lib::Cluster> cluster)
    : cluster_(std::move(cluster)),
      load_balancer_(*cluster_),
      health_checker_(*cluster_),
      node_discovery_(*cluster_) {}

ClusterManager::~ClusterManager() = default;

Result<void> ClusterManager::start() { return cluster_->start(); }
Result<void> ClusterManager::stop() { return cluster_->stop(); }
std::optional<Error> ClusterManager::failure() const { return cluster_->failure(); }

bool ClusterManager::is_leader() const {
  const ViewPtr view = cluster_->view();
  return view && view->leader && view->leader == view->self.incarnation && view->has_quorum;
}

Result<std::string> ClusterManager::leader() const {
  const ViewPtr view = cluster_->view();
  const Member* leader = view && view->leader ? view->state.member(view->leader) : nullptr;
  if (leader == nullptr) return tl::make_unexpected(Error{Code::no_leader, "no leader is known"});
  return leader->info.node.value;
}

std::string ClusterManager::node_id() const {
  const ViewPtr view = cluster_->view();
  return view ? view->self.node.value : std::string();
}

Result<std::string> ClusterManager::assign_processor(
    const Uuid& id, std::map<std::string, std::string> properties) {
  if (id.empty()) {
    return tl::make_unexpected(Error{Code::invalid, "the nil uuid names no processor"});
  }
  const Answer answer =
      cluster_->ask(cluster::Place{external(cluster_->view(), id, std::move(properties))});
  if (!answer) return tl::make_unexpected(answer.error());
  const ViewPtr view = cluster_->view();
  if (auto owner = owner_of(view, id)) return *owner;
  const Assignment* assignment = view->state.assignments().find(id);
  if (assignment == nullptr || assignment->deleted) {
    return tl::make_unexpected(Error{Code::conflict, "the processor has been deleted since"});
  }
  return tl::make_unexpected(
      Error{Code::unavailable, "no node can take the processor: " + assignment->reason});
}

std::optional<std::string> ClusterManager::processor_assignment(const Uuid& id) const {
  return owner_of(cluster_->view(), id);
}

Result<void> ClusterManager::unassign_processor(const Uuid& id) {
  return done(cluster_->ask(Change{DeleteProcessor{id}}));
}

Result<void> ClusterManager::move_processor(const Uuid& id, const std::string& node) {
  const Answer answer = cluster_->ask(cluster::MoveWork{id, NodeId(node), false});
  if (!answer) return tl::make_unexpected(answer.error());
  const auto owner = owner_of(cluster_->view(), id);
  if (owner == node) return {};
  return tl::make_unexpected(
      Error{Code::conflict, "the processor is " + (owner ? "on " + *owner : "on no node") +
                                ": its move to " + node + " was changed or has no effect yet"});
}

Result<RebalanceSummary> ClusterManager::rebalance() {
  const Answer answer = cluster_->ask(cluster::Rebalance{});
  if (!answer) return tl::make_unexpected(answer.error());
  return lib::summary_of(*cluster_->view(), answer->plan.value_or(placement::Plan{}));
}

Result<void> ClusterManager::apply_flow(std::string_view yaml) {
  auto flow = cluster_->parse_flow(yaml);
  if (!flow) return tl::make_unexpected(flow.error());
  return done(cluster_->ask(Change{PutFlow{std::move(*flow)}}));
}

Result<void> ClusterManager::delete_flow(const std::string& id) {
  return done(cluster_->ask(Change{DeleteFlow{FlowId(id)}}));
}

LoadBalancer& ClusterManager::load_balancer() { return load_balancer_; }
HealthChecker& ClusterManager::health_checker() { return health_checker_; }
NodeDiscovery& ClusterManager::node_discovery() { return node_discovery_; }

ClusterStatistics ClusterManager::statistics() const {
  const ViewPtr view = cluster_->view();
  return view ? lib::cluster_statistics(*view) : ClusterStatistics{};
}

Subscription ClusterManager::subscribe(EventId since,
                                       std::function<void(const ClusterEvent&)> on_event,
                                       std::function<void(const Error&)> on_end) {
  return Subscription(cluster_->subscribe(since, {std::move(on_event), std::move(on_end)}));
}

// ---- An engine that embeds the node

Result<void> ClusterManager::save(const Uuid& id, uint64_t epoch, std::string bytes) {
  return cluster_->save(id, epoch_of(epoch), std::move(bytes));
}

Result<void> ClusterManager::register_processor(std::string type, std::vector<Property> properties,
                                                ProcessorFactory factory, ProcessorTraits traits) {
  return cluster_->add_type(std::make_unique<lib::CustomType>(
      std::move(type), std::move(properties), std::move(factory), std::move(traits)));
}

// ---- Shared configuration

Result<void> ClusterManager::put_config(std::string_view key, std::string_view json,
                                        std::optional<uint64_t> expected) {
  if (key.empty() || key.size() > kConfigKeyMax) {
    return tl::make_unexpected(
        Error{Code::invalid, "a key has 1 to " + std::to_string(kConfigKeyMax) + " bytes"});
  }
  if (json.size() > kConfigValueMax) {
    return tl::make_unexpected(Error{
        Code::too_large, "a value has at most " + std::to_string(kConfigValueMax) + " bytes"});
  }
  auto body = api::parse_json(std::string(json));
  if (!body) return tl::make_unexpected(body.error());
  return done(cluster_->ask(
      Change{SetConfig{std::string(key), std::string(body->root().json()), expected}}));
}

Result<void> ClusterManager::delete_config(std::string_view key, std::optional<uint64_t> expected) {
  return done(cluster_->ask(Change{DeleteConfig{std::string(key), expected}}));
}

std::optional<ConfigEntry> ClusterManager::config(std::string_view key) const {
  const ViewPtr view = cluster_->view();
  const ConfigItem* item = view ? view->state.config().find(std::string(key)) : nullptr;
  if (item == nullptr) return std::nullopt;
  return ConfigEntry{item->json, item->version};
}

// ---- Its parts

Strategy LoadBalancer::strategy() const {
  const ViewPtr view = cluster_.view();
  return view ? view->state.strategy() : Strategy::least_loaded;
}

Result<void> LoadBalancer::set_strategy(Strategy strategy) {
  return done(cluster_.ask(Change{SetStrategy{strategy}}));
}

bool LoadBalancer::should_rebalance() const {
  const ViewPtr view = cluster_.view();
  return view && placement::imbalance(view->state, view->soft)
                     .exceeds(cluster_.config().cluster.rebalance_threshold);
}

LoadDistribution LoadBalancer::load_distribution() const {
  const ViewPtr view = cluster_.view();
  return view ? lib::load_distribution(*view) : LoadDistribution{};
}

HealthStatistics HealthChecker::statistics() const {
  const ViewPtr view = cluster_.view();
  return view ? lib::health_statistics(*view) : HealthStatistics{};
}

bool HealthChecker::is_node_healthy(const std::string& node) const {
  const ViewPtr view = cluster_.view();
  return view && lib::is_node_healthy(*view, node);
}

Result<void> HealthChecker::force_health_check(const std::string& node) {
  const ViewPtr before = cluster_.view();
  const Answer answer = cluster_.ask(cluster::CheckNode{NodeId(node)});
  if (!answer) return tl::make_unexpected(answer.error());
  const int64_t heard = before ? lib::heard_ms(*before, node) : 0;
  if (lib::heard_ms(*cluster_.view(), node) > heard) return {};
  return tl::make_unexpected(Error{Code::timed_out, node + " did not answer the check"});
}

std::vector<DiscoveredNode> NodeDiscovery::discovered_nodes() const {
  const ViewPtr view = cluster_.view();
  return view ? lib::discovered_nodes(*view) : std::vector<DiscoveredNode>{};
}

DiscoveryStatistics NodeDiscovery::statistics() const {
  DiscoveryStatistics all;
  all.method = cluster_.discovery();
  all.seeds = static_cast<uint32_t>(cluster_.config().cluster.seeds.size());
  const ViewPtr view = cluster_.view();
  if (!view) return all;
  const HealthStatistics health = lib::health_statistics(*view);
  all.known_nodes = health.total_nodes;
  all.active_nodes = health.healthy_nodes;
  return all;
}

// ---- Subscriptions

Subscription::Subscription() = default;
Subscription::Subscription(std::shared_ptr<lib::EventFeed> feed) : feed_(std::move(feed)) {}
Subscription::Subscription(Subscription&& other) noexcept = default;
Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  if (feed_) feed_->close();
  feed_ = std::move(other.feed_);
  return *this;
}
Subscription::~Subscription() {
  if (feed_) feed_->close();
}
EventId Subscription::last() const { return feed_ ? feed_->last() : EventId{}; }
std::optional<Error> Subscription::failure() const {
  return feed_ ? feed_->failure() : std::nullopt;
}

}  // namespace databridge
