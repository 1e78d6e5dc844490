#include "eval/networks.h"

#include "base/file.h"
#include "base/try.h"
#include "pefomed/weights.h"

#include <stdlib.h>
#include <string.h>

static const char *name_of(const pfm_score_networks *networks)
{
    return networks->bert == NULL ? PFM_DEFAULT_BERT : networks->bert;
}

static pfm_status check(const pfm_score_networks *networks, pfm_error *err)
{
    return networks != NULL
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_USAGE, "a metric that runs a network is computed by pefomed score alone");
}

pfm_status pfm_score_networks_bert(pfm_score_networks *networks, pfm_text_encoder **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(check(networks, err));
    if (networks->bert_encoder == NULL) {
        PFM_TRY(pfm_model_path(networks->context, name_of(networks), &path, err));
        PFM_TRY(pfm_text_encoder_load(networks->context, path, networks->bert_layer, &networks->bert_encoder, err));
    }
    *out = networks->bert_encoder;
done:
    free(path);
    return status;
}

/* The last name of the path, whatever slashes stand behind it: where the model lies does not count. */
pfm_status pfm_score_networks_sign_bert(const pfm_score_networks *networks, pfm_buffer *text, pfm_error *err)
{
    const char *name = name_of(networks);
    size_t end = strlen(name), begin;
    while (end > 1 && name[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && name[begin - 1] != '/';)
        begin--;
    return pfm_buffer_append_format(text, err, ".bert:%.*s.sha256:%s.layer%d", (int)(end - begin), name + begin,
                                    pfm_text_encoder_get_digest(networks->bert_encoder),
                                    pfm_text_encoder_get_layer(networks->bert_encoder));
}

pfm_status pfm_score_networks_chexbert(pfm_score_networks *networks, pfm_chexbert **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(check(networks, err));
    if (networks->chexbert == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "chexbert_f1_* needs CheXbert's checkpoint: --chexbert chexbert.pth, with the vocab.txt of "
                                  "bert-base-uncased beside it");
    if (networks->chexbert_network == NULL)
        PFM_TRY(pfm_chexbert_load(networks->context, networks->chexbert, &networks->chexbert_network, err));
    *out = networks->chexbert_network;
done:
    return status;
}

void pfm_score_networks_close(pfm_score_networks *networks)
{
    pfm_chexbert_free(networks->chexbert_network);
    networks->chexbert_network = NULL;
    pfm_text_encoder_free(networks->bert_encoder);
    networks->bert_encoder = NULL;
}
