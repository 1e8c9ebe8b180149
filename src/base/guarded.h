// GUARDED_BY(mutex) says which mutex must be held to touch a member. A word for readers, and an
// attribute for clang's thread safety analysis.
#pragma once

#if defined(__clang__)
#define GUARDED_BY(mutex) __attribute__((guarded_by(mutex)))
#else
#define GUARDED_BY(mutex)
#endif
