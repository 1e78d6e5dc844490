/* A run with a CLIP, an MLP and a LLaMA leaves as a LLaVA: names, shapes, configurations and values of what transformers and
 * llama.cpp read. script/check-llava asks those programs themselves. */
#include "train/whole_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "pefomed/infer.h"

#include <math.h>

enum { WIDTH = 24, PATCHES = 16, BLOCKS = 2, EXPORTED_VISION = 7 + 16 * BLOCKS, MOST_MORE = 4 };

/* A run on the golden CLIP; `more` changes the recipe further. */
static const char *make_run_with(const char *name, const char *language, const char *const *more, int count)
{
    pfm_error err = PFM_ERROR_INIT;
    static char vision[300], text[300];
    (void)snprintf(text, sizeof text, "model.language=%s", language);
    (void)snprintf(vision, sizeof vision, "model.vision=%s", tiny_path("vit_clip"));
    make_training();
    const char *sets[7 + MOST_MORE] = {vision,
                                       text,
                                       "model.image_size=33",
                                       "model.aligner=mlp2x_gelu",
                                       "model.layers=[-2]",
                                       "train.epochs=0.5",
                                       "prompt.instruction={question}"};
    for (int i = 0; i < count; i++)
        sets[7 + i] = more[i];
    stopper never = {.left = STOP_NEVER};
    const char *run = folder_of(name);
    assert_ok(train_recipe(training_recipe(), run, 2, &never, sets, 7 + count, false, &err));
    return run;
}

static const char *make_run(const char *name, const char *language, const char *set)
{
    return make_run_with(name, language, &set, set != NULL);
}

static pfm_status export_to(const char *run, const char *out, const char *to, pfm_error *err)
{
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const pfm_export_options options = {.run = run, .out = out, .merge = true, .to = to};
    pfm_status status = pfm_export(context, &options, err);
    pfm_context_free(context);
    return status;
}

static const pfm_weight *assert_tensor(const pfm_weights *weights, const char *name, int rank, const int64_t *shape)
{
    const pfm_weight *tensor = pfm_weights_find(weights, name);
    if (tensor == NULL || tensor->rank != rank || tensor->dtype != PFM_DTYPE_F32 ||
        memcmp(tensor->shape, shape, (size_t)rank * sizeof *shape) != 0)
        fail_msg("%s is missing or has another shape", name);
    return tensor;
}

static json_t *load_json(const char *folder, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *document = NULL;
    assert_ok(pfm_json_load(test_path(folder, name), &document, &err));
    return document;
}

static void assert_integer(const json_t *document, const char *key, int64_t wanted)
{
    const json_t *value = json_object_get(document, key);
    if (!json_is_integer(value) || json_integer_value(value) != wanted)
        fail_msg("%s is %lld, not %lld", key, (long long)json_integer_value(value), (long long)wanted);
}

static void assert_text(const json_t *document, const char *key, const char *wanted)
{
    assert_non_null(json_object_get(document, key));
    assert_string_equal(json_string_value(json_object_get(document, key)), wanted);
}

/* y = linear_2(gelu(linear_1(x))) of an exported file. */
static void project(const pfm_weights *weights, const float *x, float *y)
{
    static const char *const names[] = {"multi_modal_projector.linear_1.weight", "multi_modal_projector.linear_1.bias",
                                        "multi_modal_projector.linear_2.weight", "multi_modal_projector.linear_2.bias"};
    const float *w[4];
    double inner[TINY_HIDDEN];
    for (int i = 0; i < 4; i++)
        w[i] = pfm_weights_find(weights, names[i])->data;
    for (int row = 0; row < TINY_HIDDEN; row++) {
        double sum = (double)w[1][row];
        for (int j = 0; j < WIDTH; j++)
            sum += (double)w[0][row * WIDTH + j] * (double)x[j];
        inner[row] = sum * 0.5 * (1 + erf(sum / sqrt(2)));
    }
    for (int row = 0; row < TINY_HIDDEN; row++) {
        double sum = (double)w[3][row];
        for (int j = 0; j < TINY_HIDDEN; j++)
            sum += (double)w[2][row * TINY_HIDDEN + j] * inner[j];
        y[row] = (float)sum;
    }
}

