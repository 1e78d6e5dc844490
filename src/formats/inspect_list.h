/* Every kind of thing that inspect tells apart, a line each, in the order in which they are tried: the name of its
 * pfm_inspector without the prefix pfm_inspector_. The last takes whatever is left. */
#define PFM_INSPECT_LIST(X)                                                                                                    \
    X(run)                                                                                                                     \
    X(adapter)                                                                                                                 \
    X(image)                                                                                                                   \
    X(dicom)                                                                                                                   \
    X(index)                                                                                                                   \
    X(data)                                                                                                                    \
    X(records)                                                                                                                 \
    X(weights)
