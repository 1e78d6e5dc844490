/* What is learned from and what is validated on must have nothing in common. */
#ifndef PFM_TRAIN_OVERLAP_H
#define PFM_TRAIN_OVERLAP_H

#include "train/samples.h"

/* Warns, before anything is learned, of images (by what they hold, in any file) and patients that both have. */
pfm_status pfm_overlap_warn(const pfm_samples *train, const pfm_samples *validate, pfm_error *err) PFM_MUST_CHECK;

#endif
