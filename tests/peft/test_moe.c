/* Mixtures of experts against torch (script/vectors/moe.py): loss, gradients of experts, routers and aligner, what is told of
 * the routers, packed and apart; and what a run keeps of them. */
#include "models/tiny.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/weights.h"
#include "train/routing.h"
#include "train/run.h"

#include <math.h>

/* What the script gives a parameter: values of `size` from a seed of its own. */
typedef struct learned {
    const char *name;
    float size;
} learned;

static const char *const layers[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                     "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"},
                         *const sublayers[] = {"self_attn", "mlp"};
static const learned of_lora[] = {{"lora_A.weight", 0.2f}, {"lora_B.weight", 0.2f}, {"router.weight", 0.5f}},
                     of_adapter[] = {{"adapter_down.weight", 0.2f},
                                     {"adapter_down.bias", 0.2f},
                                     {"adapter_up.weight", 0.2f},
                                     {"adapter_up.bias", 0.2f},
                                     {"router.weight", 0.5f}};

static void set_one(pfm_parameters *parameters, const char *name, uint32_t seed, float size)
{
    const int id = pfm_parameters_find(parameters, name);
    if (id < 0)
        return;
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    const size_t count = (size_t)(p->n * p->k);
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    tiny_spread(seed, count, values);
    for (size_t i = 0; i < count; i++)
        values[i] *= size;
    pfm_parameters_set(parameters, id, values);
    free(values);
}

/* Of every module of two blocks that has them. */
static void set_all(pfm_parameters *parameters, const char *const *modules, uint32_t module_count, const learned *kinds,
                    uint32_t kind_count, uint32_t seed)
{
    for (uint32_t block = 0; block < 2; block++)
        for (uint32_t module = 0; module < module_count; module++)
            for (uint32_t k = 0; k < kind_count; k++) {
                char name[96];
                (void)snprintf(name, sizeof name, "model.layers.%u.%s.%s", block, modules[module], kinds[k].name);
                set_one(parameters, name, seed++, kinds[k].size);
            }
}

/* The script's values in every parameter of the method. */
static void set_experts(pfm_parameters *parameters)
{
    set_all(parameters, layers, 7, of_lora, 3, 1000);
    set_all(parameters, sublayers, 2, of_adapter, 5, 2000);
}

typedef struct golden_case {
    const char *name;
    const char *sets[8];
    int set_count;
    int32_t contexts[TINY_ROWS];
    int64_t experts;
} golden_case;

static const golden_case cases[] = {
    {.name = "token",
     .sets = {"peft.method=moe_lora", "peft.rank=2", "peft.experts=3", "peft.top_k=2", "peft.balance=0.5"},
     .set_count = 5,
     .experts = 3},
    {.name = "switch",
     .sets = {"peft.method=moe_lora", "peft.targets=[q_proj, down_proj]", "peft.rank=3", "peft.top_k=1",
              "peft.shared_expert=true", "peft.balance=0.25", "peft.capacity=0.75"},
     .set_count = 7,
     .experts = 4},
    {.name = "context",
     .sets = {"peft.method=moe_lora", "peft.targets=[v_proj, up_proj]", "peft.rank=2", "peft.experts=2", "peft.router=context",
              "peft.context=modality"},
     .set_count = 6,
     .contexts = {1, 2, 1, 0},
     .experts = 2},
    {.name = "context_shared",
     .sets = {"peft.method=moe_lora", "peft.targets=[v_proj, up_proj]", "peft.rank=2", "peft.experts=2", "peft.router=context",
              "peft.context=modality", "peft.shared_expert=true"},
     .set_count = 7,
     .contexts = {1, 2, 1, 0},
     .experts = 2},
    {.name = "adapter",
     .sets = {"peft.method=moe_adapter", "peft.targets=[]", "peft.bottleneck=3", "peft.experts=3", "peft.activation=gelu",
              "peft.adapter_scale=2", "peft.shared_expert=true", "peft.balance=0.5"},
     .set_count = 8,
     .experts = 3},
    {.name = "adapter_context",
     .sets = {"peft.method=moe_adapter", "peft.targets=[]", "peft.bottleneck=2", "peft.experts=2", "peft.activation=gelu",
              "peft.router=context", "peft.context=modality"},
     .set_count = 7,
     .contexts = {1, 2, 1, 0},
     .experts = 2},
};

