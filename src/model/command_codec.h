// The body of a command to and from Protobuf. Only the codecs use it, since requests also carry
// bodies.
#pragma once

#include "model/command.h"
#include "model/nouns_codec.h"
#include "model/proto/command.pb.h"

namespace databridge::codec {

void put(const CommandBody& from, proto::CommandBody* to);
void get(const proto::CommandBody& from, CommandBody& to, Check& check);

}  // namespace databridge::codec
