/* Every tensor of a vision transformer is read; none may be missing, left over or of another shape. */
#include "test.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "formats/weights.h"
#include "models/vit_fixture.h"

#include <fnmatch.h>

/* What a file holds beside the encoder. */
static const struct network {
    const char *name;
    int size;
    bool class_token;
    const char *unused[8];
} networks[] = {
    {"clip", 28, true, {"text_*", "visual_projection.weight", "logit_scale", "*.post_layernorm.*"}},
    {"siglip", 28, false, {"head.*"}},
    {"blip2", 28, true, {NULL}},
    {"dinov2", 28, true, {"embeddings.mask_token"}},
    {"dinov2_swiglu", 28, true, {"embeddings.mask_token"}},
    {"dinov2_registers", 28, true, {"embeddings.mask_token"}},
    {"open_clip",
     28,
     true,
     {"text_projection", "visual.ln_post.*", "visual.proj", "logit_scale", "transformer.*", "token_embedding.weight",
      "positional_embedding", "ln_final.*"}},
    {"timm", 12, true, {"text.*", "visual.head.*", "logit_scale"}},
    {"eva", 12, true, {NULL}},
};
enum { NETWORKS = sizeof networks / sizeof *networks };

static bool is_used(const struct network *network, const char *name)
{
    for (int i = 0; i < 8 && network->unused[i] != NULL; i++)
        if (fnmatch(network->unused[i], name, 0) == 0)
            return false;
    return true;
}

typedef enum change { CHANGE_VALUES, LEAVE_OUT, ADD, TURN } change;

/* Writes the network with one tensor changed, left out, doubled under a new name, or with a size of 1 more. */
static void write_changed(const pfm_weights *weights, size_t index, change what, const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    size_t count = pfm_weights_count(weights), kept = 0;
    pfm_weight *tensors = calloc(count + 1, sizeof *tensors);
    assert_non_null(tensors);
    for (size_t i = 0; i < count; i++)
        if (i != index || what != LEAVE_OUT)
            tensors[kept++] = *pfm_weights_at(weights, i);
    pfm_bf16 *values = NULL;
    char name[128];
    if (what == CHANGE_VALUES) {
        size_t n = tensors[index].bytes / sizeof *values;
        values = malloc(tensors[index].bytes);
        assert_non_null(values);
        memcpy(values, tensors[index].data, tensors[index].bytes);
        for (size_t i = 0; i < n; i++)
            values[i] = pfm_bf16_from_f32(pfm_bf16_to_f32(values[i]) * 1.25f + 0.0625f * (float)(i % 3));
        tensors[index].data = values;
    } else if (what == TURN) {
        tensors[index].rank++;
        tensors[index].shape[tensors[index].rank - 1] = 1;
    } else if (what == ADD) {
        tensors[kept] = tensors[index];
        (void)snprintf(name, sizeof name, "%.100s_more", tensors[index].name);
        tensors[kept++].name = name;
    }
    char *path = NULL;
    assert_ok(pfm_path_join(folder, "model.safetensors", &path, &err));
    assert_ok(pfm_safetensors_write(path, tensors, kept, NULL, 0, &err));
    free(path);
    free(values);
    free(tensors);
}

/* Perturbing any tensor changes the features; one less, one more or another shape is refused. */
static void every_weight_counts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = vit_context(1, NULL, PFM_PRECISION_F32);
    for (int n = 0; n < NETWORKS; n++) {
        const struct network *net = &networks[n];
        pfm_vision *vision = NULL;
        pfm_weights *weights = NULL;
        const char *folder = vit_copy(net->name);
        assert_ok(pfm_weights_open(vit_network(net->name), &weights, &err));
        assert_ok(vit_load(context, folder, net->size, PFM_VISION_OUTPUT, net->class_token, false, &vision, &err));
        const pfm_vision_shape shape = pfm_vision_get_shape(vision);
        float *right = vit_encode(vision, true);
        pfm_vision_free(vision);
        for (size_t i = 0; i < pfm_weights_count(weights); i++) {
            const char *name = pfm_weights_at(weights, i)->name;
            if (!is_used(net, name))
                continue;
            write_changed(weights, i, CHANGE_VALUES, folder);
            assert_ok(vit_load(context, folder, net->size, PFM_VISION_OUTPUT, net->class_token, false, &vision, &err));
            float *changed = vit_encode(vision, true);
            if (memcmp(changed, right, pfm_vision_shape_values(&shape) * sizeof *right) == 0)
                fail_msg("%s: %s is not read", net->name, name);
            free(changed);
            pfm_vision_free(vision);
            for (change what = LEAVE_OUT; what <= TURN; what++) {
                write_changed(weights, i, what, folder);
                vision = NULL;
                if (vit_load(context, folder, net->size, PFM_VISION_OUTPUT, false, false, &vision, &err) == PFM_OK)
                    fail_msg("%s: %s was taken as it was (%d)", net->name, name, (int)what);
                assert_null(vision);
                assert_non_null(strstr(err.message, folder));
                err = (pfm_error)PFM_ERROR_INIT;
            }
        }
        free(right);
        pfm_weights_close(weights);
    }
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_weight_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
