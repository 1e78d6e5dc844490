/* Serial and parallel adapters against torch (script/vectors/bottlenecks.py): logits, the gradient of every tensor and of the
 * input; how they begin; their configuration; and options that cannot be. */
#include "adapted.h"

#include "base/json.h"
#include "formats/adapter.h"
#include "peft/bottleneck.h"
#include "peft/peft_methods.h"
#include "train/run.h"

#include <math.h>

static const struct golden_case {
    const char *name, *model, *peft; /* peft: the recipe's section */
} cases[] = {
    {"serial", "llama", "{method: serial, bottleneck: 5, adapter_scale: 1.5, activation: silu}"},
    {"parallel", "phi", "{method: parallel, bottleneck: 5, adapter_scale: 4}"},
    {"parallel_mlp", "gpt2", "{method: parallel, bottleneck: 5, sublayers: mlp, activation: gelu}"},
    {"serial_attention", "gpt2", "{method: serial, bottleneck: 5, sublayers: attention}"},
};
enum { CASES = sizeof cases / sizeof *cases };

static void gradients_are_torchs(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = NULL;
    assert_ok(pfm_weights_open(golden_path("bottlenecks.safetensors"), &golden, &err));
    for (size_t i = 0; i < CASES; i++) {
        adapted a;
        adapted_create(cases[i].model, cases[i].peft, cases[i].name, &a);
        adapted_run_and_compare(&a, false, golden, cases[i].name);
        assert_saved_is(&a, cases[i].name);
        assert_forward_gives(cases[i].model, cases[i].name, false, golden);
        adapted_free(&a);
    }
    pfm_weights_close(golden);
}

/* W1 fills its bounds; all else is zero, so that nothing is added. */
static void they_begin_as_nothing(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = adapted_session(context, "gpt2", "{method: serial, bottleneck: 8}");
    assert_ok(adapted_build(session, &graph, &err));
    const pfm_parameters *parameters = session->model->parameters;
    int found = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const bool drawn = strstr(p->name, ".adapter_down.weight") != NULL, bias = strstr(p->name, ".bias") != NULL;
        if (p->part != PFM_PART_PEFT)
            continue;
        const float bound = 1 / sqrtf((float)p->k);
        float most = 0;
        for (int64_t j = 0; j < p->n * p->k; j++)
            most = fmaxf(most, fabsf(p->values[j]));
        assert_true(drawn ? most <= bound && most > 0.9f * bound : most == 0);
        assert_int_equal(p->decays, !bias);
        found++;
    }
    assert_int_equal(found, 2 * 2 * 4); /* layers, sublayers, tensors */
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

static int count_dropouts(const char *peft)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = adapted_session(context, "gpt2", peft);
    int found = 0;
    assert_ok(adapted_build(session, &graph, &err));
    for (size_t i = 0; i < graph.graph->node_count; i++) {
        const pfm_graph_node *node = &graph.graph->nodes[i];
        found += node->op == &pfm_op_dropout && graph.graph->values[node->in[0]].shape.columns == 5;
    }
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
    return found;
}

static void what_stands_between_the_layers_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(count_dropouts("{method: parallel, bottleneck: 5, dropout: 0.3}"), 2 * 2);
    assert_int_equal(count_dropouts("{method: parallel, bottleneck: 5, dropout: 0}"), 0);
}

static void the_configuration_comes_back(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config config = {0};
    pfm_peft_options options = {0};
    char folder[256], adapter[300];
    adapted a;
    adapted_create(cases[0].model, cases[0].peft, cases[0].name, &a);
    (void)snprintf(folder, sizeof folder, "%s/described", test_scratch_folder());
    (void)snprintf(adapter, sizeof adapter, "%s/adapter", folder);
    assert_ok(pfm_run_save(folder, "base", a.session->model, a.session->peft, &err));
    assert_ok(pfm_adapter_config_load(adapter, &config, &err));
    assert_string_equal(config.peft_type, "SERIAL_ADAPTER");
    assert_ok(pfm_peft_serial.read_config(config.document, &options, &err));
    assert_int_equal(options.bottleneck, 5);
    assert_true(options.adapter_scale == 1.5 && options.dropout == 0.05);
    assert_string_equal(options.activation, "silu");
    assert_string_equal(options.sublayers, "both");
    assert_int_equal(json_object_set_new(config.document, "bottleneck", json_string("wide")), 0);
    assert_error(pfm_peft_serial.read_config(config.document, &options, &err), PFM_ERROR_FORMAT, "bottleneck");
    assert_int_equal(json_object_set_new(config.document, "bottleneck", json_integer(5)), 0);
    assert_int_equal(json_object_set_new(config.document, "activation", json_string("tanh")), 0);
    assert_error(pfm_peft_serial.read_config(config.document, &options, &err), PFM_ERROR_USAGE, "'tanh'");
    pfm_peft_options_free(&options);
    pfm_adapter_config_free(&config);
    adapted_free(&a);
}

static void options_are_checked(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_peft_options good = {.bottleneck = 4, .adapter_scale = 1};
    pfm_peft_options bad = good;
    assert_ok(pfm_bottleneck_check(&good, &err));
    bad.bottleneck = 0;
    assert_error(pfm_bottleneck_check(&bad, &err), PFM_ERROR_USAGE, "peft.bottleneck cannot be 0");
    bad = good;
    bad.adapter_scale = NAN;
    assert_error(pfm_bottleneck_check(&bad, &err), PFM_ERROR_USAGE, "peft.adapter_scale");
    bad = good;
    bad.dropout = 1;
    assert_error(pfm_bottleneck_check(&bad, &err), PFM_ERROR_USAGE, "peft.dropout");
    bad = good;
    bad.sublayers = (char[]){"none"};
    assert_error(pfm_bottleneck_check(&bad, &err), PFM_ERROR_USAGE, "peft.sublayers cannot be 'none'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_torchs),
        cmocka_unit_test(they_begin_as_nothing),
        cmocka_unit_test(what_stands_between_the_layers_is_dropped),
        cmocka_unit_test(the_configuration_comes_back),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
