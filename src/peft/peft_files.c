/* The tensors of an adapter's file, as Hugging Face PEFT names them. */
#include "peft/peft.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const char prefix[] = "base_model.model.", head[] = "lm_head.weight";

void pfm_peft_tensors_free(pfm_peft_tensors *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        if (list->items[i].owned)
            free(list->items[i].values);
    }
    free(list->items);
    *list = (pfm_peft_tensors){0};
}

pfm_status pfm_peft_tensors_add(pfm_peft_tensors *list, const char *begin, const char *name, int64_t n, int64_t k,
                                float *values, bool owned, pfm_error *err)
{
    char *full = NULL;
    pfm_status status = pfm_array_reserve(&list->items, &list->capacity, list->count + 1, sizeof *list->items, err);
    if (status == PFM_OK)
        status = pfm_string_format(&full, err, "%s%s", begin, name);
    if (status == PFM_OK)
        list->items[list->count++] = (pfm_peft_tensor){.name = full, .n = n, .k = k, .values = values, .owned = owned};
    else if (owned)
        free(values);
    return status;
}

pfm_status pfm_peft_read_tensor(const pfm_weights *weights, const char *name, int64_t n, int64_t k, float *values,
                                pfm_error *err)
{
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s lacks the tensor %s; it belongs to another recipe",
                             pfm_weights_path(weights), name);
    const bool vector = k == 1 && weight->rank == 1 && weight->shape[0] == n,
               matrix = weight->rank == 2 && weight->shape[0] == n && weight->shape[1] == k;
    if (!vector && !matrix)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s: the tensor %s is not %lld x %lld; it belongs to another recipe",
                             pfm_weights_path(weights), name, (long long)n, (long long)k);
    return pfm_weight_expand(weight, values, err);
}

/* Whether a parameter is the method's, and the file holds it as it stands; or else a norm that is learned beside it. */
static bool is_listed(const pfm_peft_method *method, const pfm_parameter *parameter, bool saves)
{
    const bool own = method != NULL && (saves ? method->save != NULL : method->load != NULL);
    return parameter->part == PFM_PART_NORMS || (parameter->part == PFM_PART_PEFT && !own);
}

static pfm_status file_name(const pfm_peft_method *method, const pfm_parameter *parameter, char **out, pfm_error *err)
{
    if (parameter->part == PFM_PART_PEFT && method != NULL && method->file_name != NULL)
        return method->file_name(parameter, out, err);
    return pfm_string_copy(parameter->name, out, err);
}

/* An embedding that is the head too. Where it trains, PEFT keeps both as modules of their own. */
static bool is_head(const pfm_peft_method *method, const pfm_parameter *parameter)
{
    const unsigned both = PFM_USE_ROWS | PFM_USE_FORWARD;
    return method != NULL && method->whole && (parameter->uses & both) == both;
}

static pfm_status save_one(const pfm_parameter *p, const char *name, pfm_peft_tensors *out, pfm_error *err)
{
    float *values = NULL;
    if (!p->transposed)
        return pfm_peft_tensors_add(out, prefix, name, p->n, p->k, p->values, false, err);
    pfm_status status = pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err);
    if (status != PFM_OK)
        return status;
    pfm_weight_transpose(p->values, p->n, p->k, values);
    return pfm_peft_tensors_add(out, prefix, name, p->k, p->n, values, true, err);
}

pfm_status pfm_peft_save(const pfm_peft *peft, const pfm_parameters *parameters, pfm_peft_tensors *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    char *name = NULL;
    if (method != NULL && method->save != NULL)
        PFM_TRY(method->save(peft, parameters, out, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!is_listed(method, p, true))
            continue;
        free(name);
        name = NULL;
        PFM_TRY(file_name(method, p, &name, err));
        PFM_TRY(save_one(p, name, out, err));
        if (is_head(method, p))
            PFM_TRY(save_one(p, head, out, err));
    }
done:
    free(name);
    return status;
}

/* values [n,k] = the tensor of that name behind the prefix. */
static pfm_status read_one(const pfm_weights *weights, const char *name, const pfm_parameter *p, float *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *full = NULL;
    float *stored = NULL;
    PFM_TRY(pfm_string_format(&full, err, "%s%s", prefix, name));
    if (!p->transposed) {
        PFM_TRY(pfm_peft_read_tensor(weights, full, p->n, p->k, values, err));
        goto done;
    }
    PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *stored, &stored, err));
    PFM_TRY(pfm_peft_read_tensor(weights, full, p->k, p->n, stored, err));
    pfm_weight_transpose(stored, p->k, p->n, values);
done:
    free(full);
    free(stored);
    return status;
}

/* A head that PEFT has learned apart from the embedding is another model. */
static pfm_status check_head(const pfm_weights *weights, const pfm_parameter *p, const float *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t count = (size_t)(p->n * p->k);
    float *other = NULL;
    PFM_TRY(pfm_allocate(count, sizeof *other, &other, err));
    PFM_TRY(read_one(weights, head, p, other, err));
    if (memcmp(values, other, count * sizeof *values) != 0)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: %s is not the embedding, which this model has for its head",
                 pfm_weights_path(weights), head);
done:
    free(other);
    return status;
}

/* *read += how many tensors of the file these were. */
static pfm_status load_one(const pfm_peft_method *method, const pfm_weights *weights, pfm_parameters *parameters, int id,
                           size_t *read, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    char *name = NULL;
    float *values = NULL;
    PFM_TRY(file_name(method, p, &name, err));
    PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err));
    PFM_TRY(read_one(weights, name, p, values, err));
    if (is_head(method, p))
        PFM_TRY(check_head(weights, p, values, err));
    pfm_parameters_set(parameters, id, values);
    *read += 1 + is_head(method, p);
done:
    free(name);
    free(values);
    return status;
}

pfm_status pfm_peft_load(const pfm_peft *peft, const pfm_weights *weights, pfm_parameters *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(peft);
    size_t read = 0;
    if (method != NULL && method->load != NULL)
        PFM_TRY(method->load(peft, weights, parameters, &read, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        if (!is_listed(method, pfm_parameters_get(parameters, i), false))
            continue;
        PFM_TRY(load_one(method, weights, parameters, i, &read, err));
    }
    if (pfm_weights_count(weights) != read)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s holds %zu tensors, the recipe knows %zu; it belongs to another recipe",
                 pfm_weights_path(weights), pfm_weights_count(weights), read);
done:
    return status;
}

pfm_status pfm_peft_tensor_name(const pfm_peft *peft, const pfm_parameter *parameter, char **out, pfm_error *err)
{
    char *name = NULL;
    pfm_status status = file_name(pfm_peft_get_method(peft), parameter, &name, err);
    if (status == PFM_OK)
        status = pfm_string_format(out, err, "%s%s", prefix, name);
    free(name);
    return status;
}
