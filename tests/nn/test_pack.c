/* Packing: the arrays of hand-made cases, what every token sees in drawn ones, and on the tiny model that loss and gradients
 * of packed groups are those of separate rows, dropout off and on. */
#include "models/tiny.h"

#include "base/random.h"
#include "nn/pack.h"

#include <math.h>

/* A row of up to 8 ids, ended by 0. */
static pfm_sequence row_of(const int32_t *ids, size_t answer, int32_t group, int32_t number)
{
    size_t count = 0;
    while (ids[count] != 0)
        count++;
    return (pfm_sequence){.ids = ids, .count = count, .answer = answer, .group = group, .number = number};
}

static void pack(pfm_pack *out, const pfm_sequence *rows, size_t count, pfm_pack_options options)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_pack_rows(out, rows, count, &options, &err));
}

#define ASSERT_INTS(made, ...)                                                                                                 \
    do {                                                                                                                       \
        const int32_t wanted[] = {__VA_ARGS__};                                                                                \
        assert_memory_equal((made), wanted, sizeof wanted);                                                                    \
    } while (0)

static void assert_span(const pfm_attention_span *span, int q_begin, int q_end, int ancestor_begin, int ancestor_end, int root)
{
    assert_int_equal(span->q_begin, q_begin);
    assert_int_equal(span->q_end, q_end);
    assert_int_equal(span->own_begin, q_begin);
    assert_int_equal(span->own_past, 0);
    assert_int_equal(span->ancestors, ancestor_end > ancestor_begin);
    assert_int_equal(span->ancestor_begin[0], ancestor_begin);
    assert_int_equal(span->ancestor_end[0], ancestor_end);
    assert_int_equal(span->root, root);
}

static void one_row_stands_alone(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const pfm_sequence row = row_of((const int32_t[]){5, -1, 7, 8, 0}, 2, 0, 0);
    pack(&p, &row, 1, (pfm_pack_options){.share = true});
    assert_int_equal(p.tokens, 3); /* the last one is only to be predicted */
    ASSERT_INTS(p.ids, 5, -1, 7);
    ASSERT_INTS(p.positions, 0, 1, 2);
    assert_int_equal(p.answers, 2);
    ASSERT_INTS(p.index, 1, 2);
    ASSERT_INTS(p.targets, 7, 8);
    assert_int_equal(p.span_count, 1);
    assert_span(&p.spans[0], 0, 3, 0, 0, 0);
    assert_int_equal(p.root_count, 1);
    ASSERT_INTS(p.roots, 0, 1);
    assert_int_equal(p.most_keys, 3);
    pfm_pack_free(&p);
}

static void identical_rows_keep_one_token_of_their_own(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const int32_t ids[] = {5, 6, 7, 8, 0};
    const pfm_sequence rows[] = {row_of(ids, 3, 4, 0), row_of(ids, 3, 4, 1)};
    pack(&p, rows, 2, (pfm_pack_options){.share = true});
    assert_int_equal(p.tokens, 4);
    ASSERT_INTS(p.ids, 5, 6, 7, 7);
    ASSERT_INTS(p.positions, 0, 1, 2, 2);
    ASSERT_INTS(p.index, 2, 3);
    ASSERT_INTS(p.targets, 8, 8);
    ASSERT_INTS(p.answer_row, 0, 1);
    assert_int_equal(p.span_count, 3);
    assert_span(&p.spans[0], 0, 2, 0, 0, 0);
    assert_span(&p.spans[1], 2, 3, 0, 2, 0);
    assert_span(&p.spans[2], 3, 4, 0, 2, 0);
    assert_int_equal(p.root_count, 1);
    ASSERT_INTS(p.roots, 0, 3);
    assert_int_equal(p.most_keys, 3);
    assert_true(p.keys[2] != p.keys[3]);
    pfm_pack_free(&p);
}

