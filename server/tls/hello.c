#include "tls/hello.h"

#include <string.h>

#include "tls/error.h"
#include "tls/record.h"
#include "tls/suite.h"

enum {
    MESSAGE_HEAD = 4,
    CLIENT_HELLO = 1,
    ALERT_SIZE = 2,
    WARNING = 1,
    MAJOR_VERSION = 3,
    BEFORE_SESSION = MESSAGE_HEAD + 2 + 32, /* version, random */
    EXTENSION_NAME = 0,
    EXTENSION_VERSIONS = 43,
    VERSION_1_3 = 0x0304,
    NAME_HOST = 0,
};

static size_t get_16(const unsigned char *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* A client that does not know that this is TLS shows it with its first byte. */
static int first_check(unsigned char first)
{
    if (first >= TLS_CHANGE_CIPHER_SPEC && first <= TLS_APPLICATION_DATA)
        return 0;
    return first >= 'A' && first <= 'Z' ? -TLS_ERROR_PLAIN_HTTP : -TLS_ERROR_NOT_TLS;
}

static int head_check(const unsigned char *head)
{
    size_t size = get_16(head + 3);
    if (head[1] != MAJOR_VERSION)
        return -TLS_ERROR_VERSION;
    if (size > TLS_PLAIN_MAX)
        return -TLS_ERROR_RECORD_TOO_LONG;
    if (head[0] == TLS_ALERT)
        return size == ALERT_SIZE ? 0 : -TLS_ERROR_BAD_ALERT;
    if (head[0] != TLS_HANDSHAKE)
        return -TLS_ERROR_UNEXPECTED;
    /* RFC 5246 section 6.2.1: no fragment of a handshake is empty. */
    return size > 0 ? 0 : -TLS_ERROR_BAD_HANDSHAKE;
}

static int alert_read(const unsigned char *alert, size_t have)
{
    if (have < ALERT_SIZE)
        return 0;
    if (alert[1] == TLS_ALERT_CLOSE_NOTIFY)
        return -TLS_ERROR_CLOSED;
    return alert[0] == WARNING ? -TLS_ERROR_UNEXPECTED : -TLS_ERROR_ALERT_RECEIVED;
}

/* Looks at `have` bytes, all that has come, of a record of `size`. */
static int fragment_check(struct tls_hello *hello, const unsigned char *bytes, size_t have,
                          size_t size)
{
    size_t got = hello->got;
    if (got < MESSAGE_HEAD) {
        size_t part = have < MESSAGE_HEAD - got ? have : MESSAGE_HEAD - got;
        memcpy(hello->head + got, bytes, part);
        if (got + part > 0 && hello->head[0] != CLIENT_HELLO)
            return -TLS_ERROR_UNEXPECTED;
        if (got + part < MESSAGE_HEAD)
            return 0;
    }
    size_t total = MESSAGE_HEAD + ((size_t)hello->head[1] << 16 | get_16(hello->head + 2));
    if (total > TLS_HELLO_MAX)
        return -TLS_ERROR_HELLO_TOO_LONG;
    /* Nothing may follow before the server has answered. */
    return got + size > total ? -TLS_ERROR_UNEXPECTED : got + size == total;
}

int tls_hello_next(struct tls_hello *hello, const unsigned char *bytes, size_t len)
{
    int err = len > 0 ? first_check(bytes[0]) : 0;
    while (err == 0 && len - hello->at >= TLS_HEAD_SIZE) {
        const unsigned char *head = bytes + hello->at, *fragment = head + TLS_HEAD_SIZE;
        size_t size = get_16(head + 3), have = len - hello->at - TLS_HEAD_SIZE;
        err = head_check(head);
        if (err < 0)
            break;
        if (head[0] == TLS_ALERT) {
            err = alert_read(fragment, have);
            break;
        }
        bool whole = have >= size;
        int ends = fragment_check(hello, fragment, whole ? size : have, size);
        if (ends < 0)
            return ends;
        if (hello->at + TLS_HEAD_SIZE + size > TLS_HELLO_MAX)
            return -TLS_ERROR_HELLO_TOO_LONG;
        if (!whole)
            break;
        hello->at += (uint32_t)(TLS_HEAD_SIZE + size);
        hello->got += (uint32_t)size;
        if (ends)
            return (int)hello->at;
    }
    return err;
}

/* ---- what it asks for ---- */

/* Where reading stands in a message that is cut into records. */
struct cursor {
    const unsigned char *at, *end;
    size_t left; /* in this record */
};

/* Takes `len` bytes, into `ret` unless that is NULL. Returns false when they are not there. */
static bool take(struct cursor *cursor, unsigned char *ret, size_t len)
{
    while (len > 0) {
        size_t part = len < cursor->left ? len : cursor->left;
        if ((size_t)(cursor->end - cursor->at) < (part > 0 ? part : TLS_HEAD_SIZE))
            return false;
        if (part == 0) {
            cursor->left = get_16(cursor->at + 3);
            cursor->at += TLS_HEAD_SIZE;
            continue;
        }
        if (ret) {
            memcpy(ret, cursor->at, part);
            ret += part;
        }
        cursor->at += part;
        cursor->left -= part;
        len -= part;
    }
    return true;
}

/* Takes a number of `size` bytes, 1 or 2. */
static bool take_number(struct cursor *cursor, size_t size, size_t *ret)
{
    unsigned char bytes[2] = {0};
    if (!take(cursor, bytes + 2 - size, size))
        return false;
    *ret = get_16(bytes);
    return true;
}

static bool skip_vector(struct cursor *cursor, size_t head)
{
    size_t len;
    return take_number(cursor, head, &len) && take(cursor, NULL, len);
}

/* Takes a list of names. The last one counts, if there are several. */
static bool take_names(struct cursor *cursor, char *ret)
{
    size_t left, kind, len;
    if (!take_number(cursor, 2, &left))
        return false;
    while (left >= 3) {
        if (!take_number(cursor, 1, &kind) || !take_number(cursor, 2, &len) || len > left - 3)
            return false;
        bool counts = kind == NAME_HOST && len < TLS_NAME_SIZE;
        if (!take(cursor, counts ? (unsigned char *)ret : NULL, len))
            return false;
        if (counts)
            ret[len] = '\0';
        left -= 3 + len;
    }
    return left == 0;
}

/* Takes a list of versions. */
static bool take_versions(struct cursor *cursor, bool *tls_13)
{
    size_t left, version;
    if (!take_number(cursor, 1, &left))
        return false;
    for (; left >= 2; left -= 2) {
        if (!take_number(cursor, 2, &version))
            return false;
        *tls_13 |= version == VERSION_1_3;
    }
    return left == 0;
}

/* Takes the list of suites. */
static bool take_suites(struct cursor *cursor, struct tls_asked *ret)
{
    size_t left, suite;
    if (!take_number(cursor, 2, &left))
        return false;
    for (; left >= 2; left -= 2) {
        if (!take_number(cursor, 2, &suite))
            return false;
        ret->ecdsa_12 |= tls_suite_is((uint16_t)suite, false);
        ret->rsa_12 |= tls_suite_is((uint16_t)suite, true);
    }
    return left == 0;
}

static bool take_extension(struct cursor *cursor, size_t type, struct tls_asked *ret)
{
    size_t len;
    switch (type) {
    case EXTENSION_NAME:
        return take_number(cursor, 2, &len) && take_names(cursor, ret->name);
    case EXTENSION_VERSIONS:
        return take_number(cursor, 2, &len) && take_versions(cursor, &ret->tls_13);
    default:
        return skip_vector(cursor, 2);
    }
}

void tls_hello_asks(const unsigned char *bytes, size_t size, struct tls_asked *ret)
{
    struct cursor cursor = {bytes, bytes + size, 0};
    size_t type, len;
    *ret = (struct tls_asked){.tls_13 = false};
    if (!take(&cursor, NULL, BEFORE_SESSION) || !skip_vector(&cursor, 1) ||
        !take_suites(&cursor, ret) || !skip_vector(&cursor, 1) || !take_number(&cursor, 2, &len))
        return;
    while (take_number(&cursor, 2, &type) && take_extension(&cursor, type, ret))
        ;
}
