/* The references for f32 activations. */
#define PFM_INSTANCE_BF16 0
#include "kernels/ref/ref_template.h"

#include "kernels/ref/ref_rows.h"
#include "kernels/ref/ref_attention.h"
#include "kernels/ref/ref_gemm.h"
#include "kernels/ref/ref_unpack.h"
