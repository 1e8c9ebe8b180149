// Any bytes may be found as a snapshot: the decoder gives a State or an Error. The hash at the end
// is corrected here, since otherwise the fuzzer would never get past it. A decoded state can go on,
// and has the same bytes after it was encoded again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "state/state.h"

namespace {

using namespace databridge;  // A fuzzer's main file: nothing else is here.

void go_on(State& state) {
  std::vector<ProcessorId> ids;
  state.assignments().each([&](const ProcessorId& id, const Assignment&) { ids.push_back(id); });
  std::vector<Incarnation> members;
  state.members().each([&](Incarnation id, const Member&) { members.push_back(id); });
  const auto apply = [&](CommandBody body) {
    if (state.version() == ~LogIndex{0}) return;
    state.apply(state.version() + 1, Command{std::move(body), 0, {}, "key"});
  };
  for (size_t i = 0; i < ids.size() && i < 8; ++i) {
    const Epoch epoch = state.assignments().find(ids[i])->epoch;
    apply(Release{ids[i], epoch, ""});
    if (!members.empty()) apply(Assign{ids[i], epoch, members[i % members.size()], ""});
    apply(DeleteProcessor{ids[i]});
    apply(Unassign{ids[i], epoch, ""});
  }
  if (!members.empty()) apply(RemoveMember{members[0], ""});
  apply(RestoreState{state.backup()});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes = "DataBridge state 1\n";
  bytes.append(reinterpret_cast<const char*>(data), size);
  append_little64(bytes, hash64(bytes));
  auto state = State::from_snapshot(bytes);
  if (!state) return 0;
  const Pieces again = state->snapshot();
  const auto back = State::from_snapshot(again);
  CHECK(back && back->snapshot() == again);
  go_on(*state);
  return 0;
}
