#include "kernels/conv.h"

#include "base/try.h"
#include "kernels/conv_backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RESULT_ALIGNMENT = 4096, MOST_CHANNELS = 1 << 16, MOST_SIZE = 1 << 14, MOST_KERNEL = 64 };

void pfm_conv_step_pad_same(pfm_conv_step *step)
{
    for (int side = 0; side < 2; side++) {
        int in = step->size_in[side], out = (in + step->stride - 1) / step->stride;
        int needed = (out - 1) * step->stride + step->kernel - in;
        step->size_out[side] = out;
        step->pad[side] = needed > 0 ? needed / 2 : 0;
    }
}

static pfm_status check_sides(const pfm_conv_step *step, size_t index, pfm_error *err)
{
    for (int side = 0; side < 2; side++) {
        int in = step->size_in[side], out = step->size_out[side], pad = step->pad[side];
        if (in < 1 || in > MOST_SIZE || out < 1 || out > MOST_SIZE || pad < 0 || pad >= step->kernel)
            return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu: sizes %d to %d with padding %d cannot be", index,
                                 in, out, pad);
        int behind = (out - 1) * step->stride + step->kernel - in - pad;
        if (behind >= step->kernel || behind <= -step->stride)
            return pfm_error_set(err, PFM_ERROR_MISMATCH,
                                 "convolution %zu: a kernel of %d, stride %d and padding %d do not make %d of %d", index,
                                 step->kernel, step->stride, pad, out, in);
    }
    return PFM_OK;
}

static pfm_status check_shape(const pfm_conv_step *step, size_t index, pfm_error *err)
{
    int in = step->channels_in, out = step->channels_out;
    if (in < 1 || in > MOST_CHANNELS || out < 1 || out > MOST_CHANNELS)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu: %d to %d channels cannot be", index, in, out);
    if (step->groups != 1 && (step->groups != in || in != out))
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "convolution %zu: %d groups of %d to %d channels; only 1 or depthwise can be", index, step->groups,
                             in, out);
    if (step->kernel < 1 || step->kernel > MOST_KERNEL || step->stride < 1 || step->stride > step->kernel + MOST_KERNEL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu: a kernel of %d with stride %d cannot be", index,
                             step->kernel, step->stride);
    if (step->weight == NULL || step->bias == NULL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu has no weights", index);
    return check_sides(step, index, err);
}

static bool same_result(const pfm_conv_step *a, const pfm_conv_step *b)
{
    return a->channels_out == b->channels_out && a->size_out[0] == b->size_out[0] && a->size_out[1] == b->size_out[1];
}

static pfm_status check_links(const pfm_conv_step *steps, size_t index, pfm_error *err)
{
    const pfm_conv_step *step = &steps[index], *first = &steps[0];
    if (step->input < -1 || step->input >= (int)index || step->addend < -1 || step->addend >= (int)index)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu reads a later one", index);
    bool fits = step->input >= 0 ? step->channels_in == steps[step->input].channels_out &&
                                       step->size_in[0] == steps[step->input].size_out[0] &&
                                       step->size_in[1] == steps[step->input].size_out[1]
                                 : step->channels_in == first->channels_in && step->size_in[0] == first->size_in[0] &&
                                       step->size_in[1] == first->size_in[1];
    if (!fits || (index == 0 && step->input != -1))
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu takes [%d,%d,%d], which is not what it is given", index,
                             step->channels_in, step->size_in[0], step->size_in[1]);
    if (step->addend < 0)
        return PFM_OK;
    if (step->relu6 || step->addend == step->input || !same_result(step, &steps[step->addend]))
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu cannot add the result of convolution %d", index,
                             step->addend);
    return PFM_OK;
}

/* The result that a step adds is overwritten by it, so nothing behind it may read that. */
static pfm_status check_addends(const pfm_conv_step *steps, size_t count, pfm_error *err)
{
    for (size_t i = 0; i < count; i++)
        for (size_t later = i + 1; later < count && steps[i].addend >= 0; later++)
            if (steps[later].input == steps[i].addend || steps[later].addend == steps[i].addend)
                return pfm_error_set(err, PFM_ERROR_MISMATCH, "convolution %zu reads what convolution %zu has overwritten",
                                     later, i);
    return PFM_OK;
}

static pfm_status check_steps(const pfm_conv_step *steps, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (count < 1 || count > 100000)
        PFM_FAIL(PFM_ERROR_MISMATCH, "a chain of %zu convolutions cannot be", count);
    for (size_t i = 0; i < count; i++) {
        PFM_TRY(check_shape(&steps[i], i, err));
        PFM_TRY(check_links(steps, i, err));
    }
    PFM_TRY(check_addends(steps, count, err));
done:
    return status;
}

typedef struct stay {
    size_t offset, bytes, first, last; /* alive from step first to step last, both included */
} stay;

