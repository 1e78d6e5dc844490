#include "models/text/chexbert.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "models/language/tokenizer_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const pfm_chexbert_names[PFM_CHEXBERT_HEADS] = {"Enlarged Cardiomediastinum",
                                                            "Cardiomegaly",
                                                            "Lung Opacity",
                                                            "Lung Lesion",
                                                            "Edema",
                                                            "Consolidation",
                                                            "Pneumonia",
                                                            "Atelectasis",
                                                            "Pneumothorax",
                                                            "Pleural Effusion",
                                                            "Pleural Other",
                                                            "Fracture",
                                                            "Support Devices",
                                                            "No Finding"};

typedef struct head {
    int classes;
    float *weight; /* [classes, hidden] */
    float bias[PFM_CHEXBERT_CLASSES];
} head;

struct pfm_chexbert {
    pfm_text_encoder *encoder;
    size_t hidden;
    head heads[PFM_CHEXBERT_HEADS];
};

/* What the checkpoint holds beside the encoder. */
static const char *const ignored[] = {"*linear_heads.*", "optimizer_state_dict.*", NULL};

/* The tensor whose name ends so, behind nothing or a dot. */
static const pfm_weight *find_ending(const pfm_weights *weights, const char *ending)
{
    const size_t tail = strlen(ending);
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        const size_t length = strlen(weight->name);
        if (length >= tail && strcmp(weight->name + length - tail, ending) == 0 &&
            (length == tail || weight->name[length - tail - 1] == '.') && strncmp(weight->name, "optimizer", 9) != 0)
            return weight;
    }
    return NULL;
}

/* out [rows, columns] = head NUMBER's tensor; columns 1: a vector. */
static pfm_status read_tensor(const pfm_weights *weights, int number, const char *part, int64_t rows, int64_t columns,
                              float *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char name[64];
    (void)snprintf(name, sizeof name, "linear_heads.%d.%s", number, part);
    const pfm_weight *weight = find_ending(weights, name);
    if (weight == NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s has no tensor %s: it is no checkpoint of CheXbert", pfm_weights_path(weights), name);
    const int rank = columns == 1 ? 1 : 2;
    if (weight->rank != rank || weight->shape[0] != rows || (rank == 2 && weight->shape[1] != columns))
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the tensor %s is not [%lld, %lld]", pfm_weights_path(weights), name, (long long)rows,
                 (long long)columns);
    PFM_TRY(pfm_weight_expand(weight, out, err));
    for (int64_t i = 0; i < rows * columns; i++) {
        if (!isfinite(out[i]))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: the tensor %s holds something that is no number", pfm_weights_path(weights), name);
    }
done:
    return status;
}

static pfm_status load_heads(pfm_chexbert *chexbert, const pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; i < PFM_CHEXBERT_HEADS; i++) {
        head *h = &chexbert->heads[i];
        h->classes = i + 1 < PFM_CHEXBERT_HEADS ? PFM_CHEXBERT_CLASSES : PFM_CHEXBERT_POSITIVE + 1;
        PFM_TRY(pfm_allocate((size_t)h->classes, chexbert->hidden * sizeof *h->weight, &h->weight, err));
        PFM_TRY(read_tensor(weights, i, "weight", h->classes, (int64_t)chexbert->hidden, h->weight, err));
        PFM_TRY(read_tensor(weights, i, "bias", h->classes, 1, h->bias, err));
    }
done:
    return status;
}

static pfm_status read_config(const char *path, pfm_text_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *json = NULL;
    char *file = NULL;
    *out = pfm_text_config_bert_base();
    PFM_TRY(pfm_path_is_folder(path) ? pfm_path_join(path, "config.json", &file, err)
                                     : pfm_path_beside(path, "config.json", &file, err));
    if (!pfm_path_exists(file))
        goto done;
    PFM_TRY(pfm_json_load(file, &json, err));
    PFM_TRY(pfm_text_config_read(json, path, out, err));
done:
    json_decref(json);
    free(file);
    return status;
}

