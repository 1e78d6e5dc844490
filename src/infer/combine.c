/* pefomed combine: adapters added with weights, as Hugging Face PEFT's add_weighted_adapter does (PEFT 0.21,
 * tuners/lora/model.py), from their files alone. */
#include "pefomed/infer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/threads.h"
#include "base/try.h"
#include "infer/low_rank.h"
#include "peft/peft.h"
#include "peft/targets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "base_model.model.", down[] = ".lora_A.", up[] = ".lora_B.";

typedef struct addend {
    char *folder;
    double factor;
    pfm_adapter_config config;
    pfm_peft_options options;
    pfm_peft *peft;
    pfm_weights *weights;
} addend;

/* What the adapters make of one layer: factors b [n,rank], a [rank,k]. */
typedef struct layer {
    char *name;
    int64_t n, k;
    int64_t ranks; /* of all adapters that have it, together */
    int64_t first; /* the rank of the first that has it */
    float *a, *b;
    double kept, lost; /* of the squares of what they add */
    pfm_status status;
    pfm_error error;
} layer;

typedef struct combining {
    pfm_context *context;
    const pfm_combine_options *options;
    addend *addends;
    layer *layers;
    size_t layer_count, layer_capacity;
    int64_t rank; /* of every layer of the result */
} combining;

/* ---- the adapters ---- */

/* Whether something beside the factors was learned. */
static pfm_status check_plain(const addend *one, pfm_error *err)
{
    const pfm_peft_options *o = &one->options;
    const char *what = strcmp(o->method, "lora") != 0 ? one->config.peft_type
                       : o->module_to_save_count > 0  ? "modules kept whole (modules_to_save)"
                       : o->lora_bias                 ? "biases of its factors (lora_bias)"
                       : strcmp(o->bias, "none") != 0 ? "biases of the base (bias)"
                                                      : NULL;
    return what == NULL ? PFM_OK
                        : pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                                        "%s holds %s; only adapters that are nothing but LoRA's factors can be combined",
                                        one->folder, what);
}

static pfm_status open_addend(const char *folder, double factor, addend *one, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    one->factor = factor;
    PFM_TRY(pfm_adapter_find(folder, &one->folder, err));
    PFM_TRY(pfm_adapter_config_load(one->folder, &one->config, err));
    PFM_TRY(pfm_peft_read_config(&one->config, &one->options, err));
    PFM_TRY(check_plain(one, err));
    PFM_TRY(pfm_peft_create(&one->options, &one->peft, err));
    PFM_TRY(pfm_adapter_tensors_path(one->folder, &path, err));
    PFM_TRY(pfm_weights_open(path, &one->weights, err));
done:
    free(path);
    return status;
}

static void close_addend(addend *one)
{
    free(one->folder);
    pfm_adapter_config_free(&one->config);
    pfm_peft_options_free(&one->options);
    pfm_peft_free(one->peft);
    pfm_weights_close(one->weights);
}

/* A factor of a module; NULL where the adapter does not have it. */
static const pfm_weight *find_factor(const addend *one, const char *module, char which)
{
    char name[400];
    (void)snprintf(name, sizeof name, "%s%s.lora_%c.weight", prefix, module, which);
    return pfm_peft_find_tensor(one->weights, name);
}

static layer *find_layer(combining *c, const char *name, size_t length)
{
    for (size_t i = 0; i < c->layer_count; i++) {
        if (strlen(c->layers[i].name) == length && memcmp(c->layers[i].name, name, length) == 0)
            return &c->layers[i];
    }
    return NULL;
}

/* The layer of a tensor that is the first factor, with this adapter's rank added. */
static pfm_status add_layer(combining *c, const addend *one, const char *module, size_t length, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL;
    PFM_TRY(pfm_string_copy_n(module, length, &name, err));
    const pfm_weight *a = find_factor(one, name, 'A'), *b = find_factor(one, name, 'B');
    const int64_t rank = pfm_peft_rank(one->peft, name);
    if (a == NULL || b == NULL || a->rank != 2 || b->rank != 2 || a->shape[0] != rank || b->shape[1] != rank)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the factors of %s are not of rank %lld, as its configuration says", one->folder, name,
                 (long long)rank);
    layer *known = find_layer(c, name, length);
    if (known == NULL) {
        PFM_TRY(pfm_array_reserve(&c->layers, &c->layer_capacity, c->layer_count + 1, sizeof *c->layers, err));
        known = &c->layers[c->layer_count++];
        *known = (layer){.name = name, .n = b->shape[0], .k = a->shape[1], .first = rank, .error = PFM_ERROR_INIT};
        name = NULL;
    }
    if (known->n != b->shape[0] || known->k != a->shape[1])
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: %s is a layer of %lld x %lld, and of %lld x %lld in another adapter", one->folder,
                 known->name, (long long)b->shape[0], (long long)a->shape[1], (long long)known->n, (long long)known->k);
    if (strcmp(c->options->by, "linear") == 0 && known->first != rank)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "linear adds factors, which must be of one rank: %s is of rank %lld and %lld; take cat or svd", known->name,
                 (long long)known->first, (long long)rank);
    known->ranks += rank;
