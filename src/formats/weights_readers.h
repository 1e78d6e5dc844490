/* Every reader of weight files, a line each: the name of its pfm_weights_reader without the prefix pfm_reader_. */
#define PFM_WEIGHTS_READERS(X)                                                                                                 \
    X(gguf)                                                                                                                    \
    X(safetensors)                                                                                                             \
    X(torch)