/* What the run's aligner, normalisation included, makes of features is what the exported projector alone makes of them. */
static void assert_same_projection(const char *run, const pfm_weights *weights)
{
    pfm_error err = PFM_ERROR_INIT;
    static float features[PATCHES * WIDTH], wanted[PATCHES * TINY_HIDDEN];
    char input[256], output[256];
    pfm_weights *made = NULL;
    (void)snprintf(input, sizeof input, "%s/features.in", test_scratch_folder());
    (void)snprintf(output, sizeof output, "%s/features.out", test_scratch_folder());
    tiny_spread(3, PATCHES * WIDTH, features);
    const pfm_weight tensor = {
        .name = "image_features", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {PATCHES, WIDTH}, .data = features};
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const pfm_forward_options options = {.model = run, .input = input, .output = output};
    assert_ok(pfm_forward(context, &options, &err));
    pfm_context_free(context);
    assert_ok(pfm_weights_open(output, &made, &err));
    for (int i = 0; i < PATCHES; i++)
        project(weights, features + (ptrdiff_t)i * WIDTH, wanted + (ptrdiff_t)i * TINY_HIDDEN);
    assert_near("visual tokens", wanted, pfm_weights_find(made, "features")->data, PATCHES * TINY_HIDDEN, 1e-5);
    pfm_weights_close(made);
}

static void assert_folder_tensors(const char *out, int64_t tokens, int64_t positions)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL, *source = NULL;
    assert_ok(pfm_weights_open(test_path(out, "model.safetensors"), &weights, &err));
    assert_tensor(weights, "language_model.model.embed_tokens.weight", 2, (int64_t[]){tokens, TINY_HIDDEN});
    assert_tensor(weights, "language_model.model.layers.1.self_attn.k_proj.weight", 2, (int64_t[]){16, TINY_HIDDEN});
    assert_null(pfm_weights_find(weights, "language_model.lm_head.weight")); /* tied */
    assert_tensor(weights, "vision_tower.vision_model.embeddings.position_embedding.weight", 2, (int64_t[]){positions, WIDTH});
    assert_tensor(weights, "vision_tower.vision_model.embeddings.patch_embedding.weight", 4, (int64_t[]){WIDTH, 3, 7, 7});
    assert_tensor(weights, "vision_tower.vision_model.post_layernorm.weight", 1, (int64_t[]){WIDTH});
    assert_tensor(weights, "vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight", 2, (int64_t[]){40, WIDTH});
    assert_tensor(weights, "multi_modal_projector.linear_1.weight", 2, (int64_t[]){TINY_HIDDEN, WIDTH});
    size_t vision = 0;
    for (size_t i = 0; i < pfm_weights_count(weights); i++)
        vision += strncmp(pfm_weights_at(weights, i)->name, "vision_tower.", strlen("vision_tower.")) == 0;
    assert_int_equal(vision, EXPORTED_VISION);
    /* the frozen encoder is the file's, number by number */
    assert_ok(pfm_weights_open(tiny_path("vit_clip"), &source, &err));
    static const char *const same[] = {"embeddings.class_embedding", "pre_layrnorm.bias",
                                       "encoder.layers.0.self_attn.v_proj.weight", "encoder.layers.1.layer_norm2.weight"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char a[128], b[128];
        (void)snprintf(a, sizeof a, "vision_tower.vision_model.%s", same[i]);
        (void)snprintf(b, sizeof b, "vision_model.%s", same[i]);
        const pfm_weight *x = pfm_weights_find(weights, a), *y = pfm_weights_find(source, b);
        assert_non_null(x);
        assert_non_null(y);
        static float values[WIDTH * WIDTH];
        assert_true(pfm_weight_values(y) <= WIDTH * WIDTH);
        assert_ok(pfm_weight_expand(y, values, &err));
        assert_int_equal(x->bytes, pfm_weight_values(y) * sizeof *values);
        assert_memory_equal(x->data, values, x->bytes);
    }
    pfm_weights_close(source);
    pfm_weights_close(weights);
}

