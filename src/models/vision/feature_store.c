#include "models/vision/feature_store.h"

#include "base/dtype.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/try.h"
#include "models/vision/feature_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_IMAGE_FILE = 1 << 30 };

/* One picture file's content. Paths with the same content share one. */
typedef struct picture {
    pfm_hash_hex key;
    pfm_image_file file; /* its path is borrowed from the store's paths: one that has this content */
    bool kept, may_hold_values;
    char *told; /* how it was made of values, as JSON; NULL: not known yet */
    pfm_feature_text text;
} picture;

struct pfm_feature_store {
    pfm_vision *vision;
    pfm_vision_shape shape;
    char *folder;
    size_t count;
    char **paths;          /* [count] */
    pfm_image_file *files; /* [count] */
    pfm_hash_hex *keys;    /* [count] */
    bool *may_hold_values; /* [count] */
    size_t *picture_of;    /* [count] */
    picture *pictures;     /* [picture_count] */
    pthread_mutex_t mutex; /* of what is told of them */
    size_t picture_count, found, *missing, missing_count;
    atomic_bool writable;  /* false once the folder has refused a file */
    pfm_error refusal;     /* why, written by the thread that turned `writable` off */
    _Atomic uint64_t room; /* bytes that the folder may still take */
};

/* A loop over pictures on all threads; the error of the lowest item wins. */
typedef struct work {
    pfm_feature_store *store;
    pfm_context *context;
    pthread_mutex_t mutex;
    atomic_size_t done;
    pfm_status status;
    int failed_item;
    pfm_error err;
} work;

static void note_failure(work *w, int item, pfm_status status, const pfm_error *err)
{
    pthread_mutex_lock(&w->mutex);
    if (w->status == PFM_OK || item < w->failed_item) {
        w->status = status;
        w->failed_item = item;
        w->err = *err;
    }
    pthread_mutex_unlock(&w->mutex);
}

static pfm_status run_work(pfm_feature_store *store, pfm_context *context, size_t items, pfm_threads_body body, pfm_error *err)
{
    work w = {.store = store, .context = context, .status = PFM_OK};
    pthread_mutex_init(&w.mutex, NULL);
    pfm_threads_run(context->threads, (int)items, body, &w);
    pthread_mutex_destroy(&w.mutex);
    return w.status == PFM_OK ? PFM_OK : pfm_error_set(err, w.status, "%s", w.err.message);
}

/* key = SHA-256(weights, description, "f16", the picture file's bytes, and which picture of it where that is not the first as
 * it is); of a file that notes how the camera was held also that it was undone, which once it was not. */
static pfm_status make_key(const pfm_vision *vision, const pfm_image_file *from, const void *bytes, size_t size,
                           pfm_hash_hex key, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex picture_hash;
    char *text = NULL, which[40] = "";
    const int orientation = pfm_image_orientation(bytes, size);
    if (from->frame > 0)
        (void)snprintf(which, sizeof which, "frame %d\n", from->frame);
    PFM_TRY(pfm_hash_bytes(bytes, size, picture_hash, err));
    PFM_TRY(pfm_string_format(&text, err, "%s\n%s\nf16\n%s\n%s%s%s", pfm_vision_get_weights_hash(vision),
                              pfm_vision_get_description(vision), picture_hash, orientation > 1 ? "upright\n" : "", which,
                              from->mirrored ? "mirrored\n" : ""));
    PFM_TRY(pfm_hash_bytes(text, strlen(text), key, err));
done:
    free(text);
    return status;
}

static void key_item(void *user, int item, int thread)
{
    (void)thread;
    work *w = user;
    pfm_error err = PFM_ERROR_INIT;
    pfm_mapping file = {0};
    pfm_status status = pfm_mapping_open(w->store->files[item].path, &file, &err);
    if (status == PFM_OK) {
        status = make_key(w->store->vision, &w->store->files[item], file.data, file.size, w->store->keys[item], &err);
        w->store->may_hold_values[item] = pfm_image_may_hold_values(file.data, file.size);
    }
    pfm_mapping_close(&file);
    if (status != PFM_OK)
        note_failure(w, item, status, &err);
}

static pfm_status file_path(const pfm_feature_store *store, const picture *p, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/%s.f16", store->folder, p->key);
}

