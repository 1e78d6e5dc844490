/* A split, ready to be computed with: its rows tokenised, its images' features at hand, steps assembled from them. */
#ifndef PFM_TRAIN_SAMPLES_H
#define PFM_TRAIN_SAMPLES_H

#include "data/dataset.h"
#include "models/vision/feature_store.h"
#include "train/session.h"

typedef struct pfm_samples {
    const pfm_session *session;  /* borrowed */
    const pfm_dataset *dataset;  /* borrowed */
    pfm_ids *rows;               /* [count] whole rows behind their first instruction, image tokens from visual row 0 */
    size_t *answers;             /* [count] where the answer begins */
    pfm_ids *prompts;            /* [prompt_count] behind the other instructions, those of one question in their order */
    size_t *others;              /* [count] where a row's begin in prompts */
    int32_t *contexts;           /* [count] what a router may see of each row, see pfm_sequence */
    pfm_feature_store *features; /* NULL: lengths only, or there are no images */
    size_t count, prompt_count, prompt_capacity;
    bool mirrors; /* see below */
    uint64_t mirror_seed;
    int64_t step; /* the one at hand */
} pfm_samples;

/* Where `mirrors`, whether images are shown mirrored is drawn from mirror_seed, step and what they are: equal for all rows of
 * them in a step, packed together or not. The features of the mirrored images stand behind the others. */

/* A text is a row behind one of its instructions: row + count * the instruction's number. So a row is its first text. */

/* Tokenises every row. MISMATCH names a row longer than train.max_tokens or the model's context, USAGE one that the prompt has
 * no place for. */
pfm_status pfm_samples_create(const pfm_session *session, const pfm_dataset *dataset, pfm_samples *out,
                              pfm_error *err) PFM_MUST_CHECK;
/* The text that learning takes when a row's turn comes at this place of the line of all rows: an instruction is drawn from seed
 * and place. */
size_t pfm_samples_draw(const pfm_samples *samples, size_t row, uint64_t seed, uint64_t place);
/* A text's ids, without group and number; borrowed. */
pfm_sequence pfm_samples_sequence(const pfm_samples *samples, size_t text);
/* Computes or finds what the session's encoder makes of every image of the split, where there are any. */
pfm_status pfm_samples_prepare_features(pfm_samples *samples, pfm_error *err) PFM_MUST_CHECK;
/* The same of another encoder; the caller frees *out before it. */
pfm_status pfm_samples_open_features(const pfm_samples *samples, pfm_vision *vision, pfm_feature_store **out,
                                     pfm_error *err) PFM_MUST_CHECK;
void pfm_samples_free(pfm_samples *samples);
/* Visual tokens that a text's images take. */
int64_t pfm_samples_visual_rows(const pfm_samples *samples, size_t text);

/* Where a vision encoder chooses experts by context, the same images are computed for each context: the texts of a group, put
 * in the order of their contexts, become a group a context, numbered anew. Elsewhere nothing changes. */
void pfm_samples_divide_groups(const pfm_samples *samples, size_t *texts, int *groups, size_t count);

/* What is computed at once: rows of whole groups, packed, and their features. Start with {0}. */
typedef struct pfm_micro_batch {
    pfm_pack pack;
    int64_t visual_rows;
    void *visual;                /* what a graph reads of each image (pfm_model_read_image), one behind the other */
    int32_t *numbers, *contexts; /* [images] which they are in the data set; of their rows */
    size_t visual_capacity, number_capacity, context_capacity;
    pfm_token_row *pictures; /* [picture_count] each image of each row, within a vision encoder that is part of the graph */
    size_t picture_count, picture_capacity;
    int32_t *ids; /* the rows' ids with their visual rows */
    pfm_sequence *sequences;
    size_t id_capacity, sequence_capacity;
    double reading; /* seconds that were spent on the images' features, in all; the caller sets it to 0 */
} pfm_micro_batch;

/* Packs texts[0 .. count), consecutive ones with one group showing the same images, or none; numbers count from first_number.
 * With features the visual rows are filled too. */
pfm_status pfm_micro_batch_fill(pfm_micro_batch *batch, const pfm_samples *samples, const size_t *texts, const int *groups,
                                size_t count, size_t first_number, bool share, pfm_error *err) PFM_MUST_CHECK;
/* Binds its images to an executor of the model's graph. */
pfm_status pfm_micro_batch_bind_images(const pfm_micro_batch *batch, const pfm_model *model, const pfm_model_graph *graph,
                                       pfm_executor *executor, pfm_error *err) PFM_MUST_CHECK;
void pfm_micro_batch_free(pfm_micro_batch *batch);

/* How many of texts[0 .. count) go into the first micro-batch: whole groups while the tokens, and those of the images within an
 * encoder that is part of the graph, stay within `tokens` and the texts within `most_rows` (0: no limit); at least one group.
 * *used = its tokens after packing. */
size_t pfm_micro_batch_cut(const pfm_samples *samples, const size_t *texts, const int *groups, size_t count, bool share,
                           size_t tokens, size_t most_rows, size_t *used);

#endif
