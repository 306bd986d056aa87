-- The shared limiter's one script. KEYS[1] is the registry, the others are clients; all in one hash slot.
-- ARGV[1] says what is asked: take, assert, beat. An answer that is a number says why there is none.
local OTHER_EPOCH, CLOSED, LATE = 1, 2, 3

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A client is kept as the window's end, the epoch and how much was taken. The end is in the value as well as in the time to live, so
-- that a key which has lost its time to live still ends, and is given it back.
local CLIENT, CLIENT_BYTES = '>dc8I4', 20
local COUNT, COUNT_AT = '>I4', '16'
-- The registry as the last beat of anybody left it: the epoch, from when and until when is granted, and what is reserved.
local PICTURE = '>c8ddI4'
-- The parts of the one string that answers for clients.
local NOW, GRANT = '>d', '>I4I4d'
local PART = 0.9
-- No higher count is written, so that it has room in its four bytes.
local MOST = 2 ^ 31
-- The epoch of a count that nobody can read: it is full, for one window.
local UNKNOWN = '????????'

local function load(key, window)
  local value = redis.pcall('GET', key)
  if not value then return nil end
  if type(value) == 'table' or #value ~= CLIENT_BYTES then return now + window, UNKNOWN, MOST, true end
  local stop, epoch, used = struct.unpack(CLIENT, value)
  -- Zero, and what is no number.
  if not (stop > 0) then return now + window, UNKNOWN, MOST, true end
  if stop <= now then return nil end
  -- The clock was set back: nobody is locked out for longer than a window.
  if stop > now + window then return now + window, epoch, used, true end
  return stop, epoch, used
end

local function store(key, stop, epoch, used)
  redis.call('SET', key, struct.pack(CLIENT, stop, epoch, used), 'PXAT', stop)
end

-- The same where nothing but the count is new, which takes less time.
local function count(key, stop, used)
  redis.call('SETRANGE', key, COUNT_AT, struct.pack(COUNT, used))
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIREAT', key, stop) end
end

-- ARGV: epoch, limit, window, nodes, how many clients wish for something, for each of them: requests that wait, how many to hold
-- in all for them and those to come, taken by this node; and for each of the clients behind them: given back, window given back to.
-- Answer: now, and for each client that wishes: granted, used by all, window's end.
-- It comes first, and what the rare questions need is made behind it.
if ARGV[1] == 'take' then
  local epoch, limit, window, nodes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local picture = redis.call('HGET', KEYS[1], 'picture')
  if not picture then return OTHER_EPOCH end
  local counted_in, from, till, reserve = struct.unpack(PICTURE, picture)
  if counted_in ~= epoch then return OTHER_EPOCH end
  if now < from or now > till then return CLOSED end
  local pool = limit - reserve
  local wishes = tonumber(ARGV[6])
  local answer = { struct.pack(NOW, now) }
  for i = 2, 1 + wishes do
    local key, waiting, ahead, mine = KEYS[i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3])
    local stop, since, used, anew = load(key, window)
    if not stop then
      stop, used, anew = now + window, 0, true
    end
    local room = math.max(0, pool - used)
    -- Who waits is served while there is any. Ahead of requests a node gets most of what it would take of the rest if they went on
    -- coming as they did, and of its equal part, as nothing was heard yet of those that wait elsewhere. With less, there are more
    -- calls; with more, some of it is still held here when another node needs it.
    ahead = math.min(ahead, math.ceil(PART * room * math.min((mine + 1) / (used + nodes), 1 / nodes)))
    local given = math.min(room, math.max(waiting, ahead))
    if anew or given > 0 and since ~= epoch then
      store(key, stop, epoch, used + given)
    elseif given > 0 then
      count(key, stop, used + given)
    elseif redis.call('PTTL', key) < 0 then
      redis.call('PEXPIREAT', key, stop)
    end
    answer[i] = struct.pack(GRANT, given, used + given, stop)
  end
  for i = 2 + wishes, #KEYS do
    local back, of = tonumber(ARGV[2 * i + wishes + 3]), tonumber(ARGV[2 * i + wishes + 4])
    local stop, _, used, anew = load(KEYS[i], window)
    if stop == of and not anew then count(KEYS[i], stop, math.max(0, used - back)) end
  end
  return table.concat(answer)
end

-- ARGV: epoch, window, and for each client: taken by this node and not told yet, time left of the window.
-- Answer: as to a wish, with nothing granted.
local function assert_taken()
  local epoch, window = ARGV[2], tonumber(ARGV[3])
  if redis.call('HGET', KEYS[1], 'epoch') ~= epoch then return OTHER_EPOCH end
  local answer = { struct.pack(NOW, now) }
  for i = 2, #KEYS do
    local taken, left = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local mine = now + math.min(left, window)
    local stop, of, used = load(KEYS[i], window)
    -- What was counted in another epoch is told anew by everybody.
    if not stop or of ~= epoch and of ~= UNKNOWN then used = 0 end
    stop, used = math.max(stop or 0, mine), math.min(used + taken, MOST)
    store(KEYS[i], stop, epoch, used)
    answer[i] = struct.pack(GRANT, 0, used, stop)
  end
  return table.concat(answer)
