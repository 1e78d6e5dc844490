/* VeRA (Kopiczko et al. 2024, arXiv 2310.11454) as Hugging Face PEFT computes it: y = W x + b * (B (d * (A dropout(x)))), *
 * number by number. A and B are drawn once for all layers and never train: of one A [rank, widest input] a layer has the first
 * k columns, of one B [widest output, rank] the first n rows. d [rank], vera_lambda_d, starts at d_initial, b [n],
 * vera_lambda_b, at zero, so that training starts at the base. Both decay, as transformers' Trainer lets them: towards the
 * base.
 *
 * Layers of one width share a parameter: vera_A.K is A's first K columns and vera_B.N are B's first N rows, whatever else there
 * is; the widest of each is all of it, which alone stands in the file. A, then B, are drawn as PEFT draws them: by torch's
 * generator from projection_seed, uniformly from +-sqrt(6 / inputs) (Kaiming). The vision encoder has an A and a B of its own
 * (vision_model.vera_A.K), drawn from the same seed, as its adapter is one of its own to PEFT. */
#include "peft/lora.h"
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/try.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char inner_name[] = "vera_lambda_d", outer_name[] = "vera_lambda_b";
static const char *const projections[] = {"vera_A", "vera_B"};
enum { PROJECTIONS = 2, NAME_ROOM = 40 };

static pfm_status check(const pfm_peft_options *o, pfm_error *err)
{
    if (o->exclude_count > 0)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "peft.exclude is not of peft.method: vera, as PEFT has no such setting for it; name in peft.targets "
            "what is meant");
    if (o->d_initial == 0 || !isfinite(o->d_initial))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.d_initial cannot be %g; as the outer vector starts at 0, it must be another number",
                             o->d_initial);
    return pfm_peft_check_low_rank(o, err);
}

/* ---- the graph ---- */

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_LINEAR ? PFM_TOUCH_ADDS : PFM_TOUCH_NOTHING;
}

/* What the slice of a projection is called that a layer of so many inputs, or outputs, has. */
static void slice_name(char name[NAME_ROOM], const char *projection, int64_t width)
{
    (void)snprintf(name, NAME_ROOM, "%s.%lld", projection, (long long)width);
}

/* *y = x P^T, P [n,k] the slice of a projection. */
static pfm_status project(pfm_peft *peft, pfm_builder *builder, const char *projection, int64_t width, int64_t n, int64_t k,
                          pfm_value x, pfm_storage output, pfm_value *y, pfm_error *err)
{
    char name[NAME_ROOM];
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_linear);
    const pfm_parameter slice = {
        .n = n, .k = k, .uses = PFM_USE_FORWARD | PFM_USE_BACKWARD, .column = true, .initial = PFM_INITIAL_ZERO};
    slice_name(name, projection, width);
    const char *network = builder->network != NULL ? builder->network : "";
    pfm_status status = pfm_peft_declare_fixed(peft, builder, network, name, &slice, &node.operand[0], err);
    node.in[0] = x;
    node.attributes = (pfm_op_attributes){.alpha = 1, .output = output};
    return status != PFM_OK ? status : pfm_graph_add(builder->graph, &node, y, err);
}

/* *y = a vector of the module's own * x (+ addend). */
static pfm_status scale(pfm_peft *peft, pfm_builder *builder, const char *module, const char *name, pfm_value x,
                        pfm_value addend, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_scale);
    const pfm_parameter vector = {.n = builder->graph->values[x].shape.columns,
                                  .k = 1,
                                  .uses = PFM_USE_VALUES,
                                  .decays = true,
                                  .initial = PFM_INITIAL_ZERO};
    pfm_status status = pfm_peft_declare(peft, builder, module, name, &vector, &node.operand[0], err);
    node.in[0] = x;
    node.in[1] = addend;
    return status != PFM_OK ? status : pfm_graph_add(builder->graph, &node, y, err);
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int64_t rank = pfm_peft_get_options(peft)->rank;
    const pfm_storage storage = builder->graph->values[*output].shape.storage;
    pfm_value x;
    PFM_TRY(pfm_peft_dropout(peft, builder, place->name, place->input, &x, err));
    PFM_TRY(project(peft, builder, projections[0], place->k, rank, place->k, x, PFM_STORAGE_ACT, &x, err));
    PFM_TRY(scale(peft, builder, place->name, inner_name, x, PFM_NO_VALUE, &x, err));
    PFM_TRY(project(peft, builder, projections[1], place->n, place->n, rank, x, storage, &x, err));
    PFM_TRY(scale(peft, builder, place->name, outer_name, x, *output, output, err));
