/* Pictures that look alike: copies that were compressed again, resized, brightened or slightly cropped. */
#ifndef PFM_DATA_NEAR_H
#define PFM_DATA_NEAR_H

#include "pefomed/image.h"

#include <stdbool.h>
#include <stdint.h>

/* Two pictures are nearly the same where their hashes differ in at most PFM_NEAR_BITS of 63 bits and their likeness is at least
 * PFM_NEAR_LEAST; docs/data.md says what that finds. */
#define PFM_NEAR_BITS 10
#define PFM_NEAR_LEAST 0.85

enum { PFM_NEAR_SIDE = 48 };

/* What is kept of a picture. */
typedef struct pfm_near {
    bool flat;     /* it shows nothing, and is like no other */
    uint64_t hash; /* the signs of its lowest frequencies against their median (a perceptual hash by DCT) */
    uint16_t grey[PFM_NEAR_SIDE][PFM_NEAR_SIDE]; /* means of its areas, 257 times their grey */
} pfm_near;

void pfm_near_of_image(const pfm_image *image, pfm_near *out);
/* Whether the hashes are so near that it is worth to ask how alike the pictures are. */
bool pfm_near_may_be(const pfm_near *a, const pfm_near *b);
/* The correlation of the pictures' differences between neighbouring areas, -1..1, at its best when a few per cent may be cut
 * off at the borders of either. */
double pfm_near_likeness(const pfm_near *a, const pfm_near *b);

#endif