done:
    free(name);
    return status;
}

static pfm_status list_layers(combining *c, const addend *one, pfm_error *err)
{
    for (size_t i = 0; i < pfm_weights_count(one->weights); i++) {
        const char *name = pfm_weights_at(one->weights, i)->name;
        name += strncmp(name, prefix, sizeof prefix - 1) == 0 ? sizeof prefix - 1 : 0;
        const char *end = strstr(name, down);
        if (end == NULL && strstr(name, up) != NULL)
            continue;
        if (end == NULL)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                                 "%s holds %s; only adapters that are nothing but LoRA's factors can be combined", one->folder,
                                 name);
        pfm_status status = add_layer(c, one, name, (size_t)(end - name), err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* ---- their sum ---- */

/* The largest rank of any layer that an adapter may have. */
static int64_t largest_rank(const addend *one)
{
    int64_t most = one->options.rank;
    for (size_t i = 0; i < one->options.rank_pattern_count; i++) {
        const long rank = strtol(strrchr(one->options.rank_pattern[i], '=') + 1, NULL, 10);
        most = rank > most ? rank : most;
    }
    return most;
}

/* As PEFT has it: of concatenation the sum of all, else the largest, or what is asked for. */
static pfm_status choose_rank(combining *c, pfm_error *err)
{
    const bool together = strcmp(c->options->by, "cat") == 0;
    for (size_t i = 0; i < c->options->count; i++) {
        const int64_t rank = largest_rank(&c->addends[i]);
        c->rank = together ? c->rank + rank : rank > c->rank ? rank : c->rank;
    }
    c->rank = c->options->rank > 0 ? c->options->rank : c->rank;
    return c->rank <= PFM_PEFT_MOST_RANK
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_USAGE, "the ranks add up to %lld, more than %d; say --by svd --rank N",
                               (long long)c->rank, PFM_PEFT_MOST_RANK);
}

/* a [ranks,k] and b [n,ranks]: the adapters' factors side by side, the first with factor and scale. */
static pfm_status gather(const combining *c, const layer *l, float *a, float *b, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *values = NULL;
    int64_t at = 0;
    for (size_t i = 0; i < c->options->count; i++) {
        const addend *one = &c->addends[i];
        const pfm_weight *first = find_factor(one, l->name, 'A'), *second = find_factor(one, l->name, 'B');
        if (first == NULL)
            continue;
        const int64_t rank = first->shape[0];
        const double scale = one->factor * pfm_peft_scale(one->peft, l->name);
        free(values);
        values = NULL;
        PFM_TRY(pfm_allocate((size_t)(rank * l->n), sizeof *values, &values, err));
        PFM_TRY(pfm_weight_expand(first, a + at * l->k, err));
        PFM_TRY(pfm_weight_expand(second, values, err));
        for (int64_t j = 0; j < rank * l->k; j++)
            a[at * l->k + j] = (float)(scale * a[at * l->k + j]);
        for (int64_t row = 0; row < l->n; row++)
            memcpy(b + row * l->ranks + at, values + row * rank, (size_t)rank * sizeof *b);
        at += rank;
    }
done:
    free(values);
    return status;
}

/* Side by side; what is left of the rank is zero. */
static pfm_status concatenate(const combining *c, layer *l, const float *a, const float *b)
{
    memcpy(l->a, a, (size_t)(l->ranks * l->k) * sizeof *a);
    for (int64_t row = 0; row < l->n; row++)
        memcpy(l->b + row * c->rank, b + row * l->ranks, (size_t)l->ranks * sizeof *b);
    return PFM_OK;
}

/* Sums of the factors, each times the root of its weight: what PEFT calls linear. */
static pfm_status add_factors(const combining *c, layer *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *values = NULL;
    const size_t longest = (size_t)(l->first * (l->n > l->k ? l->n : l->k));
    PFM_TRY(pfm_allocate(longest, sizeof *values, &values, err));
    for (size_t i = 0; i < c->options->count; i++) {
        const addend *one = &c->addends[i];
        const pfm_weight *first = find_factor(one, l->name, 'A'), *second = find_factor(one, l->name, 'B');
        if (first == NULL)
            continue;
        const double weight = one->factor * pfm_peft_scale(one->peft, l->name);
        const float root = (float)sqrt(fabs(weight)), signed_root = weight < 0 ? -root : root;
        PFM_TRY(pfm_weight_expand(first, values, err));
        for (int64_t j = 0; j < l->first * l->k; j++)
            l->a[j] += signed_root * values[j];
        PFM_TRY(pfm_weight_expand(second, values, err));
        for (int64_t row = 0; row < l->n; row++)
            for (int64_t j = 0; j < l->first; j++)
                l->b[row * c->rank + j] += root * values[row * l->first + j];
    }
done:
    free(values);
    return status;
}

static pfm_status combine_layer(const combining *c, layer *l, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *a = NULL, *b = NULL;
    PFM_TRY(pfm_allocate((size_t)(c->rank * l->k), sizeof *l->a, &l->a, err));
    PFM_TRY(pfm_allocate((size_t)(l->n * c->rank), sizeof *l->b, &l->b, err));
    if (strcmp(c->options->by, "linear") == 0)
        return add_factors(c, l, err);
    PFM_TRY(pfm_allocate((size_t)(l->ranks * l->k), sizeof *a, &a, err));
    PFM_TRY(pfm_allocate((size_t)(l->n * l->ranks), sizeof *b, &b, err));
    PFM_TRY(gather(c, l, a, b, err));
    if (strcmp(c->options->by, "cat") == 0)
        PFM_TRY(concatenate(c, l, a, b));
    else
        PFM_TRY(pfm_low_rank_truncate(b, a, l->n, l->k, l->ranks, c->rank, l->b, l->a, &l->kept, &l->lost, err));
done:
    free(a);
    free(b);
    return status;
}

static void run_layer(void *user, int item, int thread)
{
    (void)thread;
    const combining *c = user;
    layer *l = &c->layers[item];
    l->status = combine_layer(c, l, &l->error);
}

/* ---- what is written ---- */

static pfm_status make_config(const combining *c, pfm_adapter_config *out, pfm_error *err)
{
    static char method[] = "lora", none[] = "none";
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    pfm_peft_options options = {.method = method, .rank = (int)c->rank, .alpha = (double)c->rank, .bias = none};
    PFM_TRY(pfm_allocate(c->layer_count, sizeof *options.targets, &options.targets, err));
    for (size_t i = 0; i < c->layer_count; i++)
        options.targets[options.target_count++] = c->layers[i].name;
    PFM_TRY(pfm_peft_create(&options, &peft, err));
    PFM_TRY(pfm_peft_write_config(peft, c->addends[0].config.base_model, out, err));
    const json_t *transposed = json_object_get(c->addends[0].config.document, "fan_in_fan_out");
    PFM_TRY(pfm_json_take(out->document, "fan_in_fan_out", json_boolean(json_is_true(transposed)), err));
done:
    pfm_peft_free(peft);
    free(options.targets);
    return status;
}

static pfm_status write_adapter(const combining *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_adapter_config config = {0};
    pfm_weight *tensors = NULL;
    size_t count = 0;
    PFM_TRY(pfm_allocate(2 * c->layer_count, sizeof *tensors, &tensors, err));
    for (size_t i = 0; i < c->layer_count; i++) {
        const layer *l = &c->layers[i];
        const struct {
            const char *end;
            const float *values;
            int64_t rows, columns;
        } parts[] = {{"lora_A.weight", l->a, c->rank, l->k}, {"lora_B.weight", l->b, l->n, c->rank}};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            char *name = NULL;
            PFM_TRY(pfm_string_format(&name, err, "%s%s.%s", prefix, l->name, parts[p].end));
            tensors[count++] = (pfm_weight){.name = name,
                                            .dtype = PFM_DTYPE_F32,
                                            .rank = 2,
                                            .shape = {parts[p].rows, parts[p].columns},
                                            .data = parts[p].values,
                                            .bytes = (size_t)(parts[p].rows * parts[p].columns) * sizeof(float)};
        }
    }
    PFM_TRY(make_config(c, &config, err));
    PFM_TRY(pfm_adapter_write(c->options->out, &config, tensors, count, NULL, NULL, err));
done:
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)tensors[i].name);
    free(tensors);
    pfm_adapter_config_free(&config);
    return status;
}

