/* Parameters and the tensors of files: names, slices and orders, whichever program wrote the file. */
#include "models/language/language.h"
#include "models/language/language_wrapped.h"

#include "base/memory.h"
#include "base/try.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind a pattern's match at the head of a name; NULL where it does not match. *layer = the number at its star. */
static const char *match(const char *pattern, const char *name, long *layer)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            char *end = NULL;
            if (!isdigit((unsigned char)*name))
                return NULL;
            *layer = strtol(name, &end, 10);
            name = end;
        } else if (*name++ != *pattern) {
            return NULL;
        }
    }
    return *name == '.' || *name == '\0' ? name : NULL;
}

static const pfm_language_name *find_name(const pfm_language_family *family, const char *name, long *layer, const char **end)
{
    for (const pfm_language_name *n = family->names; n->name != NULL; n++) {
        *end = match(n->name, name, layer);
        if (*end != NULL)
            return n;
    }
    return NULL;
}

/* The pattern with the layer's number at its star, and the end of our own name (".weight"). */
static void fill_in(const char *pattern, long layer, const char *end, char out[128])
{
    const char *star = strchr(pattern, '*');
    if (star == NULL)
        (void)snprintf(out, 128, "%s%s", pattern, end);
    else
        (void)snprintf(out, 128, "%.*s%ld%s%s", (int)(star - pattern), pattern, layer, star + 1, end);
}

/* The rows of a part of what makes queries, keys and values. */
static void cut(const pfm_language_config *config, pfm_tensor_part part, pfm_tensor_place *place)
{
    int64_t queries = (int64_t)config->heads * config->head_dim, keys = (int64_t)config->kv_heads * config->head_dim;
    place->rows = queries + 2 * keys;
    place->row0 = part == PFM_PART_QUERY ? 0 : part == PFM_PART_KEY ? queries : queries + keys;
}

static pfm_status place_in_gguf(const pfm_language_config *config, const pfm_weights *weights, const char *name,
                                pfm_tensor_place *place, pfm_error *err)
{
    long layer = 0;
    const char *end = NULL;
    const pfm_language_name *known = find_name(config->family, name, &layer, &end);
    if (known == NULL || known->gguf == NULL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "no tensor of a GGUF file corresponds to %s", name);
    fill_in(known->gguf, layer, end, place->name);
    if (known->gguf_fused != NULL && weights != NULL && pfm_weights_find(weights, place->name) == NULL) {
        fill_in(known->gguf_fused, layer, end, place->name);
        cut(config, known->part, place);
    }
    if (known->order == PFM_ORDER_QUERY_PAIRS || known->order == PFM_ORDER_KEY_PAIRS) {
        place->order = known->order;
        place->heads = known->order == PFM_ORDER_QUERY_PAIRS ? config->heads : config->kv_heads;
    }
    return PFM_OK;
}

pfm_status pfm_language_place(const pfm_language_config *config, const pfm_weights *weights, bool gguf, const char *name,
                              pfm_tensor_place *out, pfm_error *err)
{
    *out = (pfm_tensor_place){.order = PFM_ORDER_SAME};
    if (weights != NULL && config->tied && strcmp(name, PFM_LANGUAGE_HEAD) == 0)
        name = config->family->embedding; /* a head that became one of its own */
    if (gguf)
        return place_in_gguf(config, weights, name, out, err);
    long layer = 0;
    const char *end = NULL, *behind = strchr(name, '.');
    const pfm_language_name *known = find_name(config->family, name, &layer, &end);
    if (known != NULL && known->order == PFM_ORDER_TRANSPOSED && strcmp(end, ".weight") == 0)
        out->order = PFM_ORDER_TRANSPOSED;
    /* a model saved without its head has no "model." in front */
    bool bare = weights != NULL && pfm_weights_find(weights, name) == NULL && behind != NULL &&
                pfm_weights_find(weights, behind + 1) != NULL;
    if (bare || weights == NULL || pfm_weights_find(weights, name) != NULL || !pfm_wrapped_name(weights, name, out->name))
        (void)snprintf(out->name, sizeof out->name, "%s", bare ? behind + 1 : name);
    return PFM_OK;
}

bool pfm_language_transposes(const pfm_language_family *family)
{
    for (const pfm_language_name *n = family->names; n->name != NULL; n++) {
        if (n->order == PFM_ORDER_TRANSPOSED)
            return true;
    }
    return false;
}

