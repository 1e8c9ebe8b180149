// The nouns to and from Protobuf, for the codecs alone. This header includes the generated classes,
// so only *_codec.cc files (and cluster/request.cc) include it.
//
// - Owns: a put/get pair for each noun, and the checks of bytes that come from outside.
// - Pure: yes. Any thread.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "model/assignment.h"
#include "model/command.h"
#include "model/event.h"
#include "model/flow.h"
#include "model/flow_file.h"
#include "model/member.h"
#include "model/proto/databridge.pb.h"

namespace databridge::codec {

// The version of all our bytes. A reader refuses a newer version.
inline constexpr uint32_t kFormat = 1;
// The largest message, command or request, from any sender.
inline constexpr size_t kBytesMax = size_t{64} << 20;

// Remembers the first error. Readers go on to the end and ask once.
class Check {
 public:
  void bad(const std::string& what) {
    if (!wrong_) wrong_ = what;
  }
  void that(bool fine, const char* what) {
    if (!fine) bad(what);
  }
  bool ok() const { return !wrong_; }
  const std::string& wrong() const { return *wrong_; }

 private:
  std::optional<std::string> wrong_;
};

// In bytes an enumerator is one higher, so that a missing one is noticed.
template <typename To, typename From>
To enum_out(From value) {
  return static_cast<To>(static_cast<int>(value) + 1);
}
template <typename To>
void enum_in(int value, To last, To& to, Check& check, const char* what) {
  if (value < 1 || value > static_cast<int>(last) + 1) {
    check.bad(std::string("unknown ") + what + " " + std::to_string(value));
  } else {
    to = static_cast<To>(value - 1);
  }
}
inline void number_in(double value, double& to, Check& check) {
  check.that(std::isfinite(value), "a number that is not finite");
  to = value;
}

using Texts = std::map<std::string, std::string>;
using Pairs = google::protobuf::RepeatedPtrField<proto::Pair>;
void put(const Texts& from, Pairs* to);
void get(const Pairs& from, Texts& to, Check& check);

void put(const Uuid& from, proto::Uuid* to);
void get(const proto::Uuid& from, Uuid& to, Check& check);
void put(const Epoch& from, proto::Epoch* to);
void get(const proto::Epoch& from, Epoch& to, Check& check);
void put(const Address& from, proto::Address* to);
void get(const proto::Address& from, Address& to, Check& check);
void put(const NodeLoad& from, proto::NodeLoad* to);
void get(const proto::NodeLoad& from, NodeLoad& to, Check& check);
void put(const MemberInfo& from, proto::MemberInfo* to);
void get(const proto::MemberInfo& from, MemberInfo& to, Check& check);
void put(const Member& from, proto::Member* to);
void get(const proto::Member& from, Member& to, Check& check);
void put(const ProcessorSpec& from, proto::ProcessorSpec* to);
void get(const proto::ProcessorSpec& from, ProcessorSpec& to, Check& check);
void put(const ConnectionSpec& from, proto::ConnectionSpec* to);
void get(const proto::ConnectionSpec& from, ConnectionSpec& to, Check& check);
void put(const FlowSpec& from, proto::FlowSpec* to);
void get(const proto::FlowSpec& from, FlowSpec& to, Check& check);
void put(const Checkpoint& from, proto::Checkpoint* to);
void get(const proto::Checkpoint& from, Checkpoint& to, Check& check);
void put(const Assignment& from, proto::Assignment* to);
void get(const proto::Assignment& from, Assignment& to, Check& check);
void put(const Parcel& from, proto::Parcel* to);
void get(const proto::Parcel& from, Parcel& to, Check& check);
void put(const Event& from, proto::Event* to);
void get(const proto::Event& from, Event& to, Check& check);
void put(const Actor& from, proto::Actor* to);
void get(const proto::Actor& from, Actor& to, Check& check);
void put(const Token& from, proto::Token* to);
void get(const proto::Token& from, Token& to, Check& check);
void put(const RequestId& from, proto::RequestId* to);
void get(const proto::RequestId& from, RequestId& to, Check& check);

template <typename List, typename Wire>
void put_all(const List& from, Wire* to) {
  to->Reserve(static_cast<int>(from.size()));
  for (const auto& one : from) put(one, to->Add());
}
template <typename Wire, typename List>
void get_all(const Wire& from, List& to, Check& check) {
  to.resize(static_cast<size_t>(from.size()));
  for (int i = 0; i < from.size(); ++i) get(from.Get(i), to[static_cast<size_t>(i)], check);
}

// Parses `bytes` into `wire`, or returns why that fails.
template <typename Wire>
std::optional<Error> parse(BytesView bytes, const char* what, Wire& wire) {
  if (bytes.size() > kBytesMax) {
    return Error{Code::too_large, std::string(what) + " of " + std::to_string(bytes.size()) +
                                      " bytes: more than " + std::to_string(kBytesMax)};
  }
  if (!wire.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error{Code::corrupt, std::string(what) + " cannot be parsed"};
  }
  if (wire.format() == 0 || wire.format() > kFormat) {
    return Error{Code::corrupt, std::string(what) + " of format " + std::to_string(wire.format()) +
                                    ": this program reads up to " + std::to_string(kFormat)};
  }
  return std::nullopt;
}

}  // namespace databridge::codec
