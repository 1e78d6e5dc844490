/* Secrets that links hold (base/chance.h draws them), and names of what is kept. */
#ifndef PFM_SERVE_SECRET_H
#define PFM_SERVE_SECRET_H

#include "base/hash.h"

enum { PFM_SECRET_ID = 32, PFM_SECRET_LINK = 48 };

/* out = what is kept of a secret: it shows that one is right and does not tell it. */
pfm_status pfm_secret_hash(const char *secret, pfm_hash_hex out, pfm_error *err) PFM_MUST_CHECK;

#endif
