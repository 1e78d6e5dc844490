#include "serve/study_make.h"

#include "base/chance.h"
#include "base/file.h"
#include "base/try.h"
#include "eval/rating_files.h"
#include "serve/request_body.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 100, MOST_RUBRIC = 1 << 16, MOST_SYSTEMS = 32, MOST_ROWS = 100000 };
enum { IMAGE = 0 }; /* of pfm_sheet_shown; images are shown apart */
static const size_t most_file = (size_t)256 << 20, most_shown = (size_t)512 << 20;

/* ---- what there is to choose from ---- */

pfm_status pfm_study_files(pfm_catalogue *catalogue, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_listing listing = {0};
    json_t *list = json_array();
    PFM_TRY(pfm_catalogue_list(catalogue, PFM_LISTED_PREDICTIONS, &listing, err));
    for (size_t i = 0; i < listing.count; i++)
        list = pfm_json_add(list, json_string(listing.items[i].name));
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list files of predictions");
    *out = list;
    list = NULL;
done:
    pfm_listing_free(&listing);
    json_decref(list);
    return status;
}

pfm_status pfm_study_rubrics(json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rubric *rubric = NULL;
    json_t *list = json_array();
    for (const pfm_builtin_file *file = pfm_rubric_files; file->name != NULL; file++) {
        PFM_TRY(pfm_rubric_parse(file->name, file->text, file->size, &rubric, err));
        if (rubric->verdict == PFM_RUBRIC_SCORE)
            list = pfm_json_add(list, json_string(file->name));
        pfm_rubric_free(rubric);
        rubric = NULL;
    }
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the rubrics");
    *out = list;
    list = NULL;
done:
    pfm_rubric_free(rubric);
    json_decref(list);
    return status;
}

/* ---- the rubric ---- */

/* The column of a sheet that shows a part of a rubric, of pfm_sheet_shown; PFM_SHEET_SHOWN: none does. */
static size_t column_of(const pfm_rubric_part *part)
{
    for (size_t c = 0; c < part->count; c++)
        for (size_t i = 0; i < PFM_SHEET_SHOWN; i++)
            for (const char *const *column = pfm_sheet_columns[i]; *column != NULL; column++)
                if (strcmp(part->columns[c], *column) == 0)
                    return i;
    return PFM_SHEET_SHOWN;
}

static pfm_status list_parts(const pfm_rubric *rubric, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < rubric->part_count; i++) {
        const pfm_rubric_part *part = &rubric->parts[i];
        const size_t column = column_of(part);
        if (column == PFM_SHEET_SHOWN && !part->optional)
            PFM_FAIL(PFM_ERROR_USAGE, "the rubric %.60s shows \"%.60s\", a column %.60s, which sheets do not have",
                     rubric->name, part->title, part->columns[0]);
        if (column != PFM_SHEET_SHOWN && column != IMAGE)
            list = pfm_json_add(list, json_pack("{s:s, s:s}", "column", pfm_sheet_shown[column], "title", part->title));
    }
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read a rubric");
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return status;
}

static pfm_status describe_rubric(const pfm_rubric *rubric, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *parts = NULL, *levels = json_array();
    PFM_TRY(list_parts(rubric, &parts, err));
    for (size_t i = 0; i < rubric->level_count; i++)
        levels =
            pfm_json_add(levels, json_pack("{s:i, s:s}", "score", rubric->levels[i].score, "text", rubric->levels[i].text));
    *out = json_pack("{s:s, s:s, s:i, s:i, s:O, s:O}", "name", rubric->name, "instruction", rubric->instruction, "low",
                     rubric->low, "high", rubric->high, "levels", levels, "parts", parts);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a rubric");
done:
    json_decref(levels);
    json_decref(parts);
    return status;
}

/* One that is part of the program by its name, and one's own by its text: never a file of this machine. */
static pfm_status read_rubric(const json_t *request, pfm_rubric **out, pfm_error *err)
{
    const char *name = NULL, *text = NULL;
    pfm_status status = pfm_body_text(request, "rubric", "likert-report", LONGEST_NAME, &name, err);
    if (status == PFM_OK)
        status = pfm_body_text(request, "rubric_text", "", MOST_RUBRIC, &text, err);
    if (status != PFM_OK)
        return status;
    if (text[0] != '\0')
        return pfm_rubric_parse(name, text, strlen(text), out, err);
    if (pfm_builtin_find(pfm_rubric_files, name) == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no rubric '%.60s'; GET /api/studies lists those that there are",
                             name);
    return pfm_rubric_load(name, out, err);
}

