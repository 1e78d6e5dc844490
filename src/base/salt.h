/* Random bytes that are made once for an installation and never leave it: what is hashed with them is the same here whenever it
 * is, and nobody elsewhere can try out what it was. */
#ifndef PFM_BASE_SALT_H
#define PFM_BASE_SALT_H

#include "pefomed/status.h"

typedef struct pfm_salt {
    unsigned char bytes[32];
} pfm_salt;

/* *out = the salt in the file `salt` of `home` (a context's), which is made, readable by its owner alone, where it is not
 * there. Processes that ask at once get the same one. IO; FORMAT where the file is none. */
pfm_status pfm_salt_load(const char *home, pfm_salt *out, pfm_error *err) PFM_MUST_CHECK;

#endif
