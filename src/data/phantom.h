/* The synthetic pictures of `pefomed phantom`: what is in one (a scene), how it is drawn, what is asked about it.
 *
 * Pictures are shown as radiologists see them, from the feet or from the front: the patient's right is at the picture's left.
 * All sides are the patient's. Everything follows from the seed by integer and IEEE basic operations, so it is the same
 * everywhere. */
#ifndef PFM_DATA_PHANTOM_H
#define PFM_DATA_PHANTOM_H

#include "base/random.h"
#include "pefomed/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PFM_PHANTOM_SIDE 512 /* rows and columns of a picture */
#define PFM_PHANTOM_MAX_LESIONS 3

typedef enum pfm_phantom_region {
    PFM_PHANTOM_ABDOMEN,
    PFM_PHANTOM_CHEST,
    PFM_PHANTOM_HEAD,
    PFM_PHANTOM_REGIONS
} pfm_phantom_region;

typedef enum pfm_phantom_look {
    PFM_PHANTOM_CT,
    PFM_PHANTOM_T1,
    PFM_PHANTOM_T2,
    PFM_PHANTOM_XRAY,
    PFM_PHANTOM_LOOKS
} pfm_phantom_look;

/* A lesion lies in one of four places: bit 0 is set on the patient's left (the picture's right), bit 1 in the lower half. */
typedef enum pfm_phantom_quadrant {
    PFM_PHANTOM_RIGHT_UPPER,
    PFM_PHANTOM_LEFT_UPPER,
    PFM_PHANTOM_RIGHT_LOWER,
    PFM_PHANTOM_LEFT_LOWER,
    PFM_PHANTOM_QUADRANTS
} pfm_phantom_quadrant;

typedef struct pfm_phantom_scene {
    pfm_phantom_region region;
    pfm_phantom_look look;
    int lesions; /* 0..3, in different quadrants, all of one size and brightness */
    pfm_phantom_quadrant quadrant[PFM_PHANTOM_MAX_LESIONS];
    bool bright, large;                     /* the lesions: white or black, large or small */
    bool spleen, right_kidney, left_kidney; /* organs that an abdomen may lack */
} pfm_phantom_scene;

/* scenes[0..count-1] = scenes in which regions, looks, numbers, sizes, brightness and places are balanced and independent. */
pfm_status pfm_phantom_scenes(uint64_t seed, uint64_t split, pfm_phantom_scene *scenes, size_t count,
                              pfm_error *err) PFM_MUST_CHECK;

/* The organ in which a lesion of this quadrant lies ("Liver", "Left Lung"). */
const char *pfm_phantom_organ(pfm_phantom_region region, pfm_phantom_quadrant quadrant);

/* grey [PFM_PHANTOM_SIDE][PFM_PHANTOM_SIDE] = the scene; position, proportions, texture and noise come from (seed, stream). */
pfm_status pfm_phantom_draw(const pfm_phantom_scene *scene, uint64_t seed, uint64_t stream, uint8_t *grey,
                            pfm_error *err) PFM_MUST_CHECK;

/* Chooses what is asked about each picture so that, over a split, every answer to a question is as frequent as the others: who
 * does not look can only guess. */
typedef struct pfm_phantom_asker pfm_phantom_asker;
pfm_status pfm_phantom_asker_create(uint64_t seed, uint64_t split, pfm_phantom_asker **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_phantom_asker_free(pfm_phantom_asker *asker);
/* Appends the rows of a scene, as SLAKE writes them, to an array; *id is the next question's number and moves on. */
pfm_status pfm_phantom_ask(pfm_phantom_asker *asker, const pfm_phantom_scene *scene, int image, const char *image_name, int *id,
                           json_t *rows, pfm_error *err) PFM_MUST_CHECK;

#endif
