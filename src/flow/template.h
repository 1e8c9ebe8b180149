// Text with attributes in it: "/out/${host}-${filename:-none}.log".
//
// ${name} is the attribute, or nothing; ${name:-text} is the text if the attribute is missing or
// empty; $$ is a dollar sign. Any other dollar sign stands for itself. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace databridge::flow {

class Template {
 public:
  static Result<Template> parse(std::string_view text);

  std::string fill(const std::map<std::string, std::string>& attributes) const;
  bool plain() const;         // True if it has no attributes.
  std::string front() const;  // The text before the first attribute.

 private:
  struct Piece {
    std::string text;  // Literal text, or the fallback of the attribute.
    std::string attribute;
  };
  std::vector<Piece> pieces_;
};

}  // namespace databridge::flow
