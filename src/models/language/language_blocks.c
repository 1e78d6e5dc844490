/* Frozen matrices in blocks of 8 or 4 bits: which are kept in the file's own, how they are read, what rounding to blocks does.
 */
#include "models/language/language.h"

#include "base/expand_blocks.h"
#include "base/memory.h"
#include "base/quantise.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* The file has the parameter in blocks along its rows. */
static bool has_blocks(const pfm_weight *weight, const pfm_tensor_place *place)
{
    return pfm_dtype_quantises(weight->dtype) && place->order != PFM_ORDER_TRANSPOSED;
}

pfm_status pfm_language_keep_blocks(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                    pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        pfm_parameter *p = pfm_parameters_get(parameters, i);
        const pfm_weight *weight = NULL;
        pfm_tensor_place place;
        if (!pfm_language_owns(p) || !pfm_dtype_quantises(p->blocks))
            continue;
        PFM_TRY(pfm_language_find_tensor(weights, config, p->name, p->n, p->k, &weight, &place, err));
        if (has_blocks(weight, &place))
            p->blocks = weight->dtype;
    }
done:
    return status;
}

pfm_status pfm_language_round_to_blocks(const pfm_weights *weights, const pfm_language_config *config,
                                        const pfm_parameter *parameter, float *values, pfm_error *err)
{
    const pfm_weight *weight = NULL;
    pfm_tensor_place place;
    pfm_status status = PFM_OK;
    if (!pfm_dtype_quantises(parameter->blocks))
        return PFM_OK;
    PFM_TRY(pfm_language_find_tensor(weights, config, parameter->name, parameter->n, parameter->k, &weight, &place, err));
    if (has_blocks(weight, &place))
        goto done;
    const pfm_dtype type = pfm_quantised_type(parameter->blocks, (size_t)parameter->k);
    for (int64_t row = 0; row < parameter->n; row++)
        pfm_round_to_blocks(type, values + row * parameter->k, (size_t)parameter->k, values + row * parameter->k);
done:
    return status;
}

size_t pfm_language_loading_bytes(const pfm_weights *weights, const pfm_language_config *config,
                                  const pfm_parameters *parameters)
{
    size_t most = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const pfm_weight *weight = NULL;
        pfm_tensor_place place = {.order = PFM_ORDER_SAME};
        if (!pfm_language_owns(p))
            continue;
        const bool known =
            weights != NULL && pfm_language_find_tensor(weights, config, p->name, p->n, p->k, &weight, &place, NULL) == PFM_OK;
        const int64_t rows = place.order != PFM_ORDER_SAME ? 2 * p->n : pfm_parameters_rows_at_once(parameters, i);
        const size_t values = (size_t)(p->n * p->k),
                     bytes = (known ? weight->bytes : values * sizeof(float)) + (size_t)(rows * p->k) * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return most;
}

pfm_status pfm_language_load_blocks(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                    int id, bool *loaded, pfm_error *err)
{
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    const pfm_weight *weight = NULL;
    pfm_tensor_place place;
    pfm_status status = PFM_OK;
    char *blocks = NULL, *ordered = NULL;
    PFM_TRY(pfm_language_find_tensor(weights, config, p->name, p->n, p->k, &weight, &place, err));
    *loaded = p->quantised != NULL && has_blocks(weight, &place) && weight->dtype == p->operand.quant_format &&
              p->rows == NULL && p->values == NULL;
    if (!*loaded)
        goto done;
    const bool pairs = place.order != PFM_ORDER_SAME;
    const size_t row_bytes = pfm_weight_row_blocks(weight);
    const int64_t once = pairs ? p->n : pfm_parameters_rows_at_once(parameters, id);
    PFM_TRY(pfm_allocate((size_t)once, row_bytes, &blocks, err));
    if (pairs)
        PFM_TRY(pfm_allocate((size_t)once, row_bytes, &ordered, err));
    for (int64_t row = 0; row < p->n; row += once) {
        const int64_t count = p->n - row < once ? p->n - row : once;
        pfm_weight_copy_blocks(weight, place.row0 + row, count, blocks);
        if (pairs)
            pfm_language_from_file_pairs(&place, p->n, row_bytes, blocks, ordered);
        pfm_parameters_set_blocks(parameters, id, row, count, pairs ? ordered : blocks);
    }
    pfm_weights_release(weights, weight);
done:
    free(blocks);
    free(ordered);
    return status;
}
