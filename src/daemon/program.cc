#include "daemon/program.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "api/http.h"
#include "cluster/timing.h"
#include "daemon/backend.h"
#include "env/clock.h"
#include "env/load_probe.h"
#include "flow/units.h"
#include "node/engine.h"
#include "node/raft_coordinators.h"
#include "platform/append_file.h"
#include "platform/clock.h"
#include "platform/data_dir.h"
#include "platform/files.h"
#include "platform/guardian.h"
#include "platform/load_probe.h"
#include "platform/log.h"
#include "platform/network.h"
#include "platform/process.h"
#include "platform/signals.h"
#include "platform/store.h"
#include "platform/system.h"
#include "platform/trimmer.h"
#include "platform/watchdog.h"
#include "platform/workers.h"

#ifndef DATABRIDGE_VERSION
#define DATABRIDGE_VERSION "0.1.0"
#endif

namespace databridge::daemon {

using lib::Config;

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

// The real world of one node, in the order of construction. Nothing here decides anything.
struct Node {
  std::unique_ptr<platform::Log> log;
  std::unique_ptr<env::Clock> clock;
  std::unique_ptr<env::Store> store;
  std::unique_ptr<env::Files> files;
  std::vector<std::string> file_roots;  // As the others hear them.
  std::unique_ptr<env::LoadProbe> probe;
  std::unique_ptr<node::Engine> engine;
  std::unique_ptr<env::Workers> workers;
  std::unique_ptr<platform::Network> network;
  std::unique_ptr<platform::AppendFile> access_log;
  std::unique_ptr<EngineBackend> backend;
  std::unique_ptr<api::HttpServer> http;
  std::unique_ptr<platform::Repeater> watchdog;
  std::unique_ptr<platform::Repeater> trimmer;
  std::unique_ptr<platform::Signals> signals;
  size_t api_connections = 0;  // At once.

