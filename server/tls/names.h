/* names: the DNS names that a certificate is for.
 *
 *   Certificate ─ TBSCertificate ─ [3] extensions ─ subjectAltName ─ dNSName, dNSName, …
 *
 * BearSSL looks for names that it is told; a server wants to know them all.
 *
 * Threads  any.
 * Source   RFC 5280 sections 4.1 and 4.2.1.6; ITU-T X.690 section 8.1 for the encoding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Writes the names, each ended by a zero, into `area`, and sets how many bytes they take. Names
 * that do not fit or hold a zero are left out. Returns 0, or -EINVAL for bytes that are no
 * certificate. */
int names_of_certificate(const unsigned char *der, size_t len, char *area, size_t size,
                         size_t *ret_len);

/* Whether `name` (of a certificate, maybe with a wildcard for its first label) stands for a server
 * name. Letters compare equal in either case. */
bool names_match(const char *name, const char *server_name);
