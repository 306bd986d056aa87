-- The shared limiter's one script. KEYS[1] is the registry, the others are clients; all in one hash slot.
-- ARGV[1] says what is asked: take, assert, beat. The first number of an answer says how it went.
local OK, OTHER_EPOCH, CLOSED, LATE = 0, 1, 2, 3

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A client is kept as the window's end (13 digits), the epoch (8) and how much was taken (10). The end is in the value as well as
-- in the time to live, so that a key which has lost its time to live still ends, and is given it back.
local function load(key, window)
  local value = redis.pcall('GET', key)
  if not value then return nil end
  if type(value) == 'table' then value = '' end
  local stop, epoch, used = tonumber(string.sub(value, 1, 13)), string.sub(value, 14, 21), tonumber(string.sub(value, 22))
  if not stop or not used then
    -- Nobody knows what it was: full, for one window.
    return now + window, '????????', math.huge
  end
  if stop <= now then return nil end
  -- The clock was set back: nobody is locked out for longer than a window.
  if stop > now + window then return now + window, epoch, used, true end
  return stop, epoch, used
end

local function store(key, stop, epoch, used)
  redis.call('SET', key, string.format('%d%s%010d', stop, epoch, used), 'PXAT', stop)
end

-- The same where nothing but the count is new: a tenth to a fifth less of the time of a call.
local function count(key, stop, used)
  redis.call('SETRANGE', key, 21, string.format('%010d', used))
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIREAT', key, stop) end
end

-- ARGV: epoch, limit, window, nodes (0: whole wishes), how old the registry may be, and for each client: wish, taken by this node, given back, window given back to.
-- Answer: now, and for each client: granted, used by all, window's end.
-- It comes first, and what the rare questions need is made behind it.
if ARGV[1] == 'take' then
  local epoch, limit, window, nodes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local registry = redis.call('HMGET', KEYS[1], 'epoch', 'open', 'reserve', 'at')
  if registry[1] ~= epoch then return { OTHER_EPOCH } end
  -- Who is cut off, and what has to be left to them, is looked at with each beat of anybody: it must not be an old picture.
  if now < tonumber(registry[2]) or now > registry[4] + tonumber(ARGV[6]) then return { CLOSED } end
  local pool = limit - tonumber(registry[3])
  local answer = { OK, now }
  local at = 7
  for i = 2, #KEYS do
    local wish, mine, back, of = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    at = at + 4
    local stop, since, used, anew = load(KEYS[i], window)
    local changed = anew
    if not stop then
      stop, used, anew, changed = now + window, 0, true, wish > 0
    elseif used > limit then
      used, changed = math.min(used, 2 ^ 31), anew or used == math.huge
    end
    if back > 0 and of == stop then
      used, changed = math.max(0, used - back), true
    end
    local room = math.max(0, pool - used)
    local given = math.min(wish, room)
    if nodes > 0 and given > 1 then
      -- Three quarters of what this node would take of the rest if the requests went on coming as they did.
      given = math.min(given, math.ceil(room * (mine + 1) * 3 / (4 * (used + nodes))))
    end
    if given > 0 or changed then
      used = used + given
      if anew or since ~= epoch then store(KEYS[i], stop, epoch, used) else count(KEYS[i], stop, used) end
    elseif wish > 0 and redis.call('PTTL', KEYS[i]) < 0 then
      redis.call('PEXPIREAT', KEYS[i], stop)
    end
    answer[#answer + 1] = given
    answer[#answer + 1] = math.min(used, 2 ^ 31)
    answer[#answer + 1] = stop
  end
  return answer
end

-- ARGV: epoch, window, and for each client: taken by this node and not told yet, time left of the window.
-- Answer: now, and for each client: used by all, window's end.
local function assert_taken()
  local epoch, window = ARGV[2], tonumber(ARGV[3])
  if redis.call('HGET', KEYS[1], 'epoch') ~= epoch then return { OTHER_EPOCH } end
  local answer = { OK, now }
  for i = 2, #KEYS do
    local taken, left = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local mine = now + math.min(left, window)
    local stop, of, used = load(KEYS[i], window)
    -- What was counted in another epoch is told anew by everybody.
    if not stop or of ~= epoch then used = 0 end
    stop, used = math.max(stop or 0, mine), math.min(used + taken, 2 ^ 31)
    store(KEYS[i], stop, epoch, used)
    answer[#answer + 1] = used
    answer[#answer + 1] = stop
  end
  return answer
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

-- ARGV: known epoch or nothing, epoch to begin, id, state, valid until, window, limit, share, lapse, hold, grace,
-- and for each row known from before: id, age, share.
-- Answer: now, epoch, time until it opens, live nodes, own share, and for each other row: id, age, share.
local function beat()
  local known, id, state = ARGV[2], ARGV[4], ARGV[5]
  local valid, window, limit, share = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
  local lapse, hold, grace = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
  if valid > 0 and now > valid then return { LATE, now } end
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local epoch, rows, opens, lost = enter(known, ARGV[3], run, window, grace)
  for at = 13, #ARGV, 3 do
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
  redis.call('HSET', KEYS[1], 'open', opens, 'reserve', reserve, 'at', now)
  redis.call('PEXPIRE', KEYS[1], hold + window)
  local answer = { OK, now, epoch, math.max(0, opens - now), live, mine.share }
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
