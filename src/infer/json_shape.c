#include "infer/json_shape_internal.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_NODES = 4096 };

/* ---- keywords ---- */

static const struct {
    const char *name;
    unsigned types;
} types[] = {
    {"object", PFM_JSON_OBJECT}, {"array", PFM_JSON_ARRAY},     {"string", PFM_JSON_STRING}, {"integer", PFM_JSON_INTEGER},
    {"number", PFM_JSON_NUMBER}, {"boolean", PFM_JSON_BOOLEAN}, {"null", PFM_JSON_NULL},
};

static const char *const known[] = {"type",    "enum",     "const",       "properties", "required",  "additionalProperties",
                                    "items",   "minItems", "maxItems",    "minLength",  "maxLength", "minimum",
                                    "maximum", "title",    "description", "default",    "examples",  "$schema",
                                    "$id",     "$comment"};

static pfm_status check_keywords(const json_t *schema, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(known[i], key) == 0;
        if (!found)
            return pfm_error_set(err, PFM_ERROR_USAGE, "the schema says '%.60s', to which answers cannot be held here", key);
    }
    return PFM_OK;
}

static pfm_status read_type(const json_t *name, unsigned *out, pfm_error *err)
{
    const char *text = json_string_value(name);
    for (size_t i = 0; text != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(text, types[i].name) == 0) {
            *out |= types[i].types;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_USAGE, "the schema names a type '%.40s', which there is not",
                         text != NULL ? text : "(no text)");
}

static pfm_status read_types(const json_t *schema, pfm_json_node *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *type = json_object_get(schema, "type");
    if (json_is_array(type)) {
        for (size_t i = 0; status == PFM_OK && i < json_array_size(type); i++)
            status = read_type(json_array_get(type, i), &node->types, err);
    } else if (type != NULL) {
        status = read_type(type, &node->types, err);
    } else {
        node->types = json_object_get(schema, "properties") != NULL ? PFM_JSON_OBJECT
                      : json_object_get(schema, "items") != NULL    ? PFM_JSON_ARRAY
                                                                    : PFM_JSON_ANY;
    }
    return status == PFM_OK && node->types == 0
               ? pfm_error_set(err, PFM_ERROR_USAGE, "the schema names no type where it lists types")
               : status;
}

static pfm_status read_bound(const json_t *schema, const char *key, int64_t *out, bool *given, pfm_error *err)
{
    const json_t *value = json_object_get(schema, key);
    if (value == NULL)
        return PFM_OK;
    if (!json_is_integer(value))
        return pfm_error_set(err, PFM_ERROR_USAGE, "the schema's %s must be a whole number", key);
    *out = json_integer_value(value);
    *given = true;
    return PFM_OK;
}

static pfm_status read_count(const json_t *schema, const char *key, int32_t *out, pfm_error *err)
{
    int64_t value = 0;
    bool given = false;
    pfm_status status = read_bound(schema, key, &value, &given, err);
    if (status == PFM_OK && given && (value < 0 || value > INT32_MAX))
        return pfm_error_set(err, PFM_ERROR_USAGE, "the schema's %s cannot be %lld", key, (long long)value);
    *out = given && status == PFM_OK ? (int32_t)value : *out;
    return status;
}