static float *golden(const golden_case *c, const char *tensor, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    char name[200];
    float *out = calloc(count, sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_weights_open(PFM_SOURCE_DIR "/tests/peft/golden/moe.safetensors", &weights, &err));
    (void)snprintf(name, sizeof name, "%s.%s", c->name, tensor);
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL || pfm_weight_values(weight) != count)
        fail_msg("%s is missing or has not %zu values", name, count);
    assert_ok(pfm_weight_expand(weight, out, &err));
    pfm_weights_close(weights);
    return out;
}

static void assert_golden(const golden_case *c, const char *tensor, const float *got, size_t count, double bound)
{
    float *wanted = golden(c, tensor, count);
    assert_near(tensor, got, wanted, count, bound);
    free(wanted);
}

static void assert_told(const golden_case *c, const pfm_routing *routing)
{
    float load[PFM_ROUTING_MOST_EXPERTS];
    assert_int_equal(routing->experts, c->experts);
    for (int64_t e = 0; e < c->experts; e++)
        load[e] = (float)routing->load[e];
    assert_golden(c, "load", load, (size_t)c->experts, 1e-6);
    assert_int_equal(routing->by_token, c->contexts[0] == 0);
    if (!routing->by_token)
        return;
    const float says[] = {(float)routing->balance, (float)routing->entropy, (float)routing->dropped};
    static const char *const names[] = {"balance", "entropy", "dropped"};
    for (int i = 0; i < 3; i++)
        assert_golden(c, names[i], &says[i], 1, 1e-5);
}

static void check_gradients(const golden_case *c, const pfm_parameters *parameters)
{
    int checked = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        char name[160];
        if (!p->trainable || strcmp(p->name, "aligner.proj.weight") == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s.grad", p->name);
        assert_golden(c, name, p->gradient, (size_t)(p->n * p->k), 1e-4);
        checked++;
    }
    assert_true(checked > 8);
}

static void compare_with_torch(const golden_case *c, const char *level, bool share)
{
    tiny_system system;
    pfm_sequence rows[TINY_ROWS];
    pfm_routing routing = {0};
    const pfm_pack_options options = {.share = share};
    double total = 0;
    tiny_system_create(tiny_context(level, 2, PFM_PRECISION_F32), true, c->sets, c->set_count, &system);
    set_experts(system.session->model->parameters);
    tiny_rows(rows);
    for (int i = 0; i < TINY_ROWS; i++) {
        rows[i].context = c->contexts[i];
        total += (double)(rows[i].count - rows[i].answer);
    }
    pfm_executor_environment(system.executor)->rows[PFM_ROWS_SEQUENCE].scale = 1.0f / TINY_ROWS;
    const float loss = (float)(tiny_run(&system, rows, TINY_ROWS, &options, (float)(1 / total)) / total);
    assert_golden(c, "loss", &loss, 1, 1e-5);
    check_gradients(c, system.session->model->parameters);
    pfm_routing_add(&routing, PFM_ROWS_SEQUENCE, system.graph.graph, system.executor);
    pfm_routing_finish(&routing, PFM_ROWS_SEQUENCE, system.graph.graph, TINY_ROWS);
    assert_told(c, &routing);
    tiny_rows_free(rows);
    tiny_system_free(&system);
}

static void compare_level(const char *level)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compare_with_torch(&cases[i], level, true);
        compare_with_torch(&cases[i], level, false);
    }
}

static void all_is_as_torch_computes_it(void **state)
{
    (void)state;
    tiny_each_level(compare_level);
}

