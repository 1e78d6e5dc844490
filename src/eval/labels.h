/* Clinical labels of a report by rules of our own (pefomed-rules): the fourteen findings that CheXpert names (Irvin et al.,
 * CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert Comparison, 2019), each present, uncertain,
 * absent or not mentioned. They are not CheXpert's nor CheXbert's labels. The vocabulary is label_table.h, the rules
 * docs/labels.md. */
#ifndef PFM_EVAL_LABELS_H
#define PFM_EVAL_LABELS_H

#include "base/json.h"
#include "eval/answer_set.h"

/* Changes with every change of table or rules that changes a label. */
#define PFM_LABELLER_NAME "pefomed-rules 1"

typedef enum pfm_finding {
    PFM_NO_FINDING,
    PFM_ENLARGED_CARDIOMEDIASTINUM,
    PFM_CARDIOMEGALY,
    PFM_LUNG_LESION,
    PFM_LUNG_OPACITY,
    PFM_EDEMA,
    PFM_CONSOLIDATION,
    PFM_PNEUMONIA,
    PFM_ATELECTASIS,
    PFM_PNEUMOTHORAX,
    PFM_PLEURAL_EFFUSION,
    PFM_PLEURAL_OTHER,
    PFM_FRACTURE,
    PFM_SUPPORT_DEVICES,
    PFM_FINDINGS
} pfm_finding;
extern const char *const pfm_finding_names[PFM_FINDINGS];

/* What several mentions say together is the largest. */
typedef enum pfm_label { PFM_LABEL_NONE, PFM_LABEL_ABSENT, PFM_LABEL_UNCERTAIN, PFM_LABEL_PRESENT } pfm_label;

typedef struct pfm_labels {
    pfm_label of[PFM_FINDINGS];
} pfm_labels; /* start with {0} */

/* The table made ready, and scratch memory: one thread at a time. */
typedef struct pfm_labeller pfm_labeller;
pfm_status pfm_labeller_create(pfm_labeller **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_labeller_free(pfm_labeller *labeller);

/* Adds what an English text says to `labels` and decides PFM_NO_FINDING anew: present where no other finding but
 * PFM_SUPPORT_DEVICES is present or uncertain, provided that some text added had a word. */
pfm_status pfm_labels_add(pfm_labeller *labeller, const char *text, pfm_labels *labels, pfm_error *err) PFM_MUST_CHECK;

/* The labels of a row's references, which count as one text, and of its prediction. */
pfm_status pfm_labels_of_row(pfm_labeller *labeller, const pfm_answer_set *set, const pfm_answer_row *row,
                             pfm_labels *reference, pfm_labels *prediction, pfm_error *err) PFM_MUST_CHECK;

/* *out = {finding: 1 present, 0 absent, -1 uncertain, null not mentioned}, as CheXpert's files write them. */
pfm_status pfm_labels_write(const pfm_labels *labels, json_t **out, pfm_error *err) PFM_MUST_CHECK;

#endif
