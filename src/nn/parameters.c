#include "nn/parameters.h"

#include "base/expand_blocks.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/quantise.h"
#include "base/random.h"
#include "base/threads.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pfm_parameters {
    pfm_op_environment env; /* for packing: context, kernels and act */
    bool training;
    unsigned frozen; /* parts */
    pfm_parameter *items;
    size_t count, capacity;
    pfm_map names;
    pfm_block memory;
    uint64_t version;
};

pfm_status pfm_parameters_create(pfm_context *context, pfm_act_type act, bool training, pfm_parameters **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status == PFM_OK) {
        (*out)->env = (pfm_op_environment){.context = context, .kernels = context->kernels, .act = act};
        (*out)->training = training;
    }
    return status;
}

void pfm_parameters_free(pfm_parameters *parameters)
{
    if (parameters == NULL)
        return;
    for (size_t i = 0; i < parameters->count; i++)
        free(parameters->items[i].name);
    free(parameters->items);
    pfm_map_free(&parameters->names);
    pfm_block_free(&parameters->memory);
    free(parameters);
}

void pfm_parameters_freeze(pfm_parameters *parameters, unsigned parts) { parameters->frozen = parts; }

bool pfm_parameters_trains(const pfm_parameters *parameters, pfm_part part)
{
    return part != PFM_PART_BASE && (parameters->frozen >> part & 1) == 0;
}

bool pfm_parameters_keep_gradients(const pfm_parameters *parameters) { return parameters->training; }

const pfm_op_environment *pfm_parameters_environment(const pfm_parameters *parameters) { return &parameters->env; }

static pfm_part part_of(const pfm_parameter *declaration)
{
    static const char aligner[] = "aligner.";
    if (declaration->part != PFM_PART_BASE || !declaration->trainable)
        return declaration->part;
    return strncmp(declaration->name, aligner, sizeof aligner - 1) == 0 ? PFM_PART_ALIGNER : PFM_PART_PEFT;
}

pfm_status pfm_parameters_declare(pfm_parameters *parameters, const pfm_parameter *declaration, int *id, pfm_error *err)
{
    if (pfm_parameters_find(parameters, declaration->name) >= 0)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "the parameter %s is declared twice", declaration->name);
    if (declaration->n < 1 || declaration->k < 1 || declaration->n > INT64_MAX / declaration->k / 64)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "the parameter %s cannot have the shape %lld x %lld", declaration->name,
                             (long long)declaration->n, (long long)declaration->k);
    pfm_status status =
        pfm_array_reserve(&parameters->items, &parameters->capacity, parameters->count + 1, sizeof *parameters->items, err);
    if (status != PFM_OK)
        return status;
    pfm_parameter *item = &parameters->items[parameters->count];
    *item = *declaration;
    item->part = part_of(declaration);
    item->trainable = declaration->trainable && pfm_parameters_trains(parameters, item->part);
    status = pfm_string_copy(declaration->name, &item->name, err);
    if (status != PFM_OK)
        return status;
    *id = (int)parameters->count++;
    return pfm_map_set(&parameters->names, item->name, strlen(item->name), *id, err);
}

void pfm_parameters_use(pfm_parameters *parameters, int id, unsigned uses) { parameters->items[id].uses |= uses; }

int pfm_parameters_count(const pfm_parameters *parameters) { return (int)parameters->count; }

pfm_parameter *pfm_parameters_get(const pfm_parameters *parameters, int id) { return &parameters->items[id]; }

int pfm_parameters_find(const pfm_parameters *parameters, const char *name)
{
    int64_t id = -1;
    return pfm_map_get(&parameters->names, name, strlen(name), &id) ? (int)id : -1;
}

uint64_t pfm_parameters_version(const pfm_parameters *parameters) { return parameters->version; }

static int64_t count_values(const pfm_parameters *parameters, bool trainable_only)
{
    int64_t total = 0;
    for (size_t i = 0; i < parameters->count; i++) {
        if (parameters->items[i].trainable || !trainable_only)
            total += parameters->items[i].n * parameters->items[i].k;
    }
    return total;
}

int64_t pfm_parameters_trainable(const pfm_parameters *parameters) { return count_values(parameters, true); }

