// GenerateFlowFile: makes flow files at an interval, numbered by its state.
#include <algorithm>
#include <cstring>

#include "env/clock.h"
#include "flow/processors/all.h"
#include "flow/record.h"
#include "flow/session.h"
#include "flow/template.h"
#include "flow/units.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 1;

class GenerateFlowFile : public Processor {
 public:
  GenerateFlowFile(const Settings& settings, Template content)
      : content_(std::move(content)),
        interval_(settings.duration("interval")),
        size_(settings.number("size")),
        count_(settings.number("count")),
        batch_(settings.number("batch")) {}

  Result<void> on_trigger(Session& session, World& world) override {
    uint64_t made = 0;
    if (!session.state().empty()) {
      RecordReader from(session.state(), kFormat);
      made = from.number();
      if (auto whole = from.finish("the state of GenerateFlowFile"); !whole) return whole;
    }
    uint64_t more = std::min<uint64_t>(batch_, session.room());
    if (count_ > 0) more = std::min(more, count_ - std::min(count_, made));
    if (more == 0) {
      session.wait(count_ > 0 && made >= count_ ? Duration(1h) : Duration(interval_));
      return {};
    }
    for (const uint64_t before = made; more > 0; --more) {
      if (made > before && world.must_end()) break;
      FlowFile* file = session.create();
      file->attributes["index"] = std::to_string(made);
      file->attributes["generated.at"] = std::to_string(world.clock.unix_ms());
      file->attributes["generated.epoch"] = std::to_string(session.epoch().number());
      file->attributes["filename"] = std::to_string(made);
      file->content = content_.fill(file->attributes);
      pad(file->content, world.random);
      session.transfer(file, "success");
      ++made;
    }
    RecordWriter to(kFormat);
    to.number(made);
    session.set_state(to.seal());
    session.wait(interval_);
    return {};
  }

 private:
  // Pads with letters up to the size that is asked for.
  void pad(std::string& content, Random& random) const {
    size_t at = content.size();
    if (at >= size_) return;
    content.resize(size_);
    for (; at < size_; at += 8) {
      // Each random byte (0 to 255) makes one of 26 letters; four bytes are done at once.
      constexpr uint64_t kBytes = 0x00ff00ff00ff00ff;
      const uint64_t chance = random.next();
      const uint64_t even = (((chance & kBytes) * 26) >> 8) & kBytes;
      const uint64_t odd = (((chance >> 8) & kBytes) * 26) & ~kBytes;
      const uint64_t letters = (even | odd) + 0x6161616161616161;
      std::memcpy(content.data() + at, &letters, std::min<size_t>(8, size_ - at));
    }
  }

  Template content_;
  Duration interval_;
  uint64_t size_;
  uint64_t count_;
  uint64_t batch_;
};

Result<std::unique_ptr<Processor>> make(const Settings& settings) {
  auto content = Template::parse(settings.text("content"));
  if (!content) return tl::make_unexpected(content.error());
  if (settings.number("batch") == 0) {
    return fail(Code::unprocessable, "GenerateFlowFile: \"batch\" must be at least 1");
  }
  if (auto size = check_size("size", settings.number("size")); !size) {
    return tl::make_unexpected(size.error());
  }
  return std::make_unique<GenerateFlowFile>(settings, std::move(*content));
}

}  // namespace

ProcessorType generate_flow_file_type() {
  return {
      .name = "GenerateFlowFile",
      .help =
          "Makes flow files at an interval, with the attributes index, filename, generated.at and "
          "generated.epoch.",
      .source = true,
      .node_local = false,
      .settles = false,
      .state = StateScope::cluster,
      .relationships = {"success"},
      .losses = {},
      .path = nullptr,
      .properties = {{"interval", PropertyKind::duration, "1s", "between two triggers"},
                     {"size", PropertyKind::size, "0", "content is filled up to it with letters"},
                     {"content", PropertyKind::tmpl, "", "may use ${index}"},
                     {"count", PropertyKind::number, "0", "ends after that many; 0: never"},
                     {"batch", PropertyKind::number, "1", "flow files a trigger"}},
      .rules = false,
      .make = make};
}

}  // namespace databridge::flow
