/* scripts: what Redis does for us in one step each. Internal to broker/.
 *
 *   PREFIX:{CHANNEL}:m   hash: e epoch · o offset · b bytes of history · r life of Redis · x ended
 *                        v version · w its epoch
 *   PREFIX:{CHANNEL}:h   list: the newest messages (broker/encoding.h), the oldest first
 *   PREFIX:{CHANNEL}:k   hash: keys of publishes ─► until when, epoch and offset
 *   PREFIX:{CHANNEL}:q   list: those keys, the oldest first
 *   PREFIX:{CHANNEL}:l and r   the same of lasting keys
 *   PREFIX:CHANNEL       where they are published; in a Redis Cluster PREFIX:{CHANNEL}
 *   PREFIX:!orders       stream: what all nodes were told to do last (redis_nodes.c); in a cluster
 *                        PREFIX:{!}orders
 *
 * The epoch is one life of a channel's numbering. It begins anew where the hash is gone, and where
 * Redis has another life since (redis_life.c) and does not promise to have kept everything
 * (`durable`): what was acknowledged may be missing then, and its offsets must not be given twice.
 * What is known of keys and versions is of one epoch, too: where messages may be missing they may
 * be sent again. */
#pragma once

#define REDIS_TRUST_MS "500"

enum script {
    SCRIPT_PUBLISH,
    SCRIPT_JOIN,
    SCRIPT_FORGET,
    SCRIPT_ORDER,
    SCRIPT_LOOK,
    SCRIPT_COUNT,
};

/* ARGV 1 candidate epoch · 2 life · 3 durable · 4 ttl_ms · 5 when that life was seen: of all.
 * What the asker knows of the life is good for REDIS_TRUST_MS of the clock of Redis. */
#define SCRIPT_OPEN                                                                                \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)\n"                      \
    "local life, durable, since = ARGV[2], ARGV[3] == '1', now - tonumber(ARGV[5])\n"              \
    "if since < 0 or since > " REDIS_TRUST_MS " then\n"                                            \
    "  local is = redis.call('INFO', 'replication')\n"                                             \
    "  if not string.find(is, 'role:master', 1, true) then\n"                                      \
    "    return redis.error_reply('READONLY it is a replica')\n"                                   \
    "  end\n"                                                                                      \
    "  life = string.match(is, 'master_replid:(%x+)')\n"                                           \
    "  durable = durable and string.find(is, 'master_replid2:0+\\r')\n"                            \
    "end\n"                                                                                        \
    "local meta = redis.call('HMGET', KEYS[1], 'e', 'o', 'b', 'r', 'x')\n"                         \
    "local epoch, offset, bytes, ended = meta[1], tonumber(meta[2]), tonumber(meta[3]), meta[5]\n" \
    "local kept = epoch and offset and (meta[4] == life or durable)\n"                             \
    "if not kept then epoch, offset, bytes = ARGV[1], 0, 0 end\n"

/* Has it been published? Numbers of versions have 20 digits, as they may have more bits than those
 * of Lua. */
#define SCRIPT_TERMS                                                                               \
    "local key, version = ARGV[13], ARGV[14]\n"                                                    \
    "if kept and key ~= '' then\n"                                                                 \
    "  local before = redis.call('HGET', KEYS[3], key)\n"                                          \
    "  if before then\n"                                                                           \
    "    local till, old, at = string.match(before, '^(%d+) (%x+) (%d+)$')\n"                      \
    "    local counts = till and tonumber(till) > now and old == epoch\n"                          \
    "    if counts then return {epoch, at, '0', '1'} end\n"                                        \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "if kept and version ~= '' then\n"                                                             \
    "  local has = redis.call('HMGET', KEYS[1], 'v', 'w')\n"                                       \
    "  local same = ARGV[15] == '' or ARGV[15] == has[2]\n"                                        \
    "  if has[1] and same and version <= has[1] then\n"                                            \
    "    return {epoch, string.format('%.0f', offset), '0', '2'}\n"                                \
    "  end\n"                                                                                      \
    "end\n"

