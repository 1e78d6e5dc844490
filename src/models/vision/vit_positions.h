/* Positions of a vision transformer at another image size. */
#ifndef PFM_MODELS_VISION_VIT_POSITIONS_H
#define PFM_MODELS_VISION_VIT_POSITIONS_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stdint.h>

/* out [grid, grid, width] = positions [from, from, width] resized as torch's interpolate(mode="bicubic", align_corners=False):
 * Keys' cubic with a = -0.75 over four neighbours, the border repeated; with antialias a = -0.5, over as many neighbours as one
 * new position covers, those outside left out. Equal grids are copied. */
pfm_status pfm_vit_resize_positions(const float *positions, int from, int grid, int64_t width, bool antialias, float *out,
                                    pfm_error *err) PFM_MUST_CHECK;

#endif
