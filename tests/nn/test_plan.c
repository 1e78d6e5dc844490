/* The planner on small graphs: memory is used again, nothing that lives overlaps, and no gradient is made that nobody needs. */
#include "test.h"

#include "models/language/language.h"
#include "nn/executor.h"
#include "peft/peft.h"

#include <math.h>

static const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 32, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 8};

static pfm_language_config small_model(bool tied)
{
    return (pfm_language_config){.family = &pfm_language_llama,
                                 .vocabulary = 50,
                                 .hidden = 16,
                                 .intermediate = 40,
                                 .context = 32,
                                 .layers = 3,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 4,
                                 .rotary = 4,
                                 .activation = PFM_ACTIVATION_SILU,
                                 .epsilon = 1e-5,
                                 .rope_theta = 1e4,
                                 .tied = tied};
}

typedef struct fixture {
    pfm_context *context;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_builder builder;
    pfm_op_environment env;
} fixture;

static void create(fixture *f)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_context_options options = {.threads = 2, .home = "/nonexistent"};
    *f = (fixture){0};
    assert_ok(pfm_context_create(&options, &f->context, &err));
    assert_ok(pfm_parameters_create(f->context, PFM_ACT_F32, true, &f->parameters, &err));
    assert_ok(pfm_graph_create(f->parameters, capacity, &f->graph, &err));
    f->builder = (pfm_builder){.graph = f->graph, .token_keys = PFM_NO_VALUE};
    f->env = (pfm_op_environment){
        .context = f->context, .kernels = f->context->kernels, .act = PFM_ACT_F32, .training = true, .most_keys = 32};
}

static void release(fixture *f)
{
    pfm_graph_free(f->graph);
    pfm_parameters_free(f->parameters);
    pfm_context_free(f->context);
}

static pfm_value add_linear(fixture *f, pfm_value x, const char *name, bool trainable, pfm_storage output)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_value y;
    const pfm_linear_options options = {.n = 16,
                                        .k = 16,
                                        .addend = PFM_NO_VALUE,
                                        .output = output,
                                        .trainable = trainable,
                                        .initial = PFM_INITIAL_UNIFORM,
                                        .initial_scale = 0.3};
    assert_ok(pfm_build_linear(&f->builder, x, name, &options, &y, &err));
    return y;
}

static pfm_value add_input(fixture *f, bool needs_gradient)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_value x;
    assert_ok(pfm_graph_input(f->graph, PFM_DIM_TOKENS, 0, 16, PFM_STORAGE_ACT, needs_gradient, &x, &err));
    return x;
}

static void memory_is_used_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_value x = add_input(&f, false);
    char name[16];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "l%d", i);
        x = add_linear(&f, x, name, i == 10, i == 19 ? PFM_STORAGE_F32 : PFM_STORAGE_ACT);
    }
    pfm_graph_keep(f.graph, x);
    const size_t one = 32 * 16 * sizeof(float);
    pfm_plan *plan = NULL;
    assert_ok(pfm_plan_create(f.graph, &f.env, PFM_NO_VALUE, &plan, &err));
    assert_int_equal(plan->bytes, 2 * one); /* what a layer reads and what it writes */
    for (size_t n = 0; n < f.graph->node_count; n++)
        assert_false(plan->runs_backward[n]);
    pfm_plan_free(plan);
    assert_ok(pfm_plan_create(f.graph, &f.env, x, &plan, &err));
    for (size_t n = 0; n < f.graph->node_count; n++)
        assert_int_equal(plan->runs_backward[n], n >= 10); /* below the trained layer nobody asks */
    assert_true(plan->bytes <= 5 * one);
    assert_int_equal(plan->gradient_place[f.graph->nodes[9].out[0]], PFM_NO_PLACE);
    pfm_plan_free(plan);
    release(&f);
}

static pfm_touch touch_nothing(void *user, const pfm_model_place *place)
{
    (void)user;
    (void)place;
    return PFM_TOUCH_NOTHING;
}

static bool train_biases(void *user, const pfm_model_place *place, const char *parameter)
{
    (void)user;
    (void)place;
    return strcmp(parameter, "bias") == 0;
}