/* GGUF keeps the rows of a rotary head as pairs (i, i + half) side by side; Hugging Face keeps the halves apart. */
static void reorder_pairs(const void *from, int64_t heads, int64_t head_rows, size_t row_bytes, bool to_file, void *to)
{
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t r = 0; r < head_rows; r++) {
            int64_t paired = r < head_rows / 2 ? 2 * r : 2 * (r - head_rows / 2) + 1; /* where the file has our row r */
            int64_t source = to_file ? r : paired, target = to_file ? paired : r;
            memcpy((char *)to + (size_t)(h * head_rows + target) * row_bytes,
                   (const char *)from + (size_t)(h * head_rows + source) * row_bytes, row_bytes);
        }
    }
}

static void reorder(const pfm_tensor_place *place, const float *from, int64_t n, int64_t k, bool to_file, float *to)
{
    if (place->order == PFM_ORDER_TRANSPOSED)
        pfm_weight_transpose(from, to_file ? n : k, to_file ? k : n, to);
    else
        reorder_pairs(from, place->heads, n / place->heads, (size_t)k * sizeof *from, to_file, to);
}

void pfm_language_from_file_pairs(const pfm_tensor_place *place, int64_t n, size_t row_bytes, const void *from, void *to)
{
    reorder_pairs(from, place->heads, n / place->heads, row_bytes, false, to);
}

pfm_status pfm_language_to_file_order(const pfm_tensor_place *place, int64_t n, int64_t k, float *values, pfm_error *err)
{
    float *copy = NULL;
    if (place->order == PFM_ORDER_SAME)
        return PFM_OK;
    pfm_status status = pfm_allocate((size_t)(n * k), sizeof *copy, &copy, err);
    if (status != PFM_OK)
        return status;
    memcpy(copy, values, (size_t)(n * k) * sizeof *values);
    reorder(place, copy, n, k, true, values);
    free(copy);
    return PFM_OK;
}

static bool is_gguf(const pfm_weights *weights) { return strcmp(pfm_weights_format(weights), "gguf") == 0; }

/* The shape of a place's tensor in its file; its rank. */
static int shape_of(const pfm_tensor_place *place, int64_t n, int64_t k, int64_t shape[2])
{
    bool transposed = place->order == PFM_ORDER_TRANSPOSED;
    shape[0] = transposed ? k : place->rows > 0 ? place->rows : n;
    shape[1] = transposed ? n : k;
    return k == 1 && !transposed ? 1 : 2;
}

pfm_status pfm_language_find_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                    int64_t k, const pfm_weight **out, pfm_tensor_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t shape[2];
    PFM_TRY(pfm_language_place(config, weights, is_gguf(weights), name, place, err));
    const pfm_weight *weight = pfm_weights_find(weights, place->name);
    if (weight == NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s lacks the tensor %s; it is not the model that its configuration describes",
                 pfm_weights_path(weights), place->name);
    int rank = shape_of(place, n, k, shape);
    if (weight->rank != rank || weight->shape[0] != shape[0] || (rank == 2 && weight->shape[1] != shape[1]))
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the tensor %s is not %lld x %lld, as the configuration demands",
                 pfm_weights_path(weights), place->name, (long long)shape[0], (long long)shape[1]);
    *out = weight;
done:
    return status;
}

/* A vector, also a quantised one, cannot be expanded in part. */
static pfm_status expand_slice(const pfm_weight *weight, const pfm_tensor_place *place, int64_t n, int64_t k, float *out,
                               pfm_error *err)
{
    if (place->rows == 0)
        return pfm_weight_expand(weight, out, err);
    if (k > 1)
        return pfm_weight_expand_rows(weight, place->row0, n, out, err);
    float *whole = NULL;
    pfm_status status = pfm_allocate((size_t)place->rows, sizeof *whole, &whole, err);
    if (status == PFM_OK)
        status = pfm_weight_expand(weight, whole, err);
    if (status == PFM_OK)
        memcpy(out, whole + place->row0, (size_t)n * sizeof *out);
    free(whole);
    return status;
}

pfm_status pfm_language_read_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                    int64_t k, float *out, pfm_error *err)
{
    pfm_tensor_place place;
    const pfm_weight *weight = NULL;
    float *stored = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_language_find_tensor(weights, config, name, n, k, &weight, &place, err));
    if (place.order != PFM_ORDER_SAME) {
        PFM_TRY(pfm_allocate((size_t)(n * k), sizeof *stored, &stored, err));
        PFM_TRY(expand_slice(weight, &place, n, k, stored, err));
        reorder(&place, stored, n, k, false, out);
    } else {
        PFM_TRY(expand_slice(weight, &place, n, k, out, err));
    }
    pfm_weights_release(weights, weight);
