#include "models/vision/efficientnet.h"

#include "base/memory.h"
#include "base/try.h"
#include "kernels/conv.h"
#include "models/vision/vision_kind.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 48, MOST_UNITS = 256, MOST_LAYERS = 128, SMALLEST_IMAGE = 32, LARGEST_IMAGE = 4096, TENSORS_A_UNIT = 5 };

static const double epsilon = 1e-3; /* of every batch normalisation */

enum { LITES = 5, CHANNEL_STEP = 8 };

static const pfm_efficientnet_config lite0 = {
    .stem = 32,
    .stages = {{1, 3, 1, 1, 16},
               {2, 3, 2, 6, 24},
               {2, 5, 2, 6, 40},
               {3, 3, 2, 6, 80},
               {3, 5, 1, 6, 112},
               {4, 5, 2, 6, 192},
               {1, 3, 1, 6, 320}},
    .head = 1280,
};

/* Channels times tenths / 10, to the nearest multiple of 8, but less than a tenth below. */
static int multiply_channels(int channels, int tenths)
{
    int wanted = channels * tenths, rounded = (wanted + 10 * CHANNEL_STEP / 2) / 10 / CHANNEL_STEP * CHANNEL_STEP;
    rounded = rounded < CHANNEL_STEP ? CHANNEL_STEP : rounded;
    return 100 * rounded < 9 * wanted ? rounded + CHANNEL_STEP : rounded;
}

bool pfm_efficientnet_lite(int number, pfm_efficientnet_config *out)
{
    static const int width[LITES] = {10, 10, 11, 12, 14}, depth[LITES] = {10, 11, 12, 14, 18}; /* tenths */
    if (number < 0 || number >= LITES)
        return false;
    *out = lite0;
    for (int s = 0; s < PFM_EFFICIENTNET_STAGES; s++) {
        out->stages[s].channels = multiply_channels(out->stages[s].channels, width[number]);
        if (s > 0 && s < PFM_EFFICIENTNET_STAGES - 1)
            out->stages[s].repeats = (out->stages[s].repeats * depth[number] + 9) / 10;
    }
    return true;
}

/* A convolution, the batch normalisation behind it, and what the chain of convolutions is told about both. */
typedef struct unit {
    char convolution[NAME_BYTES], normalisation[NAME_BYTES];
    pfm_conv_step step;
} unit;

typedef struct layout {
    unit units[MOST_UNITS];
    size_t count;
    size_t layers[MOST_LAYERS]; /* the unit whose result a layer is */
    int layer_count;
} layout;

struct pfm_efficientnet {
    pfm_conv_chain *chain;
    size_t layers[MOST_LAYERS];
    int layer_count;
};

/* Appends a unit that reads the one before. `place` is the name's beginning ("_blocks.3."). */
static unit *append(layout *out, const char *place, const char *convolution, const char *normalisation)
{
    unit *u = &out->units[out->count];
    const unit *before = out->count > 0 ? u - 1 : NULL;
    (void)snprintf(u->convolution, sizeof u->convolution, "%s%s", place, convolution);
    (void)snprintf(u->normalisation, sizeof u->normalisation, "%s%s", place, normalisation);
    u->step = (pfm_conv_step){.groups = 1, .kernel = 1, .stride = 1, .input = (int)out->count - 1, .addend = -1};
    if (before != NULL) {
        u->step.channels_in = u->step.channels_out = before->step.channels_out;
        u->step.size_in[0] = before->step.size_out[0];
        u->step.size_in[1] = before->step.size_out[1];
    }
    out->count++;
    return u;
}

static void end_layer(layout *out)
{
    out->units[out->count - 1].step.output = true;
    out->layers[out->layer_count++] = out->count - 1;
}

static void append_block(layout *out, int number, const pfm_efficientnet_stage *stage, int stride)
{
    char place[24];
    (void)snprintf(place, sizeof place, "_blocks.%d.", number);
    int input = (int)out->count - 1, channels = out->units[input].step.channels_out;
    if (stage->expand != 1) {
        unit *expand = append(out, place, "_expand_conv", "_bn0");
        expand->step.channels_out = channels * stage->expand;
        expand->step.relu6 = true;
        pfm_conv_step_pad_same(&expand->step);
    }
    unit *depthwise = append(out, place, "_depthwise_conv", "_bn1");
    depthwise->step.groups = depthwise->step.channels_in;
    depthwise->step.kernel = stage->kernel;
    depthwise->step.stride = stride;
    depthwise->step.relu6 = true;
    pfm_conv_step_pad_same(&depthwise->step);
    unit *project = append(out, place, "_project_conv", "_bn2");
    project->step.channels_out = stage->channels;
    pfm_conv_step_pad_same(&project->step);
    if (stride == 1 && channels == stage->channels)
        project->step.addend = input;
    end_layer(out);
}

