#include "serve/catalogue.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever serves a home folder is not kept waiting for ever. */
enum { MOST_DEPTH = 6, MOST_ENTRIES = 50000, MOST_LISTED = 2000, HEAD_BYTES = 64 << 10 };
static const double fresh_seconds = 1;

typedef struct root {
    char *path;
    char *prefix; /* "" or "NAME:" */
} root;

typedef struct roots {
    root *items;
    size_t count, capacity;
} roots;

struct pfm_catalogue {
    roots roots[PFM_LISTED_KINDS];
    pthread_mutex_t lock; /* of what follows */
    pfm_listing known[PFM_LISTED_KINDS];
    double seen[PFM_LISTED_KINDS]; /* when; negative: never */
};

void pfm_listing_free(pfm_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        free(listing->items[i].name);
        free(listing->items[i].path);
    }
    free(listing->items);
    *listing = (pfm_listing){0};
}

static int compare_listed(const void *a, const void *b)
{
    return strcmp(((const pfm_listed *)a)->name, ((const pfm_listed *)b)->name);
}

const pfm_listed *pfm_listing_find(const pfm_listing *listing, const char *name)
{
    const pfm_listed wanted = {.name = (char *)(uintptr_t)name};
    return listing->count == 0 ? NULL : bsearch(&wanted, listing->items, listing->count, sizeof wanted, compare_listed);
}

/* Takes neither text. */
static pfm_status add_listed(pfm_listing *listing, const char *name, const char *path, int64_t size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_listed item = {.size = size};
    PFM_TRY(pfm_array_reserve(&listing->items, &listing->capacity, listing->count + 1, sizeof item, err));
    PFM_TRY(pfm_string_copy(name, &item.name, err));
    PFM_TRY(pfm_string_copy(path, &item.path, err));
    listing->items[listing->count++] = item;
    item = (pfm_listed){0};
done:
    free(item.name);
    return status;
}

/* ---- looking ---- */

typedef struct walk {
    pfm_listed_kind kind;
    pfm_listing *out;
    size_t entries;
} walk;

static bool is_kind(const char *path, mode_t kind, int64_t *size)
{
    struct stat facts;
    if (lstat(path, &facts) != 0 || (facts.st_mode & S_IFMT) != kind)
        return false;
    if (size != NULL)
        *size = facts.st_size;
    return true;
}

static bool has_file(const char *folder, const char *name)
{
    char *path = NULL;
    const bool has = pfm_path_join(folder, name, &path, NULL) == PFM_OK && is_kind(path, S_IFREG, NULL);
    free(path);
    return has;
}

static bool is_run(const char *folder) { return has_file(folder, "recipe.yaml") && has_file(folder, "log.jsonl"); }

