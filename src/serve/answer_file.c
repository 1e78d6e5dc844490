#include "serve/answer_file.h"

#include "base/file.h"
#include "base/try.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILES = 32, MOST_IMAGES = 4096 };
static const size_t most_bytes = (size_t)1 << 30;

struct pfm_answer_files {
    pthread_mutex_t lock;    /* of what follows */
    pthread_mutex_t loading; /* taken before the other: one file is read at a time */
    size_t most;
    uint64_t clock;
    pfm_answer_file *files[MOST_FILES];
};

/* ---- a row ---- */

/* Appends a text's normalised words and a blank; commas and slashes, which normalised texts keep, part words here. */
static pfm_status append_words(pfm_answer_file *file, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (text == NULL)
        return PFM_OK;
    PFM_TRY(pfm_vqa_normalise(text, &file->scratch, err));
    for (size_t i = 0; i < file->scratch.size;) {
        const size_t length = strcspn(file->scratch.data + i, " ,/");
        if (length > 0) {
            PFM_TRY(pfm_buffer_append(&file->line, file->scratch.data + i, length, err));
            PFM_TRY(pfm_buffer_append(&file->line, " ", 1, err));
        }
        i += length + 1;
    }
done:
    return status;
}

static pfm_status add_words(pfm_answer_file *file, const pfm_answer_row *row, pfm_answer_extra *extra, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(&file->line);
    PFM_TRY(pfm_buffer_append(&file->line, " ", 1, err));
    PFM_TRY(append_words(file, row->question, err));
    for (size_t r = 0; r < row->reference_count; r++)
        PFM_TRY(append_words(file, pfm_answer_references(&file->set, row)[r], err));
    PFM_TRY(append_words(file, row->prediction, err));
    PFM_TRY(pfm_text_store_add(&file->set.texts, file->line.data, file->line.size, &extra->words, err));
    PFM_TRY(pfm_vqa_normalise(row->prediction, &file->scratch, err));
    extra->prediction = pfm_name_number(file->scratch.size > 0 ? file->scratch.data : "", file->scratch.size);
    file->bytes += file->line.size;
done:
    return status;
}

/* `images`, or `image`; `slices` where they are of series. */
static pfm_status add_images(pfm_answer_file *file, const json_t *row, pfm_answer_extra *extra, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_number_text number;
    const json_t *list = json_object_get(row, "images"), *slices = json_object_get(row, "slices");
    const json_t *one = json_object_get(row, "image");
    const size_t count = json_is_array(list) ? json_array_size(list) : 1;
    int *numbers = NULL;
    if (count == 0 || count > MOST_IMAGES)
        return PFM_OK;
    PFM_TRY(pfm_allocate(count, sizeof *extra->images, &extra->images, err));
    for (size_t k = 0; k < count; k++) {
        const char *name = pfm_json_text(json_is_array(list) ? json_array_get(list, k) : one, number);
        if (name == NULL)
            goto done;
        PFM_TRY(pfm_text_store_add(&file->set.texts, name, strlen(name), &extra->images[k], err));
        extra->image_count = k + 1;
    }
    if (json_array_size(slices) != count)
        goto done;
    PFM_TRY(pfm_allocate(count, sizeof *numbers, &numbers, err));
    for (size_t k = 0; k < count; k++) {
        const json_int_t slice = json_integer_value(json_array_get(slices, k));
        numbers[k] = slice > 0 && slice < 1 << 20 ? (int)slice : 0;
    }
    extra->slices = numbers;
done:
    return status;
}

static pfm_status add_row(void *user, json_t *json, const pfm_place *place, pfm_error *err)
{
    pfm_answer_file *file = user;
    pfm_status status = PFM_OK;
    if (file->set.count == 0)
        file->set.reports = json_object_get(json, "reference") != NULL || json_object_get(json, "references") != NULL;
    PFM_TRY(pfm_answer_set_add(&file->set, json, place, err));
    const size_t at = file->set.count - 1;
    PFM_TRY(pfm_array_reserve(&file->extras, &file->extra_capacity, at + 1, sizeof *file->extras, err));
    pfm_answer_extra *extra = &file->extras[at];
    const pfm_answer_row *row = &file->set.rows[at];
    const json_t *correct = json_object_get(json, "correct");
    extra->correct = file->set.reports ? -1 : json_is_boolean(correct) ? json_is_true(correct) : row->correct;
    file->right += extra->correct == 1;
    PFM_TRY(add_words(file, row, extra, err));
    PFM_TRY(add_images(file, json, extra, err));
done:
    return status;
}

void pfm_answer_file_free(pfm_answer_file *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->extra_capacity; i++) {
        free(file->extras[i].images);
        free((void *)(uintptr_t)file->extras[i].slices);
    }
    free(file->extras);
    pfm_answer_set_free(&file->set);
    pfm_buffer_free(&file->scratch);
    pfm_buffer_free(&file->line);
    free(file->path);
    free(file);
}