static void lay_out(const pfm_efficientnet_config *config, int image_size, layout *out)
{
    out->count = 0;
    out->layer_count = 0;
    unit *stem = append(out, "", "_conv_stem", "_bn0");
    stem->step.channels_in = 3;
    stem->step.channels_out = config->stem;
    stem->step.size_in[0] = stem->step.size_in[1] = image_size;
    stem->step.kernel = 3;
    stem->step.stride = 2;
    stem->step.relu6 = true;
    pfm_conv_step_pad_same(&stem->step);
    end_layer(out);
    int number = 0;
    for (int s = 0; s < PFM_EFFICIENTNET_STAGES; s++)
        for (int r = 0; r < config->stages[s].repeats; r++)
            append_block(out, number++, &config->stages[s], r == 0 ? config->stages[s].stride : 1);
    unit *head = append(out, "", "_conv_head", "_bn1");
    head->step.channels_out = config->head;
    head->step.relu6 = true;
    pfm_conv_step_pad_same(&head->step);
    end_layer(out);
}

static size_t weight_count(const pfm_conv_step *s)
{
    return (size_t)s->channels_out * (size_t)(s->channels_in / s->groups) * (size_t)s->kernel * (size_t)s->kernel;
}

static pfm_status check_image_size(int image_size, pfm_error *err)
{
    if (image_size >= SMALLEST_IMAGE && image_size <= LARGEST_IMAGE)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_USAGE, "an image size of %d cannot be; choose %d to %d pixels, best a multiple of 32",
                         image_size, SMALLEST_IMAGE, LARGEST_IMAGE);
}

int pfm_efficientnet_layer_count(const pfm_efficientnet_config *config)
{
    int count = 2; /* the stem's and the head's */
    for (int s = 0; s < PFM_EFFICIENTNET_STAGES; s++)
        count += config->stages[s].repeats;
    return count;
}

pfm_status pfm_efficientnet_shape(const pfm_efficientnet_config *config, int image_size, int layer, pfm_vision_shape *shape,
                                  uint64_t *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    layout *plan = NULL;
    int index;
    PFM_TRY(check_image_size(image_size, err));
    PFM_TRY(pfm_allocate(1, sizeof *plan, &plan, err));
    lay_out(config, image_size, plan);
    PFM_TRY(pfm_vision_count_layer(layer, plan->layer_count, &index, err));
    const pfm_conv_step *step = &plan->units[plan->layers[index]].step;
    if (shape != NULL)
        *shape = (pfm_vision_shape){.grid = step->size_out[0], .channels = step->channels_out};
    if (parameters != NULL) {
        *parameters = 0;
        for (size_t i = 0; i < plan->count; i++)
            *parameters += weight_count(&plan->units[i].step) + 2 * (uint64_t)plan->units[i].step.channels_out;
    }
done:
    free(plan);
    return status;
}

static const char *const parts[TENSORS_A_UNIT] = {"weight", "weight", "bias", "running_mean", "running_var"};

static void tensor_name(const unit *u, int part, char *out)
{
    (void)snprintf(out, NAME_BYTES + 16, "%s.%s", part == 0 ? u->convolution : u->normalisation, parts[part]);
}

/* Every tensor must be there in its shape and no other; the classifier may be absent. */
static pfm_status check_tensors(const layout *plan, int head, const pfm_weights *weights, pfm_error *err)
{
    static const char *const ignored[] = {"*.num_batches_tracked", NULL};
    pfm_status status = PFM_OK;
    pfm_weight_expected *expected = NULL;
    char(*names)[NAME_BYTES + 16] = NULL;
    size_t count = plan->count * TENSORS_A_UNIT;
    PFM_TRY(pfm_allocate(count + 2, sizeof *expected, &expected, err));
    PFM_TRY(pfm_allocate(count, sizeof *names, &names, err));
    for (size_t i = 0; i < count; i++) {
        const unit *u = &plan->units[i / TENSORS_A_UNIT];
        const pfm_conv_step *s = &u->step;
        tensor_name(u, (int)(i % TENSORS_A_UNIT), names[i]);
        expected[i] = (pfm_weight_expected){.name = names[i], .rank = 1, .shape = {s->channels_out}};
        if (i % TENSORS_A_UNIT == 0)
            expected[i] = (pfm_weight_expected){
                .name = names[i], .rank = 4, .shape = {s->channels_out, s->channels_in / s->groups, s->kernel, s->kernel}};
    }
    expected[count] = (pfm_weight_expected){.name = "_fc.weight", .rank = 2, .shape = {-1, head}, .optional = true};
    expected[count + 1] = (pfm_weight_expected){.name = "_fc.bias", .rank = 1, .shape = {-1}, .optional = true};
    PFM_TRY(pfm_weights_expect(weights, expected, count + 2, ignored, err));
done:
    free(names);
    free(expected);
    return status;
}

