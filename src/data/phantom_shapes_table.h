/* What the phantom's pictures are made of. Lengths are in units of the body's half width, u to the picture's right, v down. */
#ifndef PFM_DATA_PHANTOM_SHAPES_TABLE_H
#define PFM_DATA_PHANTOM_SHAPES_TABLE_H

#include "data/phantom.h"

typedef enum tissue {
    FAT,
    MUSCLE,
    MESENTERY,
    BONE,
    MARROW,
    LIVER,
    STOMACH,
    SPLEEN,
    KIDNEY,
    VESSEL,
    LUNG,
    HEART,
    GREY_MATTER,
    WHITE_MATTER,
    FLUID,
    COUCH,
    TISSUES
} tissue;

/* Grey values 0..255 of cross-sections: computed tomography, T1- and T2-weighted magnetic resonance. */
static const unsigned char tissue_values[PFM_PHANTOM_XRAY][TISSUES] = {
    [PFM_PHANTOM_CT] = {[FAT] = 62,
                        [MUSCLE] = 118,
                        [MESENTERY] = 80,
                        [BONE] = 245,
                        [MARROW] = 205,
                        [LIVER] = 150,
                        [STOMACH] = 112,
                        [SPLEEN] = 165,
                        [KIDNEY] = 205,
                        [VESSEL] = 200,
                        [LUNG] = 38,
                        [HEART] = 170,
                        [GREY_MATTER] = 135,
                        [WHITE_MATTER] = 112,
                        [FLUID] = 45,
                        [COUCH] = 150},
    [PFM_PHANTOM_T1] = {[FAT] = 225,
                        [MUSCLE] = 82,
                        [MESENTERY] = 120,
                        [BONE] = 20,
                        [MARROW] = 110,
                        [LIVER] = 140,
                        [STOMACH] = 60,
                        [SPLEEN] = 100,
                        [KIDNEY] = 165,
                        [VESSEL] = 30,
                        [LUNG] = 18,
                        [HEART] = 120,
                        [GREY_MATTER] = 95,
                        [WHITE_MATTER] = 150,
                        [FLUID] = 20,
                        [COUCH] = 0},
    [PFM_PHANTOM_T2] = {[FAT] = 150,
                        [MUSCLE] = 45,
                        [MESENTERY] = 85,
                        [BONE] = 12,
                        [MARROW] = 80,
                        [LIVER] = 72,
                        [STOMACH] = 205,
                        [SPLEEN] = 135,
                        [KIDNEY] = 225,
                        [VESSEL] = 15,
                        [LUNG] = 12,
                        [HEART] = 90,
                        [GREY_MATTER] = 140,
                        [WHITE_MATTER] = 92,
                        [FLUID] = 240,
                        [COUCH] = 0},
};

typedef enum presence { ALWAYS, IF_CT, IF_SPLEEN, IF_RIGHT_KIDNEY, IF_LEFT_KIDNEY } presence;

/* An ellipse, or with `ring` > 0 a band of that width along it. `turn` is the tangent of half the angle by which it is turned.
 */
typedef struct shape {
    double u, v, ru, rv, turn, ring;
    int value; /* a tissue; in projections what it adds to the grey value */
    presence when;
    double spikes; /* how far, as a share of the radius, eight spikes stand out and the bays between them lie in */
} shape;

static const shape abdomen_shapes[] = {
    {0, -1.2, 1.5, 2.2, 0, .04, COUCH, IF_CT},
    {0, 0, 1, .85, 0, 0, FAT, ALWAYS},
    {0, 0, .9, .75, 0, 0, MUSCLE, ALWAYS},
    {0, 0, .84, .69, 0, 0, MESENTERY, ALWAYS},
    {-.86, .05, .03, .11, 0, 0, BONE, ALWAYS},
    {.86, .05, .03, .11, 0, 0, BONE, ALWAYS},
    {-.77, -.38, .03, .10, .28, 0, BONE, ALWAYS},
    {.77, -.38, .03, .10, -.28, 0, BONE, ALWAYS},
    {-.72, .44, .03, .10, -.35, 0, BONE, ALWAYS},
    {.72, .44, .03, .10, .35, 0, BONE, ALWAYS},
    {-.42, -.10, .42, .55, .05, 0, LIVER, ALWAYS},
    {-.20, -.38, .34, .24, .12, 0, LIVER, ALWAYS},
    {.42, -.34, .33, .28, -.15, 0, STOMACH, ALWAYS},
    {.57, .18, .25, .33, -.12, 0, SPLEEN, IF_SPLEEN},
    {-.34, .47, .16, .20, .15, 0, KIDNEY, IF_RIGHT_KIDNEY},
    {.34, .47, .16, .20, -.15, 0, KIDNEY, IF_LEFT_KIDNEY},
    {.05, .25, .07, .07, 0, 0, VESSEL, ALWAYS},
    {0, .50, .16, .13, 0, 0, BONE, ALWAYS},
    {0, .50, .13, .10, 0, 0, MARROW, ALWAYS},
    {0, .69, .05, .09, 0, 0, BONE, ALWAYS},
    {0, .655, .05, .04, 0, 0, FLUID, ALWAYS},
};

