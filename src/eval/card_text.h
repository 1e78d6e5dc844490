/* The pieces of which a model card is made: YAML scalars, Markdown tables and blocks, numbers as people read them. */
#ifndef PFM_EVAL_CARD_TEXT_H
#define PFM_EVAL_CARD_TEXT_H

#include "base/json.h"

#include <stdbool.h>

/* Appends a YAML scalar: plain where that cannot be read as anything but this string, else in double quotes. */
pfm_status pfm_card_yaml(pfm_buffer *out, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* Appends text for a cell of a Markdown table: bars escaped, line breaks as blanks. */
pfm_status pfm_card_cell(pfm_buffer *out, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* Appends a fenced block, the fence longer than any run of backticks in the text. */
pfm_status pfm_card_block(pfm_buffer *out, const char *language, const char *text, pfm_error *err) PFM_MUST_CHECK;

typedef enum pfm_card_unit {
    PFM_CARD_TEXT,
    PFM_CARD_COUNT,   /* 1,234,567 */
    PFM_CARD_NUMBER,  /* four significant digits */
    PFM_CARD_SECONDS, /* 1 h 02 min, 3 min 20 s, 4.2 s */
    PFM_CARD_BYTES    /* 1.31 GiB, 512 MiB */
} pfm_card_unit;
/* Whether the value is of the unit's JSON type: string, whole number, number, number, whole number. */
bool pfm_card_fits(const json_t *value, pfm_card_unit unit);
/* Appends the value as people read it. */
pfm_status pfm_card_value(pfm_buffer *out, const json_t *value, pfm_card_unit unit, pfm_error *err) PFM_MUST_CHECK;

#endif
