/* The patterns by which tokenizers cut texts, written for Oniguruma (which Hugging Face tokenizers uses), as PCRE2 runs them.
 */
#ifndef PFM_TEXT_PATTERN_H
#define PFM_TEXT_PATTERN_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_pattern pfm_pattern;
typedef struct pfm_pattern_scratch pfm_pattern_scratch; /* of one thread */

/* A pattern, or with `literal` a plain string. UNSUPPORTED names what the two engines read differently. Shared by threads. */
pfm_status pfm_pattern_create(const char *text, size_t length, bool literal, pfm_pattern **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_pattern_free(pfm_pattern *pattern);
pfm_status pfm_pattern_scratch_create(pfm_pattern_scratch **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_pattern_scratch_free(pfm_pattern_scratch *scratch);

/* The first match at or behind `from` in a valid UTF-8 text: *begin, *end in bytes, or *begin = SIZE_MAX where there is none.
 * UNSUPPORTED: the pattern needs too much time or memory on this text. */
pfm_status pfm_pattern_find(const pfm_pattern *pattern, pfm_pattern_scratch *scratch, const char *text, size_t size,
                            size_t from, size_t *begin, size_t *end, pfm_error *err) PFM_MUST_CHECK;

#endif
