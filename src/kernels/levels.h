/* The levels of the table, for the files of this room: prototypes made from the list, and what fills or overlays a table. */
#ifndef PFM_KERNELS_LEVELS_H
#define PFM_KERNELS_LEVELS_H

#include "kernels/kernels.h"

#define PFM_REF_SLOT(name, type, arguments, bound) type pfm_ref_##name arguments;
#define PFM_REF_ACT_SLOT(name, type, arguments, bound)                                                                         \
    type pfm_ref_##name##_f32 arguments;                                                                                       \
    type pfm_ref_##name##_bf16 arguments;
PFM_KERNEL_LIST(PFM_REF_SLOT, PFM_REF_ACT_SLOT)

/* Fills every slot. */
void pfm_ref_fill(pfm_kernels *out);

#endif
