/* What stands between texts about patients and a server that is another machine. */
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "data/dataset.h"
#include "eval/identifiers.h"
#include "eval/judge_internal.h"
#include "train/recipe.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LARGEST_DECLARATION = 1 << 16 };

static const char mimic[] = "mimic_cxr";

/* ---- which data set it is ---- */

/* How MIMIC-CXR names its folders: p10/p10000032/s50414267/... */
static bool has_mimic_folder(const char *text)
{
    for (const char *at = text; (at = strstr(at, "p1")) != NULL; at++)
        if (strspn(at + 1, "0123456789") == 2 && strncmp(at + 3, "/p1", 3) == 0 && strspn(at + 5, "0123456789") == 8 &&
            strncmp(at + 13, "/s", 2) == 0 && isdigit((unsigned char)at[15]))
            return true;
    return false;
}

/* And its images: five groups of eight hexadecimal digits, 02aa804e-bde0afdd-112c0b34-7bc16630-4e384014. */
static bool has_mimic_image(const char *text)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    for (const char *at = text; (at = strchr(at, '-')) != NULL; at++) {
        bool all = at - text >= 8 && strspn(at - 8, digits) == 8;
        for (int group = 0; all && group < 4; group++)
            all = at[9 * group] == '-' && strspn(at + 9 * group + 1, digits) == 8;
        if (all)
            return true;
    }
    return false;
}

/* A text, or one in a list. */
static bool is_of_mimic(const json_t *value)
{
    const char *text = json_string_value(value);
    if (text != NULL && (has_mimic_folder(text) || has_mimic_image(text)))
        return true;
    for (size_t i = 0; i < json_array_size(value); i++) {
        text = json_string_value(json_array_get(value, i));
        if (text != NULL && (has_mimic_folder(text) || has_mimic_image(text)))
            return true;
    }
    return false;
}

/* The first name that is said counts, and one of data under terms before all others. */
static pfm_status add_name(pfm_judging *j, const char *name, pfm_error *err)
{
    if (name == NULL || name[0] == '\0' || (j->dataset != NULL && !pfm_dataset_is_restricted(name)))
        return PFM_OK;
    free(j->dataset);
    j->dataset = NULL;
    return pfm_string_copy(name, &j->dataset, err);
}

/* What a row says of where it is from. */
static pfm_status add_names_of_row(pfm_judging *j, const json_t *row, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *name = NULL, *source = json_string_value(json_object_get(row, "source"));
    json_t *value = NULL;
    PFM_TRY(add_name(j, json_string_value(json_object_get(row, "dataset")), err));
    if (source != NULL && pfm_dataset_is_restricted(source))
        PFM_TRY(add_name(j, source, err));
    json_object_foreach((json_t *)(uintptr_t)row, name, value)
    {
        if (is_of_mimic(value))
            PFM_TRY(add_name(j, mimic, err));
    }
done:
    return status;
}

/* The recipe beside FILE, where that lies in a run's folder. One that cannot be read says nothing, and then nothing is sent. */
static pfm_status add_name_of_recipe(pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool stays = j->options->replay || pfm_client_is_local(j->client);
    char *beside = NULL;
    pfm_recipe *recipe = NULL;
    PFM_TRY(pfm_path_beside(j->options->file, "recipe.yaml", &beside, err));
    if (!pfm_path_exists(beside))
        goto done;
    status = pfm_recipe_load(beside, NULL, 0, &recipe, stays ? NULL : err);
    if (status == PFM_OK)
        status = add_name(j, recipe->data.dataset, err);
    else if (stays)
        status = PFM_OK;
done:
    pfm_recipe_free(recipe);
    free(beside);
    return status;
}

pfm_status pfm_judge_find_dataset(pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *slash = strrchr(j->options->file, '/'), *file = slash != NULL ? slash + 1 : j->options->file;
    PFM_TRY(add_name(j, j->options->dataset, err));
    for (size_t i = 0; i < j->count; i++)
        PFM_TRY(add_names_of_row(j, j->items[i].row, err));
    PFM_TRY(add_name_of_recipe(j, err));
    if (pfm_dataset_is_restricted(file))
        PFM_TRY(add_name(j, mimic, err));
done:
    return status;
}

/* ---- identifiers ---- */

static pfm_status find_identifiers(const pfm_judging *j, const pfm_judge_item *item, unsigned *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer shown = {0};
    pfm_number_text number;
    const char *name = NULL;
    json_t *value = NULL;
    const pfm_place place = pfm_judge_place(j, item);
    PFM_TRY(pfm_rubric_shown(j->rubric, item->row, &place, &shown, err));
    *found = pfm_identifiers_find(shown.data);
    json_object_foreach(item->row, name, value)
    {
        const char *text = pfm_json_text(value, number);
        if (text != NULL && pfm_identifier_column(name) && pfm_identifier_stands_in(text, shown.data))
            *found |= 1U << PFM_IDENTIFIER_COLUMN;
    }
done:
    pfm_buffer_free(&shown);
    return status;
}

