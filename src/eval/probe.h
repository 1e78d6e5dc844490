/* Probes: does a model look at the image? The same questions are asked with the images taken away, and the score should fall.
 *   blank     every image is one even grey
 *   noise     every image is uniform noise of its size
 *   swap      every image is replaced by another one of the same modality and body part, where the data names them and there is
 *             such an image, else by any other: what remains is what can be known without this very image
 *   swap-any  every image is replaced by any other one
 * Of a row with several images each is replaced. All are a function of the seed and of the images' order in the data set. */
#ifndef PFM_EVAL_PROBE_H
#define PFM_EVAL_PROBE_H

#include "data/dataset.h"
#include "pefomed/image.h"

typedef enum pfm_probe { PFM_PROBE_NONE, PFM_PROBE_BLANK, PFM_PROBE_NOISE, PFM_PROBE_SWAP, PFM_PROBE_SWAP_ANY } pfm_probe;

/* *out = the probe of this name ("none" too; NULL is none); USAGE lists the names. */
pfm_status pfm_probe_parse(const char *name, pfm_probe *out, pfm_error *err) PFM_MUST_CHECK;
const char *pfm_probe_name(pfm_probe probe); /* static */

/* Fills the picture with mid-grey, 128 in every channel: near the mean that vision encoders subtract, without an edge. */
void pfm_probe_make_blank(pfm_image *image);
/* Fills the picture with bytes drawn uniformly, by the seed and by `index`, the image's number in its data set. */
void pfm_probe_make_noise(pfm_image *image, uint64_t seed, uint64_t index);

/* replacement[i] (0..count-1, never i) = which image stands in for image i. groups [count]: images with equal strings belong
 * together, NULL belongs to none. groups NULL: any other image, each used once. Within a group of
 * several each image is used once, too; a single one, or one without a group, is replaced by any other.
 * *matched (may be NULL) = how many images were replaced by one of their own group. USAGE for fewer than two images. */
pfm_status pfm_probe_swap(const char *const *groups, size_t count, uint64_t seed, size_t *replacement, size_t *matched,
                          pfm_error *err) PFM_MUST_CHECK;

/* The same for the images of a data set, by their index, replacement [dataset->image_count]. For PFM_PROBE_SWAP an
 * image's group is the modality and body part of its first row: the columns modality, and the first there is of location,
 * image_organ, organ, body_part and region; an image without either belongs to no group. */
pfm_status pfm_probe_swap_dataset(const pfm_dataset *dataset, pfm_probe probe, uint64_t seed, size_t *replacement,
                                  size_t *matched, pfm_error *err) PFM_MUST_CHECK;

#endif
