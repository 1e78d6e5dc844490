/* The families of vision transformers, and the models of them that are known by name. Inside this folder. */
#ifndef PFM_MODELS_VISION_VIT_FAMILIES_H
#define PFM_MODELS_VISION_VIT_FAMILIES_H

#include "models/vision/vision_kind.h"

/* What a family is without any file; numbers are those that transformers takes where config.json has none. */
typedef struct pfm_vit_family {
    pfm_vit_config config; /* of its models; 0 where only the file says */
    float mean[3], deviation[3];
    int image_size;                 /* that its positions are made for */
    const char *const *model_types; /* in config.json; NULL: the family's files bring none */
    bool nested[4];                 /* whether the encoder's part of such a config.json is its vision_config */
    const char *marker;             /* a tensor that only this family has, without the prefix */
    struct {
        const char *prefix;         /* NULL: no more */
        const char *const *ignored; /* patterns of what a file holds beside the encoder */
    } places[7];
} pfm_vit_family;

extern const pfm_vit_family *const pfm_vit_families[]; /* ended by NULL; the first whose marker is there is meant */

/* *config of a model known by name; false where there is none. */
bool pfm_vit_known(const char *name, pfm_vision_config *config);
extern const char pfm_vit_known_names[];

#endif