done:
    return status;
}

/* ---- the projections ---- */

/* Whose layers share a projection: what the names of their modules begin with, "" or "vision_model.". */
typedef struct owner {
    const char *begin; /* not ended by a zero */
    size_t length;
} owner;

/* Whether a parameter is a slice of that projection; *whose = of which. */
static bool is_slice(const pfm_peft *peft, const pfm_parameter *parameter, const char *projection, owner *whose)
{
    const char *name = pfm_peft_own_name(peft, parameter), *end = name == NULL ? NULL : strrchr(name, '.');
    const size_t length = strlen(projection), before = end == NULL ? 0 : (size_t)(end - name);
    if (before < length || memcmp(end - length, projection, length) != 0)
        return false;
    *whose = (owner){name, before - length};
    return whose->length == 0 || name[whose->length - 1] == '.';
}

static bool is_slice_of(const pfm_peft *peft, const pfm_parameter *parameter, const char *projection, const owner *whose)
{
    owner found;
    return is_slice(peft, parameter, projection, &found) && found.length == whose->length &&
           memcmp(found.begin, whose->begin, found.length) == 0;
}

/* The widest slice, which is all of it. */
static const pfm_parameter *find_whole(const pfm_peft *peft, const pfm_parameters *parameters, const char *projection,
                                       const owner *whose)
{
    const pfm_parameter *whole = NULL;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (is_slice_of(peft, p, projection, whose) && (whole == NULL || p->n * p->k > whole->n * whole->k))
            whole = p;
    }
    return whole;
}

/* The slice that a module's layer of such a width has. MISMATCH where there is none. */
static pfm_status find_slice(const pfm_peft *peft, const pfm_parameters *parameters, const char *projection, int64_t width,
                             const char *module, const pfm_parameter **out, pfm_error *err)
{
    char name[NAME_ROOM];
    size_t longest = 0;
    slice_name(name, projection, width);
    *out = NULL;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        owner whose;
        if (!is_slice(peft, p, projection, &whose) || strncmp(whose.begin, module, whose.length) != 0 ||
            strcmp(whose.begin + whose.length, name) != 0 || (*out != NULL && whose.length < longest))
            continue;
        longest = whose.length;
        *out = p;
    }
    if (*out == NULL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "there is no %s for %s", name, module);
    return PFM_OK;
}

/* Whether a network has any; *whose = its. */
static bool find_owner(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters, owner *whose)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (is_slice(peft, p, projections[0], whose) && pfm_peft_is_of(network, whose->begin))
            return true;
    }
    return false;
}

/* Every slice becomes its part of the whole, whose rows have so many columns. */
static pfm_status set_slices(const pfm_peft *peft, pfm_parameters *parameters, const char *projection, const owner *whose,
                             const float *whole, int64_t columns, pfm_error *err)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        float *slice = NULL;
        if (!is_slice_of(peft, p, projection, whose))
            continue;
        pfm_status status = pfm_allocate((size_t)(p->n * p->k), sizeof *slice, &slice, err);
        if (status != PFM_OK)
            return status;
        for (int64_t row = 0; row < p->n; row++)
            memcpy(slice + row * p->k, whole + row * columns, (size_t)p->k * sizeof *slice);
        pfm_parameters_set(parameters, i, slice);
        free(slice);
    }
    return PFM_OK;
}

/* As torch's uniform_ draws f32, where the processor multiplies and adds at once (elsewhere torch's last bits differ). */
static void draw_uniform(pfm_mersenne *mersenne, int64_t inputs, float *values, int64_t count)
{
    const double bound = sqrt(3.0) * (sqrt(2.0) / sqrt((double)inputs));
    const float low = (float)-bound, high = (float)bound;
    for (int64_t i = 0; i < count; i++)
        values[i] = fmaf((float)(pfm_mersenne_u32(mersenne) & 0xffffff) * 0x1p-24f, high - low, low);
}