/* bf16 chooses the same experts but for near ties: its loss is near. */
static void bf16_is_near(void **state)
{
    (void)state;
    const pfm_pack_options options = {.share = true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_system system;
        pfm_sequence rows[TINY_ROWS];
        double total = 0;
        tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_BF16), true, cases[i].sets, cases[i].set_count, &system);
        set_experts(system.session->model->parameters);
        tiny_rows(rows);
        for (int r = 0; r < TINY_ROWS; r++) {
            rows[r].context = cases[i].contexts[r];
            total += (double)(rows[r].count - rows[r].answer);
        }
        const float loss = (float)(tiny_run(&system, rows, TINY_ROWS, &options, 1) / total);
        assert_golden(&cases[i], "loss", &loss, 1, 0.05);
        tiny_rows_free(rows);
        tiny_system_free(&system);
    }
}

/* ---- what is there, and what is kept ---- */

static void the_router_starts_small_and_the_experts_as_lora(void **state)
{
    (void)state;
    static const char *const sets[] = {"peft.method=moe_lora", "peft.experts=5", "peft.rank=3", "peft.shared_expert=true"};
    tiny_system system;
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, 4, &system);
    const pfm_parameters *parameters = system.session->model->parameters;
    static const int64_t rows[] = {18, 48, 5}, columns[] = {32, 18, 32};
    for (int kind = 0; kind < 3; kind++) {
        char name[96];
        (void)snprintf(name, sizeof name, "model.layers.1.mlp.up_proj.%s", of_lora[kind].name);
        const int id = pfm_parameters_find(parameters, name);
        assert_true(id >= 0);
        const pfm_parameter *p = pfm_parameters_get(parameters, id);
        assert_int_equal(p->n, rows[kind]);
        assert_int_equal(p->k, columns[kind]);
        double squares = 0;
        for (int64_t i = 0; i < p->n * p->k; i++)
            squares += (double)p->values[i] * (double)p->values[i];
        const double deviation = sqrt(squares / (double)(p->n * p->k)), wanted[] = {1 / sqrt(3.0 * 32), 0, 0.02};
        assert_true(fabs(deviation - wanted[kind]) <= 0.15 * wanted[kind]);
    }
    tiny_system_free(&system);
}

static void a_saved_mixture_comes_back_to_the_bit(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    tiny_system made, read;
    json_t *config = NULL;
    char folder[256], path[300];
    const golden_case *c = &cases[1];
    (void)snprintf(folder, sizeof folder, "%s/saved", test_scratch_folder());
    (void)snprintf(path, sizeof path, "%s/adapter", folder);
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, c->sets, c->set_count, &made);
    set_experts(made.session->model->parameters);
    assert_ok(pfm_run_save(folder, "llama", made.session->model, made.session->peft, &err));
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, c->sets, c->set_count, &read);
    assert_ok(pfm_run_load_adapter(path, read.session->model, read.session->peft, &err));
    const pfm_parameters *a = made.session->model->parameters, *b = read.session->model->parameters;
    for (int i = 0; i < pfm_parameters_count(a); i++) {
        const pfm_parameter *p = pfm_parameters_get(a, i), *q = pfm_parameters_get(b, i);
        if (p->part == PFM_PART_PEFT)
            assert_memory_equal(p->values, q->values, (size_t)(p->n * p->k) * sizeof *p->values);
    }
    assert_ok(pfm_json_load(test_path(path, "adapter_config.json"), &config, &err));
    assert_string_equal(json_string_value(json_object_get(config, "peft_type")), "MOE_LORA");
    assert_int_equal(json_integer_value(json_object_get(config, "num_experts")), 4);
    assert_int_equal(json_integer_value(json_object_get(config, "top_k")), 1);
    assert_true(json_is_true(json_object_get(config, "shared_expert")));
    json_decref(config);
    float values[32 * 32] = {0};
    assert_error(pfm_peft_merge(made.session->peft, a, "model.layers.0.self_attn.q_proj", 32, 32, values, &err),
                 PFM_ERROR_UNSUPPORTED, "what moe_lora learns cannot be merged");
    tiny_system_free(&made);
    tiny_system_free(&read);
}