static size_t last_reader(const pfm_conv_chain *chain, size_t step)
{
    size_t last = step;
    for (size_t i = step + 1; i < chain->count; i++)
        if (chain->steps[i].input == (int)step || chain->steps[i].addend == (int)step)
            last = i;
    return last;
}

/* The lowest offset at which `wanted` meets none of the stays that are alive together with it. */
static size_t first_fit(const stay *stays, size_t count, const stay *wanted)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < count; i++) {
            const stay *s = &stays[i];
            bool together = s->first <= wanted->last && wanted->first <= s->last;
            if (together && s->offset < offset + wanted->bytes && offset < s->offset + s->bytes) {
                offset = s->offset + s->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

pfm_status pfm_conv_chain_place(pfm_conv_chain *chain, const size_t *bytes, size_t scratch, size_t *scratch_offset,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    stay *stays = NULL;
    size_t end = 0, used = 0;
    PFM_TRY(pfm_allocate(chain->count, sizeof *stays, &stays, err));
    PFM_TRY(pfm_allocate(chain->count, sizeof *chain->offsets, &chain->offsets, err));
    for (size_t i = 0; i < chain->count; i++) {
        if (chain->steps[i].addend >= 0) {
            chain->offsets[i] = chain->offsets[chain->steps[i].addend];
            continue; /* the stay of the addend was made long enough for this step's readers */
        }
        stay wanted = {.bytes = (bytes[i] + RESULT_ALIGNMENT - 1) / RESULT_ALIGNMENT * RESULT_ALIGNMENT, .first = i};
        size_t owner = i;
        for (bool more = true; more;) {
            wanted.last = last_reader(chain, owner);
            more = wanted.last > owner && chain->steps[wanted.last].addend == (int)owner;
            owner = wanted.last;
        }
        wanted.offset = first_fit(stays, used, &wanted);
        stays[used++] = wanted;
        chain->offsets[i] = wanted.offset;
        end = wanted.offset + wanted.bytes > end ? wanted.offset + wanted.bytes : end;
    }
    *scratch_offset = end;
    chain->arena_bytes = end + scratch;
    PFM_TRY(pfm_allocate((size_t)chain->threads, sizeof *chain->arenas, &chain->arenas, err));
    for (int t = 0; t < chain->threads; t++)
        PFM_TRY(pfm_block_create(chain->arena_bytes, &chain->arenas[t], err));
done:
    free(stays);
    return status;
}

pfm_status pfm_conv_chain_create(const char *level, const pfm_conv_step *steps, size_t count, int threads, pfm_conv_chain **out,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_conv_chain *chain = NULL;
    const pfm_conv_backend *backend = strcmp(level, "ref") == 0 ? &pfm_conv_backend_ref : &pfm_conv_backend_onednn;
    PFM_TRY(check_steps(steps, count, err));
    PFM_TRY(pfm_allocate(1, backend->chain_size, &chain, err));
    chain->backend = backend;
    chain->count = count;
    chain->threads = threads;
    PFM_TRY(pfm_allocate(count, sizeof *chain->steps, &chain->steps, err));
    memcpy(chain->steps, steps, count * sizeof *steps);
    PFM_TRY(backend->build(chain, level, err));
    for (size_t i = 0; i < count; i++)
        chain->steps[i].weight = chain->steps[i].bias = NULL;
    *out = chain;
    chain = NULL;
done:
    pfm_conv_chain_free(chain);
    return status;
}

void pfm_conv_chain_free(pfm_conv_chain *chain)
{
    if (chain == NULL)
        return;
    chain->backend->free(chain);
    for (int t = 0; chain->arenas != NULL && t < chain->threads; t++)
        pfm_block_free(&chain->arenas[t]);
    free(chain->arenas);
    free(chain->offsets);
    free(chain->steps);
    free(chain);
}

pfm_status pfm_conv_chain_run(pfm_conv_chain *chain, int thread, const float *input, const pfm_conv_result *results,
                              size_t count, pfm_error *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t step = results[i].step;
        if (step >= chain->count || !chain->steps[step].output)
            return pfm_error_set(err, PFM_ERROR_USAGE, "convolution %zu of %zu is no output of its chain", step, chain->count);
        if (i > 0 && step <= results[i - 1].step)
            return pfm_error_set(err, PFM_ERROR_USAGE, "the result of convolution %zu is asked for behind that of %zu", step,
                                 results[i - 1].step);
    }
    return chain->backend->run(chain, thread, input, results, count, err);
}

void pfm_conv_chain_rest(pfm_conv_chain *chain)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int t = 0; t < chain->threads; t++) {
        uintptr_t data = (uintptr_t)chain->arenas[t].data;
        uintptr_t begin = (data + page - 1) / page * page, end = (data + chain->arenas[t].bytes) / page * page;
        if (end > begin)
            (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* anonymous memory: it reads as zeros afterwards */
    }
}

size_t pfm_conv_chain_thread_bytes(const pfm_conv_chain *chain) { return chain->arena_bytes; }