/* w' = w gamma / sqrt(variance + epsilon), b' = beta - mean gamma / sqrt(variance + epsilon); norm is gamma, beta, mean,
 * variance, each [channels_out], and becomes b' in its first row. */
static pfm_status fold(const unit *u, float *weight, float *norm, pfm_error *err)
{
    size_t channels = (size_t)u->step.channels_out, filter = weight_count(&u->step) / channels;
    for (size_t o = 0; o < channels; o++) {
        double gamma = (double)norm[o], beta = (double)norm[channels + o], mean = (double)norm[2 * channels + o];
        double scale = gamma / sqrt((double)norm[3 * channels + o] + epsilon), shift = beta - mean * scale;
        bool finite = isfinite(scale) && isfinite(shift);
        for (size_t i = 0; i < filter; i++) {
            weight[o * filter + i] = (float)((double)weight[o * filter + i] * scale);
            finite = finite && isfinite(weight[o * filter + i]);
        }
        if (!finite)
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "the weights of %s or %s hold something that is no number, at channel %zu", u->convolution,
                                 u->normalisation, o);
        norm[o] = (float)shift;
    }
    return PFM_OK;
}

/* *out = the unit's folded weights with the bias behind them. */
static pfm_status load_unit(unit *u, const pfm_weights *weights, float **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t channels = (size_t)u->step.channels_out, values = weight_count(&u->step);
    PFM_TRY(pfm_allocate(values + 4 * channels, sizeof **out, out, err));
    for (int part = 0; part < TENSORS_A_UNIT; part++) {
        char name[NAME_BYTES + 16];
        tensor_name(u, part, name);
        size_t at = part == 0 ? 0 : values + (size_t)(part - 1) * channels;
        PFM_TRY(pfm_weight_expand(pfm_weights_find(weights, name), *out + at, err));
    }
    PFM_TRY(fold(u, *out, *out + values, err));
    u->step.weight = *out;
    u->step.bias = *out + values;
done:
    return status;
}

static pfm_status compile(const pfm_context *context, layout *plan, const pfm_weights *weights, pfm_conv_chain **out,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    float **values = NULL;
    pfm_conv_step *steps = NULL;
    PFM_TRY(pfm_allocate(plan->count, sizeof *values, &values, err));
    PFM_TRY(pfm_allocate(plan->count, sizeof *steps, &steps, err));
    for (size_t i = 0; i < plan->count; i++) {
        PFM_TRY(load_unit(&plan->units[i], weights, &values[i], err));
        steps[i] = plan->units[i].step;
    }
    PFM_TRY(pfm_conv_chain_create(pfm_context_cpu_level(context), steps, plan->count, pfm_context_threads(context), out, err));
done:
    for (size_t i = 0; values != NULL && i < plan->count; i++)
        free(values[i]);
    free(values);
    free(steps);
    return status;
}

pfm_status pfm_efficientnet_create(const pfm_context *context, const pfm_efficientnet_config *config,
                                   const pfm_weights *weights, int image_size, pfm_efficientnet **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    layout *plan = NULL;
    pfm_efficientnet *net = NULL;
    PFM_TRY(check_image_size(image_size, err));
    PFM_TRY(pfm_allocate(1, sizeof *plan, &plan, err));
    PFM_TRY(pfm_allocate(1, sizeof *net, &net, err));
    lay_out(config, image_size, plan);
    PFM_TRY(check_tensors(plan, config->head, weights, err));
    PFM_TRY(compile(context, plan, weights, &net->chain, err));
    net->layer_count = plan->layer_count;
    memcpy(net->layers, plan->layers, sizeof net->layers);
    *out = net;
    net = NULL;
done:
    free(plan);
    pfm_efficientnet_free(net);
    return status;
}

void pfm_efficientnet_free(pfm_efficientnet *net)
{
    if (net == NULL)
        return;
    pfm_conv_chain_free(net->chain);
    free(net);
}

void pfm_efficientnet_rest(pfm_efficientnet *net) { pfm_conv_chain_rest(net->chain); }

pfm_status pfm_efficientnet_encode(pfm_efficientnet *net, int slot, const int *layers, int count, const float *pixels,
                                   float *const *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_conv_result results[PFM_VISION_MOST_LAYERS];
    for (int i = 0; i < count; i++) {
        int index;
        PFM_TRY(pfm_vision_count_layer(layers[i], net->layer_count, &index, err));
        results[i] = (pfm_conv_result){.step = net->layers[index], .output = features[i]};
    }
    PFM_TRY(pfm_conv_chain_run(net->chain, slot, pixels, results, (size_t)count, err));
done:
    return status;
}

