#include "data/dataset_audit.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* Reads one file; whatever is wrong with it is a finding, not an error, but for memory. */
static pfm_status read_image(audit_image *image, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer bytes = {0};
    pfm_image picture = {0};
    pfm_error reason = PFM_ERROR_INIT;
    const char *path = image->image->path;
    const pfm_image_file file = {.path = path, .frame = image->image->frame};
    if (!pfm_path_exists(path)) {
        image->state = AUDIT_MISSING;
        return PFM_OK;
    }
    status = pfm_file_read(path, 0, &bytes, &reason);
    if (status == PFM_OK) {
        image->bytes = bytes.size;
        status = pfm_hash_bytes(bytes.data, bytes.size, image->hash, &reason);
    }
    if (status == PFM_OK)
        status = pfm_image_decode_file(bytes.data, bytes.size, &file, NULL, &picture, &image->applied, &reason);
    if (status == PFM_OK)
        status = pfm_image_look_for_text(&picture, &image->applied, &reason);
    if (status == PFM_ERROR_NO_MEMORY)
        PFM_FAIL(status, "%s", reason.message);
    if (status == PFM_OK)
        status = pfm_allocate(1, sizeof *image->near, &image->near, &reason);
    if (status == PFM_ERROR_NO_MEMORY)
        PFM_FAIL(status, "%s", reason.message);
    if (status == PFM_OK)
        pfm_near_of_image(&picture, image->near);
    image->state = status == PFM_OK ? AUDIT_GOOD : AUDIT_UNREADABLE;
    image->width = picture.width;
    image->height = picture.height;
    if (status != PFM_OK)
        status = pfm_string_copy(reason.message, &image->reason, err);
done:
    pfm_image_free(&picture);
    pfm_buffer_free(&bytes);
    return status;
}

enum { CHUNK = 32 };

typedef struct chunk {
    audit_image *images;
    pfm_status status[CHUNK];
    pfm_error error[CHUNK];
} chunk;

static void read_item(void *user, int item, int thread)
{
    (void)thread;
    chunk *work = user;
    work->status[item] = read_image(&work->images[item], &work->error[item]);
}

