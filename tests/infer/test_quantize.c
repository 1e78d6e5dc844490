/* pefomed quantize on a small random LLaMA: the bytes of the blocks, what stays as it was, and that a file's own blocks reach
 * the model as they are. */
#include "pefomed/infer.h"

#include "base/file.h"
#include "base/quantise.h"
#include "formats/gguf.h"
#include "models/language/language.h"
#include "test.h"

#include <math.h>

enum { HIDDEN = 64, INTERMEDIATE = 256, VOCABULARY = 20, HEADS = 4, LAYERS = 2, TENSORS = 2 + 9 * LAYERS };

static pfm_context *context;

typedef struct small_model {
    pfm_weight tensors[TENSORS];
    char names[TENSORS][64];
    float *values[TENSORS];
    int count;
} small_model;

static void add(small_model *m, const char *name, int64_t n, int64_t k)
{
    const size_t values = (size_t)(n * k);
    float *data = calloc(values, sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < values; i++)
        data[i] = (float)((i * 2654435761u + (size_t)m->count * 977) % 4093) / 4093.0f - 0.5f;
    (void)snprintf(m->names[m->count], sizeof m->names[0], "%s", name);
    m->values[m->count] = data;
    m->tensors[m->count] = (pfm_weight){.name = m->names[m->count],
                                        .dtype = PFM_DTYPE_F32,
                                        .rank = k == 1 ? 1 : 2,
                                        .shape = {n, k},
                                        .data = data,
                                        .bytes = values * sizeof *data};
    m->count++;
}

static void add_layer(small_model *m, const char *prefix, const char *const names[9])
{
    static const int64_t shapes[9][2] = {
        {HIDDEN, 1}, {HIDDEN, HIDDEN},       {HIDDEN, HIDDEN},       {HIDDEN, HIDDEN},      {HIDDEN, HIDDEN},
        {HIDDEN, 1}, {INTERMEDIATE, HIDDEN}, {INTERMEDIATE, HIDDEN}, {HIDDEN, INTERMEDIATE}};
    for (int i = 0; i < 9; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s.%s.weight", prefix, names[i]);
        add(m, name, shapes[i][0], shapes[i][1]);
    }
}

static void release(small_model *m)
{
    for (int i = 0; i < m->count; i++)
        free(m->values[i]);
}

static const char *in_scratch(const char *name) { return test_path(test_scratch_folder(), name); }

static const char *const gguf_names[9] = {"attn_norm", "attn_q",   "attn_k", "attn_v",  "attn_output",
                                          "ffn_norm",  "ffn_gate", "ffn_up", "ffn_down"};

static void write_gguf(small_model *m, const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_gguf_writer *writer = NULL;
    *m = (small_model){0};
    add(m, "token_embd.weight", VOCABULARY, HIDDEN);
    add(m, "output_norm.weight", HIDDEN, 1);
    add_layer(m, "blk.0", gguf_names);
    add_layer(m, "blk.1", gguf_names);
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    assert_ok(pfm_gguf_set_text(writer, "general.architecture", "llama", &err));
    assert_ok(pfm_gguf_set_u32(writer, "general.file_type", 0, &err));
    assert_ok(pfm_gguf_set_u32(writer, "llama.block_count", LAYERS, &err));
    assert_ok(pfm_gguf_set_u32(writer, "llama.embedding_length", HIDDEN, &err));
    assert_ok(pfm_gguf_set_u32(writer, "llama.feed_forward_length", INTERMEDIATE, &err));
    assert_ok(pfm_gguf_set_u32(writer, "llama.attention.head_count", HEADS, &err));
    assert_ok(pfm_gguf_set_u32(writer, "llama.context_length", 32, &err));
    for (int i = 0; i < m->count; i++)
        assert_ok(pfm_gguf_add_tensor(writer, &m->tensors[i], &err));
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    pfm_gguf_writer_free(writer);
}

static pfm_status quantize(const char *model, const char *out, const char *to, pfm_error *err)
{
    char *json = NULL;
    const pfm_quantize_options options = {.model = model, .out = out, .to = to};
    pfm_status status = pfm_quantize(context, &options, &json, err);
    assert_true(status != PFM_OK || strstr(json, "\"quantised\":14") != NULL || strstr(json, "\"quantised\":0") != NULL);
    free(json);
    return status;
}

/* The tensor's blocks are those of its numbers. */
static void check_blocks(const pfm_weight *tensor, const pfm_weight *numbers)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(tensor->dtype);
    const float *values = numbers->data;
    const uint8_t *blocks = tensor->data;
    uint8_t block[256];
    for (size_t i = 0; i < pfm_weight_values(numbers); i += info->block_values, blocks += info->block_bytes) {
        pfm_quantise_block(tensor->dtype, values + i, info->block_values, block);
        assert_memory_equal(blocks, block, info->block_bytes);
    }
}

