/* page: GET / is a small page that subscribes by every transport at once. Its text is page.html,
 * built in. */
#include "api/api.h"
#include "page_html.h"

void page_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    (void)exchange;
    http_answer(shard, conn, 200, SPAN("text/html; charset=utf-8"),
                span_of((const char *)page_html, sizeof page_html),
                SPAN("Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"));
}
