// The bytes of messages and of what is stored. Version 1: a version byte, a kind byte, then the
// fields in a fixed order, numbers as LEB128. A reader ignores what follows the fields it knows, so
// later versions may append fields.
//
// - Owns: the format. Pure. Never crashes on foreign bytes: every length is checked against what is
//   left.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "raft/types.h"

namespace databridge::raft {

Bytes encode(const Message& message);
Result<Message> decode(BytesView bytes);  // Code::corrupt. Copies the payloads out of `bytes`.

Bytes encode_configuration(const Configuration& configuration);
Result<Configuration> decode_configuration(BytesView bytes);

// For the durable log: one record each. The entry's record holds its term, index, kind and data;
// the snapshot's holds everything but `data`, which may be large and is stored as the body likes.
Bytes encode_entry(const Entry& entry);
Result<Entry> decode_entry(BytesView bytes);
Bytes encode_hard_state(const HardState& state);
Result<HardState> decode_hard_state(BytesView bytes);
Bytes encode_snapshot_head(const Snapshot& snapshot);
Result<Snapshot> decode_snapshot_head(BytesView bytes);

}  // namespace databridge::raft