/* ---- the systems ---- */

static bool is_plain_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == '/')
            return false;
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* A file that is listed, and no other. */
static pfm_status read_file(pfm_catalogue *catalogue, const char *name, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_catalogue_find(catalogue, PFM_LISTED_PREDICTIONS, name, &path, err));
    if (path == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "there is no file of predictions '%.100s'", name);
    if (pfm_file_read(path, most_file, out, NULL) != PFM_OK)
        PFM_FAIL(PFM_ERROR_IO, "%.100s cannot be read, or is larger than %zu MiB", name, most_file >> 20);
done:
    free(path);
    return status;
}

static pfm_status add_system(const json_t *given, pfm_catalogue *catalogue, json_t *list, pfm_error *err)
{
    static const char *const keys[] = {"name", "predictions", "file", NULL};
    pfm_status status = PFM_OK;
    pfm_buffer bytes = {0};
    char *own = NULL;
    const char *name = NULL, *file = NULL;
    json_t *rows = NULL;
    const json_t *text = json_object_get(given, "predictions");
    PFM_TRY(pfm_body_check_keys(given, keys, err));
    PFM_TRY(pfm_body_text(given, "name", "", LONGEST_NAME, &name, err));
    PFM_TRY(pfm_body_text(given, "file", "", 255, &file, err));
    if ((text != NULL) == (file[0] != '\0') || (text != NULL && !json_is_string(text)))
        PFM_FAIL(PFM_ERROR_USAGE, "a system has either predictions, JSON lines as one text, or file, a name that is listed");
    if (file[0] != '\0')
        PFM_TRY(read_file(catalogue, file, &bytes, err));
    if (name[0] == '\0' && file[0] != '\0')
        PFM_TRY(pfm_rating_file_name(file, &own, err));
    name = own != NULL ? own : name;
    if (!is_plain_name(name))
        PFM_FAIL(PFM_ERROR_USAGE, "a system needs a name, without / in it");
    PFM_TRY(text != NULL ? pfm_predictions_parse(name, json_string_value(text), json_string_length(text), &rows, err)
                         : pfm_predictions_parse(name, bytes.data != NULL ? bytes.data : "", bytes.size, &rows, err));
    if (json_array_append_new(
            list, json_pack("{s:s, s:s, s:O}", "name", name, "file", file[0] != '\0' ? file : name, "rows", rows)) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not take predictions");
done:
    pfm_buffer_free(&bytes);
    free(own);
    json_decref(rows);
    return status;
}

static pfm_status read_systems(const json_t *request, pfm_catalogue *catalogue, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *given = json_object_get(request, "systems");
    const size_t count = json_array_size(given);
    if (count < 1 || count > MOST_SYSTEMS)
        PFM_FAIL(PFM_ERROR_USAGE, "systems must be a list of 1 to %d {\"name\", \"predictions\" or \"file\"}", MOST_SYSTEMS);
    for (size_t i = 0; i < count; i++) {
        if (!json_is_object(json_array_get(given, i)))
            PFM_FAIL(PFM_ERROR_USAGE, "systems must be a list of {\"name\", \"predictions\" or \"file\"}");
        PFM_TRY(add_system(json_array_get(given, i), catalogue, out, err));
    }
done:
    return status;
}

/* Every rater's sheet is kept with its texts. */
static pfm_status check_size(const json_t *systems, int64_t per_text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    size_t rows = 0, bytes = 0, s = 0;
    json_t *system = NULL;
    json_array_foreach((json_t *)(uintptr_t)systems, s, system)
    {
        const json_t *list = json_object_get(system, "rows");
        rows += json_array_size(list);
        for (size_t i = 0; i < json_array_size(list); i++) {
            pfm_buffer_clear(&text);
            PFM_TRY(pfm_json_append(&text, json_array_get(list, i), err));
            bytes += text.size;
        }
    }
    if (rows * (size_t)per_text > MOST_ROWS || bytes > most_shown / (size_t)per_text)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "%zu texts for %lld raters each are more than a study holds (%d in all, %zu MiB); take fewer of them", rows,
                 (long long)per_text, MOST_ROWS, most_shown >> 20);
done:
    pfm_buffer_free(&text);
    return status;
}

/* ---- the whole ---- */

