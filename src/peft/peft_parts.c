/* What methods share. */
#include "peft/peft.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pfm_status pfm_peft_check_dropout(const pfm_peft_options *options, pfm_error *err)
{
    if (!(options->dropout >= 0 && options->dropout < 1))
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.dropout cannot be %g; it is at least 0 and below 1", options->dropout);
    return PFM_OK;
}

pfm_status pfm_peft_check_low_rank(const pfm_peft_options *options, pfm_error *err)
{
    if (options->rank < 1)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.rank cannot be %d; it is at least 1", options->rank);
    return pfm_peft_check_dropout(options, err);
}

double pfm_peft_scale(const pfm_peft *peft, const char *module)
{
    const double rank = pfm_peft_rank(peft, module);
    return pfm_peft_alpha(peft, module) / (pfm_peft_get_options(peft)->rslora ? sqrt(rank) : rank);
}

static uint32_t place_number(const char *name)
{
    uint64_t number = pfm_name_number(name, strlen(name));
    return (uint32_t)(number ^ number >> 32);
}

pfm_status pfm_peft_dropout(const pfm_peft *peft, pfm_builder *builder, const char *place, pfm_value x, pfm_value *y,
                            pfm_error *err)
{
    const double probability = pfm_peft_get_options(peft)->dropout;
    *y = x;
    if (probability == 0 || !pfm_parameters_trains(builder->graph->parameters, PFM_PART_PEFT))
        return PFM_OK; /* what does not train is computed as in answering */
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_dropout);
    node.in[0] = x;
    node.in[1] = builder->token_keys;
    node.attributes = (pfm_op_attributes){.probability = (float)probability, .place = place_number(place)};
    return pfm_graph_add(builder->graph, &node, y, err);
}

static pfm_status declare(const pfm_peft *peft, pfm_builder *builder, const char *module, const char *name, bool trains,
                          const pfm_parameter *declaration, int *id, pfm_error *err)
{
    char *full = NULL;
    pfm_parameter named = *declaration;
    pfm_status status =
        pfm_string_format(&full, err, "%s%s%s%s", pfm_peft_get_slot(peft), module, module[0] == '\0' ? "" : ".", name);
    named.name = full;
    named.trainable = trains;
    named.part = PFM_PART_PEFT;
    if (status == PFM_OK)
        status = pfm_build_parameter(builder, &named, id, err);
    free(full);
    return status;
}

pfm_status pfm_peft_declare(pfm_peft *peft, pfm_builder *builder, const char *module, const char *name,
                            const pfm_parameter *declaration, int *id, pfm_error *err)
{
    return declare(peft, builder, module, name, true, declaration, id, err);
}

pfm_status pfm_peft_declare_fixed(pfm_peft *peft, pfm_builder *builder, const char *module, const char *name,
                                  const pfm_parameter *declaration, int *id, pfm_error *err)
{
    return declare(peft, builder, module, name, false, declaration, id, err);
}

pfm_status pfm_peft_find(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, const char *name,
                         const pfm_parameter **out, pfm_error *err)
{
    char *full = NULL;
    pfm_status status =
        pfm_string_format(&full, err, "%s%s%s%s", pfm_peft_get_slot(peft), module, module[0] == '\0' ? "" : ".", name);
    if (status != PFM_OK)
        return status;
    int id = pfm_parameters_find(parameters, full);
    if (id < 0)
        status = pfm_error_set(err, PFM_ERROR_MISMATCH, "there is no parameter %s", full);
    else
        *out = pfm_parameters_get(parameters, id);
    free(full);
    return status;
}
