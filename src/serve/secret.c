#include "serve/secret.h"

#include <string.h>

/* A secret is random and long, so that a plain hash of it cannot be tried out. */
pfm_status pfm_secret_hash(const char *secret, pfm_hash_hex out, pfm_error *err)
{
    return pfm_hash_bytes(secret, strlen(secret), out, err);
}