pfm_status pfm_answer_file_load(const char *path, const char *name, pfm_answer_file **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_file *file = NULL;
    pfm_buffer text = {0};
    struct stat facts;
    PFM_TRY(pfm_allocate(1, sizeof *file, &file, err));
    PFM_TRY(pfm_string_copy(path, &file->path, err));
    if (lstat(path, &facts) != 0 || !S_ISREG(facts.st_mode))
        PFM_FAIL(PFM_ERROR_IO, "%s is not there any more", name);
    if ((size_t)facts.st_size > most_bytes)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s has more than 1 GiB, which is not looked through here; split it", name);
    PFM_TRY(pfm_file_read(path, most_bytes, &text, err));
    PFM_TRY(pfm_rows_read_text(name, text.data, text.size, add_row, file, err));
    file->device = facts.st_dev;
    file->inode = facts.st_ino;
    file->size = facts.st_size;
    file->changed = facts.st_mtim;
    file->bytes += (size_t)facts.st_size + file->set.capacity * (sizeof *file->set.rows + sizeof *file->extras + 64);
    *out = file;
    file = NULL;
done:
    pfm_buffer_free(&text);
    pfm_answer_file_free(file);
    return status;
}

/* ---- the shelf ---- */

pfm_status pfm_answer_files_create(size_t most, pfm_answer_files **out, pfm_error *err)
{
    const pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status != PFM_OK)
        return status;
    (void)pthread_mutex_init(&(*out)->lock, NULL);
    (void)pthread_mutex_init(&(*out)->loading, NULL);
    (*out)->most = most;
    return PFM_OK;
}

void pfm_answer_files_free(pfm_answer_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < MOST_FILES; i++)
        pfm_answer_file_free(files->files[i]);
    (void)pthread_mutex_destroy(&files->lock);
    (void)pthread_mutex_destroy(&files->loading);
    free(files);
}

/* Under the lock: leaves at once, or with its last user. */
static void leave(pfm_answer_files *files, size_t place)
{
    pfm_answer_file *file = files->files[place];
    files->files[place] = NULL;
    file->gone = true;
    if (file->users == 0)
        pfm_answer_file_free(file);
}

/* Under the lock: so many bytes more have room, in a place of its own. */
static size_t make_room(pfm_answer_files *files, size_t bytes)
{
    for (;;) {
        size_t held = bytes, oldest = MOST_FILES, empty = MOST_FILES;
        for (size_t i = 0; i < MOST_FILES; i++) {
            const pfm_answer_file *file = files->files[i];
            empty = file == NULL ? i : empty;
            held += file != NULL ? file->bytes : 0;
            if (file != NULL && (oldest == MOST_FILES || file->used < files->files[oldest]->used))
                oldest = i;
        }
        if (oldest == MOST_FILES || (held <= files->most && empty < MOST_FILES))
            return empty;
        leave(files, oldest);
    }
}

static bool is_same(const pfm_answer_file *file, const struct stat *facts)
{
    return file->device == facts->st_dev && file->inode == facts->st_ino && file->size == facts->st_size &&
           file->changed.tv_sec == facts->st_mtim.tv_sec && file->changed.tv_nsec == facts->st_mtim.tv_nsec;
}

/* The file where it is here as it is now; one that has changed leaves. */
static pfm_answer_file *find(pfm_answer_files *files, const char *path)
{
    struct stat facts;
    pfm_answer_file *found = NULL;
    const bool there = lstat(path, &facts) == 0;
    (void)pthread_mutex_lock(&files->lock);
    for (size_t i = 0; i < MOST_FILES; i++) {
        pfm_answer_file *file = files->files[i];
        if (file == NULL || strcmp(file->path, path) != 0)
            continue;
        if (!there || !is_same(file, &facts)) {
            leave(files, i);
            continue;
        }
        file->used = ++files->clock;
        file->users++;
        found = file;
    }
    (void)pthread_mutex_unlock(&files->lock);
    return found;
}

pfm_status pfm_answer_files_use(pfm_answer_files *files, const char *path, const char *name, pfm_answer_file **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = find(files, path);
    if (*out != NULL)
        return PFM_OK;
    (void)pthread_mutex_lock(&files->loading);
    *out = find(files, path); /* another request may have read it meanwhile */
    if (*out != NULL)
        goto done;
    PFM_TRY(pfm_answer_file_load(path, name, out, err));
    (void)pthread_mutex_lock(&files->lock);
    (*out)->users = 1;
    (*out)->used = ++files->clock;
    files->files[make_room(files, (*out)->bytes)] = *out;
    (void)pthread_mutex_unlock(&files->lock);
done:
    (void)pthread_mutex_unlock(&files->loading);
    return status;
}

void pfm_answer_files_give_back(pfm_answer_files *files, pfm_answer_file *file)
{
    if (file == NULL)
        return;
    (void)pthread_mutex_lock(&files->lock);
    file->users--;
    const bool ends = file->gone && file->users == 0;
    (void)pthread_mutex_unlock(&files->lock);
    if (ends)
        pfm_answer_file_free(file);
}
