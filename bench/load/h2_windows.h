/* h2_windows: the windows of a client's streams (RFC 9113 section 6.9), given back as it reads, or
 * kept shut as by one that does not.
 *
 *     h2_windows_shut ─► what is under way comes, and then nothing ─► h2_windows_grant, a little
 *                                                                ─► h2_windows_open
 *
 * Idea     A reader of one stream that does not read is no socket that is full: its connection goes
 *          on, and so would the other streams of it.
 * Threads  the session's.
 * Bounds   shutting, granting and opening walk over the streams that the connection has had. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

/* A session's options: it gives no window back by itself. */
void h2_windows_options(nghttp2_option *options);

/* So much of a stream has come. What is `read` is given back; the connection's always is. */
void h2_windows_came(nghttp2_session *session, int32_t stream, size_t len, bool read);

/* No stream may be sent anything from now on. */
void h2_windows_shut(nghttp2_session *session);
/* So many bytes more to each. */
void h2_windows_grant(nghttp2_session *session, uint32_t bytes);
/* All have windows of that size again. */
void h2_windows_open(nghttp2_session *session, uint32_t window);
