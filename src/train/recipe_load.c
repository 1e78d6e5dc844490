#include "train/recipe_loader.h"

#include "base/file.h"
#include "base/try.h"
#include "peft/targets.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { LARGEST_FILE = 1 << 20 };

static recipe_place *place_of(recipe_loader *state, const recipe_key *key) { return &state->place[key - pfm_recipe_keys]; }

/* ---- the tree that libyaml read ---- */

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)node->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static pfm_status read_list(const recipe_loader *state, void *object, const recipe_key *key, const yaml_node_t *node,
                            const recipe_place *place, pfm_error *err)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return pfm_recipe_refuse(place, key, err, "must be a list, as in [q_proj, v_proj]");
    pfm_recipe_clear(object, key);
    pfm_status status = PFM_OK;
    for (yaml_node_item_t *item = node->data.sequence.items.start; status == PFM_OK && item < node->data.sequence.items.top;
         item++) {
        const yaml_node_t *element = yaml_document_get_node(state->document, *item);
        if (element->type != YAML_SCALAR_NODE || is_null(element))
            return pfm_recipe_refuse(place, key, err, "must be a list of names");
        status =
            pfm_recipe_add_text(object, key, (const char *)element->data.scalar.value, element->data.scalar.length, place, err);
    }
    if (status == PFM_OK && key->type == RECIPE_TEXTS && node->data.sequence.items.start == node->data.sequence.items.top)
        return pfm_recipe_refuse(place, key, err, "must hold at least one text");
    return status;
}

static pfm_status refuse_unknown(const recipe_key *keys, const char *name, size_t length, const recipe_place *place,
                                 pfm_error *err)
{
    char *nearest = NULL;
    pfm_status status = pfm_recipe_find_nearest(keys, name, length, &nearest, err);
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

static pfm_status read_members(const recipe_loader *state, const recipe_key *key, const yaml_node_t *node,
                               const recipe_place *place, pfm_error *err);

/* Sets a field of a recipe or a member from a node. */
static pfm_status read_field(const recipe_loader *state, void *object, const recipe_key *key, const yaml_node_t *node,
                             const recipe_place *place, pfm_error *err)
{
    if (is_null(node))
        return pfm_recipe_set_null(object, key, place, err);
    if (key->type == RECIPE_MEMBERS)
        return read_members(state, key, node, place, err);
    if (key->lone && node->type == YAML_SCALAR_NODE) {
        pfm_recipe_clear(object, key);
        return pfm_recipe_add_text(object, key, (const char *)node->data.scalar.value, node->data.scalar.length, place, err);
    }
    if (key->type == RECIPE_LIST || (key->type == RECIPE_TEXTS && node->type == YAML_SEQUENCE_NODE))
        return read_list(state, object, key, node, place, err);
    if (node->type != YAML_SCALAR_NODE)
        return pfm_recipe_refuse(place, key, err, "must be a single value, not a %s",
                                 node->type == YAML_MAPPING_NODE ? "section" : "list");
    bool quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (quoted && (key->type == RECIPE_INTEGER || key->type == RECIPE_NUMBER || key->type == RECIPE_BOOLEAN))
        return pfm_recipe_refuse(place, key, err, "must not stand in quotes: they make it a text");
    return pfm_recipe_set_text(object, key, (const char *)node->data.scalar.value, node->data.scalar.length, place, err);
}

static pfm_status refuse_second(const recipe_place *second, const recipe_key *key, int first, pfm_error *err)
{
    return pfm_recipe_refuse(second, key, err, "is given a second time (the first is on line %d); remove one", first);
}

static pfm_status set_member_defaults(pfm_member *member, const recipe_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (const recipe_key *key = pfm_member_keys; status == PFM_OK && key->name != NULL; key++) {
        if (key->initial != NULL)
            status = pfm_recipe_set_text(member, key, key->initial, strlen(key->initial), place, err);
    }
    return status;
}

static pfm_status read_member(const recipe_loader *state, const yaml_node_t *node, pfm_member *member,
                              const recipe_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL;
    int lines[RECIPE_MAX_KEYS] = {0}; /* where each key was given */
    PFM_TRY(set_member_defaults(member, place, err));
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key_node = yaml_document_get_node(state->document, pair->key);
        recipe_place at = {state->name, (int)key_node->start_mark.line + 1};
        if (key_node->type != YAML_SCALAR_NODE)
            PFM_FAIL(PFM_ERROR_USAGE, "%s line %d: a key must be a name", at.file, at.line);
        free(name);
        name = NULL;
        PFM_TRY(pfm_string_format(&name, err, "data.mixture.%s", (const char *)key_node->data.scalar.value));
        const recipe_key *key = pfm_recipe_find_key(pfm_member_keys, name, strlen(name));
        if (key == NULL)
            PFM_TRY(refuse_unknown(pfm_member_keys, name, strlen(name), &at, err));
        int *line = &lines[key - pfm_member_keys];
        if (*line != 0)
            PFM_TRY(refuse_second(&at, key, *line, err));
        *line = at.line;
        PFM_TRY(read_field(state, member, key, yaml_document_get_node(state->document, pair->value), &at, err));
    }
done:
    free(name);
    return status;
}