/* The aligner that stands beside every adapter, where it is the same; else the result has none. */
static pfm_status copy_aligner(const combining *c, pfm_error *err)
{
    static const char name[] = "aligner.safetensors";
    pfm_status status = PFM_OK;
    pfm_buffer first = {0}, other = {0};
    char *path = NULL;
    bool same = true;
    for (size_t i = 0; i < c->options->count && same; i++) {
        free(path);
        path = NULL;
        pfm_buffer_clear(&other);
        PFM_TRY(pfm_path_join(c->options->adapters[i], name, &path, err));
        if (!pfm_path_exists(path))
            goto done;
        PFM_TRY(pfm_file_read(path, 0, i == 0 ? &first : &other, err));
        same = i == 0 || (first.size == other.size && memcmp(first.data, other.data, first.size) == 0);
    }
    free(path);
    path = NULL;
    PFM_TRY(pfm_path_join(c->options->out, name, &path, err));
    if (same)
        PFM_TRY(pfm_file_write(path, first.data, first.size, err));
    else
        pfm_log(c->context, PFM_LOG_WARNING, "the aligners beside these adapters differ; %s is an adapter without one",
                c->options->out);
done:
    pfm_buffer_free(&first);
    pfm_buffer_free(&other);
    free(path);
    return status;
}

