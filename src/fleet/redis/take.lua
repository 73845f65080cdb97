-- Answers one take from a shared counter. src/fleet/counter.rs is its model: the same steps on the
-- same whole numbers, all below 2^53, so that a double holds them exactly. Times are in microseconds.
--
-- KEYS: the counter, a hash. Its field `s` is `time:doubt:locked:fraction:fill{:at:units}`, with the
-- units that were charged. Every other field is a proxy: `held:expiry:spare:keep:` and its last answer.
-- ARGV: kind quota span start proxy seq spent extra refund since rest need want lock
local key, kind, proxy, rest = KEYS[1], ARGV[1], ARGV[5], ARGV[11]
local quota, span, start = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local seq, spent, extra = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local refund, since = tonumber(ARGV[9]), tonumber(ARGV[10])
local need, want, lock = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max

local TIME_MAX = 2^52 - 1
local SPAN_MAX, UNITS_MAX = 31622400000000, 1000000000000000
local LEASE_MAX, LEASE_MIN, PART = 300000000, 150000, 20
local GRAINS, MEMORY, AGAIN_MIN, MARGIN = 20, 10000000, 1000, 15000000

-- a * b / c as a whole number of at most TIME_MAX, and the remainder: seven bits of b at a time, for
-- a * b itself may be beyond 2^53.
local function muldiv(a, b, c)
  local whole, remainder, place = 0, 0, 2^49
  while place > b and place > 1 do place = place / 128 end
  while place >= 1 do
    if whole > 2^45 then return TIME_MAX, 0 end
    local part = remainder * 128 + a * (floor(b / place) % 128)
    local quotient = floor(part / c)
    whole, remainder = whole * 128 + quotient, part - quotient * c
    place = place / 128
  end
  return min(whole, TIME_MAX), remainder
end

