/* What stands for a patient in everything that the program writes: a salted hash of the identifier, never the identifier. The
 * salt is made once for an installation and never leaves it, so that hashes are equal for equal patients here, and nobody who
 * sees them can try identifiers out. */
#ifndef PFM_BASE_PATIENT_H
#define PFM_BASE_PATIENT_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct pfm_salt {
    unsigned char bytes[32];
} pfm_salt;

typedef char pfm_patient[33]; /* 32 lower-case hexadecimal digits and a NUL */

/* *out = the salt in the file `salt` of `home` (a context's), which is made, readable by its owner alone, where it is not
 * there. Processes that ask at once get the same one. IO; FORMAT where the file is none. */
pfm_status pfm_salt_load(const char *home, pfm_salt *out, pfm_error *err) PFM_MUST_CHECK;

/* out = the first 128 bits of SHA-256(salt, identifier), the identifier without blanks and NULs at its ends, which are padding
 * in DICOM. *known = whether anything is left of it; of nothing out is "". */
pfm_status pfm_patient_hash(const pfm_salt *salt, const void *identifier, size_t size, pfm_patient out, bool *known,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
