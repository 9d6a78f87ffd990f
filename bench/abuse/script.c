#include "abuse/script.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abuse/attacker.h"
#include "experiment/bench.h"
#include "abuse/text.h"

enum {
    NAMES = 32, /* in one request: the server's default for channels_per_connection_max */
    PLACES_MAX = 9,
    STREAM_BYTES = 4,
    SAID_AT_ONCE = 8192,
};

/* What stands for a stream in a text. */
static const char NEW_STREAM[] = "\x7fNEW", SAME_STREAM[] = "\x7fOLD";

/* "channel=abuse-0&channel=abuse-1…" */
static void list(char *text, size_t size, const char *prefix)
{
    size_t len = 0;
    for (int i = 0; i < NAMES && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%schannel=%s%d", i ? "&" : "", prefix, i);
}

static int fill(const struct attack *attack, const char *text, const struct text_value *rows,
                char *buf)
{
    char why[BENCH_WHY_MAX];
    int len = text_fill(span_from(text), rows, buf, ATTACK_TEXT_MAX, why, sizeof why);
    return len < 0 ? bench_fail(len, "the attack %s: %s", attack->name, why) : len;
}

/* The text with its bulk; one that is said until the end more than once, so that a send is long. */
static void write_text(struct script *script, const char *text, size_t len, size_t bulk, bool alone)
{
    const size_t unit = len + bulk;
    const size_t times = alone || unit >= SAID_AT_ONCE ? 1 : SAID_AT_ONCE / unit;
    script->len = times * unit;
    script->text = malloc(script->len + 1);
    assert(script->text);
    for (char *at = script->text; at < script->text + script->len; at += unit) {
        memcpy(at, text, len);
        memset(at + len, 'a', bulk);
    }
    script->text[script->len] = '\0';
}

int script_init(struct script *script, const struct attack *attack,
                const struct attack_target *target)
{
    char channels[1024], names[1024], upgrade[2048], text[ATTACK_TEXT_MAX];
    const struct text_value rows[PLACES_MAX] = {
        {"get", target->get},   {"post", target->post}, {"subscribe", target->subscribe},
        {"channels", channels}, {"names", names},       {"upgrade", upgrade},
        {"stream", NEW_STREAM}, {"same", SAME_STREAM},
    };
    *script = (struct script){0};
    list(channels, sizeof channels, "abuse-");
    list(names, sizeof names, ATTACK_NUMBER "-");
    snprintf(upgrade, sizeof upgrade,
             "GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cmluZ3NpZGUgbG9hZCBrZQ==\r\n%s\r\n",
             target->subscribe, target->fields ? target->fields : "");
    int len = attack->opening ? fill(attack, attack->opening, rows, script->opening) : 0;
    script->opening_len = len > 0 ? (size_t)len : 0;
    if (len >= 0 && attack->text)
        len = fill(attack, attack->text, rows, text);
    if (len < 0 || !attack->text)
        return len < 0 ? len : 0;
    const bool counted = memmem(text, (size_t)len, ATTACK_NUMBER, ATTACK_NUMBER_DIGITS);
    const bool alone = counted || attack->times > 0;
    script->numbered = counted || memmem(text, (size_t)len, NEW_STREAM, STREAM_BYTES);
    write_text(script, text, (size_t)len, attack->bulk, alone);
    return 0;
}

void script_done(struct script *script)
{
    free(script->text);
    script->text = NULL;
}

char *script_copy(const struct script *script, size_t *ret_len)
{
    char *copy = malloc(script->len + 1);
    assert(copy);
    memcpy(copy, script->text, script->len + 1);
    *ret_len = script->len;
    return copy;
}

static void write_streams(const struct script *script, char *copy, uint32_t *streams)
{
    const char *end = script->text + script->len - STREAM_BYTES, *at = script->text;
    for (; at <= end && (at = memchr(at, NEW_STREAM[0], (size_t)(end - at) + 1)); at++) {
        if (memcmp(at, NEW_STREAM, STREAM_BYTES) == 0)
            (*streams)++;
        else if (memcmp(at, SAME_STREAM, STREAM_BYTES) != 0)
            continue;
        const uint32_t wire = htonl(2 * *streams + 1);
        memcpy(copy + (at - script->text), &wire, STREAM_BYTES);
    }
}

void script_number(const struct script *script, char *copy, uint64_t number, uint32_t *streams)
{
    write_streams(script, copy, streams);
    char digits[ATTACK_NUMBER_DIGITS + 1];
    snprintf(digits, sizeof digits, "%07u", (unsigned)(number % 10000000));
    for (const char *at = script->text; (at = strstr(at, ATTACK_NUMBER));
         at += ATTACK_NUMBER_DIGITS)
        memcpy(copy + (at - script->text), digits, ATTACK_NUMBER_DIGITS);
}