/* alone: nobody else computes, so that all threads may. */
static pfm_status picture_features(pfm_vision *vision, const pfm_image *image, bool alone, uint16_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision_shape shape = pfm_vision_get_shape(vision);
    size_t values = pfm_vision_shape_values(&shape), side = (size_t)pfm_vision_get_image_size(vision);
    float *pixels = NULL, *features = NULL;
    PFM_TRY(pfm_allocate(3 * side * side, sizeof *pixels, &pixels, err));
    PFM_TRY(pfm_allocate(values, sizeof *features, &features, err));
    PFM_TRY(pfm_vision_preprocess(vision, image, pixels, err));
    if (alone)
        PFM_TRY(pfm_vision_encode(vision, pixels, 1, features, err));
    else
        PFM_TRY(pfm_vision_encode_one(vision, pixels, features, err));
    for (size_t i = 0; i < values; i++)
        out[i] = pfm_f16_from_f32(features[i]);
done:
    free(features);
    free(pixels);
    return status;
}

/* Keeps what was applied to a picture's values: "null" of one that turned out to be finished. */
static pfm_status note_applied(pfm_feature_store *store, picture *p, pfm_image_applied *applied, pfm_error *err)
{
    char *text = NULL;
    pfm_image_record_fit(pfm_vision_get_fit(store->vision), applied);
    pfm_status status = applied->has_values ? pfm_image_applied_json(applied, &text, err) : pfm_string_copy("null", &text, err);
    if (status != PFM_OK)
        return status;
    pthread_mutex_lock(&store->mutex);
    char *unneeded = p->told != NULL ? text : NULL; /* another thread was first, with the same */
    if (unneeded == NULL)
        p->told = text;
    pthread_mutex_unlock(&store->mutex);
    free(unneeded);
    return PFM_OK;
}

/* Reads, decodes and, unless out is NULL, encodes a picture, whose file must still have the content of its key. *text: what is
 * found of text in it. */
static pfm_status compute(pfm_feature_store *store, picture *p, uint16_t *out, pfm_feature_text *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision *vision = store->vision;
    pfm_buffer file = {0};
    pfm_image image = {0};
    pfm_image_applied applied;
    pfm_hash_hex key;
    PFM_TRY(pfm_file_read(p->file.path, LARGEST_IMAGE_FILE, &file, err));
    PFM_TRY(make_key(vision, &p->file, file.data, file.size, key, err));
    if (strcmp(key, p->key) != 0)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s has changed while it was in use; start again", p->file.path);
    PFM_TRY(pfm_image_decode_file(file.data, file.size, &p->file, pfm_vision_get_window(vision), &image, &applied, err));
    PFM_TRY(pfm_image_look_for_text(&image, &applied, err));
    if (p->may_hold_values)
        PFM_TRY(note_applied(store, p, &applied, err));
    *text = pfm_image_has_text(&applied) ? PFM_FEATURE_TEXT_FOUND : PFM_FEATURE_TEXT_NONE;
    if (out != NULL)
        PFM_TRY(picture_features(vision, &image, false, out, err));
done:
    pfm_image_free(&image);
    pfm_buffer_free(&file);
    return status;
}

/* Takes the bytes of one file from what the folder may still hold. */
static bool take_room(pfm_feature_store *store)
{
    uint64_t bytes = pfm_feature_file_bytes(&store->shape), room = atomic_load(&store->room);
    while (room >= bytes)
        if (atomic_compare_exchange_weak(&store->room, &room, room - bytes))
            return true;
    return false;
}

/* Keeps a picture's features where there is room. A folder that refuses is no error: the features are computed again. */
static pfm_status keep(pfm_feature_store *store, picture *p, const uint16_t *values, pfm_error *err)
{
    char *path = NULL;
    pfm_error refused = PFM_ERROR_INIT;
    if (!atomic_load(&store->writable) || !take_room(store))
        return PFM_OK;
    pfm_status status = file_path(store, p, &path, err);
    if (status != PFM_OK)
        return status;
    p->kept = pfm_feature_file_write(path, p->key, &store->shape, values, p->told, p->text, &refused) == PFM_OK;
    if (!p->kept && atomic_exchange(&store->writable, false))
        store->refusal = refused;
    free(path);
    return PFM_OK;
}

static void count_done(work *w, const char *task, int thread)
{
    const size_t done = atomic_fetch_add(&w->done, 1) + 1;
    if (thread == 0) /* the caller's own thread: the only one that may report */
        pfm_report_progress(w->context, task, "images", (double)done, (double)w->store->missing_count, "");
}