static void a_bias_trains_without_its_layers_input(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    const pfm_hook hook = {.touches = touch_nothing, .trains = train_biases};
    f.builder.hook = &hook;
    pfm_value x = add_input(&f, false);
    for (int i = 0; i < 20; i++) {
        const pfm_linear_options options = {.n = 16, .k = 16, .bias = true, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_ACT};
        char name[16];
        (void)snprintf(name, sizeof name, "l%d", i);
        assert_ok(pfm_build_linear(&f.builder, x, name, &options, &x, &err));
    }
    pfm_plan *plan = NULL;
    assert_ok(pfm_plan_create(f.graph, &f.env, x, &plan, &err));
    assert_true(plan->bytes <= 3 * 32 * 16 * sizeof(float));
    pfm_plan_free(plan);
    release(&f);
}

/* A value lives from where it is made to where it is last read. */
static void what_lives_does_not_overlap(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    const pfm_language_config config = small_model(false);
    pfm_language_values values = {.visual = PFM_NO_VALUE};
    assert_ok(pfm_language_build(&f.builder, &config, false, &values, &err));
    pfm_plan *plan = NULL;
    assert_ok(pfm_plan_create(f.graph, &f.env, PFM_NO_VALUE, &plan, &err));
    size_t last[256] = {0}, compared = 0;
    assert_true(f.graph->value_count <= 256);
    for (size_t n = 0; n < f.graph->node_count; n++) {
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++)
            if (f.graph->nodes[n].in[i] != PFM_NO_VALUE)
                last[f.graph->nodes[n].in[i]] = n;
        for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++)
            if (f.graph->nodes[n].out[i] != PFM_NO_VALUE)
                last[f.graph->nodes[n].out[i]] = n;
    }
    for (size_t a = 0; a < f.graph->value_count; a++)
        for (size_t b = 0; b < f.graph->value_count; b++) {
            const pfm_graph_value *x = &f.graph->values[a], *y = &f.graph->values[b];
            if (a == b || x->producer < 0 || y->producer < 0 || x->producer > y->producer || (size_t)y->producer > last[a])
                continue;
            size_t x_bytes = (size_t)(x->shape.rows * x->shape.columns) * 4,
                   y_bytes = (size_t)(y->shape.rows * y->shape.columns) * 4;
            size_t x_place = plan->value_place[a], y_place = plan->value_place[b];
            assert_true(x_place + x_bytes <= y_place || y_place + y_bytes <= x_place);
            assert_true(x_place + x_bytes <= plan->bytes);
            compared++;
        }
    assert_true(compared > 100);
    pfm_plan_free(plan);
    release(&f);
}

typedef struct simulation {
    const pfm_graph *graph;
    const pfm_plan *plan;
    int32_t *owners; /* of each 64 bytes of the arena: 1 + value, or minus that for its gradient */
    size_t checked;
} simulation;

/* Takes the place of a value (gradient: of its gradient), or sees that nobody has taken it since. */
static void touch(simulation *s, pfm_value value, bool gradient, bool write)
{
    const pfm_tensor *shape = &s->graph->values[value].shape;
    const size_t place = (gradient ? s->plan->gradient_place : s->plan->value_place)[value],
                 bytes = (size_t)(shape->rows * shape->columns) * 4;
    if (place == PFM_NO_PLACE)
        return;
    for (size_t i = place / 64; i < (place + bytes + 63) / 64; i++) {
        if (write)
            s->owners[i] = gradient ? -1 - value : 1 + value;
        else
            assert_int_equal(s->owners[i], 1 + value);
        s->checked += !write;
    }
}

/* Walks through the plan: whatever a step reads of values is what was written there last. */
static size_t simulate(const pfm_graph *graph, const pfm_plan *plan)
{
    simulation s = {graph, plan, calloc(plan->bytes / 64 + 1, sizeof *s.owners), 0};
    assert_non_null(s.owners);
    for (size_t t = 0; t < plan->step_count; t++) {
        const pfm_graph_node *node = &graph->nodes[plan->steps[t].node];
        const bool backward = plan->steps[t].backward;
        bool trains = false;
        for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++)
            trains |= node->operand[i] >= 0 && pfm_parameters_get(graph->parameters, node->operand[i])->trainable;
        const unsigned ins = backward ? node->op->backward_inputs | (trains ? node->op->operand_inputs : 0u) : ~0u,
                       outs = backward ? node->op->backward_outputs : 0u;
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++)
            if (node->in[i] != PFM_NO_VALUE && (ins & 1u << i) != 0)
                touch(&s, node->in[i], false, false);
        for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++)
            if (node->out[i] != PFM_NO_VALUE && (outs & 1u << i) != 0)
                touch(&s, node->out[i], false, false);
        for (int i = 0; i < PFM_OP_MAX_OUTPUTS && !backward; i++)
            if (node->out[i] != PFM_NO_VALUE)
                touch(&s, node->out[i], false, true);
        for (int i = 0; i < PFM_OP_MAX_INPUTS && backward; i++)
            if (node->in[i] != PFM_NO_VALUE)
                touch(&s, node->in[i], true, true);
    }
    free(s.owners);
    return s.checked;
}