static pfm_status read_members(const recipe_loader *state, const recipe_key *key, const yaml_node_t *node,
                               const recipe_place *place, pfm_error *err)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return pfm_recipe_refuse(place, key, err, "must be a list, as in [{dataset: slake, path: FOLDER, ratio: 2}, ...]");
    pfm_recipe_clear(state->recipe, key);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *element = yaml_document_get_node(state->document, *item);
        pfm_member *member = NULL;
        if (element->type != YAML_MAPPING_NODE)
            return pfm_recipe_refuse(place, key, err, "must hold data sets, as in {dataset: slake, path: FOLDER, ratio: 2}");
        pfm_status status = pfm_recipe_add_member(state->recipe, key, place, &member, err);
        if (status == PFM_OK)
            status = read_member(state, element, member, place, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status check_scope(const recipe_loader *state, const recipe_key *key, const recipe_place *place, pfm_error *err)
{
    if (state->whole != NULL && pfm_recipe_is_shared(key))
        return pfm_recipe_refuse(place, key, err, "cannot stand in a stage: one model goes through all of them; set it above");
    if (state->whole == NULL && key->of_stage)
        return pfm_recipe_refuse(place, key, err, "stands in a stage, as in stages: [{name: captions}, ...]");
    return PFM_OK;
}

static pfm_status read_value(recipe_loader *state, const recipe_key *key, const yaml_node_t *node, int line, pfm_error *err)
{
    recipe_place *place = place_of(state, key), here = {state->name, line};
    if (place->file != NULL)
        return refuse_second(&here, key, place->line, err);
    pfm_status status = check_scope(state, key, &here, err);
    if (status != PFM_OK)
        return status;
    *place = here;
    if (key->type != RECIPE_STAGES)
        return read_field(state, state->recipe, key, node, place, err);
    if (node->type != YAML_SEQUENCE_NODE)
        return pfm_recipe_refuse(place, key, err, "must be a list, as in [{name: captions, train: {epochs: 1}}, ...]");
    state->stages = node;
    return PFM_OK;
}

/* Reads a mapping whose keys stand under `prefix` ("" or "peft."). Only sections that the table knows are entered, so an alias
 * that points back to where it stands ends here too. */
static pfm_status read_mapping(recipe_loader *state, const yaml_node_t *mapping, const char *prefix, pfm_error *err)
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
        const recipe_key *key = pfm_recipe_find_key(pfm_recipe_keys, name, strlen(name));
        if (key != NULL) {
            PFM_TRY(read_value(state, key, node, place.line, err));
            continue;
        }
        if (!pfm_recipe_is_section(name, strlen(name))) {
            status = refuse_unknown(pfm_recipe_keys, name, strlen(name), &place, err);
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

static pfm_status refuse_yaml(const recipe_loader *state, const yaml_parser_t *parser, pfm_error *err)
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

/* A second document is refused. */
static pfm_status read_end(const recipe_loader *state, yaml_parser_t *parser, pfm_error *err)
{
    yaml_document_t next;
    pfm_status status = PFM_OK;
    if (yaml_parser_load(parser, &next) == 0)
        return refuse_yaml(state, parser, err);
    const yaml_node_t *more = yaml_document_get_root_node(&next);
    if (more != NULL)
        status = pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: a second document begins; a recipe is one", state->name,
                               more->start_mark.line + 1);
    yaml_document_delete(&next);
    return status;
}

static pfm_status read_root(recipe_loader *state, yaml_parser_t *parser, pfm_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(state->document);
    if (root == NULL)
        return PFM_OK;
    if (root->type != YAML_MAPPING_NODE)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: a recipe is sections (model, peft, data, train) with keys",
                             state->name, root->start_mark.line + 1);
    pfm_status status = read_mapping(state, root, "", err);
    return status == PFM_OK ? read_end(state, parser, err) : status;
}

/* ---- overrides and defaults ---- */