static pfm_status describe(const combining *c, char **json, pfm_error *err)
{
    double kept = 0, lost = 0, parameters = 0;
    for (size_t i = 0; i < c->layer_count; i++) {
        kept += c->layers[i].kept;
        lost += c->layers[i].lost;
        parameters += (double)(c->rank * (c->layers[i].n + c->layers[i].k));
    }
    json_t *document =
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "output", c->options->out, "by", c->options->by, "rank", (json_int_t)c->rank,
                  "layers", (json_int_t)c->layer_count, "parameters", (json_int_t)parameters);
    pfm_status status =
        document == NULL ? pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not say what was combined") : PFM_OK;
    if (status == PFM_OK && strcmp(c->options->by, "svd") == 0)
        status =
            pfm_json_take(document, "relative_error", pfm_json_number(kept + lost > 0 ? sqrt(lost / (kept + lost)) : 0), err);
    if (status == PFM_OK)
        status = pfm_json_print(document, json, err);
    json_decref(document);
    return status;
}

static pfm_status check(const pfm_combine_options *o, pfm_error *err)
{
    if (o->count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "name at least one adapter to combine");
    if (strcmp(o->by, "cat") != 0 && strcmp(o->by, "linear") != 0 && strcmp(o->by, "svd") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "adapters cannot be combined by '%.40s'; it is cat, linear or svd", o->by);
    if (o->rank > 0 && strcmp(o->by, "svd") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a rank can be chosen by svd only; the others' follows from the adapters'");
    if (o->rank < 0 || o->rank > PFM_PEFT_MOST_RANK)
        return pfm_error_set(err, PFM_ERROR_USAGE, "the rank cannot be %d; it is 1 to %d", o->rank, PFM_PEFT_MOST_RANK);
    return PFM_OK;
}

static pfm_status combine(combining *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_combine_options *o = c->options;
    PFM_TRY(pfm_allocate(o->count, sizeof *c->addends, &c->addends, err));
    for (size_t i = 0; i < o->count; i++) {
        PFM_TRY(open_addend(o->adapters[i], o->factors == NULL ? 1 : o->factors[i], &c->addends[i], err));
        PFM_TRY(list_layers(c, &c->addends[i], err));
    }
    PFM_TRY(choose_rank(c, err));
    pfm_threads_run(c->context->threads, (int)c->layer_count, run_layer, c);
    for (size_t i = 0; i < c->layer_count; i++) {
        if (c->layers[i].status != PFM_OK)
            PFM_FAIL(c->layers[i].status, "%s", c->layers[i].error.message);
    }
done:
    return status;
}

pfm_status pfm_combine_adapters(pfm_context *context, const pfm_combine_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    combining c = {.context = context, .options = options};
    PFM_TRY(check(options, err));
    PFM_TRY(combine(&c, err));
    PFM_TRY(write_adapter(&c, err));
    PFM_TRY(copy_aligner(&c, err));
    PFM_TRY(describe(&c, json, err));
done:
    for (size_t i = 0; c.addends != NULL && i < options->count; i++)
        close_addend(&c.addends[i]);
    for (size_t i = 0; i < c.layer_count; i++) {
        free(c.layers[i].name);
        free(c.layers[i].a);
        free(c.layers[i].b);
    }
    free(c.addends);
    free(c.layers);
    return status;
}
