#include "train/recipe.h"

#include "base/file.h"
#include "base/try.h"
#include "train/recipe_table.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

void pfm_recipe_free(pfm_recipe *recipe)
{
    if (recipe == NULL)
        return;
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++)
        pfm_recipe_clear(recipe, key);
    free(recipe);
}

static pfm_status write_key(const pfm_recipe *recipe, const recipe_key *key, bool comments, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t section = strcspn(key->name, ".");
    bool opens = key == pfm_recipe_keys || strncmp(key[-1].name, key->name, section + 1) != 0;
    if (opens)
        PFM_TRY(pfm_buffer_append_format(out, err, "%.*s:\n", (int)section, key->name));
    size_t begin = out->size;
    PFM_TRY(pfm_buffer_append_format(out, err, "  %s: ", key->name + section + 1));
    PFM_TRY(pfm_recipe_append_value(recipe, key, out, err));
    if (comments) {
        size_t width = out->size - begin;
        PFM_TRY(pfm_buffer_append_format(out, err, "%*s # %s", width < 40 ? (int)(40 - width) : 0, "", key->help));
    }
    PFM_TRY(pfm_buffer_append(out, "\n", 1, err));
done:
    return status;
}

static pfm_status write_keys(const pfm_recipe *recipe, bool comments, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), former = uselocale(plain);
    for (const recipe_key *key = pfm_recipe_keys; status == PFM_OK && key->name != NULL; key++)
        status = write_key(recipe, key, comments, out, err);
    uselocale(former);
    if (plain != (locale_t)0)
        freelocale(plain);
    return status;
}

pfm_status pfm_recipe_write(const pfm_recipe *recipe, pfm_buffer *out, pfm_error *err)
{
    return write_keys(recipe, true, out, err);
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
    pfm_status status = write_keys(recipe, false, &text, err);
    if (status == PFM_OK)
        status = pfm_hash_bytes(text.data, text.size, out, err);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_recipe_compare(const pfm_recipe *a, const pfm_recipe *b, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer left = {0}, right = {0};
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        pfm_buffer_clear(&left);
        pfm_buffer_clear(&right);
        PFM_TRY(pfm_recipe_append_value(a, key, &left, err));
        PFM_TRY(pfm_recipe_append_value(b, key, &right, err));
        if (strcmp(left.data, right.data) == 0)
            continue;
        PFM_TRY(pfm_buffer_append_format(out, err, "%s%s: %s, not %s", out->size > 0 ? "; " : "", key->name, left.data,
                                         right.data));
    }
done:
    pfm_buffer_free(&left);
    pfm_buffer_free(&right);
    return status;
}

static pfm_status find_data(const pfm_recipe *recipe, const char **path, pfm_dataset_options *options, pfm_error *err)
{
    *options = (pfm_dataset_options){.language = recipe->data.language,
                                     .seed = (uint64_t)recipe->data.split_seed,
                                     .validate_share = recipe->data.validate_share,
                                     .validate_by = recipe->data.validate_by};
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
