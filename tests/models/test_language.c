/* The LLaMA family against transformers and PEFT (script/vectors/language.py): logits, the gradient of the embeddings and of
 * every LoRA factor, in f32 and bf16, from safetensors and from GGUF; and files that are no such model. */
#include "tiny.h"

#include "base/file.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/language/language.h"
#include "pefomed/infer.h"

#include <math.h>
#include <unistd.h>

typedef struct tiny_model {
    const char *name;
    int64_t tokens, hidden;
} tiny_model;

static const tiny_model models[] = {{"llama", 18, 32}, {"llama_untied", 12, 16}};

static void write_input(const char *path, const tiny_model *model)
{
    pfm_error err = PFM_ERROR_INIT;
    float embeds[18 * 32], grad[18 * TINY_VOCABULARY];
    tiny_spread(1, (size_t)(model->tokens * model->hidden), embeds);
    tiny_spread(2, (size_t)(model->tokens * TINY_VOCABULARY), grad);
    const pfm_weight tensors[] = {
        {.name = "inputs_embeds", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {model->tokens, model->hidden}, .data = embeds},
        {.name = "grad_out", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {model->tokens, TINY_VOCABULARY}, .data = grad},
    };
    assert_ok(pfm_safetensors_write(path, tensors, 2, NULL, 0, &err));
}

/* What `pefomed forward` makes of the golden input; close the result. */
static pfm_weights *run_forward(const tiny_model *model, const char *folder, bool adapter, const char *level,
                                pfm_precision precision)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(level, 2, precision);
    char in[256], out[256], adapter_folder[512];
    (void)snprintf(in, sizeof in, "%s", test_path(test_scratch_folder(), "in.safetensors"));
    (void)snprintf(out, sizeof out, "%s", test_path(test_scratch_folder(), "out.safetensors"));
    (void)snprintf(adapter_folder, sizeof adapter_folder, "%s/adapter", tiny_path(model->name));
    write_input(in, model);
    pfm_forward_options options = {
        .model = folder, .input = in, .output = out, .adapter = adapter ? adapter_folder : NULL, .grad = adapter};
    assert_ok(pfm_forward(context, &options, &err));
    pfm_context_free(context);
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(out, &weights, &err));
    return weights;
}

/* A folder with the golden model. Borrowed until the next. */
static const char *make_folder(const tiny_model *model, const char *name)
{
    static char folder[256];
    (void)snprintf(folder, sizeof folder, "%s/%s", test_scratch_folder(), name);
    tiny_copy_model(model->name, folder);
    return folder;
}

static const pfm_weight *find(const pfm_weights *weights, const char *name, float **values)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("%s lacks %s", pfm_weights_path(weights), name);
    *values = calloc(pfm_weight_values(weight), sizeof **values);
    assert_non_null(*values);
    assert_ok(pfm_weight_expand(weight, *values, &err));
    return weight;
}

/* Every tensor that the golden file has both as values and with the error of torch's autocast. */
static void compare(const tiny_model *model, const pfm_weights *made, pfm_precision precision, int wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = NULL;
    char file[64];
    int compared = 0;
    (void)snprintf(file, sizeof file, "%s.safetensors", model->name);
    assert_ok(pfm_weights_open(tiny_path(file), &golden, &err));
    for (size_t i = 0; i < pfm_weights_count(golden); i++) {
        const char *name = pfm_weights_at(golden, i)->name;
        float *a = NULL, *b = NULL, *error = NULL;
        if (strncmp(name, "error.", 6) != 0)
            continue;
        name += 6;
        (void)find(golden, pfm_weights_at(golden, i)->name, &error);
        size_t count = pfm_weight_values(find(golden, name, &b));
        assert_int_equal(pfm_weight_values(find(made, name, &a)), count);
        double size = 0, product = 0, own = 0;
        for (size_t j = 0; j < count; j++) {
            size += (double)b[j] * b[j];
            own += (double)a[j] * a[j];
            product += (double)a[j] * b[j];
        }
        if (precision == PFM_PRECISION_F32) {
            assert_near(name, a, b, count, strcmp(name, "logits") == 0 ? 1e-5 : 1e-4);
        } else { /* DESIGN.md, Numbers */
            assert_near(name, a, b, count, 1.5 * (double)error[0] / sqrt(size));
            if (!(product / sqrt(size * own) >= 0.999))
                fail_msg("%s: cosine %.6f", name, product / sqrt(size * own));
        }
        free(a);
        free(b);
        free(error);
        compared++;
    }
    assert_int_equal(compared, wanted);
    pfm_weights_close(golden);
}

