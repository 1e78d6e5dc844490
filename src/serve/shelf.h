/* Images that were opened on the page: their bytes, in memory alone, under names that nobody can guess. They leave when they
 * have not been used for a while, or when newer ones need their place. Any thread. */
#ifndef PFM_SERVE_SHELF_H
#define PFM_SERVE_SHELF_H

#include "base/hash.h"
#include "base/memory.h"
#include "base/salt.h"
#include "pefomed/image.h"

typedef struct pfm_shelf pfm_shelf;

typedef struct pfm_shelf_image {
    char id[33];       /* random, hexadecimal */
    pfm_hash_hex hash; /* of its bytes and the installation's salt: known again when it is opened again, here alone */
    pfm_buffer bytes;
    pfm_image_applied applied; /* of its first frame */
    int width, height;
    /* Of the shelf: */
    double used;
    int users;
    bool gone; /* left while it was used */
} pfm_shelf_image;

/* Holds at most so many bytes, each image for at most so many seconds after its last use. */
pfm_status pfm_shelf_create(size_t most, double seconds, const pfm_salt *salt, pfm_shelf **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_shelf_free(pfm_shelf *shelf);

/* Puts an image on the shelf, whose bytes it takes, also on error: *out is being used. MISMATCH where it is larger than the
 * whole shelf. */
pfm_status pfm_shelf_put(pfm_shelf *shelf, pfm_buffer *bytes, const pfm_image *shown, const pfm_image_applied *applied,
                         pfm_shelf_image **out, pfm_error *err) PFM_MUST_CHECK;
/* The image of this name, or of this hash, which stays until it is given back; NULL: it is not here. */
pfm_shelf_image *pfm_shelf_use(pfm_shelf *shelf, const char *id);
pfm_shelf_image *pfm_shelf_use_hash(pfm_shelf *shelf, const char *hash);
void pfm_shelf_give_back(pfm_shelf *shelf, pfm_shelf_image *image); /* NULL is allowed */
/* Takes it off the shelf now; one that is not there is no error. */
void pfm_shelf_forget(pfm_shelf *shelf, const char *id);
/* How many there are, and their bytes; those whose time is over leave before. */
size_t pfm_shelf_count(pfm_shelf *shelf, size_t *bytes);

#endif
