/* quic_compat: ngtcp2 as its callers here know it, of 0.12 (Debian 12) and of 1.x.
 *
 * What differs in name only is here; nothing else knows which version it is. */
#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>
#include <stdint.h>

#if NGTCP2_VERSION_NUM >= 0x010000
typedef ngtcp2_ccerr quic_close_error;
typedef ngtcp2_encryption_level quic_level;

static inline void quic_error_default(quic_close_error *error)
{
    ngtcp2_ccerr_default(error);
}
static inline void quic_error_transport(quic_close_error *error, int err)
{
    ngtcp2_ccerr_set_liberr(error, err, NULL, 0);
}
static inline void quic_error_alert(quic_close_error *error, uint8_t alert)
{
    ngtcp2_ccerr_set_tls_alert(error, alert, NULL, 0);
}
static inline void quic_error_application(quic_close_error *error, uint64_t code)
{
    ngtcp2_ccerr_set_application_error(error, code, NULL, 0);
}
static inline int quic_shutdown_stream(ngtcp2_conn *conn, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream(conn, 0, id, code);
}
static inline int quic_shutdown_read(ngtcp2_conn *conn, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream_read(conn, 0, id, code);
}
static inline int quic_shutdown_write(ngtcp2_conn *conn, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream_write(conn, 0, id, code);
}
static inline bool quic_is_draining(ngtcp2_conn *conn)
{
    return ngtcp2_conn_in_draining_period(conn);
}
/* What the peer has closed with. */
static inline void quic_error_of_peer(ngtcp2_conn *conn, quic_close_error *ret)
{
    *ret = *ngtcp2_conn_get_ccerr(conn);
}
static inline bool quic_error_is_application(const quic_close_error *error)
{
    return error->type == NGTCP2_CCERR_TYPE_APPLICATION;
}
static inline void quic_params_original(ngtcp2_transport_params *params, const ngtcp2_cid *cid)
{
    params->original_dcid = *cid;
    params->original_dcid_present = 1;
}
static inline void quic_settings_token(ngtcp2_settings *settings, const uint8_t *token, size_t len)
{
    settings->token = token;
    settings->tokenlen = len;
}
static inline ngtcp2_vec quic_head_token(const ngtcp2_pkt_hd *head)
{
    return (ngtcp2_vec){(uint8_t *)(uintptr_t)head->token, head->tokenlen};
}
#define QUIC_NO_KEEP_ALIVE UINT64_MAX
#else
typedef ngtcp2_connection_close_error quic_close_error;
typedef ngtcp2_crypto_level quic_level;

static inline void quic_error_default(quic_close_error *error)
{
    ngtcp2_connection_close_error_default(error);
}
static inline void quic_error_transport(quic_close_error *error, int err)
{
    ngtcp2_connection_close_error_set_transport_error_liberr(error, err, NULL, 0);
}
static inline void quic_error_alert(quic_close_error *error, uint8_t alert)
{
    ngtcp2_connection_close_error_set_transport_error_tls_alert(error, alert, NULL, 0);
}
static inline void quic_error_application(quic_close_error *error, uint64_t code)
{
    ngtcp2_connection_close_error_set_application_error(error, code, NULL, 0);
}
static inline int quic_shutdown_stream(ngtcp2_conn *conn, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream(conn, id, code);
}
static inline int quic_shutdown_read(ngtcp2_conn *conn, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream_read(conn, id, code);
}
static inline int quic_shutdown_write(ngtcp2_conn *conn, int64_t id, uint64_t code)
{
    return ngtcp2_conn_shutdown_stream_write(conn, id, code);
}
static inline bool quic_is_draining(ngtcp2_conn *conn)
{
    return ngtcp2_conn_is_in_draining_period(conn);
}
static inline void quic_error_of_peer(ngtcp2_conn *conn, quic_close_error *ret)
{
    ngtcp2_conn_get_connection_close_error(conn, ret);
}
static inline bool quic_error_is_application(const quic_close_error *error)
{
    return error->type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
}
static inline void quic_params_original(ngtcp2_transport_params *params, const ngtcp2_cid *cid)
{
    params->original_dcid = *cid;
}
/* The library copies it. */
static inline void quic_settings_token(ngtcp2_settings *settings, const uint8_t *token, size_t len)
{
    settings->token = (ngtcp2_vec){(uint8_t *)(uintptr_t)token, len};
}
static inline ngtcp2_vec quic_head_token(const ngtcp2_pkt_hd *head)
{
    return head->token;
}
#define QUIC_NO_KEEP_ALIVE 0
#endif
