#include "pefomed/phantom.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "data/phantom.h"
#include "pefomed/image.h"

#include <stdlib.h>
#include <string.h>

/* Changes whenever other bytes come out of the same number and seed. */
#define GENERATION 2
#define MARKER "phantom.json"
#define QUALITY 92

enum { TRAIN, VALIDATE, TEST, SPLITS };
static const char *const split_names[SPLITS] = {"train", "validate", "test"};

/* Streams of random numbers: a picture's is its number, the splits' are beyond all pictures. */
#define SCENES_STREAM ((uint64_t)1 << 32)
#define QUESTIONS_STREAM ((uint64_t)2 << 32)

typedef struct job {
    pfm_context *context;
    const char *folder;
    int images;
    uint64_t seed;
    pfm_phantom_scene *scenes; /* [images] */
    int first[SPLITS + 1];     /* the split's first image, from 0 */
    int questions[SPLITS];
} job;

/* One of the pictures that are drawn side by side. */
typedef struct piece {
    const job *job;
    int image; /* from 0 */
    pfm_status status;
    pfm_error err;
} piece;

static void plan_splits(job *j)
{
    int held = j->images * 15 / 100 < 1 ? 1 : j->images * 15 / 100;
    j->first[VALIDATE] = j->images - 2 * held;
    j->first[TEST] = j->images - held;
    j->first[SPLITS] = j->images;
}

static pfm_status image_path(const job *j, int image, const char *name, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/imgs/xmlab%d%s", j->folder, image + 1, name);
}

static pfm_status write_picture(const job *j, int image, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint8_t *grey = NULL;
    char *folder = NULL, *path = NULL;
    PFM_TRY(pfm_allocate((size_t)PFM_PHANTOM_SIDE * PFM_PHANTOM_SIDE, 1, &grey, err));
    PFM_TRY(pfm_phantom_draw(&j->scenes[image], j->seed, (uint64_t)image, grey, err));
    PFM_TRY(image_path(j, image, "", &folder, err));
    PFM_TRY(image_path(j, image, "/source.jpg", &path, err));
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_image_write_grey_jpeg(grey, PFM_PHANTOM_SIDE, PFM_PHANTOM_SIDE, QUALITY, path, err));
done:
    free(grey);
    free(folder);
    free(path);
    return status;
}

static void write_piece(void *user, int item, int thread)
{
    piece *p = &((piece *)user)[item];
    (void)thread;
    p->status = write_picture(p->job, p->image, &p->err);
}

