-- A script for wrk: durable configuration writes with values of 256 bytes.
local thread_number = 0
function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

local sent = 0
local value = string.rep("x", 256)
local headers = {["Content-Type"] = "application/json"}
local token = os.getenv("BENCH_TOKEN") or ""
if token ~= "" then headers["Authorization"] = "Bearer " .. token end
function request()
  sent = sent + 1
  -- The set of keys is bounded, so that the state stays small and mostly the log is measured.
  local key = string.format("bench.%d.%d", number, sent % 1000)
  return wrk.format("PUT", "/api/cluster/config/" .. key, headers,
                    '{"value":"' .. value .. '"}')
end