/* A list as text: "a,b" or "[a, b]", "[]" is empty; a regular expression stands alone, with its commas. */
static pfm_status set_list(void *object, const recipe_key *key, const char *text, const recipe_place *place, pfm_error *err)
{
    size_t length = strlen(text);
    bool empty = false;
    if (key->lone && strncmp(text, PFM_TARGET_EXPRESSION, sizeof PFM_TARGET_EXPRESSION - 1) == 0) {
        pfm_recipe_clear(object, key);
        return pfm_recipe_add_text(object, key, text, length, place, err);
    }
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
        empty = strspn(text, " ") >= length;
    }
    pfm_recipe_clear(object, key);
    pfm_status status = PFM_OK;
    if (empty)
        return PFM_OK;
    for (const char *item = text, *end = text + length; status == PFM_OK && item <= end;) {
        const char *comma = memchr(item, ',', (size_t)(end - item));
        const char *stop = comma == NULL ? end : comma, *first = item, *last = stop;
        while (first < last && *first == ' ')
            first++;
        while (last > first && last[-1] == ' ')
            last--;
        status = pfm_recipe_add_text(object, key, first, (size_t)(last - first), place, err);
        item = stop + 1;
    }
    return status;
}

static pfm_status set_from_text(void *object, const recipe_key *key, const char *text, const recipe_place *place,
                                pfm_error *err)
{
    if (pfm_recipe_is_optional(key) && (text[0] == '\0' || strcmp(text, "null") == 0))
        return pfm_recipe_set_null(object, key, place, err);
    if (key->type == RECIPE_LIST)
        return set_list(object, key, text, place, err);
    if (key->type == RECIPE_MEMBERS || key->type == RECIPE_STAGES)
        return pfm_recipe_refuse(place, key, err, "is a list; set what its first holds as %s.0.KEY=VALUE", key->name);
    return pfm_recipe_set_text(object, key, text, strlen(text), place, err);
}

/* true where the name begins with `list` and a number below `count`: *index, *rest = what stands behind. */
static bool split_index(const char *name, const char *list, size_t count, size_t *index, const char **rest)
{
    size_t length = strlen(list);
    if (strncmp(name, list, length) != 0 || strspn(name + length, "0123456789") == 0)
        return false;
    char *end = NULL;
    *index = strtoul(name + length, &end, 10);
    *rest = end + 1;
    return *end == '.' && *index < count;
}

static pfm_status override_member(const recipe_loader *state, const char *name, size_t index, const char *equals,
                                  pfm_error *err)
{
    const recipe_place place = {"--set", 0};
    char *whole = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_string_format(&whole, err, "data.mixture.%.*s", (int)(equals - name), name));
    const recipe_key *key = pfm_recipe_find_key(pfm_member_keys, whole, strlen(whole));
    if (key == NULL)
        status = refuse_unknown(pfm_member_keys, whole, strlen(whole), &place, err);
    else
        status = set_from_text(&state->recipe->data.mixture[index], key, equals + 1, &place, err);
done:
    free(whole);
    return status;
}

/* One "key=value" of a recipe or a stage. Of epochs and steps the one given last says how long the training is. */
static pfm_status apply_override(recipe_loader *state, const char *set, const char *equals, pfm_error *err)
{
    const recipe_place place = {"--set", 0};
    const char *rest = NULL;
    size_t length = (size_t)(equals - set), index = 0;
    if (split_index(set, "data.mixture.", state->recipe->data.mixture_count, &index, &rest) && rest < equals)
        return override_member(state, rest, index, equals, err);
    const recipe_key *key = pfm_recipe_find_key(pfm_recipe_keys, set, length);
    if (key == NULL)
        return refuse_unknown(pfm_recipe_keys, set, length, &place, err);
    pfm_status status = check_scope(state, key, &place, err);
    if (status != PFM_OK)
        return status;
    *place_of(state, key) = place;
    if (key == KEY("train.epochs"))
        state->recipe->train.steps = 0;
    return set_from_text(state->recipe, key, equals + 1, &place, err);
}

