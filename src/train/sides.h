/* What would be wrong in a mirror, and what learning and validation have in common. */
#ifndef PFM_TRAIN_SIDES_H
#define PFM_TRAIN_SIDES_H

#include "data/dataset.h"

/* The first word of a text that speaks of a side ("left", "links", "\xe5\xb7\xa6"), NULL where there is none; borrowed from the
 * text, [*length] bytes. In English, German, Spanish, French, Italian and Chinese. */
const char *pfm_sides_find(const char *text, size_t *length);
/* USAGE where images that `rows` show with their question or answer speak of a side: names the first and counts them. */
pfm_status pfm_sides_check(const pfm_dataset *rows, pfm_error *err) PFM_MUST_CHECK;

#endif
