/* F1 of clinical labels, as the papers on report generation compute it, whoever labels: micro and macro, over fourteen findings
 * and over five, with uncertain mentions as findings and not. A labeller's metrics are PFM_LABEL_F1_METRICS of a file. */
#ifndef PFM_EVAL_LABEL_F1_H
#define PFM_EVAL_LABEL_F1_H

#include "eval/labels.h"
#include "eval/metric.h"

/* Where uncertain mentions count and where they do not: of each finding how many rows both texts have, and how many the one and
 * the other have, added. All metrics of a labeller share them, so that a text is labelled once. */
enum { PFM_LABEL_F1_COLUMNS = 2 * 2 * PFM_FINDINGS };

/* numbers [PFM_LABEL_F1_COLUMNS] = a row's. */
void pfm_label_f1_count(const pfm_labels *reference, const pfm_labels *prediction, double *numbers);
/* finish of the metrics; their `order` says how many findings count, 14 or 5. */
double pfm_label_f1_micro_uncertain(const pfm_metric *metric, const double *sums, double rows);
double pfm_label_f1_macro_uncertain(const pfm_metric *metric, const double *sums, double rows);
double pfm_label_f1_micro_certain(const pfm_metric *metric, const double *sums, double rows);
double pfm_label_f1_macro_certain(const pfm_metric *metric, const double *sums, double rows);

/* PREFIX_micro, PREFIX_macro, PREFIX_micro5, ... with the initialisers given after SIGNED, the labeller's part of the signature
 * (its `measure` among them); WHO names the labeller in the definitions. */
#define PFM_LABEL_F1_METRICS(PREFIX, WHO, SIGNED, ...)                                                                         \
    PFM_LABEL_F1_FINDINGS(PREFIX##_micro, micro, "F1 (0..1) of all mentions together, of ", WHO, SIGNED, __VA_ARGS__);         \
    PFM_LABEL_F1_FINDINGS(PREFIX##_macro, macro, "Mean of the F1 (0..1) of each finding, 0 where no text has it, of ", WHO,    \
                          SIGNED, __VA_ARGS__)
#define PFM_LABEL_F1_FINDINGS(NAME, AVERAGE, MEAN, WHO, SIGNED, ...)                                                           \
    PFM_LABEL_F1_DOUBT(NAME, AVERAGE, 14, MEAN "the 14 findings of CheXpert" WHO, SIGNED, __VA_ARGS__);                        \
    PFM_LABEL_F1_DOUBT(NAME##5, AVERAGE, 5, MEAN "Cardiomegaly, Edema, Consolidation, Atelectasis and Pleural Effusion" WHO,   \
                       SIGNED, __VA_ARGS__)
#define PFM_LABEL_F1_DOUBT(NAME, AVERAGE, FINDINGS, TEXT, SIGNED, ...)                                                         \
    PFM_LABEL_F1_METRIC(NAME, AVERAGE, FINDINGS, uncertain, TEXT "uncertain mentions count as findings", SIGNED, __VA_ARGS__); \
    PFM_LABEL_F1_METRIC(NAME##_certain, AVERAGE, FINDINGS, certain, TEXT "uncertain mentions do not count", SIGNED, __VA_ARGS__)
#define PFM_LABEL_F1_METRIC(NAME, AVERAGE, FINDINGS, DOUBT, TEXT, SIGNED, ...)                                                 \
    const pfm_metric pfm_metric_##NAME = {.name = #NAME,                                                                       \
                                          .definition = TEXT ". Several references count as one text.",                        \
                                          .signature = SIGNED ".f1-" #AVERAGE "|findings:" #FINDINGS "|doubt:" #DOUBT,         \
                                          .columns = PFM_LABEL_F1_COLUMNS,                                                     \
                                          .order = FINDINGS,                                                                   \
                                          .shared = true,                                                                      \
                                          .finish = pfm_label_f1_##AVERAGE##_##DOUBT,                                          \
                                          __VA_ARGS__}

#endif