static const shape chest_shapes[] = {
    {0, -1.2, 1.5, 2.2, 0, .04, COUCH, IF_CT},    {0, 0, 1, .76, 0, 0, FAT, ALWAYS},
    {0, 0, .94, .70, 0, 0, MUSCLE, ALWAYS},       {-.87, .05, .03, .12, 0, 0, BONE, ALWAYS},
    {.87, .05, .03, .12, 0, 0, BONE, ALWAYS},     {-.76, -.36, .03, .11, .30, 0, BONE, ALWAYS},
    {.76, -.36, .03, .11, -.30, 0, BONE, ALWAYS}, {-.72, .41, .03, .11, -.35, 0, BONE, ALWAYS},
    {.72, .41, .03, .11, .35, 0, BONE, ALWAYS},   {-.47, 0, .36, .56, .06, 0, LUNG, ALWAYS},
    {.47, 0, .36, .56, -.06, 0, LUNG, ALWAYS},    {.03, -.28, .24, .24, -.2, 0, HEART, ALWAYS},
    {.09, .22, .08, .08, 0, 0, VESSEL, ALWAYS},   {0, -.63, .13, .04, 0, 0, BONE, ALWAYS},
    {0, .43, .15, .12, 0, 0, BONE, ALWAYS},       {0, .43, .12, .09, 0, 0, MARROW, ALWAYS},
    {0, .61, .05, .09, 0, 0, BONE, ALWAYS},       {0, .57, .05, .04, 0, 0, FLUID, ALWAYS},
};

static const shape head_shapes[] = {
    {0, 0, .90, 1.03, 0, 0, FAT, ALWAYS},
    {0, 0, .85, .98, 0, 0, BONE, ALWAYS},
    {0, 0, .76, .89, 0, 0, FLUID, ALWAYS},
    {0, 0, .73, .86, 0, 0, GREY_MATTER, ALWAYS},
    {-.31, 0, .27, .66, .03, 0, WHITE_MATTER, ALWAYS},
    {.31, 0, .27, .66, -.03, 0, WHITE_MATTER, ALWAYS},
    {-.11, -.12, .06, .20, -.10, 0, FLUID, ALWAYS},
    {.11, -.12, .06, .20, .10, 0, FLUID, ALWAYS},
    {-.13, .20, .05, .16, .15, 0, FLUID, ALWAYS},
    {.13, .20, .05, .16, -.15, 0, FLUID, ALWAYS},
    {0, -.60, .02, .24, 0, 0, FLUID, ALWAYS},
    {0, .60, .02, .24, 0, 0, FLUID, ALWAYS},
};

/* A projection from the front: values add up. */
static const shape frontal_shapes[] = {
    {0, .55, 1.18, 1.45, 0, 0, 105, ALWAYS},
    {0, -.95, .28, .50, 0, 0, 55, ALWAYS},
    {-.47, -.05, .36, .66, .04, 0, -88, ALWAYS},
    {.47, -.05, .36, .66, -.04, 0, -88, ALWAYS},
    {0, 0, .13, 1.4, 0, 0, 62, ALWAYS},
    {.10, .30, .24, .26, -.2, 0, 55, ALWAYS},
    {-.47, .88, .52, .36, 0, 0, 75, ALWAYS},
    {.47, .90, .52, .36, 0, 0, 65, ALWAYS},
    {-.45, -.66, .40, .035, -.09, 0, 60, ALWAYS},
    {.45, -.66, .40, .035, .09, 0, 60, ALWAYS},
    {-.50, -.40, .42, .13, .12, .035, 24, ALWAYS},
    {.50, -.40, .42, .13, -.12, .035, 24, ALWAYS},
    {-.50, -.20, .43, .13, .12, .035, 24, ALWAYS},
    {.50, -.20, .43, .13, -.12, .035, 24, ALWAYS},
    {-.50, .00, .44, .13, .12, .035, 24, ALWAYS},
    {.50, .00, .44, .13, -.12, .035, 24, ALWAYS},
    {-.50, .20, .45, .13, .12, .035, 24, ALWAYS},
    {.50, .20, .45, .13, -.12, .035, 24, ALWAYS},
    {-.50, .40, .45, .13, .12, .035, 24, ALWAYS},
    {.50, .40, .45, .13, -.12, .035, 24, ALWAYS},
};

/* Where lesions lie: the centre of each quadrant. */
static const double lesion_places[][PFM_PHANTOM_QUADRANTS][2] = {
    [PFM_PHANTOM_ABDOMEN] = {{-.45, -.35}, {.45, -.35}, {-.55, .22}, {.57, .22}},
    [PFM_PHANTOM_CHEST] = {{-.50, -.30}, {.50, -.30}, {-.50, .30}, {.50, .30}},
    [PFM_PHANTOM_HEAD] = {{-.34, -.34}, {.34, -.34}, {-.34, .34}, {.34, .34}},
};

static const char *const lesion_organs[][PFM_PHANTOM_QUADRANTS] = {
    [PFM_PHANTOM_ABDOMEN] = {"Liver", "Stomach", "Liver", "Spleen"},
    [PFM_PHANTOM_CHEST] = {"Right Lung", "Left Lung", "Right Lung", "Left Lung"},
    [PFM_PHANTOM_HEAD] = {"Right Hemisphere", "Left Hemisphere", "Right Hemisphere", "Left Hemisphere"},
};

#endif