/* The oldest give way, some at a time: each publish with a key brings one. */
#define SCRIPT_TERMS_KEEP                                                                          \
    "if version ~= '' then redis.call('HSET', KEYS[1], 'v', version, 'w', ARGV[15]) end\n"         \
    "if key ~= '' then\n"                                                                          \
    "  local at = is_event and 0 or offset\n"                                                      \
    "  local till = now + tonumber(ARGV[17])\n"                                                    \
    "  local text = string.format('%.0f %s %.0f', till, epoch, at)\n"                              \
    "  local new = redis.call('HSET', KEYS[3], key, text) == 1\n"                                  \
    "  if new then redis.call('RPUSH', KEYS[4], key) end\n"                                        \
    "  local count = redis.call('LLEN', KEYS[4])\n"                                                \
    "  for i = 1, 16 do\n"                                                                         \
    "    local oldest = redis.call('LINDEX', KEYS[4], 0)\n"                                        \
    "    local what = oldest and redis.call('HGET', KEYS[3], oldest)\n"                            \
    "    local ends = what and tonumber(string.match(what, '^(%d+)'))\n"                           \
    "    if count <= tonumber(ARGV[16]) and ends and ends > now then break end\n"                  \
    "    if not oldest then break end\n"                                                           \
    "    redis.call('LPOP', KEYS[4])\n"                                                            \
    "    redis.call('HDEL', KEYS[3], oldest)\n"                                                    \
    "    count = count - 1\n"                                                                      \
    "  end\n"                                                                                      \
    "  redis.call('PEXPIRE', KEYS[3], ARGV[17])\n"                                                 \
    "  redis.call('PEXPIRE', KEYS[4], ARGV[17])\n"                                                 \
    "end\n"

/* ARGV 6 topic · 7 body, or '2' and several · 8 messages_max · 9 bytes_max · 10 age_ms
 *      11 how many are numbered, 0 of events · 12 last
 *      13 key or empty · 14 version or empty · 15 its epoch · 16 keys_max · 17 keys_ms
 * KEYS 3 and 4 only with a key
 * Returns epoch, offset of the last, ended, and what is known (enum remote_known). Events change
 * nothing of a channel that is there. */
#define SCRIPT_PUBLISH_TEXT(verb)                                                                  \
    SCRIPT_OPEN                                                                                    \
    SCRIPT_TERMS                                                                                   \
    "if ended == '1' then return {epoch, string.format('%.0f', offset), '1', '0'} end\n"           \
    "local count = tonumber(ARGV[11])\n"                                                           \
    "local is_event = count == 0\n"                                                                \
    "offset = offset + count\n"                                                                    \
    "local item = string.format('%s %.0f %.0f\\n', epoch, offset, now) .. ARGV[7]\n"               \
    "if is_event and kept and key == '' and version == '' then\n"                                  \
    "  redis.call('" verb "', ARGV[6], item)\n"                                                    \
    "  return {epoch, string.format('%.0f', offset), '0', '0'}\n"                                  \
    "end\n"                                                                                        \
    "if not kept then redis.call('DEL', KEYS[2]); redis.call('HDEL', KEYS[1], 'v', 'w') end\n"     \
    "local most, most_bytes, age = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])\n"     \
    "if most > 0 and not is_event then\n"                                                          \
    "  local items, at = {item}, 2\n"                                                              \
    "  if count > 1 then items = {} end\n"                                                         \
    "  for i = 1, count > 1 and count or 0 do\n"                                                   \
    "    local size = struct.unpack('>I4', ARGV[7], at)\n"                                         \
    "    if i > count - most then\n"                                                               \
    "      items[#items + 1] = string.format('%s %.0f %.0f\\n', epoch, offset - count + i, now) "  \
    ".. string.sub(ARGV[7], at + 4, at + 3 + size)\n"                                              \
    "    end\n"                                                                                    \
    "    at = at + 4 + size\n"                                                                     \
    "  end\n"                                                                                      \
    "  local have = redis.call('RPUSH', KEYS[2], unpack(items))\n"                                 \
    "  if have == #items or not bytes then bytes = 0 end\n"                                        \
    "  for i = 1, #items do bytes = bytes + #items[i] end\n"                                       \
    "  if have > most then\n"                                                                      \
    "    local old = redis.call('LPOP', KEYS[2], have - most)\n"                                   \
    "    for i = 1, #old do bytes = bytes - #old[i] end\n"                                         \
    "    have = most\n"                                                                            \
    "  end\n"                                                                                      \
    "  while have > 1 do\n"                                                                        \
    "    if bytes <= most_bytes then\n"                                                            \
    "      local at = string.match(redis.call('LINDEX', KEYS[2], 0), '^%x+ %d+ (%d+)\\n')\n"       \
    "      if at and tonumber(at) >= now - age then break end\n"                                   \
    "    end\n"                                                                                    \
    "    bytes = bytes - #redis.call('LPOP', KEYS[2])\n"                                           \
    "    have = have - 1\n"                                                                        \
    "  end\n"                                                                                      \
    "  redis.call('PEXPIRE', KEYS[2], ARGV[10])\n"                                                 \
    "end\n"                                                                                        \
    "redis.call('HSET', KEYS[1], 'e', epoch, 'o', string.format('%.0f', offset),\n"                \
    "  'b', string.format('%.0f', bytes or 0), 'r', life, 'x', ARGV[12])\n"                        \
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n" SCRIPT_TERMS_KEEP "redis.call('" verb              \
    "', ARGV[6], item)\n"                                                                          \
    "return {epoch, string.format('%.0f', offset), '0', '0'}\n"

