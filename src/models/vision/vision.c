#include "models/vision/vision.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/try.h"
#include "kernels/onednn/onednn_engine.h"
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
    pfm_vision_config config;
    void *encoder;
    int image_size;
    joint joined;
    pfm_hash_hex weights_hash;
    char *description, *window, *fit, *filter; /* the last two NULL for the usual ones */
    uint8_t fill[3];                           /* the mean as bytes, cut as LLaVA cuts it */
    float normalised[3][256];                  /* what each byte of a channel becomes */
    /* Working memories that nobody uses at the moment. */
    pthread_mutex_t mutex;
    pthread_cond_t returned;
    int *free_slots;
    int free_count;
};

pfm_status pfm_vision_layers_parse(char *const *texts, size_t count, pfm_vision_layers *out, pfm_error *err)
{
    *out = (pfm_vision_layers){0};
    if (count > PFM_VISION_MOST_LAYERS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%zu layers of a vision encoder are too many; at most %d", count,
                             PFM_VISION_MOST_LAYERS);
    for (size_t i = 0; i < count; i++) {
        char *end = NULL;
        const bool output = strcmp(texts[i], "output") == 0, normed = strcmp(texts[i], "normed") == 0;
        long value = output ? PFM_VISION_OUTPUT : normed ? PFM_VISION_NORMED : strtol(texts[i], &end, 10);
        if (!output && !normed && (end == texts[i] || *end != '\0' || value < -100000 || value > 100000))
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "a vision encoder's layer cannot be '%s'; it is a whole number, output or normed", texts[i]);
        out->layer[out->count++] = (int)value;
    }
    return PFM_OK;
}

pfm_status pfm_vision_count_layer(int layer, int count, int *out, pfm_error *err)
{
    *out = layer < 0 ? layer + count : layer;
    if (*out >= 0 && *out < count)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_USAGE, "there is no layer %d; this encoder has 0 to %d, or -1 to -%d from the end",
                         layer, count - 1, count);
}

/* *layer becomes the number from the first. */
static pfm_status find_layer(const pfm_vision_config *config, int *layer, pfm_error *err)
{
    const pfm_vision_kind *kind = config->kind;
    if (*layer == PFM_VISION_OUTPUT)
        *layer = kind->output_layer(config);
    else if (*layer != PFM_VISION_NORMED)
        return pfm_vision_count_layer(*layer, kind->layer_count(config), layer, err);
    else
        *layer = kind->normed_layer != NULL ? kind->normed_layer(config) : -1;
    if (*layer < 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "model.layers: normed is for a vision transformer without a last norm; of %s take output",
                             config->name);
    return PFM_OK;
}

/* Which layers they are, counted from the first, in order, with the shape of each. */
static pfm_status find_layers(const pfm_vision_config *config, int image_size, const pfm_vision_layers *wanted, joint *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    out->layers = *wanted;
    if (wanted->count == 0) {
        out->layers.count = 1;
        out->layers.layer[0] = PFM_VISION_OUTPUT;
    }
    if (wanted->whole) {
        out->layers.class_token = true;
        out->layers.class_token = config->kind->shape_of(config, image_size, config->kind->output_layer(config), &out->layers,
                                                         &out->shapes[0], &out->parameters, NULL) == PFM_OK;
    }
    for (int i = 0; i < out->layers.count; i++) {
        int *layer = &out->layers.layer[i];
        PFM_TRY(find_layer(config, layer, err));
        PFM_TRY(config->kind->shape_of(config, image_size, *layer, &out->layers, &out->shapes[i], &out->parameters, err));
        if (i > 0 && *layer <= layer[-1])
            PFM_FAIL(PFM_ERROR_USAGE, "layer %d of the vision encoder stands behind layer %d; name them in their order", *layer,
                     layer[-1]);
    }
done:
    return status;
}

/* How many positions a side of layer `i` lie under one of the joined grid. */
static int side_of(const joint *j, int i) { return j->shapes[i].grid / j->shape.grid; }

