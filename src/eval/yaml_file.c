#include "eval/yaml_file.h"

#include "base/file.h"
#include "base/try.h"
#include "pefomed/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), size = strlen(tail);
    return length > size && strcmp(text + length - size, tail) == 0;
}

bool pfm_yaml_is_path(const char *name)
{
    return strchr(name, '/') != NULL || ends_with(name, ".yaml") || ends_with(name, ".yml");
}

pfm_status pfm_yaml_name(const char *path, char **out, pfm_error *err)
{
    const char *name = pfm_path_name(path);
    const size_t ending = ends_with(name, ".yaml") ? 5 : ends_with(name, ".yml") ? 4 : 0;
    return pfm_string_copy_n(name, strlen(name) - ending, out, err);
}

/* libyaml's time grows with the square of the depth, so that a small hostile file could take hours. */
static pfm_status check_depth(const char *file, const char *text, size_t size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    yaml_parser_t parser;
    yaml_event_t event;
    size_t depth = 0;
    bool more = true;
    if (!yaml_parser_initialize(&parser))
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    while (more && status == PFM_OK && yaml_parser_parse(&parser, &event)) { /* what is no YAML is told by who loads it */
        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        if (depth > DEEPEST)
            status =
                pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: lists and mappings stand more than %d deep in each other",
                              file, event.start_mark.line + 1, DEEPEST);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return status;
}

pfm_status pfm_yaml_parse(const char *file, const char *text, size_t size, pfm_yaml *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    yaml_parser_t parser;
    out->file = file;
    PFM_TRY(check_depth(file, text, size, err));
    if (!yaml_parser_initialize(&parser))
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (!yaml_parser_load(&parser, &out->document))
        status = pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: not YAML: %s", file, parser.problem_mark.line + 1,
                               parser.problem != NULL ? parser.problem : "unreadable");
    yaml_parser_delete(&parser);
done:
    return status;
}

void pfm_yaml_free(pfm_yaml *yaml) { yaml_document_delete(&yaml->document); }

yaml_node_t *pfm_yaml_node(pfm_yaml *yaml, int index) { return yaml_document_get_node(&yaml->document, index); }

const char *pfm_yaml_text(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

pfm_status pfm_yaml_refuse(const pfm_yaml *yaml, const yaml_node_t *node, const char *problem, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s line %zu: %s", yaml->file, node->start_mark.line + 1, problem);
}

pfm_status pfm_yaml_read_number(const pfm_yaml *yaml, const yaml_node_t *node, double low, double high, bool whole,
                                const char *problem, double *out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    char *end = NULL;
    const double value = text != NULL ? strtod(text, &end) : NAN;
    if (text == NULL || end == text || *end != '\0' || !(value >= low && value <= high) || (whole && value != floor(value)))
        return pfm_yaml_refuse(yaml, node, problem, err);
    *out = value;
    return PFM_OK;
}

pfm_status pfm_yaml_refuse_name(const pfm_yaml *yaml, const yaml_node_t *node, const char *kind, const char *name,
                                const char *const *known, size_t count, pfm_error *err)
{
    pfm_buffer list = {0};
    pfm_status status = PFM_OK;
    const char *nearest = pfm_words_nearest(name, known, count);
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_buffer_append_format(&list, err, "%s%s", i == 0 ? "" : ", ", known[i]));
    PFM_FAIL(PFM_ERROR_USAGE, "%s line %zu: there is no %s '%.60s'%s%s%s; there are %s", yaml->file, node->start_mark.line + 1,
             kind, name, nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?",
             list.data);
done:
    pfm_buffer_free(&list);
    return status;
}

pfm_status pfm_yaml_read_keys(pfm_yaml *yaml, const yaml_node_t *mapping, const char *const *keys, size_t count,
                              pfm_yaml_key_function function, void *user, uint64_t *given, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *given = 0;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = pfm_yaml_node(yaml, pair->key);
        const char *name = pfm_yaml_text(key);
        size_t k = 0;
        while (k < count && (name == NULL || strcmp(keys[k], name) != 0))
            k++;
        if (k == count)
            PFM_TRY(pfm_yaml_refuse_name(yaml, key, "key", name == NULL ? "" : name, keys, count, err));
        if ((*given >> k & 1) != 0)
            PFM_FAIL(PFM_ERROR_USAGE, "%s line %zu: %s is given a second time", yaml->file, key->start_mark.line + 1, name);
        *given |= UINT64_C(1) << k;
        PFM_TRY(function(user, k, pfm_yaml_node(yaml, pair->value), err));
    }
done:
    return status;
}