/* A seed that nobody knows: with one that is known, and this program, an order tells whose a text is. */
static pfm_status draw_seed(int64_t *out, pfm_error *err)
{
    char digits[13];
    const pfm_status status = pfm_chance_draw(digits, sizeof digits - 1, err);
    *out = status == PFM_OK ? (int64_t)strtoll(digits, NULL, 16) : 0;
    return status;
}

static pfm_status describe_settings(const pfm_sheets_plan *plan, pfm_study_made *out, pfm_error *err)
{
    const pfm_sheets_drawn *d = &out->drawn;
    json_t *systems = json_array(), *system = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(d->key, "systems"), i, system) systems = pfm_json_add(
        systems, json_pack("{s:O, s:O}", "name", json_object_get(system, "name"), "n", json_object_get(system, "n")));
    out->settings = json_pack("{s:O, s:I, s:i, s:f, s:I, s:I, s:I}", "systems", systems, "texts", (json_int_t)d->texts,
                              "per_text", plan->per_text, "duplicates", plan->duplicates, "planted", (json_int_t)d->duplicates,
                              "seed", (json_int_t)plan->seed, "telling", (json_int_t)d->telling);
    json_decref(systems);
    return out->settings != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not keep a study");
}

static pfm_status make(const json_t *request, pfm_catalogue *catalogue, const pfm_rubric *rubric, json_t *systems,
                       pfm_study_made *out, pfm_error *err)
{
    static const int64_t most_seed = (int64_t)1 << 53;
    pfm_status status = PFM_OK;
    int64_t raters = 0, per_text = 0, seed = -1;
    const json_t *duplicates = json_object_get(request, "duplicates");
    PFM_TRY(pfm_body_integer(request, "raters", 1, PFM_RATINGS_MOST_RATERS, 0, &raters, err));
    if (raters == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "raters must say how many people rate, 1 to %d", PFM_RATINGS_MOST_RATERS);
    PFM_TRY(pfm_body_integer(request, "per_text", 1, raters, raters, &per_text, err));
    PFM_TRY(pfm_body_integer(request, "seed", 0, most_seed, -1, &seed, err));
    if (duplicates != NULL &&
        (!json_is_number(duplicates) || !(json_number_value(duplicates) >= 0) || json_number_value(duplicates) > 50))
        PFM_FAIL(PFM_ERROR_USAGE, "duplicates must be a number from 0 to 50, per cent of a rater's texts");
    if (seed < 0)
        PFM_TRY(draw_seed(&seed, err));
    PFM_TRY(pfm_sheets_check(rubric, (int)raters, (int)per_text, json_number_value(duplicates), err));
    PFM_TRY(read_systems(request, catalogue, systems, err));
    PFM_TRY(check_size(systems, per_text, err));
    const pfm_sheets_plan plan = {.rubric = rubric,
                                  .systems = systems,
                                  .raters = (int)raters,
                                  .per_text = (int)per_text,
                                  .duplicates = json_number_value(duplicates),
                                  .seed = (uint64_t)seed};
    PFM_TRY(pfm_sheets_draw(&plan, &out->drawn, err));
    PFM_TRY(describe_settings(&plan, out, err));
done:
    return status;
}

pfm_status pfm_study_make(const json_t *request, pfm_catalogue *catalogue, pfm_study_made *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rubric *rubric = NULL;
    json_t *systems = json_array();
    const char *name = NULL;
    if (systems == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not make a study");
    PFM_TRY(pfm_body_text(request, "name", NULL, LONGEST_NAME, &name, err));
    if (name[strspn(name, " \t\r\n")] == '\0')
        PFM_FAIL(PFM_ERROR_USAGE, "name must say what the study is called");
    PFM_TRY(pfm_string_copy(name, &out->name, err));
    PFM_TRY(read_rubric(request, &rubric, err));
    PFM_TRY(describe_rubric(rubric, &out->rubric, err));
    PFM_TRY(make(request, catalogue, rubric, systems, out, err));
done:
    pfm_rubric_free(rubric);
    json_decref(systems);
    if (status != PFM_OK)
        pfm_study_made_free(out);
    return status;
}

void pfm_study_made_free(pfm_study_made *made)
{
    free(made->name);
    json_decref(made->rubric);
    json_decref(made->settings);
    pfm_sheets_drawn_free(&made->drawn);
    *made = (pfm_study_made){0};
}
