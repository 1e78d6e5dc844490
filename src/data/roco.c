/* ROCO (Pelka et al., Radiology Objects in COntext, 2018) and ROCOv2 (Rueckert et al., ROCOv2: Radiology Objects in COntext
 * Version 2, 2024): figures of papers with their captions. A row asks nothing and its answer is the caption.
 *
 * ROCOv2 has SPLIT_captions.csv (ID, Caption) and the images ID.jpg in SPLIT or SPLIT_images. ROCO has
 * SPLIT/radiology/captions.txt (an id, a tab, a caption), and dlinks.txt beside it says from which archive and under which name
 * an image came: its download script calls it images/ARCHIVE_NAME. Its non-radiology images are not read. */
#include "data/format.h"

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const pfm_columns columns = {.id = "id", .image = "image", .answer = "caption"};
static const char *const first_names[] = {"train", "validation", "test"}; /* ROCO's folders */
static const char *const second_names[] = {"train", "valid", "test"};     /* ROCOv2's files */
enum { SPLITS = 3 };

/* ---- where a split lies ---- */

static pfm_status path_of_second(const char *folder, size_t s, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/%s_captions.csv", folder, second_names[s]);
}

/* *out = the folder of ROCO's split: in FOLDER, or as its repository has it in FOLDER/data; it need not exist. */
static pfm_status path_of_first(const char *folder, size_t s, char **out, pfm_error *err)
{
    pfm_status status = pfm_string_format(out, err, "%s/data/%s/radiology", folder, first_names[s]);
    if (status == PFM_OK && pfm_path_is_folder(*out))
        return PFM_OK;
    free(*out);
    *out = NULL;
    return status == PFM_OK ? pfm_string_format(out, err, "%s/%s/radiology", folder, first_names[s]) : status;
}

/* *first, *second = whether the split is there in either layout. */
static pfm_status look(const char *folder, size_t s, bool *first, bool *second, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *a = NULL, *b = NULL;
    PFM_TRY(path_of_first(folder, s, &a, err));
    PFM_TRY(path_of_second(folder, s, &b, err));
    *first = pfm_path_is_folder(a);
    *second = pfm_path_exists(b);
    if (*first && *second)
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds ROCO (%s) and ROCOv2 (%s); keep them in folders of their own", folder, a, b);
done:
    free(a);
    free(b);
    return status;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO,
                 "%s is not a folder; give the one that holds train_captions.csv (ROCOv2) or train/radiology (ROCO)", path);
    for (size_t s = 0; s < SPLITS; s++) {
        bool first = false, second = false;
        PFM_TRY(look(path, s, &first, &second, err));
        if (first || second)
            PFM_TRY(pfm_names_add(out, pfm_split_canonical(first_names[s]), err));
    }
done:
    return status;
}

/* ---- rows ---- */