static void compute_item(void *user, int item, int thread)
{
    work *w = user;
    pfm_feature_store *store = w->store;
    picture *p = &store->pictures[store->missing[item]];
    pfm_error err = PFM_ERROR_INIT;
    uint16_t *values = NULL;
    if (pfm_interrupted(w->context))
        return;
    pfm_status status = pfm_allocate(pfm_vision_shape_values(&store->shape), sizeof *values, &values, &err);
    if (status == PFM_OK)
        status = compute(store, p, values, &p->text, &err);
    if (status == PFM_OK)
        status = keep(store, p, values, &err);
    if (status != PFM_OK)
        note_failure(w, item, status, &err);
    free(values);
    count_done(w, "features", thread);
}

/* Paths with one key become one picture; those whose file is not there are listed as missing. */
static pfm_status sort_pictures(pfm_feature_store *store, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0};
    char *path = NULL;
    PFM_TRY(pfm_allocate(store->count, sizeof *store->picture_of, &store->picture_of, err));
    PFM_TRY(pfm_allocate(store->count, sizeof *store->pictures, &store->pictures, err));
    PFM_TRY(pfm_allocate(store->count, sizeof *store->missing, &store->missing, err));
    for (size_t i = 0; i < store->count; i++) {
        int64_t known = (int64_t)store->picture_count;
        bool is_new = !pfm_map_get(&seen, store->keys[i], sizeof(pfm_hash_hex) - 1, &known);
        store->picture_of[i] = (size_t)known;
        if (!is_new)
            continue;
        PFM_TRY(pfm_map_set(&seen, store->keys[i], sizeof(pfm_hash_hex) - 1, known, err));
        picture *p = &store->pictures[store->picture_count++];
        memcpy(p->key, store->keys[i], sizeof p->key);
        p->file = store->files[i];
        p->may_hold_values = store->may_hold_values[i];
        PFM_TRY(file_path(store, p, &path, err));
        p->kept = pfm_feature_file_present(path, p->key, &store->shape, &p->text);
        free(path);
        path = NULL;
        if (p->kept)
            store->found++;
        else
            store->missing[store->missing_count++] = (size_t)known;
    }
done:
    free(path);
    pfm_map_free(&seen);
    return status;
}

static pfm_status prepare_folder(pfm_feature_store *store, uint64_t quota, pfm_error *err)
{
    uint64_t used = 0;
    pfm_status status = pfm_feature_folder_measure(store->folder, &used, err);
    if (status != PFM_OK)
        return status;
    atomic_store(&store->room, quota > used ? quota - used : 0);
    atomic_store(&store->writable, quota > 0 && pfm_folder_create(store->folder, &store->refusal) == PFM_OK);
    if (quota > 0 && atomic_load(&store->room) < store->missing_count * pfm_feature_file_bytes(&store->shape))
        pfm_log(
            pfm_vision_get_context(store->vision), PFM_LOG_WARNING,
            "%s holds %.1f GiB of %.1f: features that find no room are computed at every use; remove the folder to make room",
            store->folder, (double)used / 1073741824.0, (double)quota / 1073741824.0);
    return PFM_OK;
}

/* Computes what is missing and will find room; the rest is left to its uses. */
static pfm_status compute_missing(pfm_feature_store *store, uint64_t quota, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_context *context = pfm_vision_get_context(store->vision);
    if (store->missing_count == 0)
        return PFM_OK;
    PFM_TRY(prepare_folder(store, quota, err));
    uint64_t fit = atomic_load(&store->writable) ? atomic_load(&store->room) / pfm_feature_file_bytes(&store->shape) : 0;
    store->missing_count = fit < store->missing_count ? (size_t)fit : store->missing_count;
    PFM_TRY(run_work(store, context, store->missing_count, compute_item, err));
    if (pfm_interrupted(context))
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped while computing features; those computed are kept");
    if (store->refusal.code != PFM_OK)
        pfm_log(context, PFM_LOG_WARNING, "features are not kept and will be computed at every use: %s",
                store->refusal.message);
done:
    pfm_vision_rest(store->vision);
    return status;
}

