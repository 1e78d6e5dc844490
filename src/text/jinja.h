/* The part of Jinja (jinja.palletsprojects.com, version 3.1) that chat templates use, set as transformers sets it: trim_blocks,
 * lstrip_blocks, no escaping, {% generation %}.
 *
 * for (with if, else, loop.*), if/elif/else, set, namespace, strings, whole numbers, lists, attributes, indices, slices of
 * lists,
 * + - * // % ~, comparisons, in, and/or/not, x if y else z, and the filters, tests, methods and functions in jinja_builtins.c.
 * What is not here (macros, dicts written in the template, tuples, decimals, ...) is UNSUPPORTED, named with its line; an
 * unknown filter, test, method or function does no harm in a branch that is not taken. A template comes from a file: its
 * nesting, steps and memory are limited. */
#ifndef PFM_TEXT_JINJA_H
#define PFM_TEXT_JINJA_H

#include "base/memory.h"

#include <stdbool.h>

typedef enum pfm_jinja_type {
    PFM_JINJA_UNDEFINED, /* text: the name that has no value */
    PFM_JINJA_NONE,
    PFM_JINJA_BOOLEAN,
    PFM_JINJA_INTEGER,
    PFM_JINJA_TEXT,
    PFM_JINJA_LIST,
    PFM_JINJA_DICT,    /* keys are texts */
    PFM_JINJA_LOOP,    /* what `loop` is */
    PFM_JINJA_FUNCTION /* text: its name */
} pfm_jinja_type;

typedef struct pfm_jinja_value {
    pfm_jinja_type type;
    int64_t number; /* BOOLEAN, INTEGER */
    const char *text;
    size_t length;                       /* of text in bytes, or items of a LIST */
    const struct pfm_jinja_value *items; /* LIST */
    struct pfm_jinja_dict *dict;         /* DICT */
    const struct pfm_jinja_loop *loop;   /* LOOP */
} pfm_jinja_value;

/* A dict, in the order of insertion; also the variables of a scope. */
typedef struct pfm_jinja_entry {
    const char *key;
    size_t length;
    pfm_jinja_value value;
    struct pfm_jinja_entry *next;
} pfm_jinja_entry;
typedef struct pfm_jinja_dict {
    pfm_jinja_entry *first, *last;
    bool is_namespace; /* its members may be set */
} pfm_jinja_dict;

/* Memory of one rendering: everything is released at once. */
typedef struct pfm_jinja_arena {
    struct pfm_jinja_chunk *chunks;
    size_t total, limit;
} pfm_jinja_arena; /* start with {.limit = most bytes} */
pfm_status pfm_jinja_allocate(pfm_jinja_arena *arena, size_t size, void *out, pfm_error *err) PFM_MUST_CHECK; /* zeroed */
void pfm_jinja_arena_free(pfm_jinja_arena *arena);

/* dict[key] = value, both borrowed. */
pfm_status pfm_jinja_dict_set(pfm_jinja_arena *arena, pfm_jinja_dict *dict, const char *key, size_t length,
                              pfm_jinja_value value, pfm_error *err) PFM_MUST_CHECK;
pfm_jinja_value pfm_jinja_text(const char *text);

/* Appends what the template makes of the variables. USAGE: the template called raise_exception; UNSUPPORTED and FORMAT name the
 * line. On error `out` may have got a part. */
pfm_status pfm_jinja_render(const char *source, size_t length, pfm_jinja_dict *variables, pfm_jinja_arena *arena,
                            pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
