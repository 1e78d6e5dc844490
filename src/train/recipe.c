#include "train/recipe.h"

#include "base/file.h"
#include "base/try.h"
#include "train/recipe_loader.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pfm_recipe_free(pfm_recipe *recipe)
{
    if (recipe == NULL)
        return;
    for (size_t i = 0; i < recipe->stage_count; i++) /* a stage holds none itself */
        pfm_recipe_free(recipe->stages[i]);
    free(recipe->stages);
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++)
        pfm_recipe_clear(recipe, key);
    free(recipe->left_out);
    free(recipe);
}

bool pfm_recipe_sees(const pfm_recipe *recipe) { return strcmp(recipe->model.vision, "none") != 0; }

static bool is_among(char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0)
            return true;
    }
    return false;
}

bool pfm_recipe_trains(const pfm_recipe *recipe, const char *part)
{
    return is_among(recipe->trainable, recipe->trainable_count, part);
}

bool pfm_recipe_adapts(const pfm_recipe *recipe, const char *part)
{
    return recipe->adapts && is_among(recipe->parts, recipe->part_count, part);
}

size_t pfm_recipe_count_stages(const pfm_recipe *recipe) { return recipe->stage_count > 0 ? recipe->stage_count : 1; }

const pfm_recipe *pfm_recipe_get_stage(const pfm_recipe *recipe, size_t stage)
{
    return recipe->stage_count > 0 ? recipe->stages[stage] : recipe;
}

pfm_status pfm_recipe_copy(const pfm_recipe *recipe, size_t stages, pfm_recipe **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *copy = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *copy, &copy, err));
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++)
        PFM_TRY(pfm_recipe_copy_value(copy, recipe, key, err));
    copy->adapts = recipe->adapts;
    copy->adapts_norms = recipe->adapts_norms;
    copy->default_targets = recipe->default_targets;
    copy->default_feedforward = recipe->default_feedforward;
    PFM_TRY(pfm_allocate(recipe->stage_count, sizeof(pfm_recipe *), &copy->stages, err));
    for (size_t i = 0; i < recipe->stage_count && i < stages; i++) {
        PFM_TRY(pfm_recipe_copy(recipe->stages[i], 0, &copy->stages[i], err));
        copy->stage_count++;
    }
    *out = copy;
    copy = NULL;
done:
    pfm_recipe_free(copy);
    return status;
}

static void forget_asides(void *object, const recipe_key *keys)
{
    for (const recipe_key *key = keys; key->name != NULL; key++) {
        if (key->aside)
            pfm_recipe_clear(object, key);
    }
}

void pfm_recipe_forget_asides(pfm_recipe *recipe)
{
    forget_asides(recipe, pfm_recipe_keys);
    for (size_t i = 0; i < recipe->data.mixture_count; i++)
        forget_asides(&recipe->data.mixture[i], pfm_member_keys);
    for (size_t i = 0; i < recipe->stage_count; i++)
        pfm_recipe_forget_asides(recipe->stages[i]);
}

/* How a recipe is written: each line behind `margin`, the first behind `first`; of a stage only what differs from `base`. */
typedef struct writing {
    const pfm_recipe *base;
    const char *margin, *first;
    bool comments, empty; /* an empty list too, where the default is none */
    char section[40];     /* that is open */
} writing;

/* "section:" where the key opens one. */
static pfm_status open_section(writing *w, const char *name, size_t length, pfm_buffer *out, pfm_error *err)
{
    if (strlen(w->section) == length && memcmp(w->section, name, length) == 0)
        return PFM_OK;
    (void)snprintf(w->section, sizeof w->section, "%.*s", (int)length, name);
    return length == 0 ? PFM_OK : pfm_buffer_append_format(out, err, "%s%.*s:\n", w->margin, (int)length, name);
}

static pfm_status write_key(writing *w, const pfm_recipe *recipe, const recipe_key *key, const char *value, pfm_buffer *out,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *dot = strchr(key->name, '.');
    size_t section = dot == NULL ? 0 : (size_t)(dot - key->name);
    PFM_TRY(open_section(w, key->name, section, out, err));
    size_t begin = out->size;
    const char *margin = key->of_stage && recipe->name != NULL ? w->first : w->margin;
    PFM_TRY(pfm_buffer_append_format(out, err, "%s%s%s: %s", margin, dot == NULL ? "" : "  ", dot == NULL ? key->name : dot + 1,
                                     value));
    if (w->comments) {
        size_t width = out->size - begin;
        PFM_TRY(pfm_buffer_append_format(out, err, "%*s # %s", width < 40 ? (int)(40 - width) : 0, "", key->help));
    }
    PFM_TRY(pfm_buffer_append(out, "\n", 1, err));
done:
    return status;
}