/* A picture whose kept features do not tell. That it cannot be decoded now is no error: its features are there. */
static void look_item(void *user, int item, int thread)
{
    work *w = user;
    pfm_feature_store *store = w->store;
    picture *p = &store->pictures[store->missing[item]];
    pfm_error err = PFM_ERROR_INIT;
    char *path = NULL;
    if (pfm_interrupted(w->context))
        return;
    pfm_status status = compute(store, p, NULL, &p->text, &err);
    if (status == PFM_OK)
        status = file_path(store, p, &path, &err);
    if (status == PFM_OK)
        pfm_feature_file_note(path, p->text);
    else if (status == PFM_ERROR_NO_MEMORY)
        note_failure(w, item, status, &err);
    free(path);
    count_done(w, "burned-in text", thread);
}

/* Looks for text in pictures whose features an earlier version kept. */
static pfm_status look_for_text(pfm_feature_store *store, pfm_error *err)
{
    pfm_context *context = pfm_vision_get_context(store->vision);
    store->missing_count = 0;
    for (size_t i = 0; i < store->picture_count; i++)
        if (store->pictures[i].kept && store->pictures[i].text == PFM_FEATURE_TEXT_UNKNOWN)
            store->missing[store->missing_count++] = i;
    pfm_status status = run_work(store, context, store->missing_count, look_item, err);
    if (status == PFM_OK && pfm_interrupted(context))
        status = pfm_error_set(err, PFM_ERROR_INTERRUPTED, "stopped while looking for burned-in text; the features are kept");
    return status;
}

pfm_status pfm_feature_store_create(pfm_vision *vision, const pfm_image_file *files, size_t count, uint64_t quota,
                                    pfm_feature_store **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_feature_store *store = NULL;
    pfm_context *context = pfm_vision_get_context(vision);
    if (count > INT32_MAX)
        PFM_FAIL(PFM_ERROR_USAGE, "%zu pictures are too many for one store", count);
    PFM_TRY(pfm_allocate(1, sizeof *store, &store, err));
    store->vision = vision;
    pthread_mutex_init(&store->mutex, NULL);
    store->shape = pfm_vision_get_shape(vision);
    PFM_TRY(pfm_path_join(pfm_context_home(context), "features", &store->folder, err));
    PFM_TRY(pfm_allocate(count, sizeof *store->paths, &store->paths, err));
    PFM_TRY(pfm_allocate(count, sizeof *store->keys, &store->keys, err));
    PFM_TRY(pfm_allocate(count, sizeof *store->files, &store->files, err));
    PFM_TRY(pfm_allocate(count, sizeof *store->may_hold_values, &store->may_hold_values, err));
    for (; store->count < count; store->count++) {
        PFM_TRY(pfm_string_copy(files[store->count].path, &store->paths[store->count], err));
        store->files[store->count] = files[store->count];
        store->files[store->count].path = store->paths[store->count];
    }
    PFM_TRY(run_work(store, context, count, key_item, err));
    PFM_TRY(sort_pictures(store, err));
    PFM_TRY(compute_missing(store, quota, err));
    PFM_TRY(look_for_text(store, err));
    *out = store;
    store = NULL;
done:
    pfm_feature_store_free(store);
    return status;
}

void pfm_feature_store_free(pfm_feature_store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < store->count; i++)
        free(store->paths[i]);
    for (size_t i = 0; i < store->picture_count; i++)
        free(store->pictures[i].told);
    pthread_mutex_destroy(&store->mutex);
    free(store->paths);
    free(store->files);
    free(store->may_hold_values);
    free(store->keys);
    free(store->picture_of);
    free(store->pictures);
    free(store->missing);
    free(store->folder);
    free(store);
}

uint64_t pfm_feature_file_bytes(const pfm_vision_shape *shape)
{
    return PFM_FEATURE_HEADER_BYTES + pfm_vision_shape_values(shape) * sizeof(uint16_t);
}

size_t pfm_feature_store_count(const pfm_feature_store *store) { return store->count; }
const char *pfm_feature_store_key(const pfm_feature_store *store, size_t index) { return store->keys[index]; }
pfm_vision_shape pfm_feature_store_get_shape(const pfm_feature_store *store) { return store->shape; }

void pfm_feature_store_get_counts(const pfm_feature_store *store, size_t *pictures, size_t *found, size_t *kept)
{
    *pictures = store->picture_count;
    *found = store->found;
    *kept = 0;
    for (size_t i = 0; i < store->picture_count; i++)
        *kept += store->pictures[i].kept ? 1 : 0;
}

