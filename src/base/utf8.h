/* Whether bytes are text. */
#ifndef PFM_BASE_UTF8_H
#define PFM_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* text [length] is UTF-8 as RFC 3629 has it; a NUL is a character like others. */
bool pfm_is_utf8(const char *text, size_t length);

#endif
