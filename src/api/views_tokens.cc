#include "api/json_writer.h"
#include "api/views.h"

namespace databridge::api {

// The hash of a token is in no answer.
std::string show_tokens(const View& view, const Page& page) {
  std::string out;
  JsonWriter json(out);
  json.object().key("tokens").array();
  size_t count = 0;
  std::string last, next;
  view.state.tokens().visit_from(page.after, [&](const std::string& id, const Token& token) {
    if (id == page.after) return true;
    if (count++ == page.limit) {
      next = last;
      return false;
    }
    json.object().key("id").text(id).key("name").text(token.name);
    json.key("role").text(name(token.role));
    json.key("createdAt").time(token.created_ms).key("expiresAt").time(token.expires_ms);
    json.end_object();
    last = id;
    return true;
  });
  json.end_array();
  if (!next.empty()) json.key("next").text(next);
  json.key("version").number(view.state.version()).end_object();
  return out;
}

}  // namespace databridge::api