static pfm_status join_layers(const pfm_vision_config *config, int image_size, const pfm_vision_layers *wanted, joint *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(find_layers(config, image_size, wanted, out, err));
    out->shape = (pfm_vision_shape){.grid = out->shapes[0].grid, .extra = out->shapes[0].extra};
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

pfm_status pfm_vision_join(const pfm_vision_config *config, int image_size, const pfm_vision_layers *wanted,
                           pfm_vision_layers *found, pfm_vision_shape *shape, pfm_error *err)
{
    joint joined;
    pfm_status status = join_layers(config, image_size, wanted, &joined, err);
    if (status != PFM_OK)
        return status;
    if (found != NULL)
        *found = joined.layers;
    if (shape != NULL)
        *shape = joined.shape;
    return PFM_OK;
}

pfm_status pfm_vision_shape_of(const char *kind, int image_size, const pfm_vision_layers *layers, pfm_vision_shape *shape,
                               uint64_t *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision_config config;
    joint joined;
    PFM_TRY(pfm_vision_find(kind, &config, err));
    PFM_TRY(join_layers(&config, image_size, layers, &joined, err));
    if (shape != NULL)
        *shape = joined.shape;
    if (parameters != NULL)
        *parameters = joined.parameters;
done:
    return status;
}

pfm_status pfm_vision_bytes_of(const char *kind, int image_size, const pfm_vision_layers *layers, pfm_precision precision,
                               size_t *bytes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision_config config;
    joint joined;
    *bytes = 0;
    PFM_TRY(pfm_vision_find(kind, &config, err));
    PFM_TRY(join_layers(&config, image_size, layers, &joined, err));
    if (config.kind->bytes_of != NULL)
        PFM_TRY(config.kind->bytes_of(&config, joined.layers.layer[joined.layers.count - 1], precision, bytes, err));
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

/* The scale of all but files that say otherwise. */
static bool divides_by_255(const pfm_vision_config *config) { return config->scale == 1.0 / 255.0; }

static pfm_status describe_pixels(const pfm_vision *vision, pfm_buffer *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vision_config *c = &vision->config;
    const bool squashed = vision->fit == NULL || strcmp(vision->fit, "squash") == 0;
    PFM_TRY(pfm_buffer_append_format(text, err, "; rgb8, %s%s%s %dx%d, ", squashed ? "" : vision->fit, squashed ? "" : " ",
                                     vision->filter != NULL ? vision->filter : "bicubic", vision->image_size,
                                     vision->image_size));
    if (divides_by_255(c))
        PFM_TRY(pfm_buffer_append_string(text, "/255", err));
    else
        PFM_TRY(pfm_buffer_append_format(text, err, "times %.9g", c->scale));
    PFM_TRY(pfm_buffer_append_format(text, err, ", mean %.6g %.6g %.6g, std %.6g %.6g %.6g", (double)c->mean[0],
                                     (double)c->mean[1], (double)c->mean[2], (double)c->deviation[0], (double)c->deviation[1],
                                     (double)c->deviation[2]));
done:
    return status;
}

static pfm_status describe(pfm_vision *vision, pfm_error *err)
{
    const char *level = pfm_context_cpu_level(vision->context);
    const dnnl_version_t *onednn = dnnl_version();
    bool by_onednn = strcmp(level, "ref") != 0;
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_buffer_append_format(&text, err, "%s; layers", vision->config.name));
    for (int i = 0; i < vision->joined.layers.count; i++)
        PFM_TRY(pfm_buffer_append_format(&text, err, " %d", vision->joined.layers.layer[i]));
    if (vision->joined.layers.class_token)
        PFM_TRY(pfm_buffer_append_string(&text, ", class token", err));
    if (vision->joined.layers.every_token)
        PFM_TRY(pfm_buffer_append_string(&text, ", every token", err));
    PFM_TRY(vision->config.kind->describe(&vision->config, vision->context, &text, err));
    PFM_TRY(describe_pixels(vision, &text, err));
    PFM_TRY(pfm_buffer_append_format(&text, err, "; %s; pefomed %s; onednn %d.%d.%d", level, pfm_version(),
                                     by_onednn ? onednn->major : 0, by_onednn ? onednn->minor : 0,
                                     by_onednn ? onednn->patch : 0));
    if (vision->window != NULL)
        PFM_TRY(pfm_buffer_append_format(&text, err, "; window %s", vision->window));
    vision->description = text.data;
    text = (pfm_buffer){0};
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status fill(pfm_vision *vision, const pfm_vision_options *options, const pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vision_config *c = &vision->config;
    const pfm_vision_load_options load = {
        .image_size = options->image_size, .layers = vision->joined.layers, .gradients = options->gradients};
    int threads = pfm_context_threads(vision->context);
    PFM_TRY(c->kind->load(vision->context, c, weights, &load, &vision->encoder, err));
    PFM_TRY(pfm_path_is_folder(options->path) ? hash_tensors(weights, vision->weights_hash, err)
                                              : pfm_hash_file(options->path, vision->weights_hash, err));
    PFM_TRY(describe(vision, err));
    PFM_TRY(pfm_allocate((size_t)threads, sizeof *vision->free_slots, &vision->free_slots, err));
    for (int i = 0; i < threads; i++)
        vision->free_slots[vision->free_count++] = threads - 1 - i;
    for (int channel = 0; channel < 3; channel++) {
        const double mean = divides_by_255(c) ? c->mean[channel] * 255.0 : c->mean[channel] / c->scale;
        vision->fill[channel] = (uint8_t)(mean <= 0 ? 0 : mean >= 255 ? 255 : mean);
    }
    for (int channel = 0; channel < 3; channel++)
        for (int byte = 0; byte < 256; byte++) {
            float value = divides_by_255(c) ? (float)byte / 255.0f : (float)(byte * c->scale);
            vision->normalised[channel][byte] = (value - c->mean[channel]) / c->deviation[channel];
        }
done:
    return status;
}

pfm_status pfm_vision_load(pfm_context *context, const pfm_vision_options *options, pfm_vision **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision *vision = NULL;
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *vision, &vision, err));
    pthread_mutex_init(&vision->mutex, NULL);
    pthread_cond_init(&vision->returned, NULL);
    vision->context = context;
    vision->image_size = options->image_size;
    if (options->window != NULL)
        PFM_TRY(pfm_string_copy(options->window, &vision->window, err));
    if (options->fit.fit != NULL)
        PFM_TRY(pfm_string_copy(options->fit.fit, &vision->fit, err));
    if (options->fit.filter != NULL)
        PFM_TRY(pfm_string_copy(options->fit.filter, &vision->filter, err));
    PFM_TRY(pfm_vision_find(options->kind, &vision->config, err));
    PFM_TRY(join_layers(&vision->config, options->image_size, &options->layers, &vision->joined, err));
    PFM_TRY(pfm_weights_open(options->path, &weights, err));
    PFM_TRY(fill(vision, options, weights, err));
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
        vision->config.kind->free(vision->encoder);
    pthread_mutex_destroy(&vision->mutex);
    pthread_cond_destroy(&vision->returned);
    free(vision->free_slots);
    free(vision->description);
    free(vision->window);
    free(vision->fit);
    free(vision->filter);
    free(vision);
}

