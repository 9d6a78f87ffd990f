#include "commands.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/keys.h"
#include "broker/broker.h"
#include "certificates.h"
#include "conn/trusted.h"
#include "health.h"
#include "http/origins.h"
#include "kafka/kafka.h"
#include "wire/json_scan.h"

enum {
    WHY_MAX = 512,
    OPTION_KEY = 1000,
    OPTION_CLAIMS,
    OPTION_TTL,
    TTL_S = 3600,
};

enum command command_take(int *argc, char **argv)
{
    static const char *const names[] = {
        [COMMAND_GEN_CONFIG] = "gen-config",
        [COMMAND_CHECK_CONFIG] = "check-config",
        [COMMAND_HEALTH] = "health",
        [COMMAND_GEN_TOKEN] = "gen-token",
    };
    for (unsigned i = COMMAND_GEN_CONFIG; *argc > 1 && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(argv[1], names[i]) != 0)
            continue;
        memmove(&argv[1], &argv[2], (size_t)(*argc - 1) * sizeof *argv);
        --*argc;
        return (enum command)i;
    }
    return COMMAND_SERVE;
}

static int fail(const char *why)
{
    fprintf(stderr, "ringside-server: %s\n", why);
    return 1;
}

/* ---- settings ---- */

/* Reads all that the settings name, as a start would. */
static int check_config(const struct settings *settings)
{
    static struct trusted trusted;
    char why[WHY_MAX];
    struct certificates certificates;
    struct origins *origins;
    struct auth_keys *keys;
    if (settings_check(settings, why, sizeof why) < 0 ||
        trusted_read(&trusted, settings->trusted_proxies, why, sizeof why) < 0 ||
        broker_check(settings, why, sizeof why) < 0 || kafka_check(settings, why, sizeof why) < 0 ||
        certificates_init(&certificates, settings, why, sizeof why) < 0 ||
        origins_create(&origins, settings->allowed_origins, why, sizeof why) < 0 ||
        auth_keys_read(&keys, settings, why, sizeof why) < 0)
        return fail(why);
    printf("the settings are good: %u keys of tokens, %zu of servers, %u namespaces\n",
           auth_keys_tokens(keys)->count, auth_keys_api_count(keys),
           settings->namespaces.count - 1);
    if (auth_keys_api_count(keys) == 0 && settings->admin_listen[0] == '\0')
        namespaces_warn(&settings->namespaces);
    auth_keys_unref(keys);
    origins_free(origins);
    certificates_done(&certificates);
    return 0;
}

int command_run(enum command command, const struct settings *settings)
{
    if (command == COMMAND_CHECK_CONFIG)
        return check_config(settings);
    if (command == COMMAND_HEALTH)
        return health_ask(settings);
    settings_print(settings);
    return 0;
}

/* ---- tokens ---- */

struct wish {
    const char *key;
    const char *claims;
    int64_t ttl_s;
};

static const struct argp_option options[] = {
    {"key", OPTION_KEY, "KEY", 0, "HS256:file:PATH, or with @KID, as in token_keys", 0},
    {"claims", OPTION_CLAIMS, "JSON", 0, "An object, as {\"sub\":\"alice\"} (default {})", 0},
    {"ttl", OPTION_TTL, "S", 0, "It ends after so many seconds (default 3600; 0: never)", 0},
    {0},
};

static error_t parse_option(int option, char *argument, struct argp_state *state)
{
    struct wish *wish = state->input;
    uint64_t seconds;
    switch (option) {
    case OPTION_KEY:
        wish->key = argument;
        return 0;
    case OPTION_CLAIMS:
        wish->claims = argument;
        return 0;
    case OPTION_TTL:
        if (!json_number_read(span_from(argument), &seconds) || seconds > INT32_MAX)
            argp_error(state, "--ttl needs whole seconds");
        wish->ttl_s = (int64_t)seconds;
        return 0;
    case ARGP_KEY_END:
        if (!wish->key)
            argp_error(state, "--key says what to sign it with");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The claims of the wish, behind iat and exp. Returns their length, or -1: too many. */
static int claims_write(char *buf, size_t size, const struct wish *wish)
{
    int64_t now_s = time(NULL);
    const char *rest = strchr(wish->claims, '{');
    char exp[64] = "";
    if (!rest)
        return -1;
    if (wish->ttl_s > 0)
        snprintf(exp, sizeof exp, ",\"exp\":%" PRId64, now_s + wish->ttl_s);
    rest++;
    bool empty = rest[strspn(rest, " \t\r\n")] == '}';
    int len = snprintf(buf, size, "{\"iat\":%" PRId64 "%s%s%s", now_s, exp, empty ? "" : ",", rest);
    return len > 0 && (size_t)len < size ? len : -1;
}

/* Signs it, and looks at it as the server would. */
static int token_make(char *token, const struct jwt_keys *keys, struct span claims, char *why)
{
    char area[JWT_AREA_BYTES];
    struct jwt_claims read;
    const struct jwt_rules rules = {.keys = keys, .now_s = time(NULL)};
    int len = jwt_sign_hs256(token, JWT_BYTES_MAX, keys->list, claims);
    int err =
        len < 0 ? JWT_ERROR_TOO_LONG : jwt_verify(&read, span_of(token, (size_t)len), &rules, area);
    /* Whom it is for is not known here. */
    if (err == 0 || err == JWT_ERROR_AUDIENCE)
        return len;
    snprintf(why, WHY_MAX, "gen-token: with these claims a token %s", jwt_error_sentence(err));
    return -1;
}

int command_gen_token(int argc, char **argv)
{
    const struct argp argp = {options, parse_option, NULL, "Prints a token, signed with HS256.",
                              NULL,    NULL,         NULL};
    struct wish wish = {.claims = "{}", .ttl_s = TTL_S};
    char why[WHY_MAX], claims[JWT_BYTES_MAX], token[JWT_BYTES_MAX];
    static struct jwt_keys keys;
    argp_err_exit_status = 1;
    argp_parse(&argp, argc, argv, 0, NULL, &wish);
    if (auth_key_read(keys.list, wish.key, why, sizeof why) < 0)
        return fail(why);
    keys.count = 1;
    if (keys.list[0].algorithm != JWT_HS256)
        return fail("gen-token: only HS256 signs with what it verifies with; the others have a "
                    "private key, which is the issuer's");
    int len = claims_write(claims, sizeof claims, &wish);
    if (len < 0)
        return fail("gen-token: --claims is no JSON object, or too long");
    len = token_make(token, &keys, span_of(claims, (size_t)len), why);
    explicit_bzero(&keys, sizeof keys);
    if (len < 0)
        return fail(why);
    printf("%.*s\n", len, token);
    return 0;
}