static void a_row_may_begin_another(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const pfm_sequence rows[] = {row_of((const int32_t[]){5, 6, 7, 0}, 2, 0, 0),
                                 row_of((const int32_t[]){5, 6, 7, 8, 9, 0}, 3, 0, 1)};
    pack(&p, rows, 2, (pfm_pack_options){.share = true});
    ASSERT_INTS(p.ids, 5, 6, 6, 7, 8);
    ASSERT_INTS(p.positions, 0, 1, 1, 2, 3);
    ASSERT_INTS(p.index, 1, 3, 4);
    ASSERT_INTS(p.targets, 7, 8, 9);
    assert_int_equal(p.tokens, 5);
    assert_span(&p.spans[1], 1, 2, 0, 1, 0);
    assert_span(&p.spans[2], 2, 5, 0, 1, 0);
    assert_int_equal(p.most_keys, 4);
    pfm_pack_free(&p);
}

static void answers_may_begin_in_the_shared_run(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const pfm_sequence rows[] = {row_of((const int32_t[]){5, 6, 7, 8, 9, 0}, 1, 0, 0),
                                 row_of((const int32_t[]){5, 6, 7, 8, 4, 0}, 2, 0, 1)};
    pack(&p, rows, 2, (pfm_pack_options){.share = true});
    ASSERT_INTS(p.ids, 5, 6, 7, 8, 8);
    ASSERT_INTS(p.index, 0, 1, 2, 3, 1, 2, 4);
    ASSERT_INTS(p.targets, 6, 7, 8, 9, 7, 8, 4);
    ASSERT_INTS(p.answer_row, 0, 0, 0, 0, 1, 1, 1);
    pfm_pack_free(&p);
}

static void rows_without_a_common_token_stand_apart(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const pfm_sequence rows[] = {row_of((const int32_t[]){5, 6, 7, 0}, 2, 0, 0),
                                 row_of((const int32_t[]){4, 6, 7, 0}, 2, 0, 1)};
    pack(&p, rows, 2, (pfm_pack_options){.share = true});
    ASSERT_INTS(p.ids, 5, 6, 4, 6);
    ASSERT_INTS(p.positions, 0, 1, 0, 1);
    assert_int_equal(p.span_count, 2);
    assert_span(&p.spans[0], 0, 2, 0, 0, 0);
    assert_span(&p.spans[1], 2, 4, 0, 0, 1);
    assert_int_equal(p.root_count, 2);
    ASSERT_INTS(p.roots, 0, 1, 2);
    pfm_pack_free(&p);
}

static void groups_are_trees_of_their_own(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const int32_t a[] = {5, 6, 7, 0}, b[] = {5, 6, 8, 0};
    const pfm_sequence rows[] = {row_of(a, 2, 0, 0), row_of(b, 2, 0, 1), row_of(a, 2, 1, 2), row_of(a, 2, 2, 3),
                                 row_of(b, 2, 2, 4)};
    pack(&p, rows, 5, (pfm_pack_options){.share = true});
    ASSERT_INTS(p.ids, 5, 6, 6, 5, 6, 5, 6, 6);
    assert_int_equal(p.root_count, 3);
    ASSERT_INTS(p.roots, 0, 3, 4, 7);
    assert_span(&p.spans[3], 3, 5, 0, 0, 1);
    assert_span(&p.spans[4], 5, 6, 0, 0, 2);
    assert_span(&p.spans[6], 7, 8, 5, 6, 2);
    assert_true(p.keys[0] != p.keys[5]); /* each group draws on its own */
    pfm_pack_free(&p);
}

static pfm_sequence row_at(const void *user, size_t i) { return ((const pfm_sequence *)user)[i]; }

