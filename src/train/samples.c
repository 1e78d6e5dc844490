#include "train/samples.h"

#include "base/map.h"
#include "base/process.h"
#include "base/random.h"
#include "base/try.h"
#include "train/contexts.h"

#include <stdlib.h>
#include <string.h>

/* The instructions that a row is learned with: of a mixture its member's own, where it has any. */
static char *const *instructions_of(const pfm_samples *samples, size_t row, size_t *count)
{
    const pfm_recipe *recipe = samples->session->recipe;
    if (samples->dataset->member_count > 0) {
        const pfm_member *member = &recipe->data.mixture[samples->dataset->rows[row].member];
        *count = member->instruction_count;
        if (*count > 0)
            return member->instruction;
    }
    *count = recipe->prompt.instruction_count;
    return recipe->prompt.instruction;
}

/* Leads from what a prompt is made of to the first of those prompts. The map borrows its keys. */
typedef struct known_prompts {
    pfm_map map;
    char **keys;
    size_t count, capacity;
} known_prompts;

static void known_prompts_free(known_prompts *known)
{
    pfm_map_free(&known->map);
    for (size_t i = 0; i < known->count; i++)
        free(known->keys[i]);
    free(known->keys);
}

/* Takes the key, also on error. */
static pfm_status remember(known_prompts *known, char *key, int64_t first, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&known->keys, &known->capacity, known->count + 1, sizeof *known->keys, err);
    if (status != PFM_OK) {
        free(key);
        return status;
    }
    known->keys[known->count++] = key;
    return pfm_map_set(&known->map, key, strlen(key), first, err);
}

/* Prompts behind a row's instructions but the first; rows of one member that ask the same share them. */
static pfm_status encode_others(pfm_samples *samples, size_t row, known_prompts *known, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_row *r = &samples->dataset->rows[row];
    const pfm_question question = {r->question, r->image_count};
    int64_t first = (int64_t)samples->prompt_count;
    size_t count;
    char *const *instructions = instructions_of(samples, row, &count), *key = NULL;
    if (count < 2)
        return PFM_OK;
    PFM_TRY(pfm_string_format(&key, err, "%d %zu %s", r->member, r->image_count, r->question));
    if (!pfm_map_get(&known->map, key, strlen(key), &first)) {
        char *given = key;
        key = NULL; /* known owns it now */
        PFM_TRY(remember(known, given, first, err));
        PFM_TRY(pfm_array_reserve(&samples->prompts, &samples->prompt_capacity, samples->prompt_count + count - 1,
                                  sizeof *samples->prompts, err));
        for (size_t i = 1; i < count; i++)
            PFM_TRY(pfm_model_encode_as(samples->session->model, instructions[i], &question, NULL, 0,
                                        &samples->prompts[samples->prompt_count++], NULL, err));
    }
    samples->others[row] = (size_t)first;
done:
    free(key);
    return status;
}

static pfm_status encode_row(pfm_samples *samples, size_t row, known_prompts *known, size_t limit, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_row *r = &samples->dataset->rows[row];
    size_t count;
    char *const *instructions = instructions_of(samples, row, &count);
    const pfm_question question = {r->question, r->image_count};
    pfm_error reason = PFM_ERROR_INIT;
    status = pfm_model_encode_as(samples->session->model, instructions[0], &question, r->answer, 0, &samples->rows[row],
                                 &samples->answers[row], &reason);
    if (status == PFM_OK)
        status = encode_others(samples, row, known, &reason);
    if (status != PFM_OK)
        PFM_FAIL(status, "row %s of %s: %s", r->id, samples->dataset->split, reason.message);
    for (size_t i = 0; i < count; i++) {
        size_t tokens = pfm_samples_sequence(samples, row + i * samples->count).count;
        if (tokens > limit)
            PFM_FAIL(PFM_ERROR_MISMATCH, "row %s of %s has %zu tokens, more than %zu; raise train.max_tokens or shorten it",
                     r->id, samples->dataset->split, tokens, limit);
    }
done:
    return status;
}