/* ---- the kind ---- */

static const char lite_name[] = "efficientnet-lite";

static void fill_config(int number, pfm_vision_config *config)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f}; /* ImageNet's */
    (void)pfm_efficientnet_lite(number, &config->of.efficientnet);
    (void)snprintf(config->name, sizeof config->name, "%s%d", lite_name, number);
    memcpy(config->mean, mean, sizeof mean);
    memcpy(config->deviation, deviation, sizeof deviation);
}

static bool lite_find(const char *name, pfm_vision_config *config)
{
    const size_t length = sizeof lite_name - 1;
    if (strncmp(name, lite_name, length) != 0 || strlen(name) != length + 1 || name[length] < '0' ||
        name[length] >= '0' + LITES)
        return false;
    fill_config(name[length] - '0', config);
    return true;
}

/* The file's number of blocks and the width of the last; of none of them, its faults are listed against Lite0. */
static pfm_status lite_recognise(const pfm_weights *weights, bool *found, pfm_vision_config *config, pfm_error *err)
{
    (void)err;
    *found = pfm_weights_find(weights, "_conv_stem.weight") != NULL && pfm_weights_find(weights, "_bn0.weight") != NULL;
    for (int number = LITES - 1; *found && number >= 0; number--) {
        char last[NAME_BYTES], next[NAME_BYTES];
        fill_config(number, config);
        int blocks = pfm_efficientnet_layer_count(&config->of.efficientnet) - 2;
        (void)snprintf(last, sizeof last, "_blocks.%d._project_conv.weight", blocks - 1);
        (void)snprintf(next, sizeof next, "_blocks.%d._project_conv.weight", blocks);
        const pfm_weight *weight = pfm_weights_find(weights, last);
        if (weight != NULL && weight->rank == 4 && pfm_weights_find(weights, next) == NULL &&
            weight->shape[0] == config->of.efficientnet.stages[PFM_EFFICIENTNET_STAGES - 1].channels)
            break;
    }
    return PFM_OK;
}

static int lite_layer_count(const pfm_vision_config *config) { return pfm_efficientnet_layer_count(&config->of.efficientnet); }

static int lite_output_layer(const pfm_vision_config *config) { return lite_layer_count(config) - 1; }

static pfm_status lite_shape(const pfm_vision_config *config, int image_size, int layer, const pfm_vision_layers *layers,
                             pfm_vision_shape *shape, uint64_t *parameters, pfm_error *err)
{
    if (layers->class_token)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has no class token that could be kept; set model.class_token to drop",
                             config->name);
    return pfm_efficientnet_shape(&config->of.efficientnet, image_size, layer, shape, parameters, err);
}

static pfm_status lite_describe(const pfm_vision_config *config, const pfm_context *context, pfm_buffer *out, pfm_error *err)
{
    (void)config;
    (void)context;
    (void)out;
    (void)err;
    return PFM_OK; /* f32 at every precision, and the name says the rest */
}

typedef struct lite_encoder {
    pfm_efficientnet *net;
    pfm_vision_layers layers;
} lite_encoder;

static void lite_free(void *encoder)
{
    pfm_efficientnet_free(((lite_encoder *)encoder)->net);
    free(encoder);
}

static pfm_status lite_load(const pfm_context *context, const pfm_vision_config *config, const pfm_weights *weights,
                            const pfm_vision_load_options *options, void **encoder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    lite_encoder *lite = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *lite, &lite, err));
    lite->layers = options->layers;
    PFM_TRY(pfm_efficientnet_create(context, &config->of.efficientnet, weights, options->image_size, &lite->net, err));
    *encoder = lite;
    lite = NULL;
done:
    free(lite);
    return status;
}

static void lite_rest(void *encoder) { pfm_efficientnet_rest(((lite_encoder *)encoder)->net); }

static pfm_status lite_encode(void *encoder, int slot, const float *pixels, float *const *features, pfm_error *err)
{
    const lite_encoder *lite = encoder;
    return pfm_efficientnet_encode(lite->net, slot, lite->layers.layer, lite->layers.count, pixels, features, err);
}

const pfm_vision_kind pfm_vision_efficientnet = {
    .names = "efficientnet-lite0 to efficientnet-lite4",
    .find = lite_find,
    .recognise = lite_recognise,
    .layer_count = lite_layer_count,
    .output_layer = lite_output_layer,
    .shape_of = lite_shape,
    .describe = lite_describe,
    .load = lite_load,
    .free = lite_free,
    .rest = lite_rest,
    .encode = lite_encode,
};