pfm_status pfm_audit_read_images(audit *state, const pfm_context *context, pfm_error *err)
{
    pfm_status status = PFM_OK;
    chunk *work = NULL;
    double total = (double)state->image_count;
    PFM_TRY(pfm_allocate(1, sizeof *work, &work, err));
    for (size_t begin = 0; begin < state->image_count; begin += CHUNK) {
        if (pfm_interrupted(context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped after %zu of %zu images", begin, state->image_count);
        size_t left = state->image_count - begin;
        int count = left < CHUNK ? (int)left : CHUNK;
        pfm_report_progress(context, "reading images", "images", (double)begin, total, "");
        *work = (chunk){.images = state->images + begin};
        pfm_threads_run(context->threads, count, read_item, work);
        for (int i = 0; i < count; i++) {
            if (work->status[i] != PFM_OK)
                PFM_FAIL(work->status[i], "%s", work->error[i].message);
        }
    }
    pfm_report_progress(context, "reading images", "images", total, total, "");
done:
    free(work);
    return status;
}

/* ---- the report ---- */

/* *out = {"split","image"} and, where asked, the number of rows and the reason. */
static pfm_status describe(const audit_image *image, bool full, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *entry = json_object();
    if (entry == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(pfm_json_take(entry, "split", json_string(image->split->split), err));
    PFM_TRY(pfm_json_take(entry, "image", json_string(image->image->name), err));
    if (image->image->slice > 0)
        PFM_TRY(pfm_json_take(entry, "slice", json_integer(image->image->slice), err));
    if (full)
        PFM_TRY(pfm_json_take(entry, "rows", json_integer((json_int_t)image->rows), err));
    if (full && image->reason != NULL)
        PFM_TRY(pfm_json_take(entry, "reason", json_string(image->reason), err));
    if (full && audit_has_text(image)) {
        PFM_TRY(pfm_json_take(entry, "text_rows", json_integer(image->applied.text_rows), err));
        if (image->applied.burned_in == PFM_BURNED_IN_YES)
            PFM_TRY(pfm_json_take(entry, "burned_in", json_string("yes"), err));
    }
    *out = entry;
    entry = NULL;
done:
    json_decref(entry);
    return status;
}

static pfm_status append(json_t *array, json_t *value, pfm_error *err)
{
    if (json_array_append_new(array, value) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    return PFM_OK;
}

static pfm_status list_images(audit *state, audit_state wanted, const char *name, json_t *object, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < state->image_count; i++) {
        json_t *entry = NULL;
        if (state->images[i].state != wanted)
            continue;
        PFM_TRY(describe(&state->images[i], true, &entry, err));
        PFM_TRY(append(list, entry, err));
        state->problems++;
    }
    status = pfm_json_take(object, name, list, err);
    list = NULL;
done:
    json_decref(list);
    return status;
}

/* Pictures with text in them, which are no problems: most of what is burned in names nobody. */
static pfm_status list_texts(const audit *state, json_t *object, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < state->image_count; i++) {
        json_t *entry = NULL;
        if (!audit_has_text(&state->images[i]))
            continue;
        PFM_TRY(describe(&state->images[i], true, &entry, err));
        PFM_TRY(append(list, entry, err));
    }
    status = pfm_json_take(object, "text_like", list, err);
    list = NULL;
done:
    json_decref(list);
    return status;
}

/* *entry = the group's entry in `list`, made where the first image stands in it alone so far. */
static pfm_status get_group(json_t *list, json_t **groups, const audit_image *first, size_t slot, json_t **entry,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *made = NULL, *image = NULL;
    *entry = groups[slot];
    if (*entry != NULL)
        return PFM_OK;
    made = json_pack("{s:s, s:[]}", "sha256", first->hash, "images");
    if (made == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(describe(first, false, &image, err));
    PFM_TRY(append(json_object_get(made, "images"), image, err));
    PFM_TRY(append(list, json_incref(made), err));
    groups[slot] = *entry = made; /* the list keeps it alive */
done:
    json_decref(made);
    return status;
}

/* Files of equal bytes under different names. */
static pfm_status list_duplicates(audit *state, json_t *object, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0};
    json_t *list = json_array(), **groups = NULL;
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(pfm_allocate(state->image_count, sizeof *groups, &groups, err));
    for (size_t i = 0; i < state->image_count; i++) {
        const audit_image *image = &state->images[i];
        int64_t first = 0;
        if (image->hash[0] == '\0')
            continue;
        if (!pfm_map_get(&seen, image->hash, 64, &first)) {
            PFM_TRY(pfm_map_set(&seen, image->hash, 64, (int64_t)i, err));
            continue;
        }
        json_t *entry = NULL, *described = NULL;
        PFM_TRY(get_group(list, groups, &state->images[first], (size_t)first, &entry, err));
        PFM_TRY(describe(image, false, &described, err));
        PFM_TRY(append(json_object_get(entry, "images"), described, err));
        state->problems++;
    }
    status = pfm_json_take(object, "duplicates", list, err);
    list = NULL;
done:
    json_decref(list);
    free(groups);
    pfm_map_free(&seen);
    return status;
}

static pfm_status add_sizes(const audit *state, json_t *object, pfm_error *err)
{
    const audit_image *smallest = NULL, *largest = NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < state->image_count; i++) {
        const audit_image *image = &state->images[i];
        bytes += image->bytes;
        if (image->state != AUDIT_GOOD)
            continue;
        size_t area = (size_t)image->width * (size_t)image->height;
        if (smallest == NULL || area < (size_t)smallest->width * (size_t)smallest->height)
            smallest = image;
        if (largest == NULL || area > (size_t)largest->width * (size_t)largest->height)
            largest = image;
    }
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(object, "files", json_integer((json_int_t)state->image_count), err));
    PFM_TRY(pfm_json_take(object, "bytes", json_integer((json_int_t)bytes), err));
    PFM_TRY(pfm_json_take(object, "smallest",
                          smallest == NULL ? json_null() : json_pack("[i, i]", smallest->width, smallest->height), err));
    PFM_TRY(pfm_json_take(object, "largest",
                          largest == NULL ? json_null() : json_pack("[i, i]", largest->width, largest->height), err));
done:
    return status;
}

pfm_status pfm_audit_add_images(audit *state, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    if (object == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(add_sizes(state, object, err));
    PFM_TRY(list_images(state, AUDIT_MISSING, "missing", object, err));
    PFM_TRY(list_images(state, AUDIT_UNREADABLE, "unreadable", object, err));
    PFM_TRY(list_duplicates(state, object, err));
    PFM_TRY(list_texts(state, object, err));
    status = pfm_json_take(document, "images", object, err);
    object = NULL;
done:
    json_decref(object);
    return status;
}
