/* crypto: which implementation of each primitive this CPU runs fastest, asked once.
 *
 * BearSSL's own defaults ask CPUID for every new engine, and in a virtual machine each CPUID is a
 * trip to the hypervisor: 10 µs, more than a resumed handshake otherwise costs.
 *
 * Threads  tls_crypto on any, from the first call on.
 * Memory   static. */
#pragma once

#include <bearssl.h>

struct tls_crypto {
    const br_block_ctr_class *aes_ctr;
    br_ghash ghash;
    br_chacha20_run chacha20;
    br_poly1305_run poly1305;
    const br_ec_impl *ec;
};

/* The choice for this CPU. The first call takes some 50 µs. */
const struct tls_crypto *tls_crypto(void);