done:
    free(stored);
    return status;
}

pfm_status pfm_language_visit_rows(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                   int64_t k, int64_t rows, pfm_language_rows *visit, void *user, pfm_error *err)
{
    pfm_tensor_place place;
    const pfm_weight *weight = NULL;
    float *values = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_language_find_tensor(weights, config, name, n, k, &weight, &place, err));
    if (place.order != PFM_ORDER_SAME || k == 1) /* small ones, or such whose rows stand in another order */
        rows = n;
    rows = rows < n ? rows : n;
    PFM_TRY(pfm_allocate((size_t)(rows * k), sizeof *values, &values, err));
    if (rows == n) {
        PFM_TRY(pfm_language_read_tensor(weights, config, name, n, k, values, err));
        visit(user, 0, n, values);
        goto done;
    }
    for (int64_t row = 0; row < n; row += rows) {
        int64_t count = n - row < rows ? n - row : rows;
        PFM_TRY(pfm_weight_expand_rows(weight, place.row0 + row, count, values, err));
        visit(user, row, count, values);
    }
    pfm_weights_release(weights, weight);
done:
    free(values);
    return status;
}

bool pfm_language_owns(const pfm_parameter *parameter)
{
    static const char *const begins[] = {"model.", "transformer.", "lm_head."};
    for (size_t i = 0; parameter->initial == PFM_INITIAL_LOADED && i < sizeof begins / sizeof *begins; i++) {
        if (strncmp(parameter->name, begins[i], strlen(begins[i])) == 0)
            return true;
    }
    return false;
}

/* Patterns of the tensors that may be there and are not read as parameters: a head that repeats a tied embedding, tables of
 * positions that follow from the configuration, and what the family says. */
enum { MOST_IGNORED = 24 };
static void list_ignored(const pfm_language_config *config, const char *ignored[MOST_IGNORED])
{
    int count = 0;
    ignored[count++] = "*rotary_emb.inv_freq";
    if (config->rotary > 0)
        ignored[count++] = "rope_freqs.weight";
    if (config->tied)
        ignored[count++] = config->wrapped ? "*" PFM_LANGUAGE_HEAD : PFM_LANGUAGE_HEAD;
    for (int i = 0; config->family->ignored != NULL && config->family->ignored[i] != NULL && count < MOST_IGNORED - 1; i++)
        ignored[count++] = config->family->ignored[i];
    for (int i = 0; config->wrapped && pfm_wrapped_ignored[i] != NULL && count < MOST_IGNORED - 1; i++)
        ignored[count++] = pfm_wrapped_ignored[i];
    ignored[count] = NULL;
}

/* Every tensor of the file must be one that the model reads. */
static pfm_status refuse_extra(const pfm_weights *weights, const pfm_language_config *config, const pfm_parameters *parameters,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weight_expected *expected = NULL;
    pfm_tensor_place *places = NULL;
    const char *ignored[MOST_IGNORED];
    size_t count = 0;
    PFM_TRY(pfm_allocate((size_t)pfm_parameters_count(parameters) + 1, sizeof *expected, &expected, err));
    PFM_TRY(pfm_allocate((size_t)pfm_parameters_count(parameters) + 1, sizeof *places, &places, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!pfm_language_owns(p))
            continue;
        PFM_TRY(pfm_language_place(config, weights, is_gguf(weights), p->name, &places[count], err));
        if (places[count].row0 > 0) /* its first slice is on the list */
            continue;
        expected[count].name = places[count].name;
        expected[count].rank = shape_of(&places[count], p->n, p->k, expected[count].shape);
        count++;
    }
    list_ignored(config, ignored);
    PFM_TRY(pfm_weights_expect(weights, expected, count, ignored, err));
done:
    free(expected);
    free(places);
    return status;
}

typedef struct loading {
    pfm_parameters *parameters;
    int id;
} loading;

static void set_rows(void *user, int64_t row0, int64_t rows, const float *values)
{
    const loading *l = user;
    pfm_parameters_set_rows(l->parameters, l->id, row0, rows, values);
}

pfm_status pfm_language_load(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(refuse_extra(weights, config, parameters, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        loading l = {parameters, i};
        bool as_they_are = false;
        if (!pfm_language_owns(p))
            continue;
        PFM_TRY(pfm_language_load_blocks(weights, config, parameters, i, &as_they_are, err));
        if (!as_they_are)
            PFM_TRY(pfm_language_visit_rows(weights, config, p->name, p->n, p->k, pfm_parameters_rows_at_once(parameters, i),
                                            set_rows, &l, err));
    }
done:
    return status;
}
