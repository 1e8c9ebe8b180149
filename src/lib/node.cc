#include "lib/node.h"

#include <databridge/version.h>

#include <algorithm>
#include <utility>

#include "api/http.h"
#include "cluster/timing.h"
#include "env/clock.h"
#include "env/discovery.h"
#include "env/files.h"
#include "env/load_probe.h"
#include "env/store.h"
#include "env/workers.h"
#include "flow/units.h"
#include "lib/api_files.h"
#include "lib/backend.h"
#include "lib/callback_embedder.h"
#include "lib/cluster_files.h"
#include "lib/network_rule.h"
#include "node/engine.h"
#include "node/identity.h"
#include "node/raft_coordinators.h"
#include "platform/append_file.h"
#include "platform/clock.h"
#include "platform/data_dir.h"
#include "platform/dns_discovery.h"
#include "platform/etcd_discovery.h"
#include "platform/expiry.h"
#include "platform/files.h"
#include "platform/load_probe.h"
#include "platform/log.h"
#include "platform/multicast.h"
#include "platform/network.h"
#include "platform/process.h"
#include "platform/secret.h"
#include "platform/store.h"
#include "platform/system.h"
#include "platform/watchdog.h"
#include "platform/workers.h"

namespace databridge::lib {
namespace {

platform::LogLevel level_of(cluster::Weight weight) {
  switch (weight) {
    case cluster::Weight::debug:
      return platform::LogLevel::debug;
    case cluster::Weight::info:
      return platform::LogLevel::info;
    case cluster::Weight::warning:
      return platform::LogLevel::warn;
    case cluster::Weight::error:
      break;
  }
  return platform::LogLevel::error;
}

// Both ports are checked before anything is written, so that a start that cannot serve leaves
// nothing behind.
Result<void> check_ports(const Config& config) {
  const Address api{config.api.address, config.api.port};
  const Address cluster{config.cluster.bind_host, config.cluster.bind_port};
  if (config.api.enabled) {
    if (auto free = platform::check_can_listen(api); !free) return free;
  }
  if (config.cluster.enabled) {
    if (auto free = platform::check_can_listen(cluster); !free) return free;
  }
  return {};
}

// Work that has not returned long after the end of its lease must not go on, so the watchdog ends
// the process (safety.md 1.6).
std::unique_ptr<platform::Repeater> watch_leases(const node::Engine& engine,
                                                 const env::Clock& clock, Duration stop_budget) {
  const Duration interval = stop_budget / 4;
  return platform::make_watchdog(
      interval, [watch = node::LeaseWatch(engine.lease_board(), interval, stop_budget),
                 &clock]() mutable { return watch.look(clock.now()); });
}

}  // namespace

Node::Node(Config config, platform::Log& log, platform::LastWill* will, Embedding embedding)
    : config_(std::move(config)), log_(log), will_(will), embedding_(std::move(embedding)) {}

// The order of the members in node.h is the order in which the parts end, from last to first. What
// the embedding program runs ends before, while the watchdog watches.
Node::~Node() {
  if (embedder_) embedder_->finish();
}

Result<std::unique_ptr<Node>> Node::open(Config config, platform::Log& log,
                                         platform::LastWill* will, Embedding embedding) {
  std::unique_ptr<Node> node(new Node(std::move(config), log, will, std::move(embedding)));
  if (auto built = node->build(); !built) {
    log.write(platform::LogLevel::error, "node", built.error().message);
    return tl::make_unexpected(built.error());
  }
  return node;
}

Result<void> Node::build() {
  for (const std::string& warning : config_.warnings) {
    log_.write(platform::LogLevel::warn, "node", warning);
  }
  const auto timing =
      cluster::Timing::from(config_.cluster.heartbeat_timeout, config_.cluster.election_timeout,
                            config_.cluster.failure_threshold, config_.cluster.recovery_threshold);
  // The times do not fit together, and a new start with the same settings would not help.
  if (!timing) return fail(Code::unprocessable, timing.error().message);
  if (auto read = read_files(); !read) return read;
  if (auto free = check_ports(config_); !free) return free;
  if (auto fine = check_api_files(config_.api); !fine) return fine;
  api_connections_ = api::connections_allowed(api::HttpOptions().connections_max);
  clock_ = platform::make_clock();
  if (auto opened = open_store(); !opened) return opened;
  if (auto named = take_name(); !named) return named;
  if (auto opened = open_files(); !opened) return opened;
  probe_ = platform::make_load_probe(*clock_);
  workers_ = platform::make_workers();
  if (embedding_.embedder) embedder_ = embedding_.embedder();
  make_network();
  if (auto made = make_discovery(); !made) return made;
  if (auto opened = open_engine(*timing); !opened) return opened;
  backend_ = std::make_unique<EngineBackend>(
      *engine_, config_.warnings, embedding_.types ? *embedding_.types : flow::builtin_types(),
      *expiry_, embedding_.on_publish);
  if (config_.api.enabled) {
    if (auto served = serve_api(); !served) return served;
  }
  watchdog_ = watch_leases(*engine_, *clock_, timing->stop_budget);
  return {};
}

Result<void> Node::read_files() {
  expiry_ = std::make_unique<platform::Expiry>([&log = log_](const std::string& line) {
    log.write(platform::LogLevel::warn, "node", line);
  });
  cluster_files_ = std::make_unique<ClusterFiles>();
  if (!config_.cluster.enabled) return {};
  auto files = read_cluster_files(config_.cluster);
  if (!files) return tl::make_unexpected(files.error());
  *cluster_files_ = std::move(*files);
  const auto& tls = cluster_files_->tls;
  if (tls.context) expiry_->set("cluster", config_.cluster.tls_cert, tls.ends);
  return {};
}

// Under TLS a node has the name that its certificate gives it.
Result<void> Node::take_name() {
  if (!cluster_files_->tls.context) return {};
  const auto kept = node::read_node_name(*store_);
  if (!kept) return tl::make_unexpected(kept.error());
  auto name = name_by_certificate(cluster_files_->tls.own, config_.cluster.tls_cert,
                                  NodeId(config_.cluster.node_id), *kept);
  if (!name) return tl::make_unexpected(name.error());
  config_.cluster.node_id = std::move(name->value);
  return {};
}

// A data directory that must not be used any more is set aside. A new incarnation begins in its
// place, and takes over the node's name and the addresses of the members that were known.
Result<void> Node::open_store() {
  const std::string& path = config_.node.data_dir;
  auto store = platform::open_store({.directory = path});
  if (!store) return tl::make_unexpected(store.error());
  store_ = std::move(*store);
  const auto renounced = node::read_renounced(*store_);
  if (!renounced) return tl::make_unexpected(renounced.error());
  if (!*renounced) return {};
  store_.reset();
  const auto folder =
      platform::DataDir::set_aside(path, (*renounced)->node.value + "\n" + (*renounced)->members);
  if (!folder) return tl::make_unexpected(folder.error());
  log_.write(platform::LogLevel::warn, "node",
             "the old content of the data directory was moved to " + *folder +
                 ", and a new incarnation begins (" + (*renounced)->why +
                 "); remove that folder when you do not need it any more");
  store = platform::open_store({.directory = path});
  if (!store) return tl::make_unexpected(store.error());
  store_ = std::move(*store);
  return {};
}

Result<void> Node::open_files() {
  platform::FilesOptions options;
  options.roots = config_.node.file_root;
  auto real = platform::real_directories(options.roots);
  if (!real) return tl::make_unexpected(real.error());
  // A path may be written with the real path of a root or with the path that was given.
  file_roots_ = std::move(*real);
  for (const std::string& root : options.roots) {
    std::string given = flow::normal_path(root);
    if (given.size() > 1 && given.ends_with('/')) given.pop_back();
    if (std::ranges::find(file_roots_, given) == file_roots_.end()) {
      file_roots_.push_back(std::move(given));
    }
  }
  auto machine = platform::machine_name(config_.node.data_dir);
  if (!machine) return tl::make_unexpected(machine.error());
  options.host = std::move(*machine);
  auto opened = platform::make_files(options);
  if (!opened) return tl::make_unexpected(opened.error());
  files_ = std::move(*opened);
  return {};
}

void Node::make_network() {
  platform::NetworkOptions options;
  if (config_.cluster.enabled) {
    options.listen = {config_.cluster.bind_host, config_.cluster.bind_port};
  }
  options.address_book = config_.node.data_dir + "/addresses";
  options.will = will_;
  options.tls = std::move(cluster_files_->tls);
  options.join_token = std::move(cluster_files_->join_token);
  cluster_files_.reset();  // No copy of a secret outlives its use.
  options.on_trouble = [&log = log_](const std::string& line) {
    log.write(platform::LogLevel::warn, "network", line);
  };
  network_ = platform::make_network(std::move(options));
}

// What other nodes are found by, besides the seeds. It begins when the engine does.
Result<void> Node::make_discovery() {
  const Config::Cluster& cluster = config_.cluster;
  if (!cluster.enabled || cluster.discovery == "static") return {};
  if (cluster.discovery == "multicast") {
    platform::MulticastOptions options;
    options.group = cluster.multicast.group;
    options.port = cluster.multicast.port;
    options.interface = cluster.multicast.interface;
    const auto reach = reach_of(cluster.bind_host);
    if (options.interface.empty() && reach && *reach != Reach::wildcard) {
      options.interface = cluster.bind_host;
    }
    if (!cluster.join_token_file.empty()) {
      auto token = platform::read_secret(cluster.join_token_file);
      if (!token) return fail(Code::unprocessable, token.error().message);
      options.token = std::move(*token);
    }
    discovery_ = platform::make_multicast(std::move(options));
  } else if (cluster.discovery == "dns") {
    discovery_ = platform::make_dns_discovery(
        {.name = cluster.dns_name, .memory = config_.node.data_dir + "/sightings"});
  } else {
    discovery_ = platform::make_etcd_discovery({.endpoints = cluster.etcd_endpoints});
  }
  return {};
}

MemberInfo Node::member_info() const {
  const env::Machine machine = probe_->machine();
  MemberInfo self;
  self.node = NodeId(config_.cluster.node_id);
  self.address = config_.cluster.advertise;
  self.api_address = config_.api.advertise;
  self.labels = config_.cluster.labels;
  self.capacity.cpu_cores = machine.cpu_cores;
  self.capacity.memory_gb = machine.memory_gb;
  self.capacity.processors_max = config_.node.max_processors;
  self.capacity.connections_max = static_cast<uint32_t>(api_connections_);
  self.metadata["host"] = platform::this_process().host_boot_id;
  self.software_version = version;
  self.started_at_ms = clock_->unix_ms();
  self.file_roots = file_roots_;
  return self;
}

node::EngineOptions Node::engine_options(const cluster::Timing& timing) {
  node::EngineOptions options;
  options.self = member_info();
  options.process = platform::this_process(config_.node.data_dir);
  if (config_.cluster.enabled) {
    options.seeds = config_.cluster.seeds;
    // 0: the engine counts the seeds, of which one may turn out to be this node itself.
    options.expect = config_.cluster.expect_is_counted ? 0 : config_.cluster.bootstrap_expect;
    options.wanted = ClusterId(config_.cluster.id);
  }
  options.clustered = config_.cluster.enabled;
  options.coordinators = node::raft_coordinators(timing);
  options.leader.timing = timing;
  options.leader.replica_count = config_.cluster.replica_count;
  options.leader.voter_replace_after = config_.cluster.voter_replace_after;
  options.leader.stale_after = config_.cluster.stale_after;
  options.leader.trust_refused = config_.cluster.trust_refused;
  options.leader.rebalance = {config_.cluster.rebalance_window, config_.cluster.rebalance_threshold,
                              config_.cluster.rebalance_auto};
  if (const auto heritage = platform::read_file(platform::heritage_path(config_.node.data_dir))) {
    const size_t line = std::min(heritage->find('\n'), heritage->size());
    options.heritage.node = NodeId(heritage->substr(0, line));
    options.heritage.members = heritage->substr(std::min(line + 1, heritage->size()));
  }
  options.disk_free_min = config_.node.disk_free_min.bytes;
  options.disk_free_percent = config_.node.disk_free_min.percent;
  options.events_kept = config_.events_retention;
  options.types = embedding_.types;
  options.embedder = embedder_.get();
  options.log = [&log = log_](cluster::Weight weight, const std::string& text) {
    log.write(level_of(weight), "node", text);
  };
  options.on_fatal = [this](const Error& error) { failure_ = error; };
  return options;
}

Result<void> Node::open_engine(const cluster::Timing& timing) {
  auto engine = node::Engine::open(engine_options(timing),
                                   {*clock_, *store_, *network_, *workers_, *files_, *probe_,
                                    platform::entropy64(), discovery_.get()});
  if (!engine) return tl::make_unexpected(engine.error());
  engine_ = std::move(*engine);
  return {};
}

Result<void> Node::serve_api() {
  api::HttpOptions options;
  options.address = config_.api.address;
  options.port = config_.api.port;
  options.hosts = {config_.api.advertise.host};
  options.seed = platform::entropy64();
  options.connections_max = api_connections_;
  options.streams_max = api_connections_ * 3 / 4;
  options.on_trouble = [&log = log_](const std::string& line) {
    log.write(platform::LogLevel::warn, "api", line);
  };
  if (!config_.api.access_log.empty()) {
    auto file = platform::open_append_file(config_.api.access_log);
    if (!file) return tl::make_unexpected(file.error());
    access_log_ = std::move(*file);
    options.access_log = [&file = *access_log_](std::string_view lines) { file.append(lines); };
  }
  auto tokens = load_tokens(config_.api);
  if (!tokens) return tl::make_unexpected(tokens.error());
  options.tokens = std::move(*tokens);
  auto tls = load_tls(config_.api);
  if (!tls) return tl::make_unexpected(tls.error());
  if (tls->context) expiry_->set("api", config_.api.tls_cert, tls->ends);
  options.tls = std::move(*tls);
  auto http = api::HttpServer::start(*backend_, std::move(options));
  if (!http) return tl::make_unexpected(http.error());
  http_ = std::move(*http);
  return {};
}

void Node::run() {
  const std::string api =
      http_ ? " serves the API on " + config_.api.address + ":" + std::to_string(api_port())
            : " serves no API";
  log_.write(platform::LogLevel::info, "node",
             engine_->identity().node.value + api +
                 (config_.cluster.enabled ? " and the cluster on " + config_.cluster.bind_host +
                                                ":" + std::to_string(config_.cluster.bind_port)
                                          : "; it stands alone"));
  engine_->start();
  engine_->run();
  if (embedder_) embedder_->end_all();
  log_.write(platform::LogLevel::info, "node", failure_ ? "ends after a failure" : "ends");
}

void Node::close() {
  if (embedder_) embedder_->finish();
  workers_.reset();
  http_.reset();
  network_.reset();
}

void Node::stop() { engine_->stop(); }

void Node::reload_api_files() {
  if (!http_) return;
  const auto failed = [this](const Error& error) {
    log_.write(platform::LogLevel::error, "node",
               error.message + "; what was read before stays in force");
  };
  if (!config_.api.token_file.empty()) {
    auto tokens = load_tokens(config_.api);
    if (!tokens) {
      failed(tokens.error());
    } else {
      log_.write(platform::LogLevel::info, "node",
                 "tokens read again: " + std::to_string((*tokens)->size()) + " in " +
                     config_.api.token_file);
      http_->set_tokens(std::move(*tokens));
    }
  }
  if (config_.api.tls_cert.empty()) return;
  auto tls = load_tls(config_.api);
  if (!tls) return failed(tls.error());
  expiry_->set("api", config_.api.tls_cert, tls->ends);
  http_->set_tls(std::move(*tls));
  log_.write(platform::LogLevel::info, "node", "certificate read again: " + config_.api.tls_cert);
}

// A file that cannot be used is named in the log, and what was read before stays in force.
void Node::reload_cluster_files() {
  const Config::Cluster& cluster = config_.cluster;
  if (!cluster.enabled || (cluster.tls_cert.empty() && cluster.join_token_file.empty())) return;
  auto files = read_cluster_files(cluster);
  if (files && files->tls.context) {
    const auto name =
        name_by_certificate(files->tls.own, cluster.tls_cert, engine_->identity().node, NodeId());
    if (!name) files = tl::make_unexpected(name.error());
  }
  if (!files) {
    log_.write(platform::LogLevel::error, "node",
               files.error().message + "; what was read before stays in force");
    return;
  }
  if (files->tls.context) {
    expiry_->set("cluster", cluster.tls_cert, files->tls.ends);
    log_.write(platform::LogLevel::info, "node",
               "new links use the certificate in " + cluster.tls_cert + ", which is good until " +
                   platform::date_text(files->tls.own.ends));
  }
  network_->renew(std::move(files->tls), std::move(files->join_token));
}

void Node::save(const ProcessorId& processor, Epoch epoch, Bytes state,
                std::function<void(Result<void>)> saved) {
  engine_->save(processor, epoch, std::move(state), std::move(saved));
}

void Node::reload(const std::function<Result<Config>()>& read) {
  if (access_log_) {
    const auto reopened = access_log_->reopen();
    if (!reopened) log_.write(platform::LogLevel::error, "node", reopened.error().message);
  }
  reload_api_files();
  reload_cluster_files();
  const auto again = read();
  if (!again) {
    log_.write(platform::LogLevel::error, "node", again.error().message);
    return;
  }
  log_.set_level(platform::parse_log_level(again->log_level).value());
  log_.write(platform::LogLevel::info, "node", "configuration read again");
}

bool Node::comes_back() const { return engine_->comes_back(); }

uint16_t Node::api_port() const { return http_ ? http_->port() : uint16_t{0}; }

}  // namespace databridge::lib