static pfm_status check_identifiers(const pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    unsigned accepted = 0, all = 0;
    size_t rows = 0;
    pfm_buffer first = {0}, kinds = {0};
    PFM_TRY(pfm_identifier_kinds_read(j->options->accept_identifiers, &accepted, err));
    for (size_t i = 0; i < j->count; i++) {
        unsigned found = 0;
        pfm_place_text where;
        const pfm_place place = pfm_judge_place(j, &j->items[i]);
        PFM_TRY(find_identifiers(j, &j->items[i], &found, err));
        found &= ~accepted;
        all |= found;
        rows += found != 0;
        if (found == 0 || rows > 1)
            continue;
        PFM_TRY(pfm_identifier_kinds_list(found, ", ", &kinds, err));
        PFM_TRY(pfm_buffer_append_format(&first, err, "%s: %s", pfm_place_format(&place, where), kinds.data));
    }
    if (rows == 0)
        goto done;
    PFM_TRY(pfm_identifier_kinds_list(all, ",", &kinds, err));
    PFM_FAIL(
        PFM_ERROR_USAGE,
        "%zu of %zu rows hold what looks like identifiers of patients, and nothing was sent (%s; kinds in all: %s): take them "
        "out; or, once you have read them and they are none, say --accept-identifiers %s",
        rows, j->count, first.data, kinds.data, kinds.data);
done:
    pfm_buffer_free(&first);
    pfm_buffer_free(&kinds);
    return status;
}

/* ---- terms ---- */

static bool has_text(const char *text, const char *part)
{
    const size_t length = strlen(part);
    for (; *text != '\0'; text++)
        if (strncasecmp(text, part, length) == 0)
            return true;
    return false;
}

/* The host of the client's URL, which begins with http:// or https://. */
static pfm_status copy_host(const char *url, char **out, pfm_error *err)
{
    const char *begin = strstr(url, "://") + 3;
    const size_t length = begin[0] == '[' ? strcspn(begin, "]") + 1 : strcspn(begin, ":/");
    return pfm_string_copy_n(begin, length, out, err);
}

/* What a person declares must say of which data and of whom, so that it is no file that lay about. */
static pfm_status read_declaration(const pfm_judging *j, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    char *host = NULL;
    json_t *value = NULL;
    const char *path = j->options->declaration;
    PFM_TRY(copy_host(pfm_client_url(j->client), &host, err));
    PFM_TRY(pfm_file_read(path, LARGEST_DECLARATION, &text, err));
    value = text.size > 0 && strlen(text.data) == text.size ? json_string(text.data) : NULL;
    if (value == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a declaration is a text in UTF-8; this file is empty or none", path);
    if (!has_text(text.data, j->dataset) || !has_text(text.data, host))
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "%s: a declaration names the data set (%.60s) and the server (%.200s) and says why its terms allow to send one to "
            "the other",
            path, j->dataset, host);
    *out = text.data;
    text = (pfm_buffer){0};
done:
    json_decref(value);
    free(host);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_judge_check_remote(const pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_judge_options *o = j->options;
    char *text = NULL;
    if (pfm_client_is_local(j->client)) {
        if (o->accept_identifiers != NULL || o->declaration != NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "%s is for a server that is another machine; %.200s is this one",
                     o->declaration != NULL ? "--declare" : "--accept-identifiers", o->client.url);
        goto done;
    }
    if (j->dataset == NULL)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "%.200s is not this machine, and nothing says which data the rows of %s are of, whose terms may forbid to send "
            "them: say --dataset NAME",
            o->client.url, o->file);
    const bool restricted = pfm_dataset_is_restricted(j->dataset);
    if (restricted && o->declaration == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%.60s may not be sent to others by its terms, and %.200s is not this machine; judge with a model here, or, "
                 "where yours do allow it, say so in a file that the log keeps: --declare FILE",
                 j->dataset, o->client.url);
    if (!restricted && o->declaration != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "--declare is for data whose terms forbid to send them, and %.60s are none that are known to",
                 j->dataset);
    if (restricted)
        PFM_TRY(read_declaration(j, &text, err));
    PFM_TRY(check_identifiers(j, err));
done:
    free(text);
    return status;
}

pfm_status pfm_judge_note_remote(const pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_judge_options *o = j->options;
    char *text = NULL;
    json_t *note = json_object();
    pfm_hash_hex hash;
    if (pfm_client_is_local(j->client))
        goto done;
    PFM_TRY(pfm_json_take(note, "url", json_string(pfm_client_url(j->client)), err));
    PFM_TRY(pfm_json_take(note, "dataset", json_string(j->dataset), err));
    if (o->accept_identifiers != NULL)
        PFM_TRY(pfm_json_take(note, "accepted_identifiers", json_string(o->accept_identifiers), err));
    if (o->declaration != NULL) {
        PFM_TRY(read_declaration(j, &text, err));
        PFM_TRY(pfm_hash_bytes(text, strlen(text), hash, err));
        PFM_TRY(pfm_json_take(note, "declaration", json_string(text), err));
        PFM_TRY(pfm_json_take(note, "declaration_sha256", json_string(hash), err));
    }
    PFM_TRY(pfm_call_log_note(j->log, "a server that is another machine", note, err));
done:
    json_decref(note);
    free(text);
    return status;
}
