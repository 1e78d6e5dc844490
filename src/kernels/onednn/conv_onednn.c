/* Convolutions by oneDNN. Images are [H,W,C] between the steps: for these shapes its kernels are as fast there as with blocks
 * of channels, and narrow images waste nothing on padded blocks. ReLU6 and the addition are fused into the step, weights are
 * reordered once, and nothing is allocated while a chain runs, save oneDNN's own small change. */
#include "base/try.h"
#include "kernels/conv_backend.h"
#include "kernels/onednn/onednn_engine.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ARGUMENTS = 5 };

/* One step, shared by all threads. */
typedef struct step_plan {
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t result, scratch;
    dnnl_memory_t weight, bias;
} step_plan;

/* One step's operands in one thread's arena. */
typedef struct step_memory {
    dnnl_memory_t result, scratch;
} step_memory;

typedef struct onednn_chain {
    pfm_conv_chain common;
    dnnl_engine_t engine;
    step_plan *plans;       /* [count] */
    dnnl_stream_t *streams; /* [threads] */
    dnnl_memory_t *inputs;  /* [threads] */
    step_memory *memories;  /* [threads, count] */
    dnnl_memory_desc_t input;
    size_t input_offset; /* of the input as [H,W,C] in an arena */
} onednn_chain;

static pfm_status image_layout(int channels, const int size[2], dnnl_memory_desc_t *out, pfm_error *err)
{
    dnnl_dims_t dims = {1, channels, size[0], size[1]};
    return pfm_onednn_check(dnnl_memory_desc_init_by_tag(out, 4, dims, dnnl_f32, dnnl_nhwc), "an image's layout", err);
}

/* The attributes of a step: scratch memory from us, then + addend, then clip(0, 6). */
static pfm_status step_attributes(const pfm_conv_step *step, dnnl_primitive_attr_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    dnnl_post_ops_t after = NULL;
    const char *what = "a convolution's attributes";
    PFM_TRY(pfm_onednn_check(dnnl_primitive_attr_create(out), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_post_ops_create(&after), what, err));
    if (step->addend >= 0)
        PFM_TRY(pfm_onednn_check(dnnl_post_ops_append_sum(after, 1.0f), what, err));
    if (step->relu6)
        PFM_TRY(pfm_onednn_check(dnnl_post_ops_append_eltwise(after, 1.0f, dnnl_eltwise_clip, 0.0f, 6.0f), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_primitive_attr_set_post_ops(*out, after), what, err));
done:
    dnnl_post_ops_destroy(after);
    return status;
}

static void weight_dims(const pfm_conv_step *s, dnnl_dims_t dims, int *count)
{
    int at = 0;
    if (s->groups > 1)
        dims[at++] = s->groups;
    dims[at++] = s->channels_out / s->groups;
    dims[at++] = s->channels_in / s->groups;
    dims[at++] = s->kernel;
    dims[at++] = s->kernel;
    *count = at;
}

/* *out = the convolution, the weights' layout left to oneDNN. */
static pfm_status describe(const onednn_chain *chain, const pfm_conv_step *s, const dnnl_memory_desc_t *source,
                           const dnnl_memory_desc_t *result, dnnl_primitive_desc_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_convolution_desc_t convolution;
    dnnl_memory_desc_t weight, bias;
    dnnl_dims_t dims, bias_dims = {s->channels_out}, strides = {s->stride, s->stride}, before = {s->pad[0], s->pad[1]}, behind;
    int count;
    for (int side = 0; side < 2; side++) {
        int needed = (s->size_out[side] - 1) * s->stride + s->kernel - s->size_in[side] - s->pad[side];
        behind[side] = needed > 0 ? needed : 0;
    }
    weight_dims(s, dims, &count);
    PFM_TRY(step_attributes(s, &attributes, err));
    PFM_TRY(
        pfm_onednn_check(dnnl_memory_desc_init_by_tag(&weight, count, dims, dnnl_f32, dnnl_format_tag_any), "weights", err));
    PFM_TRY(pfm_onednn_check(dnnl_memory_desc_init_by_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_a), "a bias", err));
    PFM_TRY(pfm_onednn_check(dnnl_convolution_forward_desc_init(&convolution, dnnl_forward_inference, dnnl_convolution_direct,
                                                                source, &weight, &bias, result, strides, before, behind),
                             "a convolution", err));
    PFM_TRY(
        pfm_onednn_check(dnnl_primitive_desc_create(out, &convolution, attributes, chain->engine, NULL), "a convolution", err));