static pfm_precision precision_at_hand;

static void compare_both(const char *level)
{
    static const int tensors[] = {2 + 2 * 7 * 2, 2 + 3 * 2};
    for (size_t m = 0; m < 2; m++) {
        pfm_weights *made = run_forward(&models[m], make_folder(&models[m], models[m].name), true, level, precision_at_hand);
        compare(&models[m], made, precision_at_hand, tensors[m]);
        pfm_weights_close(made);
    }
}

static void f32_is_what_transformers_and_peft_compute(void **state)
{
    (void)state;
    precision_at_hand = PFM_PRECISION_F32;
    tiny_each_level(compare_both);
}

static void bf16_is_as_near_as_autocast(void **state)
{
    (void)state;
    precision_at_hand = PFM_PRECISION_BF16;
    tiny_each_level(compare_both);
}

/* The last row of logits against a golden row. */
static void compare_last(const pfm_weights *made, const char *golden_name, double bound)
{
    float *golden = tiny_golden("llama", golden_name, TINY_VOCABULARY), *values = NULL;
    const pfm_weight *weight = find(made, "logits", &values);
    assert_near(golden_name, values + (weight->shape[0] - 1) * TINY_VOCABULARY, golden, TINY_VOCABULARY, bound);
    free(golden);
    free(values);
}

static void without_an_adapter_it_is_the_base(void **state)
{
    (void)state;
    pfm_weights *made = run_forward(&models[0], tiny_path("llama"), false, NULL, PFM_PRECISION_F32);
    compare_last(made, "bare_logits", 1e-5);
    pfm_weights_close(made);
}

static void ids_are_looked_up(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const char *in = test_path(test_scratch_folder(), "ids.safetensors"),
               *out = test_path(test_scratch_folder(), "of_ids.safetensors");
    const char *adapter = tiny_path("llama/adapter"), *model = tiny_path("llama");
    int64_t ids[18];
    for (int i = 0; i < 18; i++)
        ids[i] = (i * 37 + 5) % TINY_VOCABULARY;
    pfm_weight tensor = {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {18}, .data = ids};
    assert_ok(pfm_safetensors_write(in, &tensor, 1, NULL, 0, &err));
    pfm_forward_options options = {.model = model, .input = in, .output = out, .adapter = adapter};
    assert_ok(pfm_forward(context, &options, &err));
    pfm_weights *made = NULL;
    assert_ok(pfm_weights_open(out, &made, &err));
    compare_last(made, "ids_logits", 1e-5);
    pfm_weights_close(made);
    ids[7] = TINY_VOCABULARY;
    assert_ok(pfm_safetensors_write(in, &tensor, 1, NULL, 0, &err));
    assert_error(pfm_forward(context, &options, &err), PFM_ERROR_FORMAT, "input_ids[7]");
    pfm_context_free(context);
}

/* ---- GGUF ---- */

/* GGUF's order of the rows of a rotary head: pairs (i, i + half) side by side. */
static void interleave(float *values, int heads, int64_t head_rows, int64_t k)
{
    float *copy = malloc((size_t)(heads * head_rows * k) * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, values, (size_t)(heads * head_rows * k) * sizeof *copy);
    for (int h = 0; h < heads; h++)
        for (int64_t r = 0; r < head_rows; r++)
            memcpy(values + (h * head_rows + r) * k, copy + (h * head_rows + r / 2 + r % 2 * (head_rows / 2)) * k,
                   (size_t)k * sizeof *values);
    free(copy);
}

