/* Texts of DICOM files as UTF-8: the character sets of PS3.3, C.12.1.1.2, with the code extensions of PS3.5, 6.1.2.5. */
#ifndef PFM_IMAGE_DICOM_CHARSET_H
#define PFM_IMAGE_DICOM_CHARSET_H

#include "pefomed/status.h"

#include <stdbool.h>

/* Whether all terms of a Specific Character Set ("ISO_IR 100", "\ISO 2022 IR 87"; "": the default repertoire) are defined. */
bool pfm_charset_is_defined(const char *sets);

/* *out = a value in UTF-8; the caller calls free(). sets: defined ones. vr: "PN", "LO", "LT", ..., which decides where the
 * first set holds again. What a file leaves out is read as it can only be meant: upper bytes without an escape sequence before
 * them are of the only listed set that has such. FORMAT says at which byte a value is not in its sets, and nothing of what it
 * holds. */
pfm_status pfm_charset_convert(const char *sets, const char *vr, const char *value, char **out, pfm_error *err) PFM_MUST_CHECK;

#endif
