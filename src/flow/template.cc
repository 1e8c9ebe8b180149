#include "flow/template.h"

#include "model/ids.h"

namespace databridge::flow {

Result<Template> Template::parse(std::string_view text) {
  Template made;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) made.pieces_.push_back({std::move(literal), ""});
    literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const bool more = i + 1 < text.size();
    if (text[i] == '$' && more && text[i + 1] == '$') {
      literal.push_back('$');
      ++i;
    } else if (text[i] == '$' && more && text[i + 1] == '{') {
      const size_t end = text.find('}', i);
      if (end == std::string_view::npos) {
        return fail(Code::unprocessable, "\"${\" without \"}\"; write $$ for a dollar");
      }
      std::string_view inside = text.substr(i + 2, end - i - 2);
      std::string_view fallback;
      if (const size_t colon = inside.find(":-"); colon != std::string_view::npos) {
        fallback = inside.substr(colon + 2);
        inside = inside.substr(0, colon);
      }
      if (!is_valid_name(inside, 128)) {
        return fail(
            Code::unprocessable,
            "\"${" + std::string(inside) + "}\" names no attribute; names have A-Z a-z 0-9 . _ -");
      }
      flush();
      made.pieces_.push_back({std::string(fallback), std::string(inside)});
      i = end;
    } else {
      literal.push_back(text[i]);
    }
  }
  flush();
  return made;
}

std::string Template::fill(const std::map<std::string, std::string>& attributes) const {
  std::string text;
  for (const Piece& piece : pieces_) {
    const auto it = piece.attribute.empty() ? attributes.end() : attributes.find(piece.attribute);
    text += it == attributes.end() || it->second.empty() ? piece.text : it->second;
  }
  return text;
}

std::string Template::front() const {
  return pieces_.empty() || !pieces_.front().attribute.empty() ? "" : pieces_.front().text;
}

bool Template::plain() const {
  for (const Piece& piece : pieces_) {
    if (!piece.attribute.empty()) return false;
  }
  return true;
}

}  // namespace databridge::flow