static void set_tokens(pfm_gguf_writer *writer)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *document = NULL;
    const char *tokens[TINY_VOCABULARY] = {NULL}, *merges[TINY_VOCABULARY], *key;
    char joined[TINY_VOCABULARY][64];
    assert_ok(pfm_json_load(tiny_path("llama/tokenizer.json"), &document, &err));
    const json_t *model = json_object_get(document, "model"), *list = json_object_get(model, "merges");
    json_t *id;
    json_object_foreach(json_object_get(model, "vocab"), key, id) tokens[json_integer_value(id)] = key;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        (void)snprintf(joined[i], sizeof joined[i], "%s %s", json_string_value(json_array_get(pair, 0)),
                       json_string_value(json_array_get(pair, 1)));
        merges[i] = joined[i];
    }
    assert_ok(pfm_gguf_set_text(writer, "tokenizer.ggml.model", "gpt2", &err));
    assert_ok(pfm_gguf_set_texts(writer, "tokenizer.ggml.tokens", tokens, NULL, TINY_VOCABULARY, &err));
    assert_ok(pfm_gguf_set_texts(writer, "tokenizer.ggml.merges", merges, NULL, json_array_size(list), &err));
    assert_ok(pfm_gguf_set_u32(writer, "tokenizer.ggml.eos_token_id", 2, &err));
    json_decref(document);
}

