#include "infer/engine_store.h"

#include "base/memory.h"
#include "base/try.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- runs ---- */

void pfm_engine_store_start(pfm_engine_store *store, int32_t rows)
{
    *store = (pfm_engine_store){.rows = rows};
    store->list.before = store->list.behind = &store->list;
}

static void link_behind(pfm_engine_run *before, pfm_engine_run *run)
{
    run->before = before;
    run->behind = before->behind;
    before->behind->before = run;
    before->behind = run;
}

/* The first gap that is long enough. */
static bool take(pfm_engine_store *store, int32_t count, pfm_engine_run *run)
{
    pfm_engine_run *before = &store->list;
    for (;;) {
        const int32_t begin = before == &store->list ? 0 : before->begin + before->count,
                      end = before->behind == &store->list ? store->rows : before->behind->begin;
        if (end - begin >= count) {
            run->begin = begin;
            run->count = count;
            link_behind(before, run);
            store->taken += (size_t)count;
            return true;
        }
        before = before->behind;
        if (before == &store->list)
            return false;
    }
}

static void give_back(pfm_engine_store *store, pfm_engine_run *run)
{
    run->before->behind = run->behind;
    run->behind->before = run->before;
    run->before = run->behind = NULL;
    store->taken -= (size_t)run->count;
}

/* ---- the tree ---- */

static void make_ranges(pfm_engine_node *node)
{
    pfm_engine_ranges *r = &node->ranges;
    const int32_t begin = node->run.begin, end = begin + node->run.count;
    *r = node->parent->ranges;
    if (r->count > 0 && r->end[r->count - 1] == begin) {
        r->end[r->count - 1] = end;
        return;
    }
    r->begin[r->count] = begin;
    r->end[r->count++] = end;
}

static void adopt(pfm_engine_node *parent, pfm_engine_node *node)
{
    node->parent = parent;
    node->next = parent->children;
    parent->children = node;
}

static void disown(pfm_engine_node *node)
{
    pfm_engine_node **at = &node->parent->children;
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
}

/* A leaf that nobody uses. */
static void drop(pfm_engine_store *store, pfm_engine_node *node)
{
    assert(node != &store->root);
    disown(node);
    give_back(store, &node->run);
    free(node->digests);
    free(node);
}

/* The first `blocks` of a node become one of their own, above it. */
static pfm_status split(pfm_engine_node *node, size_t blocks, pfm_engine_node **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_engine_node *upper = NULL;
    const int32_t tokens = (int32_t)blocks * PFM_ENGINE_BLOCK, left = node->run.count - tokens;
    PFM_TRY(pfm_allocate(1, sizeof *upper, &upper, err));
    PFM_TRY(pfm_allocate(blocks, sizeof *upper->digests, &upper->digests, err));
    memcpy(upper->digests, node->digests, blocks * sizeof *upper->digests);
    memmove(node->digests, node->digests + blocks, (size_t)left / PFM_ENGINE_BLOCK * sizeof *node->digests);
    upper->run = (pfm_engine_run){.begin = node->run.begin, .count = tokens, .node = upper};
    upper->first = node->first;
    upper->filled = node->filled < tokens ? node->filled : tokens;
    upper->used = node->used;
    link_behind(node->run.before, &upper->run);
    disown(node);
    adopt(node->parent, upper);
    make_ranges(upper);
    node->run.begin += tokens;
    node->run.count = left;
    node->first += tokens;
    node->filled -= upper->filled;
    adopt(upper, node);
    *out = upper;
    upper = NULL;
done:
    free(upper);
    return status;
}

static size_t equal_blocks(const pfm_engine_node *node, const pfm_hash_hex *digests, size_t blocks)
{
    const size_t most = (size_t)node->run.count / PFM_ENGINE_BLOCK;
    size_t same = 0;
    while (same < most && same < blocks && memcmp(node->digests[same], digests[same], sizeof *digests) == 0)
        same++;
    return same;
}

/* *out = where the longest beginning ends that is there, and *blocks it takes. */
static pfm_status match(pfm_engine_store *store, const pfm_hash_hex *digests, size_t count, pfm_engine_node **out,
                        size_t *blocks, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_engine_node *node = &store->root;
    size_t at = 0, same = 0;
    while (at < count) {
        pfm_engine_node *child = node->children;
        while (child != NULL && (same = equal_blocks(child, digests + at, count - at)) == 0)
            child = child->next;
        if (child == NULL)
            break;
        at += same;
        const bool whole = same == (size_t)child->run.count / PFM_ENGINE_BLOCK;
        if (!whole)
            PFM_TRY(split(child, same, &child, err));
        node = child;
        if (!whole)
            break;
    }
    *out = node;
    *blocks = at;
done:
    return status;
}

static bool evict_one(pfm_engine_store *store)
{
    pfm_engine_node *oldest = NULL;
    for (pfm_engine_run *run = store->list.behind; run != &store->list; run = run->behind) {
        pfm_engine_node *node = run->node;
        /* NOLINTNEXTLINE: what was freed has left the list, which the analyser does not see */
        if (node != NULL && node->users == 0 && node->children == NULL && (oldest == NULL || node->used < oldest->used))
            oldest = node;
    }
    if (oldest != NULL)
        drop(store, oldest);
    return oldest != NULL;
}

void pfm_engine_store_clear(pfm_engine_store *store)
{
    while (evict_one(store))
        ;
}