pfm_status pfm_samples_create(const pfm_session *session, const pfm_dataset *dataset, pfm_samples *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    known_prompts known = {0};
    size_t limit = (size_t)session->recipe->train.max_tokens;
    *out = (pfm_samples){.session = session, .dataset = dataset, .count = dataset->count};
    if (limit > (size_t)session->model->language.context)
        limit = (size_t)session->model->language.context;
    PFM_TRY(pfm_allocate(dataset->count, sizeof *out->rows, &out->rows, err));
    PFM_TRY(pfm_allocate(dataset->count, sizeof *out->answers, &out->answers, err));
    PFM_TRY(pfm_allocate(dataset->count, sizeof *out->others, &out->others, err));
    PFM_TRY(pfm_allocate(dataset->count, sizeof *out->contexts, &out->contexts, err));
    for (size_t i = 0; i < dataset->count; i++) {
        PFM_TRY(pfm_context_of_row(pfm_peft_get_options(session->peft), &dataset->rows[i], &out->contexts[i], err));
        PFM_TRY(encode_row(out, i, &known, limit, err));
    }
done:
    known_prompts_free(&known);
    if (status != PFM_OK)
        pfm_samples_free(out);
    return status;
}

size_t pfm_samples_draw(const pfm_samples *samples, size_t row, uint64_t seed, uint64_t place)
{
    size_t count;
    (void)instructions_of(samples, row, &count);
    uint32_t counter[4] = {(uint32_t)place, (uint32_t)(place >> 32), 0x696e7374u, 0}, out[4];
    pfm_philox(seed, counter, out);
    return row + samples->count * (size_t)((uint64_t)out[0] * count >> 32);
}

pfm_sequence pfm_samples_sequence(const pfm_samples *samples, size_t text)
{
    size_t row = text % samples->count, instruction = text / samples->count, answer = samples->answers[row];
    const pfm_ids *whole = &samples->rows[row];
    if (instruction == 0)
        return (pfm_sequence){.ids = whole->data, .count = whole->count, .answer = answer, .context = samples->contexts[row]};
    const pfm_ids *prompt = &samples->prompts[samples->others[row] + instruction - 1];
    return (pfm_sequence){.ids = prompt->data,
                          .tail = whole->data + answer,
                          .count = prompt->count + whole->count - answer,
                          .answer = prompt->count,
                          .context = samples->contexts[row]};
}

pfm_status pfm_samples_open_features(const pfm_samples *samples, pfm_vision *vision, pfm_feature_store **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_file *files = NULL;
    const pfm_dataset *dataset = samples->dataset;
    size_t count = dataset->image_count;
    if (dataset->image_count == 0)
        return PFM_OK;
    PFM_TRY(pfm_dataset_check_images(dataset, err));
    PFM_TRY(pfm_dataset_list_images(dataset, &files, err));
    PFM_TRY(pfm_array_reserve(&files, &count, 2 * count, sizeof *files, err));
    for (size_t i = 0; samples->mirrors && i < dataset->image_count; i++) {
        files[dataset->image_count + i] = files[i];
        files[dataset->image_count + i].mirrored = true;
    }
    PFM_TRY(pfm_feature_store_create(vision, files, (samples->mirrors ? 2 : 1) * dataset->image_count, PFM_FEATURE_QUOTA, out,
                                     err));
done:
    free(files);
    return status;
}

pfm_status pfm_samples_prepare_features(pfm_samples *samples, pfm_error *err)
{
    pfm_status status = pfm_samples_open_features(samples, samples->session->vision, &samples->features, err);
    if (status == PFM_OK)
        pfm_feature_store_warn_of_text(samples->features, samples->dataset->name, samples->dataset->split);
    return status;
}

void pfm_samples_free(pfm_samples *samples)
{
    if (samples == NULL)
        return;
    for (size_t i = 0; samples->rows != NULL && i < samples->count; i++)
        pfm_ids_free(&samples->rows[i]);
    for (size_t i = 0; i < samples->prompt_count; i++)
        pfm_ids_free(&samples->prompts[i]);
    free(samples->rows);
    free(samples->answers);
    free(samples->prompts);
    free(samples->others);
    free(samples->contexts);
    pfm_feature_store_free(samples->features);
    *samples = (pfm_samples){0};
}

int64_t pfm_samples_visual_rows(const pfm_samples *samples, size_t text)
{
    return (int64_t)samples->dataset->rows[text % samples->count].image_count * samples->session->model->visual_tokens;
}