static void gguf_name(const char *name, char out[64])
{
    static const char *const parts[][2] = {{"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
                                           {"self_attn.q_proj", "attn_q"},   {"self_attn.k_proj", "attn_k"},
                                           {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"},
                                           {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
                                           {"mlp.down_proj", "ffn_down"},    {"model.embed_tokens", "token_embd"},
                                           {"model.norm", "output_norm"},    {"lm_head", "output"}};
    const char *layers = "model.layers.", *part = name;
    int length = 0;
    if (strncmp(name, layers, strlen(layers)) == 0) {
        part = strchr(name + strlen(layers), '.') + 1;
        length = snprintf(out, 64, "blk.%.*s", (int)(part - name - (ptrdiff_t)strlen(layers)), name + strlen(layers));
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(part, parts[i][0], strlen(parts[i][0])) == 0 && part[strlen(parts[i][0])] == '.')
            (void)snprintf(out + length, (size_t)(64 - length), "%s.weight", parts[i][1]);
}

/* The golden model as a GGUF file, in F32. */
static const char *make_gguf(const tiny_model *model, int heads, int kv_heads, int head_dim, int layers, int intermediate)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_gguf_writer *writer = NULL;
    pfm_weights *weights = NULL;
    float *values[32] = {NULL};
    char file[64], name[64];
    (void)snprintf(file, sizeof file, "%s/model.safetensors", model->name);
    assert_ok(pfm_weights_open(tiny_path(file), &weights, &err));
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    assert_ok(pfm_gguf_set_text(writer, "general.architecture", "llama", &err));
    const struct {
        const char *key;
        int value;
    } numbers[] = {{"llama.block_count", layers},
                   {"llama.embedding_length", (int)model->hidden},
                   {"llama.feed_forward_length", intermediate},
                   {"llama.attention.head_count", heads},
                   {"llama.attention.head_count_kv", kv_heads},
                   {"llama.attention.key_length", head_dim},
                   {"llama.context_length", 512}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_ok(pfm_gguf_set_u32(writer, numbers[i].key, (uint32_t)numbers[i].value, &err));
    assert_ok(pfm_gguf_set_f32(writer, "llama.rope.freq_base", 5000, &err));
    assert_ok(pfm_gguf_set_f32(writer, "llama.attention.layer_norm_rms_epsilon", 1e-5f, &err));
    set_tokens(writer);
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        pfm_weight tensor = *find(weights, pfm_weights_at(weights, i)->name, &values[i]);
        if (strstr(tensor.name, "q_proj") != NULL || strstr(tensor.name, "k_proj") != NULL)
            interleave(values[i], (int)tensor.shape[0] / head_dim, head_dim, tensor.shape[1]);
        gguf_name(tensor.name, name);
        tensor.name = name;
        tensor.dtype = PFM_DTYPE_F32;
        tensor.data = values[i];
        assert_ok(pfm_gguf_add_tensor(writer, &tensor, &err));
    }
    (void)snprintf(name, sizeof name, "%s.gguf", model->name);
    const char *path = test_path(test_scratch_folder(), name);
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    for (size_t i = 0; i < pfm_weights_count(weights); i++)
        free(values[i]);
    pfm_weights_close(weights);
    pfm_gguf_writer_free(writer);
    return path;
}

static void gguf_is_the_same_model(void **state)
{
    (void)state;
    pfm_weights *made = run_forward(&models[0], make_gguf(&models[0], 4, 2, 8, 2, 48), true, NULL, PFM_PRECISION_F32);
    compare(&models[0], made, PFM_PRECISION_F32, 30);
    pfm_weights_close(made);
    made = run_forward(&models[1], make_gguf(&models[1], 2, 1, 12, 1, 24), true, NULL, PFM_PRECISION_F32);
    compare(&models[1], made, PFM_PRECISION_F32, 8);
    pfm_weights_close(made);
}

typedef struct gathered {
    float *values;
    int64_t columns, rows, visits;
} gathered;

static void gather(void *user, int64_t row0, int64_t rows, const float *values)
{
    gathered *g = user;
    assert_int_equal(row0, g->rows); /* in turn, without a gap */
    memcpy(g->values + row0 * g->columns, values, (size_t)(rows * g->columns) * sizeof *values);
    g->rows += rows;
    g->visits++;
}

/* One tensor, some rows at a time and at once; `visits`: how often rows are handed out. */
static void check_rows(const pfm_weights *weights, const char *name, int64_t n, int64_t k, int64_t rows, int64_t visits)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_language_config config;
    size_t count = (size_t)(n * k);
    float *whole = malloc(count * sizeof *whole), *values = calloc(count, sizeof *values);
    assert_true(whole != NULL && values != NULL);
    gathered g = {.values = values, .columns = k};
    assert_ok(pfm_language_read_config(weights, &config, &err));
    assert_ok(pfm_language_read_tensor(weights, &config, name, n, k, whole, &err));
    assert_ok(pfm_language_visit_rows(weights, &config, name, n, k, rows, gather, &g, &err));
    assert_int_equal(g.rows, n);
    assert_int_equal(g.visits, visits);
    assert_memory_equal(values, whole, count * sizeof *whole);
    free(whole);
    free(values);
}

static void rows_in_turn_are_the_tensor(void **state)
{
    (void)state;
    static const char embedding[] = "model.embed_tokens.weight", query[] = "model.layers.1.self_attn.q_proj.weight",
                      norm[] = "model.norm.weight";
    pfm_error err = PFM_ERROR_INIT;
    const char *const paths[] = {tiny_path("llama"), make_gguf(&models[0], 4, 2, 8, 2, 48)};
    for (int gguf = 0; gguf < 2; gguf++) {
        pfm_weights *weights = NULL;
        assert_ok(pfm_weights_open(paths[gguf], &weights, &err));
        check_rows(weights, embedding, TINY_VOCABULARY, TINY_HIDDEN, 128, 3);
        check_rows(weights, embedding, TINY_VOCABULARY, TINY_HIDDEN, 1000, 1);
        check_rows(weights, query, 32, TINY_HIDDEN, 8, gguf ? 1 : 4); /* GGUF's rows stand in another order */
        check_rows(weights, norm, TINY_HIDDEN, 1, 8, 1);
        pfm_weights_close(weights);
    }
}

/* ---- what is no such model ---- */

static void replace(const char *folder, const char *name, const char *from, const char *to)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0}, changed = {0};
    assert_ok(pfm_file_read(test_path(folder, name), 0, &text, &err));
    assert_ok(pfm_buffer_append(&text, "", 1, &err));
    char *at = strstr(text.data, from);
    assert_non_null(at);
    assert_ok(pfm_buffer_append(&changed, text.data, (size_t)(at - text.data), &err));
    assert_ok(pfm_buffer_append_string(&changed, to, &err));
    assert_ok(pfm_buffer_append_string(&changed, at + strlen(from), &err));
    assert_ok(pfm_file_write(test_path(folder, name), changed.data, changed.size, &err));
    pfm_buffer_free(&text);
    pfm_buffer_free(&changed);
}

