// Marks that this thread is inside a callback of the embedding program, where calls that wait are
// refused.
#pragma once

#include "base/result.h"

namespace databridge::lib {

class CallbackScope {
 public:
  enum class Kind : unsigned char { none, plain, saves };  // saves: save() is allowed in it.

  explicit CallbackScope(Kind kind = Kind::plain) : before_(now_) { now_ = kind; }
  ~CallbackScope() { now_ = before_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

  static Kind kind() { return now_; }
  // An error if a call that waits is made on this thread now.
  static Result<void> may_wait() {
    if (now_ == Kind::none) return {};
    return fail(Code::invalid, "this call waits, and must not be made from a callback");
  }

 private:
  static inline thread_local Kind now_ = Kind::none;
  const Kind before_;
};

}  // namespace databridge::lib