/* The arena of a model with so many layers and an update in each, with or without blocks computed again. */
static size_t arena_of(int32_t layers, bool recompute)
{
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_language_config config = small_model(true);
    config.layers = layers;
    char *targets[] = {(char[]){"q_proj"}, (char[]){"v_proj"}};
    const pfm_peft_options options = {.method = (char[]){"lora"}, .rank = 2, .alpha = 4, .targets = targets, .target_count = 2};
    pfm_peft *peft = NULL;
    assert_ok(pfm_peft_create(&options, &peft, &err));
    f.builder.hook = pfm_peft_hook(peft);
    pfm_language_values values = {.visual = PFM_NO_VALUE};
    assert_ok(pfm_language_build(&f.builder, &config, true, &values, &err));
    f.graph->recompute = recompute;
    pfm_plan *plan = NULL;
    assert_ok(pfm_plan_create(f.graph, &f.env, values.loss, &plan, &err));
    assert_true(simulate(f.graph, plan) > 1000);
    size_t again = 0;
    for (size_t t = f.graph->node_count; t < plan->step_count; t++)
        again += !plan->steps[t].backward;
    assert_true(recompute ? again >= (size_t)layers * 8 : again == 0);
    const size_t bytes = plan->bytes;
    pfm_plan_free(plan);
    pfm_peft_free(peft);
    release(&f);
    return bytes;
}

static void of_a_block_computed_again_only_its_input_is_kept(void **state)
{
    (void)state;
    const size_t hidden = 32 * 16 * sizeof(float);
    assert_int_equal(arena_of(6, true) - arena_of(4, true), 2 * hidden);
    assert_true(arena_of(6, false) - arena_of(4, false) > 10 * hidden);
}

/* A value that is read inside of a block and outside of it is kept, and not computed again too late. */
static void what_crosses_a_block_is_not_computed_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_value x = add_input(&f, true), a, b, c;
    assert_ok(pfm_build_checkpoint(&f.builder, &err));
    a = add_linear(&f, x, "a", true, PFM_STORAGE_ACT);
    b = add_linear(&f, a, "b", true, PFM_STORAGE_ACT);
    assert_ok(pfm_build_checkpoint(&f.builder, &err));
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_silu_mul);
    node.in[0] = a;
    node.in[1] = b;
    assert_ok(pfm_graph_add(f.graph, &node, &c, &err));
    c = add_linear(&f, c, "c", false, PFM_STORAGE_F32);
    f.graph->recompute = true;
    pfm_plan *plan = NULL;
    assert_ok(pfm_plan_create(f.graph, &f.env, c, &plan, &err));
    assert_int_equal(plan->step_count, 8); /* four forward, four backward, none again */
    assert_true(simulate(f.graph, plan) > 100);
    pfm_plan_free(plan);
    release(&f);
}

/* An update in the last layer alone: the layers below have no backward, and its own weights no gradient. */
static void frozen_layers_below_cost_no_backward(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    const pfm_language_config config = small_model(true);
    char *targets[] = {(char[]){"layers.2.self_attn.q_proj"}};
    const pfm_peft_options options = {.method = (char[]){"lora"}, .rank = 2, .alpha = 4, .targets = targets, .target_count = 1};
    pfm_peft *peft = NULL;
    assert_ok(pfm_peft_create(&options, &peft, &err));
    f.builder.hook = pfm_peft_hook(peft);
    pfm_language_values values = {.visual = PFM_NO_VALUE};
    assert_ok(pfm_language_build(&f.builder, &config, true, &values, &err));
    pfm_plan *plan = NULL;
    assert_ok(pfm_plan_create(f.graph, &f.env, values.loss, &plan, &err));
    size_t first = SIZE_MAX;
    for (size_t n = 0; n < f.graph->node_count; n++) {
        const pfm_graph_node *node = &f.graph->nodes[n];
        bool trains = node->operand[0] >= 0 && pfm_parameters_get(f.parameters, node->operand[0])->trainable;
        first = trains && n < first ? n : first;
        assert_true(n >= first || !plan->runs_backward[n]);
        assert_true(!trains || plan->runs_backward[n]);
    }
    assert_true(first > 2 * f.graph->node_count / 3 - 10 && first < f.graph->node_count);
    for (size_t n = 0; n < f.graph->node_count; n++) { /* keys and values of that layer come from below: no gradient either */
        const pfm_graph_node *node = &f.graph->nodes[n];
        if (node->operand[0] >= 0 &&
            strstr(pfm_parameters_get(f.parameters, node->operand[0])->name, "2.self_attn.k_proj") != NULL)
            assert_int_equal(plan->gradient_place[node->out[0]], PFM_NO_PLACE);
    }
    pfm_plan_free(plan);
    pfm_peft_free(peft);
    release(&f);
}

