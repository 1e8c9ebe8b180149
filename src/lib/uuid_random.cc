// Uuid::random() needs what only the real world has: entropy and the time.
#include <databridge/uuid.h>

#include "base/random.h"
#include "base/uuid.h"
#include "env/clock.h"
#include "platform/clock.h"
#include "platform/process.h"

namespace databridge {

Uuid Uuid::random() {
  Random random(platform::entropy64());
  return make_uuid(platform::make_clock()->unix_ms(), random);
}

}  // namespace databridge