static pfm_status read_numbers(const json_t *schema, pfm_json_node *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    static const int64_t most_whole = 999999999999999999; /* what the machine reads */
    bool bounded = false;
    node->low = INT64_MIN;
    node->high = INT64_MAX;
    node->most_characters = node->most_items = INT32_MAX;
    PFM_TRY(read_bound(schema, "minimum", &node->low, &bounded, err));
    PFM_TRY(read_bound(schema, "maximum", &node->high, &bounded, err));
    if (bounded && (node->types & PFM_JSON_NUMBER) != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema bounds numbers that need not be whole, to which answers cannot be held here");
    if (node->low > node->high)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema's minimum is above its maximum");
    if (bounded && (node->low > most_whole || node->high < -most_whole))
        PFM_FAIL(PFM_ERROR_USAGE, "the schema wants whole numbers of more than 18 digits");
    PFM_TRY(read_count(schema, "minLength", &node->least_characters, err));
    PFM_TRY(read_count(schema, "maxLength", &node->most_characters, err));
    PFM_TRY(read_count(schema, "minItems", &node->least_items, err));
    PFM_TRY(read_count(schema, "maxItems", &node->most_items, err));
    if (node->least_characters > node->most_characters || node->least_items > node->most_items)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema's minLength is above its maxLength, or minItems above maxItems");
done:
    return status;
}

/* ---- literals ---- */

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Appends the JSON text of a value to the shape's literals. */
static pfm_status add_literal(pfm_json_shape *shape, const json_t *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(
        pfm_array_reserve(&shape->literals, &shape->literal_capacity, shape->literal_count + 1, sizeof *shape->literals, err));
    PFM_TRY(pfm_json_append(&text, value, err));
    shape->literals[shape->literal_count++] = text.data;
    text = (pfm_buffer){0};
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status read_literals(pfm_json_shape *shape, const json_t *schema, pfm_json_node *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
    node->literals = (int32_t)shape->literal_count;
    if (list != NULL && json_array_size(list) == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema's enum must be a list of values");
    for (size_t i = 0; i < json_array_size(list); i++)
        PFM_TRY(add_literal(shape, json_array_get(list, i), err));
    if (one != NULL && list == NULL)
        PFM_TRY(add_literal(shape, one, err));
    node->literal_count = (int32_t)shape->literal_count - node->literals;
    if (node->literal_count > 1)
        qsort(shape->literals + node->literals, (size_t)node->literal_count, sizeof *shape->literals, compare_texts);
done:
    return status;
}

/* ---- nodes ---- */

static pfm_status add_node(pfm_json_shape *shape, const json_t *schema, int depth, int32_t *out, pfm_error *err);

static bool is_required(const json_t *schema, const char *name)
{
    const json_t *list = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text != NULL && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static pfm_status add_property(pfm_json_shape *shape, const char *name, const json_t *schema, bool required, int depth,
                               pfm_json_property *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    json_t *key = json_string(name);
    out->required = required;
    if (key == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read the schema");
    PFM_TRY(pfm_json_append(&text, key, err));
    out->key = text.data;
    text = (pfm_buffer){0};
    PFM_TRY(add_node(shape, schema, depth + 1, &out->node, err));
done:
    json_decref(key);
    pfm_buffer_free(&text);
    return status;
}

/* The properties of an object, in its order; those that are required and not described may be anything. */
static pfm_status add_properties(pfm_json_shape *shape, const json_t *schema, int depth, int32_t at, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *properties = json_object_get(schema, "properties"), *value = NULL;
    const json_t *more = json_object_get(schema, "additionalProperties");
    const size_t count = json_object_size(properties);
    const char *name = NULL;
    pfm_json_property *list = NULL;
    size_t filled = 0;
    if (count > 64)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema has an object of %zu properties; answers can be held to 64", count);
    for (size_t i = 0; i < json_array_size(json_object_get(schema, "required")); i++) {
        const char *wanted = json_string_value(json_array_get(json_object_get(schema, "required"), i));
        if (wanted == NULL || json_object_get(properties, wanted) == NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "the schema requires '%.60s', which is none of its properties",
                     wanted != NULL ? wanted : "(no text)");
    }
    PFM_TRY(pfm_allocate(count, sizeof *list, &list, err));
    shape->nodes[at].properties = list;
    json_object_foreach(properties, name, value)
    {
        shape->nodes[at].property_count = (int32_t)filled + 1;
        PFM_TRY(add_property(shape, name, value, is_required(schema, name), depth, &list[filled++], err));
    }
    int32_t others = count == 0 ? 0 : -1; /* of an object that names none anything may be a member */
    if (json_is_object(more))
        PFM_TRY(add_node(shape, more, depth + 1, &others, err));
    else if (more != NULL)
        others = json_is_true(more) ? 0 : -1;
    if (others >= 0 && count > 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema has an object of named properties and others beside (additionalProperties), to "
                                  "which answers cannot be held here; make it false");
    shape->nodes[at].others = others;
done:
    return status;
}

/* Node 0 is anything; the list may move, so that nodes are named by their number. */
static pfm_status add_node(pfm_json_shape *shape, const json_t *schema, int depth, int32_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_json_node node = {0};
    const json_t *items = json_object_get(schema, "items");
    if (json_is_true(schema))
        return (*out = 0), PFM_OK;
    if (!json_is_object(schema))
        PFM_FAIL(PFM_ERROR_USAGE, "the schema must be an object");
    if (depth > PFM_JSON_DEPTH || shape->node_count == MOST_NODES)
        PFM_FAIL(PFM_ERROR_USAGE, "the schema is too deep or too large for answers to be held to it");
    PFM_TRY(check_keywords(schema, err));
    PFM_TRY(read_types(schema, &node, err));
    PFM_TRY(read_numbers(schema, &node, err));
    PFM_TRY(read_literals(shape, schema, &node, err));
    PFM_TRY(pfm_array_reserve(&shape->nodes, &shape->node_capacity, shape->node_count + 1, sizeof *shape->nodes, err));
    const int32_t at = (int32_t)shape->node_count++;
    shape->nodes[at] = node;
    PFM_TRY(add_properties(shape, schema, depth, at, err));
    int32_t item = 0;
    if (items != NULL)
        PFM_TRY(add_node(shape, items, depth + 1, &item, err));
    shape->nodes[at].items = item;
    *out = at;
done:
    return status;
}

pfm_status pfm_json_shape_create(const json_t *schema, pfm_json_shape **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_json_shape *shape = NULL;
    int32_t unused = 0;
    json_t *anything = json_object(), *object = json_pack("{s:s}", "type", "object");
    if (anything == NULL || object == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read the schema");
    PFM_TRY(pfm_allocate(1, sizeof *shape, &shape, err));
    PFM_TRY(add_node(shape, anything, 0, &unused, err));
    PFM_TRY(add_node(shape, schema != NULL ? schema : object, 0, &shape->root, err));
    *out = shape;
    shape = NULL;
done:
    pfm_json_shape_free(shape);
    json_decref(anything);
    json_decref(object);
    return status;
}

void pfm_json_shape_free(pfm_json_shape *shape)
{
    if (shape == NULL)
        return;
    for (size_t i = 0; i < shape->node_count; i++) {
        for (int32_t p = 0; p < shape->nodes[i].property_count; p++)
            free(shape->nodes[i].properties[p].key);
        free(shape->nodes[i].properties);
    }
    for (size_t i = 0; i < shape->literal_count; i++)
        free(shape->literals[i]);
    free(shape->literals);
    free(shape->nodes);
    free(shape);
}
