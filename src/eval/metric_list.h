/* Every text metric, a line each, in the order in which score --list shows them. */
#define PFM_METRIC_LIST(X)                                                                                                     \
    X(exact)                                                                                                                   \
    X(recall_open)                                                                                                             \
    X(f1_token)
