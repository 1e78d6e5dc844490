/* What changes the scores of the next token, in the order in which it acts: transformers' (_get_logits_processor). */
/* clang-format off */
#define PFM_PROCESSOR_LIST(X)                                                                                                  \
    X(repetition_penalty)                                                                                                      \
    X(no_repeat_ngram)                                                                                                         \
    X(guide)                                                                                                                   \
    X(min_tokens)                                                                                                              \
    X(temperature)                                                                                                             \
    X(top_k)                                                                                                                   \
    X(top_p)                                                                                                                   \
    X(min_p)
