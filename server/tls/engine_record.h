/* engine_record: our record layer as BearSSL's engine calls it.
 *
 * Idea     The engine gives a record class the key and asks it to open and seal. With a class of
 *          our own, what is behind the engine when the handshake is over is a struct
 *          tls_direction, to be copied out; no field of BearSSL's own contexts is looked at.
 * Threads  any; the classes are constant.
 * Memory   The engine's: its union of record contexts is larger than ours, which is asserted. */
#pragma once

#include <bearssl.h>

#include "tls/record.h"

/* What lies in the engine's union of contexts once a cipher is switched on. */
struct engine_record {
    const void *class;
    struct tls_direction direction;
};

extern const br_sslrec_in_gcm_class engine_gcm_in;
extern const br_sslrec_out_gcm_class engine_gcm_out;
extern const br_sslrec_in_chapol_class engine_chacha_in;
extern const br_sslrec_out_chapol_class engine_chacha_out;

/* The direction behind an engine, or NULL while it still sends or receives in the clear. */
struct tls_direction *engine_record_in(br_ssl_engine_context *engine);
struct tls_direction *engine_record_out(br_ssl_engine_context *engine);