static void an_adapters_configuration_is_read(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const golden_case *c = &cases[4];
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, c->sets, c->set_count);
    const pfm_peft_method *method = pfm_peft_get_method(session->peft);
    pfm_peft_options read = {0};
    json_t *config = json_object();
    assert_string_equal(method->type, "MOE_ADAPTER");
    assert_ok(method->write_config(session->peft, config, &err));
    assert_ok(method->read_config(config, &read, &err));
    assert_true(read.bottleneck == 3 && read.adapter_scale == 2 && read.experts == 3 && read.balance == 0.5);
    pfm_peft_options_free(&read);
    assert_ok(pfm_json_take(config, "top_k", json_integer(4), &err));
    assert_error(method->read_config(config, &read, &err), PFM_ERROR_USAGE, "peft.top_k");
    pfm_peft_options_free(&read);
    json_decref(config);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* What a configuration says is what the method was made with; one that says something else is refused by name. */
static void a_configuration_is_read(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *key, *value, *part;
        pfm_status status;
    } bad[] = {{"num_experts", "2.5", "num_experts", PFM_ERROR_FORMAT},
               {"num_experts", "5000000000", "num_experts", PFM_ERROR_FORMAT},
               {"top_k", "0", "top_k", PFM_ERROR_FORMAT},
               {"router", "\"random\"", "peft.router cannot be 'random'", PFM_ERROR_USAGE},
               {"router", "null", "peft.router is token", PFM_ERROR_USAGE},
               {"context", "7", "context", PFM_ERROR_FORMAT},
               {"contexts", "[\"CT\", 1.5]", "contexts", PFM_ERROR_FORMAT},
               {"contexts", "{}", "contexts", PFM_ERROR_FORMAT},
               {"contexts", "[\"a\", \"b\", \"c\", \"d\", \"e\"]", "5 values for 4 experts", PFM_ERROR_USAGE},
               {"shared_expert", "1", "shared_expert", PFM_ERROR_FORMAT},
               {"balance", "\"high\"", "balance", PFM_ERROR_FORMAT},
               {"r", "100000", "\"r\"", PFM_ERROR_FORMAT}};
    static const char *const sets[] = {"peft.method=moe_lora", "peft.router=context", "peft.context=modality",
                                       "peft.contexts=[CT, MRI]", "peft.shared_expert=true"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, false, sets, 5);
    const pfm_peft_method *method = pfm_peft_get_method(session->peft);
    const pfm_peft_options *made = pfm_peft_get_options(session->peft);
    pfm_peft_options read = {0};
    json_t *config = json_object();
    assert_ok(method->write_config(session->peft, config, &err));
    assert_ok(method->read_config(config, &read, &err));
    assert_true(read.experts == 4 && read.top_k == made->top_k && read.shared_expert && read.rank == made->rank);
    assert_true(read.alpha == made->alpha && read.balance == made->balance && read.capacity == made->capacity);
    assert_string_equal(read.context, "modality");
    assert_int_equal(read.context_count, 2);
    assert_string_equal(read.contexts[1], "MRI");
    pfm_peft_options_free(&read);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *changed = json_deep_copy(config);
        assert_ok(pfm_json_take(changed, bad[i].key, json_loads(bad[i].value, JSON_DECODE_ANY, NULL), &err));
        assert_error(method->read_config(changed, &read, &err), bad[i].status, bad[i].part);
        pfm_peft_options_free(&read);
        json_decref(changed);
    }
    json_decref(config);
    pfm_session_free(session);
    pfm_context_free(context);
}