/* ARGV 6 messages_max · 7 epoch and 8 offset of who asks, or empty
 * Returns epoch, offset, ended, now, the newest messages: all, or those behind that offset; and how
 * many are kept. */
#define SCRIPT_JOIN_TEXT                                                                           \
    SCRIPT_OPEN                                                                                    \
    "local want = tonumber(ARGV[6])\n"                                                             \
    "if kept and epoch == ARGV[7] then\n"                                                          \
    "  local since = tonumber(ARGV[8])\n"                                                          \
    "  if offset < since then kept, epoch, offset = false, ARGV[1], 0\n"                           \
    "  else want = math.min(want, offset - since) end\n"                                           \
    "end\n"                                                                                        \
    "if not kept then redis.call('DEL', KEYS[2]) end\n"                                            \
    "if not kept or meta[4] ~= life then\n"                                                        \
    "  redis.call('HSET', KEYS[1], 'e', epoch, 'o', string.format('%.0f', offset), 'r', life)\n"   \
    "end\n"                                                                                        \
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"                                                    \
    "local items = {}\n"                                                                           \
    "if want > 0 then items = redis.call('LRANGE', KEYS[2], -want, -1) end\n"                      \
    "return {epoch, string.format('%.0f', offset), ended or '0',\n"                                \
    "  string.format('%.0f', now), items, tostring(redis.call('LLEN', KEYS[2]))}\n"

/* ARGV 6 topic · 7 body
 * Returns epoch, offset, ended. */
#define SCRIPT_FORGET_TEXT(verb)                                                                   \
    SCRIPT_OPEN                                                                                    \
    "redis.call('DEL', KEYS[2])\n"                                                                 \
    "redis.call('HSET', KEYS[1], 'e', epoch, 'o', string.format('%.0f', offset), 'b', '0',\n"      \
    "  'r', life)\n"                                                                               \
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"                                                    \
    "local item = string.format('%s %.0f %.0f\\n', epoch, offset, now) .. ARGV[7]\n"               \
    "redis.call('" verb "', ARGV[6], item)\n"                                                      \
    "return {epoch, string.format('%.0f', offset), ended or '0'}\n"

/* KEYS 1 orders · ARGV 1 order · 2 how many are kept · 3 topic
 * Returns how many hear it, and its place, which is told before it. */
#define SCRIPT_ORDER_TEXT(verb)                                                                    \
    "local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'o', ARGV[1])\n"          \
    "return {redis.call('" verb "', ARGV[3], id .. ' ' .. ARGV[1]), id}\n"

/* Returns whose data these are, and its clock then. */
#define SCRIPT_LOOK_TEXT                                                                           \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)\n"                      \
    "return {redis.call('INFO', 'replication'), string.format('%.0f', now)}\n"

/* By whether it is for a Redis Cluster, where what is published is heard at one shard. */
static const char *const script_texts[2][SCRIPT_COUNT] = {
    {SCRIPT_PUBLISH_TEXT("PUBLISH"), SCRIPT_JOIN_TEXT, SCRIPT_FORGET_TEXT("PUBLISH"),
     SCRIPT_ORDER_TEXT("PUBLISH"), SCRIPT_LOOK_TEXT},
    {SCRIPT_PUBLISH_TEXT("SPUBLISH"), SCRIPT_JOIN_TEXT, SCRIPT_FORGET_TEXT("SPUBLISH"),
     SCRIPT_ORDER_TEXT("SPUBLISH"), SCRIPT_LOOK_TEXT},
};