end

-- A row of the registry: state, last beat, share, until when it is waited for.
--   L live; A away: its share is reserved; O owing: nothing is granted until it has told what it took; X left.
local function parse(text)
  local state, beat, share, waited = string.match(text, '^(%u):(%d+):(%d+):(%d+)$')
  return { state = state, beat = tonumber(beat), share = tonumber(share), waited = tonumber(waited) }
end

local function put(id, row)
  redis.call('HSET', KEYS[1], 'n:' .. id, string.format('%s:%d:%d:%d', row.state, row.beat, row.share, row.waited))
end

local function rows_of(fields)
  local rows = {}
  for i = 1, #fields, 2 do
    local id = string.match(fields[i], '^n:(.*)$')
    if id then rows[id] = parse(fields[i + 1]) end
  end
  return rows
end

-- Begins an epoch, if there is none or another server counted in it. Every node that took part in the old one owes.
local function enter(known, fresh, run, window, grace)
  local registry = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'grace')
  local rows = rows_of(redis.call('HGETALL', KEYS[1]))
  if registry[1] and registry[2] == run then return registry[1], rows, tonumber(registry[3]), false end
  local born = redis.call('EXISTS', KEYS[1]) == 0 and known == '' and now + grace or 0
  for _, row in pairs(rows) do
    if row.state ~= 'O' then row.waited = now + window end
    row.state = 'O'
  end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', fresh, 'run', run, 'grace', born)
  for id, row in pairs(rows) do put(id, row) end
  return fresh, rows, born, registry[1] ~= false
end

-- ARGV: known epoch or nothing, epoch to begin, id, state, valid until, window, limit, share, lapse, hold, grace, how
-- long grants may rest on what it leaves, and for each row known from before: id, age, share.
-- Answer: now, epoch, time until it opens, live nodes, own share, and for each other row: id, age, share.
local function beat()
  local known, id, state = ARGV[2], ARGV[4], ARGV[5]
  local valid, window, limit, share = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
  local lapse, hold, grace, fresh_for = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
  if valid > 0 and now > valid then return LATE end
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local epoch, rows, opens, lost = enter(known, ARGV[3], run, window, grace)
  for at = 14, #ARGV, 3 do
    local age = tonumber(ARGV[at + 1])
    if not rows[ARGV[at]] and ARGV[at] ~= id and known ~= epoch then
      rows[ARGV[at]] = { state = 'O', beat = now - age, share = tonumber(ARGV[at + 2]), waited = now + math.max(0, window - age) }
      put(ARGV[at], rows[ARGV[at]])
    end
  end
  local mine = rows[id] or { waited = 0 }
  if known ~= epoch and (known ~= '' or lost) and state ~= 'X' then
    state, mine.waited = 'O', now + window
  elseif mine.state == 'O' and state == 'A' then
    state = 'O'
  elseif state == 'X' then
    mine.waited = now + window
  end
  local claimed, reserve, live = 0, 0, 0
  local gone = {}
  for other, row in pairs(rows) do
    local age = now - row.beat
    if other ~= id and row.state == 'X' and row.waited <= now or row.state ~= 'X' and age > hold and row.waited <= now then
      gone[#gone + 1] = other
    elseif other ~= id then
      if row.state == 'O' then opens = math.max(opens, row.waited) end
      if row.state ~= 'X' then claimed = claimed + row.share end
      if row.state == 'L' and age < lapse then live = live + 1
      elseif row.state ~= 'X' then reserve = reserve + row.share end
    end
  end
  for _, other in ipairs(gone) do
    rows[other] = nil
    redis.call('HDEL', KEYS[1], 'n:' .. other)
  end
  -- Live nodes do not spend their share, so it may be lowered, and raised by what nobody claims. Others may be spending it. All
  -- together claim a half at most: the other half is granted, however many nodes have crashed.
  mine.share = state == 'X' and 0 or state == 'L' and math.max(0, math.min(share, math.floor(limit / 2) - claimed)) or share
  mine.state, mine.beat = state, now
  put(id, mine)
  if state == 'L' then live = live + 1 elseif state ~= 'X' then reserve = reserve + mine.share end
  if state == 'O' then opens = math.max(opens, mine.waited) end
  redis.call('HSET', KEYS[1], 'picture', struct.pack(PICTURE, epoch, opens, now + fresh_for, math.min(reserve, MOST)))
  redis.call('PEXPIRE', KEYS[1], hold + window)
  local answer = { now, epoch, math.max(0, opens - now), live, mine.share }
  for other, row in pairs(rows) do
    if other ~= id then
      answer[#answer + 1] = other
      answer[#answer + 1] = now - row.beat
      answer[#answer + 1] = row.share
    end
  end
  return answer
end

if ARGV[1] == 'assert' then return assert_taken() end
return beat()
