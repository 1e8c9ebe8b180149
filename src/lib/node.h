// A node in the real world: all of its parts, put together for any program that runs one.
//
// - Owns: clock, store, files, load probe, workers, network, engine, API server, access log and the
//   watchdog of the lease; the order in which they are made, and in which they end.
// - Hides: which setting goes to which part. Nothing here decides anything.
// - Thread: run() turns its caller's thread into the engine's. stop and reload may be called from
//   any thread as long as the node exists; open, run and the destructor come one after the other.
//
// Signals, exit codes and the memory of the process belong to the program. But the watchdog of this
// room may end the process, when work goes on after its lease (safety.md 1.6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lib/config.h"
#include "model/ids.h"

namespace databridge {

struct MemberInfo;

namespace api {
class HttpServer;
}
namespace cluster {
struct Timing;
}
namespace env {
class Clock;
class Discovery;
class Files;
class LoadProbe;
class Store;
class Workers;
}  // namespace env
namespace flow {
class Types;
}
namespace node {
class Engine;
struct EngineOptions;
}  // namespace node
namespace platform {
class AppendFile;
class Expiry;
class LastWill;
class Log;
class Network;
class Repeater;
}  // namespace platform

}  // namespace databridge

namespace databridge::lib {

class CallbackEmbedder;
class EngineBackend;
struct ClusterFiles;

// What a program that embeds a node adds to it.
struct Embedding {
  // Called on the engine's thread after each publish of a view. It must be cheap.
  std::function<void()> on_publish;
  // They must outlive the node. Null: those of the program, and nobody runs external processors.
  const flow::Types* types = nullptr;
  std::function<std::unique_ptr<CallbackEmbedder>()> embedder;
};

class Node {
 public:
  // Opens the data directory and builds all parts. The API listens then, and nothing runs yet.
  // `log` and `will` (null: there is no guardian) must outlive the node. The warnings of the
  // settings go to the log. A failure goes there, too, before any part is taken down again.
  // Code::unprocessable: an operator must correct the settings or the data directory first, so a
  // new start does not help.
  static Result<std::unique_ptr<Node>> open(Config config, platform::Log& log,
                                            platform::LastWill* will = nullptr,
                                            Embedding embedding = {});
  ~Node();

  // Runs the node once, until stop() is done or the node has failed.
  void run();

  // After run(): no peer and no client reaches this node any more. It returns once the embedding
  // program and all triggers have ended, since a port that is closed says so to the other nodes.
  void close();

  // Hands leadership over, stops the processors with their checkpoints, and lets run() return.
  // If it is called before run(), then run() returns soon.
  void stop();

  // Opens the access log again, since a rotation may have renamed it, and reads the certificates,
  // the join token and the API's tokens again, for later connections. `read` gives the settings
  // again; of these, only the log level can change while the node runs. Failures go to the log, and
  // then the old ones stay.
  void reload(const std::function<Result<Config>()>& read);

  // After run():
  const std::optional<Error>& failure() const { return failure_; }  // Nullopt: it was told to stop.
  // The data directory is an older copy. A node that is opened next sets it aside and begins anew.
  bool comes_back() const;

  uint16_t api_port() const;  // 0: there is no API.
  EngineBackend& backend() { return *backend_; }
  // As Engine::save(). Any thread.
  void save(const Uuid& processor, Epoch epoch, std::string state,
            std::function<void(Result<void>)> saved);

 private:
  Node(Config config, platform::Log& log, platform::LastWill* will, Embedding embedding);
  Result<void> build();
  Result<void> read_files();
  Result<void> open_store();
  Result<void> take_name();
  void reload_cluster_files();
  Result<void> open_files();
  void make_network();
  Result<void> make_discovery();
  Result<void> open_engine(const cluster::Timing& timing);
  Result<void> serve_api();
  void reload_api_files();
  MemberInfo member_info() const;
  node::EngineOptions engine_options(const cluster::Timing& timing);

  Config config_;
  platform::Log& log_;
  platform::LastWill* const will_;
  const Embedding embedding_;
  std::vector<std::string> file_roots_;  // The roots that other nodes are told of.
  size_t api_connections_ = 0;           // The most API connections at one time.
  std::optional<Error> failure_;

  // The parts end from the last to the first, which is not the reverse of how they are made.
  std::unique_ptr<platform::Expiry> expiry_;
  std::unique_ptr<ClusterFiles> cluster_files_;
  std::unique_ptr<env::Clock> clock_;
  std::unique_ptr<env::Files> files_;
  std::unique_ptr<env::LoadProbe> probe_;
  std::unique_ptr<platform::AppendFile> access_log_;  // The API server writes to it.
  std::unique_ptr<CallbackEmbedder> embedder_;        // Null: nobody runs external processors.
  std::unique_ptr<node::Engine> engine_;              // All below call it, so it ends after them.
  std::unique_ptr<env::Store> store_;  // Its thread tells the engine which writes are durable.
  std::unique_ptr<platform::Repeater> watchdog_;  // Watches until the last trigger has returned.
  std::unique_ptr<env::Workers> workers_;         // They end with their last job.
  std::unique_ptr<platform::Network> network_;
  std::unique_ptr<env::Discovery> discovery_;  // Null: only seeds.
  std::unique_ptr<EngineBackend> backend_;
  std::unique_ptr<api::HttpServer> http_;  // Null: there is no API.
};

}  // namespace databridge::lib