static pfm_status write_keys(writing *w, const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer value = {0}, there = {0};
    w->section[0] = '\0';
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        const bool emptied = w->empty && key->type == RECIPE_LIST && key->initial != NULL;
        if (!pfm_recipe_says(recipe, key) && !emptied)
            continue;
        pfm_buffer_clear(&value);
        pfm_buffer_clear(&there);
        PFM_TRY(pfm_recipe_append_value(recipe, key, &value, err));
        if (w->base != NULL && pfm_recipe_says(w->base, key))
            PFM_TRY(pfm_recipe_append_value(w->base, key, &there, err));
        if (there.size > 0 && strcmp(there.data, value.data) == 0)
            continue;
        PFM_TRY(write_key(w, recipe, key, value.data, out, err));
    }
done:
    pfm_buffer_free(&value);
    pfm_buffer_free(&there);
    return status;
}

/* For people: the keys above the stages, and of each stage what differs. */
static pfm_status write_all(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err)
{
    writing w = {.margin = "", .comments = true};
    pfm_status status = write_keys(&w, recipe, out, err);
    if (status == PFM_OK && recipe->stage_count > 0)
        status = pfm_buffer_append_string(out, "stages:\n", err);
    w = (writing){.margin = "    ", .first = "  - ", .base = recipe, .comments = true};
    for (size_t i = 0; status == PFM_OK && i < recipe->stage_count; i++)
        status = write_keys(&w, recipe->stages[i], out, err);
    return status;
}

/* For the hash: of every stage what differs from the defaults, so that a key that comes into the table leaves the hashes of
 * recipes without it, and unfinished runs, as they are. Whoever changes a default writes another edition. */
static pfm_status write_canonical(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *defaults = NULL;
    PFM_TRY(pfm_recipe_create_default(&defaults, err));
    PFM_TRY(pfm_buffer_append_string(out, "edition 1\n", err));
    writing w = {.base = defaults, .margin = "", .first = "", .empty = true};
    for (size_t i = 0; i < pfm_recipe_count_stages(recipe); i++) {
        PFM_TRY(pfm_buffer_append_format(out, err, "stage %zu\n", i));
        PFM_TRY(write_keys(&w, pfm_recipe_get_stage(recipe, i), out, err));
    }
done:
    pfm_recipe_free(defaults);
    return status;
}

/* Numbers have a point, wherever we run. */
static pfm_status write_plainly(pfm_status (*write)(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err),
                                const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), former = uselocale(plain);
    pfm_status status = write(recipe, out, err);
    uselocale(former);
    if (plain != (locale_t)0)
        freelocale(plain);
    return status;
}

pfm_status pfm_recipe_write(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err)
{
    return write_plainly(write_all, recipe, out, err);
}

