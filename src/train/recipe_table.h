/* Inside the recipe: the table of keys and the conversion of one value, shared by reading and writing. */
#ifndef PFM_TRAIN_RECIPE_TABLE_H
#define PFM_TRAIN_RECIPE_TABLE_H

#include "train/recipe.h"

typedef enum recipe_type {
    RECIPE_STRING,
    RECIPE_OPTIONAL, /* a string, or null */
    RECIPE_CHOICE,   /* a string out of `choices` */
    RECIPE_INTEGER,
    RECIPE_NUMBER,
    RECIPE_BOOLEAN,
    RECIPE_LIST /* of strings, at least one */
} recipe_type;

typedef struct recipe_key {
    const char *name; /* "section.key" */
    recipe_type type;
    size_t offset, count_offset; /* of the field; of a list's length */
    const char *initial;         /* the default as text; NULL for an optional string means null, else that it must be given */
    double low, high;            /* of numbers */
    bool above;                  /* low itself is not allowed */
    const char *choices;         /* words separated by '|' */
    const char *help;
} recipe_key;

enum { RECIPE_MAX_KEYS = 128 };
extern const recipe_key pfm_recipe_keys[]; /* ended by {0}; at most RECIPE_MAX_KEYS */

/* The key of this name, or NULL. */
const recipe_key *pfm_recipe_find_key(const char *name, size_t length);
/* true where some key's name begins with `name` and a dot. */
bool pfm_recipe_is_section(const char *name, size_t length);
/* The key or section whose name is nearest to `name` (edit distance, a wrong or missing section counting little). */
pfm_status pfm_recipe_find_nearest(const char *name, size_t length, char **out, pfm_error *err) PFM_MUST_CHECK;

/* Where a value came from, for errors: "file line 3" or "--set". */
typedef struct recipe_place {
    const char *file;
    int line; /* from 1; 0: an override */
} recipe_place;
/* Fails with "PLACE: KEY <the formatted reason>". */
pfm_status pfm_recipe_refuse(const recipe_place *place, const recipe_key *key, pfm_error *err, const char *format, ...)
    PFM_PRINTF(4, 5) PFM_MUST_CHECK;

/* Sets a field (not a list) from text, releasing what it held. */
pfm_status pfm_recipe_set_text(pfm_recipe *recipe, const recipe_key *key, const char *text, size_t length,
                               const recipe_place *place, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_recipe_set_null(pfm_recipe *recipe, const recipe_key *key, const recipe_place *place,
                               pfm_error *err) PFM_MUST_CHECK;
/* Adds one string to a list. */
pfm_status pfm_recipe_add_text(pfm_recipe *recipe, const recipe_key *key, const char *text, size_t length,
                               const recipe_place *place, pfm_error *err) PFM_MUST_CHECK;
/* Releases what the field holds: a string or list becomes NULL. */
void pfm_recipe_clear(pfm_recipe *recipe, const recipe_key *key);
/* Appends the field's value as YAML, on one line. */
pfm_status pfm_recipe_append_value(const pfm_recipe *recipe, const recipe_key *key, pfm_buffer *out,
                                   pfm_error *err) PFM_MUST_CHECK;

#endif
