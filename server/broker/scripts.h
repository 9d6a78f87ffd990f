/* scripts: what Redis does for us in one step each. Internal to broker/.
 *
 *   PREFIX:{CHANNEL}:m   hash: e epoch · o offset · b bytes of history · r run of Redis · x ended
 *   PREFIX:{CHANNEL}:h   list: the newest messages (broker/encoding.h), the oldest first
 *   PREFIX:CHANNEL       where they are published
 *
 * The epoch is one life of a channel's numbering. It begins anew where the hash is gone, and where
 * Redis has been started again since and does not promise to have kept everything (`durable`): what
 * was acknowledged may be missing then, and its offsets must not be given twice. */
#pragma once

enum script {
    SCRIPT_PUBLISH,
    SCRIPT_JOIN,
    SCRIPT_COUNT,
};

/* ARGV 1 candidate epoch · 2 run · 3 durable · 4 ttl_ms: of both */
#define SCRIPT_OPEN                                                                                \
    "local meta = redis.call('HMGET', KEYS[1], 'e', 'o', 'b', 'r', 'x')\n"                         \
    "local epoch, offset, bytes, ended = meta[1], tonumber(meta[2]), tonumber(meta[3]), meta[5]\n" \
    "local kept = epoch and offset and (meta[4] == ARGV[2] or ARGV[3] == '1')\n"                   \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)\n"                      \
    "if not kept then epoch, offset, bytes = ARGV[1], 0, 0 end\n"

/* ARGV 5 topic · 6 body · 7 messages_max · 8 bytes_max · 9 age_ms · 10 event · 11 last
 * Returns epoch, offset, ended. */
#define SCRIPT_PUBLISH_TEXT                                                                        \
    SCRIPT_OPEN                                                                                    \
    "if ended == '1' then return {epoch, string.format('%.0f', offset), '1'} end\n"                \
    "if not kept then redis.call('DEL', KEYS[2]) end\n"                                            \
    "local most, most_bytes, age = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])\n"      \
    "local is_event = ARGV[10] == '1'\n"                                                           \
    "if not is_event then offset = offset + 1 end\n"                                               \
    "local item = string.format('%s %.0f %.0f\\n', epoch, offset, now) .. ARGV[6]\n"               \
    "if most > 0 and not is_event then\n"                                                          \
    "  local count = redis.call('RPUSH', KEYS[2], item)\n"                                         \
    "  if count == 1 then bytes = 0 end\n"                                                         \
    "  bytes = (bytes or 0) + #item\n"                                                             \
    "  while count > 1 do\n"                                                                       \
    "    local over = count > most or bytes > most_bytes\n"                                        \
    "    if not over then\n"                                                                       \
    "      local at = string.match(redis.call('LINDEX', KEYS[2], 0), '^%x+ %d+ (%d+)\\n')\n"       \
    "      if at and tonumber(at) >= now - age then break end\n"                                   \
    "    end\n"                                                                                    \
    "    bytes = bytes - #redis.call('LPOP', KEYS[2])\n"                                           \
    "    count = count - 1\n"                                                                      \
    "  end\n"                                                                                      \
    "  redis.call('PEXPIRE', KEYS[2], ARGV[9])\n"                                                  \
    "end\n"                                                                                        \
    "redis.call('HSET', KEYS[1], 'e', epoch, 'o', string.format('%.0f', offset),\n"                \
    "  'b', string.format('%.0f', bytes or 0), 'r', ARGV[2], 'x', ARGV[11])\n"                     \
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"                                                    \
    "redis.call('PUBLISH', ARGV[5], item)\n"                                                       \
    "return {epoch, string.format('%.0f', offset), '0'}\n"

/* ARGV 5 messages_max · 6 epoch and 7 offset of who asks, or empty
 * Returns epoch, offset, ended, now, the newest messages: all, or those behind that offset. */
#define SCRIPT_JOIN_TEXT                                                                           \
    SCRIPT_OPEN                                                                                    \
    "local want = tonumber(ARGV[5])\n"                                                             \
    "if kept and epoch == ARGV[6] then\n"                                                          \
    "  local since = tonumber(ARGV[7])\n"                                                          \
    "  if offset < since then kept, epoch, offset = false, ARGV[1], 0\n"                           \
    "  else want = math.min(want, offset - since) end\n"                                           \
    "end\n"                                                                                        \
    "if not kept then redis.call('DEL', KEYS[2]) end\n"                                            \
    "if not kept or meta[4] ~= ARGV[2] then\n"                                                     \
    "  redis.call('HSET', KEYS[1], 'e', epoch, 'o', string.format('%.0f', offset), 'r', "          \
    "ARGV[2])\n"                                                                                   \
    "end\n"                                                                                        \
    "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"                                                    \
    "local items = {}\n"                                                                           \
    "if want > 0 then items = redis.call('LRANGE', KEYS[2], -want, -1) end\n"                      \
    "return {epoch, string.format('%.0f', offset), ended or '0',\n"                                \
    "  string.format('%.0f', now), items}\n"

static const char *const script_texts[SCRIPT_COUNT] = {SCRIPT_PUBLISH_TEXT, SCRIPT_JOIN_TEXT};
