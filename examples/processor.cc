// Adds processor types to the flow engine, and runs a flow that uses them: one makes the content of
// each flow file loud, one counts and keeps what arrives. Then it checks what has arrived.
//
//   processor DIR [PORT]: the node keeps its data in DIR.
#include <databridge/cluster.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

// Puts a prefix before the content of each flow file, and writes it in capitals.
class Shout final : public databridge::Processor {
 public:
  explicit Shout(std::string prefix) : prefix_(std::move(prefix)) {}

  databridge::Result<void> on_trigger(databridge::Session& session,
                                      databridge::World& world) override {
    while (databridge::FlowFile* file = session.get()) {
      file->content = prefix_ + file->content;
      std::ranges::transform(file->content, file->content.begin(), [](unsigned char letter) {
        return static_cast<char>(std::toupper(letter));
      });
      file->attributes["shouted"] = "yes";
      session.transfer(file, "success");
      if (world.must_end()) break;
    }
    return {};
  }

 private:
  const std::string prefix_;
};

// What the flow has brought.
struct Kept {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> contents;
  std::string last_state;
};

// Ends the flow files. Its state says how many there were; it stays with the processor, wherever it
// runs next.
class Keep final : public databridge::Processor {
 public:
  explicit Keep(std::shared_ptr<Kept> kept) : kept_(std::move(kept)) {}

  databridge::Result<void> on_trigger(databridge::Session& session, databridge::World&) override {
    size_t count = session.state().empty() ? 0 : std::stoul(session.state());
    while (databridge::FlowFile* file = session.get()) {
      const std::lock_guard lock(kept_->mutex);
      kept_->contents.push_back(file->content);
      session.remove(file);
      ++count;
    }
    session.set_state(std::to_string(count));
    {
      const std::lock_guard lock(kept_->mutex);
      kept_->last_state = session.state();
    }
    kept_->changed.notify_all();
    return {};
  }

 private:
  const std::shared_ptr<Kept> kept_;
};

constexpr const char* kFlow = R"(
id: shouting
processors:
  - {name: make, type: GenerateFlowFile, properties: {interval: 10ms, count: "20", content: "hello ${index}"}}
  - {name: shout, type: Shout, properties: {prefix: "> "}}
  - {name: keep, type: Keep}
connections:
  - {from: make, relationship: success, to: shout}
  - {from: shout, relationship: success, to: keep}
)";

template <typename Value>
void need(const databridge::Result<Value>& result, const char* what) {
  if (result) return;
  std::fprintf(stderr, "%s: %s\n", what, result.error().message.c_str());
  std::exit(1);
}

void check(bool is_so, const char* what) {
  std::printf("%s %s\n", is_so ? "ok    " : "WRONG ", what);
  if (!is_so) std::exit(1);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s DIR [PORT]\n", arguments[0]);
    return 2;
  }
  databridge::ClusterConfig config;
  config.bind_port = static_cast<uint16_t>(count > 2 ? std::atoi(arguments[2]) : 8090);
  config.data_dir = std::string(arguments[1]) + "/alone";
  config.settings["cluster.bootstrapExpect"] = "1";  // It founds a cluster of one.
  auto created = databridge::ClusterManager::create(config);
  need(created, "create");
  databridge::ClusterManager& manager = **created;

  const auto kept = std::make_shared<Kept>();
  need(manager.register_processor(
           "Shout", {{"prefix", databridge::PropertyKind::text, "", "at the front of the content"}},
           [](const std::map<std::string, std::string>& properties)
               -> databridge::Result<std::unique_ptr<databridge::Processor>> {
             return std::make_unique<Shout>(properties.at("prefix"));
           }),
       "register Shout");
  databridge::ProcessorTraits traits;
  traits.relationships = {};
  traits.state = databridge::StateScope::cluster;
  need(manager.register_processor(
           "Keep", {},
           [kept](const std::map<std::string, std::string>&)
               -> databridge::Result<std::unique_ptr<databridge::Processor>> {
             return std::make_unique<Keep>(kept);
           },
           traits),
       "register Keep");
  check(!manager.register_processor("Shout", {}, nullptr), "a name is taken once");

  need(manager.start(), "start");
  const auto refused = manager.apply_flow(
      "id: wrong\nprocessors:\n  - {name: a, type: Shout, properties: {loud: very}}\n");
  check(!refused, "a property that the type does not have is refused");
  std::printf("       %s\n", refused.error().message.c_str());
  need(manager.apply_flow(kFlow), "apply_flow");

  {
    std::unique_lock lock(kept->mutex);
    const bool all = kept->changed.wait_for(lock, std::chrono::seconds(20), [&] {
      return kept->contents.size() >= 20 && kept->last_state == "20";
    });
    check(all, "twenty flow files arrive, and the state has counted them");
    for (const std::string& content : kept->contents) {
      if (content.rfind("> HELLO ", 0) != 0) check(false, content.c_str());
    }
    check(kept->contents.size() == 20, "each of them once, and loud");
  }
  need(manager.stop(), "stop");
  return 0;
}
