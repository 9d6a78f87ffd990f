#include "session/presence_nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "broker/nodes.h"
#include "wire/json_scan.h"

enum {
    NUMBER_MAX = 24,
};

void presence_user_write(struct out *out, struct span user)
{
    uint64_t hash = XXH3_64bits(user.ptr, user.len);
    char digits[PRESENCE_USER_BYTES];
    for (unsigned i = 0; i < sizeof digits; i++)
        digits[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
    out_span(out, span_of(digits, sizeof digits));
}

static int by_bytes(const void *left, const void *right)
{
    return memcmp(left, right, PRESENCE_USER_BYTES);
}

unsigned presence_users_count(char *users, size_t len)
{
    size_t count = len / PRESENCE_USER_BYTES;
    unsigned different = 0;
    if (count > 0)
        qsort(users, count, PRESENCE_USER_BYTES, by_bytes);
    for (size_t i = 0; i < count; i++) {
        const char *at = users + i * PRESENCE_USER_BYTES;
        different += i == 0 || by_bytes(at, at - PRESENCE_USER_BYTES) != 0;
    }
    return different;
}

char *presence_nodes_text(const struct presence_answer *answer, size_t *ret_len)
{
    size_t room = answer->list.len + NUMBER_MAX;
    char *text = malloc(room);
    if (!text)
        return NULL;
    struct out out = out_begin(text, room);
    if (answer->stats)
        out_decimal(&out, answer->clients);
    out_span(&out, answer->stats ? SPAN(" ") : SPAN("{"));
    out_span(&out, answer->list);
    if (!answer->stats)
        out_text(&out, "}");
    *ret_len = (size_t)out_end(&out);
    return text;
}

/* ---- what others say ---- */

/* Members that are objects, of which each may stand in a line. */
static bool list_read(struct span *ret, struct span text)
{
    struct json_members members = json_members_begin(text);
    struct json_member member;
    int found, count = 0;
    if (text.len < 2 || text.ptr[0] != '{' || memchr(text.ptr, '\n', text.len) ||
        memchr(text.ptr, '\r', text.len))
        return false;
    while ((found = json_members_next(&members, &member)) > 0 && member.kind == JSON_IS_OBJECT)
        count++;
    *ret = count > 0 ? span_of(text.ptr + 1, text.len - 2) : (struct span){0};
    return found == 0 && text.ptr[text.len - 1] == '}';
}

static bool numbers_read(unsigned *ret_clients, struct span *ret_users, struct span text)
{
    const char *space = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
    uint64_t clients;
    if (!space || !json_number_read(span_of(text.ptr, (size_t)(space - text.ptr)), &clients) ||
        clients > INT32_MAX)
        return false;
    *ret_users = span_skip(text, (size_t)(space - text.ptr) + 1);
    *ret_clients = (unsigned)clients;
    return ret_users->len % PRESENCE_USER_BYTES == 0;
}

static void answer_add(struct presence_answer *answer, struct out *out,
                       const struct nodes_answer *other)
{
    struct span text = {other->text, other->len}, list;
    unsigned clients = 0;
    if (other->err < 0)
        return;
    if (answer->stats ? !numbers_read(&clients, &list, text) : !list_read(&list, text))
        return;
    if (!answer->stats && list.len > 0 && out->at > out->start)
        out_text(out, ",");
    out_span(out, list);
    answer->clients += clients;
}

int presence_nodes_add(struct presence_answer *answer, char **list, const struct nodes_ask *ask)
{
    size_t room = answer->list.len + 1;
    for (const struct nodes_answer *other = ask->answers; other; other = other->next)
        room += other->len + 1;
    char *all = malloc(room);
    if (!all)
        return -ENOMEM;
    struct out out = out_begin(all, room);
    out_span(&out, answer->list);
    for (const struct nodes_answer *other = ask->answers; other; other = other->next)
        answer_add(answer, &out, other);
    free(*list);
    *list = all;
    answer->list = span_of(all, (size_t)out_end(&out));
    if (answer->stats)
        answer->users = presence_users_count(all, answer->list.len);
    return 0;
}
