/* Text encoders against transformers: ids, hidden states of every layer, texts alone and side by side; and what is refused. */
#include "models/text/text_encoder.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "test.h"

#include <math.h>
#include <sys/stat.h>

static const char golden[] = PFM_SOURCE_DIR "/tests/models/golden";
static const char *const names[] = {"bert", "roberta", "distilbert"};

static pfm_context *open_context(int threads, const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = threads, .seed = 1, .cpu_level = level, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static const char *folder_of(const char *name)
{
    static char folder[64];
    (void)snprintf(folder, sizeof folder, "text_%s", name);
    return test_path(golden, folder);
}

/* The golden norm and projections of one text's states, within 1e-4 of the norm. */
static void compare(const float *states, size_t count, const json_t *wanted, const char *name)
{
    double sums[5] = {0};
    for (size_t i = 0; i < count; i++) {
        sums[0] += (double)states[i] * states[i];
        for (int k = 0; k < 4; k++)
            sums[k + 1] += states[i] * cos(.7 * (k + 1) * (double)i + k);
    }
    sums[0] = sqrt(sums[0]);
    for (size_t k = 0; k < 5; k++) {
        const double want = json_number_value(json_array_get(wanted, k));
        if (!(fabs(sums[k] - want) < 1e-4 * json_number_value(json_array_get(wanted, 0))))
            fail_msg("%s, number %zu: %.9g instead of %.9g", name, k, sums[k], want);
    }
}

typedef struct texts {
    pfm_ids ids;
    int32_t lengths[16];
    size_t count;
} texts;

static void encode(const pfm_text_encoder *encoder, const json_t *network, texts *out)
{
    pfm_error err = PFM_ERROR_INIT;
    size_t index;
    const json_t *text;
    json_array_foreach(json_object_get(network, "texts"), index, text)
    {
        const json_t *wanted = json_array_get(json_object_get(network, "ids"), index);
        const size_t before = out->ids.count;
        assert_ok(pfm_text_encoder_tokens(encoder, json_string_value(text), json_string_length(text), &out->ids, &err));
        out->lengths[out->count++] = (int32_t)(out->ids.count - before);
        assert_int_equal(out->ids.count - before, json_array_size(wanted));
        for (size_t i = 0; i < json_array_size(wanted); i++)
            assert_int_equal(out->ids.data[before + i], json_integer_value(json_array_get(wanted, i)));
    }
}

static void check_layer(const pfm_context *context, const char *name, const json_t *network, int layer)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_text_encoder *encoder = NULL;
    texts all = {0};
    char key[16];
    const float *states = NULL;
    float *together = NULL;
    assert_ok(pfm_text_encoder_load(context, folder_of(name), layer, &encoder, &err));
    assert_int_equal(pfm_text_encoder_get_layer(encoder), layer);
    const size_t width = (size_t)pfm_text_encoder_get_config(encoder)->hidden;
    encode(encoder, network, &all);
    assert_ok(pfm_text_encoder_run(encoder, all.ids.data, all.lengths, all.count, &states, &err));
    together = malloc(all.ids.count * width * sizeof *together);
    assert_non_null(together);
    memcpy(together, states, all.ids.count * width * sizeof *together);
    (void)snprintf(key, sizeof key, "%d", layer);
    const json_t *wanted = json_object_get(json_object_get(network, "states"), key);
    assert_int_equal(json_array_size(wanted), all.count);
    for (size_t t = 0, at = 0; t < all.count; at += (size_t)all.lengths[t++]) {
        const size_t values = (size_t)all.lengths[t] * width;
        compare(together + at * width, values, json_array_get(wanted, t), name);
        assert_ok(pfm_text_encoder_run(encoder, all.ids.data + at, &all.lengths[t], 1, &states, &err));
        assert_memory_equal(states, together + at * width, values * sizeof *states);
    }
    free(together);
    pfm_ids_free(&all.ids);
    pfm_text_encoder_free(encoder);
}

static void test_against_transformers(void **state)
{
    (void)state;
    static const char *const levels[] = {NULL, "ref"};
    pfm_error err = PFM_ERROR_INIT;
    json_t *networks = NULL;
    assert_ok(pfm_json_load(test_path(golden, "text.json"), &networks, &err));
    for (size_t l = 0; l < 2; l++) {
        pfm_context *context = open_context(l == 0 ? 2 : 1, levels[l]);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            const json_t *network = json_object_get(networks, names[i]);
            const int layers = (int)json_object_size(json_object_get(network, "states"));
            assert_true(layers > 0);
            for (int layer = 1; layer <= layers; layer++)
                check_layer(context, names[i], network, layer);
        }
        pfm_context_free(context);
    }
    json_decref(networks);
}