/* Those of one context share their beginning; all stay in their order, and show the same images. */
static void rows_of_other_contexts_share_nothing(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const int32_t a[] = {5, 6, 7, 0}, b[] = {5, 6, 8, 0}, c[] = {5, 6, 7, 9, 0};
    pfm_sequence rows[] = {row_of(a, 2, 0, 0), row_of(b, 2, 0, 1), row_of(c, 3, 0, 2), row_of(b, 2, 1, 3)};
    rows[0].context = rows[2].context = 3;
    rows[1].context = 1;
    for (int i = 0; i < 3; i++)
        rows[i].visual_end = 4;
    pack(&p, rows, 4, (pfm_pack_options){.share = true});
    ASSERT_INTS(p.ids, 5, 6, 6, 7, 5, 6, 5, 6);
    ASSERT_INTS(p.positions, 0, 1, 1, 2, 0, 1, 0, 1);
    ASSERT_INTS(p.contexts, 3, 3, 3, 3, 1, 1, 0, 0);
    ASSERT_INTS(p.roots, 0, 3, 4, 5);
    assert_int_equal(p.root_count, 3);
    assert_span(&p.spans[2], 2, 4, 0, 1, 0);
    assert_span(&p.spans[3], 4, 6, 0, 0, 1);
    ASSERT_INTS(p.image_roots, 0, 4, 5); /* the images are read by all rows of the group */
    assert_int_equal(p.image_root_count, 2);
    ASSERT_INTS(p.index, 1, 5, 3, 7);
    ASSERT_INTS(p.targets, 7, 8, 9, 8);
    ASSERT_INTS(p.answer_row, 0, 1, 2, 3);
    const pfm_token_row wanted[] = {{0, 1, 1, 2}, {4, 4, 4, 6}, {0, 1, 2, 4}, {6, 6, 6, 8}};
    assert_memory_equal(p.token_rows, wanted, sizeof wanted);
    assert_int_equal(pfm_group_tokens(3, row_at, rows, true), 6);
    assert_int_equal(pfm_group_tokens(3, row_at, rows, false), 7);
    pfm_pack_free(&p);
}

static void inference_keeps_room_for_what_comes(void **state)
{
    (void)state;
    pfm_pack p = {0};
    const pfm_sequence rows[] = {row_of((const int32_t[]){5, 6, 7, 0}, 3, 0, 0),
                                 row_of((const int32_t[]){5, 6, 8, 9, 0}, 4, 0, 1), row_of((const int32_t[]){5, 0}, 1, 1, 2)};
    pack(&p, rows, 3, (pfm_pack_options){.share = true, .inference = true, .reserve = 10});
    assert_int_equal(p.tokens, 6);
    ASSERT_INTS(p.ids, 5, 6, 7, 8, 9, 5);
    ASSERT_INTS(p.positions, 0, 1, 2, 2, 3, 0);
    ASSERT_INTS(p.key_rows, 0, 1, 2, 13, 14, 25);
    assert_int_equal(p.key_row_count, 36);
    assert_int_equal(p.answers, 3);
    ASSERT_INTS(p.index, 2, 4, 5);
    assert_int_equal(p.row_count, 3);
    const pfm_pack_row wanted[] = {{0, 2, 2, 1, 3}, {0, 2, 13, 2, 4}, {25, 25, 25, 1, 1}};
    assert_memory_equal(p.rows, wanted, sizeof wanted);
    assert_int_equal(p.spans[2].own_begin, 13);
    assert_int_equal(p.spans[2].q_begin, 3);
    pfm_pack_free(&p);
}

/* ---- drawn cases: every token of a row, wherever it lies, sees its row's tokens up to itself and nothing else ---- */

enum { DRAWN_ROWS = 12, DRAWN_LENGTH = 16 };

static void draw_rows(pfm_random *random, int32_t ids[DRAWN_ROWS][DRAWN_LENGTH], pfm_sequence *rows, bool inference)
{
    int32_t group = 0;
    for (int32_t r = 0; r < DRAWN_ROWS; r++) {
        size_t count = 2 + pfm_random_below(random, DRAWN_LENGTH - 1);
        for (size_t i = 0; i < count; i++)
            ids[r][i] = (int32_t)pfm_random_below(random, i < 8 ? 1 + i / 6 : 3); /* long common runs are likely */
        group += pfm_random_below(random, 3) == 0;
        size_t answer = inference ? count : 1 + pfm_random_below(random, count - 1);
        int32_t context = (int32_t)pfm_random_below(random, 2);
        rows[r] =
            (pfm_sequence){.ids = ids[r], .count = count, .answer = answer, .group = group, .number = r, .context = context};
    }
}

static const pfm_attention_span *span_of(const pfm_pack *p, int32_t token)
{
    for (size_t s = 0; s < p->span_count; s++)
        if (p->spans[s].q_begin <= token && token < p->spans[s].q_end)
            return &p->spans[s];
    return NULL;
}

