/* The networks that metrics run: named in a request, opened by the first metric that needs one, kept until all is scored. */
#ifndef PFM_EVAL_NETWORKS_H
#define PFM_EVAL_NETWORKS_H

#include "models/text/chexbert.h"

typedef struct pfm_score_networks {
    pfm_context *context; /* borrowed */
    const char *bert;     /* a name that fetch knows, or a path; NULL: PFM_DEFAULT_BERT */
    int bert_layer;       /* counted from 1; 0: the last */
    pfm_text_encoder *bert_encoder;
    const char *chexbert; /* the path of its checkpoint; NULL: not said */
    pfm_chexbert *chexbert_network;
} pfm_score_networks;

#define PFM_DEFAULT_BERT "all-minilm-l6-v2"

/* The encoder, opened if it is not yet; borrowed. USAGE where networks is NULL. */
pfm_status pfm_score_networks_bert(pfm_score_networks *networks, pfm_text_encoder **out, pfm_error *err) PFM_MUST_CHECK;
/* Appends ".bert:NAME.sha256:DIGEST.layerN" once it was opened. */
pfm_status pfm_score_networks_sign_bert(const pfm_score_networks *networks, pfm_buffer *text, pfm_error *err) PFM_MUST_CHECK;
/* CheXbert, opened if it is not yet; borrowed. USAGE where its checkpoint is not named. */
pfm_status pfm_score_networks_chexbert(pfm_score_networks *networks, pfm_chexbert **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_score_networks_close(pfm_score_networks *networks);

#endif