/* Applies those of stage number `stage`, or those of the whole where that is SIZE_MAX. */
static pfm_status apply_overrides(recipe_loader *state, const char *const *sets, int count, size_t stage, size_t stages,
                                  pfm_error *err)
{
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(sets[i], '='), *name = sets[i];
        size_t index = SIZE_MAX;
        if (equals == NULL || equals == sets[i])
            return pfm_error_set(err, PFM_ERROR_USAGE, "--set '%s' is not key=value, as in train.batch=8", sets[i]);
        if (!split_index(sets[i], "stages.", stages, &index, &name) || name > equals)
            index = SIZE_MAX;
        pfm_status status = index == stage ? apply_override(state, index == SIZE_MAX ? sets[i] : name, equals, err) : PFM_OK;
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status set_defaults(pfm_recipe *recipe, pfm_error *err)
{
    const recipe_place place = {"the defaults", 0};
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        if (key->initial == NULL || key->offset == offsetof(pfm_recipe, train.minimum_learning_rate))
            continue;
        pfm_status status = set_from_text(recipe, key, key->initial, &place, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

pfm_status pfm_recipe_create_default(pfm_recipe **out, pfm_error *err)
{
    pfm_recipe *recipe = NULL;
    pfm_status status = pfm_allocate(1, sizeof *recipe, &recipe, err);
    if (status == PFM_OK)
        status = set_defaults(recipe, err);
    if (status == PFM_OK)
        *out = recipe;
    else
        pfm_recipe_free(recipe);
    return status;
}

/* ---- stages ---- */

static pfm_status read_stage(const recipe_loader *whole, const yaml_node_t *node, const char *const *sets, int set_count,
                             size_t stages, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = whole->recipe;
    size_t number = recipe->stage_count;
    recipe_loader state = {.name = whole->name, .whole = whole, .document = whole->document};
    if (node->type != YAML_MAPPING_NODE)
        return pfm_recipe_refuse(pfm_recipe_find_place(whole, KEY("stages")), KEY("stages"), err,
                                 "must hold stages, as in {name: captions, train: {epochs: 1}}");
    PFM_TRY(pfm_recipe_copy(recipe, 0, &state.recipe, err));
    recipe->stages[recipe->stage_count++] = state.recipe;
    PFM_TRY(read_mapping(&state, node, "", err));
    PFM_TRY(apply_overrides(&state, sets, set_count, number, stages, err));
    PFM_TRY(pfm_recipe_derive(&state, err));
    PFM_TRY(pfm_recipe_check_name(&state, err));
    PFM_TRY(pfm_recipe_check(&state, err));
    state.recipe->adapts |= number > 0 && recipe->stages[number - 1]->adapts;
    state.recipe->adapts_norms |= number > 0 && recipe->stages[number - 1]->adapts_norms;
done:
    return status;
}

/* Each stage begins as a copy of what stands above it. */
static pfm_status read_stages(const recipe_loader *state, const char *const *sets, int set_count, pfm_error *err)
{
    const yaml_node_item_t *first = state->stages->data.sequence.items.start;
    size_t count = (size_t)(state->stages->data.sequence.items.top - first);
    if (count == 0 || count > RECIPE_MAX_ITEMS)
        return pfm_recipe_refuse(pfm_recipe_find_place(state, KEY("stages")), KEY("stages"), err, "must be 1 to %d stages",
                                 RECIPE_MAX_ITEMS);
    pfm_status status = pfm_allocate(count, sizeof(pfm_recipe *), &state->recipe->stages, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        status = read_stage(state, yaml_document_get_node(state->document, first[i]), sets, set_count, count, err);
    return status;
}

static pfm_status parse(recipe_loader *state, yaml_parser_t *parser, const char *const *sets, int set_count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(set_defaults(state->recipe, err));
    PFM_TRY(read_root(state, parser, err));
    size_t stages = 0;
    if (state->stages != NULL)
        stages = (size_t)(state->stages->data.sequence.items.top - state->stages->data.sequence.items.start);
    PFM_TRY(apply_overrides(state, sets, set_count, SIZE_MAX, stages, err));
    PFM_TRY(pfm_recipe_settle_method(state, err));
    PFM_TRY(pfm_recipe_derive(state, err));
    if (state->stages != NULL)
        PFM_TRY(read_stages(state, sets, set_count, err));
    else
        PFM_TRY(pfm_recipe_check(state, err));
done:
    return status;
}

/* Reads the text as YAML and the recipe from it. */
static pfm_status parse_text(recipe_loader *state, const char *text, size_t length, const char *const *sets, int set_count,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    yaml_parser_t parser;
    yaml_document_t document;
    if (yaml_parser_initialize(&parser) == 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", state->name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (yaml_parser_load(&parser, &document) == 0) {
        status = refuse_yaml(state, &parser, err);
    } else {
        state->document = &document;
        status = parse(state, &parser, sets, set_count, err);
        state->document = NULL;
        state->stages = NULL;
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return status;
}

pfm_status pfm_recipe_parse(const char *text, size_t length, const char *name, const char *const *sets, int set_count,
                            pfm_recipe **out, pfm_error *err)
{
    recipe_loader state = {.name = name};
    pfm_status status = pfm_allocate(1, sizeof *state.recipe, &state.recipe, err);
    if (status != PFM_OK)
        return status;
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), former = uselocale(plain); /* a point, wherever we run */
    status = parse_text(&state, text, length, sets, set_count, err);
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
