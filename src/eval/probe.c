#include "eval/probe.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/try.h"
#include "eval/text_store.h"

#include <stdlib.h>
#include <string.h>

enum { SWAP_STREAM = 0x73776170, NOISE_TAG = 0x6e6f6973, GREY = 128 };

static const char *const names[] = {"none", "blank", "noise", "swap", "swap-any"};

pfm_status pfm_probe_parse(const char *name, pfm_probe *out, pfm_error *err)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (name == NULL || strcmp(name, names[i]) == 0) {
            *out = (pfm_probe)i;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_USAGE, "there is no probe '%s'; there are none, blank, noise, swap and swap-any", name);
}

const char *pfm_probe_name(pfm_probe probe) { return names[probe]; }

void pfm_probe_make_blank(pfm_image *image) { memset(image->rgb, GREY, (size_t)image->width * (size_t)image->height * 3); }

void pfm_probe_make_noise(pfm_image *image, uint64_t seed, uint64_t index)
{
    size_t size = (size_t)image->width * (size_t)image->height * 3;
    for (size_t done = 0; done < size; done += 16) {
        size_t block = done / 16;
        uint32_t counter[4] = {(uint32_t)block, (uint32_t)index, (uint32_t)(index >> 32), NOISE_TAG}, words[4];
        pfm_philox(seed, counter, words);
        for (size_t i = 0; i < 16 && done + i < size; i++)
            image->rgb[done + i] = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
    }
}

/* Replaces each member by the next one of the shuffled ring: every member is used once, none stands in for itself. */
static void rotate(size_t *members, size_t count, pfm_random *random, size_t *replacement)
{
    pfm_random_shuffle(random, members, count);
    for (size_t i = 0; i < count; i++)
        replacement[members[i]] = members[(i + 1) % count];
}

static size_t any_other(size_t image, size_t count, pfm_random *random)
{
    size_t other = (size_t)pfm_random_below(random, count - 1);
    return other + (other >= image);
}

typedef struct member {
    size_t group, image; /* group SIZE_MAX: none */
} member;

static int compare_members(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int order = (x->group > y->group) - (x->group < y->group);
    return order != 0 ? order : (x->image > y->image) - (x->image < y->image);
}

static pfm_status list_members(const char *const *groups, size_t count, member *members, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_intern known = {0};
    for (size_t i = 0; i < count; i++) {
        members[i] = (member){groups == NULL ? 0 : SIZE_MAX, i};
        if (groups != NULL && groups[i] != NULL)
            PFM_TRY(pfm_intern_add(&known, groups[i], strlen(groups[i]), &members[i].group, err));
    }
    qsort(members, count, sizeof *members, compare_members);
done:
    pfm_intern_free(&known);
    return status;
}

pfm_status pfm_probe_swap(const char *const *groups, size_t count, uint64_t seed, size_t *replacement, size_t *matched,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    member *members = NULL;
    size_t *ring = NULL, in_groups = 0;
    pfm_random random = pfm_random_start(seed, SWAP_STREAM);
    if (count < 2)
        PFM_FAIL(PFM_ERROR_USAGE, "a swap needs at least two images; the data has %zu", count);
    PFM_TRY(pfm_allocate(count, sizeof *members, &members, err));
    PFM_TRY(pfm_allocate(count, sizeof *ring, &ring, err));
    PFM_TRY(list_members(groups, count, members, err));
    for (size_t begin = 0, end = 0; begin < count; begin = end) {
        for (end = begin; end < count && members[end].group == members[begin].group; end++)
            ring[end - begin] = members[end].image;
        if (members[begin].group == SIZE_MAX || end - begin == 1) {
            for (size_t i = begin; i < end; i++)
                replacement[members[i].image] = any_other(members[i].image, count, &random);
        } else {
            rotate(ring, end - begin, &random, replacement);
            in_groups += end - begin;
        }
    }
    if (matched != NULL)
        *matched = groups == NULL ? 0 : in_groups;
done:
    free(members);
    free(ring);
    return status;
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static const char *body_part(const json_t *row)
{
    static const char *const keys[] = {"location", "image_organ", "organ", "body_part", "region"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (text_of(row, keys[i]) != NULL)
            return text_of(row, keys[i]);
    }
    return NULL;
}

/* groups[image] = "modality / part" of the image's first row, NULL where it has neither. */
static pfm_status group_images(const pfm_dataset *dataset, char **groups, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool *seen = NULL;
    PFM_TRY(pfm_allocate(dataset->image_count, sizeof *seen, &seen, err));
    for (size_t i = 0; i < dataset->count; i++) {
        const pfm_row *row = &dataset->rows[i];
        const char *modality = text_of(row->extra, "modality"), *part = body_part(row->extra);
        for (size_t k = 0; k < row->image_count; k++) {
            int image = row->images[k].index;
            if (!seen[image] && (modality != NULL || part != NULL))
                PFM_TRY(pfm_string_format(&groups[image], err, "%s / %s", modality == NULL ? "" : modality,
                                          part == NULL ? "" : part));
            seen[image] = true;
        }
    }
done:
    free(seen);
    return status;
}

pfm_status pfm_probe_swap_dataset(const pfm_dataset *dataset, pfm_probe probe, uint64_t seed, size_t *replacement,
                                  size_t *matched, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **groups = NULL;
    if (probe == PFM_PROBE_SWAP_ANY)
        return pfm_probe_swap(NULL, dataset->image_count, seed, replacement, matched, err);
    PFM_TRY(pfm_allocate(dataset->image_count, sizeof *groups, &groups, err));
    PFM_TRY(group_images(dataset, groups, err));
    PFM_TRY(pfm_probe_swap((const char *const *)groups, dataset->image_count, seed, replacement, matched, err));
done:
    for (size_t i = 0; groups != NULL && i < dataset->image_count; i++)
        free(groups[i]);
    free(groups);
    return status;
}