static void a_llava_leaves_for_transformers(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    const char *run = make_run("clip_run", tiny_path("llama"), NULL), *out = folder_of("llava");
    assert_ok(export_to(run, out, NULL, &err));
    json_t *config = load_json(out, "config.json"), *pictures = load_json(out, "preprocessor_config.json"),
           *processor = load_json(out, "processor_config.json"), *generation = load_json(out, "generation_config.json"),
           *tokenizer = load_json(out, "tokenizer.json");
    const json_t *vision = json_object_get(config, "vision_config"), *text = json_object_get(config, "text_config");
    assert_text(json_object_get(config, "architectures") != NULL ? config : NULL, "model_type", "llava");
    assert_text(config, "projector_hidden_act", "gelu");
    assert_text(config, "vision_feature_select_strategy", "default");
    assert_integer(config, "vision_feature_layer", -2);
    assert_integer(config, "image_seq_length", PATCHES);
    assert_text(vision, "model_type", "clip_vision_model");
    assert_text(vision, "hidden_act", "gelu");
    assert_integer(vision, "image_size", 33);
    assert_integer(vision, "num_hidden_layers", BLOCKS);
    assert_text(text, "model_type", "llama");
    assert_true(json_is_true(json_object_get(config, "tie_word_embeddings")));
    /* a token <image>, behind those that the tokenizer has, and a row for it that no answer takes */
    const int64_t image = json_integer_value(json_object_get(config, "image_token_index"));
    const int64_t tokens = json_integer_value(json_object_get(text, "vocab_size"));
    assert_int_equal(image, TINY_VOCABULARY);
    assert_int_equal(tokens, TINY_VOCABULARY + 1);
    const json_t *added = json_object_get(tokenizer, "added_tokens");
    const json_t *last = json_array_get(added, json_array_size(added) - 1);
    assert_text(last, "content", "<image>");
    assert_integer(last, "id", image);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(generation, "suppress_tokens"), 0)), image);
    assert_true(json_is_false(json_object_get(pictures, "do_center_crop")));
    assert_integer(json_object_get(pictures, "size"), "width", 33);
    assert_integer(pictures, "resample", 3);
    assert_integer(processor, "num_additional_image_tokens", 1);
    assert_folder_tensors(out, tokens, PATCHES + 1);
    assert_ok(pfm_weights_open(test_path(out, "model.safetensors"), &weights, &err));
    assert_same_projection(run, weights);
    pfm_weights_close(weights);
    json_t *const all[] = {config, pictures, processor, generation, tokenizer};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
}

/* *answer and *probability of a question about the first picture. */
static void ask(const char *run_or_recipe, char answer[64], double *probability)
{
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const char *image = test_path(test_scratch_folder(), "p1.png");
    const pfm_ask_options options = {
        .run = run_or_recipe, .images = &image, .image_count = 1, .question = "Is the lung normal?", .max_tokens = 8};
    assert_ok(pfm_ask(context, &options, &json, &err));
    json_t *document = json_loads(json, 0, NULL);
    (void)snprintf(answer, 64, "%s", json_string_value(json_object_get(document, "answer")));
    *probability = json_number_value(json_object_get(document, "probability"));
    json_decref(document);
    free(json);
    pfm_context_free(context);
}

