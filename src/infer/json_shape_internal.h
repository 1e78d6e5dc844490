/* What json_shape.c makes of a schema, and json_machine.c reads texts by. */
#ifndef PFM_INFER_JSON_SHAPE_INTERNAL_H
#define PFM_INFER_JSON_SHAPE_INTERNAL_H

#include "infer/json_shape.h"

enum {
    PFM_JSON_OBJECT = 1,
    PFM_JSON_ARRAY = 2,
    PFM_JSON_STRING = 4,
    PFM_JSON_INTEGER = 8,
    PFM_JSON_NUMBER = 16, /* a whole one, too */
    PFM_JSON_BOOLEAN = 32,
    PFM_JSON_NULL = 64,
    PFM_JSON_ANY = 127
};

typedef struct pfm_json_property {
    char *key; /* as JSON text, with its quotes */
    int32_t node;
    bool required;
} pfm_json_property;

typedef struct pfm_json_node {
    unsigned types;
    int32_t literals, literal_count; /* it is one of these of the shape's; none: they say nothing */
    pfm_json_property *properties;   /* [property_count] in their order */
    int32_t property_count, others;  /* others: what any member is, where none are named; -1: there are none */
    int32_t items, least_items, most_items;
    int32_t least_characters, most_characters;
    int64_t low, high; /* of whole numbers */
} pfm_json_node;

struct pfm_json_shape {
    pfm_json_node *nodes; /* [node_count], the first anything */
    size_t node_count, node_capacity;
    char **literals; /* [literal_count], those of a node sorted */
    size_t literal_count, literal_capacity;
    int32_t root;
};

#endif
