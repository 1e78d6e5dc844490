/* Base64 as RFC 4648 defines it in section 4. */
#ifndef PFM_BASE_BASE64_H
#define PFM_BASE_BASE64_H

#include "base/memory.h"

/* Appends the text of these bytes, with padding. */
pfm_status pfm_base64_append(pfm_buffer *out, const void *data, size_t size, pfm_error *err) PFM_MUST_CHECK;
/* Appends the bytes of a text; white space is passed over, and padding may be missing. FORMAT names the place of what is no
 * base64; `out` may then hold a part. */
pfm_status pfm_base64_decode(pfm_buffer *out, const char *text, size_t size, pfm_error *err) PFM_MUST_CHECK;

#endif
