/* Small files of keys, in YAML, that a user may write too: profiles, pipelines. Some are part of the program. Every complaint
 * names the file and the line. */
#ifndef PFM_EVAL_YAML_FILE_H
#define PFM_EVAL_YAML_FILE_H

#include "base/builtin_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

/* Whether a name is that of a file: it has a slash or ends with .yaml or .yml. */
bool pfm_yaml_is_path(const char *name);
/* *out = the file's name without folder and ending; release with free(). */
pfm_status pfm_yaml_name(const char *path, char **out, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_yaml {
    const char *file; /* for complaints; borrowed */
    yaml_document_t document;
} pfm_yaml;

/* Parses the text; FORMAT where it is no YAML. Release with pfm_yaml_free. */
pfm_status pfm_yaml_parse(const char *file, const char *text, size_t size, pfm_yaml *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_yaml_free(pfm_yaml *yaml);

yaml_node_t *pfm_yaml_node(pfm_yaml *yaml, int index);
/* The text of a scalar; NULL for anything else, and for a text with a NUL in it. */
const char *pfm_yaml_text(const yaml_node_t *node);
/* USAGE, "FILE line N: problem". */
pfm_status pfm_yaml_refuse(const pfm_yaml *yaml, const yaml_node_t *node, const char *problem, pfm_error *err);
/* *out = a number from low to high, with `whole` a whole one; refuses with `problem`. */
pfm_status pfm_yaml_read_number(const pfm_yaml *yaml, const yaml_node_t *node, double low, double high, bool whole,
                                const char *problem, double *out, pfm_error *err) PFM_MUST_CHECK;
/* USAGE: there is no `kind` of this name; says what there is, and what was probably meant. */
pfm_status pfm_yaml_refuse_name(const pfm_yaml *yaml, const yaml_node_t *node, const char *kind, const char *name,
                                const char *const *known, size_t count, pfm_error *err);

/* Called with the number of the key in the list. */
typedef pfm_status (*pfm_yaml_key_function)(void *user, size_t key, const yaml_node_t *value, pfm_error *err);
/* Reads a mapping whose keys are of a list of at most 64, each at most once; bit k of *given = whether keys[k] is there. */
pfm_status pfm_yaml_read_keys(pfm_yaml *yaml, const yaml_node_t *mapping, const char *const *keys, size_t count,
                              pfm_yaml_key_function function, void *user, uint64_t *given, pfm_error *err) PFM_MUST_CHECK;

#endif
