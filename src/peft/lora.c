/* LoRA (Hu et al. 2021, arXiv 2106.09685) as Hugging Face PEFT computes it: y = W x + scale * B A dropout(x), A [rank,k] drawn
 * uniformly from +-1/sqrt(k) (Kaiming with a = sqrt 5), B [n,rank] zero; with lora_bias scale * (B A dropout(x) + b), b zero.
 * scale = alpha / rank, or rsLoRA's alpha / sqrt(rank) (Kalajdzievski 2023, arXiv 2312.03732). LoRA+ (Hayou et al. 2024, arXiv
 * 2402.12354): B learns rate_ratio times as fast as A, and decays as its own rate says, as in PEFT's optimizer.
 * What other methods build on is in lora.h. */
#include "peft/lora.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"
#include "peft/peft_methods.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const pfm_peft_family pfm_lora_families[] = {
    {.model_type = "gpt2", .targets = "c_attn"}, {.model_type = "phi", .targets = "q_proj,v_proj,fc1,fc2"}, {0}};

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_LINEAR ? PFM_TOUCH_ADDS : PFM_TOUCH_NOTHING;
}

pfm_status pfm_lora_declare(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, int64_t rank, int factors[2],
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameter a = {.n = rank,
                             .k = place->k,
                             .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                             .decays = true,
                             .initial = PFM_INITIAL_UNIFORM,
                             .initial_scale = 1.0 / sqrt((double)place->k)},
                        b = {.n = place->n,
                             .k = rank,
                             .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD,
                             .decays = true,
                             .rate = pfm_peft_get_options(peft)->rate_ratio,
                             .column = true,
                             .initial = PFM_INITIAL_ZERO};
    PFM_TRY(pfm_peft_declare(peft, builder, place->name, "lora_A.weight", &a, &factors[0], err));
    PFM_TRY(pfm_peft_declare(peft, builder, place->name, "lora_B.weight", &b, &factors[1], err));
done:
    return status;
}

pfm_status pfm_lora_build(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value x, pfm_value addend,
                          pfm_storage output, int factors[2], pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph_node down = pfm_graph_node_of(&pfm_op_linear), up = down;
    PFM_TRY(pfm_lora_declare(peft, builder, place, pfm_peft_rank(peft, place->name), factors, err));
    down.in[0] = x;
    down.operand[0] = factors[0];
    down.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_ACT};
    PFM_TRY(pfm_graph_add(builder->graph, &down, &up.in[0], err));
    up.in[1] = addend;
    up.operand[0] = factors[1];
    up.attributes = (pfm_op_attributes){.alpha = (float)pfm_peft_scale(peft, place->name), .output = output};
    if (pfm_peft_get_options(peft)->lora_bias) {
        const pfm_parameter bias = {.n = place->n,
                                    .k = 1,
                                    .uses = PFM_USE_VALUES,
                                    .rate = pfm_peft_get_options(peft)->rate_ratio,
                                    .initial = PFM_INITIAL_ZERO};
        PFM_TRY(pfm_peft_declare(peft, builder, place->name, "lora_B.bias", &bias, &up.operand[1], err));
        up.attributes.scales_bias = true;
    }
    PFM_TRY(pfm_graph_add(builder->graph, &up, y, err));
done:
    return status;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    int factors[2];
    pfm_value x;
    const pfm_storage storage = builder->graph->values[*output].shape.storage;
    pfm_status status = pfm_peft_dropout(peft, builder, place->name, place->input, &x, err);
    return status != PFM_OK ? status : pfm_lora_build(peft, builder, place, x, *output, storage, factors, output, err);
}