/* A row of JSON at the beginning of what may be cut off. */
static bool begins_with_prediction(const char *text, size_t size)
{
    size_t at = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    at += strspn(text + at, " \t\r\n");
    if (text[at] == '[')
        at += 1 + strspn(text + at + 1, " \t\r\n");
    json_t *row = text[at] == '{' ? json_loadb(text + at, size - at, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    const bool is = json_object_get(row, "prediction") != NULL &&
                    (json_object_get(row, "answer") != NULL || json_object_get(row, "reference") != NULL ||
                     json_object_get(row, "references") != NULL);
    json_decref(row);
    return is;
}

static bool holds_predictions(const char *path)
{
    const char *ending = strrchr(path, '.');
    if (ending == NULL || (strcmp(ending, ".jsonl") != 0 && strcmp(ending, ".json") != 0))
        return false;
    char *head = malloc(HEAD_BYTES + 1);
    const int fd = head != NULL ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    const ssize_t size = fd >= 0 ? read(fd, head, HEAD_BYTES) : -1;
    bool is = false;
    if (size > 0) {
        head[size] = '\0';
        is = begins_with_prediction(head, (size_t)size);
    }
    if (fd >= 0)
        close(fd);
    free(head);
    return is;
}

static pfm_status walk_folder(walk *w, const char *folder, const char *name, int depth, pfm_error *err);

/* An entry of a folder; `name` is what it is called here. */
static pfm_status visit(walk *w, const char *path, const char *name, int depth, pfm_error *err)
{
    int64_t size = 0;
    if (w->out->count >= MOST_LISTED || w->entries++ >= MOST_ENTRIES) {
        w->out->cut = true;
        return PFM_OK;
    }
    if (is_kind(path, S_IFDIR, NULL))
        return walk_folder(w, path, name, depth + 1, err);
    if (w->kind == PFM_LISTED_PREDICTIONS && is_kind(path, S_IFREG, &size) && holds_predictions(path))
        return add_listed(w->out, name, path, size, err);
    return PFM_OK;
}

/* Names that are no UTF-8 could not be told. */
static bool is_text(const char *name)
{
    json_t *text = json_string(name);
    json_decref(text);
    return text != NULL;
}

/* `name`: of the folder, "" for a root alone. A folder that cannot be read has nothing. A run has no runs below. */
static pfm_status walk_folder(walk *w, const char *folder, const char *name, int depth, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **entries = NULL, *path = NULL, *called = NULL;
    size_t count = 0;
    if (w->kind == PFM_LISTED_RUNS && is_run(folder))
        return add_listed(w->out, name[0] != '\0' ? name : pfm_path_name(folder), folder, 0, err);
    w->out->cut |= depth > MOST_DEPTH;
    if (depth > MOST_DEPTH || pfm_folder_list(folder, &entries, &count, NULL) != PFM_OK)
        return PFM_OK;
    for (size_t i = 0; i < count; i++) {
        if (entries[i][0] == '.' || !is_text(entries[i]))
            continue;
        const size_t length = strlen(name);
        const char *between = length > 0 && name[length - 1] != ':' ? ":" : "";
        PFM_TRY(pfm_path_join(folder, entries[i], &path, err));
        PFM_TRY(pfm_string_format(&called, err, "%s%s%s", name, between, entries[i]));
        PFM_TRY(visit(w, path, called, depth, err));
        free(path);
        free(called);
        path = called = NULL;
    }
done:
    free(path);
    free(called);
    for (size_t i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return status;
}

/* Names that two things would have: the later one is "NAME~2". */
static pfm_status name_apart(pfm_listing *listing, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (listing->count > 0)
        qsort(listing->items, listing->count, sizeof *listing->items, compare_listed);
    for (size_t i = 1, same = 1; i < listing->count; i++) {
        char *other = NULL;
        same = strcmp(listing->items[i].name, listing->items[i - same].name) == 0 ? same + 1 : 1;
        if (same == 1)
            continue;
        PFM_TRY(pfm_string_format(&other, err, "%s~%zu", listing->items[i].name, same));
        free(listing->items[i].name);
        listing->items[i].name = other;
    }
    if (listing->count > 0)
        qsort(listing->items, listing->count, sizeof *listing->items, compare_listed);
done:
    return status;
}

static pfm_status look(const roots *from, pfm_listed_kind kind, pfm_listing *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    walk w = {.kind = kind, .out = out};
    for (size_t i = 0; i < from->count; i++) {
        const root *r = &from->items[i];
        if (kind == PFM_LISTED_RUNS && is_run(r->path))
            PFM_TRY(add_listed(out, pfm_path_name(r->path), r->path, 0, err));
        else
            PFM_TRY(walk_folder(&w, r->path, r->prefix, 0, err));
    }
    PFM_TRY(name_apart(out, err));
done:
    return status;
}

/* ---- the folders ---- */

static bool lies_in(const char *path, const char *folder)
{
    const size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0' || strcmp(folder, "/") == 0);
}

/* A folder that is there, or lies in one that is, is added once. */
static pfm_status add_root(roots *into, const char *path, const char *option, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *real = realpath(path, NULL);
    if (real == NULL || !pfm_path_is_folder(real))
        PFM_FAIL(PFM_ERROR_USAGE, "%s is no folder; %s wants one that is there", path, option);
    for (size_t i = 0; i < into->count; i++)
        if (lies_in(real, into->items[i].path))
            goto done;
    PFM_TRY(pfm_array_reserve(&into->items, &into->capacity, into->count + 1, sizeof *into->items, err));
    into->items[into->count++] = (root){.path = real};
    real = NULL;
done:
    free(real);
    return status;
}

static pfm_status name_roots(roots *all, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < all->count; i++) {
        size_t same = 1;
        for (size_t j = 0; j < i; j++)
            same += strcmp(pfm_path_name(all->items[i].path), pfm_path_name(all->items[j].path)) == 0;
        if (all->count == 1)
            PFM_TRY(pfm_string_copy("", &all->items[i].prefix, err));
        else if (same == 1)
            PFM_TRY(pfm_string_format(&all->items[i].prefix, err, "%s:", pfm_path_name(all->items[i].path)));
        else
            PFM_TRY(pfm_string_format(&all->items[i].prefix, err, "%s~%zu:", pfm_path_name(all->items[i].path), same));
    }
done:
    return status;
}

/* The folder that a run's folder, or a recipe, lies in. */
static pfm_status add_parent(roots *into, const char *run, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *real = realpath(run, NULL);
    if (real == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s is not there", run);
    char *slash = strrchr(real, '/');
    slash[slash == real ? 1 : 0] = '\0';
    PFM_TRY(add_root(into, real, "RUN", err));
done:
    free(real);
    return status;
}

pfm_status pfm_catalogue_create(const char *run, const char *const *runs, size_t run_count, const char *const *predictions,
                                size_t prediction_count, pfm_catalogue **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_catalogue *c = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *c, &c, err));
    (void)pthread_mutex_init(&c->lock, NULL);
    roots *of_runs = &c->roots[PFM_LISTED_RUNS], *of_predictions = &c->roots[PFM_LISTED_PREDICTIONS];
    for (size_t i = 0; i < run_count; i++)
        PFM_TRY(add_root(of_runs, runs[i], "--runs", err));
    if (run_count == 0)
        PFM_TRY(add_parent(of_runs, run, err));
    for (size_t i = 0; i < prediction_count; i++)
        PFM_TRY(add_root(of_predictions, predictions[i], "--predictions", err));
    for (size_t i = 0; prediction_count == 0 && i < of_runs->count; i++)
        PFM_TRY(add_root(of_predictions, of_runs->items[i].path, "--runs", err));
    if (prediction_count == 0 && pfm_path_is_folder(run))
        PFM_TRY(add_root(of_predictions, run, "RUN", err));
    for (int kind = 0; kind < PFM_LISTED_KINDS; kind++) {
        c->seen[kind] = -1;
        PFM_TRY(name_roots(&c->roots[kind], err));
    }
    *out = c;
    c = NULL;
done:
    pfm_catalogue_free(c);
    return status;
}