/* bound: of the relative difference between the answers' probabilities. */
static void comes_back(const char *name, const char *run, double bound)
{
    pfm_error err = PFM_ERROR_INIT;
    char text[2000], answers[2][64];
    double probabilities[2];
    const char *out = folder_of(name), *recipe = test_path(out, "recipe.yaml");
    assert_ok(export_to(run, out, NULL, &err));
    (void)snprintf(text, sizeof text,
                   "model: {vision: %s, image_size: 33, layers: [-2], aligner: mlp2x_gelu, aligner_weights: %s, "
                   "normalise: false, language: %s}\n"
                   "peft: {method: none}\ndata: {dataset: table}\nprompt: {instruction: '{question}'}\n",
                   out, out, out);
    assert_ok(pfm_file_write(recipe, text, strlen(text), &err));
    ask(run, answers[0], &probabilities[0]);
    ask(recipe, answers[1], &probabilities[1]);
    assert_string_equal(answers[0], answers[1]);
    if (!(fabs(probabilities[0] - probabilities[1]) < bound * probabilities[0]))
        fail_msg("the probability is %.9g, not %.9g", probabilities[1], probabilities[0]);
}

/* A folder of transformers' LLaVA is a vision encoder, an aligner and a language model at once. */
static void a_llava_comes_back(void **state)
{
    (void)state;
    comes_back("llava_again", make_run("again_run", tiny_path("llama"), NULL), 1e-3);
}

/* What was learned in the encoder leaves within its weights: W + alpha / rank B A. The run keeps the state that enters its
 * first block in f16, the LLaVA its features, so that the answers agree to less. */
static void a_learned_encoder_comes_back(void **state)
{
    (void)state;
    enum { RANK = 4 };
    static const char name[] = "encoder.layers.0.self_attn.q_proj";
    pfm_error err = PFM_ERROR_INIT;
    const char *run = make_run("learned_run", tiny_path("llama"), "peft.parts=[language, vision]");
    pfm_weights *base = NULL, *adapter = NULL, *merged = NULL;
    char full[160];
    float weight[WIDTH * WIDTH];
    double moved = 0;
    comes_back("llava_learned", run, 1e-2);
    assert_ok(pfm_weights_open(tiny_path("vit_clip/model.safetensors"), &base, &err));
    assert_ok(pfm_weights_open(test_path(run, "adapter-vision/adapter_model.safetensors"), &adapter, &err));
    assert_ok(pfm_weights_open(test_path(folder_of("llava_learned"), "model.safetensors"), &merged, &err));
    (void)snprintf(full, sizeof full, "vision_model.%s.weight", name);
    assert_ok(pfm_weight_expand(pfm_weights_find(base, full), weight, &err));
    (void)snprintf(full, sizeof full, "base_model.model.%s.lora_A.weight", name);
    const float *a = assert_tensor(adapter, full, 2, (int64_t[]){RANK, WIDTH})->data;
    (void)snprintf(full, sizeof full, "base_model.model.%s.lora_B.weight", name);
    const float *b = assert_tensor(adapter, full, 2, (int64_t[]){WIDTH, RANK})->data;
    (void)snprintf(full, sizeof full, "vision_tower.vision_model.%s.weight", name);
    const float *w = assert_tensor(merged, full, 2, (int64_t[]){WIDTH, WIDTH})->data;
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < WIDTH; j++) {
            double update = 0;
            for (int r = 0; r < RANK; r++)
                update += 2.0 * (double)b[i * RANK + r] * (double)a[r * WIDTH + j];
            moved += fabs(update);
            assert_true(fabs((double)w[i * WIDTH + j] - (double)weight[i * WIDTH + j] - update) < 1e-6);
        }
    assert_true(moved > 1e-2);
    pfm_weights_close(base);
    pfm_weights_close(adapter);
    pfm_weights_close(merged);
}