/* The key rows that a token sees, in their order. */
static size_t visible(const pfm_pack *p, int32_t token, int32_t *rows)
{
    const pfm_attention_span *span = span_of(p, token);
    size_t count = 0;
    assert_non_null(span);
    for (int32_t i = 0; i < span->ancestors; i++)
        for (int32_t row = span->ancestor_begin[i]; row < span->ancestor_end[i]; row++)
            rows[count++] = row;
    for (int32_t row = span->own_begin; row <= span->own_begin + span->own_past + token - span->q_begin; row++)
        rows[count++] = row;
    return count;
}

/* The keys seen from a row's answers are the row itself. */
static void check_row(const pfm_pack *p, const pfm_sequence *row, size_t answer, size_t position, bool inference)
{
    int32_t seen[4 * DRAWN_LENGTH], token = p->index[answer], by_key_row[DRAWN_ROWS * (DRAWN_LENGTH + 8)] = {0};
    for (size_t t = 0; t < p->tokens; t++)
        by_key_row[inference ? p->key_rows[t] : (int32_t)t] = (int32_t)t;
    size_t count = visible(p, token, seen);
    assert_int_equal(p->positions[token], position - 1);
    assert_int_equal(count, position);
    assert_true(count <= (size_t)p->most_keys);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(p->ids[by_key_row[seen[i]]], row->ids[i]);
        assert_int_equal(p->positions[by_key_row[seen[i]]], i);
    }
    if (!inference)
        assert_int_equal(p->targets[answer], row->ids[position]);
}

/* As tokens of the sequence a row is itself, in its own context. */
static void check_token_row(const pfm_pack *p, const pfm_sequence *row, size_t number)
{
    const pfm_token_row *tokens = &p->token_rows[number];
    assert_int_equal(pfm_token_row_length(tokens), row->answer < row->count ? row->count - 1 : row->count);
    for (int64_t i = 0; i < pfm_token_row_length(tokens); i++) {
        const int64_t t = pfm_token_row_at(tokens, i);
        assert_int_equal(p->ids[t], row->ids[i]);
        assert_int_equal(p->positions[t], i);
        assert_int_equal(p->contexts[t], row->context);
    }
}

/* The rows of each group, one group after the other. */
static size_t count_tokens(const pfm_sequence *rows, bool share)
{
    size_t tokens = 0;
    for (size_t begin = 0, end; begin < DRAWN_ROWS; begin = end) {
        for (end = begin; end < DRAWN_ROWS && rows[end].group == rows[begin].group; end++)
            ;
        tokens += pfm_group_tokens(end - begin, row_at, rows + begin, share);
    }
    return tokens;
}

static void every_token_sees_its_row_and_nothing_else(void **state)
{
    (void)state;
    pfm_pack p = {0};
    pfm_random random = pfm_random_start(5, 0);
    for (int round = 0; round < 300; round++) {
        int32_t ids[DRAWN_ROWS][DRAWN_LENGTH];
        pfm_sequence rows[DRAWN_ROWS];
        bool inference = round % 3 == 2;
        size_t answer = 0;
        draw_rows(&random, ids, rows, inference);
        pack(&p, rows, DRAWN_ROWS,
             (pfm_pack_options){.share = round % 3 > 0, .inference = inference, .reserve = inference ? 5 : 0});
        for (int r = 0; r < DRAWN_ROWS; r++) {
            size_t first = inference ? rows[r].count : rows[r].answer, end = inference ? rows[r].count + 1 : rows[r].count;
            for (size_t position = first; position < end; position++)
                check_row(&p, &rows[r], answer++, position, inference);
            check_token_row(&p, &rows[r], (size_t)r);
        }
        assert_int_equal(p.tokens, count_tokens(rows, round % 3 > 0));
        assert_int_equal(answer, p.answers);
        for (size_t root = 0; root < p.root_count; root++) /* trees do not see each other */
            for (int32_t s = p.roots[root]; s < p.roots[root + 1]; s++)
                assert_int_equal(p.spans[s].root, root);
        assert_int_equal(p.roots[p.root_count], p.span_count);
    }
    pfm_pack_free(&p);
}

