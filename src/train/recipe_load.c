#include "train/recipe_table.h"

#include "base/file.h"
#include "base/try.h"
#include "data/dataset.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { LARGEST_FILE = 1 << 20 };

typedef struct loader {
    pfm_recipe *recipe;
    const char *name;                    /* the file's */
    recipe_place place[RECIPE_MAX_KEYS]; /* of each key's value, in the table's order; file NULL: not given */
    yaml_document_t *document;
} loader;

static recipe_place *place_of(loader *state, const recipe_key *key) { return &state->place[key - pfm_recipe_keys]; }

/* ---- the tree that libyaml read ---- */

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)node->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static pfm_status read_list(loader *state, const recipe_key *key, const yaml_node_t *node, pfm_error *err)
{
    const recipe_place *place = place_of(state, key);
    if (node->type != YAML_SEQUENCE_NODE)
        return pfm_recipe_refuse(place, key, err, "must be a list, as in [q_proj, v_proj]");
    pfm_recipe_clear(state->recipe, key);
    pfm_status status = PFM_OK;
    for (yaml_node_item_t *item = node->data.sequence.items.start; status == PFM_OK && item < node->data.sequence.items.top;
         item++) {
        const yaml_node_t *element = yaml_document_get_node(state->document, *item);
        if (element->type != YAML_SCALAR_NODE || is_null(element))
            return pfm_recipe_refuse(place, key, err, "must be a list of names");
        status = pfm_recipe_add_text(state->recipe, key, (const char *)element->data.scalar.value, element->data.scalar.length,
                                     place, err);
    }
    return status;
}

static pfm_status read_value(loader *state, const recipe_key *key, const yaml_node_t *node, int line, pfm_error *err)
{
    recipe_place *place = place_of(state, key);
    if (place->file != NULL) {
        int first = place->line;
        recipe_place second = {state->name, line};
        return pfm_recipe_refuse(&second, key, err, "is given a second time (the first is on line %d); remove one", first);
    }
    *place = (recipe_place){state->name, line};
    if (is_null(node))
        return pfm_recipe_set_null(state->recipe, key, place, err);
    if (key->type == RECIPE_LIST)
        return read_list(state, key, node, err);
    if (node->type != YAML_SCALAR_NODE)
        return pfm_recipe_refuse(place, key, err, "must be a single value, not a %s",
                                 node->type == YAML_MAPPING_NODE ? "section" : "list");
    bool quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (quoted && (key->type == RECIPE_INTEGER || key->type == RECIPE_NUMBER || key->type == RECIPE_BOOLEAN))
        return pfm_recipe_refuse(place, key, err, "must not stand in quotes: they make it a text");
    return pfm_recipe_set_text(state->recipe, key, (const char *)node->data.scalar.value, node->data.scalar.length, place, err);
}

static pfm_status refuse_unknown(const char *name, size_t length, const recipe_place *place, pfm_error *err)
{
    char *nearest = NULL;
    pfm_status status = pfm_recipe_find_nearest(name, length, &nearest, err);
    if (status != PFM_OK)
        return status;
    int shown = length > 80 ? 80 : (int)length;
    if (place->line == 0)
        status = pfm_error_set(err, PFM_ERROR_USAGE, "%s: there is no key '%.*s'; the nearest is '%s'", place->file, shown,
                               name, nearest);
    else
        status = pfm_error_set(err, PFM_ERROR_USAGE, "%s line %d: there is no key '%.*s'; the nearest is '%s'", place->file,
                               place->line, shown, name, nearest);
    free(nearest);
    return status;
}

/* Reads a mapping whose keys stand under `prefix` ("" or "peft."). Only sections that the table knows are entered, so an alias
 * that points back to where it stands ends here too. */