static pfm_status write_pictures(const job *j, pfm_error *err)
{
    enum { BATCH = 16 };
    pfm_status status = PFM_OK;
    piece *pieces = NULL;
    PFM_TRY(pfm_allocate(BATCH, sizeof *pieces, &pieces, err));
    for (int done = 0; done < j->images; done += BATCH) {
        int count = j->images - done < BATCH ? j->images - done : BATCH;
        if (pfm_interrupted(j->context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped; the same command goes on in %s", j->folder);
        for (int i = 0; i < count; i++)
            pieces[i] = (piece){.job = j, .image = done + i};
        pfm_threads_run(j->context->threads, count, write_piece, pieces);
        for (int i = 0; i < count; i++) {
            if (pieces[i].status != PFM_OK)
                PFM_FAIL(pieces[i].status, "%s", pieces[i].err.message);
        }
        pfm_report_progress(j->context, "drawing", "images", done + count, j->images, "");
    }
done:
    free(pieces);
    return status;
}

/* Writes a split's rows; *id is the next question's number over all splits. */
static pfm_status write_questions(job *j, int split, int *id, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *rows = json_array();
    char *path = NULL;
    pfm_phantom_asker *asker = NULL;
    PFM_TRY(pfm_phantom_asker_create(j->seed, QUESTIONS_STREAM + (uint64_t)split, &asker, err));
    PFM_TRY(pfm_string_format(&path, err, "%s/%s.json", j->folder, split_names[split]));
    for (int image = j->first[split]; image < j->first[split + 1]; image++) {
        char name[64];
        (void)snprintf(name, sizeof name, "xmlab%d/source.jpg", image + 1);
        PFM_TRY(pfm_phantom_ask(asker, &j->scenes[image], image + 1, name, id, rows, err));
    }
    j->questions[split] = (int)json_array_size(rows);
    PFM_TRY(pfm_json_save(path, rows, err));
done:
    json_decref(rows);
    free(path);
    pfm_phantom_asker_free(asker);
    return status;
}

static pfm_status write_marker(const job *j, bool complete, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *marker = json_pack("{s:i, s:i, s:I, s:b}", "phantom", GENERATION, "images", j->images, "seed", (json_int_t)j->seed,
                               "complete", complete);
    if (marker == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory");
    PFM_TRY(pfm_path_join(j->folder, MARKER, &path, err));
    PFM_TRY(pfm_json_save(path, marker, err));
done:
    json_decref(marker);
    free(path);
    return status;
}

static json_int_t marker_number(const json_t *marker, const char *key)
{
    const json_t *value = json_object_get(marker, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static bool has_every_file(const job *j)
{
    bool all = true;
    for (int i = 0; i < SPLITS + j->images && all; i++) {
        char *path = NULL;
        pfm_status status = i < SPLITS ? pfm_string_format(&path, NULL, "%s/%s.json", j->folder, split_names[i])
                                       : image_path(j, i - SPLITS, "/source.jpg", &path, NULL);
        all = status == PFM_OK && pfm_path_exists(path);
        free(path);
    }
    return all;
}

/* *complete = the folder holds this very set. USAGE where it holds anything else than a begun set of the same settings. */
static pfm_status look_into_folder(const job *j, bool *complete, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    char *path = NULL;
    json_t *marker = NULL;
    *complete = false;
    if (!pfm_path_exists(j->folder))
        return PFM_OK;
    PFM_TRY(pfm_folder_list(j->folder, &names, &count, err));
    PFM_TRY(pfm_path_join(j->folder, MARKER, &path, err));
    if (count == 0)
        goto done;
    if (!pfm_path_exists(path))
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds other files (%s); give a new or an empty folder", j->folder, names[0]);
    PFM_TRY(pfm_json_load(path, &marker, err));
    if (marker_number(marker, "phantom") != GENERATION || marker_number(marker, "images") != j->images ||
        marker_number(marker, "seed") != (json_int_t)j->seed)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "%s holds another phantom (%lld images, seed %lld); give another folder, or the same --images and --seed",
                 j->folder, (long long)marker_number(marker, "images"), (long long)marker_number(marker, "seed"));
    *complete = json_is_true(json_object_get(marker, "complete")) && has_every_file(j);
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(path);
    json_decref(marker);
    return status;
}

static pfm_status describe(const job *j, bool written, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *splits = json_object();
    for (int s = 0; s < SPLITS; s++)
        PFM_TRY(pfm_json_take(splits, split_names[s],
                              json_pack("{s:i, s:i}", "images", j->first[s + 1] - j->first[s], "questions", j->questions[s]),
                              err));
    json_t *result = json_pack("{s:s, s:i, s:I, s:b, s:O}", "folder", j->folder, "images", j->images, "seed",
                               (json_int_t)j->seed, "written", written, "splits", splits);
    status = result == NULL ? pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory") : pfm_json_print(result, json_out, err);
    json_decref(result);
done:
    json_decref(splits);
    return status;
}

static pfm_status count_questions(job *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int s = 0; s < SPLITS && status == PFM_OK; s++) {
        char *path = NULL;
        json_t *rows = NULL;
        status = pfm_string_format(&path, err, "%s/%s.json", j->folder, split_names[s]);
        if (status == PFM_OK)
            status = pfm_json_load(path, &rows, err);
        j->questions[s] = (int)json_array_size(rows);
        json_decref(rows);
        free(path);
    }
    return status;
}

static pfm_status write_all(job *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int id = 0;
    PFM_TRY(pfm_folder_create(j->folder, err));
    PFM_TRY(write_marker(j, false, err));
    PFM_TRY(pfm_allocate((size_t)j->images, sizeof *j->scenes, &j->scenes, err));
    for (int s = 0; s < SPLITS; s++)
        PFM_TRY(pfm_phantom_scenes(j->seed, SCENES_STREAM + (uint64_t)s, j->scenes + j->first[s],
                                   (size_t)(j->first[s + 1] - j->first[s]), err));
    PFM_TRY(write_pictures(j, err));
    for (int s = 0; s < SPLITS; s++)
        PFM_TRY(write_questions(j, s, &id, err));
    PFM_TRY(write_marker(j, true, err));
done:
    return status;
}

pfm_status pfm_phantom_write(pfm_context *context, const char *folder, int images, uint64_t seed, char **json_out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    job j = {.context = context, .folder = folder, .images = images, .seed = seed};
    bool complete = false;
    *json_out = NULL;
    if (images < PFM_PHANTOM_MIN_IMAGES || images > PFM_PHANTOM_MAX_IMAGES)
        PFM_FAIL(PFM_ERROR_USAGE, "a phantom of %d images cannot be; give from %d to %d", images, PFM_PHANTOM_MIN_IMAGES,
                 PFM_PHANTOM_MAX_IMAGES);
    if (seed > INT64_MAX)
        PFM_FAIL(PFM_ERROR_USAGE, "the seed must be below 2^63");
    plan_splits(&j);
    PFM_TRY(look_into_folder(&j, &complete, err));
    PFM_TRY(complete ? count_questions(&j, err) : write_all(&j, err));
    PFM_TRY(describe(&j, !complete, json_out, err));
done:
    free(j.scenes);
    return status;
}
