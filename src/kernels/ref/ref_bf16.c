/* The references for bf16 activations. */
#define PFM_INSTANCE_BF16 1
#include "kernels/ref/ref_template.h"

#include "kernels/ref/ref_rows.h"
#include "kernels/ref/ref_attention.h"
#include "kernels/ref/ref_gemm.h"
#include "kernels/ref/ref_unpack.h"