/* The features of a picture's numbers, from a run or an exported folder; the caller frees. */
static float *features_of(const char *model, bool is_run)
{
    enum { SIDE = 33 };
    pfm_error err = PFM_ERROR_INIT;
    static float pixels[3 * SIDE * SIDE];
    const char *input = test_path(test_scratch_folder(), "pixels.in"), *output = test_path(test_scratch_folder(), "pixels.out");
    pfm_weights *made = NULL;
    tiny_spread(31, 3 * SIDE * SIDE, pixels);
    const pfm_weight tensor = {
        .name = "pixel_values", .dtype = PFM_DTYPE_F32, .rank = 3, .shape = {3, SIDE, SIDE}, .data = pixels};
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const pfm_forward_options options = {
        .model = model, .input = input, .output = output, .has_layer = !is_run, .layer = -2, .patches = !is_run};
    assert_ok(pfm_forward(context, &options, &err));
    pfm_context_free(context);
    assert_ok(pfm_weights_open(output, &made, &err));
    float *features = calloc(PATCHES * WIDTH, sizeof *features);
    assert_non_null(features);
    assert_ok(pfm_weight_expand(assert_tensor(made, "features", 2, (int64_t[]){PATCHES, WIDTH}), features, &err));
    pfm_weights_close(made);
    return features;
}

/* The same of other methods, of biases and of modules that train whole. */
static void encoders_leave_with_their_method_merged(void **state)
{
    (void)state;
    static const char *const methods[][3] = {
        {"peft.bias=all", "peft.modules_to_save=[layer_norm2]", "peft.targets=[q_proj, fc1]"},
        {"peft.method=dora", "peft.bias=lora_only", "peft.targets=[v_proj, fc2]"},
        {"peft.method=ia3", "peft.feedforward=[fc2]", "peft.targets=[k_proj, v_proj, fc2]"}};
    pfm_error err = PFM_ERROR_INIT;
    float *bare = features_of(tiny_path("vit_clip"), false);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        const char *const sets[] = {"peft.parts=[vision]", methods[i][0], methods[i][1], methods[i][2]};
        char name[2][32];
        (void)snprintf(name[0], sizeof name[0], "encoder_%zu", i);
        (void)snprintf(name[1], sizeof name[1], "encoder_out_%zu", i);
        const char *run = make_run_with(name[0], tiny_path("llama"), sets, 4), *out = folder_of(name[1]);
        assert_ok(export_to(run, out, NULL, &err));
        float *learned = features_of(run, true), *merged = features_of(out, false);
        assert_near(methods[i][0], merged, learned, PATCHES * WIDTH, 1e-5);
        assert_true(tiny_distance(bare, learned, PATCHES * WIDTH) > 1e-3);
        free(learned);
        free(merged);
    }
    free(bare);
}

static void positions_leave_at_the_size_in_use(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *out = folder_of("llava_large");
    assert_ok(export_to(make_run("large_run", tiny_path("llama"), "model.image_size=42"), out, NULL, &err));
    assert_folder_tensors(out, TINY_VOCABULARY + 1, 6 * 6 + 1);
    json_t *config = load_json(out, "config.json");
    assert_integer(json_object_get(config, "vision_config"), "image_size", 42);
    json_decref(config);
}