static void layers_of_a_gguf_go_into_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *to;
        pfm_dtype dtype;
        int64_t file_type;
    } cases[] = {
        {"q8_0", PFM_DTYPE_Q8_0, 7}, {"q4_0", PFM_DTYPE_Q4_0, 2}, {"q4_1", PFM_DTYPE_Q4_1, 3}, {"q4_k", PFM_DTYPE_Q4_K, 14}};
    pfm_error err = PFM_ERROR_INIT;
    small_model m;
    write_gguf(&m, in_scratch("f32.gguf"));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pfm_weights *weights = NULL;
        int64_t type = -1;
        assert_ok(quantize(in_scratch("f32.gguf"), in_scratch("out.gguf"), cases[c].to, &err));
        assert_ok(pfm_weights_open(in_scratch("out.gguf"), &weights, &err));
        assert_int_equal(pfm_weights_count(weights), TENSORS);
        assert_true(pfm_weights_meta_integer(weights, "general.file_type", &type) && type == cases[c].file_type);
        for (int i = 0; i < m.count; i++) {
            const pfm_weight *tensor = pfm_weights_find(weights, m.names[i]);
            assert_non_null(tensor);
            if (m.tensors[i].rank == 1 || i == 0) {
                assert_int_equal(tensor->bytes, m.tensors[i].bytes);
                assert_memory_equal(tensor->data, m.values[i], tensor->bytes);
                continue;
            }
            assert_int_equal(tensor->dtype, pfm_quantised_type(cases[c].dtype, (size_t)m.tensors[i].shape[1]));
            check_blocks(tensor, &m.tensors[i]);
        }
        pfm_weights_close(weights);
    }
    release(&m);
}

/* Every layer of a model that asks for blocks of any kind, dequantised by the kernels, is what the reader makes of the file. */
static void check_loaded(const char *path, pfm_dtype asked, pfm_dtype kept)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    pfm_language_config config;
    pfm_parameters *parameters = NULL;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = 1};
    pfm_language_values values = {.visual = PFM_NO_VALUE};
    pfm_builder builder = {.token_keys = PFM_NO_VALUE, .blocks = asked};
    int found = 0;
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_ok(pfm_language_read_config(weights, &config, &err));
    assert_ok(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, &err));
    assert_ok(pfm_graph_create(parameters, capacity, &builder.graph, &err));
    assert_ok(pfm_language_build(&builder, &config, false, &values, &err));
    assert_ok(pfm_language_keep_blocks(weights, &config, parameters, &err));
    assert_ok(pfm_parameters_allocate(parameters, &err));
    assert_ok(pfm_language_load(weights, &config, parameters, &err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (p->quantised == NULL)
            continue;
        const size_t n = (size_t)p->n, k = (size_t)p->k, bytes = context->kernels->gemm_pack_size[PFM_ACT_F32](n, k);
        const pfm_quant_panels panels = {p->operand.quant_format, p->quantised, n, k};
        float *wanted = calloc(n * k, sizeof *wanted);
        float *packed = calloc(1, bytes), *got = calloc(1, bytes);
        assert_int_equal(p->operand.quant_format, kept);
        assert_ok(pfm_language_read_tensor(weights, &config, p->name, p->n, p->k, wanted, &err));
        context->kernels->gemm_pack[PFM_ACT_F32](wanted, PFM_ACT_F32, 1, k, n, k, 0, n, packed);
        context->kernels->quant_unpack[PFM_ACT_F32](&panels, false, 0, n, got);
        for (size_t j = 0; j < bytes / sizeof *got; j++)
            assert_true(got[j] == packed[j]); /* zeros of either sign */
        free(wanted);
        free(packed);
        free(got);
        found++;
    }
    assert_int_equal(found, 7 * LAYERS);
    pfm_graph_free(builder.graph);
    pfm_parameters_free(parameters);
    pfm_weights_close(weights);
}