static void gradients_that_cannot_be_added_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_value x = add_input(&f, true), a, b, sum;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_attention);
    node.in[0] = node.in[1] = node.in[2] = x; /* the query is one that attention writes and never adds to */
    node.attributes = (pfm_op_attributes){.heads = 2, .kv_heads = 2, .head_dim = 8};
    assert_ok(pfm_graph_add(f.graph, &node, &a, &err));
    assert_ok(pfm_graph_add(f.graph, &node, &b, &err));
    pfm_linear_options options = {.n = 16, .k = 16, .addend = a, .output = PFM_STORAGE_ACT};
    assert_ok(pfm_build_linear(&f.builder, b, "sum", &options, &sum, &err));
    pfm_plan *plan = NULL;
    assert_error(pfm_plan_create(f.graph, &f.env, sum, &plan, &err), PFM_ERROR_UNSUPPORTED,
                 "attention cannot add to the gradient of its input 0");
    release(&f);
}

static void what_has_no_derivative_does_not_train(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_value out;
    const pfm_parameter head = {
        .name = (char *)(uintptr_t) "head", .n = 9, .k = 16, .uses = PFM_USE_FORWARD, .trainable = true};
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_activate); /* which reads none */
    assert_ok(pfm_build_parameter(&f.builder, &head, &node.operand[0], &err));
    node.in[0] = add_input(&f, false);
    assert_error(pfm_graph_add(f.graph, &node, &out, &err), PFM_ERROR_UNSUPPORTED, "activate cannot train the parameter head");
    release(&f);
}

static void a_parameter_has_one_shape(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_value x = add_input(&f, false), y;
    (void)add_linear(&f, x, "same", false, PFM_STORAGE_ACT);
    (void)add_linear(&f, x, "same", false, PFM_STORAGE_ACT); /* shared by two places */
    assert_int_equal(pfm_parameters_count(f.parameters), 1);
    const pfm_linear_options options = {.n = 8, .k = 16, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_ACT};
    assert_error(pfm_build_linear(&f.builder, x, "same", &options, &y, &err), PFM_ERROR_MISMATCH,
                 "same.weight is 16 x 16 in one place and 8 x 16");
    const pfm_linear_options narrow = {.n = 16, .k = 8, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_ACT};
    assert_error(pfm_build_linear(&f.builder, x, "narrow", &narrow, &y, &err), PFM_ERROR_MISMATCH, "linear");
    release(&f);
}

