#include "train/proof.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct probe {
    pfm_trainer *trainer;
    size_t rows[PFM_PROOF_ROWS], count;
    pfm_model_graph graph;
    pfm_executor *executor;
    pfm_micro_batch batch;
} probe;

/* The first row of each of the first lists of images, which are numbered as they appear. */
static void choose_rows(probe *p)
{
    const pfm_dataset *set = p->trainer->train_set;
    for (size_t i = 0; i < set->count && p->count < PFM_PROOF_ROWS; i++) {
        if ((size_t)set->rows[i].image_set == p->count)
            p->rows[p->count++] = i;
    }
}

static pfm_status create_executor(probe *p, pfm_error *err)
{
    pfm_model *model = p->trainer->session->model;
    size_t tokens = 1;
    int64_t visual = model->visual_tokens;
    for (size_t i = 0; i < p->count; i++) {
        size_t prompt = pfm_samples_sequence(&p->trainer->train, p->rows[i]).answer;
        int64_t shown = pfm_samples_visual_rows(&p->trainer->train, p->rows[i]);
        tokens = prompt > tokens ? prompt : tokens;
        visual = shown > visual ? shown : visual;
    }
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = (int64_t)tokens, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = visual};
    pfm_op_environment env = {.context = model->context,
                              .kernels = model->context->kernels,
                              .act = model->act,

                              .most_keys = (int32_t)tokens};
    pfm_status status = pfm_model_build(model, capacity, false, false, &p->graph, err);
    return status == PFM_OK ? pfm_executor_create(p->graph.graph, &env, PFM_NO_VALUE, &p->executor, err) : status;
}

/* The logits behind one row's prompt. */
static pfm_status run_row(probe *p, size_t row, float *logits, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int group = 0;
    const pfm_model *model = p->trainer->session->model;
    const pfm_pack_options options = {.share = false};
    PFM_TRY(pfm_micro_batch_fill(&p->batch, &p->trainer->train, &row, &group, 1, 0, false, err));
    p->batch.sequences[0].count = p->batch.sequences[0].answer + 1; /* of the answer its first token alone */
    PFM_TRY(pfm_pack_rows(&p->batch.pack, p->batch.sequences, 1, &options, err));
    PFM_TRY(pfm_model_bind(model, &p->graph, p->executor, &p->batch.pack, p->batch.visual_rows, err));
    PFM_TRY(pfm_micro_batch_bind_images(&p->batch, model, &p->graph, p->executor, err));
    pfm_executor_forward(p->executor);
    memcpy(logits, pfm_executor_data(p->executor, p->graph.language.logits),
           (size_t)model->language.vocabulary * sizeof *logits);
done:
    return status;
}

pfm_status pfm_trainer_probe(pfm_trainer *trainer, float **out, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    probe p = {.trainer = trainer};
    float *logits = NULL;
    size_t vocabulary = (size_t)trainer->session->model->language.vocabulary;
    choose_rows(&p);
    PFM_TRY(create_executor(&p, err));
    PFM_TRY(pfm_allocate(PFM_PROOF_ROWS * vocabulary, sizeof *logits, &logits, err));
    for (size_t i = 0; i < p.count; i++)
        PFM_TRY(run_row(&p, p.rows[i], logits + i * vocabulary, err));
    *out = logits;
    *count = PFM_PROOF_ROWS * vocabulary;
    logits = NULL;
done:
    free(logits);
    pfm_executor_free(p.executor);
    pfm_model_graph_free(&p.graph);
    pfm_micro_batch_free(&p.batch);
    return status;
}

pfm_status pfm_trainer_prove(pfm_trainer *trainer, double *change, pfm_error *err)
{
    float *after = NULL;
    size_t count = 0;
    pfm_status status = pfm_trainer_probe(trainer, &after, &count, err);
    if (status != PFM_OK)
        return status;
    double difference = 0, whole = 0;
    for (size_t i = 0; i < count; i++) {
        double before = trainer->before[i], moved = after[i] - before;
        difference += moved * moved;
        whole += before * before;
    }
    *change = sqrt(difference / (whole > 0 ? whole : 1));
    if (memcmp(after, trainer->before, count * sizeof *after) == 0)
        status = pfm_error_set(err, PFM_ERROR_MISMATCH,
                               "stage %s changed nothing: after %lld steps every logit of %d fixed rows is what it was; its "
                               "train.learning_rate may be too low, or train too few steps",
                               trainer->session->recipe->name, (long long)trainer->steps, PFM_PROOF_ROWS);
    free(after);
    return status;
}
