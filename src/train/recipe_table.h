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
    RECIPE_LIST,    /* of strings; at least one where it has a default; out of `choices`, numbers within low..high, if so */
    RECIPE_TEXTS,   /* a string or a list of them; none only where there is no default */
    RECIPE_MEMBERS, /* a list of pfm_member */
    RECIPE_STAGES   /* the list of stages: read and written by itself */
} recipe_type;

typedef struct recipe_key {
    const char *name; /* "section.key" */
    recipe_type type;
    size_t offset, count_offset; /* of the field; of a list's length */
    const char *initial;         /* the default as text; NULL for an optional string means null, else that it must be given */
    double low, high;            /* of numbers, and of a list of them */
    bool above;                  /* low itself is not allowed */
    const char *choices;         /* words separated by '|' */
    bool lone;                   /* of a list: one text may stand for it */
    bool of_stage;               /* stands in a stage alone */
    bool aside;                  /* decides nothing of what is computed: where something lies, what compare tries */
    const char *help;
} recipe_key;

enum { RECIPE_MAX_KEYS = 128, RECIPE_MAX_ITEMS = 64 }; /* items: stages, or members of a mixture */
extern const recipe_key pfm_recipe_keys[];             /* ended by {0}; at most RECIPE_MAX_KEYS */
extern const recipe_key pfm_member_keys[];             /* of a pfm_member, "data.mixture.key"; ended by {0} */

/* The key of this name in a table, or NULL. */
const recipe_key *pfm_recipe_find_key(const recipe_key *keys, const char *name, size_t length);
/* true where all stages share the key's value: there is one model. */
bool pfm_recipe_is_shared(const recipe_key *key);
/* true where it may be null: it holds nothing then. */
bool pfm_recipe_is_optional(const recipe_key *key);
/* true where the key says how images are seen, which a model without a vision encoder does not. */
bool pfm_recipe_is_of_images(const recipe_key *key);
/* true where the key says how snippets are retrieved, which is done for data.grounding: retrieved alone. */
bool pfm_recipe_is_of_retrieval(const recipe_key *key);
bool pfm_recipe_retrieves(const pfm_recipe *recipe);
/* true where something under peft trains, or will where peft.start says what. */
bool pfm_recipe_adds(const pfm_recipe *recipe);
/* true where some key's name begins with `name` and a dot. */
bool pfm_recipe_is_section(const char *name, size_t length);
/* The key or section of a table whose name is nearest to `name` (edit distance, a wrong or missing section counting little). */
pfm_status pfm_recipe_find_nearest(const recipe_key *keys, const char *name, size_t length, char **out,
                                   pfm_error *err) PFM_MUST_CHECK;

/* Where a value came from, for errors: "file line 3" or "--set". */
typedef struct recipe_place {
    const char *file;
    int line; /* from 1; 0: an override */
} recipe_place;
/* Fails with "PLACE: KEY <the formatted reason>". */
pfm_status pfm_recipe_refuse(const recipe_place *place, const recipe_key *key, pfm_error *err, const char *format, ...)
    PFM_PRINTF(4, 5) PFM_MUST_CHECK;

/* `object` is the pfm_recipe or pfm_member that the key belongs to.
 *
 * Sets a field (not a list) from text, releasing what it held. */
pfm_status pfm_recipe_set_text(void *object, const recipe_key *key, const char *text, size_t length, const recipe_place *place,
                               pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_recipe_set_null(void *object, const recipe_key *key, const recipe_place *place, pfm_error *err) PFM_MUST_CHECK;
/* Adds one string to a list. */
pfm_status pfm_recipe_add_text(void *object, const recipe_key *key, const char *text, size_t length, const recipe_place *place,
                               pfm_error *err) PFM_MUST_CHECK;
/* *out = a new member of a mixture, everything in it zero; borrowed until the next. */
pfm_status pfm_recipe_add_member(void *object, const recipe_key *key, const recipe_place *place, pfm_member **out,
                                 pfm_error *err) PFM_MUST_CHECK;
/* Releases what the field holds: a string or list becomes NULL. */
void pfm_recipe_clear(void *object, const recipe_key *key);
/* Sets the field of `to`, which holds nothing yet, to a copy of that of `from`. */
pfm_status pfm_recipe_copy_value(void *to, const void *from, const recipe_key *key, pfm_error *err) PFM_MUST_CHECK;
/* Appends the field's value as YAML, on one line. */
pfm_status pfm_recipe_append_value(const void *object, const recipe_key *key, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* false where the key says nothing: outside of a stage one of a stage's, where another key stands in its place, of images where
 * none are seen, of retrieval where nothing is retrieved, or of another PEFT method. */
bool pfm_recipe_says(const pfm_recipe *recipe, const recipe_key *key);
/* false for a key of peft that says nothing to the recipe's method, and so nothing at all. */
bool pfm_recipe_is_of_method(const pfm_recipe *recipe, const recipe_key *key);

#endif
