#include "peft/bottleneck.h"

#include "base/json.h"
#include "base/try.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    pfm_activation kind;
} activations[] = {{"relu", PFM_ACTIVATION_RELU},
                   {"gelu", PFM_ACTIVATION_GELU},
                   {"gelu_new", PFM_ACTIVATION_GELU_TANH},
                   {"quick_gelu", PFM_ACTIVATION_QUICK_GELU},
                   {"silu", PFM_ACTIVATION_SILU}};
enum { ACTIVATIONS = sizeof activations / sizeof *activations, MOST_BOTTLENECK = 65536 };

static const char *const sublayers[] = {"both", "attention", "mlp"};
enum { SUBLAYERS = sizeof sublayers / sizeof *sublayers };

/* ACTIVATIONS for an unknown one. */
static size_t activation_of(const pfm_peft_options *options)
{
    size_t i = 0;
    while (options->activation != NULL && i < ACTIVATIONS && strcmp(activations[i].name, options->activation) != 0)
        i++;
    return i;
}

static size_t sublayer_of(const pfm_peft_options *options)
{
    size_t i = 0;
    while (options->sublayers != NULL && i < SUBLAYERS && strcmp(sublayers[i], options->sublayers) != 0)
        i++;
    return i;
}

pfm_status pfm_bottleneck_check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->bottleneck < 1)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.bottleneck cannot be %d; it is at least 1", options->bottleneck);
    if (!(options->adapter_scale > 0 && isfinite(options->adapter_scale)))
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.adapter_scale cannot be %g; it is above 0", options->adapter_scale);
    if (activation_of(options) == ACTIVATIONS)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.activation cannot be '%.60s'; there are relu, gelu, gelu_new, quick_gelu and silu",
                             options->activation);
    if (sublayer_of(options) == SUBLAYERS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.sublayers cannot be '%.60s'; it is both, attention or mlp",
                             options->sublayers);
    return pfm_peft_check_dropout(options, err);
}

bool pfm_bottleneck_acts(const pfm_peft_options *options, const pfm_model_place *place)
{
    const size_t which = sublayer_of(options);
    return place->kind == PFM_PLACE_SUBLAYER && (which == 0 || which == (place->sublayer == PFM_SUBLAYER_ATTENTION ? 1 : 2));
}

/* Weight and bias of MODULE.NAME [n,k] become the node's operands. */
static pfm_status declare_layer(pfm_peft *peft, pfm_builder *builder, const char *module, const char *const names[2], int64_t n,
                                int64_t k, pfm_initial initial, pfm_graph_node *node, pfm_error *err)
{
    const pfm_parameter weight = {.n = n,
                                  .k = k,
                                  .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                                  .decays = true,
                                  .initial = initial,
                                  .initial_scale = 1.0 / sqrt((double)k)},
                        bias = {.n = n, .k = 1, .uses = PFM_USE_VALUES, .initial = PFM_INITIAL_ZERO};
    pfm_status status = pfm_peft_declare(peft, builder, module, names[0], &weight, &node->operand[0], err);
    return status != PFM_OK ? status : pfm_peft_declare(peft, builder, module, names[1], &bias, &node->operand[1], err);
}

pfm_status pfm_bottleneck_build(pfm_peft *peft, pfm_builder *builder, const char *module, pfm_value x, pfm_value addend,
                                pfm_value *y, pfm_error *err)
{
    static const char *const down_names[] = {"adapter_down.weight", "adapter_down.bias"}, *const up_names[] = {
                                                                                              "adapter_up.weight",
                                                                                              "adapter_up.bias"};
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    const int64_t width = builder->graph->values[x].shape.columns;
    pfm_status status = PFM_OK;
    pfm_graph_node down = pfm_graph_node_of(&pfm_op_linear), up = down;
    pfm_value inner;
    PFM_TRY(declare_layer(peft, builder, module, down_names, options->bottleneck, width, PFM_INITIAL_UNIFORM, &down, err));
    down.in[0] = x;
    down.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_ACT};
    PFM_TRY(pfm_graph_add(builder->graph, &down, &inner, err));
    PFM_TRY(pfm_build_activation(builder, activations[activation_of(options)].kind, inner, &inner, err));
    PFM_TRY(pfm_peft_dropout(peft, builder, module, inner, &up.in[0], err));
    PFM_TRY(declare_layer(peft, builder, module, up_names, width, options->bottleneck, PFM_INITIAL_ZERO, &up, err));
    up.in[1] = addend;
    up.attributes =
        (pfm_op_attributes){.alpha = (float)options->adapter_scale,
                            .output = addend == PFM_NO_VALUE ? PFM_STORAGE_F32 : builder->graph->values[addend].shape.storage};
    PFM_TRY(pfm_graph_add(builder->graph, &up, y, err));
done:
    return status;
}

pfm_status pfm_bottleneck_write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "bottleneck", json_integer(options->bottleneck), err));
    PFM_TRY(pfm_json_take(config, "adapter_scale", pfm_peft_number(options->adapter_scale), err));
    PFM_TRY(pfm_json_take(config, "dropout", json_real(options->dropout), err));
    PFM_TRY(pfm_json_take(config, "activation",
                          json_string(options->activation != NULL ? options->activation : activations[0].name), err));
    PFM_TRY(
        pfm_json_take(config, "sublayers", json_string(options->sublayers != NULL ? options->sublayers : sublayers[0]), err));
done:
    return status;
}

/* What this writes is all there. */
pfm_status pfm_bottleneck_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_read_integer(config, "bottleneck", 0, 1, MOST_BOTTLENECK, &options->bottleneck, err));
    PFM_TRY(pfm_peft_read_number(config, "adapter_scale", 1, 0, 1e6, &options->adapter_scale, err));
    PFM_TRY(pfm_peft_read_number(config, "dropout", 0, 0, 0.99, &options->dropout, err));
    PFM_TRY(pfm_peft_read_text(config, "activation", NULL, &options->activation, err));
    PFM_TRY(pfm_peft_read_text(config, "sublayers", NULL, &options->sublayers, err));
    PFM_TRY(pfm_bottleneck_check(options, err));
done:
    return status;
}
