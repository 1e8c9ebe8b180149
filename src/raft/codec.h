// Messages and stored records as bytes. Version 1: a version byte, a kind byte, then the fields in
// a fixed order, with numbers as LEB128. A reader ignores bytes after the fields that it knows, so
// later versions may append fields.
//
// - Owns: the format. Pure. Foreign bytes never crash it: each length is checked against the bytes
//   that are left.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "raft/types.h"

namespace databridge::raft {

Bytes encode(const Message& message);
// Fails with Code::corrupt. Copies the payloads out of `bytes`.
Result<Message> decode(BytesView bytes);

Bytes encode_configuration(const Configuration& configuration);
Result<Configuration> decode_configuration(BytesView bytes);

// For the durable log, one record each. An entry's record holds its term, index, kind and data. A
// snapshot's record holds everything but `data`, which may be large; the body chooses how to store
// it.
Bytes encode_entry(const Entry& entry);
Result<Entry> decode_entry(BytesView bytes);
Bytes encode_hard_state(const HardState& state);
Result<HardState> decode_hard_state(BytesView bytes);
Bytes encode_snapshot_head(const Snapshot& snapshot);
Result<Snapshot> decode_snapshot_head(BytesView bytes);

}  // namespace databridge::raft
