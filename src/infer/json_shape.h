/* What a JSON text may be, from a JSON schema, and a machine that reads such a text byte by byte and knows at every moment
 * whether it can still become one. Answers are held to a schema with it (guide.h).
 *
 * Of JSON Schema (2020-12) it knows type, enum, const, properties, required, additionalProperties, items, minItems, maxItems,
 * minLength, maxLength, minimum and maximum (of whole numbers); what only describes (title, description, default, examples,
 * $schema, $id, $comment) is passed over, anything else is refused by name. Stricter than the standard: an object has its
 * properties in the schema's order, and no others unless additionalProperties says so or it names none. */
#ifndef PFM_INFER_JSON_SHAPE_H
#define PFM_INFER_JSON_SHAPE_H

#include "base/json.h"

#include <stdbool.h>

enum { PFM_JSON_DEPTH = 24 };

typedef struct pfm_json_shape pfm_json_shape;

/* *out = the shape; schema NULL: any object. The caller frees it. USAGE names what is not known, or cannot be. */
pfm_status pfm_json_shape_create(const json_t *schema, pfm_json_shape **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_json_shape_free(pfm_json_shape *shape);

typedef struct pfm_json_frame {
    int32_t node, index; /* of an object the next property, of an array how many items there were */
    bool is_array;
    unsigned char phase;
} pfm_json_frame;

/* Where a text has come to; copied to try what may follow. */
typedef struct pfm_json_state {
    pfm_json_frame frames[PFM_JSON_DEPTH]; /* [depth] */
    int32_t depth, node;                   /* node: of the scalar at hand, or of the value to come */
    unsigned char mode, phase;             /* of the scalar */
    bool negative, whole, done;            /* done: the text is complete, and nothing may follow */
    int32_t spaces, position, low, high;   /* of literals: those of the list that it may still be */
    int32_t pending;                       /* continuation bytes that a character lacks, or digits of \uXXXX */
    uint64_t number;                       /* digits so far; of keys which properties it may be */
} pfm_json_state;

/* The state before the first byte. */
pfm_json_state pfm_json_begin(void);
/* Takes a byte; false: no text of the shape goes on so, and the state is of no use any more. */
bool pfm_json_feed(const pfm_json_shape *shape, pfm_json_state *state, unsigned char byte);
/* Whether the text so far is one. */
bool pfm_json_is_whole(const pfm_json_shape *shape, const pfm_json_state *state);
/* Whether any printable ASCII character but " and \ may follow, any number of times. */
bool pfm_json_is_in_free_text(const pfm_json_shape *shape, const pfm_json_state *state);

#endif
