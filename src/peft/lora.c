/* LoRA (Hu et al. 2021, arXiv 2106.09685) as Hugging Face PEFT computes it: y = W x + scale * B A dropout(x), A [rank,k] drawn
 * uniformly from +-1/sqrt(k) (Kaiming with a = sqrt 5), B [n,rank] zero. */
#include "peft/peft.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t place_number(const char *name)
{
    uint64_t number = pfm_name_number(name, strlen(name));
    return (uint32_t)(number ^ number >> 32);
}

static pfm_status add_dropout(pfm_builder *builder, const pfm_model_place *place, double probability, pfm_value *x,
                              pfm_error *err)
{
    if (probability == 0 || !pfm_parameters_trains(builder->graph->parameters, PFM_PART_PEFT))
        return PFM_OK; /* what does not train is computed as in answering */
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_dropout);
    node.in[0] = place->input;
    node.in[1] = builder->token_keys;
    node.attributes = (pfm_op_attributes){.probability = (float)probability, .place = place_number(place->name)};
    return pfm_graph_add(builder->graph, &node, x, err);
}

static pfm_status add_factor(pfm_builder *builder, const pfm_model_place *place, const char *factor, pfm_parameter declaration,
                             pfm_graph_node *node, pfm_value *y, pfm_error *err)
{
    char *name = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_string_format(&name, err, "%s.%s.weight", place->name, factor));
    declaration.name = name;
    declaration.uses = PFM_USE_FORWARD | PFM_USE_BACKWARD;
    declaration.trainable = declaration.decays = true;
    PFM_TRY(pfm_build_parameter(builder, &declaration, &node->operand[0], err));
    PFM_TRY(pfm_graph_add(builder->graph, node, y, err));
done:
    free(name);
    return status;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    pfm_status status = PFM_OK;
    pfm_value x = place->input, u;
    PFM_TRY(add_dropout(builder, place, options->dropout, &x, err));
    pfm_graph_node down = pfm_graph_node_of(&pfm_op_linear), up = down;
    down.in[0] = x;
    down.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_ACT};
    pfm_parameter a = {
        .n = options->rank, .k = place->k, .initial = PFM_INITIAL_UNIFORM, .initial_scale = 1.0 / sqrt((double)place->k)};
    PFM_TRY(add_factor(builder, place, "lora_A", a, &down, &u, err));
    up.in[0] = u;
    up.in[1] = *output;
    up.attributes =
        (pfm_op_attributes){.alpha = (float)pfm_peft_scale(peft), .output = builder->graph->values[*output].shape.storage};
    pfm_parameter b = {.n = place->n, .k = options->rank, .initial = PFM_INITIAL_ZERO};
    PFM_TRY(add_factor(builder, place, "lora_B", b, &up, output, err));
done:
    return status;
}

static pfm_status find_factor(const pfm_parameters *parameters, const char *module, const char *factor,
                              const pfm_parameter **out, pfm_error *err)
{
    char *name = NULL;
    pfm_status status = pfm_string_format(&name, err, "%s.%s.weight", module, factor);
    if (status != PFM_OK)
        return status;
    int id = pfm_parameters_find(parameters, name);
    if (id < 0)
        status = pfm_error_set(err, PFM_ERROR_MISMATCH, "there is no parameter %s to merge", name);
    else
        *out = pfm_parameters_get(parameters, id);
    free(name);
    return status;
}

static pfm_status merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err)
{
    const pfm_parameter *a = NULL, *b = NULL;
    double *row = NULL; /* of the product, summed in double */
    pfm_status status = PFM_OK;
    PFM_TRY(find_factor(parameters, module, "lora_A", &a, err));
    PFM_TRY(find_factor(parameters, module, "lora_B", &b, err));
    if (a->k != k || b->n != n || a->n != b->k)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the factors of %s do not fit its weight of %lld x %lld", module, (long long)n,
                 (long long)k);
    double scale = pfm_peft_scale(peft);
    PFM_TRY(pfm_allocate((size_t)k, sizeof *row, &row, err));
    for (int64_t i = 0; i < n; i++) {
        memset(row, 0, (size_t)k * sizeof *row);
        for (int64_t r = 0; r < a->n; r++) {
            double factor = scale * b->values[i * a->n + r];
            for (int64_t j = 0; j < k; j++)
                row[j] += factor * a->values[r * k + j];
        }
        for (int64_t j = 0; j < k; j++)
            values[i * k + j] += (float)row[j];
    }
done:
    free(row);
    return status;
}

const pfm_peft_method pfm_peft_lora = {.name = "lora", .apply = apply, .merge = merge};