pfm_context *pfm_vision_get_context(const pfm_vision *vision) { return vision->context; }
const char *pfm_vision_get_kind(const pfm_vision *vision) { return vision->config.name; }
int pfm_vision_get_image_size(const pfm_vision *vision) { return vision->image_size; }
pfm_vision_shape pfm_vision_get_shape(const pfm_vision *vision) { return vision->joined.shape; }
uint64_t pfm_vision_get_parameters(const pfm_vision *vision) { return vision->joined.parameters; }
const char *pfm_vision_get_window(const pfm_vision *vision) { return vision->window; }
const char *pfm_vision_get_fit(const pfm_vision *vision) { return vision->fit; }
const char *pfm_vision_get_weights_hash(const pfm_vision *vision) { return vision->weights_hash; }
const char *pfm_vision_get_description(const pfm_vision *vision) { return vision->description; }

void pfm_vision_rest(pfm_vision *vision)
{
    pthread_mutex_lock(&vision->mutex);
    if (vision->free_count == pfm_context_threads(vision->context))
        vision->config.kind->rest(vision->encoder);
    pthread_mutex_unlock(&vision->mutex);
}

pfm_status pfm_vision_fit(const pfm_vision *vision, const pfm_image *image, pfm_image *out, pfm_error *err)
{
    const pfm_image_fit fit = {
        .fit = vision->fit, .filter = vision->filter, .fill = {vision->fill[0], vision->fill[1], vision->fill[2]}};
    return pfm_image_fit_square(image, &fit, vision->image_size, out, err);
}