/* Where the features of a row's image stand: mirrored for half of the draws, all images of the row alike. */
static size_t feature_of(const pfm_samples *samples, const pfm_row *row, size_t image)
{
    const size_t own = (size_t)row->images[image].index;
    if (!samples->mirrors)
        return own;
    const uint64_t step = (uint64_t)samples->step;
    const uint32_t counter[4] = {(uint32_t)step, (uint32_t)(step >> 32), 0x6d697272u, (uint32_t)row->image_set};
    uint32_t out[4];
    pfm_philox(samples->mirror_seed, counter, out);
    return own + (out[0] >> 31) * samples->dataset->image_count;
}

/* The images of a row, one behind the other. */
static pfm_status read_features(pfm_micro_batch *batch, const pfm_samples *samples, size_t text, int64_t first_visual,
                                float *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_model *model = samples->session->model;
    const pfm_row *shown = &samples->dataset->rows[text % samples->count];
    const size_t first = (size_t)pfm_model_count_images(model, first_visual);
    char *to = (char *)batch->visual + first * pfm_model_image_bytes(model);
    for (size_t k = 0; k < shown->image_count; k++, to += pfm_model_image_bytes(model)) {
        batch->numbers[first + k] = shown->images[k].index;
        batch->contexts[first + k] = samples->contexts[text % samples->count];
        PFM_TRY(pfm_feature_store_read(samples->features, feature_of(samples, shown, k), features, err));
        PFM_TRY(pfm_model_read_image(model, 0, features, to, err));
    }
done:
    return status;
}

/* The rows of the same images, which stand next to each other, image after image. */
static pfm_status fill_pictures(pfm_micro_batch *batch, const pfm_samples *samples, const size_t *texts, const int *groups,
                                size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int32_t tokens = (int32_t)samples->session->model->tower->tokens;
    int32_t next = 0;
    batch->picture_count = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        const size_t images = samples->dataset->rows[texts[begin] % samples->count].image_count;
        for (end = begin + 1; end < count && groups[end] == groups[begin]; end++)
            ;
        PFM_TRY(pfm_array_reserve(&batch->pictures, &batch->picture_capacity, batch->picture_count + images * (end - begin),
                                  sizeof *batch->pictures, err));
        for (size_t k = 0; k < images; k++, next += tokens) {
            for (size_t row = begin; row < end; row++)
                batch->pictures[batch->picture_count++] = (pfm_token_row){.shared_begin = next, .shared_end = next + tokens};
        }
    }
done:
    return status;
}

static pfm_status fill_visual(pfm_micro_batch *batch, const pfm_samples *samples, const size_t *texts, const int *groups,
                              size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_model *model = samples->session->model;
    float *features = NULL;
    const size_t images = (size_t)pfm_model_count_images(model, batch->visual_rows);
    int64_t visual = 0;
    const double began = pfm_process_clock();
    PFM_TRY(pfm_array_reserve(&batch->visual, &batch->visual_capacity, images * pfm_model_image_bytes(model), 1, err));
    PFM_TRY(pfm_array_reserve(&batch->numbers, &batch->number_capacity, images, sizeof *batch->numbers, err));
    PFM_TRY(pfm_array_reserve(&batch->contexts, &batch->context_capacity, images, sizeof *batch->contexts, err));
    PFM_TRY(pfm_allocate(pfm_model_feature_values(model), sizeof *features, &features, err));
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && groups[i] == groups[i - 1])
            continue;
        PFM_TRY(read_features(batch, samples, texts[i], visual, features, err));
        visual += pfm_samples_visual_rows(samples, texts[i]);
    }
    batch->reading += pfm_process_clock() - began;
done:
    free(features);
    return status;
}