pfm_status pfm_lora_add_product(const pfm_parameter *a, const pfm_parameter *b, const float *inner, const float *outer,
                                double scale, float *values, pfm_error *err)
{
    const int64_t n = b->n, rank = a->n, k = a->k;
    double *row = NULL;
    pfm_status status = pfm_allocate((size_t)k, sizeof *row, &row, err);
    for (int64_t i = 0; status == PFM_OK && i < n; i++) {
        const double of_row = outer != NULL ? scale * outer[i] : scale;
        memset(row, 0, (size_t)k * sizeof *row);
        for (int64_t r = 0; r < rank; r++) {
            const double factor = of_row * b->values[i * rank + r] * (inner != NULL ? inner[r] : 1);
            for (int64_t j = 0; j < k; j++)
                row[j] += factor * a->values[r * k + j];
        }
        for (int64_t j = 0; j < k; j++)
            values[i * k + j] += (float)row[j];
    }
    free(row);
    return status;
}

pfm_status pfm_lora_merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                          float *values, pfm_error *err)
{
    const pfm_parameter *a = NULL, *b = NULL;
    pfm_status status = PFM_OK;
    if (pfm_peft_get_options(peft)->lora_bias)
        PFM_FAIL(
            PFM_ERROR_UNSUPPORTED,
            "peft.lora_bias: the bias of the second factor cannot be merged into a weight; export the adapter beside the base "
            "(--to peft)");
    PFM_TRY(pfm_peft_find(peft, parameters, module, "lora_A.weight", &a, err));
    PFM_TRY(pfm_peft_find(peft, parameters, module, "lora_B.weight", &b, err));
    if (a->k != k || b->n != n || a->n != b->k)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the factors of %s do not fit its weight of %lld x %lld", module, (long long)n,
                 (long long)k);
    PFM_TRY(pfm_lora_add_product(a, b, NULL, NULL, pfm_peft_scale(peft, module), values, err));
done:
    return status;
}

pfm_status pfm_lora_write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    static const char *const unused[] = {"modules_to_save", "layers_to_transform", "layers_pattern"};
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "r", json_integer(options->rank), err));
    PFM_TRY(pfm_json_take(config, "lora_alpha", pfm_peft_number(options->alpha), err));
    PFM_TRY(pfm_json_take(config, "lora_dropout", json_real(options->dropout), err));
    PFM_TRY(pfm_json_take(config, "use_rslora", json_boolean(options->rslora), err));
    PFM_TRY(pfm_json_take(config, "fan_in_fan_out", json_false(), err));
    PFM_TRY(pfm_json_take(config, "bias", json_string(options->bias == NULL ? "none" : options->bias), err));
    if (options->lora_bias) /* older versions of PEFT do not know the key */
        PFM_TRY(pfm_json_take(config, "lora_bias", json_true(), err));
    PFM_TRY(pfm_json_take(config, "init_lora_weights", json_true(), err));
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        PFM_TRY(pfm_json_take(config, unused[i], json_null(), err));
done:
    return status;
}

/* The defaults are those of PEFT's LoraConfig. */
pfm_status pfm_lora_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_read_integer(config, "r", 8, 1, PFM_PEFT_MOST_RANK, &options->rank, err));
    PFM_TRY(pfm_peft_read_number(config, "lora_alpha", 8, 0, 1e6, &options->alpha, err));
    PFM_TRY(pfm_peft_read_number(config, "lora_dropout", 0, 0, 0.99, &options->dropout, err));
    PFM_TRY(pfm_peft_read_flag(config, "use_rslora", false, &options->rslora, err));
    PFM_TRY(pfm_peft_read_text(config, "bias", "none", &options->bias, err));
    PFM_TRY(pfm_peft_read_flag(config, "lora_bias", false, &options->lora_bias, err));
done:
    return status;
}

const pfm_peft_method pfm_peft_lora = {.name = "lora",
                                       .targets = "q_proj,v_proj",
                                       .families = pfm_lora_families,
                                       .keys = PFM_KEYS_OF_LORA "rank_pattern alpha_pattern bias lora_bias",
                                       .check = pfm_peft_check_low_rank,
                                       .touches = touches,
                                       .apply = apply,
                                       .merge = pfm_lora_merge,
                                       .type = "LORA",
                                       .write_config = pfm_lora_write_config,
                                       .read_config = pfm_lora_read_config};
