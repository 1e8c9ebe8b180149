// Small texts that people write: conditions, templates, units, addresses, ids, queries, hosts. Each
// is accepted or refused. If the value has a text form, that form is read back as the same value.
#include <cstddef>
#include <cstdint>

#include "api/call.h"
#include "api/guard.h"
#include "base/check.h"
#include "base/uuid.h"
#include "flow/condition.h"
#include "flow/template.h"
#include "flow/units.h"
#include "model/address.h"
#include "model/event.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::map<std::string, std::string> attributes{{"a", "1"}, {"host", "h"}, {"empty", ""}};
  if (const auto condition = flow::Condition::parse(text)) (void)condition->holds(attributes);
  if (const auto pattern = flow::Template::parse(text)) {
    if (pattern->plain()) CHECK(pattern->fill(attributes) == pattern->fill({}));
  }
  (void)flow::parse_number(text);
  (void)flow::parse_duration(text);
  (void)flow::parse_size(text);
  (void)flow::parse_flag(text);
  if (const auto address = Address::parse(text)) {
    const auto back = Address::parse(address->text());
    CHECK(back && *back == *address);
  }
  if (const auto id = Uuid::parse(text)) CHECK(Uuid::parse(id->text()) == *id);
  if (const auto id = EventId::parse(text)) CHECK(EventId::parse(id->text()) == *id);
  if (const auto plain = api::percent_decode(text, true)) CHECK(is_utf8(*plain));
  if (auto query = api::Query::parse(text)) {
    (void)query->take_page();
    (void)query->take_bool("dryRun");
    if (const auto left = query->left()) CHECK(is_utf8(left->message));
  }
  (void)api::foreign(text, text, {"localhost"});
  return 0;
}
