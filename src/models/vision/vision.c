#include "models/vision/vision.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/try.h"
#include "kernels/onednn/engine.h"
#include "models/vision/vision_kind.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The layers that make the features: none negative, each with its shape, and the shape of all side by side on the coarsest
 * grid. */
typedef struct joint {
    pfm_vision_layers layers;
    pfm_vision_shape shapes[PFM_VISION_MOST_LAYERS], shape;
    uint64_t parameters; /* of the encoder */
} joint;

struct pfm_vision {
    pfm_context *context;
    const pfm_vision_kind *kind;
    void *encoder;
    int image_size;
    joint joined;
    pfm_hash_hex weights_hash;
    char *description;
    float normalised[3][256]; /* what each byte of a channel becomes */
    /* Working memories that nobody uses at the moment. */
    pthread_mutex_t mutex;
    pthread_cond_t returned;
    int *free_slots;
    int free_count;
};

static const pfm_vision_kind *const kinds[] = {
#define KIND_ADDRESS(kind) &kind,
    PFM_VISION_LIST(KIND_ADDRESS)};

static pfm_status find_kind(const char *name, const pfm_vision_kind **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i]->name, name) == 0) {
            *out = kinds[i];
            goto done;
        }
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", kinds[i]->name));
    }
    if (pfm_path_exists(name)) { /* a checkpoint does not say what it is; loading finds out whether it fits */
        *out = kinds[0];
        goto done;
    }
    PFM_FAIL(PFM_ERROR_USAGE, "there is no vision encoder '%s'; known: %s", name, known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

pfm_status pfm_vision_layers_parse(char *const *texts, size_t count, pfm_vision_layers *out, pfm_error *err)
{
    *out = (pfm_vision_layers){0};
    if (count > PFM_VISION_MOST_LAYERS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%zu layers of a vision encoder are too many; at most %d", count,
                             PFM_VISION_MOST_LAYERS);
    for (size_t i = 0; i < count; i++) {
        char *end = NULL;
        long value = strtol(texts[i], &end, 10);
        if (end == texts[i] || *end != '\0' || value < -100000 || value > 100000)
            return pfm_error_set(err, PFM_ERROR_USAGE, "a vision encoder's layer cannot be '%s'; it is a whole number",
                                 texts[i]);
        out->layer[out->count++] = (int)value;
    }
    return PFM_OK;
}

/* Which layers they are, counted from the first, in order, with the shape of each. */
static pfm_status find_layers(const pfm_vision_kind *kind, int image_size, const pfm_vision_layers *wanted, joint *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    out->layers = wanted->count > 0 ? *wanted : (pfm_vision_layers){.count = 1, .layer = {-1}};
    for (int i = 0; i < out->layers.count; i++) {
        int *layer = &out->layers.layer[i];
        PFM_TRY(kind->shape_of(image_size, *layer, &out->shapes[i], &out->parameters, err));
        *layer += *layer < 0 ? kind->layer_count() : 0;
        if (i > 0 && *layer <= layer[-1])
            PFM_FAIL(PFM_ERROR_USAGE, "layer %d of the vision encoder stands behind layer %d; name them in their order", *layer,
                     layer[-1]);
    }
done:
    return status;
}

/* How many positions a side of layer `i` lie under one of the joined grid. */
static int side_of(const joint *j, int i) { return j->shapes[i].grid / j->shape.grid; }

static pfm_status join_layers(const pfm_vision_kind *kind, int image_size, const pfm_vision_layers *wanted, joint *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(find_layers(kind, image_size, wanted, out, err));
    out->shape = (pfm_vision_shape){.grid = out->shapes[0].grid};
    for (int i = 1; i < out->layers.count; i++)
        out->shape.grid = out->shapes[i].grid < out->shape.grid ? out->shapes[i].grid : out->shape.grid;
    for (int i = 0; i < out->layers.count; i++) {
        int side = side_of(out, i);
        if (side * out->shape.grid != out->shapes[i].grid)
            PFM_FAIL(PFM_ERROR_USAGE, "layers with grids of %d and %d do not fit each other; choose another image size",
                     out->shapes[i].grid, out->shape.grid);
        out->shape.channels += side * side * out->shapes[i].channels;
    }
done:
    return status;
}

pfm_status pfm_vision_shape_of(const char *kind, int image_size, const pfm_vision_layers *layers, pfm_vision_shape *shape,
                               uint64_t *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vision_kind *found = NULL;
    joint joined;
    PFM_TRY(find_kind(kind, &found, err));
    PFM_TRY(join_layers(found, image_size, layers, &joined, err));
    if (shape != NULL)
        *shape = joined.shape;
    if (parameters != NULL)
        *parameters = joined.parameters;
done:
    return status;
}

/* A folder may hold several files; what was read of them is hashed. */
static pfm_status hash_tensors(const pfm_weights *weights, pfm_hash_hex out, pfm_error *err)
{
    pfm_hash *hash = NULL;
    pfm_status status = pfm_hash_create(&hash, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *w = pfm_weights_at(weights, i);
        pfm_hash_update(hash, w->name, strlen(w->name) + 1);
        pfm_hash_update(hash, w->shape, (size_t)w->rank * sizeof w->shape[0]);
        pfm_hash_update(hash, w->data, w->bytes);
    }
    pfm_hash_finish(hash, out);
    pfm_hash_free(hash);
    return PFM_OK;
}

static pfm_status describe(pfm_vision *vision, pfm_error *err)
{
    const pfm_vision_kind *kind = vision->kind;
    const char *level = pfm_context_cpu_level(vision->context);
    const dnnl_version_t *onednn = dnnl_version();
    bool by_onednn = strcmp(level, "ref") != 0;
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_buffer_append_format(&text, err, "%s; layers", kind->name));
    for (int i = 0; i < vision->joined.layers.count; i++)
        PFM_TRY(pfm_buffer_append_format(&text, err, " %d", vision->joined.layers.layer[i]));
    PFM_TRY(pfm_buffer_append_format(
        &text, err, "; rgb8, bicubic %dx%d, /255, mean %.6g %.6g %.6g, std %.6g %.6g %.6g; %s; pefomed %s; onednn %d.%d.%d",
        vision->image_size, vision->image_size, (double)kind->mean[0], (double)kind->mean[1], (double)kind->mean[2],
        (double)kind->std[0], (double)kind->std[1], (double)kind->std[2], level, pfm_version(), by_onednn ? onednn->major : 0,
        by_onednn ? onednn->minor : 0, by_onednn ? onednn->patch : 0));
    vision->description = text.data;
    text = (pfm_buffer){0};
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status fill(pfm_vision *vision, const char *path, const pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vision_kind *kind = vision->kind;
    int threads = pfm_context_threads(vision->context);
    PFM_TRY(kind->load(vision->context, weights, vision->image_size, &vision->encoder, err));
    PFM_TRY(pfm_path_is_folder(path) ? hash_tensors(weights, vision->weights_hash, err)
                                     : pfm_hash_file(path, vision->weights_hash, err));
    PFM_TRY(describe(vision, err));
    PFM_TRY(pfm_allocate((size_t)threads, sizeof *vision->free_slots, &vision->free_slots, err));
    for (int i = 0; i < threads; i++)
        vision->free_slots[vision->free_count++] = threads - 1 - i;
    for (int c = 0; c < 3; c++)
        for (int byte = 0; byte < 256; byte++)
            vision->normalised[c][byte] = ((float)byte / 255.0f - kind->mean[c]) / kind->std[c];
done:
    return status;
}

pfm_status pfm_vision_load(pfm_context *context, const char *kind, const char *path, int image_size,
                           const pfm_vision_layers *layers, pfm_vision **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision *vision = NULL;
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *vision, &vision, err));
    pthread_mutex_init(&vision->mutex, NULL);
    pthread_cond_init(&vision->returned, NULL);
    vision->context = context;
    vision->image_size = image_size;
    PFM_TRY(find_kind(kind, &vision->kind, err));
    PFM_TRY(join_layers(vision->kind, image_size, layers, &vision->joined, err));
    PFM_TRY(pfm_weights_open(path, &weights, err));
    PFM_TRY(fill(vision, path, weights, err));
    *out = vision;
    vision = NULL;