/* What a row drops is the same packed and apart: the keys along the row are equal. */
static void dropout_counts_the_same_packed_and_apart(void **state)
{
    (void)state;
    pfm_pack together = {0}, apart = {0};
    pfm_random random = pfm_random_start(6, 0);
    for (int round = 0; round < 100; round++) {
        int32_t ids[DRAWN_ROWS][DRAWN_LENGTH], a[64], b[64];
        pfm_sequence rows[DRAWN_ROWS];
        draw_rows(&random, ids, rows, false);
        pack(&together, rows, DRAWN_ROWS, (pfm_pack_options){.share = true});
        pack(&apart, rows, DRAWN_ROWS, (pfm_pack_options){.share = false});
        assert_int_equal(together.answers, apart.answers);
        for (size_t i = 0; i < apart.answers; i++) {
            size_t count = visible(&together, together.index[i], a);
            assert_int_equal(visible(&apart, apart.index[i], b), count);
            for (size_t t = 0; t < count; t++)
                assert_true(together.keys[a[t]] == apart.keys[b[t]]);
        }
    }
    pfm_pack_free(&together);
    pfm_pack_free(&apart);
}

/* ---- the tiny model ---- */

enum { MODEL_ROWS = TINY_ROWS + 3 };

/* The golden rows; two equal ones, one of which the other begins with; answers that begin in what is shared. */
static void model_rows(pfm_sequence golden[TINY_ROWS], pfm_sequence rows[MODEL_ROWS])
{
    static const int32_t first[] = {1, 87, -9, -10, -11, -12, 20, 30, 40, 50, 60},
                         second[] = {1, 87, -9, -10, -11, -12, 20, 30, 40, 50, 61, 7};
    tiny_rows(golden);
    memcpy(rows, golden, TINY_ROWS * sizeof *rows);
    rows[4] = (pfm_sequence){.ids = first, .count = 11, .answer = 7, .group = 2, .number = 4};
    rows[5] = (pfm_sequence){.ids = first, .count = 11, .answer = 9, .group = 2, .number = 5};
    rows[6] = (pfm_sequence){.ids = second, .count = 12, .answer = 8, .group = 2, .number = 6};
}

/* Every row in a run of its own, all with this scale. */
static double run_apart(tiny_system *system, const pfm_sequence *rows, size_t count, float scale)
{
    const pfm_pack_options options = {.share = false};
    double sum = 0;
    for (size_t r = 0; r < count; r++)
        sum += tiny_run(system, rows + r, 1, &options, scale);
    return sum;
}

static void assert_losses_equal(double a, double b)
{
    if (!(fabs(a - b) <= 1e-5 * fabs(b)))
        fail_msg("the losses %.9g and %.9g differ", a, b);
}

static void compare_without_dropout(const char *level)
{
    tiny_system system;
    pfm_sequence golden[TINY_ROWS], rows[MODEL_ROWS];
    const pfm_pack_options share = {.share = true};
    tiny_system_create(tiny_context(level, 2, PFM_PRECISION_F32), true, NULL, 0, &system);
    pfm_parameters *parameters = system.session->model->parameters;
    model_rows(golden, rows);
    double apart = run_apart(&system, rows, MODEL_ROWS, 0.25f);
    float *gradients = tiny_copy_gradients(parameters);
    pfm_parameters_zero_gradients(parameters);
    assert_losses_equal(tiny_run(&system, rows, MODEL_ROWS, &share, 0.25f), apart);
    assert_gradients_near(parameters, gradients, 1e-5);
    float *packed = tiny_copy_gradients(parameters);
    pfm_parameters_zero_gradients(parameters); /* the same again: nothing is left in memory that counts */
    (void)tiny_run(&system, rows, MODEL_ROWS, &share, 0.25f);
    float *again = tiny_copy_gradients(parameters);
    assert_memory_equal(packed, again, (size_t)pfm_parameters_trainable(parameters) * sizeof *packed);
    free(gradients);
    free(packed);
    free(again);
    tiny_rows_free(golden);
    tiny_system_free(&system);
}

static void packed_rows_give_the_gradients_of_separate_ones(void **state)
{
    (void)state;
    tiny_each_level(compare_without_dropout);
}