done:
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* *out = memory of oneDNN's own with `values`, which are dense in `plain` layout, in layout `wanted`. */
static pfm_status reorder_once(const onednn_chain *chain, const float *values, const dnnl_memory_desc_t *plain,
                               const dnnl_memory_desc_t *wanted, dnnl_memory_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *what = "the weights' change of layout";
    dnnl_engine_t engine = chain->engine;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    void *source = (void *)(uintptr_t)values; /* oneDNN takes no const; a source is only read */
    PFM_TRY(pfm_onednn_check(dnnl_memory_create(&from, plain, engine, source), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_memory_create(out, wanted, engine, DNNL_MEMORY_ALLOCATE), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_reorder_primitive_desc_create(&description, plain, engine, wanted, engine, NULL), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_primitive_create(&reorder, description), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), what, err));
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, *out}};
    PFM_TRY(pfm_onednn_check(dnnl_primitive_execute(reorder, stream, 2, arguments), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_stream_wait(stream), what, err));
done:
    dnnl_stream_destroy(stream);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(description);
    dnnl_memory_destroy(from);
    return status;
}

static pfm_status load_weights(const onednn_chain *chain, const pfm_conv_step *s, const_dnnl_primitive_desc_t description,
                               step_plan *plan, pfm_error *err)
{
    pfm_status status = PFM_OK;
    dnnl_memory_desc_t plain, plain_bias;
    dnnl_dims_t dims, bias_dims = {s->channels_out};
    int count;
    weight_dims(s, dims, &count);
    dnnl_format_tag_t tag = count == 5 ? dnnl_abcde : dnnl_abcd;
    PFM_TRY(pfm_onednn_check(dnnl_memory_desc_init_by_tag(&plain, count, dims, dnnl_f32, tag), "weights", err));
    PFM_TRY(pfm_onednn_check(dnnl_memory_desc_init_by_tag(&plain_bias, 1, bias_dims, dnnl_f32, dnnl_a), "a bias", err));
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
    PFM_TRY(reorder_once(chain, s->weight, &plain, wanted, &plan->weight, err));
    PFM_TRY(reorder_once(chain, s->bias, &plain_bias, &plain_bias, &plan->bias, err));
done:
    return status;
}

static pfm_status plan_step(onednn_chain *chain, size_t index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_conv_step *s = &chain->common.steps[index];
    step_plan *plan = &chain->plans[index];
    dnnl_primitive_desc_t description = NULL;
    const dnnl_memory_desc_t *source = s->input < 0 ? &chain->input : &chain->plans[s->input].result;
    PFM_TRY(image_layout(s->channels_out, s->size_out, &plan->result, err));
    PFM_TRY(describe(chain, s, source, &plan->result, &description, err));
    plan->scratch = *dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    PFM_TRY(load_weights(chain, s, description, plan, err));
    PFM_TRY(pfm_onednn_check(dnnl_primitive_create(&plan->primitive, description), "a convolution", err));
done:
    dnnl_primitive_desc_destroy(description);
    return status;
}

/* Behind the results stand the input and the scratch memory of whichever step runs. */
static pfm_status place_results(onednn_chain *chain, size_t *scratch_offset, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t *bytes = NULL, scratch = 0, input = (dnnl_memory_desc_get_size(&chain->input) + 63) / 64 * 64;
    PFM_TRY(pfm_allocate(chain->common.count, sizeof *bytes, &bytes, err));
    for (size_t i = 0; i < chain->common.count; i++) {
        size_t own = dnnl_memory_desc_get_size(&chain->plans[i].scratch);
        bytes[i] = dnnl_memory_desc_get_size(&chain->plans[i].result);
        scratch = own > scratch ? own : scratch;
    }
    PFM_TRY(pfm_conv_chain_place(&chain->common, bytes, input + scratch, &chain->input_offset, err));
    *scratch_offset = chain->input_offset + input;
done:
    free(bytes);
    return status;
}

static pfm_status memories_of_thread(onednn_chain *chain, int thread, size_t scratch_offset, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *what = "a thread's working memory";
    unsigned char *arena = chain->common.arenas[thread].data;
    dnnl_memory_t *input = &chain->inputs[thread];
    PFM_TRY(pfm_onednn_check(dnnl_stream_create(&chain->streams[thread], chain->engine, dnnl_stream_default_flags), what, err));
    PFM_TRY(pfm_onednn_check(dnnl_memory_create(input, &chain->input, chain->engine, arena + chain->input_offset), what, err));
    for (size_t i = 0; i < chain->common.count; i++) {
        const step_plan *plan = &chain->plans[i];
        step_memory *m = &chain->memories[(size_t)thread * chain->common.count + i];
        void *result = pfm_conv_chain_result(&chain->common, thread, i), *scratch = arena + scratch_offset;
        PFM_TRY(pfm_onednn_check(dnnl_memory_create(&m->result, &plan->result, chain->engine, result), what, err));
        PFM_TRY(pfm_onednn_check(dnnl_memory_create(&m->scratch, &plan->scratch, chain->engine, scratch), what, err));
    }
done:
    return status;
}

