#include "node/sealed.h"

namespace databridge::node {

Bytes seal(BytesView content) {
  Bytes record;
  record.reserve(4 + content.size());
  append_little32(record, crc32c(content));
  record.append(content);
  return record;
}

Result<BytesView> unseal(BytesView record, const std::string& name) {
  if (record.size() < 4 || crc32c(record.substr(4)) != read_little32(record)) {
    return tl::make_unexpected(broken_log(name + " is damaged"));
  }
  return record.substr(4);
}

Error broken_log(const std::string& why) {
  return {Code::corrupt, "the stored log is broken (" + why +
                             "): this node must not vote; remove its data directory and let it "
                             "join again as a new member"};
}

}  // namespace databridge::node