  ~Node() {
    signals.reset();
    http.reset();
    backend.reset();
    network.reset();  // Who calls the engine goes before it.
    workers.reset();
    watchdog.reset();  // Until the last trigger has returned.
    store.reset();     // Its thread tells the engine what is durable.
    engine.reset();
  }
};

MemberInfo self_of(const Config& config, const Node& node) {
  const env::Machine machine = node.probe->machine();
  MemberInfo self;
  self.node = NodeId(config.cluster.node_id);
  self.address = config.cluster.advertise;
  self.api_address = config.api.advertise;
  self.labels = config.cluster.labels;
  self.capacity.cpu_cores = machine.cpu_cores;
  self.capacity.memory_gb = machine.memory_gb;
  self.capacity.processors_max = config.node.max_processors;
  self.capacity.connections_max = static_cast<uint32_t>(node.api_connections);
  self.metadata["host"] = platform::this_process().host_boot_id;
  self.software_version = DATABRIDGE_VERSION;
  self.started_at_ms = node.clock->unix_ms();
  self.file_roots = node.file_roots;
  return self;
}

node::Engine::Options engine_options(const Config& config, Node& node,
                                     const cluster::Timing& timing) {
  node::Engine::Options options;
  options.self = self_of(config, node);
  options.process = platform::this_process(config.node.data_dir);
  if (config.cluster.enabled) {
    options.seeds = config.cluster.seeds;
    options.expect = config.cluster.bootstrap_expect;
    options.wanted = ClusterId(config.cluster.id);
  }
  options.clustered = config.cluster.enabled;
  options.coordinators = node::raft_coordinators(timing);
  options.leader.timing = timing;
  options.leader.replica_count = config.cluster.replica_count;
  options.leader.voter_replace_after = config.cluster.voter_replace_after;
  options.leader.stale_after = config.cluster.stale_after;
  options.leader.trust_refused = config.cluster.trust_refused;
  options.leader.rebalance = {config.cluster.rebalance_window, config.cluster.rebalance_threshold,
                              config.cluster.rebalance_auto};
  if (const auto heritage = platform::read_file(platform::heritage_path(config.node.data_dir))) {
    const size_t line = std::min(heritage->find('\n'), heritage->size());
    options.heritage.node = NodeId(heritage->substr(0, line));
    options.heritage.members = heritage->substr(std::min(line + 1, heritage->size()));
  }
  options.disk_free_min = config.node.disk_free_min.bytes;
  options.disk_free_percent = config.node.disk_free_min.percent;
  options.events_kept = config.events_retention;
  options.log = [&log = *node.log](cluster::Weight weight, const std::string& text) {
    log.write(level_of(weight), "node", text);
  };
  return options;
}

// A data directory that must not be used any more is set aside; its name, and the addresses of
// those whom it knew, go to the new incarnation that begins in its place.
Result<void> open_store(const Config& config, Node& node) {
  const std::string& path = config.node.data_dir;
  auto store = platform::open_store({.directory = path});
  if (!store) return tl::make_unexpected(store.error());
  node.store = std::move(*store);
  const auto renounced = node::read_renounced(*node.store);
  if (!renounced) return tl::make_unexpected(renounced.error());
  if (!*renounced) return {};
  node.store.reset();
  const auto folder =
      platform::DataDir::set_aside(path, (*renounced)->node.value + "\n" + (*renounced)->members);
  if (!folder) return tl::make_unexpected(folder.error());
  node.log->write(platform::LogLevel::warn, "node",
                  "what its data directory held is in " + *folder +
                      " now, and a new incarnation begins (" + (*renounced)->why +
                      "); remove that folder once nothing in it is wanted");
  store = platform::open_store({.directory = path});
  if (!store) return tl::make_unexpected(store.error());
  node.store = std::move(*store);
  return {};
}

Result<void> build_world(const Config& config, Node& node, platform::LastWill* will) {
  // Both ports before anything is written: a start that cannot serve leaves nothing behind.
  const Address api{config.api.address, config.api.port};
  const Address cluster{config.cluster.bind_host, config.cluster.bind_port};
  if (auto free = platform::check_can_listen(api); !free) return free;
  if (config.cluster.enabled) {
    if (auto free = platform::check_can_listen(cluster); !free) return free;
  }
  node.api_connections = api::connections_allowed(api::HttpOptions().connections_max);
  node.clock = platform::make_clock();
  if (auto opened = open_store(config, node); !opened) return opened;
  platform::FilesOptions files;
  files.roots = config.node.file_root;
  auto real = platform::real_directories(files.roots);
  if (!real) return tl::make_unexpected(real.error());
  // A path may be written by either name of a root.
  node.file_roots = std::move(*real);
  for (const std::string& root : files.roots) {
    std::string given = flow::normal_path(root);
    if (given.size() > 1 && given.ends_with('/')) given.pop_back();
    if (std::ranges::find(node.file_roots, given) == node.file_roots.end()) {
      node.file_roots.push_back(std::move(given));
    }
  }
  auto machine = platform::machine_name(config.node.data_dir);
  if (!machine) return tl::make_unexpected(machine.error());
  files.host = std::move(*machine);
  auto opened = platform::make_files(files);
  if (!opened) return tl::make_unexpected(opened.error());
  node.files = std::move(*opened);
  node.probe = platform::make_load_probe(*node.clock);
  node.workers = platform::make_workers();
  platform::NetworkOptions network;
  if (config.cluster.enabled) network.listen = cluster;
  network.address_book = config.node.data_dir + "/addresses";
  network.will = will;
  network.on_trouble = [&log = *node.log](const std::string& line) {
    log.write(platform::LogLevel::warn, "network", line);
  };
  node.network = platform::make_network(std::move(network));
  return {};
}

Result<void> serve_api(const Config& config, Node& node) {
  api::HttpOptions options;
  options.address = config.api.address;
  options.port = config.api.port;
  options.hosts = {config.api.advertise.host};
  options.seed = platform::entropy64();
  options.connections_max = node.api_connections;
  options.streams_max = node.api_connections * 3 / 4;
  options.on_trouble = [&log = *node.log](const std::string& line) {
    log.write(platform::LogLevel::warn, "api", line);
  };
  if (!config.api.access_log.empty()) {
    auto file = platform::open_append_file(config.api.access_log);
    if (!file) return tl::make_unexpected(file.error());
    node.access_log = std::move(*file);
    options.access_log = [&file = *node.access_log](std::string_view lines) { file.append(lines); };
  }
  node.backend = std::make_unique<EngineBackend>(*node.engine, config.warnings);
  auto http = api::HttpServer::start(*node.backend, std::move(options));
  if (!http) return tl::make_unexpected(http.error());
  node.http = std::move(*http);
  return {};
}

// Work whose lease is long over and that still has not returned must not go on (safety.md 1.6).
std::unique_ptr<platform::Repeater> watch_leases(Node& node, Duration stop_budget) {
  const Duration interval = stop_budget / 4;
  return platform::make_watchdog(
      interval, [watch = node::LeaseWatch(node.engine->lease_board(), interval, stop_budget),
                 &clock = *node.clock]() mutable { return watch.look(clock.now()); });
}

int exit_code_of(const Error& error) {
  if (error.code == Code::gone) return kRemoved;
  // What was stored or sent is of a newer version.
  return error.code == Code::unprocessable ? kMisconfigured : kFailed;
}

std::unique_ptr<platform::Log> log_of(const Config& config) {
  return platform::make_log(platform::parse_log_level(config.log_level).value(),
                            platform::parse_log_format(config.log_format).value());
}

// One life of the node. `comes_back`: another one is to follow at once.
int run_once(const std::function<Result<Config>()>& read, platform::LastWill* will,
             bool& comes_back) {
  const auto given = read();
  if (!given) {
    std::fprintf(stderr, "databridge: %s\n", given.error().message.c_str());
    return kMisconfigured;
  }
  const Config& config = *given;
  Node node;
  node.log = log_of(config);
  platform::Log& log = *node.log;
  const auto fail_start = [&](const Error& error) {
    log.write(platform::LogLevel::error, "node", error.message);
    return exit_code_of(error);
  };
  for (const std::string& warning : config.warnings) {
    log.write(platform::LogLevel::warn, "node", warning);
  }
  const auto timing =
      cluster::Timing::from(config.cluster.heartbeat_timeout, config.cluster.election_timeout,
                            config.cluster.failure_threshold, config.cluster.recovery_threshold);
  if (!timing) return fail_start(timing.error()), kMisconfigured;
  if (auto built = build_world(config, node, will); !built) return fail_start(built.error());

  int code = 0;
  node::Engine::Options options = engine_options(config, node, *timing);
  options.on_fatal = [&code](const Error& error) { code = exit_code_of(error); };
  auto engine = node::Engine::open(
      std::move(options), {*node.clock, *node.store, *node.network, *node.workers, *node.files,
                           *node.probe, platform::entropy64()});
  if (!engine) return fail_start(engine.error());
  node.engine = std::move(*engine);
  if (auto served = serve_api(config, node); !served) return fail_start(served.error());

  node.watchdog = watch_leases(node, timing->stop_budget);
  node.trimmer = platform::trim_when_quiet(20s);
  node.signals = platform::handle_signals(
      {.stop = [&] { node.engine->stop(); },
       .reload =
           [&] {
             if (node.access_log) {
               const auto reopened = node.access_log->reopen();
               if (!reopened)
                 log.write(platform::LogLevel::error, "node", reopened.error().message);
             }
             const auto again = read();
             if (!again) {
               log.write(platform::LogLevel::error, "node", again.error().message);
               return;
             }
             log.set_level(platform::parse_log_level(again->log_level).value());
             log.write(platform::LogLevel::info, "node", "configuration read again");
           }});
  log.write(platform::LogLevel::info, "node",
            node.engine->identity().node.value + " serves the API on " + config.api.address + ":" +
                std::to_string(node.http->port()) +
                (config.cluster.enabled ? " and the cluster on " + config.cluster.bind_host + ":" +
                                              std::to_string(config.cluster.bind_port)
                                        : "; it stands alone"));
  node.engine->start();
  node.engine->run();
  log.write(platform::LogLevel::info, "node", code == 0 ? "ends" : "ends after a failure");
  comes_back = node.engine->comes_back();
  if (comes_back) return code;
  // At once, as by kill -9: over a disk that is full, RocksDB's own threads may abort the process
  // while it is taken down.
  if (code != 0) std::_Exit(code);
  return 0;
}

}  // namespace

int run_guarded(const Config& config, const std::function<int(platform::LastWill&)>& node) {
  const auto log = log_of(config);
  platform::GuardianOptions options;
  options.node = node;
  options.is_final = [](int code) { return code == kMisconfigured || code == kRemoved; };
  options.log = [&](const std::string& line) {
    log->write(platform::LogLevel::error, "guardian", line);
  };
  return platform::guard(options);
}

int run_node(const std::function<Result<Config>()>& read, platform::LastWill* will) {
  for (;;) {
    bool comes_back = false;
    const int code = run_once(read, will, comes_back);
    if (!comes_back) return code;
  }
}

}  // namespace databridge::daemon
