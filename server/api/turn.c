#include "api/turn.h"

#include <assert.h>
#include <bearssl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/permit.h"
#include "auth/secret.h"
#include "wire/base64.h"
#include "wire/json_out.h"
#include "wire/out.h"

enum {
    NAME_MAX_BYTES = DIGITS_DECIMAL_MAX + 1 + TURN_USER_MAX,
    ANSWER_MAX = JSON_ESCAPE_MAX * NAME_MAX_BYTES + SETTINGS_TEXT_MAX * 4 + 256,
    SECRET_MIN = 16,
};

struct turn {
    br_hmac_key_context key;
    size_t uris_len;
    char uris[SETTINGS_TEXT_MAX * 4]; /* as JSON: strings with commas between them */
};

/* ---- making it ---- */

/* turn:, turns: or stun:, and nothing that JSON would have to escape (RFC 7065, RFC 7064). */
static bool uri_good(struct span uri)
{
    static const struct span schemes[] = {SPAN_INIT("turn:"), SPAN_INIT("turns:"),
                                          SPAN_INIT("stun:")};
    bool known = false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        known |= uri.len > schemes[i].len && memcmp(uri.ptr, schemes[i].ptr, schemes[i].len) == 0;
    for (size_t i = 0; i < uri.len; i++)
        known &= uri.ptr[i] > ' ' && uri.ptr[i] < 0x7f && uri.ptr[i] != '"' && uri.ptr[i] != '\\';
    return known;
}

static int uris_read(struct turn *turn, struct span text, char *why, size_t why_size)
{
    struct out out = out_begin(turn->uris, sizeof turn->uris);
    while (text.len > 0) {
        const char *space = memchr(text.ptr, ' ', text.len);
        struct span uri = {text.ptr, space ? (size_t)(space - text.ptr) : text.len};
        text = span_skip(text, uri.len + (space != NULL));
        if (uri.len == 0)
            continue;
        if (!uri_good(uri)) {
            snprintf(why, why_size, "turn_uris: %.*s is none; turn:HOST:3478 is", (int)uri.len,
                     uri.ptr);
            return -EINVAL;
        }
        out_span(&out, out.at == out.start ? SPAN("\"") : SPAN(",\""));
        out_span(&out, uri);
        out_text(&out, "\"");
    }
    int len = out_end(&out);
    assert(len >= 0);
    turn->uris_len = (size_t)len;
    return 0;
}

static int key_read(struct turn *turn, const char *source, char *why, size_t why_size)
{
    struct secret secret;
    int err = secret_read(&secret, source, why, why_size);
    if (err == 0 && secret.len < SECRET_MIN) {
        snprintf(why, why_size,
                 "turn_secret: %s has less than %d bytes; `openssl rand -hex 32` "
                 "makes one, and coturn has it as static-auth-secret",
                 source, SECRET_MIN);
        err = -EINVAL;
    }
    if (err == 0)
        br_hmac_key_init(&turn->key, &br_sha1_vtable, secret.bytes, secret.len);
    explicit_bzero(&secret, sizeof secret);
    return err;
}

int turn_create(struct turn **ret, const struct settings *settings, char *why, size_t why_size)
{
    *ret = NULL;
    if (settings->turn_uris[0] == '\0')
        return 0;
    struct turn *turn = calloc(1, sizeof *turn);
    if (!turn) {
        snprintf(why, why_size, "turn_uris: there is no memory for them");
        return -ENOMEM;
    }
    int err = uris_read(turn, span_from(settings->turn_uris), why, why_size);
    if (err == 0)
        err = key_read(turn, settings->turn_secret, why, why_size);
    if (err < 0)
        turn_free(turn);
    else
        *ret = turn;
    return err;
}

void turn_free(struct turn *turn)
{
    if (!turn)
        return;
    explicit_bzero(turn, sizeof *turn);
    free(turn);
}

/* ---- an answer ---- */

static void password_make(const struct turn *turn, struct span name,
                          char ret[BASE64_SIZE(br_sha1_SIZE)])
{
    uint8_t mac[br_sha1_SIZE];
    br_hmac_context hmac;
    br_hmac_init(&hmac, &turn->key, 0);
    br_hmac_update(&hmac, name.ptr, name.len);
    br_hmac_out(&hmac, mac);
    base64_encode(ret, span_of((const char *)mac, sizeof mac));
}

static void answer(struct shard *shard, struct conn *conn, struct span user)
{
    const struct turn *turn = shard->server->turn;
    char name[NAME_MAX_BYTES], password[BASE64_SIZE(br_sha1_SIZE)], body[ANSWER_MAX];
    int64_t ttl_s = shard->settings->turn_ttl_ms / 1000;
    int len = snprintf(name, sizeof name, "%" PRId64 ":%.*s", shard_unix_s(shard) + ttl_s,
                       (int)user.len, user.ptr);
    assert(len > 0 && (size_t)len < sizeof name);
    password_make(turn, span_of(name, (size_t)len), password);
    struct out out = out_begin(body, sizeof body);
    out_text(&out, "{\"username\":");
    assert(json_string_size(span_of(name, (size_t)len)) <= (size_t)(out.end - out.at));
    out.at += json_string_write(out.at, span_of(name, (size_t)len));
    out_text(&out, ",\"password\":\"");
    out_span(&out, span_of(password, sizeof password));
    out_text(&out, "\",\"ttl\":");
    out_decimal(&out, (uint64_t)ttl_s);
    out_text(&out, ",\"uris\":[");
    out_span(&out, span_of(turn->uris, turn->uris_len));
    out_text(&out, "]}\n");
    int size = out_end(&out);
    assert(size > 0);
    http_answer(shard, conn, 200, SPAN("application/json"), span_of(body, (size_t)size),
                SPAN("Cache-Control: no-store\r\n"));
}

/* Nobody without a token: who relays for everybody relays for whoever has something to hide. */
void turn_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct params *params = http_params_any(shard, conn, exchange);
    struct permit permit;
    if (!params)
        return;
    if (!shard->server->turn) {
        http_error(shard, conn, REFUSAL_TURN_OFF);
        return;
    }
    bool known = permit_read(&permit, shard, conn, exchange->request, params);
    if (!known || permit.who == WHO_ANONYMOUS) {
        permit_refuse(shard, conn, exchange->request,
                      known ? REFUSAL_TOKEN_REQUIRED : permit.refusal);
        return;
    }
    struct span user = permit.who == WHO_SERVER ? params->user : permit.claims.sub;
    if (user.len > TURN_USER_MAX)
        permit_refuse(shard, conn, exchange->request, REFUSAL_TOKEN_INVALID);
    else
        answer(shard, conn, user);
}
