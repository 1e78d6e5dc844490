/* Any bytes as a file of ratings, verdicts, numbers or a filled sheet (opened by a key), and as the key: reading must succeed
 * or say why not. */
#include "base/file.h"
#include "eval/rating_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-ratings-XXXXXX", any_path[64], key_path[64], word[80];

/* Of two texts of two systems, one of them shown twice. */
static const char key_text[] =
    "{\"format\":\"pefomed-sheets-key-1\",\"rubric\":\"likert-report\",\"scale\":[0,4],\"systems\":[{\"name\":\"a\",\"file\":"
    "\"a\",\"n\":1},{\"name\":\"b\",\"file\":\"b\",\"n\":1}],\"rows\":["
    "{\"item\":\"r1-0001\",\"rater\":\"rater-1\",\"id\":\"1\",\"system\":\"a\",\"duplicate\":false,\"shown\":{}},"
    "{\"item\":\"r1-0002\",\"rater\":\"rater-1\",\"id\":\"1\",\"system\":\"b\",\"duplicate\":false,\"shown\":{}},"
    "{\"item\":\"r1-0003\",\"rater\":\"rater-1\",\"id\":\"1\",\"system\":\"a\",\"duplicate\":true,\"shown\":{}}]}";

static void remove_files(void)
{
    (void)remove(any_path);
    (void)remove(key_path);
    (void)rmdir(folder);
}

static void make_folder(void)
{
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(any_path, sizeof any_path, "%s/any", folder);
    (void)snprintf(key_path, sizeof key_path, "%s/key.json", folder);
    (void)snprintf(word, sizeof word, "N=%s", any_path);
    (void)atexit(remove_files);
    if (pfm_file_write(key_path, key_text, sizeof key_text - 1, NULL) != PFM_OK)
        abort();
}

/* Without the wait for the disk that makes a file last. */
static void write_any(const uint8_t *data, size_t size)
{
    FILE *file = fopen(any_path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static void check(pfm_status status, const pfm_error *err)
{
    if (status != PFM_OK && err->message[0] == '\0')
        abort();
}

/* What was read has numbers on the scale, and names. */
static void look(const pfm_ratings *ratings)
{
    for (size_t c = 0; c < ratings->column_count; c++) {
        if (ratings->columns[c].name == NULL)
            abort();
        for (size_t i = 0; i < ratings->item_count; i++)
            if (isinf(ratings->columns[c].scores[i]))
                abort();
    }
}

static void read_file(const char *as, pfm_sheet_key *key, const char *system)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_ratings ratings = {0};
    const pfm_rating_options options = {.key_path = key != NULL ? key_path : NULL, .key = key, .system = system};
    pfm_status status = pfm_ratings_read(&ratings, as, &options, &err);
    if (status == PFM_OK)
        status = pfm_ratings_finish(&ratings, &err);
    check(status, &err);
    if (status == PFM_OK)
        look(&ratings);
    pfm_ratings_free(&ratings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_sheet_key key = {0}, any = {0};
    if (any_path[0] == '\0')
        make_folder();
    write_any(data, size);
    if (pfm_sheet_key_load(key_path, &key, NULL) != PFM_OK)
        abort();
    read_file(any_path, NULL, NULL);
    read_file(word, &key, NULL);
    read_file(any_path, &key, "b");
    const pfm_status status = pfm_sheet_key_load(any_path, &any, &err);
    check(status, &err);
    if (status == PFM_OK && !(any.low < any.high))
        abort();
    pfm_sheet_key_free(&any);
    pfm_sheet_key_free(&key);
    return 0;
}