int64_t pfm_parameters_total(const pfm_parameters *parameters) { return count_values(parameters, false); }

static void *claim(char *base, size_t *used, size_t bytes)
{
    void *at = base == NULL ? NULL : base + *used;
    *used += pfm_op_align(bytes);
    return at;
}

static const pfm_dtype quant_formats[] = {
    [PFM_WEIGHTS_Q8_0] = PFM_DTYPE_Q8_0, [PFM_WEIGHTS_Q4_0] = PFM_DTYPE_Q4_0, [PFM_WEIGHTS_Q4_1] = PFM_DTYPE_Q4_1};

bool pfm_parameters_quantises(const pfm_parameters *parameters, int id, pfm_dtype *format, bool *quantises_rows)
{
    const pfm_parameter *item = &parameters->items[id];
    const pfm_weight_format asked = parameters->training ? PFM_WEIGHTS_FULL : parameters->env.context->weights;
    const bool own = pfm_dtype_quantises(item->blocks);
    if (item->full || item->part != PFM_PART_BASE || (item->uses & (PFM_USE_FORWARD | PFM_USE_BACKWARD)) == 0 ||
        (!own && asked == PFM_WEIGHTS_FULL))
        return false;
    if (!own && (item->uses & PFM_USE_FORWARD) == 0)
        return false;
    *format = own ? pfm_quantised_type(item->blocks, (size_t)item->k) : quant_formats[asked];
    *quantises_rows = asked != PFM_WEIGHTS_FULL && pfm_dtype_get_info(*format)->block_values == PFM_QUANT_BLOCK;
    return true;
}

/* Lays all parameters out from base, or only counts where base is NULL. Returns the bytes. */
static size_t lay_out(const pfm_parameters *parameters, char *base)
{
    size_t used = 0;
    const pfm_kernels *kernels = parameters->env.kernels;
    pfm_act_type act = parameters->env.act;
    for (size_t i = 0; i < parameters->count; i++) {
        pfm_parameter scratch = parameters->items[i], *item = base == NULL ? &scratch : &parameters->items[i];
        size_t n = (size_t)item->n, k = (size_t)item->k, f32 = n * k * sizeof(float);
        if (item->part != PFM_PART_BASE || (item->uses & PFM_USE_VALUES) != 0)
            item->values = claim(base, &used, f32);
        if (item->trainable && parameters->training) {
            item->gradient = claim(base, &used, f32);
            item->moment1 = claim(base, &used, f32);
            item->moment2 = claim(base, &used, f32);
        }
        if ((item->uses & PFM_USE_ROWS) != 0)
            item->rows = claim(base, &used, n * k * pfm_act_size(act));
        if ((item->uses & PFM_USE_NORMS) != 0)
            item->row_norms = claim(base, &used, n * sizeof(float));
        pfm_dtype format = PFM_DTYPE_F32;
        bool quantises_rows = false, quantised = pfm_parameters_quantises(parameters, (int)i, &format, &quantises_rows);
        if (quantised)
            item->quantised = claim(base, &used, kernels->quant_pack_size(format, n, k));
        if (!quantised && (item->uses & PFM_USE_FORWARD) != 0)
            item->packed_forward = claim(base, &used, kernels->gemm_pack_size[act](n, k));
        if (!quantised && (item->uses & PFM_USE_BACKWARD) != 0 && parameters->training)
            item->packed_backward = claim(base, &used, kernels->gemm_pack_size[act](k, n));
        item->operand = (pfm_operand){.n = item->n,
                                      .k = item->k,
                                      .values = item->values,
                                      .rows = item->rows,
                                      .packed_forward = item->packed_forward,
                                      .packed_backward = item->packed_backward,
                                      .quantised = item->quantised,
                                      .quant_format = format,
                                      .quantises_rows = quantises_rows,
                                      .row_norms = item->row_norms,
                                      .gradient = item->gradient};
    }
    return used;
}

size_t pfm_parameters_bytes(const pfm_parameters *parameters) { return lay_out(parameters, NULL); }