static void blocks_stay_what_they_are(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    small_model m;
    pfm_weights *once = NULL, *twice = NULL;
    write_gguf(&m, in_scratch("f32.gguf"));
    assert_ok(quantize(in_scratch("f32.gguf"), in_scratch("once.gguf"), "q4_0", &err));
    assert_ok(quantize(in_scratch("once.gguf"), in_scratch("twice.gguf"), "q8_0", &err));
    assert_ok(pfm_weights_open(in_scratch("once.gguf"), &once, &err));
    assert_ok(pfm_weights_open(in_scratch("twice.gguf"), &twice, &err));
    for (int i = 0; i < m.count; i++) {
        const pfm_weight *a = pfm_weights_find(once, m.names[i]), *b = pfm_weights_find(twice, m.names[i]);
        assert_int_equal(a->dtype, b->dtype);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    check_loaded(in_scratch("once.gguf"), PFM_DTYPE_Q8_0, PFM_DTYPE_Q4_0);
    check_loaded(in_scratch("once.gguf"), PFM_DTYPE_NF4, PFM_DTYPE_Q4_0);
    pfm_weights_close(once);
    pfm_weights_close(twice);
    release(&m);
}

static const char *const hugging_face_names[9] = {"input_layernorm",  "self_attn.q_proj", "self_attn.k_proj",
                                                  "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm",
                                                  "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

static void write_folder(small_model *m, const char *folder)
{
    pfm_error err = PFM_ERROR_INIT;
    char path[512];
    static const char config[] = "{\"model_type\":\"llama\",\"vocab_size\":20,\"hidden_size\":64,\"intermediate_size\":256,"
                                 "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"tie_word_embeddings\":true}";
    *m = (small_model){0};
    add(m, "model.embed_tokens.weight", VOCABULARY, HIDDEN);
    add(m, "model.norm.weight", HIDDEN, 1);
    add_layer(m, "model.layers.0", hugging_face_names);
    add_layer(m, "model.layers.1", hugging_face_names);
    assert_ok(pfm_folder_create(folder, &err));
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(pfm_safetensors_write(path, m->tensors, (size_t)m->count, NULL, 0, &err));
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(pfm_file_write(path, config, sizeof config - 1, &err));
}

static void a_folder_becomes_one_of_bitsandbytes(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    small_model m;
    pfm_weights *weights = NULL;
    pfm_buffer text = {0};
    char path[512];
    write_folder(&m, in_scratch("hf"));
    assert_ok(quantize(in_scratch("hf"), in_scratch("nf4"), "nf4", &err));
    assert_ok(pfm_weights_open(in_scratch("nf4"), &weights, &err));
    assert_int_equal(pfm_weights_count(weights), TENSORS);
    for (int i = 0; i < m.count; i++) {
        const pfm_weight *tensor = pfm_weights_find(weights, m.names[i]);
        assert_non_null(tensor);
        if (m.tensors[i].rank == 1 || i == 0) {
            assert_memory_equal(tensor->data, m.values[i], m.tensors[i].bytes);
            continue;
        }
        assert_int_equal(tensor->dtype, PFM_DTYPE_NF4);
        pfm_weight joined = *tensor;
        uint8_t *blocks = calloc((size_t)tensor->shape[0], pfm_weight_row_blocks(tensor));
        pfm_weight_copy_blocks(tensor, 0, tensor->shape[0], blocks);
        joined.data = blocks;
        check_blocks(&joined, &m.tensors[i]);
        free(blocks);
    }
    pfm_weights_close(weights);
    check_loaded(in_scratch("nf4"), PFM_DTYPE_Q4_0, PFM_DTYPE_NF4);
    (void)snprintf(path, sizeof path, "%s/config.json", in_scratch("nf4"));
    assert_ok(pfm_file_read(path, 0, &text, &err));
    assert_non_null(strstr(text.data, "\"bnb_4bit_quant_type\""));
    pfm_buffer_free(&text);
    release(&m);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    small_model m;
    write_gguf(&m, in_scratch("f32.gguf"));
    assert_error(quantize(in_scratch("f32.gguf"), in_scratch("no"), "nf4", &err), PFM_ERROR_UNSUPPORTED, "is a GGUF");
    assert_error(quantize(in_scratch("f32.gguf"), in_scratch("no"), "q5_0", &err), PFM_ERROR_USAGE, "q8_0, q4_0");
    release(&m);
    write_folder(&m, in_scratch("hf"));
    assert_error(quantize(in_scratch("hf"), in_scratch("no"), "q4_0", &err), PFM_ERROR_UNSUPPORTED, "is no GGUF");
    assert_false(pfm_path_exists(in_scratch("no")));
    release(&m);
}

static int set_up(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_context_options options = {.threads = 2, .home = "/nonexistent"};
    return pfm_context_create(&options, &context, &err) == PFM_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pfm_context_free(context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_of_a_gguf_go_into_blocks), cmocka_unit_test(blocks_stay_what_they_are),
        cmocka_unit_test(a_folder_becomes_one_of_bitsandbytes), cmocka_unit_test(what_cannot_be_is_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