static pfm_status draw_projections(const pfm_peft *peft, pfm_parameters *parameters, const owner *whose, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mersenne mersenne;
    float *values = NULL;
    pfm_mersenne_start(&mersenne, (uint32_t)pfm_peft_get_options(peft)->projection_seed);
    for (int i = 0; i < PROJECTIONS; i++) {
        const pfm_parameter *whole = find_whole(peft, parameters, projections[i], whose); /* who has an A has a B */
        free(values);
        values = NULL;
        PFM_TRY(pfm_allocate((size_t)(whole->n * whole->k), sizeof *values, &values, err));
        draw_uniform(&mersenne, whole->k, values, whole->n * whole->k);
        PFM_TRY(set_slices(peft, parameters, projections[i], whose, values, whole->k, err));
    }
done:
    free(values);
    return status;
}

/* Once for each of the networks. */
static pfm_status draw_all(const pfm_peft *peft, pfm_parameters *parameters, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; i < pfm_parameters_count(parameters) && status == PFM_OK; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        owner whose;
        if (is_slice(peft, p, projections[0], &whose) && p == find_whole(peft, parameters, projections[0], &whose))
            status = draw_projections(peft, parameters, &whose, err);
    }
    return status;
}

static pfm_status start(const pfm_peft *peft, const pfm_peft_text *text, pfm_parameters *parameters, pfm_error *err)
{
    (void)text;
    static const size_t length = sizeof inner_name - 1;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const char *name = pfm_peft_own_name(peft, p);
        if (name == NULL || strlen(name) < length || strcmp(name + strlen(name) - length, inner_name) != 0)
            continue;
        for (int64_t j = 0; j < p->n; j++)
            p->values[j] = (float)pfm_peft_get_options(peft)->d_initial;
        pfm_parameters_set(parameters, i, p->values);
    }
    return draw_all(peft, parameters, err);
}

static pfm_status merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err)
{
    const pfm_parameter *a = NULL, *b = NULL, *inner = NULL, *outer = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(find_slice(peft, parameters, projections[0], k, module, &a, err));
    PFM_TRY(find_slice(peft, parameters, projections[1], n, module, &b, err));
    PFM_TRY(pfm_peft_find(peft, parameters, module, inner_name, &inner, err));
    PFM_TRY(pfm_peft_find(peft, parameters, module, outer_name, &outer, err));
    if (inner->n != a->n || outer->n != n)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the vectors of %s do not fit its weight of %lld x %lld", module, (long long)n,
                 (long long)k);
    PFM_TRY(pfm_lora_add_product(a, b, inner->values, outer->values, 1, values, err));
done:
    return status;
}

/* ---- files ---- */

/* A vector of one of the network's layers, which its file has under its own name. */
static bool is_vector(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameter *p)
{
    const char *name = pfm_peft_own_name(peft, p);
    owner whose;
    return p->part == PFM_PART_PEFT && p->initial != PFM_INITIAL_LOADED && name != NULL && pfm_peft_is_of(network, name) &&
           !is_slice(peft, p, projections[0], &whose) && !is_slice(peft, p, projections[1], &whose);
}

/* The projections stand beside the model, not within. */
static const char *const projection_files[] = {"base_model.vera_A", "base_model.vera_B"};

static pfm_status save(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters,
                       pfm_peft_tensors *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL;
    owner whose;
    const bool saves = pfm_peft_get_options(peft)->save_projection && find_owner(peft, network, parameters, &whose);
    for (int i = 0; saves && i < PROJECTIONS; i++) {
        const pfm_parameter *whole = find_whole(peft, parameters, projections[i], &whose);
        PFM_TRY(pfm_peft_tensors_add(out, "", projection_files[i], whole->n, whole->k, whole->values, false, err));
        out->items[out->count - 1].column = true;
    }
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!is_vector(peft, network, p))
            continue;
        free(name);
        name = NULL;
        PFM_TRY(pfm_peft_tensor_name(peft, network, p, &name, err));
        PFM_TRY(pfm_peft_tensors_add(out, "", name, p->n, p->k, p->values, false, err));
    }
done:
    free(name);
    return status;
}