void pfm_catalogue_free(pfm_catalogue *c)
{
    if (c == NULL)
        return;
    for (int kind = 0; kind < PFM_LISTED_KINDS; kind++) {
        for (size_t i = 0; i < c->roots[kind].count; i++) {
            free(c->roots[kind].items[i].path);
            free(c->roots[kind].items[i].prefix);
        }
        free(c->roots[kind].items);
        pfm_listing_free(&c->known[kind]);
    }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- asking ---- */

/* Under the lock. */
static pfm_status refresh(pfm_catalogue *c, pfm_listed_kind kind, pfm_error *err)
{
    pfm_listing now = {0};
    if (c->seen[kind] >= 0 && pfm_process_clock() - c->seen[kind] < fresh_seconds)
        return PFM_OK;
    const pfm_status status = look(&c->roots[kind], kind, &now, err);
    if (status != PFM_OK) {
        pfm_listing_free(&now);
        return status;
    }
    pfm_listing_free(&c->known[kind]);
    c->known[kind] = now;
    c->seen[kind] = pfm_process_clock();
    return PFM_OK;
}

pfm_status pfm_catalogue_list(pfm_catalogue *c, pfm_listed_kind kind, pfm_listing *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    (void)pthread_mutex_lock(&c->lock);
    PFM_TRY(refresh(c, kind, err));
    const pfm_listing *known = &c->known[kind];
    for (size_t i = 0; i < known->count; i++)
        PFM_TRY(add_listed(out, known->items[i].name, known->items[i].path, known->items[i].size, err));
    out->cut = known->cut;
done:
    (void)pthread_mutex_unlock(&c->lock);
    if (status != PFM_OK)
        pfm_listing_free(out);
    return status;
}

pfm_status pfm_catalogue_find(pfm_catalogue *c, pfm_listed_kind kind, const char *name, char **path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *path = NULL;
    (void)pthread_mutex_lock(&c->lock);
    PFM_TRY(refresh(c, kind, err));
    const pfm_listed *found = pfm_listing_find(&c->known[kind], name);
    if (found != NULL)
        PFM_TRY(pfm_string_copy(found->path, path, err));
done:
    (void)pthread_mutex_unlock(&c->lock);
    return status;
}