/* Opening the golden model with one text of its config.json replaced. */
static pfm_status open_changed(const tiny_model *model, const char *from, const char *to, pfm_error *err)
{
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    char in[256], folder[256];
    (void)snprintf(folder, sizeof folder, "%s", make_folder(model, "changed"));
    replace(folder, "config.json", from, to);
    (void)snprintf(in, sizeof in, "%s", test_path(test_scratch_folder(), "in.safetensors"));
    write_input(in, model);
    pfm_forward_options options = {.model = folder, .input = in, .output = test_path(test_scratch_folder(), "changed.out")};
    pfm_status status = pfm_forward(context, &options, err);
    pfm_context_free(context);
    return status;
}

static void a_wrong_config_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const tiny_model *m = &models[0];
    assert_ok(open_changed(m, "\"llama\"", "\"llama\"", &err));
    assert_error(open_changed(m, "\"model_type\": \"llama\"", "\"model_type\": \"bert\"", &err), PFM_ERROR_UNSUPPORTED,
                 "'bert'");
    assert_error(open_changed(m, "\"hidden_size\": 32", "\"hidden_size\": -1", &err), PFM_ERROR_FORMAT, "hidden_size");
    assert_error(open_changed(m, "\"num_hidden_layers\": 2", "\"layers\": 2", &err), PFM_ERROR_FORMAT, "num_hidden_layers");
    assert_error(open_changed(m, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", &err), PFM_ERROR_FORMAT, "share");
    assert_error(open_changed(m, "\"head_dim\": 8", "\"head_dim\": 16", &err), PFM_ERROR_MISMATCH, "k_proj");
    assert_error(open_changed(m, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", &err), PFM_ERROR_MISMATCH,
                 "model.layers.2.");
    assert_error(open_changed(m, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", &err), PFM_ERROR_MISMATCH,
                 "model.layers.1.");
    assert_error(open_changed(m, "\"vocab_size\": 300", "\"vocab_size\": 200", &err), PFM_ERROR_MISMATCH, "embed_tokens");
    assert_error(open_changed(m, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", &err), PFM_ERROR_MISMATCH,
                 "lm_head");
    assert_ok(open_changed(&models[1], "\"tie_word_embeddings\": false", "\"bos\": 1", &err)); /* as transformers has it */
}

static void what_would_be_computed_otherwise_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const tiny_model *m = &models[0];
    assert_error(open_changed(m, "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", &err), PFM_ERROR_UNSUPPORTED, "yarn");
    assert_error(open_changed(m, "\"rope_type\": \"default\"", "\"rope_type\": \"llama3\"", &err), PFM_ERROR_FORMAT, "factor");
    assert_error(open_changed(m, "\"rope_theta\"", "\"full_attention\": {}, \"rope_theta\"", &err), PFM_ERROR_UNSUPPORTED,
                 "'full_attention'");
    assert_error(open_changed(m, "\"rope_theta\"", "\"partial_rotary_factor\": 0.5, \"rope_theta\"", &err),
                 PFM_ERROR_UNSUPPORTED, "partial_rotary_factor");
    assert_error(open_changed(m, "\"hidden_act\"", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"a\"", &err),
                 PFM_ERROR_UNSUPPORTED, "rope_scaling");
    assert_error(open_changed(m, "\"hidden_act\": \"silu\"", "\"hidden_act\": \"tanh\"", &err), PFM_ERROR_UNSUPPORTED, "tanh");
    assert_error(open_changed(m, "\"hidden_act\"", "\"attention_bias\": true, \"hidden_act\"", &err), PFM_ERROR_MISMATCH,
                 "q_proj.bias");
    assert_ok(open_changed(m, "\"hidden_act\"", "\"rope_scaling\": null, \"hidden_act\"", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_is_what_transformers_and_peft_compute),
        cmocka_unit_test(bf16_is_as_near_as_autocast),
        cmocka_unit_test(without_an_adapter_it_is_the_base),
        cmocka_unit_test(ids_are_looked_up),
        cmocka_unit_test(gguf_is_the_same_model),
        cmocka_unit_test(rows_in_turn_are_the_tensor),
        cmocka_unit_test(a_wrong_config_is_named),
        cmocka_unit_test(what_would_be_computed_otherwise_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
