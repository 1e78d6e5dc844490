#include "data/dataset_audit.h"

#include "base/json.h"
#include "base/map.h"
#include "base/try.h"

#include <string.h>

/* What split a holds, to look b's rows up in. Values are numbers of image files, of patients nothing. */
typedef struct contents {
    pfm_map hashes, names, patients, texts; /* texts: questions of rows without images */
} contents;

static void free_contents(contents *held)
{
    pfm_map_free(&held->hashes);
    pfm_map_free(&held->names);
    pfm_map_free(&held->patients);
    pfm_map_free(&held->texts);
}

/* What makes a row without images the same as another; NULL of others. */
static const char *text_of(const pfm_row *row) { return row->image_count == 0 ? row->question : NULL; }

static pfm_status add_first(pfm_map *map, const char *key, size_t value, pfm_error *err)
{
    if (key == NULL || key[0] == '\0' || pfm_map_get(map, key, strlen(key), NULL))
        return PFM_OK;
    return pfm_map_set(map, key, strlen(key), (int64_t)value, err);
}

static pfm_status collect(const audit *state, size_t s, contents *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < state->splits[s]->count; i++) {
        const pfm_row *row = &state->splits[s]->rows[i];
        for (size_t k = 0; k < row->image_count; k++) {
            size_t image = audit_image_of(state, s, &row->images[k]);
            PFM_TRY(add_first(&out->hashes, state->images[image].hash, image, err));
            PFM_TRY(add_first(&out->names, row->images[k].name, image, err));
        }
        PFM_TRY(add_first(&out->patients, row->patient, 0, err));
        PFM_TRY(add_first(&out->texts, text_of(row), 0, err));
    }
done:
    return status;
}

static bool find(const pfm_map *map, const char *key, int64_t *value)
{
    return key != NULL && key[0] != '\0' && pfm_map_get(map, key, strlen(key), value);
}

typedef struct leak {
    size_t bytes, names, patients, texts, questions;
    json_t *images; /* pairs of names, one for each image of b */
} leak;

/* *leaks becomes true where split a holds the image; `seen` is of b, so that each image and name counts once. */
static pfm_status compare_image(const audit *state, size_t b, const pfm_row_image *image, const contents *held, contents *seen,
                                leak *out, bool *leaks, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *hash = state->images[audit_image_of(state, b, image)].hash;
    int64_t other = 0;
    bool bytes = find(&held->hashes, hash, &other), name = find(&held->names, image->name, bytes ? NULL : &other);
    bool new_bytes = bytes && !find(&seen->hashes, hash, NULL), new_name = name && !find(&seen->names, image->name, NULL);
    out->bytes += new_bytes;
    out->names += new_name;
    *leaks = *leaks || bytes || name;
    if (new_bytes || (new_name && !bytes)) {
        json_t *pair = json_pack("{s:s, s:s}", "a", state->images[other].image->name, "b", image->name);
        if (json_array_append_new(out->images, pair) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    }
    PFM_TRY(add_first(&seen->hashes, hash, 0, err));
    PFM_TRY(add_first(&seen->names, image->name, 0, err));
done:
    return status;
}

static pfm_status compare(const audit *state, size_t b, const contents *held, leak *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    contents seen = {0};
    for (size_t i = 0; i < state->splits[b]->count; i++) {
        const pfm_row *row = &state->splits[b]->rows[i];
        bool patient = find(&held->patients, row->patient, NULL), text = find(&held->texts, text_of(row), NULL),
             leaks = patient || text;
        for (size_t k = 0; k < row->image_count; k++)
            PFM_TRY(compare_image(state, b, &row->images[k], held, &seen, out, &leaks, err));
        out->patients += patient && !find(&seen.patients, row->patient, NULL);
        out->texts += text;
        out->questions += leaks;
        PFM_TRY(add_first(&seen.patients, row->patient, 0, err));
    }
done:
    free_contents(&seen);
    return status;
}

static pfm_status add_pair(audit *state, const pfm_context *context, size_t a, size_t b, const contents *held, json_t *list,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    leak found = {.images = json_array()};
    if (found.images == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(compare(state, b, held, &found, err));
    json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:O}", "a", state->splits[a]->split, "b",
                              state->splits[b]->split, "same_bytes", (json_int_t)found.bytes, "same_name",
                              (json_int_t)found.names, "same_patient", (json_int_t)found.patients, "same_text",
                              (json_int_t)found.texts, "questions", (json_int_t)found.questions, "images", found.images);
    if (json_array_append_new(list, entry) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(pfm_audit_add_near(state, context, a, b, entry, err));
    state->problems += found.questions > 0;
done:
    json_decref(found.images);
    return status;
}

pfm_status pfm_audit_add_leakage(audit *state, const pfm_context *context, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    contents held = {0};
    json_t *list = json_array();
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    for (size_t a = 0; a < state->own_count; a++) { /* what it is held against is not compared with itself */
        PFM_TRY(collect(state, a, &held, err));
        for (size_t b = a + 1; b < state->split_count; b++)
            PFM_TRY(add_pair(state, context, a, b, &held, list, err));
        free_contents(&held);
    }
    status = pfm_json_take(document, "leakage", list, err);
    list = NULL;
done:
    free_contents(&held);
    json_decref(list);
    return status;
}
