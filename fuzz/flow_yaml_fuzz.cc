// Any text may come as a flow. It becomes a FlowSpec that can be a command, or an Error whose text
// can be shown.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "flow/flow_yaml.h"
#include "model/command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto flow = flow::read_flow(text, "");
  if (!flow) {
    CHECK(!flow.error().message.empty());
    return 0;
  }
  for (const auto& spec : flow->processors) CHECK(flow::check_processor(spec));
  CHECK(flow::read_flow(text, flow->id.value));
  const auto back = decode_command(encode(Command{PutFlow{*flow}, 0, {}, ""}));
  CHECK(back && std::get<PutFlow>(back->body).flow == *flow);
  return 0;
}