static void test_what_a_run_refuses(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = open_context(1, NULL);
    pfm_text_encoder *encoder = NULL;
    const float *states = NULL;
    int32_t *ids = calloc(4096, sizeof *ids);
    assert_error(pfm_text_encoder_load(context, folder_of("bert"), 3, &encoder, &err), PFM_ERROR_USAGE, "choose from 1 to 2");
    assert_error(pfm_text_encoder_load(context, folder_of("bert"), -1, &encoder, &err), PFM_ERROR_USAGE, "no layer -1");
    assert_ok(pfm_text_encoder_load(context, folder_of("bert"), 0, &encoder, &err));
    assert_int_equal(pfm_text_encoder_get_layer(encoder), 2);
    assert_int_equal(strlen(pfm_text_encoder_get_digest(encoder)), 12);
    const int32_t none = 0, long_one = (int32_t)pfm_text_encoder_most_tokens(encoder) + 1;
    int32_t many[64];
    for (size_t i = 0; i < 64; i++)
        many[i] = long_one - 1;
    assert_error(pfm_text_encoder_run(encoder, ids, &none, 1, &states, &err), PFM_ERROR_USAGE, "1 to 48 tokens");
    assert_error(pfm_text_encoder_run(encoder, ids, &long_one, 1, &states, &err), PFM_ERROR_USAGE, "1 to 48 tokens");
    assert_error(pfm_text_encoder_run(encoder, ids, many, 64, &states, &err), PFM_ERROR_USAGE, "together at most");
    free(ids);
    pfm_text_encoder_free(encoder);
    pfm_context_free(context);
}

/* *out = a folder with the BERT's files, but for config.json, which holds `config`. */
static const char *write_folder(const char *config, const char *vocabulary)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const copied[] = {"model.safetensors", "vocab.txt"};
    const char *folder = test_path(test_scratch_folder(), "changed");
    (void)mkdir(folder, 0700);
    for (size_t i = 0; i < 2; i++) {
        pfm_buffer bytes = {0};
        assert_ok(pfm_file_read(test_path(folder_of("bert"), copied[i]), 1 << 20, &bytes, &err));
        const bool other = i == 1 && vocabulary != NULL;
        assert_ok(pfm_file_write(test_path(folder, copied[i]), other ? vocabulary : bytes.data,
                                 other ? strlen(vocabulary) : bytes.size, &err));
        pfm_buffer_free(&bytes);
    }
    assert_ok(pfm_file_write(test_path(folder, "config.json"), config, strlen(config), &err));
    return folder;
}

static const char sizes[] = "{\"model_type\":\"bert\",\"vocab_size\":170,\"num_attention_heads\":3,\"intermediate_size\":40,"
                            "\"max_position_embeddings\":48,\"hidden_size\":24,\"num_hidden_layers\":2}";

static void test_what_a_folder_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *changes, *vocabulary;
        pfm_status status;
        const char *part;
    } cases[] = {
        {"{\"model_type\":\"t5\"}", NULL, PFM_ERROR_UNSUPPORTED, "model_type t5 is no text encoder"},
        {"{\"model_type\":null}", NULL, PFM_ERROR_UNSUPPORTED, "model_type (none)"},
        {"{\"num_hidden_layers\":null}", NULL, PFM_ERROR_FORMAT, "num_hidden_layers"},
        {"{\"num_attention_heads\":5}", NULL, PFM_ERROR_FORMAT, "not a multiple"},
        {"{\"hidden_act\":\"mish\"}", NULL, PFM_ERROR_UNSUPPORTED, "mish"},
        {"{\"is_decoder\":true}", NULL, PFM_ERROR_UNSUPPORTED, "is_decoder"},
        {"{\"position_embedding_type\":\"relative_key\"}", NULL, PFM_ERROR_UNSUPPORTED, "relative_key"},
        {"{\"num_hidden_layers\":3}", NULL, PFM_ERROR_MISMATCH, "encoder.layer.2"},
        {"{\"num_hidden_layers\":1}", NULL, PFM_ERROR_MISMATCH, "encoder.layer.1"},
        {"{\"intermediate_size\":2000000}", NULL, PFM_ERROR_MISMATCH, "intermediate"}, /* before any memory is taken for it */
        {"{\"model_type\":\"distilbert\",\"dim\":24,\"hidden_dim\":40,\"n_layers\":1,\"n_heads\":2}", NULL, PFM_ERROR_MISMATCH,
         "transformer.layer.0"},
        {"{\"vocab_size\":169}", NULL, PFM_ERROR_MISMATCH, "a vocabulary of 169"},
        {"{}", "[UNK]\n[CLS]\na\n", PFM_ERROR_MISMATCH, "lacks [CLS] or [SEP]"},
    };
    pfm_context *context = open_context(1, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_text_encoder *encoder = NULL;
        json_t *config = json_loads(sizes, 0, NULL), *changes = json_loads(cases[i].changes, 0, NULL);
        assert_int_equal(json_object_update(config, changes), 0);
        char *text = json_dumps(config, 0);
        assert_error(pfm_text_encoder_load(context, write_folder(text, cases[i].vocabulary), 0, &encoder, &err),
                     cases[i].status, cases[i].part);
        assert_null(encoder);
        free(text);
        json_decref(config);
        json_decref(changes);
    }
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_transformers),
        cmocka_unit_test(test_what_a_run_refuses),
        cmocka_unit_test(test_what_a_folder_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
