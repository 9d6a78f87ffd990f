/* compression: what a shard deflates and inflates with, and the frames of permessage-deflate that
 * come of it (RFC 7692). Both states are made when they are first needed.
 *
 * Threads  The shard's.
 * Memory   The shard's, until compression_done.
 * Bounds   compress_bytes_min below which nothing is deflated; message_bytes_max of what a message
 *          is inflated to; conn_inflate_room of what all messages of one receive are. */
#pragma once

#include "conn/shard.h"
#include "wire/deflate.h"
#include "wire/ws.h"
#include "wire/ws_deflate.h"

/* Agrees upon permessage-deflate with who asks for a WebSocket, or not. Returns 0, or
 * WS_HANDSHAKE_EXTENSION. */
int compression_agree(struct shard *shard, struct conn *conn, const struct http_request *request);

/* Writes the field that says so to who is answered, if it was agreed upon. Returns its length. */
size_t compression_field(const struct shard *shard, const struct conn *conn,
                         char buf[WS_DEFLATE_FIELD_MAX]);

/* Bytes that compression_ws_frame may write for a payload. */
static inline size_t compression_ws_room(size_t payload_len)
{
    return WS_FRAME_HEAD_MAX + payload_len + DEFLATE_ROOM;
}

/* Writes a whole message as one frame, deflated if that makes it smaller. Returns its length. */
size_t compression_ws_frame(struct shard *shard, char *area, enum ws_opcode opcode,
                            struct span payload);

/* An answer's body as gzip, in memory that becomes the caller's. Returns its length; 0 where it is
 * not worth it, or memory is out. */
size_t compression_gzip(struct shard *shard, struct span body, char **ret);

/* A piece of a stream that goes as gzip (deflate_piece): deflated only where `shared` and worth it.
 */
size_t compression_piece(struct shard *shard, char *area, struct span text, bool shared);

/* Inflates a message of a client into memory that becomes the caller's. Returns 0, or as
 * inflater_message; -EDQUOT when too much has come of this receive already (conn_inflate_room). */
int compression_inflate(struct shard *shard, struct span message, char **ret, size_t *ret_len);

/* Why who sent it is closed. */
enum close_reason compression_close_reason(int err);

void compression_done(struct shard *shard);
