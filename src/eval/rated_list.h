/* Every measure of two columns of scores, in the order in which results show them. */
/* clang-format off */
#define PFM_RATED_LIST(X)                                                                                                      \
    X(cohen)                                                                                                                   \
    X(kappa_linear)                                                                                                            \
    X(kappa_quadratic)                                                                                                         \
    X(pearson)                                                                                                                 \
    X(spearman)                                                                                                                \
    X(kendall)                                                                                                                 \
    X(mean_abs_diff)
