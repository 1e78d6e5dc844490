#include "models/random_lite0.h"

#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "models/vision/efficientnet.h"

#include <math.h>

typedef struct weight_writer {
    json_t *header;
    pfm_buffer data;
    pfm_random random;
} weight_writer;

/* Values around `centre`, so that a variance of centre 1 stays positive. */
static void add_tensor(weight_writer *w, const char *name, const char *part, int rank, const int *shape, double centre,
                       double width)
{
    pfm_error err = PFM_ERROR_INIT;
    char full[96];
    size_t count = 1, begin = w->data.size;
    json_t *dims = json_array();
    for (int i = 0; i < rank; i++) {
        count *= (size_t)shape[i];
        json_array_append_new(dims, json_integer(shape[i]));
    }
    for (size_t i = 0; i < count; i++) {
        float value = (float)(centre + width * (pfm_random_uniform(&w->random) - 0.5));
        assert_ok(pfm_buffer_append(&w->data, &value, sizeof value, &err));
    }
    (void)snprintf(full, sizeof full, "%s.%s", name, part);
    json_object_set_new(w->header, full,
                        json_pack("{s:s,s:o,s:[I,I]}", "dtype", "F32", "shape", dims, "data_offsets", (json_int_t)begin,
                                  (json_int_t)w->data.size));
}

static void add_unit(weight_writer *w, const char *place, const char *convolution, const char *norm, int out, int in,
                     int kernel)
{
    char name[80];
    int shape[] = {out, in, kernel, kernel};
    (void)snprintf(name, sizeof name, "%s%s", place, convolution);
    add_tensor(w, name, "weight", 4, shape, 0, 6 / sqrt(in * kernel * kernel));
    (void)snprintf(name, sizeof name, "%s%s", place, norm);
    add_tensor(w, name, "weight", 1, shape, 1, 0.5);
    add_tensor(w, name, "bias", 1, shape, 0, 0.5);
    add_tensor(w, name, "running_mean", 1, shape, 0, 0.5);
    add_tensor(w, name, "running_var", 1, shape, 1, 0.5);
}

void write_random_lite(const char *path, int number)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_efficientnet_config lite;
    const pfm_efficientnet_config *config = &lite;
    assert_true(pfm_efficientnet_lite(number, &lite));
    weight_writer w = {.header = json_object(), .random = pfm_random_start(3, 0)};
    int channels = config->stem, block = 0;
    add_unit(&w, "", "_conv_stem", "_bn0", channels, 3, 3);
    for (int s = 0; s < PFM_EFFICIENTNET_STAGES; s++)
        for (int r = 0; r < config->stages[s].repeats; r++) {
            char place[24];
            int wide = channels * config->stages[s].expand;
            (void)snprintf(place, sizeof place, "_blocks.%d.", block++);
            if (wide != channels)
                add_unit(&w, place, "_expand_conv", "_bn0", wide, channels, 1);
            add_unit(&w, place, "_depthwise_conv", "_bn1", wide, 1, config->stages[s].kernel);
            channels = config->stages[s].channels;
            add_unit(&w, place, "_project_conv", "_bn2", channels, wide, 1);
        }
    add_unit(&w, "", "_conv_head", "_bn1", config->head, channels, 1);
    pfm_buffer file = {0}, header = {0};
    assert_ok(pfm_json_append(&header, w.header, &err));
    uint64_t length = header.size;
    assert_ok(pfm_buffer_append(&file, &length, sizeof length, &err));
    assert_ok(pfm_buffer_append(&file, header.data, header.size, &err));
    assert_ok(pfm_buffer_append(&file, w.data.data, w.data.size, &err));
    assert_ok(pfm_file_write(path, file.data, file.size, &err));
    pfm_buffer_free(&file);
    pfm_buffer_free(&header);
    pfm_buffer_free(&w.data);
    json_decref(w.header);
}

void write_random_lite0(const char *path) { write_random_lite(path, 0); }
