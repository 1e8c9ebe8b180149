// Conditions on attributes: `status =~ "5.." && host != "a" || retry > 3`.
//
// A test is `attribute operator value` or `attribute exists`. The operators == and != compare text.
// < <= > >= compare numbers, and are false if either side is no number. =~ and !~ match an RE2
// pattern against the whole attribute. A value is a word or "quoted", with \" and \\ inside. &&
// binds before ||; there are no parentheses. A missing attribute counts as the empty text. Pure;
// any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace databridge::flow {

class Condition {
 public:
  static Result<Condition> parse(std::string_view text);
  Condition(Condition&&) noexcept;
  ~Condition();

  bool holds(const std::map<std::string, std::string>& attributes) const;

 private:
  enum class Operator : uint8_t {
    exists,
    equal,
    unequal,
    less,
    less_equal,
    greater,
    greater_equal,
    matches,
    differs
  };
  struct Test {
    std::string attribute;
    Operator op = Operator::exists;
    std::string value;
    std::unique_ptr<re2::RE2> pattern;
    bool holds(const std::map<std::string, std::string>& attributes) const;
  };
  Condition();
  std::vector<std::vector<Test>> any_of_all_;
};

}  // namespace databridge::flow
