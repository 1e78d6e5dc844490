/* Every method, a line each; inside this folder. */
#ifndef PFM_PEFT_PEFT_METHODS_H
#define PFM_PEFT_PEFT_METHODS_H

#include "peft/peft.h"

#define PFM_PEFT_METHOD_LIST(X)                                                                                                \
    X(lora)                                                                                                                    \
    X(dora)                                                                                                                    \
    X(vera)                                                                                                                    \
    X(ia3)                                                                                                                     \
    X(prompt_tuning)                                                                                                           \
    X(p_tuning)                                                                                                                \
    X(prefix_tuning)                                                                                                           \
    X(bitfit)                                                                                                                  \
    X(ln_tuning)                                                                                                               \
    X(full)                                                                                                                    \
    X(serial)                                                                                                                  \
    X(parallel)                                                                                                                \
    X(moe_lora)                                                                                                                \
    X(moe_adapter)

#define PFM_PEFT_DECLARE(name) extern const pfm_peft_method pfm_peft_##name;
PFM_PEFT_METHOD_LIST(PFM_PEFT_DECLARE)

#endif