pfm_status pfm_parameters_allocate(pfm_parameters *parameters, pfm_error *err)
{
    pfm_status status = pfm_block_create(pfm_parameters_bytes(parameters), &parameters->memory, err);
    if (status != PFM_OK)
        return status;
    (void)lay_out(parameters, parameters->memory.data);
    if (parameters->training) /* gradients and moments too, before the first step */
        pfm_block_touch(&parameters->memory, parameters->env.context->threads);
    return PFM_OK;
}

/* Rows that come in f32, or in blocks of the type that they are kept in. */
typedef struct norms_job {
    const pfm_parameter *item;
    pfm_act_type act;
    const float *values; /* [n,k]; NULL: blocks */
    const char *blocks;
    size_t row0, n;
    double (*sum_squares)(const float *x, size_t n);
} norms_job;

enum { NORMS_AT_ONCE = 256, NORM_ROWS = 16 }; /* values, whole blocks; rows of an item */

/* The sum of squares of a row as the kernels multiply with it. */
static double sum_row(const norms_job *job, size_t row)
{
    const pfm_parameter *item = job->item;
    const pfm_dtype format = item->operand.quant_format;
    const size_t k = (size_t)item->k, whole = pfm_dtype_get_info(format)->block_values;
    const float *values = job->values != NULL ? job->values + row * k : NULL;
    const char *block = job->values == NULL
                            ? job->blocks + row * pfm_quantised_blocks(format, k) * pfm_dtype_get_info(format)->block_bytes
                            : NULL;
    double sum = 0;
    for (size_t at = 0; at < k; at += NORMS_AT_ONCE) {
        float kept[NORMS_AT_ONCE];
        const size_t count = k - at < NORMS_AT_ONCE ? k - at : NORMS_AT_ONCE;
        if (values == NULL)
            pfm_expand_blocks(format, block + at / whole * pfm_dtype_get_info(format)->block_bytes, (count + whole - 1) / whole,
                              kept);
        else if (item->quantised != NULL)
            pfm_round_to_blocks(format, values + at, count, kept);
        for (size_t i = 0; i < count && values != NULL && item->quantised == NULL; i++)
            kept[i] = job->act == PFM_ACT_F32 ? values[at + i] : pfm_bf16_to_f32(pfm_bf16_from_f32(values[at + i]));
        sum += job->sum_squares(kept, count);
    }
    return sum;
}

static void find_norms(void *user, int index, int thread)
{
    (void)thread;
    const norms_job *job = user;
    const size_t begin = (size_t)index * NORM_ROWS, end = begin + NORM_ROWS < job->n ? begin + NORM_ROWS : job->n;
    for (size_t row = begin; row < end; row++)
        job->item->row_norms[job->row0 + row] = (float)sqrt(sum_row(job, row));
}

/* Rows row0 .. row0 + n - 1 have come, as values or as blocks. */
static void measure(pfm_parameters *parameters, const pfm_parameter *item, size_t row0, size_t n, const float *values,
                    const void *blocks)
{
    norms_job job = {.item = item,
                     .act = parameters->env.act,
                     .values = values,
                     .blocks = blocks,
                     .row0 = row0,
                     .n = n,
                     .sum_squares = parameters->env.kernels->sum_squares};
    if (item->row_norms != NULL)
        pfm_threads_run(parameters->env.context->threads, (int)((n + NORM_ROWS - 1) / NORM_ROWS), find_norms, &job);
}

/* Packs rows row0 .. row0 + n - 1, which for packed_backward must be all of them: in the others a panel holds whole rows. */
static void pack(pfm_parameters *parameters, pfm_parameter *item, size_t row0, size_t n, const float *values)
{
    const pfm_kernels *kernels = parameters->env.kernels;
    const pfm_act_type act = parameters->env.act;
    const pfm_dtype format = item->operand.quant_format;
    const size_t k = (size_t)item->k;
    if (item->packed_forward != NULL)
        pfm_op_pack(&parameters->env, values, PFM_ACT_F32, 1, k, n, k,
                    (char *)item->packed_forward + kernels->gemm_pack_size[act](row0, k));
    if (item->quantised != NULL)
        pfm_op_quant_pack(&parameters->env, format, values, n, k,
                          (char *)item->quantised + kernels->quant_pack_size(format, row0, k));
    if (item->packed_backward != NULL)
        pfm_op_pack(&parameters->env, values, PFM_ACT_F32, k, 1, k, n, item->packed_backward);
    char *rows = item->rows != NULL ? (char *)item->rows + row0 * k * pfm_act_size(act) : NULL;
    if (rows != NULL && act == PFM_ACT_F32)
        memcpy(rows, values, n * k * sizeof *values);
    else if (rows != NULL)
        kernels->bf16_from_f32(values, (void *)rows, n * k);
    measure(parameters, item, row0, n, values, NULL);
    parameters->version++;
}

