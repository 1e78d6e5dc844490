/* Everything that a checkpoint may name, a line each: module, name, what it stands for, the type of a storage's values. */
#define PFM_PICKLE_GLOBALS(X)                                                                                                  \
    X("collections", "OrderedDict", ROLE_DICT, PFM_DTYPE_F32)                                                                  \
    X("torch._utils", "_rebuild_tensor_v2", ROLE_TENSOR, PFM_DTYPE_F32)                                                        \
    X("torch._utils", "_rebuild_parameter", ROLE_PARAMETER, PFM_DTYPE_F32)                                                     \
    X("torch", "FloatStorage", ROLE_STORAGE, PFM_DTYPE_F32)                                                                    \
    X("torch", "HalfStorage", ROLE_STORAGE, PFM_DTYPE_F16)                                                                     \
    X("torch", "BFloat16Storage", ROLE_STORAGE, PFM_DTYPE_BF16)                                                                \
    X("torch", "DoubleStorage", ROLE_STORAGE, PFM_DTYPE_F64)                                                                   \
    X("torch", "CharStorage", ROLE_STORAGE, PFM_DTYPE_I8)                                                                      \
    X("torch", "ByteStorage", ROLE_STORAGE, PFM_DTYPE_U8)                                                                      \
    X("torch", "ShortStorage", ROLE_STORAGE, PFM_DTYPE_I16)                                                                    \
    X("torch", "IntStorage", ROLE_STORAGE, PFM_DTYPE_I32)                                                                      \
    X("torch", "LongStorage", ROLE_STORAGE, PFM_DTYPE_I64)                                                                     \
    X("torch", "BoolStorage", ROLE_STORAGE, PFM_DTYPE_BOOL)
