/* Every step of preparing texts that a profile may name, a line each, in the order in which errors list them. */
/* clang-format off */
#define PFM_PREPARE_LIST(X)                                                                                                    \
    X(lower)                                                                                                                   \
    X(ptb)                                                                                                                     \
    X(r2gen_iu_xray)                                                                                                           \
    X(r2gen_mimic_cxr)                                                                                                         \
    X(rare_words)                                                                                                              \
    X(first_words)