void pfm_feature_store_get_texts(const pfm_feature_store *store, size_t *looked, size_t *found)
{
    *looked = *found = 0;
    for (size_t i = 0; i < store->picture_count; i++) {
        const picture *p = &store->pictures[i];
        *looked += !p->file.mirrored && p->text != PFM_FEATURE_TEXT_UNKNOWN;
        *found += !p->file.mirrored && p->text == PFM_FEATURE_TEXT_FOUND;
    }
}

void pfm_feature_store_warn_of_text(const pfm_feature_store *store, const char *dataset, const char *split)
{
    size_t looked = 0, found = 0;
    if (store == NULL)
        return;
    pfm_feature_store_get_texts(store, &looked, &found);
    if (found > 0)
        pfm_log(pfm_vision_get_context(store->vision), PFM_LOG_WARNING,
                "%zu of %zu images of %s %s seem to hold burned-in text, which a model reads too and which may name a patient; "
                "pefomed data lists them",
                found, looked, dataset, split);
}

pfm_status pfm_feature_store_read_f16(pfm_feature_store *store, size_t index, uint16_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    if (index >= store->count)
        PFM_FAIL(PFM_ERROR_USAGE, "there is no picture %zu; the store has %zu", index, store->count);
    picture *p = &store->pictures[store->picture_of[index]];
    pfm_feature_text text;
    PFM_TRY(file_path(store, p, &path, err));
    if (p->kept && pfm_feature_file_read(path, p->key, &store->shape, out))
        goto done;
    PFM_TRY(compute(store, p, out, &text, err));
    if (p->kept && pfm_feature_file_write(path, p->key, &store->shape, out, p->told, text, NULL) != PFM_OK)
        goto done; /* a damaged file that cannot be mended costs time at the next use, nothing else */
done:
    free(path);
    return status;
}

/* What a kept file tells; of one from before files told it the picture is decoded once more. */
static pfm_status find_told(pfm_feature_store *store, picture *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_image image = {0};
    pfm_image_applied applied;
    PFM_TRY(file_path(store, p, &path, err));
    if (p->kept)
        PFM_TRY(pfm_feature_file_read_told(path, p->key, &store->shape, &p->told, err));
    if (p->told != NULL)
        goto done;
    PFM_TRY(pfm_image_load_file(&p->file, pfm_vision_get_window(store->vision), NULL, &image, &applied, err));
    PFM_TRY(pfm_image_look_for_text(&image, &applied, err));
    PFM_TRY(note_applied(store, p, &applied, err));
done:
    pfm_image_free(&image);
    free(path);
    return status;
}

pfm_status pfm_feature_store_tell(pfm_feature_store *store, size_t index, const char **json, pfm_error *err)
{
    picture *p = &store->pictures[store->picture_of[index]];
    pfm_status status = p->may_hold_values && p->told == NULL ? find_told(store, p, err) : PFM_OK;
    *json = status == PFM_OK && p->told != NULL && strcmp(p->told, "null") != 0 ? p->told : NULL;
    return status;
}

/* out [count] f32 = the f16 values that stand in its upper half. Going up, a value is read before its bytes are written. */
static void expand_in_place(float *out, size_t count)
{
    const unsigned char *halves = (const unsigned char *)(out + count) - count * sizeof(uint16_t);
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, halves + i * sizeof half, sizeof half);
        out[i] = pfm_f16_to_f32(half);
    }
}

pfm_status pfm_feature_store_read(pfm_feature_store *store, size_t index, float *out, pfm_error *err)
{
    size_t values = pfm_vision_shape_values(&store->shape);
    uint16_t *halves = (uint16_t *)(void *)(out + values) - values;
    pfm_status status = pfm_feature_store_read_f16(store, index, halves, err);
    if (status == PFM_OK)
        expand_in_place(out, values);
    return status;
}

pfm_status pfm_features_of_image(pfm_vision *vision, const pfm_image *image, float *out, pfm_error *err)
{
    pfm_vision_shape shape = pfm_vision_get_shape(vision);
    size_t values = pfm_vision_shape_values(&shape);
    pfm_status status = picture_features(vision, image, true, (uint16_t *)(void *)(out + values) - values, err);
    if (status == PFM_OK)
        expand_in_place(out, values);
    return status;
}
