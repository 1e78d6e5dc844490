/* Pictures of one split that are nearly those of another. */
#include "data/dataset_audit.h"

#include "base/context.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* seen [image_count] = the files that a split shows. */
static pfm_status list_shown(const audit *state, size_t s, bool **seen, pfm_error *err)
{
    pfm_status status = pfm_allocate(state->image_count, sizeof **seen, seen, err);
    for (size_t i = 0; status == PFM_OK && i < state->splits[s]->image_count; i++)
        (*seen)[state->image_of[s][i]] = true;
    return status;
}

static bool same_bytes(const audit_image *a, const audit_image *b) { return a == b || strcmp(a->hash, b->hash) == 0; }

/* The picture of split a that is most like picture b; NULL where none is nearly the same. One with its bytes is none of these:
 * it is counted elsewhere. */
static const audit_image *find_nearest(const audit *state, const bool *in_a, const audit_image *b, double *likeness)
{
    const audit_image *nearest = NULL;
    *likeness = PFM_NEAR_LEAST;
    for (size_t i = 0; i < state->image_count; i++) {
        const audit_image *a = &state->images[i];
        if (!in_a[i] || a->near == NULL)
            continue;
        if (same_bytes(a, b) && a->image->frame == b->image->frame)
            return NULL;
        if (!pfm_near_may_be(a->near, b->near))
            continue;
        const double own = pfm_near_likeness(a->near, b->near);
        if (own >= *likeness) {
            *likeness = own;
            nearest = a;
        }
    }
    return nearest;
}

/* What is sought at once, by all threads: pictures of split b, and what is found for each. */
enum { AT_ONCE = 256 };
typedef struct search {
    const audit *state;
    const bool *in_a;
    const audit_image *sought[AT_ONCE], *nearest[AT_ONCE];
    double likeness[AT_ONCE];
    int count;
} search;

static void seek(void *user, int item, int thread)
{
    (void)thread;
    search *s = user;
    s->nearest[item] = find_nearest(s->state, s->in_a, s->sought[item], &s->likeness[item]);
}

static pfm_status list_found(const search *s, json_t *list, pfm_error *err)
{
    for (int i = 0; i < s->count; i++) {
        if (s->nearest[i] == NULL)
            continue;
        json_t *pair = json_pack("{s:s, s:s, s:f}", "a", s->nearest[i]->image->name, "b", s->sought[i]->image->name, "likeness",
                                 s->likeness[i]);
        if (json_array_append_new(list, pair) != 0)
            return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    }
    return PFM_OK;
}

pfm_status pfm_audit_add_near(audit *state, const pfm_context *context, size_t a, size_t b, json_t *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool *in_a = NULL, *in_b = NULL;
    json_t *list = json_array();
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the report");
    PFM_TRY(list_shown(state, a, &in_a, err));
    PFM_TRY(list_shown(state, b, &in_b, err));
    search s = {.state = state, .in_a = in_a};
    for (size_t i = 0; i < state->image_count;) {
        for (s.count = 0; i < state->image_count && s.count < AT_ONCE; i++)
            if (in_b[i] && state->images[i].near != NULL)
                s.sought[s.count++] = &state->images[i];
        if (pfm_interrupted(context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped while images were compared");
        pfm_threads_run(context->threads, s.count, seek, &s);
        PFM_TRY(list_found(&s, list, err));
    }
    const size_t found = json_array_size(list);
    state->problems += found > 0;
    PFM_TRY(pfm_json_take(entry, "near", json_integer((json_int_t)found), err));
    status = pfm_json_take(entry, "near_images", list, err);
    list = NULL;
done:
    json_decref(list);
    free(in_a);
    free(in_b);
    return status;
}
