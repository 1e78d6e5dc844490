/* Every data set, a line each. */
#define PFM_DATASET_LIST(X)                                                                                                    \
    X(slake)                                                                                                                   \
    X(vqa_rad)                                                                                                                 \
    X(pathvqa)                                                                                                                 \
    X(medpix)                                                                                                                  \
    X(medpix_cases)                                                                                                            \
    X(iu_xray)                                                                                                                 \
    X(mimic_cxr)                                                                                                               \
    X(roco)                                                                                                                    \
    X(mediqa_m3g)                                                                                                              \
    X(medexpqa)                                                                                                                \
    X(phantom)                                                                                                                 \
    X(table)
