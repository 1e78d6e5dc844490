/* An aligner's weights under every name that other programs give them, and what a file of another sort is told. */
#include "base/file.h"
#include "formats/safetensors.h"
#include "models/aligner/aligner.h"
#include "tiny.h"

static const pfm_aligner_shape small = {
    .grid = 4,
    .channels = 12,
    .merge_rows = 1,
    .merge_columns = 1,
    .inner = 14,
    .hidden = 10,
    .qformer = {.layers = 3, .heads = 2, .queries = 5, .cross_every = 2, .hidden = 16, .intermediate = 24},
    .pretrained = true};

/* An aligner's parameters, all zero. */
typedef struct store {
    pfm_context *context;
    const pfm_aligner *aligner;
    pfm_parameters *parameters;
} store;

static void open_store(const char *name, store *s)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_graph *graph;
    pfm_aligner_inputs inputs;
    pfm_value in, out;
    *s = (store){.context = tiny_context(NULL, 1, PFM_PRECISION_F32)};
    assert_ok(pfm_aligner_find(name, &s->aligner, &err));
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_VISUAL] = pfm_aligner_tokens(s->aligner, &small), [PFM_DIM_FEATURES] = pfm_aligner_rows(&small)};
    assert_ok(pfm_parameters_create(s->context, PFM_ACT_F32, true, &s->parameters, &err));
    assert_ok(pfm_graph_create(s->parameters, capacity, &graph, &err));
    assert_ok(pfm_graph_input(graph, PFM_DIM_FEATURES, 0, small.channels, PFM_STORAGE_ACT, false, &in, &err));
    const pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
    assert_ok(pfm_aligner_build(s->aligner, &builder, &small, in, &inputs, &out, &err));
    pfm_aligner_inputs_free(&inputs);
    pfm_graph_free(graph);
    assert_ok(pfm_parameters_allocate(s->parameters, &err));
}

static void close_store(store *s)
{
    pfm_parameters_free(s->parameters);
    pfm_context_free(s->context);
}

/* The golden Q-Former with its tensors renamed by `rename` (one that becomes "" is left out) and one more. */
static const char *write_file(void (*rename)(const char *name, char out[160]), const char *extra)
{
    pfm_error err = PFM_ERROR_INIT;
    static char path[512];
    static char renamed[200][160];
    static const float number = 1;
    pfm_weight list[200];
    pfm_weights *weights;
    size_t count = 0;
    assert_ok(pfm_weights_open(tiny_path("qformer.safetensors"), &weights, &err));
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        list[count] = *pfm_weights_at(weights, i);
        rename(list[count].name, renamed[count]);
        list[count].name = renamed[count];
        count += renamed[count][0] != '\0';
    }
    if (extra != NULL)
        list[count++] = (pfm_weight){
            .name = extra, .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {1}, .data = &number, .bytes = sizeof number};
    (void)snprintf(path, sizeof path, "%s", test_path(test_scratch_folder(), "renamed.safetensors"));
    assert_ok(pfm_folder_create(test_scratch_folder(), &err));
    assert_ok(pfm_safetensors_write(path, list, count, NULL, 0, &err));
    pfm_weights_close(weights);
    return path;
}

static void replace(char *text, const char *from, const char *to)
{
    char copy[160], *at = strstr(text, from);
    if (at == NULL)
        return;
    (void)snprintf(copy, sizeof copy, "%s", at + strlen(from));
    (void)snprintf(at, 160 - (size_t)(at - text), "%s%s", to, copy);
}

static void same_name(const char *name, char out[160]) { (void)snprintf(out, 160, "%s", name); }

static void bare_name(const char *name, char out[160])
{
    same_name(name, out);
    replace(out, "qformer.", "");
}

static void lavis_name(const char *name, char out[160])
{
    same_name(name, out);
    if (strcmp(out, "query_tokens") != 0)
        replace(out, "qformer.", "Qformer.bert.");
    replace(out, "bert.layernorm", "bert.embeddings.LayerNorm");
    replace(out, "attention.attention.", "attention.self.");
}

static void without_query(const char *name, char out[160])
{
    same_name(name, out);
    if (strcmp(name, "qformer.encoder.layer.2.crossattention.attention.query.weight") == 0)
        out[0] = '\0';
}

static void nothing_known(const char *name, char out[160]) { (void)snprintf(out, 160, "x.%s", name); }

static void every_naming_of_a_qformer_gives_the_same(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        void (*rename)(const char *name, char out[160]);
        const char *extra;
    } good[] = {{same_name, "language_projection.bias"},
                {bare_name, NULL},
                {lavis_name, "Qformer.bert.encoder.layer.1.output.dense.bias"}};
    pfm_weights *golden;
    assert_ok(pfm_weights_open(tiny_path("qformer.safetensors"), &golden, &err));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        store s;
        size_t compared = 0;
        open_store("qformer", &s);
        assert_ok(pfm_aligner_load(s.aligner, write_file(good[i].rename, good[i].extra), false, s.parameters, &err));
        for (int id = 0; id < pfm_parameters_count(s.parameters); id++) {
            const pfm_parameter *p = pfm_parameters_get(s.parameters, id);
            const pfm_weight *weight = pfm_weights_find(golden, pfm_aligner_name_of(p));
            if (p->initial != PFM_INITIAL_LOADED)
                continue;
            assert_non_null(weight);
            assert_memory_equal(p->values, weight->data, (size_t)(p->n * p->k) * sizeof *p->values);
            compared++;
        }
        assert_int_equal(compared, pfm_weights_count(golden));
        close_store(&s);
    }
    pfm_weights_close(golden);
}

