/* CheXbert (Smit et al., CheXbert: Combining Automatic Labelers and Expert Annotations for Accurate Radiology Report Labeling
 * Using BERT, 2020): BERT with a linear head for each of fourteen findings, read from its published checkpoint. */
#ifndef PFM_MODELS_TEXT_CHEXBERT_H
#define PFM_MODELS_TEXT_CHEXBERT_H

#include "models/text/text_encoder.h"

enum { PFM_CHEXBERT_HEADS = 14 };
/* The heads in the checkpoint's order, as CheXpert names their findings; the last, "No Finding", knows blank and positive
 * alone. */
extern const char *const pfm_chexbert_names[PFM_CHEXBERT_HEADS];

typedef enum pfm_chexbert_class {
    PFM_CHEXBERT_BLANK, /* not mentioned */
    PFM_CHEXBERT_POSITIVE,
    PFM_CHEXBERT_NEGATIVE,
    PFM_CHEXBERT_UNCERTAIN,
    PFM_CHEXBERT_CLASSES
} pfm_chexbert_class;

typedef struct pfm_chexbert pfm_chexbert;

/* path: chexbert.pth, or a folder that holds it (or any weights of these names), with the vocab.txt of bert-base-uncased
 * beside; a config.json beside it says the sizes where they are not bert-base's. The caller frees *out. Threads: as
 * pfm_text_encoder. */
pfm_status pfm_chexbert_load(const pfm_context *context, const char *path, pfm_chexbert **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_chexbert_free(pfm_chexbert *chexbert);
/* Of the encoder's weights, see pfm_text_encoder_get_digest. */
const char *pfm_chexbert_get_digest(const pfm_chexbert *chexbert);

/* classes [count, PFM_CHEXBERT_HEADS] = each head's greatest class. A text that is too long is cut off. */
pfm_status pfm_chexbert_label(pfm_chexbert *chexbert, const char *const *texts, size_t count, pfm_chexbert_class *classes,
                              pfm_error *err) PFM_MUST_CHECK;

#endif