static pfm_status onednn_build(pfm_conv_chain *common, const char *level, pfm_error *err)
{
    pfm_status status = PFM_OK;
    onednn_chain *chain = (onednn_chain *)common;
    const pfm_conv_step *first = &common->steps[0];
    size_t threads = (size_t)common->threads, scratch_offset = 0;
    int before = pfm_onednn_enter();
    PFM_TRY(pfm_onednn_engine_create(level, &chain->engine, err));
    PFM_TRY(pfm_allocate(common->count, sizeof *chain->plans, &chain->plans, err));
    PFM_TRY(pfm_allocate(threads, sizeof(dnnl_stream_t), &chain->streams, err));
    PFM_TRY(pfm_allocate(threads, sizeof(dnnl_memory_t), &chain->inputs, err));
    PFM_TRY(pfm_allocate(threads * common->count, sizeof *chain->memories, &chain->memories, err));
    PFM_TRY(image_layout(first->channels_in, first->size_in, &chain->input, err));
    for (size_t i = 0; i < common->count; i++)
        PFM_TRY(plan_step(chain, i, err));
    PFM_TRY(place_results(chain, &scratch_offset, err));
    for (int t = 0; t < common->threads; t++)
        PFM_TRY(memories_of_thread(chain, t, scratch_offset, err));
done:
    pfm_onednn_leave(before);
    return status;
}

static void onednn_free(pfm_conv_chain *common)
{
    onednn_chain *chain = (onednn_chain *)common;
    for (size_t i = 0; chain->plans != NULL && i < common->count; i++) {
        dnnl_primitive_destroy(chain->plans[i].primitive);
        dnnl_memory_destroy(chain->plans[i].weight);
        dnnl_memory_destroy(chain->plans[i].bias);
    }
    for (size_t i = 0; chain->memories != NULL && i < common->count * (size_t)common->threads; i++) {
        dnnl_memory_destroy(chain->memories[i].result);
        dnnl_memory_destroy(chain->memories[i].scratch);
    }
    for (int t = 0; t < common->threads; t++) {
        if (chain->streams != NULL)
            dnnl_stream_destroy(chain->streams[t]);
        if (chain->inputs != NULL)
            dnnl_memory_destroy(chain->inputs[t]);
    }
    free(chain->plans);
    free(chain->streams);
    free(chain->inputs);
    free(chain->memories);
    dnnl_engine_destroy(chain->engine);
}

static pfm_status copy_result(const onednn_chain *chain, int thread, const pfm_conv_result *result, pfm_error *err)
{
    const pfm_conv_step *s = &chain->common.steps[result->step];
    size_t values = (size_t)s->size_out[0] * (size_t)s->size_out[1] * (size_t)s->channels_out;
    pfm_status status = pfm_onednn_check(dnnl_stream_wait(chain->streams[thread]), "a convolution", err);
    if (status == PFM_OK)
        memcpy(result->output, pfm_conv_chain_result(&chain->common, thread, result->step), values * sizeof(float));
    return status;
}

static pfm_status run_steps(onednn_chain *chain, int thread, const pfm_conv_result *results, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const step_memory *memories = &chain->memories[(size_t)thread * chain->common.count];
    for (size_t i = 0, given = 0; given < count; i++) {
        const step_plan *plan = &chain->plans[i];
        int input = chain->common.steps[i].input;
        dnnl_exec_arg_t arguments[MOST_ARGUMENTS] = {
            {DNNL_ARG_SRC, input < 0 ? chain->inputs[thread] : memories[input].result},
            {DNNL_ARG_WEIGHTS, plan->weight},
            {DNNL_ARG_BIAS, plan->bias},
            {DNNL_ARG_DST, memories[i].result},
            {DNNL_ARG_SCRATCHPAD, memories[i].scratch},
        };
        PFM_TRY(pfm_onednn_check(dnnl_primitive_execute(plan->primitive, chain->streams[thread], MOST_ARGUMENTS, arguments),
                                 "a convolution", err));
        if (i == results[given].step)
            PFM_TRY(copy_result(chain, thread, &results[given++], err));
    }
done:
    return status;
}

static pfm_status onednn_run(pfm_conv_chain *common, int thread, const float *input, const pfm_conv_result *results,
                             size_t count, pfm_error *err)
{
    onednn_chain *chain = (onednn_chain *)common;
    const pfm_conv_step *first = &common->steps[0];
    size_t channels = (size_t)first->channels_in, places = (size_t)first->size_in[0] * (size_t)first->size_in[1];
    float *image = (float *)(void *)((unsigned char *)common->arenas[thread].data + chain->input_offset);
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < places; p++)
            image[p * channels + c] = input[c * places + p];
    int before = pfm_onednn_enter();
    pfm_status status = run_steps(chain, thread, results, count, err);
    pfm_onednn_leave(before);
    return status;
}

const pfm_conv_backend pfm_conv_backend_onednn = {
    .chain_size = sizeof(onednn_chain), .build = onednn_build, .run = onednn_run, .free = onednn_free};
