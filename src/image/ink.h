/* CMYK to RGB as Pillow converts it. */
#ifndef PFM_IMAGE_INK_H
#define PFM_IMAGE_INK_H

#include <stdint.h>

/* `light` is 255 - k; `ink` is c, m or y, 255 being full: 255 - k - ink (255 - k) / 255, the quotient rounded. */
static inline uint8_t pfm_ink_to_light(unsigned ink, unsigned light)
{
    const unsigned product = ink * light + 128u;
    return (uint8_t)(light - ((product >> 8) + product) / 256u);
}

#endif
