#include "load/h2_windows.h"

#include <assert.h>

void h2_windows_options(nghttp2_option *options)
{
    nghttp2_option_set_no_auto_window_update(options, 1);
}

void h2_windows_came(nghttp2_session *session, int32_t stream, size_t len, bool read)
{
    if (read)
        nghttp2_session_consume(session, stream, len);
    else
        nghttp2_session_consume_connection(session, len);
}

static void resize(nghttp2_session *session, uint32_t window)
{
    const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    int err = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &entry, 1);
    assert(err == 0);
}

/* What has come and was not given back. */
static void settle(nghttp2_session *session, int32_t stream)
{
    const int32_t owed = nghttp2_session_get_stream_effective_recv_data_length(session, stream);
    if (owed > 0)
        nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, stream, owed);
}

/* Calls `each` for the streams that are there, which are a client's: odd. */
static void walk(nghttp2_session *session, uint32_t bytes,
                 void (*each)(nghttp2_session *session, int32_t stream, uint32_t bytes))
{
    const uint32_t end = nghttp2_session_get_next_stream_id(session);
    for (uint32_t stream = 1; stream < end; stream += 2)
        if (nghttp2_session_find_stream(session, (int32_t)stream))
            each(session, (int32_t)stream, bytes);
}

static void settle_one(nghttp2_session *session, int32_t stream, uint32_t bytes)
{
    (void)bytes;
    settle(session, stream);
}

static void grant_one(nghttp2_session *session, int32_t stream, uint32_t bytes)
{
    nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, stream, (int32_t)bytes);
}

/* A window of nothing is less what was not given back. */
void h2_windows_shut(nghttp2_session *session)
{
    walk(session, 0, settle_one);
    resize(session, 0);
}

void h2_windows_grant(nghttp2_session *session, uint32_t bytes)
{
    walk(session, bytes, grant_one);
}

void h2_windows_open(nghttp2_session *session, uint32_t window)
{
    walk(session, 0, settle_one);
    resize(session, window);
}