pfm_status pfm_recipe_save(const pfm_recipe *recipe, const char *path, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = pfm_recipe_write(recipe, &text, err);
    if (status == PFM_OK)
        status = pfm_file_write(path, text.data, text.size, err);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_recipe_hash(const pfm_recipe *recipe, pfm_hash_hex out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = write_plainly(write_canonical, recipe, &text, err);
    if (status == PFM_OK)
        status = pfm_hash_bytes(text.data, text.size, out, err);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status append_value_or_nothing(const pfm_recipe *recipe, const recipe_key *key, pfm_buffer *out, pfm_error *err)
{
    pfm_buffer_clear(out);
    return pfm_recipe_says(recipe, key) ? pfm_recipe_append_value(recipe, key, out, err)
                                        : pfm_buffer_append_string(out, "nothing", err);
}

/* Two recipes of one stage, or two stages. */
static pfm_status visit_stage(const pfm_recipe *a, const pfm_recipe *b, const char *prefix, pfm_difference_function function,
                              void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer left = {0}, right = {0};
    char name[128];
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        PFM_TRY(append_value_or_nothing(a, key, &left, err));
        PFM_TRY(append_value_or_nothing(b, key, &right, err));
        if (strcmp(left.data, right.data) == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s%s", prefix, key->name);
        PFM_TRY(function(user, name, left.data, right.data, err));
    }
done:
    pfm_buffer_free(&left);
    pfm_buffer_free(&right);
    return status;
}

pfm_status pfm_recipe_visit_differences(const pfm_recipe *a, const pfm_recipe *b, pfm_difference_function function, void *user,
                                        pfm_error *err)
{
    char prefix[32], counts[2][24];
    if (a->stage_count != b->stage_count) {
        (void)snprintf(counts[0], sizeof counts[0], "%zu", a->stage_count);
        (void)snprintf(counts[1], sizeof counts[1], "%zu", b->stage_count);
        return function(user, "stages", counts[0], counts[1], err);
    }
    if (a->stage_count == 0)
        return visit_stage(a, b, "", function, user, err);
    for (size_t i = 0; i < a->stage_count; i++) {
        (void)snprintf(prefix, sizeof prefix, "stages.%zu.", i);
        pfm_status status = visit_stage(a->stages[i], b->stages[i], prefix, function, user, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static pfm_status append_difference(void *user, const char *key, const char *a, const char *b, pfm_error *err)
{
    pfm_buffer *out = user;
    return pfm_buffer_append_format(out, err, "%s%s: %s, not %s", out->size > 0 ? "; " : "", key, a, b);
}

pfm_status pfm_recipe_compare(const pfm_recipe *a, const pfm_recipe *b, pfm_buffer *out, pfm_error *err)
{
    return pfm_recipe_visit_differences(a, b, append_difference, out, err);
}

/* How the recipe's data set is read, or another one of the mixture that is asked in the same way. */
static pfm_dataset_options options_of(const pfm_recipe *recipe)
{
    return (pfm_dataset_options){.language = recipe->data.language,
                                 .grounding = recipe->data.grounding,
                                 .retrieval = {.index = recipe->data.index,
                                               .sha256 = recipe->data.index_sha256,
                                               .snippets = recipe->data.snippets,
                                               .words = recipe->data.snippet_words},
                                 .seed = (uint64_t)recipe->data.split_seed,
                                 .validate_share = recipe->data.validate_share,
                                 .validate_by = recipe->data.validate_by,
                                 .slices = recipe->data.slices};
}

pfm_status pfm_recipe_ground(const pfm_recipe *recipe, const char *text, char **out, pfm_error *err)
{
    const pfm_dataset_options options = options_of(recipe);
    return pfm_dataset_ground(recipe->data.dataset, &options, text, out, err);
}

static pfm_status pin_index(pfm_recipe *recipe, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    char *place = NULL;
    if (!pfm_recipe_retrieves(recipe))
        return PFM_OK;
    const pfm_dataset_options options = options_of(recipe);
    PFM_TRY(pfm_retrieval_hash(&options.retrieval, hash, err));
    place = realpath(recipe->data.index, NULL);
    if (place != NULL) {
        free(recipe->data.index);
        recipe->data.index = place;
    }
    if (recipe->data.index_sha256 == NULL)
        PFM_TRY(pfm_string_copy(hash, &recipe->data.index_sha256, err));
done:
    return status;
}

pfm_status pfm_recipe_pin_index(pfm_recipe *recipe, pfm_error *err)
{
    pfm_status status = recipe->stage_count == 0 ? pin_index(recipe, err) : PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < recipe->stage_count; i++)
        status = pin_index(recipe->stages[i], err);
    return status;
}

static pfm_status find_data(const pfm_recipe *recipe, const char **path, pfm_dataset_options *options, pfm_error *err)
{
    *options = options_of(recipe);
    if (*path == NULL)
        *path = recipe->data.path;
    if (*path == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "where does %s lie? say --data PATH, or set data.path in the recipe",
                             recipe->data.dataset);
    return PFM_OK;
}

pfm_status pfm_recipe_load_data(const pfm_recipe *recipe, const char *path, const char *split, size_t limit, pfm_dataset **out,
                                pfm_error *err)
{
    pfm_dataset_options options;
    pfm_status status = find_data(recipe, &path, &options, err);
    options.limit = limit;
    return status == PFM_OK ? pfm_dataset_load(recipe->data.dataset, path, split, &options, out, err) : status;
}

pfm_status pfm_recipe_has_data(const pfm_recipe *recipe, const char *path, const char *split, bool *out, pfm_error *err)
{
    pfm_dataset_options options;
    pfm_status status = find_data(recipe, &path, &options, err);
    return status == PFM_OK ? pfm_dataset_has_split(recipe->data.dataset, path, split, &options, out, err) : status;
}

static pfm_status load_member(const pfm_recipe *recipe, const pfm_member *member, const char *path, pfm_dataset **out,
                              pfm_error *err)
{
    const bool same = strcmp(member->dataset, recipe->data.dataset) == 0; /* what is learned is asked in the same way */
    pfm_dataset_options options = options_of(recipe);
    options.language = member->language;
    if (!same)
        options.grounding = NULL;
    const char *at = member->path;
    if (at == NULL && same)
        at = path != NULL ? path : recipe->data.path;
    if (at == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "where does %s of data.mixture lie? set its path there", member->dataset);
    return pfm_dataset_load(member->dataset, at, member->train, &options, out, err);
}

pfm_status pfm_recipe_load_training(const pfm_recipe *recipe, const char *path, pfm_dataset **out, pfm_error *err)
{
    size_t count = recipe->data.mixture_count;
    pfm_dataset *members[RECIPE_MAX_ITEMS] = {0};
    pfm_status status = PFM_OK;
    if (count == 0)
        return pfm_recipe_load_data(recipe, path, recipe->data.train, 0, out, err);
    for (size_t i = 0; i < count; i++)
        PFM_TRY(load_member(recipe, &recipe->data.mixture[i], path, &members[i], err));
    PFM_TRY(pfm_dataset_join(members, count, out, err));
done:
    for (size_t i = 0; i < count; i++)
        pfm_dataset_free(members[i]);
    return status;
}

bool pfm_recipe_has_path(const pfm_recipe *recipe, const char *path)
{
    bool found = path != NULL || recipe->data.path != NULL;
    for (size_t i = 0; i < recipe->data.mixture_count; i++) {
        const pfm_member *member = &recipe->data.mixture[i];
        found &= member->path != NULL || strcmp(member->dataset, recipe->data.dataset) == 0;
    }
    return found;
}
