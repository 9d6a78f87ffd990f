#include "wire/webtransport.h"

#include <assert.h>

/* ---- codes of resets ---- */

#define ERROR_FIRST UINT64_C(0x52e4a40fa8db)
#define ERROR_LAST  UINT64_C(0x52e5ac983162)

enum {
    ERROR_STRIDE = 0x1e, /* behind so many comes one that is reserved */
};

uint64_t webtransport_error(uint32_t code)
{
    return ERROR_FIRST + code + code / ERROR_STRIDE;
}

bool webtransport_code(uint64_t error, uint32_t *ret)
{
    if (error < ERROR_FIRST || error > ERROR_LAST)
        return false;
    uint64_t shifted = error - ERROR_FIRST;
    if (shifted % (ERROR_STRIDE + 1) == ERROR_STRIDE)
        return false;
    *ret = (uint32_t)(shifted - shifted / (ERROR_STRIDE + 1));
    return true;
}

/* ---- sub-protocols ---- */

static bool take(struct span *field, char c)
{
    if (field->len == 0 || field->ptr[0] != c)
        return false;
    *field = span_skip(*field, 1);
    return true;
}

/* RFC 8941 section 3.3.3; its opening quote is taken. What has escapes is no name of ours. Returns
 * false at the end of a string that is none. */
static bool string_take(struct span *field, struct span name, bool *ret_equal)
{
    size_t at = 0;
    *ret_equal = true;
    while (field->len > 0 && field->ptr[0] != '"') {
        bool escaped = take(field, '\\');
        if (escaped && field->len == 0)
            return false;
        *ret_equal &= !escaped;
        *ret_equal &= at < name.len && field->ptr[0] == name.ptr[at];
        *field = span_skip(*field, 1);
        at++;
    }
    *ret_equal &= at == name.len;
    return take(field, '"');
}

/* To behind the next comma that is in no string. */
static void member_skip(struct span *field)
{
    bool equal;
    while (field->len > 0 && !take(field, ',')) {
        if (take(field, '"'))
            string_take(field, (struct span){0}, &equal);
        else
            *field = span_skip(*field, 1);
    }
}

bool webtransport_list_has(struct span list, struct span name)
{
    while (list.len > 0) {
        bool equal = false;
        while (take(&list, ' ') || take(&list, '\t'))
            ;
        if (take(&list, '"') && string_take(&list, name, &equal) && equal)
            return true;
        member_skip(&list);
    }
    return false;
}

bool webtransport_offers(const struct http_fields *fields, struct span name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_equal_nocase(fields->list[i].name, SPAN("wt-available-protocols")) &&
            webtransport_list_has(fields->list[i].value, name))
            return true;
    return false;
}

/* ---- datagrams ---- */

enum webtransport_datagram webtransport_head_take(struct span *bytes, struct webtransport_head *ret)
{
    uint64_t quarter, number;
    if (!varint_take(bytes, &quarter) || quarter > VARINT_MAX / 4)
        return WEBTRANSPORT_DATAGRAM_BAD;
    ret->session = quarter * 4;
    if (!varint_take(bytes, &number) || number > WEBTRANSPORT_NUMBER_MAX ||
        !varint_take(bytes, &ret->sequence))
        return WEBTRANSPORT_DATAGRAM_OTHER;
    ret->number = (uint8_t)number;
    return WEBTRANSPORT_DATAGRAM;
}

size_t webtransport_number_write(uint8_t *to, uint8_t number, uint64_t sequence)
{
    assert(number <= WEBTRANSPORT_NUMBER_MAX);
    to[0] = number;
    return 1 + varint_write(to + 1, sequence);
}