-- The stored state.
local last_time, doubt, locked_until, fraction, fill, log, holders, own = 0, 0, 0, 0, 0, {}, {}, nil
local stored = redis.call('HGETALL', key)
for i = 1, #stored, 2 do
  local field, value = stored[i], stored[i + 1]
  if field == 's' then
    local t, d, l, f, s, entries = string.match(value, '^(%d+):(%d+):(%d+):(%d+):(%d+)(.*)$')
    last_time, doubt, locked_until = tonumber(t), tonumber(d), tonumber(l)
    fraction, fill = tonumber(f), tonumber(s)
    for at, units in string.gmatch(entries, ':(%d+):(%d+)') do
      log[#log + 1] = {at = tonumber(at), units = tonumber(units)}
    end
  else
    local held, expiry, spare, keep, answer = string.match(value, '^(%d+):(%d+):(%d):(%d+):(.*)$')
    local holder = {proxy = field, held = tonumber(held), expiry = tonumber(expiry),
      spare = spare == '1', keep = tonumber(keep), answer = answer}
    holders[#holders + 1] = holder
    if field == proxy then own = holder end
  end
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A copy of the last take: the same answer, with the lengths of time that are left of it. An older
-- take: nothing.
local function answer_of(holder)
  local numbers = {}
  for number in string.gmatch(holder.answer, '-?%d+') do numbers[#numbers + 1] = tonumber(number) end
  return unpack(numbers)
end
if own then
  local last, at, granted, wait, again, left, next_in, reset, lapsed, locked = answer_of(own)
  if last == seq then
    local present = max(now, last_time)
    local passed = max(0, present - at)
    local valid = 0
    if own.held > 0 then valid = max(0, own.expiry - present) end
    if wait > 0 then wait = max(1, wait - passed) end
    if again > 0 then again = max(AGAIN_MIN, again - passed) end
    return {granted, valid, wait, again, left, max(0, next_in - passed), max(0, reset - passed), at,
      lapsed, max(0, locked - passed)}
  elseif last > seq then
    local wait = 0
    if need > 0 then wait = AGAIN_MIN end
    return {0, 0, wait, wait, 0, 0, 0, now, 1, 0}
  end
end

local function text(...)
  local numbers = {...}
  for i, number in ipairs(numbers) do numbers[i] = string.format('%.0f', number) end
  return table.concat(numbers, ':')
end

-- If the clock has stepped back, all instants move along, as if no time had passed since the last take.
-- Refunds are void as far as a proxy may have reckoned with the time of before: it hears of the new one
-- when its lease ends at the latest.
local back = max(0, last_time - now)
if back > 0 then
  doubt, locked_until = max(doubt, last_time + LEASE_MAX), max(0, locked_until - back)
  for _, entry in ipairs(log) do entry.at = max(0, entry.at - back) end
  for _, holder in ipairs(holders) do
    holder.expiry, holder.keep, holder.changed = max(0, holder.expiry - back), max(0, holder.keep - back), true
    local numbers = {answer_of(holder)}
    numbers[2] = max(0, numbers[2] - back)
    holder.answer = text(unpack(numbers))
  end
end

-- Takes units and a part of one, in parts of `fill`, from a bucket's debt.
local function pay(units, part)
  local borrowed = 0
  if part > fraction then borrowed = 1 end
  local owed = log[#log].units - units - borrowed
  if owed >= 0 then
    log[#log].units, fraction = owed, fraction + borrowed * fill - part
  else
    log[#log].units, fraction = 0, 0
  end
end

-- Pays a bucket's debt for the time until `to`. A fraction of another time to fill is rounded up.
local function refill(to)
  if fill ~= span then
    local whole, remainder = muldiv(fraction, span, max(1, fill))
    if remainder > 0 then whole = whole + 1 end
    fraction, fill = whole, span
  end
  local last = log[#log]
  if not last then return end
  if fraction >= fill then last.units, fraction = last.units + 1, fraction - fill end
  pay(muldiv(min(SPAN_MAX, max(0, to - last.at)), quota, span))
  last.at = max(last.at, to)
end

-- Charges units at an instant, or at the last charge if that is later. A twentieth of a rolling window
-- is one entry, at the instant of its last unit.
local grain = max(1, floor(span / GRAINS))
local function charge(at, units)
  if units == 0 then return end
  if #log > 0 then at = max(at, log[#log].at) end
  if kind == 'b' then refill(at) end
  local last = log[#log]
  if last and kind == 'r' and floor(last.at / grain) ~= floor(at / grain) then last = nil end
  if last then
    last.at, last.units = at, min(UNITS_MAX, last.units + units)
  else
    log[#log + 1] = {at = at, units = min(UNITS_MAX, units)}
  end
end

-- 1. Leases that have lapsed are charged in full, each at its expiry, the first one first.
local lapsed = {}
for _, holder in ipairs(holders) do
  if holder.held > 0 and holder.expiry <= now then lapsed[#lapsed + 1] = holder end
end
table.sort(lapsed, function(a, b)
  if a.expiry ~= b.expiry then return a.expiry < b.expiry end
  return a.proxy < b.proxy
end)
for _, holder in ipairs(lapsed) do
  charge(holder.expiry, holder.held)
  holder.held, holder.spare, holder.changed = 0, false, true
end

-- 2. The report of this proxy, and the rest of its lease.
local held, expiry, gone = 0, 0, 1
if own and own.held > 0 then
  local unspent = max(0, own.held - spent)
  if rest == 'f' then charge(now, spent + unspent) else charge(now, spent) end
  -- Of a lease that was spent whole nothing is left to prolong.
  if rest == 'k' and unspent > 0 then held, expiry, gone = unspent, own.expiry, 0 end
end
charge(now, extra)

-- 3. Units that have returned by now, and refunds: of a rolling window the oldest units, since the
-- others then count longer; of a bucket the units that time has not returned since.
if kind == 'b' then refill(now) end
local function drop(counts)
  local kept = {}
  for _, entry in ipairs(log) do
    if counts(entry) then kept[#kept + 1] = entry end
  end
  log = kept
end
if kind == 'r' then drop(function(entry) return entry.at + span > now end) end
local passed = max(0, now - since)
if refund > 0 and #log > 0 and (kind == 'c' or since > doubt) then
  if kind == 'r' and passed < span then
    local units = refund
    for _, entry in ipairs(log) do
      local given = min(units, entry.units)
      entry.units, units = entry.units - given, units - given
    end
    drop(function(entry) return entry.units > 0 end)
  elseif kind == 'b' and passed <= SPAN_MAX then
    local returned, part = muldiv(passed, quota, span)
    if returned < refund then
      if part > 0 then pay(refund - returned - 1, span - part) else pay(refund - returned, 0) end
    end
  elseif kind == 'c' then
    log[#log].units = max(0, log[#log].units - refund)
  end
end

-- 4. A lock is neither extended nor begun anew.
if lock > 0 and locked_until <= now then locked_until = now + lock end

-- 5. The grant: the need, as far as there are units; in advance a part of the rest.
local used, others, sharers, first, longest = 0, 0, 0, nil, 0
for _, entry in ipairs(log) do used = min(UNITS_MAX, used + entry.units) end
if kind == 'b' and fraction > 0 then used = used + 1 end
for _, holder in ipairs(holders) do
  if holder ~= own then
    others = others + holder.held
    if holder.spare then
      sharers = sharers + 1
      first = min(first or holder.expiry, holder.expiry)
    end
  end
  longest = max(longest, holder.keep)
end
local available = quota - used - others - held
local granted = 0
if (kind ~= 'c' or (start <= now and now < span)) and locked_until <= now then
  local room = max(0, available)
  granted = min(need, room)
  if room > need then
    granted = min(want, need + floor((room - need) / (2 * (sharers + 1))))
  end
end
held = held + granted
local left = available - granted

-- 6. The lease: the more units, the shorter. Nothing is held across a calendar window's end.
local spare, length = held > need, LEASE_MIN
if spare then
  local window = span
  if kind == 'c' then window = min(LEASE_MAX, max(0, span - start)) end
  length = muldiv(max(1, floor(window / PART)), quota, min(held, 2^45))
  length = min(LEASE_MAX, max(LEASE_MIN, length))
end
expiry = max(expiry, now + length)
if kind == 'c' then expiry = min(expiry, span) end

-- 7. When units return, if held units count from now on.
local taken = others + held
local function free_in(units)
  local over = used + taken + units - quota
  if over <= 0 then return 0 end
  if kind == 'c' then return max(0, span - now) end
  if kind == 'r' then
    for _, entry in ipairs(log) do
      over = over - entry.units
      if over <= 0 then return entry.at + span - now end
    end
    return span
  end
  if quota == 0 then return span end
  if fraction > 0 then over = over - 1 end
  local whole, remainder = muldiv(span, over, quota)
  return min(TIME_MAX, whole + ceil((remainder + fraction) / quota))
end
local wait, again, next_in, reset = 0, 0, 0, 0
local locked = max(0, locked_until - now)
if granted < need and locked > 0 then
  wait, again = locked, locked
elseif granted < need then
  if kind == 'c' and now < start then wait = start - now
  elseif kind == 'c' then wait = max(0, span - now)
  elseif need > quota then wait = span
  else wait = free_in(need - granted) end
  again = wait
  if first then again = min(again, first - now) end
  again = max(AGAIN_MIN, again)
  local one = free_in(1)
  if one > 0 then again = min(again, max(AGAIN_MIN, one)) end
  wait = max(1, wait)
end
if used + taken > 0 then
  next_in = free_in(max(0, left) + 1)
  reset = free_in(quota)
end

-- 8. The state to store. A proxy without units is forgotten once no copy of its take can arrive any more;
-- a take with a refund is known for as long as the refund would be worth anything.
local function flag(is) if is then return 1 end return 0 end
local keep = now + MEMORY
if refund > 0 then
  if kind == 'b' then keep = max(keep, now + (muldiv(span, refund, max(1, quota))))
  elseif kind == 'r' then keep = max(keep, now + span)
  else keep = max(keep, span) end
end
if own then keep = max(keep, own.keep) end
for _, holder in ipairs(holders) do
  if holder ~= own then
    if holder.held == 0 and holder.keep < now then
      redis.call('HDEL', key, holder.proxy)
    elseif holder.changed then
      local lease = text(holder.held, holder.expiry, flag(holder.spare), holder.keep)
      redis.call('HSET', key, holder.proxy, lease .. ':' .. holder.answer)
    end
  end
end
local state = {text(now, doubt, locked_until, fraction, fill)}
for _, entry in ipairs(log) do state[#state + 1] = text(entry.at, entry.units) end
redis.call('HSET', key, 's', table.concat(state, ':'), proxy,
  text(held, expiry, flag(spare), keep, seq, now, granted, wait, again, left, next_in, reset, gone, locked))
local life = max(span, reset)
if kind == 'c' then life = max(0, span - now) end
life = max(life, max(longest, keep) - now, locked)
redis.call('PEXPIRE', key, string.format('%.0f', ceil((life + LEASE_MAX + MARGIN) / 1000)))

local valid = 0
if held > 0 then valid = max(0, expiry - now) end
return {granted, valid, wait, again, left, next_in, reset, now, gone, locked}
