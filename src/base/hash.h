/* SHA-256 (FIPS 180-4, by OpenSSL), of bytes, files and running sequences of both. */
#ifndef PFM_BASE_HASH_H
#define PFM_BASE_HASH_H

#include "pefomed/status.h"

#include <stddef.h>

typedef struct pfm_hash pfm_hash;
typedef char pfm_hash_hex[65]; /* 64 lower-case hexadecimal digits and a NUL */

pfm_status pfm_hash_create(pfm_hash **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_hash_free(pfm_hash *hash);
void pfm_hash_update(pfm_hash *hash, const void *bytes, size_t count);
/* The digest of all so far; the sequence is over. */
void pfm_hash_finish(pfm_hash *hash, pfm_hash_hex out);

pfm_status pfm_hash_bytes(const void *bytes, size_t count, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_hash_file(const char *path, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;

#endif
