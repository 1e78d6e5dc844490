/* Every text metric, a line each, in the order in which score --list shows them. */
/* clang-format off */
#define PFM_METRIC_LIST(X)                                                                                                     \
    X(exact)                                                                                                                   \
    X(recall_open)                                                                                                             \
    X(f1_token)                                                                                                                \
    X(bleu1)                                                                                                                   \
    X(bleu2)                                                                                                                   \
    X(bleu3)                                                                                                                   \
    X(bleu4)                                                                                                                   \
    X(rouge_l)                                                                                                                 \
    X(cider)                                                                                                                   \
    X(ciderd)                                                                                                                  \
    X(cider_plain)                                                                                                             \
    X(sacrebleu)                                                                                                               \
    X(sacrebleu1)                                                                                                              \
    X(chrf)                                                                                                                    \
    X(rouge1)                                                                                                                  \
    X(rouge2)                                                                                                                  \
    X(rougeL)                                                                                                                  \
    X(meteor_nltk)                                                                                                             \
    X(deltableu)                                                                                                               \
    X(deltableu_zh)                                                                                                            \
    X(label_f1_micro)                                                                                                          \
    X(label_f1_macro)                                                                                                          \
    X(label_f1_micro5)                                                                                                         \
    X(label_f1_macro5)                                                                                                         \
    X(label_f1_micro_certain)                                                                                                  \
    X(label_f1_macro_certain)                                                                                                  \
    X(label_f1_micro5_certain)                                                                                                 \
    X(label_f1_macro5_certain)                                                                                                 \
    X(chexbert_f1_micro)                                                                                                       \
    X(chexbert_f1_macro)                                                                                                       \
    X(chexbert_f1_micro5)                                                                                                      \
    X(chexbert_f1_macro5)                                                                                                      \
    X(chexbert_f1_micro_certain)                                                                                               \
    X(chexbert_f1_macro_certain)                                                                                               \
    X(chexbert_f1_micro5_certain)                                                                                              \
    X(chexbert_f1_macro5_certain)                                                                                              \
    X(bertscore_p)                                                                                                             \
    X(bertscore_r)                                                                                                             \
    X(bertscore_f1)