static pfm_status read_mapping(loader *state, const yaml_node_t *mapping, const char *prefix, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL;
    pfm_buffer seen = {0}; /* "\nkey\n" of each section so far */
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key_node = yaml_document_get_node(state->document, pair->key);
        const yaml_node_t *node = yaml_document_get_node(state->document, pair->value);
        recipe_place place = {state->name, (int)key_node->start_mark.line + 1};
        if (key_node->type != YAML_SCALAR_NODE)
            PFM_FAIL(PFM_ERROR_USAGE, "%s line %d: a key must be a name", place.file, place.line);
        free(name);
        name = NULL;
        PFM_TRY(pfm_string_format(&name, err, "%s%s", prefix, (const char *)key_node->data.scalar.value));
        const recipe_key *key = pfm_recipe_find_key(name, strlen(name));
        if (key != NULL) {
            PFM_TRY(read_value(state, key, node, place.line, err));
            continue;
        }
        if (!pfm_recipe_is_section(name, strlen(name))) {
            status = refuse_unknown(name, strlen(name), &place, err);
            goto done;
        }
        if (node->type != YAML_MAPPING_NODE && !is_null(node))
            PFM_FAIL(PFM_ERROR_USAGE, "%s line %d: '%s' is a section; its keys stand indented below it or in {}", place.file,
                     place.line, name);
        char mark[80];
        (void)snprintf(mark, sizeof mark, "\n%s\n", name);
        if (seen.size > 0 && strstr(seen.data, mark) != NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "%s line %d: the section '%s' is given a second time; put its keys together", place.file,
                     place.line, name);
        PFM_TRY(pfm_buffer_append_string(&seen, mark, err));
        if (node->type == YAML_MAPPING_NODE) {
            char deeper[80];
            (void)snprintf(deeper, sizeof deeper, "%s.", name);
            PFM_TRY(read_mapping(state, node, deeper, err));
        }
    }
done:
    pfm_buffer_free(&seen);
    free(name);
    return status;
}

static pfm_status refuse_yaml(const loader *state, const yaml_parser_t *parser, pfm_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", state->name);
    const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
    if (parser->error == YAML_READER_ERROR)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s byte %zu: not a YAML text: %s", state->name, parser->problem_offset,
                             problem);
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: not YAML: %s", state->name, parser->problem_mark.line + 1,
                         problem);
}

static pfm_status read_text(loader *state, const char *text, size_t length, pfm_error *err)
{
    pfm_status status = PFM_OK;
    yaml_parser_t parser;
    yaml_document_t document, next;
    bool loaded = false;
    if (yaml_parser_initialize(&parser) == 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", state->name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (yaml_parser_load(&parser, &document) == 0) {
        status = refuse_yaml(state, &parser, err);
        goto done;
    }
    loaded = true;
    state->document = &document;
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root == NULL)
        goto done;
    if (root->type != YAML_MAPPING_NODE)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: a recipe is sections (model, peft, data, train) with keys", state->name,
                 root->start_mark.line + 1);
    PFM_TRY(read_mapping(state, root, "", err));
    if (yaml_parser_load(&parser, &next) == 0) {
        status = refuse_yaml(state, &parser, err);
        goto done;
    }
    const yaml_node_t *more = yaml_document_get_root_node(&next);
    if (more != NULL)
        status = pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: a second document begins; a recipe is one", state->name,
                               more->start_mark.line + 1);
    yaml_document_delete(&next);
done:
    if (loaded)
        yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    state->document = NULL;
    return status;
}

/* ---- overrides and defaults ---- */