done:
    pfm_weights_close(weights);
    pfm_vision_free(vision);
    return status;
}

void pfm_vision_free(pfm_vision *vision)
{
    if (vision == NULL)
        return;
    if (vision->encoder != NULL)
        vision->kind->free(vision->encoder);
    pthread_mutex_destroy(&vision->mutex);
    pthread_cond_destroy(&vision->returned);
    free(vision->free_slots);
    free(vision->description);
    free(vision);
}

pfm_context *pfm_vision_get_context(const pfm_vision *vision) { return vision->context; }
const char *pfm_vision_get_kind(const pfm_vision *vision) { return vision->kind->name; }
int pfm_vision_get_image_size(const pfm_vision *vision) { return vision->image_size; }
pfm_vision_shape pfm_vision_get_shape(const pfm_vision *vision) { return vision->joined.shape; }
uint64_t pfm_vision_get_parameters(const pfm_vision *vision) { return vision->joined.parameters; }
const char *pfm_vision_get_weights_hash(const pfm_vision *vision) { return vision->weights_hash; }
const char *pfm_vision_get_description(const pfm_vision *vision) { return vision->description; }

void pfm_vision_rest(pfm_vision *vision)
{
    pthread_mutex_lock(&vision->mutex);
    if (vision->free_count == pfm_context_threads(vision->context))
        vision->kind->rest(vision->encoder);
    pthread_mutex_unlock(&vision->mutex);
}

