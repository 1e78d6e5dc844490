/* How a camera was held, as EXIF's tag Orientation (0x0112) says: 1 as it stands, 2 mirrored, 3 turned by 180 degrees, 4
 * mirrored and turned by 180, 5 mirrored about the diagonal, 6 to be turned clockwise, 7 mirrored about the other diagonal, 8
 * to be turned counter-clockwise. */
#ifndef PFM_IMAGE_ORIENTATION_H
#define PFM_IMAGE_ORIENTATION_H

#include "image/image.h"

/* What EXIF's bytes say, from "II*" or "MM*" on, or behind "Exif\0\0"; 1 where it is no such number, 0 where they do not speak
 * of it. */
int pfm_orientation_of_exif(const unsigned char *bytes, size_t size);
/* The same of an XMP packet, whose property tiff:Orientation counts alike (XMP part 2, 2.5). */
int pfm_orientation_of_xmp(const unsigned char *bytes, size_t size);
/* How a picture that is stored as width x height stands upright; 1 and what is none leave it as it is. */
typedef struct pfm_orientation {
    int width, height;           /* as it is stored */
    bool swaps;                  /* the axes: it is height x width upright */
    bool from_right, from_below; /* the first column, row is from there, of the stored picture */
} pfm_orientation;
pfm_orientation pfm_orientation_of(int orientation, int width, int height);
/* Puts stored rows, `count` from row `first` on, [count][width][3] with `stride` bytes from one to the next, where they belong
 * in the upright picture `out`. */
void pfm_orientation_place(const pfm_orientation *o, const uint8_t *rows, size_t stride, int first, int count, pfm_image *out);
/* Turns and mirrors a picture so that it stands upright; 1 and what is none leave it as it is. */
pfm_status pfm_orientation_apply(int orientation, pfm_image *image, pfm_error *err) PFM_MUST_CHECK;

/* out = "LA": the sides of the patient to which a direction (cosines towards left, back and head) goes, the largest share
 * first, those of less than a tenth left out. */
void pfm_direction_name(const double *cosines, char out[4]);

#endif