/* y = W2 (W1 x) and the gradient of x with fewer rows than planned, against sums in double. */
static void a_run_may_be_smaller_than_planned(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    fixture f;
    create(&f);
    pfm_value x = add_input(&f, true),
              y = add_linear(&f, add_linear(&f, x, "one", true, PFM_STORAGE_ACT), "two", false, PFM_STORAGE_F32);
    pfm_graph_keep(f.graph, y);
    assert_ok(pfm_parameters_allocate(f.parameters, &err));
    assert_ok(pfm_parameters_initialise(f.parameters, 1, true, &err));
    pfm_parameters_set(f.parameters, 1, pfm_parameters_get(f.parameters, 0)->values); /* the same matrix twice: W W x */
    pfm_executor *executor = NULL;
    assert_ok(pfm_executor_create(f.graph, &f.env, y, &executor, &err));
    assert_error(pfm_executor_resize(executor, PFM_DIM_TOKENS, 33, &err), PFM_ERROR_MISMATCH, "33 rows do not fit into the 32");
    const float *w = pfm_parameters_get(f.parameters, 0)->values;
    for (int rows = 32; rows > 0; rows -= 31) {
        float in[32 * 16];
        for (int i = 0; i < 32 * 16; i++)
            in[i] = (float)((i * 7) % 23) - 11;
        assert_ok(pfm_executor_resize(executor, PFM_DIM_TOKENS, rows, &err));
        pfm_executor_bind(executor, x, in);
        pfm_executor_forward(executor);
        const float *out = pfm_executor_data(executor, y);
        float *seed = pfm_executor_gradient(executor, y), dx[32 * 16], expected[32 * 16] = {0};
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < 16; i++) {
                double sum = 0;
                for (int j = 0; j < 16; j++)
                    for (int k = 0; k < 16; k++) {
                        sum += (double)w[i * 16 + j] * w[j * 16 + k] * in[r * 16 + k];
                        expected[r * 16 + k] += w[i * 16 + j] * w[j * 16 + k]; /* of the sum of all outputs */
                    }
                assert_true(fabs(out[r * 16 + i] - sum) < 1e-4);
                seed[r * 16 + i] = 1;
            }
        pfm_executor_backward(executor);
        memcpy(dx, pfm_executor_gradient(executor, x), (size_t)rows * 16 * sizeof *dx);
        for (int i = 0; i < rows * 16; i++)
            assert_true(fabsf(dx[i] - expected[i]) < 1e-4f);
    }
    size_t count;
    const pfm_profile *profile = pfm_executor_profile(executor, &count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(profile[i].calls, strcmp(profile[i].op, "linear") == 0 ? 4 : 0);
    pfm_executor_free(executor);
    release(&f);
}

static int add_matrix(fixture *f, const char *name, int64_t n, int64_t k)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_parameter declaration = {.name = (char *)(uintptr_t)name,
                                       .n = n,
                                       .k = k,
                                       .uses = PFM_USE_VALUES,
                                       .part = PFM_PART_PEFT,
                                       .trainable = true,
                                       .initial = PFM_INITIAL_UNIFORM,
                                       .initial_scale = 0.3};
    int id;
    assert_ok(pfm_build_parameter(&f->builder, &declaration, &id, &err));
    return id;
}

/* *x becomes W2 h, h = twice W1 x scaled by g / the lengths of W + B A's rows, within a block. */
static void build_constants(fixture *f, const char *block, pfm_value *x)
{
    pfm_error err = PFM_ERROR_INIT;
    char names[6][16];
    static const char *const parts[] = {"one", "a", "w", "b", "g", "two"};
    pfm_value rows;
    pfm_graph_node parameter = pfm_graph_node_of(&pfm_op_parameter), lengths = pfm_graph_node_of(&pfm_op_row_norms),
                   scale = pfm_graph_node_of(&pfm_op_magnitude);
    for (int i = 0; i < 6; i++)
        (void)snprintf(names[i], sizeof names[i], "%s.%s", block, parts[i]);
    assert_ok(pfm_build_checkpoint(&f->builder, &err));
    scale.in[0] = scale.in[2] = add_linear(f, *x, names[0], true, PFM_STORAGE_ACT);
    parameter.operand[0] = add_matrix(f, names[1], 2, 16);
    assert_ok(pfm_graph_add(f->graph, &parameter, &rows, &err));
    assert_ok(pfm_build_act(&f->builder, rows, &rows, &err));
    lengths.in[0] = add_linear(f, rows, names[2], false, PFM_STORAGE_F32);
    lengths.operand[0] = f->graph->nodes[f->graph->node_count - 1].operand[0];
    lengths.operand[1] = add_matrix(f, names[3], 16, 2);
    lengths.attributes.alpha = 0.1f;
    pfm_parameters_use(f->parameters, lengths.operand[0], PFM_USE_NORMS);
    assert_ok(pfm_graph_add(f->graph, &lengths, &scale.in[1], &err));
    scale.operand[0] = add_matrix(f, names[4], 16, 1);
    assert_ok(pfm_graph_add(f->graph, &scale, x, &err));
    *x = add_linear(f, *x, names[5], false, PFM_STORAGE_ACT);
}

/* Two such blocks, one behind the other. */
static pfm_value build_with_constants(fixture *f, pfm_value x)
{
    pfm_error err = PFM_ERROR_INIT;
    build_constants(f, "0", &x);
    build_constants(f, "1", &x);
    assert_ok(pfm_build_checkpoint(&f->builder, &err));
    return add_linear(f, x, "last", false, PFM_STORAGE_F32);
}

static int64_t forward_calls(const pfm_executor *executor, const char *op)
{
    size_t count;
    int64_t calls = -1;
    const pfm_profile *profile = pfm_executor_profile(executor, &count);
    for (size_t i = 0; i < count; i++)
        calls = strcmp(profile[i].op, op) == 0 && !profile[i].backward ? profile[i].calls : calls;
    return calls;
}