static pfm_status add_row(const char *id, const char *image, const char *caption, const pfm_row_place *place, pfm_rows *out,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_row row = {0};
    json_t *flat = NULL, *text = json_string(caption);
    if (caption[strspn(caption, " \t\r\n")] == '\0') {
        out->left_out++;
        out->left_out_why = "have no caption";
        goto done;
    }
    if (text == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: the caption is not UTF-8", place->file, place->number);
    flat = json_pack("{s:s,s:s,s:O}", columns.id, id, columns.image, image, columns.answer, text);
    if (flat == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: the id or the image's name is not UTF-8", place->file, place->number);
    PFM_TRY(pfm_row_read(flat, &columns, place, &row, err));
    PFM_TRY(pfm_row_find_image(&row.images[0], err));
    PFM_TRY(pfm_rows_take(out, &row, err));
done:
    pfm_row_free(&row);
    json_decref(flat);
    json_decref(text);
    return status;
}

static pfm_status read_second(const char *folder, size_t s, const char *split, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *file = NULL, *images = NULL;
    pfm_buffer text = {0};
    pfm_records records = {0};
    PFM_TRY(path_of_second(folder, s, &file, err));
    PFM_TRY(pfm_string_format(&images, err, "%s/%s", folder, second_names[s]));
    if (!pfm_path_is_folder(images)) {
        free(images);
        images = NULL;
        PFM_TRY(pfm_string_format(&images, err, "%s/%s_images", folder, second_names[s]));
    }
    PFM_TRY(pfm_file_read(file, 0, &text, err));
    PFM_TRY(pfm_csv_parse(text.data, text.size, file, &records, err));
    pfm_row_place place = {.file = file, .unit = "line", .split = split, .image_folder = images};
    for (size_t i = 0; i < records.count; i++) {
        const char *id = json_string_value(json_object_get(records.items[i], "ID"));
        const char *caption = json_string_value(json_object_get(records.items[i], "Caption"));
        place.number = records.lines[i];
        if (id == NULL || caption == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: has no columns ID and Caption", file);
        PFM_TRY(add_row(id, id, caption, &place, out, err));
    }
done:
    pfm_records_free(&records);
    pfm_buffer_free(&text);
    free(images);
    free(file);
    return status;
}

/* ---- ROCO's text files ---- */

/* The lines of a file, cut into NUL-terminated fields at their tabs. */
typedef struct tab_file {
    char *path;
    pfm_buffer text;
    size_t at, line;
} tab_file;

static void close_tabs(tab_file *file)
{
    free(file->path);
    pfm_buffer_free(&file->text);
}

static pfm_status open_tabs(const char *folder, const char *name, tab_file *out, pfm_error *err)
{
    pfm_status status = pfm_path_join(folder, name, &out->path, err);
    return status == PFM_OK ? pfm_file_read(out->path, 0, &out->text, err) : status;
}

/* fields [count] = those of the next line that has any text, NULL where it has fewer; the last takes the rest of the line.
 * false at the end. */
static bool next_line(tab_file *file, char **fields, size_t count)
{
    while (file->at < file->text.size) {
        char *line = file->text.data + file->at;
        size_t length = strcspn(line, "\n");
        file->at += length + 1;
        file->line++;
        line[length] = '\0';
        if (line[strspn(line, " \t\r")] == '\0')
            continue;
        for (size_t i = 0; i < count; i++) {
            fields[i] = line;
            size_t field = line == NULL || i + 1 == count ? 0 : strcspn(line, "\t");
            if (line == NULL || i + 1 == count)
                continue;
            char *next = line[field] == '\t' ? line + field + 1 : NULL;
            line[field] = '\0';
            line = next;
        }
        return true;
    }
    return false;
}

/* ".../PMC3970251.tar.gz -P ..." -> "PMC3970251", in place; NULL where there is no such name. */
static char *archive_of(char *command)
{
    char *end = command == NULL ? NULL : strstr(command, ".tar.gz");
    if (end == NULL)
        return NULL;
    *end = '\0';
    char *slash = strrchr(command, '/');
    return slash != NULL ? slash + 1 : NULL;
}

/* names [i] = what the images are called by the number that the map has for their id. */
typedef struct image_names {
    tab_file links;
    pfm_map by_id;
    char **names;
    size_t count, capacity;
} image_names;

static void free_names(image_names *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->names[i]);
    free(all->names);
    pfm_map_free(&all->by_id);
    close_tabs(&all->links);
}

static pfm_status load_names(const char *folder, image_names *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *fields[3];
    PFM_TRY(open_tabs(folder, "dlinks.txt", &out->links, err));
    while (next_line(&out->links, fields, 3)) {
        const char *archive = archive_of(fields[1]);
        if (archive == NULL || fields[2] == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT,
                     "%s line %zu: must be an id, a command that fetches an archive, and an image's name, with tabs "
                     "between",
                     out->links.path, out->links.line);
        fields[2][strcspn(fields[2], "\r")] = '\0';
        PFM_TRY(pfm_array_reserve(&out->names, &out->capacity, out->count + 1, sizeof *out->names, err));
        PFM_TRY(pfm_string_format(&out->names[out->count], err, "%s_%s", archive, fields[2]));
        PFM_TRY(pfm_map_set(&out->by_id, fields[0], strlen(fields[0]), (int64_t)out->count++, err));
    }
done:
    return status;
}

static pfm_status read_first(const char *folder, size_t s, const char *split, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *at = NULL, *images = NULL, *fields[2];
    tab_file captions = {0};
    image_names known = {0};
    PFM_TRY(path_of_first(folder, s, &at, err));
    PFM_TRY(pfm_path_join(at, "images", &images, err));
    PFM_TRY(load_names(at, &known, err));
    PFM_TRY(open_tabs(at, "captions.txt", &captions, err));
    pfm_row_place place = {.file = captions.path, .unit = "line", .split = split, .image_folder = images};
    while (next_line(&captions, fields, 2)) {
        int64_t index = 0;
        place.number = captions.line;
        if (fields[1] == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: must be an id and a caption with a tab between", place.file, place.number);
        if (!pfm_map_get(&known.by_id, fields[0], strlen(fields[0]), &index))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: %.60s is not in %s, which names its image", place.file, place.number,
                     fields[0], known.links.path);
        fields[1][strcspn(fields[1], "\r")] = '\0';
        PFM_TRY(add_row(fields[0], known.names[index], fields[1] + strspn(fields[1], " "), &place, out, err));
    }
done:
    close_tabs(&captions);
    free_names(&known);
    free(images);
    free(at);
    return status;
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    (void)options;
    pfm_status status = PFM_OK;
    for (size_t s = 0; s < SPLITS; s++) {
        bool first = false, second = false;
        if (strcmp(pfm_split_canonical(first_names[s]), split) != 0)
            continue;
        PFM_TRY(look(path, s, &first, &second, err));
        PFM_TRY(first ? read_first(path, s, split, out, err) : read_second(path, s, split, out, err));
    }
done:
    return status;
}

const pfm_dataset_format pfm_dataset_roco = {.name = "roco", .list_splits = list_splits, .read = read};