pfm_status pfm_micro_batch_fill(pfm_micro_batch *batch, const pfm_samples *samples, const size_t *texts, const int *groups,
                                size_t count, size_t first_number, bool share, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t ids = 0;
    for (size_t i = 0; i < count; i++)
        ids += pfm_samples_sequence(samples, texts[i]).count;
    PFM_TRY(pfm_array_reserve(&batch->ids, &batch->id_capacity, ids, sizeof *batch->ids, err));
    PFM_TRY(pfm_array_reserve(&batch->sequences, &batch->sequence_capacity, count, sizeof *batch->sequences, err));
    int32_t *next = batch->ids;
    batch->visual_rows = 0;
    for (size_t i = 0; i < count; i++) {
        const pfm_sequence text = pfm_samples_sequence(samples, texts[i]);
        int64_t own = pfm_samples_visual_rows(samples, texts[i]);
        if (i == 0 || groups[i] != groups[i - 1])
            batch->visual_rows += own;
        int32_t base = (int32_t)(batch->visual_rows - own);
        batch->sequences[i] = (pfm_sequence){.ids = next,
                                             .count = text.count,
                                             .answer = text.answer,
                                             .group = groups[i],
                                             .visual_begin = base,
                                             .visual_end = (int32_t)batch->visual_rows,
                                             .number = (int32_t)(first_number + i),
                                             .context = text.context};
        for (size_t t = 0; t < text.count; t++)
            *next++ = pfm_id_behind(pfm_sequence_id(&text, t), base);
    }
    pfm_pack_options options = {.share = share};
    PFM_TRY(pfm_pack_rows(&batch->pack, batch->sequences, count, &options, err));
    if (samples->features != NULL)
        PFM_TRY(fill_visual(batch, samples, texts, groups, count, err));
    if (samples->session->model->tower != NULL)
        PFM_TRY(fill_pictures(batch, samples, texts, groups, count, err));
done:
    return status;
}

pfm_status pfm_micro_batch_bind_images(const pfm_micro_batch *batch, const pfm_model *model, const pfm_model_graph *graph,
                                       pfm_executor *executor, pfm_error *err)
{
    const pfm_tower_pictures shown = {
        .count = pfm_model_count_images(model, batch->visual_rows), .numbers = batch->numbers, .contexts = batch->contexts};
    pfm_row_set *pictures = &pfm_executor_environment(executor)->rows[PFM_ROWS_PICTURES];
    pictures->rows = batch->pictures;
    pictures->count = (int32_t)batch->picture_count;
    return pfm_model_bind_images(model, graph, executor, batch->visual, &shown, err);
}

void pfm_micro_batch_free(pfm_micro_batch *batch)
{
    if (batch == NULL)
        return;
    pfm_pack_free(&batch->pack);
    free(batch->visual);
    free(batch->numbers);
    free(batch->contexts);
    free(batch->pictures);
    free(batch->ids);
    free(batch->sequences);
    *batch = (pfm_micro_batch){0};
}

void pfm_samples_divide_groups(const pfm_samples *samples, size_t *texts, int *groups, size_t count)
{
    const pfm_session *session = samples->session;
    int number = -1;
    if (session->model->tower == NULL || !pfm_context_chooses(pfm_peft_get_options(session->peft)))
        return;
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && groups[end] == groups[begin]; end++)
            ;
        pfm_contexts_order(samples->contexts, samples->count, texts + begin, end - begin);
        for (size_t i = begin; i < end; i++) {
            number +=
                i == begin || samples->contexts[texts[i] % samples->count] != samples->contexts[texts[i - 1] % samples->count];
            groups[i] = number;
        }
    }
}

typedef struct texts_of {
    const pfm_samples *samples;
    const size_t *texts;
} texts_of;

static pfm_sequence text_of(const void *user, size_t i)
{
    const texts_of *group = user;
    return pfm_samples_sequence(group->samples, group->texts[i]);
}

/* Tokens within an encoder that is part of the graph. */
static size_t patches_of(const pfm_samples *samples, size_t text)
{
    const pfm_tower *tower = samples->session->model->tower;
    return tower != NULL ? samples->dataset->rows[text % samples->count].image_count * (size_t)tower->tokens : 0;
}

size_t pfm_micro_batch_cut(const pfm_samples *samples, const size_t *texts, const int *groups, size_t count, bool share,
                           size_t tokens, size_t most_rows, size_t *used)
{
    size_t taken = 0, patches = 0;
    *used = 0;
    while (taken < count) {
        size_t end = taken + 1;
        while (end < count && groups[end] == groups[taken])
            end++;
        const texts_of group = {samples, texts + taken};
        size_t more = pfm_group_tokens(end - taken, text_of, &group, share), shown = patches_of(samples, texts[taken]);
        if (taken > 0 && (*used + more > tokens || patches + shown > tokens || (most_rows > 0 && end > most_rows)))
            break;
        *used += more;
        patches += shown;
        taken = end;
    }
    return taken;
}