pfm_status pfm_chexbert_load(const pfm_context *context, const char *path, pfm_chexbert **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chexbert *chexbert = NULL;
    pfm_weights *weights = NULL;
    pfm_tokenizer *tokenizer = NULL;
    pfm_text_config config;
    PFM_TRY(pfm_allocate(1, sizeof *chexbert, &chexbert, err));
    PFM_TRY(read_config(path, &config, err));
    PFM_TRY(pfm_weights_open(path, &weights, err));
    PFM_TRY(pfm_tokenizer_load(path, &tokenizer, err));
    PFM_TRY(pfm_text_encoder_create(context, &config, weights, ignored, tokenizer, 0, &chexbert->encoder, err));
    chexbert->hidden = (size_t)config.hidden;
    PFM_TRY(load_heads(chexbert, weights, err));
    *out = chexbert;
    chexbert = NULL;
done:
    pfm_weights_close(weights);
    pfm_chexbert_free(chexbert);
    return status;
}

void pfm_chexbert_free(pfm_chexbert *chexbert)
{
    if (chexbert == NULL)
        return;
    for (int i = 0; i < PFM_CHEXBERT_HEADS; i++)
        free(chexbert->heads[i].weight);
    pfm_text_encoder_free(chexbert->encoder);
    free(chexbert);
}

const char *pfm_chexbert_get_digest(const pfm_chexbert *chexbert) { return pfm_text_encoder_get_digest(chexbert->encoder); }

/* Of equal ones the first, as torch's argmax. */
static pfm_chexbert_class choose(const head *h, const float *state, size_t hidden)
{
    int best = 0;
    double most = -INFINITY;
    for (int c = 0; c < h->classes; c++) {
        double sum = h->bias[c];
        for (size_t j = 0; j < hidden; j++)
            sum += (double)h->weight[(size_t)c * hidden + j] * state[j];
        if (sum > most) {
            most = sum;
            best = c;
        }
    }
    return (pfm_chexbert_class)best;
}

/* The texts whose ids have gathered: what stands over the first token of each decides. */
static pfm_status run(pfm_chexbert *chexbert, const pfm_ids *ids, const int32_t *lengths, size_t count,
                      pfm_chexbert_class *classes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const float *states = NULL;
    PFM_TRY(pfm_text_encoder_run(chexbert->encoder, ids->data, lengths, count, &states, err));
    for (size_t t = 0; t < count; t++) {
        for (int i = 0; i < PFM_CHEXBERT_HEADS; i++)
            classes[t * PFM_CHEXBERT_HEADS + (size_t)i] = choose(&chexbert->heads[i], states, chexbert->hidden);
        states += (size_t)lengths[t] * chexbert->hidden;
    }
done:
    return status;
}

pfm_status pfm_chexbert_label(pfm_chexbert *chexbert, const char *const *texts, size_t count, pfm_chexbert_class *classes,
                              pfm_error *err)
{
    enum { AT_ONCE = 64 };
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    int32_t lengths[AT_ONCE];
    size_t first = 0, gathered = 0;
    const size_t capacity = (size_t)pfm_text_encoder_capacity(chexbert->encoder),
                 most = (size_t)pfm_text_encoder_most_tokens(chexbert->encoder);
    for (size_t t = 0; t < count; t++) {
        const size_t before = ids.count;
        PFM_TRY(pfm_text_encoder_tokens(chexbert->encoder, texts[t], strlen(texts[t]), &ids, err));
        lengths[gathered++] = (int32_t)(ids.count - before);
        if (gathered < AT_ONCE && t + 1 < count && ids.count + most <= capacity)
            continue;
        PFM_TRY(run(chexbert, &ids, lengths, gathered, classes + first * PFM_CHEXBERT_HEADS, err));
        first = t + 1;
        gathered = ids.count = 0;
    }
done:
    pfm_ids_free(&ids);
    return status;
}
