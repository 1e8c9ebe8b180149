// Any records may be found as the log of consensus: the log is loaded or refused, and a loaded log
// can go on. Four bytes of the input choose each record and its length. Its checksum is corrected
// here, and also the chain, if the fuzzer chooses so.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "node/raft_log_store.h"
#include "node/test_world.h"
#include "raft/codec.h"

namespace {

using namespace databridge;  // A fuzzer's main file: nothing else is here.

Bytes seal(BytesView content) {
  Bytes record;
  append_little32(record, crc32c(content));
  return record.append(content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  node::ForgetfulStore store;
  env::Batch batch;
  uint64_t index = 0, hash = 0;
  while (size >= 4) {
    const uint8_t kind = data[0] % 6;
    const bool chained = data[1] % 4 != 0;
    const size_t length = std::min<size_t>(size - 4, data[2]);
    const BytesView content(reinterpret_cast<const char*>(data + 4), length);
    Bytes key;
    if (kind == 0) batch.put(env::Space::meta, "raft/hard/a", seal(content));
    if (kind == 1) batch.put(env::Space::meta, "raft/hard/b", seal(content));
    if (kind == 2) {
      batch.put(env::Space::snapshot, data[1] % 2 == 0 ? "head" : "head/2", seal(content));
    }
    if (kind == 3) {
      Bytes chunk = "chunk/";
      append_big64(chunk, data[3]);  // The index of its snapshot.
      append_big64(chunk, data[1]);
      batch.put(env::Space::snapshot, chunk, Bytes(content));
    }
    if (kind == 4) batch.put(env::Space::meta, "raft/base", seal(content));
    if (kind == 5) {
      raft::Entry entry{data[3], ++index, raft::Entry::Kind::command,
                        raft::Payload(Bytes(content))};
      const Bytes bytes = chained ? raft::encode_entry(entry) : Bytes(content);
      Bytes linked;
      append_little64(linked, hash);
      hash = hash64(bytes, hash);
      append_big64(key, index);
      batch.put(env::Space::raft_log, key, seal(linked + bytes));
    }
    data += 4 + length;
    size -= 4 + length;
  }
  store.submit(std::move(batch));
  store.sync();
  node::RaftLogStore log;
  const auto restored = log.load(store);
  if (!restored) {
    CHECK(!restored.error().message.empty());
    return 0;
  }
  env::Batch more;
  log.put_hard_state(more, restored->hard_state);
  log.append(more, restored->entries);
  // Only entries that a snapshot holds are compacted: a log that begins after its snapshot ends is
  // refused.
  const auto& entries = restored->entries;
  if (!entries.empty() && entries.front().index <= restored->snapshot.index) {
    log.compact(more, entries.front().index);
  }
  store.submit(std::move(more));
  store.sync();
  node::RaftLogStore again;
  const auto back = again.load(store);
  CHECK(back && back->hard_state == restored->hard_state);
  return 0;
}
