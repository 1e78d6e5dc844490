/* Places for thousands of prompts at random, with those that end and those that are given up half read: rows never overlap,
 * what is filled holds what its digests say, and nothing is lost. */
#include "test.h"

#include "infer/engine_store.h"

enum { ROWS = 700, PROMPTS = 24, MOST_BLOCKS = 9, ROUNDS = 20000, LETTERS = 2 };

typedef struct prompt {
    bool placed;
    pfm_engine_place place;
    size_t blocks;
    pfm_hash_hex digests[MOST_BLOCKS];
    int32_t total;
} prompt;

static pfm_engine_store store;
static char held[ROWS][sizeof(pfm_hash_hex)]; /* by the digest of what it was filled with */
static uint32_t state;

static uint32_t below(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

/* Digests of beginnings of few letters, so that many share: as hashes do, each tells all before it. */
static void draw(prompt *p)
{
    char text[MOST_BLOCKS + 1] = {0};
    *p = (prompt){.blocks = below(MOST_BLOCKS + 1)};
    for (size_t b = 0; b < p->blocks; b++) {
        text[b] = (char)('a' + below(LETTERS));
        (void)snprintf(p->digests[b], sizeof p->digests[b], "%s", text);
    }
    p->total = (int32_t)p->blocks * PFM_ENGINE_BLOCK + 3 + (int32_t)below(60);
}

static void check_runs(const prompt *prompts)
{
    int32_t end = 0;
    size_t taken = 0;
    for (const pfm_engine_run *run = store.list.behind; run != &store.list; run = run->behind) {
        assert_true(run->begin >= end && run->count > 0 && run->behind->before == run);
        end = run->begin + run->count;
        taken += (size_t)run->count;
    }
    assert_true(end <= ROWS);
    assert_int_equal(taken, store.taken);
    for (size_t i = 0; i < PROMPTS; i++) {
        if (!prompts[i].placed)
            continue;
        const pfm_engine_ranges *r = &prompts[i].place.leaf->ranges;
        int32_t tokens = 0;
        for (int32_t k = 0; k < r->count; k++)
            tokens += r->end[k] - r->begin[k];
        assert_int_equal(tokens, prompts[i].place.first);
        assert_int_equal(tokens + prompts[i].place.own.count, prompts[i].total);
    }
}

/* Fills some blocks for one prompt, as a step does. */
static void fill(const prompt *p, size_t most)
{
    pfm_engine_node *node;
    while (most-- > 0 && (node = pfm_engine_store_unfilled(p->place.leaf)) != NULL) {
        const int32_t first = node->first + node->filled;
        for (int32_t t = 0; t < PFM_ENGINE_BLOCK; t++)
            (void)snprintf(held[node->run.begin + node->filled + t], sizeof *held, "%s", p->digests[first / PFM_ENGINE_BLOCK]);
        node->filled += PFM_ENGINE_BLOCK;
    }
}

/* What a prompt sees is its own beginning, in order. */
static void check_held(const prompt *p)
{
    const pfm_engine_ranges *r = &p->place.leaf->ranges;
    int32_t position = 0;
    assert_null(pfm_engine_store_unfilled(p->place.leaf));
    for (int32_t k = 0; k < r->count; k++) {
        for (int32_t row = r->begin[k]; row < r->end[k]; row++, position++)
            assert_string_equal(held[row], p->digests[position / PFM_ENGINE_BLOCK]);
    }
}

static void leave(prompt *p)
{
    pfm_engine_store_leave(&store, &p->place);
    p->placed = false;
}

static void prompts_come_and_go(void **unused)
{
    (void)unused;
    static prompt prompts[PROMPTS];
    pfm_error err = PFM_ERROR_INIT;
    size_t found = 0, refused = 0, running = 0;
    pfm_engine_store_start(&store, ROWS);
    for (int round = 0; round < ROUNDS; round++) {
        prompt *p = &prompts[below(PROMPTS)];
        if (p->placed) {
            fill(p, below(4) == 0 ? below(4) : MOST_BLOCKS);
            if (pfm_engine_store_unfilled(p->place.leaf) == NULL)
                check_held(p);
            if (below(3) == 0) {
                leave(p);
                running--;
            }
        } else {
            draw(p);
            assert_ok(
                pfm_engine_store_place(&store, p->digests, p->blocks, p->total, running == 0, &p->place, &p->placed, &err));
            assert_true(p->placed || running > 0); /* alone there is always room */
            found += p->placed ? (size_t)p->place.found : 0;
            refused += !p->placed;
            running += p->placed;
        }
        check_runs(prompts);
    }
    assert_true(found > ROUNDS && refused > ROUNDS / 100);
    for (size_t i = 0; i < PROMPTS; i++) {
        if (prompts[i].placed)
            leave(&prompts[i]);
    }
    pfm_engine_store_clear(&store);
    assert_int_equal(store.taken, 0);
    assert_null(store.root.children);
}

static bool placed_with(const pfm_hash_hex *digests, size_t blocks, int32_t total, bool alone, pfm_engine_place *place)
{
    pfm_error err = PFM_ERROR_INIT;
    bool placed = false;
    assert_ok(pfm_engine_store_place(&store, digests, blocks, total, alone, place, &placed, &err));
    return placed;
}

/* Of what nobody uses the oldest leaves first, and only where that helps. */
static void the_least_recently_used_leaves_first(void **unused)
{
    (void)unused;
    pfm_hash_hex names[4] = {"a", "b", "c", "d"};
    pfm_engine_place place[3], large;
    pfm_engine_store_start(&store, 3 * 32);
    for (int i = 0; i < 3; i++) {
        assert_true(placed_with(&names[i], 1, 32, false, &place[i]));
        place[i].leaf->filled = 16;
    }
    for (int i = 0; i < 3; i++)
        pfm_engine_store_leave(&store, &place[i]);
    assert_true(placed_with(&names[0], 1, 20, false, &place[0])); /* a is used again */
    assert_int_equal(place[0].found, 16);
    assert_false(placed_with(&names[3], 1, 96, false, &large)); /* not while a is held: nothing leaves in vain */
    assert_int_equal(store.taken, 3 * 16 + 4);
    pfm_engine_store_leave(&store, &place[0]);
    assert_true(placed_with(&names[3], 1, 60, false, &large)); /* b goes, and what stands beside it is enough or c goes too */
    pfm_engine_store_leave(&store, &large);
    assert_true(placed_with(&names[0], 1, 20, false, &place[0]));
    assert_int_equal(place[0].found, 16);
    pfm_engine_store_leave(&store, &place[0]);
    pfm_engine_store_clear(&store);
    assert_int_equal(store.taken, 0);
}

static void what_is_found_may_lie_in_the_way(void **unused)
{
    (void)unused;
    pfm_hash_hex names[2] = {"a", "b"};
    pfm_engine_place place[2], large;
    pfm_engine_store_start(&store, 3 * 32);
    for (int i = 0; i < 2; i++) {
        assert_true(placed_with(&names[i], 1, 32, false, &place[i]));
        place[i].leaf->filled = 16;
    }
    for (int i = 0; i < 2; i++)
        pfm_engine_store_leave(&store, &place[i]);
    assert_false(placed_with(&names[1], 1, 96, false, &large));
    assert_true(placed_with(&names[1], 1, 96, true, &large)); /* alone it leaves too */
    assert_int_equal(large.found, 0);
    pfm_engine_store_leave(&store, &large);
    pfm_engine_store_clear(&store);
    assert_int_equal(store.taken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_come_and_go),
        cmocka_unit_test(the_least_recently_used_leaves_first),
        cmocka_unit_test(what_is_found_may_lie_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