/* whose: NULL where no layer has any. */
static pfm_status load_projection(const pfm_peft *peft, const pfm_weights *weights, pfm_parameters *parameters, int which,
                                  const owner *whose, size_t *read, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameter *whole = whose == NULL ? NULL : find_whole(peft, parameters, projections[which], whose);
    const bool there = pfm_peft_find_tensor(weights, projection_files[which]) != NULL,
               wanted = pfm_peft_get_options(peft)->save_projection;
    float *values = NULL;
    if (there != wanted)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s %s the tensor %s, and the adapter's save_projection is %s; set it to %s",
                 pfm_weights_path(weights), there ? "holds" : "lacks", projection_files[which], wanted ? "true" : "false",
                 there ? "true" : "false, if its projections are those of its seed");
    if (!wanted || whole == NULL)
        goto done;
    PFM_TRY(pfm_allocate((size_t)(whole->n * whole->k), sizeof *values, &values, err));
    PFM_TRY(pfm_peft_read_tensor(weights, projection_files[which], whole->n, whole->k, values, err));
    PFM_TRY(set_slices(peft, parameters, projections[which], whose, values, whole->k, err));
    (*read)++;
done:
    free(values);
    return status;
}

static pfm_status load(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                       pfm_parameters *parameters, size_t *read, pfm_error *err)
{
    pfm_status status = PFM_OK;
    owner found;
    const owner *whose = find_owner(peft, network, parameters, &found) ? &found : NULL;
    for (int i = 0; i < PROJECTIONS; i++)
        PFM_TRY(load_projection(peft, weights, parameters, i, whose, read, err));
    if (!pfm_peft_get_options(peft)->save_projection && whose != NULL)
        PFM_TRY(draw_projections(peft, parameters, whose, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        if (!is_vector(peft, network, pfm_parameters_get(parameters, i)))
            continue;
        PFM_TRY(pfm_peft_read_parameter(peft, network, weights, parameters, i, err));
        (*read)++;
    }
done:
    return status;
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    const pfm_peft_options *o = pfm_peft_get_options(peft);
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "r", json_integer(o->rank), err));
    PFM_TRY(pfm_json_take(config, "vera_dropout", json_real(o->dropout), err));
    PFM_TRY(pfm_json_take(config, "d_initial", json_real(o->d_initial), err));
    PFM_TRY(pfm_json_take(config, "projection_prng_key", json_integer(o->projection_seed), err));
    PFM_TRY(pfm_json_take(config, "save_projection", json_boolean(o->save_projection), err));
    PFM_TRY(pfm_json_take(config, "fan_in_fan_out", json_false(), err));
    PFM_TRY(pfm_json_take(config, "bias", json_string("none"), err));
    PFM_TRY(pfm_json_take(config, "init_weights", json_true(), err));
done:
    return status;
}

/* The defaults are those of PEFT's VeraConfig. */
static pfm_status read_config(const json_t *config, pfm_peft_options *o, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_read_integer(config, "r", 256, 1, PFM_PEFT_MOST_RANK, &o->rank, err));
    PFM_TRY(pfm_peft_read_number(config, "vera_dropout", 0, 0, 0.99, &o->dropout, err));
    PFM_TRY(pfm_peft_read_number(config, "d_initial", 0.1, -1e6, 1e6, &o->d_initial, err));
    PFM_TRY(pfm_peft_read_integer(config, "projection_prng_key", 0, 0, INT_MAX, &o->projection_seed, err));
    PFM_TRY(pfm_peft_read_flag(config, "save_projection", true, &o->save_projection, err));
done:
    return status;
}

static const pfm_peft_family families[] = {{.model_type = "gpt2", .targets = "c_attn"}, {0}};

const pfm_peft_method pfm_peft_vera = {.name = "vera",
                                       .keys = PFM_KEYS_OF_TARGETS "rank dropout d_initial projection_seed save_projection",
                                       .targets = "q_proj,v_proj",
                                       .families = families,
                                       .check = check,
                                       .touches = touches,
                                       .apply = apply,
                                       .start = start,
                                       .merge = merge,
                                       .type = "VERA",
                                       .write_config = write_config,
                                       .read_config = read_config,
                                       .save = save,
                                       .load = load};
