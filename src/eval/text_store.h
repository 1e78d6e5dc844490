/* Strings that live as long as their store: kept in large chunks, never moved; and the same with each string kept once. */
#ifndef PFM_EVAL_TEXT_STORE_H
#define PFM_EVAL_TEXT_STORE_H

#include "base/map.h"

/* Start with {0}. */
typedef struct pfm_text_store {
    char **chunks;
    size_t chunk_count, chunk_capacity;
    size_t used, size; /* of the last chunk */
} pfm_text_store;

/* *out = a copy of `length` bytes with a NUL behind them, borrowed from the store until it is freed. */
pfm_status pfm_text_store_add(pfm_text_store *store, const char *text, size_t length, const char **out,
                              pfm_error *err) PFM_MUST_CHECK;
void pfm_text_store_free(pfm_text_store *store);

/* Distinct strings, numbered from 0 in the order of their first appearance. Start with {0}. */
typedef struct pfm_intern {
    pfm_text_store store;
    pfm_map map;
    const char **texts;
    size_t count, capacity;
} pfm_intern;

/* *index = the string's number, a new one where it was not there yet. */
pfm_status pfm_intern_add(pfm_intern *intern, const char *text, size_t length, size_t *index, pfm_error *err) PFM_MUST_CHECK;
/* false where the string is not there; index may be NULL. */
bool pfm_intern_find(const pfm_intern *intern, const char *text, size_t length, size_t *index);
void pfm_intern_free(pfm_intern *intern);

#endif