pfm_engine_node *pfm_engine_store_unfilled(pfm_engine_node *leaf)
{
    pfm_engine_node *first = NULL;
    for (pfm_engine_node *node = leaf; node->parent != NULL; node = node->parent)
        first = node->filled < node->run.count ? node : first;
    return first;
}

/* What was begun and is wanted by nobody, from a leaf upwards: what of it is there is kept, the rest goes. */
static void trim(pfm_engine_store *store, pfm_engine_node *node)
{
    while (node->parent != NULL && node->users == 0 && node->children == NULL && node->filled < node->run.count) {
        pfm_engine_node *parent = node->parent;
        if (node->filled > 0) {
            store->taken -= (size_t)(node->run.count - node->filled);
            node->run.count = node->filled;
            make_ranges(node);
            return;
        }
        drop(store, node);
        node = parent;
    }
}

static void let_go(pfm_engine_store *store, pfm_engine_node *leaf)
{
    leaf->users--;
    store->clock++;
    for (pfm_engine_node *node = leaf; node->parent != NULL; node = node->parent)
        node->used = store->clock;
    trim(store, leaf);
}

void pfm_engine_store_leave(pfm_engine_store *store, pfm_engine_place *place)
{
    if (place->leaf == NULL)
        return;
    give_back(store, &place->own);
    let_go(store, place->leaf);
    place->leaf = NULL;
}

/* ---- places ---- */

/* Rows for a new run of the tree and for the own part behind it, side by side where there is such a gap. */
static bool take_both(pfm_engine_store *store, int32_t shared, int32_t own, pfm_engine_run *node, pfm_engine_run *rest)
{
    if (shared == 0)
        return take(store, own, rest);
    if (take(store, shared + own, node)) {
        node->count = shared;
        *rest = (pfm_engine_run){.begin = node->begin + shared, .count = own};
        link_behind(node, rest);
        return true;
    }
    if (!take(store, shared, node))
        return false;
    if (take(store, own, rest))
        return true;
    give_back(store, node);
    return false;
}

/* Rows that would be free if all left that nobody uses. */
static int32_t rows_to_be_had(pfm_engine_store *store)
{
    int32_t kept = 0;
    store->marks++;
    for (pfm_engine_run *run = store->list.behind; run != &store->list; run = run->behind) {
        kept += run->node == NULL ? run->count : 0;
        /* NOLINTNEXTLINE: the same */
        for (pfm_engine_node *node = run->node; node != NULL && run->node->users > 0 && node->parent != NULL;
             node = node->parent) {
            kept += node->marked != store->marks ? node->run.count : 0;
            node->marked = store->marks;
        }
    }
    return store->rows - kept;
}

/* Behind a matched node that is held; what nobody uses leaves where that can make room. */
static bool make_room(pfm_engine_store *store, int32_t shared, int32_t own, pfm_engine_run *node, pfm_engine_run *rest)
{
    if (rows_to_be_had(store) < shared + own)
        return false;
    while (!take_both(store, shared, own, node, rest)) {
        if (!evict_one(store))
            return false;
    }
    return true;
}

/* One try: behind what is found of the prompt. */
static pfm_status place_behind(pfm_engine_store *store, const pfm_hash_hex *digests, size_t blocks, int32_t total,
                               pfm_engine_place *out, bool *placed, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_engine_node *base = NULL, *made = NULL;
    size_t found = 0;
    *placed = false;
    PFM_TRY(match(store, digests, blocks, &base, &found, err));
    const bool grows = found < blocks && base->ranges.count < PFM_MAX_ANCESTORS;
    const size_t more = grows ? blocks - found : 0;
    const int32_t shared = (int32_t)more * PFM_ENGINE_BLOCK, own = total - (int32_t)(found + more) * PFM_ENGINE_BLOCK;
    if (grows) {
        PFM_TRY(pfm_allocate(1, sizeof *made, &made, err));
        PFM_TRY(pfm_allocate(more, sizeof *made->digests, &made->digests, err));
        memcpy(made->digests, digests + found, more * sizeof *made->digests);
    }
    *out = (pfm_engine_place){.found = (int32_t)found * PFM_ENGINE_BLOCK, .first = total - own};
    base->users++; /* so that it stays */
    *placed = make_room(store, shared, own, made != NULL ? &made->run : NULL, &out->own);
    if (!*placed || !grows) {
        out->leaf = base;
        if (!*placed)
            let_go(store, base);
        goto done;
    }
    made->run.node = made;
    made->first = out->found;
    adopt(base, made);
    make_ranges(made);
    base->users--;
    made->users = 1;
    out->leaf = made;
    made = NULL;
done:
    if (made != NULL)
        free(made->digests);
    free(made);
    return status;
}

pfm_status pfm_engine_store_place(pfm_engine_store *store, const pfm_hash_hex *digests, size_t blocks, int32_t total,
                                  bool alone, pfm_engine_place *out, bool *placed, pfm_error *err)
{
    pfm_status status = place_behind(store, digests, blocks, total, out, placed, err);
    if (status == PFM_OK && !*placed && alone) { /* what is found lies in the way */
        pfm_engine_store_clear(store);
        status = place_behind(store, digests, blocks, total, out, placed, err);
    }
    if (status == PFM_OK && !*placed)
        out->leaf = NULL;
    return status;
}