/* A LLaMA of one block in GGUF, with the golden vocabulary and numbers without a meaning. */
static const char *make_gguf(void)
{
    enum { TOKENS = 423, INNER = 48 };
    pfm_error err = PFM_ERROR_INIT;
    static float values[TOKENS * TINY_HIDDEN];
    static const char *const sizes[] = {"context_length", "embedding_length",     "feed_forward_length",
                                        "block_count",    "attention.head_count", "rope.dimension_count"};
    static const uint32_t numbers[] = {128, TINY_HIDDEN, INNER, 1, 4, 8};
    static const struct {
        const char *name;
        int64_t n, k;
    } tensors[] = {{"token_embd.weight", TOKENS, TINY_HIDDEN},        {"output_norm.weight", TINY_HIDDEN, 1},
                   {"blk.0.attn_norm.weight", TINY_HIDDEN, 1},        {"blk.0.ffn_norm.weight", TINY_HIDDEN, 1},
                   {"blk.0.attn_q.weight", TINY_HIDDEN, TINY_HIDDEN}, {"blk.0.attn_k.weight", TINY_HIDDEN, TINY_HIDDEN},
                   {"blk.0.attn_v.weight", TINY_HIDDEN, TINY_HIDDEN}, {"blk.0.attn_output.weight", TINY_HIDDEN, TINY_HIDDEN},
                   {"blk.0.ffn_gate.weight", INNER, TINY_HIDDEN},     {"blk.0.ffn_up.weight", INNER, TINY_HIDDEN},
                   {"blk.0.ffn_down.weight", TINY_HIDDEN, INNER}};
    pfm_gguf_writer *writer = NULL;
    pfm_weights *vocabulary = NULL;
    static char path[256];
    char key[64];
    (void)snprintf(path, sizeof path, "%s/language.gguf", test_scratch_folder());
    assert_ok(pfm_weights_open(PFM_SOURCE_DIR "/tests/text/golden/families/smollm/smollm.gguf", &vocabulary, &err));
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    assert_ok(pfm_gguf_copy_meta(writer, vocabulary, NULL, &err));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        (void)snprintf(key, sizeof key, "llama.%s", sizes[i]);
        assert_ok(pfm_gguf_set_u32(writer, key, numbers[i], &err));
    }
    assert_ok(
        pfm_gguf_set_text(writer, "tokenizer.chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}:", &err));
    tiny_spread(7, TOKENS * TINY_HIDDEN, values);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const pfm_weight tensor = {.name = tensors[i].name,
                                   .dtype = PFM_DTYPE_F32,
                                   .rank = tensors[i].k == 1 ? 1 : 2,
                                   .shape = {tensors[i].n, tensors[i].k},
                                   .data = values};
        assert_ok(pfm_gguf_add_tensor(writer, &tensor, &err));
    }
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    pfm_gguf_writer_free(writer);
    pfm_weights_close(vocabulary);
    return path;
}