pfm_status pfm_vision_preprocess(const pfm_vision *vision, const pfm_image *image, float *pixels, pfm_error *err)
{
    pfm_image resized = {0};
    pfm_status status = pfm_vision_fit(vision, image, &resized, err);
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

/* Puts layer i's values where they stand in the joined rows, `first` channels behind their beginning. */
static void place_layer(const joint *j, int i, const float *values, size_t first, float *features)
{
    const int side = side_of(j, i), grid = j->shapes[i].grid;
    const size_t channels = (size_t)j->shapes[i].channels;
    for (int t = 0; t < j->shape.extra; t++, features += j->shape.channels, values += channels)
        memcpy(features + first, values, channels * sizeof *values);
    for (int y = 0; y < grid; y++) {
        for (int x = 0; x < grid; x++, values += channels) {
            size_t row = (size_t)(y / side * j->shape.grid + x / side), within = (size_t)(y % side * side + x % side);
            memcpy(features + row * (size_t)j->shape.channels + first + within * channels, values, channels * sizeof *values);
        }
    }
}

/* One picture, in one slot or by all threads. */
static pfm_status encode(pfm_vision *vision, int slot, const float *pixels, float *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const joint *j = &vision->joined;
    const int count = j->layers.count;
    float *parts[PFM_VISION_MOST_LAYERS] = {features}, *values = NULL; /* one layer needs no place of its own */
    if (count > 1)
        PFM_TRY(pfm_allocate(pfm_vision_shape_values(&j->shape), sizeof *values, &values, err));
    for (int i = 0; count > 1 && i < count; i++)
        parts[i] = i == 0 ? values : parts[i - 1] + pfm_vision_shape_values(&j->shapes[i - 1]);
    PFM_TRY(vision->config.kind->encode(vision->encoder, slot, pixels, parts, err));
    size_t first = 0;
    for (int i = 0; count > 1 && i < count; i++) {
        place_layer(j, i, parts[i], first, features);
        first += (size_t)(side_of(j, i) * side_of(j, i) * j->shapes[i].channels);
    }
done:
    free(values);
    return status;
}

pfm_status pfm_vision_encode_one(pfm_vision *vision, const float *pixels, float *features, pfm_error *err)
{
    int slot = take_slot(vision);
    pfm_status status = encode(vision, slot, pixels, features, err);
    return_slot(vision, slot);
    return status;
}

pfm_status pfm_vision_gradient(pfm_vision *vision, const float *pixels, const float *grad_features, float *features,
                               float *grad_pixels, pfm_error *err)
{
    const pfm_vision_kind *kind = vision->config.kind;
    if (kind->gradient == NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "there are no gradients of the vision encoder %s",
                             vision->config.name);
    return kind->gradient(vision->encoder, pixels, grad_features, features, grad_pixels, err);
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
    pfm_status status = PFM_OK;
    const size_t image = 3 * (size_t)vision->image_size * (size_t)vision->image_size;
    if (n > INT32_MAX)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%zu pictures are too many for one call", n);
    if (vision->config.kind->uses_pool && n < (size_t)pfm_context_threads(vision->context)) {
        for (size_t i = 0; i < n; i++)
            PFM_TRY(encode(vision, PFM_VISION_ALL_THREADS, pixels + i * image,
                           features + i * pfm_vision_shape_values(&vision->joined.shape), err));
        goto done;
    }
    encode_job job = {.vision = vision, .pixels = pixels, .features = features, .status = PFM_OK, .err = err};
    pfm_threads_run(vision->context->threads, (int)n, encode_item, &job);
    status = job.status;
done:
    return status;
}
