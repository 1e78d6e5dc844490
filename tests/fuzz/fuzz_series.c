/* A folder of damaged DICOM files: of any bytes the first line says which series and slices are wanted, the rest are files with
 * a marker between them, a preamble put before what is not DICOM by itself. In memory and from the folder the same series must
 * come out, each slice once, or an error that says why not. */
#include "base/file.h"
#include "pefomed/dicom.h"
#include "pefomed/image.h"
#include "pefomed/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_FILES = 8, PREAMBLE = 132 };

static const char marker[] = "<next file>";
static char folder[] = "/tmp/fuzz-series-XXXXXX", paths[MOST_FILES][64];

typedef struct files {
    pfm_series_file items[MOST_FILES];
    size_t count;
    bool other; /* one of them is no DICOM file after all: in a folder it may be met otherwise */
} files;

static void remove_files(void)
{
    for (int i = 0; i < MOST_FILES; i++)
        (void)remove(paths[i]);
    (void)rmdir(folder);
}

static void make_folder(void)
{
    if (mkdtemp(folder) == NULL)
        abort();
    for (int i = 0; i < MOST_FILES; i++)
        (void)snprintf(paths[i], sizeof paths[i], "%s/%d", folder, i);
    (void)atexit(remove_files);
}

/* Without the wait for the disk that makes a file last. */
static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static void add_file(files *all, const uint8_t *bytes, size_t size)
{
    const size_t before = pfm_dicom_is(bytes, size, size) ? 0 : PREAMBLE;
    uint8_t *whole = calloc(before + size + 1, 1); /* freed as what an item has */
    if (whole == NULL)
        abort();
    if (before > 0)
        memcpy(whole + 128, "DICM", 4);
    if (size > 0)
        memcpy(whole + before, bytes, size);
    all->other = all->other || !pfm_dicom_is(whole, before + size, before + size);
    write_file(paths[all->count], whole, before + size);
    all->items[all->count] = (pfm_series_file){.bytes = whole, .size = before + size, .name = paths[all->count]};
    all->count++;
}

static void split(const uint8_t *data, size_t size, files *out)
{
    while (out->count < MOST_FILES) {
        const uint8_t *next = memmem(data, size, marker, sizeof marker - 1);
        add_file(out, data, next != NULL ? (size_t)(next - data) : size);
        if (next == NULL)
            return;
        size -= (size_t)(next - data) + sizeof marker - 1;
        data = next + sizeof marker - 1;
    }
}

/* Each slice is of a file that there is, and has its own number. */
static void look(const pfm_series *series, size_t file_count)
{
    bool *seen = calloc(series->total + 1, 1);
    if (seen == NULL || series->count > series->total || series->order == NULL || series->plane == NULL)
        abort();
    for (size_t i = 0; i < series->count; i++) {
        const pfm_slice *slice = &series->slices[i];
        if (slice->file < 1 || (size_t)slice->file > file_count || slice->frame < 0 || slice->number < 1 ||
            (size_t)slice->number > series->total || seen[slice->number])
            abort();
        seen[slice->number] = true;
    }
    free(seen);
}

/* The series of this number, from the folder. */
static void compare(const pfm_series *wanted, size_t file_count)
{
    char number[24];
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series = {0};
    (void)snprintf(number, sizeof number, "%d", wanted->number);
    if (pfm_series_open(folder, number, NULL, &series, &err) != PFM_OK || series.count != wanted->count ||
        strcmp(series.order, wanted->order) != 0 || strcmp(series.plane, wanted->plane) != 0 || series.of != wanted->of ||
        series.duplicates != wanted->duplicates)
        abort();
    look(&series, file_count);
    for (size_t i = 0; i < series.count; i++)
        if (series.slices[i].file != wanted->slices[i].file || series.slices[i].frame != wanted->slices[i].frame)
            abort();
    pfm_series_free(&series);
}

static void arrange(const files *all)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_series *series = NULL;
    size_t count = 0;
    const pfm_status status = pfm_series_arrange(all->items, all->count, &series, &count, &err);
    if (status != PFM_OK && err.message[0] == '\0')
        abort();
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        look(&series[i], all->count);
        if (series[i].count != series[i].total)
            abort();
        if (!all->other && i < MOST_FILES)
            compare(&series[i], all->count);
    }
    for (size_t i = 0; i < count; i++)
        pfm_series_free(&series[i]);
    free(series);
}

/* As a person asks for slices, and then looks at one. */
static void open_some(const char *which, const char *slices, size_t file_count)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series = {0};
    pfm_image image = {0};
    pfm_image_applied applied;
    char *json = NULL;
    if (pfm_slices_check(slices, &err) != PFM_OK && err.message[0] == '\0')
        abort();
    err = (pfm_error)PFM_ERROR_INIT;
    if (pfm_series_open(folder, which, slices, &series, &err) != PFM_OK) {
        if (err.message[0] == '\0')
            abort();
        return;
    }
    for (size_t i = 0; i < series.count; i++) /* one slice may be asked for twice */
        if (series.slices[i].path == NULL || series.slices[i].number < 1 || (size_t)series.slices[i].number > series.total ||
            series.slices[i].file < 1 || (size_t)series.slices[i].file > file_count)
            abort();
    if (series.count > 0) {
        const pfm_image_file file = {.path = series.slices[0].path, .frame = series.slices[0].frame};
        if (pfm_image_load_file(&file, NULL, NULL, &image, &applied, &err) == PFM_OK) {
            if (pfm_image_applied_json(&applied, &json, NULL) != PFM_OK || pfm_series_tell(&series, 0, &json, NULL) != PFM_OK)
                abort();
        } else if (err.message[0] == '\0') {
            abort();
        }
    }
    pfm_image_free(&image);
    free(json);
    pfm_series_free(&series);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char asked[80] = "";
    files all = {0};
    const uint8_t *end = memchr(data, '\n', size < sizeof asked ? size : sizeof asked);
    if (end == NULL)
        return -1; /* not for the corpus */
    memcpy(asked, data, (size_t)(end - data));
    if (paths[0][0] == '\0')
        make_folder();
    split(end + 1, size - (size_t)(end + 1 - data), &all);
    arrange(&all);
    char *slices = strchr(asked, ' ');
    if (slices != NULL)
        *slices++ = '\0';
    open_some(asked[0] != '\0' ? asked : NULL, slices, all.count);
    for (size_t i = 0; i < all.count; i++) {
        (void)remove(paths[i]);
        free((void *)(uintptr_t)all.items[i].bytes);
    }
    return 0;
}