static void a_llava_leaves_for_llama_cpp(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *run = make_run("gguf_run", make_gguf(), NULL), *folder = folder_of("llava_of_gguf");
    pfm_weights *mmproj = NULL, *language = NULL, *whole = NULL;
    assert_ok(export_to(run, folder_of("m.gguf"), "gguf", &err));
    assert_ok(export_to(run, folder, NULL, &err));
    assert_ok(pfm_weights_open(test_path(test_scratch_folder(), "m.gguf"), &language, &err));
    assert_ok(pfm_weights_open(test_path(test_scratch_folder(), "m-mmproj.gguf"), &mmproj, &err));
    assert_ok(pfm_weights_open(test_path(folder, "model.safetensors"), &whole, &err));
    assert_int_equal(pfm_weights_count(language), 11); /* the language model alone, its vocabulary as it was */
    assert_tensor(language, "token_embd.weight", 2, (int64_t[]){423, TINY_HIDDEN});
    assert_string_equal(pfm_weights_meta_string(mmproj, "general.architecture", NULL), "clip");
    assert_string_equal(pfm_weights_meta_string(mmproj, "clip.projector_type", NULL), "mlp");
    static const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"clip.vision.image_size", 33},
                   {"clip.vision.patch_size", 7},
                   {"clip.vision.embedding_length", 24},
                   {"clip.vision.feed_forward_length", 40},
                   {"clip.vision.block_count", BLOCKS},
                   {"clip.vision.attention.head_count", 3},
                   {"clip.vision.projection_dim", 32},
                   {"clip.has_vision_encoder", 1},
                   {"clip.use_gelu", 1},
                   {"clip.use_silu", 0}};
    int64_t value = -1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_true(pfm_weights_meta_integer(mmproj, numbers[i].key, &value));
        assert_int_equal(value, numbers[i].value);
    }
    assert_int_equal(pfm_weights_meta_array_count(mmproj, "clip.vision.feature_layer"), 1);
    assert_true(pfm_weights_meta_array_integer(mmproj, "clip.vision.feature_layer", 0, &value));
    assert_int_equal(value, 1); /* -2 of two blocks */
    static const char *const same[][2] = {
        {"v.class_embd", "vision_tower.vision_model.embeddings.class_embedding"},
        {"v.position_embd.weight", "vision_tower.vision_model.embeddings.position_embedding.weight"},
        {"v.patch_embd.weight", "vision_tower.vision_model.embeddings.patch_embedding.weight"},
        {"v.pre_ln.bias", "vision_tower.vision_model.pre_layrnorm.bias"},
        {"v.blk.1.attn_out.weight", "vision_tower.vision_model.encoder.layers.1.self_attn.out_proj.weight"},
        {"v.blk.0.ln2.weight", "vision_tower.vision_model.encoder.layers.0.layer_norm2.weight"},
        {"v.blk.0.ffn_up.weight", "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"},
        {"v.blk.0.ffn_down.bias", "vision_tower.vision_model.encoder.layers.0.mlp.fc2.bias"},
        {"mm.0.weight", "multi_modal_projector.linear_1.weight"},
        {"mm.2.bias", "multi_modal_projector.linear_2.bias"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const pfm_weight *x = pfm_weights_find(mmproj, same[i][0]), *y = pfm_weights_find(whole, same[i][1]);
        assert_non_null(x);
        assert_non_null(y);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, y->bytes);
    }
    assert_int_equal(pfm_weights_count(mmproj), EXPORTED_VISION - 2 + 4); /* no norm of the pooled token */
    pfm_weights_close(mmproj);
    pfm_weights_close(language);
    pfm_weights_close(whole);
}

/* What is no LLaVA leaves as its language model, under the names that it had. */
static void other_parts_leave_the_language_model_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"model.merge=2", "model.aligner=linear", "model.layers=[-2, -1]"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char name[32];
        pfm_weights *weights = NULL;
        (void)snprintf(name, sizeof name, "other%zu", i);
        const char *run = make_run(name, tiny_path("llama"), sets[i]);
        (void)snprintf(name, sizeof name, "other_out%zu", i);
        const char *out = folder_of(name);
        assert_ok(export_to(run, out, NULL, &err));
        assert_ok(pfm_weights_open(test_path(out, "model.safetensors"), &weights, &err));
        assert_tensor(weights, "model.embed_tokens.weight", 2, (int64_t[]){TINY_VOCABULARY, TINY_HIDDEN});
        json_t *config = load_json(out, "config.json");
        assert_text(config, "model_type", "llama");
        json_decref(config);
        pfm_weights_close(weights);
    }
}

/* ---- merging ---- */