/* Dropout draws once for what a group shares, so the group goes together; packed, unpacked, and group by group. */
static void compare_with_dropout(const char *level)
{
    tiny_system system;
    pfm_sequence golden[TINY_ROWS], rows[MODEL_ROWS];
    const pfm_pack_options share = {.share = true}, apart = {.share = false};
    static const char *const sets[] = {"peft.dropout=0.3"};
    tiny_system_create(tiny_context(level, 2, PFM_PRECISION_F32), true, sets, 1, &system);
    pfm_parameters *parameters = system.session->model->parameters;
    model_rows(golden, rows);
    double loss = tiny_run(&system, rows, MODEL_ROWS, &apart, 0.25f);
    float *gradients = tiny_copy_gradients(parameters);
    pfm_parameters_zero_gradients(parameters);
    assert_losses_equal(tiny_run(&system, rows, MODEL_ROWS, &share, 0.25f), loss);
    assert_gradients_near(parameters, gradients, 1e-5);
    pfm_parameters_zero_gradients(parameters);
    double sum = tiny_run(&system, rows, 3, &share, 0.25f) + tiny_run(&system, rows + 3, 1, &share, 0.25f) +
                 tiny_run(&system, rows + 4, 3, &share, 0.25f);
    assert_losses_equal(sum, loss);
    assert_gradients_near(parameters, gradients, 1e-5);
    double without = run_apart(&system, rows, MODEL_ROWS, 0.25f); /* rows alone draw other numbers */
    assert_true(fabs(without - loss) > 1e-3 * loss);
    free(gradients);
    tiny_rows_free(golden);
    tiny_system_free(&system);
}

static void packed_rows_drop_what_separate_ones_drop(void **state)
{
    (void)state;
    tiny_each_level(compare_with_dropout);
}

/* An answer that stands elsewhere than its prompt packs as one behind it, also where rows share a part of it. */
static void a_tail_packs_as_if_it_stood_behind(void **state)
{
    (void)state;
    pfm_pack whole = {0}, apart = {0};
    static const int32_t prompt[] = {5, 6, 7}, first[] = {8, 9, 3}, second[] = {8, 9, 4};
    pfm_sequence rows[] = {row_of((const int32_t[]){5, 6, 7, 8, 9, 3, 0}, 3, 0, 0),
                           row_of((const int32_t[]){5, 6, 7, 8, 9, 4, 0}, 3, 0, 1)};
    pack(&whole, rows, 2, (pfm_pack_options){.share = true});
    for (int i = 0; i < 2; i++) {
        rows[i].ids = prompt;
        rows[i].tail = i == 0 ? first : second;
    }
    pack(&apart, rows, 2, (pfm_pack_options){.share = true});
    assert_int_equal(apart.tokens, whole.tokens);
    assert_int_equal(apart.tokens, 4 + 2); /* 5 6 7 8 once, then each row's 9 */
    assert_memory_equal(apart.ids, whole.ids, whole.tokens * sizeof *whole.ids);
    assert_int_equal(apart.answers, whole.answers);
    assert_memory_equal(apart.targets, whole.targets, whole.answers * sizeof *whole.targets);
    pfm_pack_free(&whole);
    pfm_pack_free(&apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_row_stands_alone),
        cmocka_unit_test(identical_rows_keep_one_token_of_their_own),
        cmocka_unit_test(a_row_may_begin_another),
        cmocka_unit_test(answers_may_begin_in_the_shared_run),
        cmocka_unit_test(a_tail_packs_as_if_it_stood_behind),
        cmocka_unit_test(rows_without_a_common_token_stand_apart),
        cmocka_unit_test(groups_are_trees_of_their_own),
        cmocka_unit_test(rows_of_other_contexts_share_nothing),
        cmocka_unit_test(inference_keeps_room_for_what_comes),
        cmocka_unit_test(every_token_sees_its_row_and_nothing_else),
        cmocka_unit_test(dropout_counts_the_same_packed_and_apart),
        cmocka_unit_test(packed_rows_give_the_gradients_of_separate_ones),
        cmocka_unit_test(packed_rows_drop_what_separate_ones_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