/* Where the adapter does not train, its routers neither push nor refuse: the aligner learns from the answers alone. */
static void a_frozen_router_is_left_in_peace(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char text[2048];
    (void)snprintf(text, sizeof text,
                   "model: {vision: efficientnet-lite0, image_size: 128, aligner: concat-linear, language: '%s'}\n"
                   "peft: {method: moe_lora, rank: 2, alpha: 4, balance: 3, capacity: 0.5, targets: [q_proj]}\n"
                   "data: {dataset: phantom}\n"
                   "stages: [{name: experts, trainable: [peft]}, {name: aligner, trainable: [aligner]}]\n",
                   tiny_path("llama"));
    for (size_t stage = 0; stage < 2; stage++) {
        const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
        pfm_recipe *recipe = NULL;
        pfm_session *session = NULL;
        pfm_model_graph graph;
        pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
        int routers = 0;
        assert_ok(pfm_recipe_parse(text, strlen(text), "staged.yaml", NULL, 0, &recipe, &err));
        assert_ok(pfm_session_create_stage(context, recipe, stage, true, &session, &err));
        assert_ok(pfm_model_build(session->model, capacity, true, false, &graph, &err));
        for (size_t n = 0; n < graph.graph->node_count; n++) {
            const pfm_graph_node *node = &graph.graph->nodes[n];
            if (node->op != &pfm_op_route)
                continue;
            routers++;
            assert_true(node->attributes.alpha == (stage == 0 ? 3.0f : 0));
            assert_true(node->attributes.capacity == (stage == 0 ? 0.5f : 0));
        }
        assert_int_equal(routers, 2);
        pfm_model_graph_free(&graph);
        pfm_session_free(session);
        pfm_context_free(context);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *targets[] = {(char[]){"q_proj"}}, *values[] = {(char[]){"CT"}, (char[]){"MRI"}, (char[]){"US"}};
    const pfm_peft_options good = {.method = (char[]){"moe_lora"},
                                   .rank = 4,
                                   .alpha = 8,
                                   .targets = targets,
                                   .target_count = 1,
                                   .experts = 2,
                                   .top_k = 2,
                                   .router = (char[]){"token"}};
    pfm_peft_options bad[10];
    for (int i = 0; i < 10; i++)
        bad[i] = good;
    bad[0].rank = 0;
    bad[1].experts = 1;
    bad[2].top_k = 3;
    bad[3].balance = NAN;
    bad[4].capacity = -1;
    bad[5].context = (char[]){"modality"};
    bad[6].router = bad[7].router = bad[8].router = (char[]){"context"};
    bad[7].context = bad[8].context = (char[]){"modality"};
    bad[7].capacity = 1;
    bad[8].contexts = values;
    bad[8].context_count = 3;
    bad[9].method = (char[]){"lora"};
    bad[9].context = (char[]){"modality"};
    static const char *const parts[] = {"peft.rank",
                                        "peft.experts cannot be 1",
                                        "peft.top_k cannot be 3",
                                        "peft.balance",
                                        "peft.capacity",
                                        "peft.router is token",
                                        "needs peft.context",
                                        "peft.capacity is for",
                                        "3 values for 2 experts",
                                        "not of peft.method: lora"};
    for (int i = 0; i < 10; i++) {
        pfm_peft *peft = NULL;
        assert_error(pfm_peft_create(&bad[i], &peft, &err), PFM_ERROR_USAGE, parts[i]);
    }
    pfm_peft *peft = NULL;
    assert_ok(pfm_peft_create(&good, &peft, &err));
    pfm_peft_free(peft);
}

/* Whose tokens a builder does not know, for those it has no experts. */
static void experts_are_for_known_rows_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, true, cases[0].sets, cases[0].set_count);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_VISUAL] = 4};
    const pfm_linear_options layer = {.n = 8, .k = 8, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_ACT};
    pfm_graph *graph = NULL;
    pfm_value x, y;
    assert_ok(pfm_graph_create(session->model->parameters, capacity, &graph, &err));
    assert_ok(pfm_graph_input(graph, PFM_DIM_VISUAL, 0, 8, PFM_STORAGE_ACT, false, &x, &err));
    pfm_builder builder = {.graph = graph,
                           .hook = pfm_peft_hook(session->peft),
                           .contexts = PFM_NO_VALUE,
                           .token_keys = PFM_NO_VALUE,
                           .ids = PFM_NO_VALUE};
    assert_error(pfm_build_linear(&builder, x, "vision.q_proj", &layer, &y, &err), PFM_ERROR_UNSUPPORTED,
                 "vision.q_proj reads tokens of which it is not known");
    pfm_graph_free(graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_as_torch_computes_it),
        cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(the_router_starts_small_and_the_experts_as_lora),
        cmocka_unit_test(a_saved_mixture_comes_back_to_the_bit),
        cmocka_unit_test(a_configuration_is_read),
        cmocka_unit_test(an_adapters_configuration_is_read),
        cmocka_unit_test(a_frozen_router_is_left_in_peace),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(experts_are_for_known_rows_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
