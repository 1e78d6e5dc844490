#include "models/vit_fixture.h"

#include "base/file.h"
#include "base/memory.h"
#include "test.h"

#include <math.h>
#include <sys/stat.h>

const char vit_golden[] = PFM_SOURCE_DIR "/tests/models/golden";

pfm_context *vit_context(int threads, const char *level, pfm_precision precision)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_context_options options = {
        .threads = threads, .seed = 42, .cpu_level = level, .precision = precision, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

const char *vit_network(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/vit_%s", vit_golden, name);
    return path;
}

float *vit_pixels(int size)
{
    float *out = malloc(3 * (size_t)size * (size_t)size * sizeof *out), *next = out;
    assert_non_null(out);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++)
                *next++ = (float)(1.5 * sin(0.05 * (c + 1) * x + 0.11 * y) + cos(0.0023 * x * y / (c + 1)));
    return out;
}

pfm_status vit_load(pfm_context *context, const char *path, int size, int layer, bool class_token, bool gradients,
                    pfm_vision **out, pfm_error *err)
{
    const pfm_vision_options options = {.kind = path,
                                        .path = path,
                                        .image_size = size,
                                        .layers = {.count = 1, .layer = {layer}, .class_token = class_token},
                                        .gradients = gradients};
    return pfm_vision_load(context, &options, out, err);
}

float *vit_encode(pfm_vision *vision, bool wide)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_vision_shape shape = pfm_vision_get_shape(vision);
    float *pixels = vit_pixels(pfm_vision_get_image_size(vision));
    float *features = malloc(pfm_vision_shape_values(&shape) * sizeof *features);
    assert_non_null(features);
    if (wide)
        assert_ok(pfm_vision_encode(vision, pixels, 1, features, &err));
    else
        assert_ok(pfm_vision_encode_one(vision, pixels, features, &err));
    free(pixels);
    return features;
}

static void copy_file(const char *from, const char *to, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer content = {0};
    char *source = NULL, *target = NULL;
    assert_ok(pfm_path_join(from, name, &source, &err));
    assert_ok(pfm_path_join(to, name, &target, &err));
    if (pfm_path_exists(source)) {
        assert_ok(pfm_file_read(source, 1 << 20, &content, &err));
        assert_ok(pfm_file_write(target, content.data, content.size, &err));
    }
    pfm_buffer_free(&content);
    free(source);
    free(target);
}

const char *vit_copy(const char *name)
{
    static char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/%s", test_scratch_folder(), name);
    (void)mkdir(folder, 0755);
    copy_file(vit_network(name), folder, "config.json");
    copy_file(vit_network(name), folder, "open_clip_config.json");
    copy_file(vit_network(name), folder, "model.safetensors");
    return folder;
}

void vit_write_text(const char *folder, const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    char *path = NULL;
    assert_ok(pfm_path_join(folder, name, &path, &err));
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    free(path);
}