/* Two layers, or one, as the systems' own checkpoints call them. */
static void every_naming_of_layers_gives_the_same(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *aligner, *first, *second;
    } cases[] = {{"concat-linear", "proj", NULL},
                 {"concat-linear", "llama_proj", NULL},
                 {"linear", "mm_projector", NULL},
                 {"linear", "model.mm_projector", NULL},
                 {"mlp2x_gelu", "linear_1", "linear_2"},
                 {"mlp2x_gelu", "multi_modal_projector.linear_1", "multi_modal_projector.linear_2"},
                 {"mlp2x_gelu", "mm_projector.0", "mm_projector.2"},
                 {"mlp2x_gelu", "model.mm_projector.0", "model.mm_projector.2"},
                 {"double-linear", "linear_1", "linear_2"},
                 {"double-linear", "llama_proj", "llama_proj2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        store s;
        pfm_weight list[4];
        char full[4][80], path[300];
        static float values[4][200];
        size_t count = 0;
        open_store(cases[i].aligner, &s);
        for (; count < (size_t)pfm_parameters_count(s.parameters); count++) {
            const pfm_parameter *p = pfm_parameters_get(s.parameters, (int)count);
            const char *name = pfm_aligner_name_of(p), *dot = strrchr(name, '.');
            (void)snprintf(full[count], sizeof full[count], "%s%s",
                           strncmp(name, "linear_2", 8) == 0 ? cases[i].second : cases[i].first, dot);
            tiny_spread((uint32_t)count + 1, (size_t)(p->n * p->k), values[count]);
            list[count] = (pfm_weight){.name = full[count],
                                       .dtype = PFM_DTYPE_F32,
                                       .rank = p->k == 1 ? 1 : 2,
                                       .shape = {p->n, p->k},
                                       .data = values[count],
                                       .bytes = (size_t)(p->n * p->k) * sizeof(float)};
        }
        assert_ok(pfm_folder_create(test_scratch_folder(), &err));
        (void)snprintf(path, sizeof path, "%s/layers.safetensors", test_scratch_folder());
        assert_ok(pfm_safetensors_write(path, list, count, NULL, 0, &err));
        assert_ok(pfm_aligner_load(s.aligner, path, true, s.parameters, &err)); /* a run's values follow: checked, not taken */
        assert_true(pfm_parameters_get(s.parameters, 0)->values[0] == 0);
        assert_ok(pfm_aligner_load(s.aligner, path, false, s.parameters, &err));
        for (size_t j = 0; j < count; j++)
            assert_memory_equal(pfm_parameters_get(s.parameters, (int)j)->values, values[j], list[j].bytes);
        close_store(&s);
    }
}

static void what_a_file_lacks_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    store s;
    open_store("qformer", &s);
    assert_error(pfm_aligner_load(s.aligner, write_file(without_query, NULL), false, s.parameters, &err), PFM_ERROR_MISMATCH,
                 "1 missing: qformer.encoder.layer.2.crossattention.attention.query.weight");
    assert_error(pfm_aligner_load(s.aligner, write_file(same_name, "qformer.more"), false, s.parameters, &err),
                 PFM_ERROR_MISMATCH, "1 not expected: qformer.more");
    assert_error(pfm_aligner_load(s.aligner, write_file(nothing_known, NULL), false, s.parameters, &err), PFM_ERROR_MISMATCH,
                 "holds no weights of the aligner qformer");
    assert_error(pfm_aligner_load(s.aligner, "/nowhere/q.safetensors", false, s.parameters, &err), PFM_ERROR_IO, "/nowhere");
    close_store(&s);
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_parameters *parameters;
    int id;
    assert_ok(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, &err));
    const pfm_parameter tokens = {.name = (char *)(uintptr_t) "aligner.query_tokens",
                                  .n = 4,
                                  .k = 16,
                                  .uses = PFM_USE_ROWS,
                                  .initial = PFM_INITIAL_LOADED};
    assert_ok(pfm_parameters_declare(parameters, &tokens, &id, &err));
    assert_error(pfm_aligner_load(&pfm_aligner_qformer, tiny_path("qformer.safetensors"), false, parameters, &err),
                 PFM_ERROR_MISMATCH, "query_tokens is [1,5,16], not [1,4,16]");
    pfm_parameters_free(parameters);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_naming_of_a_qformer_gives_the_same),
                                       cmocka_unit_test(every_naming_of_layers_gives_the_same),
                                       cmocka_unit_test(what_a_file_lacks_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
