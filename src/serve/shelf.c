#include "serve/shelf.h"

#include "base/chance.h"
#include "base/process.h"
#include "base/try.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERHEAD = 1024 }; /* bytes that an image counts for beside its own, so that many small ones have a bound too */

struct pfm_shelf {
    size_t most, held; /* bytes, those of images that left while they were used included */
    double seconds;
    pfm_salt salt;
    pthread_mutex_t lock;
    pfm_shelf_image **images; /* [count] */
    size_t count, capacity;
};

pfm_status pfm_shelf_create(size_t most, double seconds, const pfm_salt *salt, pfm_shelf **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status != PFM_OK)
        return status;
    **out = (pfm_shelf){.most = most, .seconds = seconds, .salt = *salt};
    (void)pthread_mutex_init(&(*out)->lock, NULL);
    return PFM_OK;
}

/* ---- locked ---- */

static size_t size_of(const pfm_shelf_image *image) { return image->bytes.size + OVERHEAD; }

static void destroy(pfm_shelf *shelf, pfm_shelf_image *image)
{
    shelf->held -= size_of(image);
    pfm_buffer_free(&image->bytes);
    free(image);
}

static void take_out(pfm_shelf *shelf, size_t number)
{
    pfm_shelf_image *image = shelf->images[number];
    shelf->images[number] = shelf->images[--shelf->count];
    image->gone = true;
    if (image->users == 0)
        destroy(shelf, image);
}

static void forget_old(pfm_shelf *shelf)
{
    const double now = pfm_process_clock();
    for (size_t i = shelf->count; i > 0; i--)
        if (shelf->images[i - 1]->users == 0 && now - shelf->images[i - 1]->used > shelf->seconds)
            take_out(shelf, i - 1);
}

/* The one that was used longest ago, of those that nobody uses, leaves; false: there is none. */
static bool drop_one(pfm_shelf *shelf)
{
    size_t oldest = shelf->count;
    for (size_t i = 0; i < shelf->count; i++)
        if (shelf->images[i]->users == 0 && (oldest == shelf->count || shelf->images[i]->used < shelf->images[oldest]->used))
            oldest = i;
    if (oldest == shelf->count)
        return false;
    take_out(shelf, oldest);
    return true;
}

/* ---- from any thread ---- */

void pfm_shelf_free(pfm_shelf *shelf)
{
    if (shelf == NULL)
        return;
    while (shelf->count > 0)
        take_out(shelf, shelf->count - 1);
    (void)pthread_mutex_destroy(&shelf->lock);
    free(shelf->images);
    free(shelf);
}

static pfm_status hash_salted(const pfm_salt *salt, const pfm_buffer *bytes, pfm_hash_hex out, pfm_error *err)
{
    pfm_hash *hash = NULL;
    const pfm_status status = pfm_hash_create(&hash, err);
    if (status != PFM_OK)
        return status;
    pfm_hash_update(hash, salt->bytes, sizeof salt->bytes);
    pfm_hash_update(hash, bytes->data, bytes->size);
    pfm_hash_finish(hash, out);
    pfm_hash_free(hash);
    return PFM_OK;
}

/* Locked. Makes room and puts it there. */
static pfm_status place(pfm_shelf *shelf, pfm_shelf_image *image, pfm_error *err)
{
    const size_t size = size_of(image);
    forget_old(shelf);
    while (shelf->held + size > shelf->most && drop_one(shelf))
        continue;
    if (shelf->held + size > shelf->most)
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "the image has %zu bytes and does not fit, beside those that are being used, in the %zu bytes "
                             "that are kept (--keep)",
                             image->bytes.size, shelf->most);
    const pfm_status status = pfm_array_reserve(&shelf->images, &shelf->capacity, shelf->count + 1, sizeof *shelf->images, err);
    if (status != PFM_OK)
        return status;
    shelf->images[shelf->count++] = image;
    shelf->held += size;
    image->users = 1;
    image->used = pfm_process_clock();
    return PFM_OK;
}

pfm_status pfm_shelf_put(pfm_shelf *shelf, pfm_buffer *bytes, const pfm_image *shown, const pfm_image_applied *applied,
                         pfm_shelf_image **out, pfm_error *err)
{
    pfm_shelf_image *image = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(1, sizeof *image, &image, err));
    *image = (pfm_shelf_image){.bytes = *bytes, .applied = *applied, .width = shown->width, .height = shown->height};
    *bytes = (pfm_buffer){0};
    PFM_TRY(hash_salted(&shelf->salt, &image->bytes, image->hash, err));
    PFM_TRY(pfm_chance_draw(image->id, sizeof image->id - 1, err));
    (void)pthread_mutex_lock(&shelf->lock);
    status = place(shelf, image, err);
    (void)pthread_mutex_unlock(&shelf->lock);
    if (status == PFM_OK)
        *out = image;
done:
    if (status != PFM_OK && image != NULL) {
        pfm_buffer_free(&image->bytes);
        free(image);
    }
    pfm_buffer_free(bytes);
    return status;
}

static pfm_shelf_image *use(pfm_shelf *shelf, const char *id, const char *hash)
{
    pfm_shelf_image *found = NULL;
    (void)pthread_mutex_lock(&shelf->lock);
    forget_old(shelf);
    for (size_t i = 0; found == NULL && i < shelf->count; i++)
        if (strcmp(id != NULL ? shelf->images[i]->id : shelf->images[i]->hash, id != NULL ? id : hash) == 0)
            found = shelf->images[i];
    if (found != NULL) {
        found->users++;
        found->used = pfm_process_clock();
    }
    (void)pthread_mutex_unlock(&shelf->lock);
    return found;
}

pfm_shelf_image *pfm_shelf_use(pfm_shelf *shelf, const char *id) { return use(shelf, id, NULL); }

pfm_shelf_image *pfm_shelf_use_hash(pfm_shelf *shelf, const char *hash) { return use(shelf, NULL, hash); }

void pfm_shelf_give_back(pfm_shelf *shelf, pfm_shelf_image *image)
{
    if (image == NULL)
        return;
    (void)pthread_mutex_lock(&shelf->lock);
    image->users--;
    image->used = pfm_process_clock();
    if (image->gone && image->users == 0)
        destroy(shelf, image);
    (void)pthread_mutex_unlock(&shelf->lock);
}

void pfm_shelf_forget(pfm_shelf *shelf, const char *id)
{
    (void)pthread_mutex_lock(&shelf->lock);
    for (size_t i = shelf->count; i > 0; i--)
        if (strcmp(shelf->images[i - 1]->id, id) == 0)
            take_out(shelf, i - 1);
    (void)pthread_mutex_unlock(&shelf->lock);
}

size_t pfm_shelf_count(pfm_shelf *shelf, size_t *bytes)
{
    (void)pthread_mutex_lock(&shelf->lock);
    forget_old(shelf);
    const size_t count = shelf->count;
    *bytes = shelf->held;
    (void)pthread_mutex_unlock(&shelf->lock);
    return count;
}
