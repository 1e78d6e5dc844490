/* Every data set, a line each. */
#define PFM_DATASET_LIST(X)                                                                                                    \
    X(slake)                                                                                                                   \
    X(vqa_rad)                                                                                                                 \
    X(pathvqa)                                                                                                                 \
    X(medpix)                                                                                                                  \
    X(phantom)                                                                                                                 \
    X(table)
