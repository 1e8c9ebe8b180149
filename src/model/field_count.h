// Counts the fields of an aggregate. A new field needs a place in the random generator and in the
// codec: the assertions stop the build until someone has added it there.
#pragma once

#include "model/event.h"
#include "model/message.h"

namespace databridge {

struct AnyField {
  template <typename T>
  operator T() const;  // NOLINT(google-explicit-constructor): it stands for any field.
};
template <typename T, typename... Fields>
constexpr size_t field_count() {
  if constexpr (requires { T{Fields{}..., AnyField{}}; }) {
    return field_count<T, Fields..., AnyField>();
  } else {
    return sizeof...(Fields);
  }
}
static_assert(field_count<MemberInfo>() == 13 && field_count<Member>() == 13);
static_assert(field_count<ProcessorSpec>() == 10 && field_count<ConnectionSpec>() == 6);
static_assert(field_count<FlowSpec>() == 4 && field_count<Assignment>() == 15);
static_assert(field_count<Checkpoint>() == 3 && field_count<Heartbeat>() == 13);
static_assert(field_count<SoftMember>() == 11 && field_count<SoftTable>() == 7);
static_assert(field_count<Parcel>() == 3 && field_count<NodeLoad>() == 5);
static_assert(field_count<Token>() == 6 && field_count<PutToken>() == 5);
static_assert(field_count<Command>() == 7 && field_count<Event>() == 5);

}  // namespace databridge