pfm_status pfm_vision_preprocess(const pfm_vision *vision, const pfm_image *image, float *pixels, pfm_error *err)
{
    pfm_image resized = {0};
    pfm_status status = pfm_image_resize_bicubic(image, vision->image_size, vision->image_size, &resized, err);
    if (status != PFM_OK)
        return status;
    size_t plane = (size_t)vision->image_size * (size_t)vision->image_size;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < plane; i++)
            pixels[c * plane + i] = vision->normalised[c][resized.rgb[3 * i + c]];
    pfm_image_free(&resized);
    return PFM_OK;
}

static int take_slot(pfm_vision *vision)
{
    pthread_mutex_lock(&vision->mutex);
    while (vision->free_count == 0)
        pthread_cond_wait(&vision->returned, &vision->mutex);
    int slot = vision->free_slots[--vision->free_count];
    pthread_mutex_unlock(&vision->mutex);
    return slot;
}

static void return_slot(pfm_vision *vision, int slot)
{
    pthread_mutex_lock(&vision->mutex);
    vision->free_slots[vision->free_count++] = slot;
    pthread_cond_signal(&vision->returned);
    pthread_mutex_unlock(&vision->mutex);
}

pfm_status pfm_vision_encode_layer(pfm_vision *vision, int layer, const float *pixels, float *features, pfm_error *err)
{
    int slot = take_slot(vision);
    pfm_status status = vision->kind->encode(vision->encoder, slot, &layer, 1, pixels, &features, err);
    return_slot(vision, slot);
    return status;
}

/* Puts layer i's values where they stand in the joined rows, `first` channels behind their beginning. */
static void place_layer(const joint *j, int i, const float *values, size_t first, float *features)
{
    const int side = side_of(j, i), grid = j->shapes[i].grid;
    const size_t channels = (size_t)j->shapes[i].channels;
    for (int y = 0; y < grid; y++) {
        for (int x = 0; x < grid; x++, values += channels) {
            size_t row = (size_t)(y / side * j->shape.grid + x / side), within = (size_t)(y % side * side + x % side);
            memcpy(features + row * (size_t)j->shape.channels + first + within * channels, values, channels * sizeof *values);
        }
    }
}

pfm_status pfm_vision_encode_one(pfm_vision *vision, const float *pixels, float *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const joint *j = &vision->joined;
    const int count = j->layers.count;
    float *parts[PFM_VISION_MOST_LAYERS] = {features}, *values = NULL; /* one layer needs no place of its own */
    if (count > 1)
        PFM_TRY(pfm_allocate(pfm_vision_shape_values(&j->shape), sizeof *values, &values, err));
    for (int i = 0; count > 1 && i < count; i++)
        parts[i] = i == 0 ? values : parts[i - 1] + pfm_vision_shape_values(&j->shapes[i - 1]);
    int slot = take_slot(vision);
    status = vision->kind->encode(vision->encoder, slot, j->layers.layer, count, pixels, parts, err);
    return_slot(vision, slot);
    size_t first = 0;
    for (int i = 0; status == PFM_OK && count > 1 && i < count; i++) {
        place_layer(j, i, parts[i], first, features);
        first += (size_t)(side_of(j, i) * side_of(j, i) * j->shapes[i].channels);
    }
done:
    free(values);
    return status;
}

pfm_status pfm_vision_layer_shape(const pfm_vision *vision, int layer, pfm_vision_shape *shape, pfm_error *err)
{
    return vision->kind->shape_of(vision->image_size, layer, shape, NULL, err);
}

typedef struct encode_job {
    pfm_vision *vision;
    const float *pixels;
    float *features;
    pfm_status status;
    pfm_error *err;
} encode_job;

static void encode_item(void *user, int item, int thread)
{
    (void)thread;
    encode_job *job = user;
    pfm_vision *vision = job->vision;
    size_t image = 3 * (size_t)vision->image_size * (size_t)vision->image_size;
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status =
        pfm_vision_encode_one(vision, job->pixels + (size_t)item * image,
                              job->features + (size_t)item * pfm_vision_shape_values(&vision->joined.shape), &err);
    if (status == PFM_OK)
        return;
    pthread_mutex_lock(&vision->mutex);
    if (job->status == PFM_OK)
        job->status = pfm_error_set(job->err, status, "%s", err.message);
    pthread_mutex_unlock(&vision->mutex);
}

pfm_status pfm_vision_encode(pfm_vision *vision, const float *pixels, size_t n, float *features, pfm_error *err)
{
    if (n > INT32_MAX)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%zu pictures are too many for one call", n);
    encode_job job = {.vision = vision, .pixels = pixels, .status = PFM_OK, .err = err};
    job.features = features;
    pfm_threads_run(vision->context->threads, (int)n, encode_item, &job);
    return job.status;
}
