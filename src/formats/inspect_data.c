#include "base/try.h"
#include "formats/inspect_internal.h"

#include <stdlib.h>

static const char vqa_rad[] = "VQA_RAD Dataset Public.json";

/* A split of MedExpQA in one of its languages. */
static bool has_cases(const pfm_inspect_target *target)
{
    static const char *const splits[] = {"train", "dev", "test"}, *const languages[] = {"en", "es", "fr", "it"};
    char name[32];
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        for (size_t k = 0; k < sizeof languages / sizeof *languages; k++) {
            (void)snprintf(name, sizeof name, "%s.%s.jsonl", splits[i], languages[k]);
            if (pfm_inspect_has(target, name))
                return true;
        }
    }
    return false;
}

static bool probe(const pfm_inspect_target *target)
{
    return has_cases(target) || pfm_inspect_has(target, "train.json") || pfm_inspect_has(target, "validate.json") ||
           pfm_inspect_has(target, "test.json") || pfm_inspect_has(target, vqa_rad);
}

/* The data set whose rows have this key. */
static const char *dataset_of(const json_t *row)
{
    if (json_object_get(row, "img_name") != NULL)
        return "slake"; /* the phantom has its form */
    if (json_object_get(row, "question_type") != NULL && json_object_get(row, "image") != NULL)
        return "pathvqa";
    return NULL;
}

static pfm_status find_dataset(const pfm_inspect_target *target, const char **out, pfm_error *err)
{
    static const char *const splits[] = {"train.json", "validate.json", "test.json"};
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *rows = NULL;
    for (size_t i = 0; i < 3; i++) {
        if (!pfm_inspect_has(target, splits[i]))
            continue;
        PFM_TRY(pfm_path_join(target->path, splits[i], &path, err));
        PFM_TRY(pfm_json_load(path, &rows, err));
        *out = dataset_of(json_array_get(rows, 0));
        break;
    }
done:
    json_decref(rows);
    free(path);
    return status;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    const char *dataset = pfm_inspect_has(target, vqa_rad) ? "vqa_rad" : has_cases(target) ? "medexpqa" : NULL;
    json_t *files = json_array();
    if (dataset == NULL)
        PFM_TRY(find_dataset(target, &dataset, err));
    PFM_TRY(pfm_json_take(out, "dataset", dataset == NULL ? json_null() : json_string(dataset), err));
    PFM_TRY(pfm_folder_list(target->path, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (pfm_inspect_ends_with(names[i], ".json") || pfm_inspect_ends_with(names[i], ".jsonl"))
            files = pfm_json_add(files, pfm_inspect_text(names[i], strlen(names[i])));
    }
    PFM_TRY(pfm_json_take(out, "files", json_incref(files), err));
    PFM_TRY(pfm_json_take(out, "next", json_sprintf("pefomed data %s %s", dataset == NULL ? "DATASET" : dataset, target->path),
                          err));
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    json_decref(files);
    return status;
}

const pfm_inspector pfm_inspector_data = {.kind = "data", .probe = probe, .describe = describe};
