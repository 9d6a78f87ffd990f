#include <errno.h>

#include "wire/hook_head.h"
#include "wire/out.h"
#include "wire_test.h"

#define B64        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define HEX        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define FIELDS_MAX 4

struct row {
    enum hook_scheme scheme;
    const char *fields[FIELDS_MAX]; /* name, a colon, value; NULL: no more */
    int macs;                       /* 0: refused */
    const char *prefix;
};

static int read_row(struct hook_head *ret, const struct row *row)
{
    struct http_fields fields = {0};
    for (size_t i = 0; i < FIELDS_MAX && row->fields[i]; i++) {
        const char *colon = strchr(row->fields[i], ':');
        fields.list[fields.count++] = (struct http_field){
            span_of(row->fields[i], (size_t)(colon - row->fields[i])), span_from(colon + 1)};
    }
    return hook_head_read(ret, row->scheme, &fields);
}

static void check(const struct row *row)
{
    char prefix[HOOK_PREFIX_MAX];
    struct hook_head head;
    int err = read_row(&head, row);
    assert_int_equal(err, row->macs > 0 ? 0 : -EINVAL);
    if (err < 0)
        return;
    assert_int_equal(head.mac_count, row->macs);
    assert_span(hook_head_prefix(prefix, row->scheme, &head), span_from(row->prefix));
}

#define ID   "webhook-id:msg_1"
#define TIME "webhook-timestamp:1614265330"
static const struct row standard[] = {
    {HOOK_STANDARD, {ID, TIME, "webhook-signature:v1," B64}, 1, "msg_1.1614265330."},
    {HOOK_STANDARD, {"Webhook-Id:a", TIME, "WEBHOOK-SIGNATURE:v1," B64}, 1, "a.1614265330."},
    {HOOK_STANDARD,
     {ID, TIME, "webhook-signature:v1a,x v1," B64 " v1," B64},
     2,
     "msg_1.1614265330."},
    {HOOK_STANDARD, {ID, TIME, "webhook-signature:v1," B64 "  "}, 1, "msg_1.1614265330."},
    {HOOK_STANDARD, {TIME, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, TIME}, 0, NULL},
    {HOOK_STANDARD, {ID, TIME, "webhook-signature:"}, 0, NULL},
    {HOOK_STANDARD, {ID, TIME, "webhook-signature:v2," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, TIME, "webhook-signature:v1,AAAA"}, 0, NULL},
    {HOOK_STANDARD, {ID, TIME, "webhook-signature:v1," B64 "AAAA"}, 0, NULL},
    {HOOK_STANDARD, {ID, ID, TIME, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, TIME, TIME, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {"webhook-id:a.1", TIME, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {"webhook-id:a b", TIME, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {"webhook-id:", TIME, "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, "webhook-timestamp:01614265330", "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, "webhook-timestamp:+1614265330", "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, "webhook-timestamp:16142653301614", "webhook-signature:v1," B64}, 0, NULL},
    {HOOK_STANDARD, {ID, "webhook-timestamp:", "webhook-signature:v1," B64}, 0, NULL},
};

#define GUID "X-GitHub-Delivery:72d3162e-cc78"
static const struct row others[] = {
    {HOOK_GITHUB, {GUID, "x-hub-signature-256:sha256=" HEX}, 1, ""},
    {HOOK_GITHUB, {"x-hub-signature-256:sha256=" HEX}, 0, NULL},
    {HOOK_GITHUB, {GUID, "x-hub-signature:sha1=" HEX}, 0, NULL},
    {HOOK_GITHUB, {GUID, "x-hub-signature-256:" HEX}, 0, NULL},
    {HOOK_GITHUB, {GUID, "x-hub-signature-256:sha256=" HEX "00"}, 0, NULL},
    {HOOK_GITHUB, {GUID, "x-hub-signature-256:sha256=G" HEX}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:t=1492774577,v1=" HEX ",v0=" HEX}, 1, "1492774577."},
    {HOOK_STRIPE, {"Stripe-Signature:v1=" HEX ",t=1492774577,v1=" HEX}, 2, "1492774577."},
    {HOOK_STRIPE, {"Stripe-Signature:t=1492774577"}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:v1=" HEX}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:t=1,t=1,v1=" HEX}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:t=0,v1=" HEX}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:t=-1,v1=" HEX}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:t=1,v1=757107EA"}, 0, NULL},
    {HOOK_STRIPE, {"Stripe-Signature:"}, 0, NULL},
    {HOOK_STRIPE, {NULL}, 0, NULL},
};

static void test_standard(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(standard); i++)
        check(&standard[i]);
}

static void test_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++)
        check(&others[i]);
}

static void test_bytes(void **state)
{
    (void)state;
    struct hook_head head;
    assert_int_equal(read_row(&head, &others[0]), 0);
    assert_int_equal(head.macs[0][0], 0x75);
    assert_int_equal(head.macs[0][31], 0x17);
    assert_int_equal(read_row(&head, &standard[0]), 0);
    assert_int_equal(head.macs[0][0], 0x83);
    assert_int_equal(head.timestamp_s, 1614265330);
}

/* One more than fit. */
static void test_many(void **state)
{
    (void)state;
    char text[(HOOK_MACS_MAX + 2) * 80] = {0};
    const struct row row = {HOOK_STRIPE, {text}, 0, NULL};
    struct hook_head head;
    struct out out = out_begin(text, sizeof text - 1);
    out_text(&out, "Stripe-Signature:t=1");
    for (int i = 0; i < HOOK_MACS_MAX; i++) {
        out_text(&out, ",v1=" HEX);
        assert_int_equal(read_row(&head, &row), 0);
    }
    out_text(&out, ",v1=" HEX);
    assert_false(out.overflow);
    assert_int_equal(read_row(&head, &row), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
