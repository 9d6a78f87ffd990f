/* pem: the objects in a PEM file, as bytes.
 *
 * Threads  any.
 * Memory   The caller owns a struct pem and frees it, which also wipes what it held.
 * Bounds   PEM_OBJECTS_MAX objects.
 * Errors   -EINVAL: broken base64 or a missing end line; -E2BIG: too many objects; -ENOMEM.
 * Source   RFC 7468. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    PEM_OBJECTS_MAX = 16,
    PEM_NAME_MAX = 128, /* as long as BearSSL keeps them */
};

struct pem_object {
    char name[PEM_NAME_MAX]; /* as CERTIFICATE */
    unsigned char *bytes;
    size_t len;
    size_t size;
};

struct pem {
    struct pem_object objects[PEM_OBJECTS_MAX];
    size_t count;
};

/* Returns 0 or an error; then there is nothing to free. A file without objects is no error. */
int pem_read(struct pem *ret, const char *text, size_t len);
void pem_free(struct pem *pem);
