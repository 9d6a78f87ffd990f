/* pages: what a browser is shown: GET / has all transports side by side, and
 * GET /admin the server itself. Their texts are the
 * files of pages/, built in.
 *
 * Nothing on them is inline or from elsewhere, and the policy (CSP, level 3) says so: what somebody
 * publishes is text there, and could not be a script if it were not. */
#include <assert.h>

#include "api/api.h"
#include "admin_html.h"
#include "admin_js.h"
#include "page_css.h"
#include "page_html.h"
#include "page_js.h"
#include "webhooks_js.h"
#include "wire/etag.h"
#include "wire/out.h"

enum {
    FIELDS_MAX = 512,
};

#define POLICY                                                                                     \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; "                     \
    "frame-ancestors 'none'\r\n"
/* A browser asks each time whether it has changed. */
#define FIELDS                                                                                     \
    "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"                               \
    "Referrer-Policy: no-referrer\r\n" POLICY

#define HTML   "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE  "text/css; charset=utf-8"

#define PAGE(path, type, name)                                                                     \
    {                                                                                              \
        SPAN_INIT(path), SPAN_INIT(type), name##_text, sizeof(name##_text), name##_tag             \
    }
static const struct page {
    struct span path, type;
    const unsigned char *text;
    size_t size;
    uint64_t tag;
} pages[] = {
    PAGE("/", HTML, page_html),
    PAGE("/page.js", SCRIPT, page_js),
    PAGE("/page.css", STYLE, page_css),
    PAGE("/admin", HTML, admin_html),
    PAGE("/admin.js", SCRIPT, admin_js),
    PAGE("/admin.css", STYLE, page_css),
    PAGE("/admin/webhooks.js", SCRIPT, webhooks_js),
};

static const struct page *page_find(struct span path)
{
    const struct page *page = pages;
    while (!span_equal(page->path, path))
        page++;
    return page;
}

static bool is_known(const struct http_fields *fields, uint64_t tag)
{
    struct etags etags = {0};
    for (size_t i = 0; i < fields->count; i++)
        if (span_equal_nocase(fields->list[i].name, SPAN("if-none-match")))
            etags_add(&etags, fields->list[i].value);
    return etags_have(&etags, tag);
}

void page_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct page *page = page_find(exchange->request->path);
    char fields[FIELDS_MAX], tag[ETAG_SIZE];
    struct out out = out_begin(fields, sizeof fields);
    etag_write(tag, page->tag);
    out_text(&out, "ETag: ");
    out_span(&out, span_of(tag, sizeof tag));
    out_text(&out, "\r\n" FIELDS);
    assert(!out.overflow);
    struct span extra = {fields, (size_t)(out.at - out.start)};
    if (is_known(&exchange->request->fields, page->tag))
        http_answer(shard, conn, 304, (struct span){0}, (struct span){0}, extra);
    else
        http_answer(shard, conn, 200, page->type, span_of((const char *)page->text, page->size),
                    extra);
}
