-- wrk: durable configuration writes, each of a key of its own, 256-byte values.
local thread_number = 0
function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

local sent = 0
local value = string.rep("x", 256)
function request()
  sent = sent + 1
  -- A bounded set of keys, so that the state stays small and the log does the work.
  local key = string.format("bench.%d.%d", number, sent % 1000)
  return wrk.format("PUT", "/api/cluster/config/" .. key, {["Content-Type"] = "application/json"},
                    '{"value":"' .. value .. '"}')
end