/* A list as text: "a,b" or "[a, b]". */
static pfm_status set_list(pfm_recipe *recipe, const recipe_key *key, const char *text, const recipe_place *place,
                           pfm_error *err)
{
    size_t length = strlen(text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    pfm_recipe_clear(recipe, key);
    pfm_status status = PFM_OK;
    for (const char *item = text, *end = text + length; status == PFM_OK && item <= end;) {
        const char *comma = memchr(item, ',', (size_t)(end - item));
        const char *stop = comma == NULL ? end : comma, *first = item, *last = stop;
        while (first < last && *first == ' ')
            first++;
        while (last > first && last[-1] == ' ')
            last--;
        status = pfm_recipe_add_text(recipe, key, first, (size_t)(last - first), place, err);
        item = stop + 1;
    }
    return status;
}

static pfm_status set_from_text(loader *state, const recipe_key *key, const char *text, pfm_error *err)
{
    const recipe_place *place = place_of(state, key);
    if (key->type == RECIPE_LIST)
        return set_list(state->recipe, key, text, place, err);
    if (key->type == RECIPE_OPTIONAL && (text[0] == '\0' || strcmp(text, "null") == 0))
        return pfm_recipe_set_null(state->recipe, key, place, err);
    return pfm_recipe_set_text(state->recipe, key, text, strlen(text), place, err);
}

static pfm_status apply_override(loader *state, const char *set, pfm_error *err)
{
    recipe_place place = {"--set", 0};
    const char *equals = strchr(set, '=');
    if (equals == NULL || equals == set)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--set '%s' is not key=value, as in train.batch=8", set);
    size_t length = (size_t)(equals - set);
    const recipe_key *key = pfm_recipe_find_key(set, length);
    if (key == NULL)
        return refuse_unknown(set, length, &place, err);
    *place_of(state, key) = place;
    return set_from_text(state, key, equals + 1, err);
}

static pfm_status set_defaults(loader *state, pfm_error *err)
{
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        if (key->initial == NULL || key->offset == offsetof(pfm_recipe, train.minimum_learning_rate))
            continue;
        pfm_status status = set_from_text(state, key, key->initial, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* ---- what several keys must fulfil together ---- */

#define KEY(text) pfm_recipe_find_key(text, sizeof(text) - 1)

static pfm_status refuse_key(loader *state, const recipe_key *key, const char *reason, pfm_error *err)
{
    recipe_place place = *place_of(state, key);
    if (place.file == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s: %s %s", state->name, key->name, reason);
    return pfm_recipe_refuse(&place, key, err, "%s", reason);
}

static pfm_status check_together(loader *state, pfm_error *err)
{
    pfm_recipe *recipe = state->recipe;
    char reason[200];
    if (recipe->data.dataset == NULL)
        return refuse_key(state, KEY("data.dataset"), "is missing; say which data set this is for", err);
    if (!pfm_dataset_is_known(recipe->data.dataset)) {
        (void)snprintf(reason, sizeof reason, "cannot be '%.60s'; there are %s", recipe->data.dataset, pfm_dataset_names());
        return refuse_key(state, KEY("data.dataset"), reason, err);
    }
    /* Elsewhere the patch decides, which only the encoder's files may say; the model checks its grid. */
    int unit = 32 * recipe->model.merge;
    if (strncmp(recipe->model.vision, "efficientnet-", 13) == 0 && recipe->model.image_size % unit != 0) {
        (void)snprintf(reason, sizeof reason, "cannot be %d; it is a multiple of %d (32 times model.merge), as %d is",
                       recipe->model.image_size, unit, (recipe->model.image_size / unit + 1) * unit);
        return refuse_key(state, KEY("model.image_size"), reason, err);
    }
    if (recipe->peft.target_count == 0)
        return refuse_key(state, KEY("peft.targets"),
                          "must name at least one layer; peft.method: none trains the aligner alone", err);
    if (place_of(state, KEY("train.minimum_learning_rate"))->file == NULL)
        recipe->train.minimum_learning_rate = 0.05 * recipe->train.learning_rate;
    if (recipe->train.minimum_learning_rate > recipe->train.learning_rate)
        return refuse_key(state, KEY("train.minimum_learning_rate"), "must not be above train.learning_rate", err);
    if (recipe->train.micro_batch > recipe->train.batch)
        return refuse_key(state, KEY("train.micro_batch"), "must not be above train.batch", err);
    return PFM_OK;
}

static pfm_status parse(loader *state, const char *text, size_t length, const char *const *sets, int set_count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(set_defaults(state, err));
    PFM_TRY(read_text(state, text, length, err));
    for (int i = 0; i < set_count; i++)
        PFM_TRY(apply_override(state, sets[i], err));
    PFM_TRY(check_together(state, err));
done:
    return status;
}

pfm_status pfm_recipe_parse(const char *text, size_t length, const char *name, const char *const *sets, int set_count,
                            pfm_recipe **out, pfm_error *err)
{
    loader state = {.name = name};
    pfm_status status = pfm_allocate(1, sizeof *state.recipe, &state.recipe, err);
    if (status != PFM_OK)
        return status;
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), former = uselocale(plain); /* a point, wherever we run */
    status = parse(&state, text, length, sets, set_count, err);
    uselocale(former);
    if (plain != (locale_t)0)
        freelocale(plain);
    if (status == PFM_OK)
        *out = state.recipe;
    else
        pfm_recipe_free(state.recipe);
    return status;
}

pfm_status pfm_recipe_load(const char *path, const char *const *sets, int set_count, pfm_recipe **out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = pfm_file_read(path, LARGEST_FILE, &text, err);
    if (status == PFM_OK)
        status = pfm_recipe_parse(text.data, text.size, path, sets, set_count, out, err);
    pfm_buffer_free(&text);
    return status;
}
