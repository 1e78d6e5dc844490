/* Vision transformers told from names, tensors and the configuration beside them. */
#include "test.h"

#include "formats/safetensors.h"
#include "models/vit_fixture.h"

/* What torch counts, less what features do not pass (post_layernorm of CLIP, DINOv2's mask token, BLIP-2's biases of keys). */
static void shapes_without_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int size, grid, channels;
        uint64_t parameters;
    } known[] = {{"eva-clip-g-14", 448, 32, 1408, 985897344},
                 {"eva-vit-g-14", 448, 32, 1408, 985897344 - 2 * 1408},
                 {"clip-vit-l-14-336", 336, 24, 1024, 303505408},
                 {"clip-vit-b-32", 224, 7, 768, 87454464},
                 {"biomedclip", 224, 14, 768, 85798656},
                 {"biomedclip-cxr", 518, 37, 768, 86579712},
                 {"siglip-so400m-384", 384, 27, 1152, 412987248},
                 {"dinov2-small", 518, 37, 384, 22056192},
                 {"clip-vit-l-14", 224, 16, 1024, 0},
                 {"clip-vit-b-16", 224, 14, 768, 0},
                 {"siglip-base-224", 224, 14, 768, 0},
                 {"dinov2-base", 224, 16, 768, 0},
                 {"dinov2-large", 518, 37, 1024, 0},
                 {"efficientnet-lite1", 448, 14, 1280, 0},
                 {"efficientnet-lite4", 448, 14, 1280, 0}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision_layers layers = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        pfm_vision_shape shape;
        uint64_t parameters = 0;
        assert_ok(pfm_vision_shape_of(known[i].name, known[i].size, &layers, &shape, &parameters, &err));
        assert_int_equal(shape.grid, known[i].grid);
        assert_int_equal(shape.channels, known[i].channels);
        if (known[i].parameters > 0)
            assert_int_equal(parameters, known[i].parameters);
    }
    size_t all = 0, half = 0, some = 0;
    assert_ok(pfm_vision_bytes_of("eva-clip-g-14", 448, &layers, PFM_PRECISION_F32, &all, &err));
    assert_ok(pfm_vision_bytes_of("eva-clip-g-14", 448, &layers, PFM_PRECISION_BF16, &half, &err));
    assert_int_equal(all, 4 * (size_t)985897344);
    assert_true(half > all / 2 && half < all / 2 + all / 500);
    layers = (pfm_vision_layers){.count = 1, .layer = {-20}}; /* half of the blocks */
    assert_ok(pfm_vision_bytes_of("eva-clip-g-14", 448, &layers, PFM_PRECISION_F32, &some, &err));
    assert_true(some > all / 2 && some < all / 2 + all / 50);
    layers.count = 0;
    assert_ok(pfm_vision_bytes_of("efficientnet-lite0", 448, &layers, PFM_PRECISION_F32, &some, &err));
    assert_int_equal(some, 0);
    pfm_vision_shape shape;
    layers.class_token = true;
    assert_ok(pfm_vision_shape_of("clip-vit-l-14", 224, &layers, &shape, NULL, &err));
    assert_int_equal(shape.extra, 1);
    assert_int_equal(pfm_vision_shape_tokens(&shape), 257);
    assert_error(pfm_vision_shape_of("siglip-base-224", 224, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "no class token");
    assert_error(pfm_vision_shape_of("efficientnet-lite0", 224, &layers, &shape, NULL, &err), PFM_ERROR_USAGE,
                 "no class token");
    layers = (pfm_vision_layers){.count = 1, .layer = {-26}};
    assert_error(pfm_vision_shape_of("clip-vit-l-14", 224, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "no layer -26");
    layers.layer[0] = 25; /* there is no norm behind the last */
    assert_error(pfm_vision_shape_of("clip-vit-l-14", 224, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "no layer 25");
    layers.layer[0] = 0;
    assert_error(pfm_vision_shape_of("clip-vit-l-14", 10, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "patches of 14");
    assert_error(pfm_vision_shape_of("clip-vit-l-14", 4000, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "patches of 14");
}

/* As much of eva_vit_g.pth as shapes are told from: 40 blocks, of which 39 are used. */
static void eva_without_its_last_block(void **state)
{
    (void)state;
    enum { WIDTH = 1408, BLOCKS = 40, MLP = 6144, OTHERS = 5 };
    static pfm_bf16 zeros[MLP * WIDTH];
    static char names[BLOCKS][32];
    pfm_error err = PFM_ERROR_INIT;
    pfm_weight tensors[BLOCKS + OTHERS] = {{.name = "patch_embed.proj.weight", .rank = 4, .shape = {WIDTH, 3, 14, 14}},
                                           {.name = "pos_embed", .rank = 3, .shape = {1, 257, WIDTH}},
                                           {.name = "cls_token", .rank = 3, .shape = {1, 1, WIDTH}},
                                           {.name = "blocks.0.attn.q_bias", .rank = 1, .shape = {WIDTH}},
                                           {.name = "blocks.0.mlp.fc1.weight", .rank = 2, .shape = {MLP, WIDTH}}};
    for (int i = 0; i < BLOCKS; i++) {
        (void)snprintf(names[i], sizeof names[i], "blocks.%d.norm1.weight", i);
        tensors[OTHERS + i] = (pfm_weight){.name = names[i], .rank = 1, .shape = {WIDTH}};
    }
    for (int i = 0; i < BLOCKS + OTHERS; i++) {
        tensors[i].dtype = PFM_DTYPE_BF16;
        tensors[i].data = zeros;
        tensors[i].bytes = pfm_weight_values(&tensors[i]) * sizeof *zeros;
    }
    const char *path = test_path(test_scratch_folder(), "eva.safetensors");
    assert_ok(pfm_safetensors_write(path, tensors, BLOCKS + OTHERS, NULL, 0, &err));
    pfm_vision_shape shape;
    pfm_vision_layers layers = {.count = 1, .layer = {39}};
    uint64_t parameters;
    assert_ok(pfm_vision_shape_of(path, 448, &layers, &shape, &parameters, &err));
    assert_int_equal(shape.grid, 32);
    assert_int_equal(parameters, 985897344 - 2 * WIDTH); /* ln_vision is not in that file */
    layers.layer[0] = 40;
    assert_error(pfm_vision_shape_of(path, 448, &layers, &shape, NULL, &err), PFM_ERROR_USAGE, "0 to 39");
}

static void pixels_as_the_files_say(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    uint8_t grey[3 * 6];
    memset(grey, 100, sizeof grey);
    const pfm_image image = {.width = 3, .height = 2, .rgb = grey};
    static float pixels[3 * 28 * 28];
    pfm_context *context = vit_context(1, "ref", PFM_PRECISION_F32);
    const char *folder = vit_copy("clip");
    static const struct {
        const char *preprocessor;
        double scale, mean, deviation;
    } cases[] = {{NULL, 1 / 255.0, 0.48145466, 0.26862954},
                 {"{\"image_mean\": [0.1, 0.2, 0.3], \"image_std\": [0.5, 0.6, 0.7], \"rescale_factor\": 0.5}", 0.5, 0.1, 0.5},
                 {"{\"do_rescale\": false, \"do_normalize\": false, \"image_mean\": [1, 1, 1]}", 1, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_vision *vision = NULL;
        if (cases[i].preprocessor != NULL)
            vit_write_text(folder, "preprocessor_config.json", cases[i].preprocessor);
        assert_ok(vit_load(context, folder, 28, PFM_VISION_OUTPUT, false, false, &vision, &err));
        assert_ok(pfm_vision_preprocess(vision, &image, pixels, &err));
        assert_float_equal(pixels[0], (100 * cases[i].scale - cases[i].mean) / cases[i].deviation, 1e-4);
        pfm_vision_free(vision);
    }
    pfm_vision *vision = NULL;
    vit_write_text(folder, "preprocessor_config.json", "{\"image_std\": [0, 1, 1]}");
    assert_error(vit_load(context, folder, 28, 0, false, false, &vision, &err), PFM_ERROR_FORMAT, "image_std");
    vit_write_text(folder, "preprocessor_config.json", "{\"image_mean\": [0, 1]}");
    assert_error(vit_load(context, folder, 28, 0, false, false, &vision, &err), PFM_ERROR_FORMAT, "image_mean");
    assert_ok(vit_load(context, vit_network("open_clip"), 28, PFM_VISION_OUTPUT, false, false, &vision, &err));
    assert_ok(pfm_vision_preprocess(vision, &image, pixels, &err));
    assert_float_equal(pixels[0], (100 / 255.0 - 0.4) / 0.2, 1e-5); /* of its preprocess_cfg */
    pfm_vision_free(vision);
    pfm_context_free(context);
    (void)remove(test_path(folder, "preprocessor_config.json"));
}

static void configurations_that_cannot_be(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = vit_context(1, "ref", PFM_PRECISION_F32);
    pfm_vision *vision = NULL;
    static const struct {
        const char *network, *file, *text;
        pfm_status status;
        const char *part;
    } cases[] = {
        {"siglip", "config.json", "{\"model_type\": \"vit_mae\"}", PFM_ERROR_UNSUPPORTED, "vit_mae"},
        {"siglip", "config.json", "{}", PFM_ERROR_UNSUPPORTED, "(not stated)"},
        {"siglip", "config.json", "{\"model_type\": \"dinov2\"}", PFM_ERROR_MISMATCH, "missing"},
        {"siglip", "config.json", "{\"model_type\": \"siglip\"}", PFM_ERROR_FORMAT, "vision_config"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"hidden_act\": \"mish\"}", PFM_ERROR_UNSUPPORTED,
         "mish"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"hidden_size\": -24}", PFM_ERROR_FORMAT,
         "hidden_size"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"num_hidden_layers\": 1e9}", PFM_ERROR_FORMAT,
         "num_hidden_layers"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"hidden_size\": 25}", PFM_ERROR_FORMAT,
         "12 heads"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"image_size\": [28, 30]}", PFM_ERROR_FORMAT,
         "image_size"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"num_channels\": 1}", PFM_ERROR_UNSUPPORTED,
         "channels"},
        {"siglip", "config.json", "{\"model_type\": \"siglip_vision_model\", \"layer_norm_eps\": 0}", PFM_ERROR_FORMAT,
         "layer_norm_eps"},
        {"dinov2", "config.json", "{\"model_type\": \"dinov2\", \"mlp_ratio\": 1e30}", PFM_ERROR_FORMAT, "mlp_ratio"},
        {"open_clip", "open_clip_config.json", "{\"vision_cfg\": {\"attentional_pool\": true}}", PFM_ERROR_UNSUPPORTED,
         "attentional_pool"},
        {"open_clip", "open_clip_config.json", "{\"vision_cfg\": {\"head_width\": 7}}", PFM_ERROR_UNSUPPORTED, "heads of 7"},
        {"open_clip", "open_clip_config.json", "{\"vision_cfg\": {\"pos_embed_type\": \"sin_cos_2d\"}}", PFM_ERROR_UNSUPPORTED,
         "sin_cos_2d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *folder = vit_copy(cases[i].network);
        vit_write_text(folder, cases[i].file, cases[i].text);
        assert_error(vit_load(context, folder, 28, PFM_VISION_OUTPUT, false, false, &vision, &err), cases[i].status,
                     cases[i].part);
    }
    const char *folder = vit_copy("clip");
    (void)remove(test_path(folder, "config.json"));
    assert_error(vit_load(context, folder, 28, 0, false, false, &vision, &err), PFM_ERROR_IO, "no config.json");
    folder = vit_copy("open_clip");
    (void)remove(test_path(folder, "open_clip_config.json"));
    assert_error(vit_load(context, folder, 28, 0, false, false, &vision, &err), PFM_ERROR_IO, "quick_gelu");
    const char *language = test_path(vit_golden, "llama.safetensors");
    assert_error(vit_load(context, language, 28, 0, false, false, &vision, &err), PFM_ERROR_UNSUPPORTED, "no vision encoder");
    const pfm_vision_options named = {.kind = "clip-vit-l-14", .path = vit_network("clip"), .image_size = 28};
    assert_error(pfm_vision_load(context, &named, &vision, &err), PFM_ERROR_MISMATCH, "clip-vit-l-14");
    assert_null(vision);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes_without_files), cmocka_unit_test(eva_without_its_last_block),
                                       cmocka_unit_test(pixels_as_the_files_say),
                                       cmocka_unit_test(configurations_that_cannot_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