/* The golden LLaMA with biases on queries, keys, values and outputs. */
static const char *make_biased(void)
{
    static const struct {
        const char *layer;
        int64_t n;
    } biases[] = {{"q_proj", 32}, {"k_proj", 16}, {"v_proj", 16}, {"o_proj", 32}};
    enum { BIASES = sizeof biases / sizeof *biases };
    static char folder[256], names[2 * BIASES][64];
    static float values[2 * BIASES][32];
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    pfm_weight tensors[64];
    (void)snprintf(folder, sizeof folder, "%s/biased", test_scratch_folder());
    tiny_copy_model("llama", folder);
    json_t *config = load_json(folder, "config.json");
    assert_int_equal(json_object_set_new(config, "attention_bias", json_true()), 0);
    assert_ok(pfm_json_save(test_path(folder, "config.json"), config, &err));
    json_decref(config);
    assert_ok(pfm_weights_open(tiny_path("llama/model.safetensors"), &weights, &err));
    const size_t count = pfm_weights_count(weights);
    assert_true(count + 2 * BIASES <= 64);
    for (size_t i = 0; i < count; i++)
        tensors[i] = *pfm_weights_at(weights, i);
    for (size_t i = 0; i < 2 * BIASES; i++) {
        (void)snprintf(names[i], sizeof names[i], "model.layers.%zu.self_attn.%s.bias", i / BIASES, biases[i % BIASES].layer);
        tiny_spread(60 + (uint32_t)i, 32, values[i]);
        tensors[count + i] = (pfm_weight){.name = names[i],
                                          .dtype = PFM_DTYPE_F32,
                                          .rank = 1,
                                          .shape = {biases[i % BIASES].n},
                                          .data = values[i],
                                          .bytes = (size_t)biases[i % BIASES].n * sizeof(float)};
    }
    assert_ok(pfm_safetensors_write(test_path(folder, "model.safetensors"), tensors, count + 2 * BIASES, NULL, 0, &err));
    pfm_weights_close(weights);
    return folder;
}

/* The logits of some ids, from a run or an exported folder; the caller frees. */
static float *logits_of(const char *model)
{
    enum { IDS = 12 };
    pfm_error err = PFM_ERROR_INIT;
    int64_t ids[IDS];
    char input[256], output[256];
    pfm_weights *made = NULL;
    (void)snprintf(input, sizeof input, "%s/ids.in", test_scratch_folder());
    (void)snprintf(output, sizeof output, "%s/ids.out", test_scratch_folder());
    for (int i = 0; i < IDS; i++)
        ids[i] = (i * 37 + 5) % TINY_VOCABULARY;
    const pfm_weight tensor = {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {IDS}, .data = ids};
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const pfm_forward_options options = {.model = model, .input = input, .output = output};
    assert_ok(pfm_forward(context, &options, &err));
    pfm_context_free(context);
    assert_ok(pfm_weights_open(output, &made, &err));
    float *logits = calloc(IDS * TINY_VOCABULARY, sizeof *logits);
    assert_non_null(logits);
    assert_ok(pfm_weight_expand(pfm_weights_find(made, "logits"), logits, &err));
    pfm_weights_close(made);
    return logits;
}

/* What a run learned is in the weights and biases that it leaves, whatever the method; and it learned something. */
static void a_run_leaves_with_its_method_merged(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const methods[] = {"peft.method=lora", "peft.method=dora", "peft.method=ia3"};
    const char *base = make_biased();
    float *bare = logits_of(base);
    char language[300];
    (void)snprintf(language, sizeof language, "model.language=%s", base);
    make_training();
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        const char *const sets[] = {language, methods[i]};
        char name[64];
        stopper never = {.left = STOP_NEVER};
        const char *run = folder_of(methods[i]);
        (void)snprintf(name, sizeof name, "merged_%zu", i);
        const char *out = folder_of(name);
        assert_ok(train_recipe(training_recipe(), run, 2, &never, sets, 2, false, &err));
        assert_ok(export_to(run, out, NULL, &err));
        float *learned = logits_of(run), *merged = logits_of(out);
        assert_near(methods[i], merged, learned, 12 * TINY_VOCABULARY, 1e-5);
        assert_true(tiny_distance(bare, learned, 12 * TINY_VOCABULARY) > 1e-3);
        free(learned);
        free(merged);
    }
    free(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llava_leaves_for_transformers),
        cmocka_unit_test(a_llava_comes_back),
        cmocka_unit_test(a_learned_encoder_comes_back),
        cmocka_unit_test(encoders_leave_with_their_method_merged),
        cmocka_unit_test(positions_leave_at_the_size_in_use),
        cmocka_unit_test(a_llava_leaves_for_llama_cpp),
        cmocka_unit_test(other_parts_leave_the_language_model_alone),
        cmocka_unit_test(a_run_leaves_with_its_method_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