int64_t pfm_parameters_rows_at_once(const pfm_parameters *parameters, int id)
{
    const pfm_parameter *item = &parameters->items[id];
    int64_t columns = (int64_t)parameters->env.kernels->gemm_columns,
            rows = (PFM_ROWS_AT_ONCE + columns - 1) / columns * columns;
    pfm_dtype format;
    bool quantises_rows;
    const bool whole = (item->uses & PFM_USE_BACKWARD) != 0 && parameters->training &&
                       !pfm_parameters_quantises(parameters, id, &format, &quantises_rows); /* it has a packed_backward */
    return whole || item->n < rows ? item->n : rows;
}

void pfm_parameters_set_rows(pfm_parameters *parameters, int id, int64_t row0, int64_t rows, const float *values)
{
    pfm_parameter *item = &parameters->items[id];
    float *kept = item->values != NULL ? item->values + row0 * item->k : NULL;
    if (kept != NULL && kept != values)
        memcpy(kept, values, (size_t)(rows * item->k) * sizeof *values);
    pack(parameters, item, (size_t)row0, (size_t)rows, values);
}

void pfm_parameters_set_blocks(pfm_parameters *parameters, int id, int64_t row0, int64_t rows, const void *blocks)
{
    const pfm_parameter *item = &parameters->items[id];
    const pfm_dtype format = item->operand.quant_format;
    pfm_op_quant_pack_blocks(&parameters->env, format, blocks, (size_t)rows, (size_t)item->k,
                             (char *)item->quantised +
                                 parameters->env.kernels->quant_pack_size(format, (size_t)row0, (size_t)item->k));
    measure(parameters, item, (size_t)row0, (size_t)rows, NULL, blocks);
    parameters->version++;
}

void pfm_parameters_set(pfm_parameters *parameters, int id, const float *values)
{
    pfm_parameters_set_rows(parameters, id, 0, parameters->items[id].n, values);
}

static double draw_value(const pfm_parameter *item, pfm_random *random)
{
    if (item->initial == PFM_INITIAL_ONE)
        return 1;
    return item->initial_scale *
           (item->initial == PFM_INITIAL_UNIFORM ? 2 * pfm_random_uniform(random) - 1 : pfm_random_normal(random));
}

pfm_status pfm_parameters_initialise(pfm_parameters *parameters, uint64_t seed, bool learned_too, pfm_error *err)
{
    for (size_t i = 0; i < parameters->count; i++) {
        pfm_parameter *item = &parameters->items[i];
        if (item->initial == PFM_INITIAL_LOADED || (item->part != PFM_PART_BASE && !learned_too))
            continue;
        size_t values = (size_t)(item->n * item->k);
        float *draw = NULL;
        pfm_status status = pfm_allocate(values, sizeof *draw, &draw, err);
        if (status != PFM_OK)
            return status;
        pfm_random random = pfm_random_start(seed, pfm_name_number(item->name, strlen(item->name)));
        for (size_t j = 0; j < values && item->initial != PFM_INITIAL_ZERO; j++)
            draw[j] = item->initial == PFM_INITIAL_NORMS ? parameters->items[item->initial_of].row_norms[j]
                                                         : (float)draw_value(item, &random);
        pfm_parameters_set(parameters, (int)i, draw);
        free(draw);
    }
    return PFM_OK;
}

void pfm_parameters_repack(pfm_parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++) {
        pfm_parameter *item = &parameters->items[i];
        if (item->trainable)
            pack(parameters, item, 0, (size_t)item->n, item->values);
    }
}

void pfm_parameters_zero_gradients(pfm_parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++) {
        pfm_parameter *item = &parameters->items[i];
        if (item->gradient != NULL)
            memset(item->gradient, 0, (size_t)(item->n * item->k) * sizeof *item->gradient);
    }
}
