/* The small files of tests/image/golden and what Pillow makes of them (script/vectors/images.py). */
#ifndef PFM_TESTS_IMAGE_GOLDEN_H
#define PFM_TESTS_IMAGE_GOLDEN_H

#include "base/file.h"
#include "base/hash.h"
#include "image/image.h"
#include "test.h"

/* One line of image_results.txt. */
typedef struct golden_result {
    char file[64];
    int width, height;
    pfm_hash_hex hash;
} golden_result;

/* The results, in a static array; *count says how many. */
const golden_result *golden_results(int *count);
/* The path of a golden file, in test_path's ring. */
const char *golden_path(const char *file);
/* Fails the test unless the picture is the one of the result. */
void assert_golden(const pfm_image *image, const golden_result *result);
/* Fails the test unless a file of these bytes is refused as damaged or too large, in these words. */
void assert_refused(const void *bytes, size_t size, const char *name, const char *words);
/* Each golden file whose name ends thus, cut short at every length and with single bytes changed: the first must all be errors
 * (or, of kinds that may end early, the same picture), the second must not crash. */
void check_damage(const char *ending, bool may_end_early);
void check_damage_of(const char *file, bool may_end_early);

#endif
