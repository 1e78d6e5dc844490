/* Every data set, a line each. */
#define PFM_DATASET_LIST(X)                                                                                                    \
    X(slake)                                                                                                                   \
    X(vqa_rad)                                                                                                                 \
    X(pathvqa)                                                                                                                 \
    X(phantom)                                                                                                                 \
    X(table)