static bool are_apart(size_t place, size_t bytes, size_t other, size_t other_bytes)
{
    return other == PFM_NO_PLACE || place + bytes <= other || other + other_bytes <= place;
}

/* Nothing else ever lies where a constant does that others read; there are `wanted` of them. */
static void assert_constants_lie_apart(const fixture *f, const pfm_value seed, int wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_plan *plan = NULL;
    int found = 0;
    assert_ok(pfm_plan_create(f->graph, &f->env, seed, &plan, &err));
    for (size_t n = 0; n < f->graph->node_count; n++)
        for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
            const pfm_value value = f->graph->nodes[n].in[i];
            if (value == PFM_NO_VALUE || plan->constants[n] || f->graph->values[value].producer < 0 ||
                !plan->constants[f->graph->values[value].producer])
                continue;
            const pfm_tensor *shape = &f->graph->values[value].shape;
            for (size_t v = 0; v < f->graph->value_count; v++) {
                const pfm_tensor *other = &f->graph->values[v].shape;
                const size_t bytes = (size_t)(shape->rows * shape->columns) * 4,
                             others = (size_t)(other->rows * other->columns) * 4;
                assert_true((pfm_value)v == value || are_apart(plan->value_place[value], bytes, plan->value_place[v], others));
                assert_true(are_apart(plan->value_place[value], bytes, plan->gradient_place[v], others));
            }
            found++;
        }
    assert_int_equal(found, wanted);
    pfm_plan_free(plan);
}

/* What follows from parameters alone is computed once and stays, until one of them is set or packed again. */
static void constants_stay_from_run_to_run(void **state)
{
    (void)state;
    for (int recompute = 0; recompute < 2; recompute++) {
        pfm_error err = PFM_ERROR_INIT;
        fixture f;
        float in[32 * 16], first[32 * 16];
        create(&f);
        const pfm_value x = add_input(&f, true), y = build_with_constants(&f, x);
        pfm_graph_keep(f.graph, y);
        f.graph->recompute = recompute != 0;
        assert_constants_lie_apart(&f, PFM_NO_VALUE, 2);
        assert_constants_lie_apart(&f, y, 2);
        assert_ok(pfm_parameters_allocate(f.parameters, &err));
        assert_ok(pfm_parameters_initialise(f.parameters, 1, true, &err));
        pfm_executor *executor = NULL;
        assert_ok(pfm_executor_create(f.graph, &f.env, y, &executor, &err));
        for (int i = 0; i < 32 * 16; i++)
            in[i] = (float)((i * 7) % 23) - 11;
        pfm_executor_bind(executor, x, in);
        for (int run = 0; run < 3; run++) {
            pfm_executor_forward(executor);
            if (run == 0)
                memcpy(first, pfm_executor_data(executor, y), sizeof first);
            assert_memory_equal(pfm_executor_data(executor, y), first, sizeof first);
            memcpy(pfm_executor_gradient(executor, y), in, sizeof in);
            pfm_executor_backward(executor);
        }
        assert_int_equal(forward_calls(executor, "parameter"), 2);
        assert_int_equal(forward_calls(executor, "row_norms"), 2);
        pfm_parameter *b = pfm_parameters_get(f.parameters, pfm_parameters_find(f.parameters, "0.b"));
        b->values[3] += 5;
        pfm_parameters_repack(f.parameters);
        pfm_executor_forward(executor);
        assert_memory_not_equal(pfm_executor_data(executor, y), first, sizeof first);
        assert_int_equal(forward_calls(executor, "row_norms"), 4);
        pfm_executor_free(executor);
        release(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_used_again),
        cmocka_unit_test(a_bias_trains_without_its_layers_input),
        cmocka_unit_test(what_lives_does_not_overlap),
        cmocka_unit_test(of_a_block_computed_again_only_its_input_is_kept),
        cmocka_unit_test(what_crosses_a_block_is_not_computed_again),
        cmocka_unit_test(frozen_layers_below_cost_no_backward),
        cmocka_unit_test(gradients_that_cannot_be_added_are_refused),
        cmocka_unit_test(constants_stay_from_run_to_run),
        cmocka_unit_test(what_has_no_derivative_does_not_train),
        cmocka_unit_test(a_parameter_has_one_shape),
        cmocka_unit_test(a_run_may_be_smaller_than_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
