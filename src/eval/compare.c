/* pefomed compare: recipes checked, run one after the other, and what came out written down. */
#include "eval/compare.h"

#include "base/file.h"
#include "base/try.h"
#include "eval/child.h"
#include "pefomed/words.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void release_contender(pfm_contender *contender)
{
    for (size_t i = 0; i < contender->rate_count; i++)
        pfm_rate_free(&contender->rates[i]);
    free(contender->rates);
    free(contender->name);
    free(contender->error);
    pfm_recipe_free(contender->recipe);
}

/* ---- what is asked for ---- */

/* The file's name without .yaml; it names a folder, too. */
static pfm_status name_recipe(const char *path, char **out, pfm_error *err)
{
    const char *name = pfm_path_name(path);
    size_t length = strlen(name);
    if (length > 5 && strcmp(name + length - 5, ".yaml") == 0)
        length -= 5;
    json_t *text = json_stringn(name, length); /* the table is JSON, too */
    bool fits = length > 0 && name[0] != '.' && text != NULL;
    json_decref(text);
    if (!fits)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s cannot name a recipe: a name begins with no dot and is UTF-8", path);
    return pfm_string_copy_n(name, length, out, err);
}

/* A rate from the command line would decide nothing where the recipe has a list. */
static pfm_status check_sets(const pfm_contender *contender, const pfm_compare_options *options, pfm_error *err)
{
    static const char key[] = "train.learning_rate=";
    for (int i = 0; contender->recipe->compare.learning_rate_count > 0 && i < options->set_count; i++) {
        if (strncmp(options->sets[i], key, sizeof key - 1) == 0)
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "--set %s decides nothing for %s, which tries its compare.learning_rates; set those instead",
                                 options->sets[i], contender->name);
    }
    return PFM_OK;
}

/* The hash of the recipe at a rate; what the recipe refuses of the rate shows here. */
static pfm_status hash_rate(const pfm_contender *contender, const pfm_compare_options *options, pfm_rate *rate, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char **sets = NULL;
    pfm_recipe *recipe = NULL;
    size_t count = (size_t)options->set_count;
    PFM_TRY(pfm_allocate(count + 1, sizeof *sets, &sets, err));
    for (size_t i = 0; i < count; i++)
        sets[i] = options->sets[i];
    if (rate->set != NULL)
        sets[count++] = rate->set;
    PFM_TRY(pfm_recipe_load(contender->path, sets, (int)count, &recipe, err));
    PFM_TRY(pfm_recipe_pin_index(recipe, err));
    pfm_recipe_forget_asides(recipe);
    PFM_TRY(pfm_recipe_hash(recipe, rate->recipe, err));
done:
    pfm_recipe_free(recipe);
    free(sets);
    return status;
}

static pfm_status load_contender(pfm_comparison *c, size_t index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_compare_options *options = c->options;
    pfm_contender *contender = &c->contenders[index];
    contender->path = options->recipes[index];
    contender->chosen = -1;
    PFM_TRY(name_recipe(contender->path, &contender->name, err));
    for (size_t i = 0; i < index; i++) {
        if (strcmp(c->contenders[i].name, contender->name) == 0)
            PFM_FAIL(PFM_ERROR_USAGE, "two recipes are called %s (%s and %s); give one another name", contender->name,
                     c->contenders[i].path, contender->path);
    }
    PFM_TRY(pfm_recipe_load(contender->path, options->sets, options->set_count, &contender->recipe, err));
    PFM_TRY(pfm_recipe_pin_index(contender->recipe, err));
    PFM_TRY(pfm_rates_create(contender->recipe, contender->name, &contender->rates, &contender->rate_count, err));
    PFM_TRY(check_sets(contender, options, err));
    for (size_t i = 0; i < contender->rate_count; i++)
        PFM_TRY(hash_rate(contender, options, &contender->rates[i], err));
done:
    return status;
}

static pfm_status find_baseline(pfm_comparison *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *wanted = c->options->baseline, **names = NULL;
    if (wanted == NULL)
        return PFM_OK;
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->contenders[i].name, wanted) == 0) {
            c->baseline = i;
            return PFM_OK;
        }
    }
    PFM_TRY(pfm_allocate(c->count, sizeof *names, &names, err));
    for (size_t i = 0; i < c->count; i++)
        names[i] = c->contenders[i].name;
    const char *nearest = pfm_words_nearest(wanted, names, c->count);
    status = pfm_error_set(err, PFM_ERROR_USAGE, "--baseline %s is none of the recipes; name one of them, such as %s", wanted,
                           nearest != NULL ? nearest : names[0]);
done:
    free(names);
    return status;
}

/* Several rates are to be told apart. */
static bool chooses(const pfm_contender *contender) { return contender->rate_count > 1; }

static bool any_chooses(const pfm_comparison *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (chooses(&c->contenders[i]))
            return true;
    }
    return false;
}

static void count_visits(pfm_comparison *c)
{
    bool same = strcmp(c->split, c->choice_split) == 0;
    c->visits = 1; /* the untrained model */
    for (size_t i = 0; i < c->count; i++) {
        bool several = chooses(&c->contenders[i]);
        c->visits += c->seeds + (several ? (int)c->contenders[i].rate_count - same : 0);
    }
}

/* Rates are chosen on one split for all. */
static pfm_status find_splits(pfm_comparison *c, pfm_error *err)
{
    c->choice_split = pfm_contender_stage(&c->contenders[c->baseline])->data.validate;
    c->split = c->options->split != NULL ? c->options->split : c->choice_split;
    if (strchr(c->split, '/') != NULL || strchr(c->choice_split, '/') != NULL) /* answers lie in files of their names */
        return pfm_error_set(err, PFM_ERROR_USAGE, "a split with a slash in its name (%s) cannot be compared",
                             strchr(c->split, '/') != NULL ? c->split : c->choice_split);
    for (size_t i = 0; i < c->count; i++) {
        const char *other = pfm_contender_stage(&c->contenders[i])->data.validate;
        if (strcmp(other, c->choice_split) != 0)
            return pfm_error_set(err, PFM_ERROR_USAGE, "data.validate of %s is %s, of %s %s; recipes are compared on one split",
                                 c->contenders[i].name, other, c->contenders[c->baseline].name, c->choice_split);
    }
    return PFM_OK;
}

/* ---- before the first run ---- */

typedef struct survey {
    const pfm_comparison *comparison;
    const char *split;
} survey;

/* Of each recipe's rows of the split a hash without what they are grounded in, and one with it. A pfm_child_function: the
 * parent stays small. */
static pfm_status hash_rows(pfm_context *context, void *user, json_t **result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const survey *s = user;
    const pfm_compare_options *options = s->comparison->options;
    pfm_dataset *rows = NULL;
    json_t *hashes = json_array();
    (void)context;
    for (size_t i = 0; i < s->comparison->count; i++) {
        const pfm_recipe *stage = pfm_contender_stage(&s->comparison->contenders[i]);
        pfm_hash_hex hash, ungrounded;
        PFM_TRY(pfm_recipe_load_data(stage, options->data, s->split, (size_t)options->limit, &rows, err));
        PFM_TRY(pfm_dataset_check_images(rows, err));
        PFM_TRY(pfm_dataset_hash_ungrounded(rows, ungrounded, err));
        PFM_TRY(pfm_dataset_hash(rows, hash, err));
        hashes = pfm_json_add(hashes, json_pack("[s,s]", ungrounded, hash));
        pfm_dataset_free(rows);
        rows = NULL;
    }
    if (hashes == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not compare the rows of the recipes");
    *result = hashes;
    hashes = NULL;
done:
    pfm_dataset_free(rows);
    json_decref(hashes);
    return status;
}

static const char *hash_of(const json_t *hashes, size_t contender, size_t which)
{
    return json_string_value(json_array_get(json_array_get(hashes, contender), which));
}

/* All recipes answer the same rows of a split, which may show them different texts beside. */
static pfm_status survey_split(const pfm_comparison *c, const char *split, bool choice, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *hashes = NULL;
    pfm_error outcome = PFM_ERROR_INIT;
    survey s = {c, split};
    PFM_TRY(pfm_child_run(c->context, c->context->seed, hash_rows, &s, &hashes, &outcome, err));
    if (outcome.code != PFM_OK)
        PFM_FAIL(outcome.code, "%s", outcome.message);
    const char *first = hash_of(hashes, c->baseline, 0);
    for (size_t i = 0; i < c->count; i++) {
        const char *ungrounded = hash_of(hashes, i, 0), *hash = hash_of(hashes, i, 1);
        if (first == NULL || ungrounded == NULL || hash == NULL || strcmp(first, ungrounded) != 0)
            PFM_FAIL(PFM_ERROR_USAGE, "%s and %s do not mean the same rows by '%s'; give them the same data set and language",
                     c->contenders[c->baseline].name, c->contenders[i].name, split);
        pfm_contender *contender = &c->contenders[i];
        (void)snprintf(choice ? contender->choice_rows : contender->split_rows, sizeof(pfm_hash_hex), "%s", hash);
    }
done:
    json_decref(hashes);
    return status;
}

static pfm_status prepare(pfm_comparison *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_compare_options *options = c->options;
    if (options->recipe_count < 1)
        PFM_FAIL(PFM_ERROR_USAGE, "name the recipes to compare");
    PFM_TRY(pfm_allocate((size_t)options->recipe_count, sizeof *c->contenders, &c->contenders, err));
    for (; c->count < (size_t)options->recipe_count; c->count++) {
        status = load_contender(c, c->count, err);
        if (status != PFM_OK) {
            release_contender(&c->contenders[c->count]);
            goto done;
        }
    }
    PFM_TRY(find_baseline(c, err));
    PFM_TRY(find_splits(c, err));
    PFM_TRY(survey_split(c, c->split, false, err));
    const bool same = strcmp(c->split, c->choice_split) == 0;
    for (size_t i = 0; same && i < c->count; i++)
        memcpy(c->contenders[i].choice_rows, c->contenders[i].split_rows, sizeof(pfm_hash_hex));
    if (!same && any_chooses(c))
        PFM_TRY(survey_split(c, c->choice_split, true, err));
    count_visits(c);
    PFM_TRY(pfm_folder_create(c->out, err));
done:
    return status;
}

/* ---- the runs ---- */

static pfm_status keep_error(char **out, const pfm_error *outcome, pfm_error *err)
{
    return pfm_string_copy(outcome->message[0] != '\0' ? outcome->message : pfm_status_name(outcome->code), out, err);
}

static pfm_status visit(pfm_comparison *c, const pfm_contender *contender, const pfm_rate *rate, uint64_t seed,
                        const char *split, bool fresh, pfm_error *outcome, json_t **facts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_compared_run run = {0};
    *facts = NULL;
    PFM_TRY(pfm_compared_run_locate(c, contender, rate, seed, split, &run, err));
    run.fresh = fresh;
    PFM_TRY(pfm_compared_run_do(c, &run, outcome, err));
    run.fresh = false;
    if (outcome->code == PFM_OK)
        PFM_TRY(pfm_compared_run_read(&run, facts, err));
done:
    free(run.folder);
    return status;
}

/* What the first seed reaches at a rate. One at which loss or gradient is not finite is no
 * reason to give the recipe up. */
static pfm_status try_rate(pfm_comparison *c, pfm_contender *contender, pfm_rate *rate, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *facts = NULL, *figures = NULL;
    pfm_error outcome;
    PFM_TRY(visit(c, contender, rate, c->context->seed, c->choice_split, c->options->fresh, &outcome, &facts, err));
    if (outcome.code != PFM_OK) {
        PFM_TRY(keep_error(&rate->error, &outcome, err));
        if (outcome.code != PFM_ERROR_NUMERIC)
            PFM_TRY(keep_error(&contender->error, &outcome, err));
        goto done;
    }
    const json_t *scores = json_object_get(facts, "scores");
    figures = pfm_score_figures(scores);
    const json_t *value = json_object_get(figures, pfm_score_headline(scores));
    rate->score = json_is_number(value) ? json_number_value(value) : NAN;
done:
    json_decref(facts);
    json_decref(figures);
    return status;
}

static pfm_status choose_rate(pfm_comparison *c, pfm_contender *contender, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!chooses(contender)) {
        contender->chosen = 0;
        return PFM_OK;
    }
    for (size_t i = 0; contender->error == NULL && i < contender->rate_count; i++)
        PFM_TRY(try_rate(c, contender, &contender->rates[i], err));
    if (contender->error != NULL)
        goto done;
    contender->chosen = pfm_rates_choose(contender->rates, contender->rate_count);
    if (contender->chosen < 0)
        PFM_TRY(pfm_string_format(&contender->error, err, "no learning rate leads to a score; at %s: %s",
                                  contender->rates[0].text,
                                  contender->rates[0].error != NULL ? contender->rates[0].error : "nothing to score"));
    else
        pfm_log(c->context, PFM_LOG_INFO, "%s: the learning rate %s is the best of %zu on %s", contender->name,
                contender->rates[contender->chosen].text, contender->rate_count, c->choice_split);
done:
    return status;
}

static pfm_status run_contender(pfm_comparison *c, pfm_contender *contender, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *facts = NULL;
    bool same = strcmp(c->split, c->choice_split) == 0;
    int after = c->visit + c->seeds + (chooses(contender) ? (int)contender->rate_count - same : 0);
    PFM_TRY(choose_rate(c, contender, err));
    for (int s = 0; contender->error == NULL && s < c->seeds; s++) {
        pfm_error outcome;
        bool visited = s == 0 && chooses(contender);
        if (visited && same)
            continue;
        PFM_TRY(visit(c, contender, &contender->rates[contender->chosen], c->context->seed + (uint64_t)s, c->split,
                      c->options->fresh && !visited, &outcome, &facts, err));
        json_decref(facts);
        if (outcome.code != PFM_OK)
            PFM_TRY(keep_error(&contender->error, &outcome, err));
    }
    c->visit = after; /* what a failed one leaves out counts as done */
done:
    return status;
}

/* ---- what came out ---- */

static pfm_status write_file(const pfm_comparison *c, const char *name, const pfm_buffer *text, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = pfm_path_join(c->out, name, &path, err);
    if (status == PFM_OK && text->size > 0)
        status = pfm_file_write(path, text->data, text->size, err);
    else if (status == PFM_OK && unlink(path) != 0 && pfm_path_exists(path)) /* one of before must not be taken for this */
        status = pfm_error_set(err, PFM_ERROR_IO, "cannot remove %s, which is out of date", path);
    free(path);
    return status;
}

static pfm_status write_result(const pfm_comparison *c, const json_t *result, char **json, char **text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer table = {0}, csv = {0}, plot = {0};
    char *path = NULL;
    PFM_TRY(pfm_comparison_text(result, &table, err));
    PFM_TRY(pfm_comparison_csv(result, &csv, err));
    PFM_TRY(pfm_comparison_plot(result, &plot, err));
    PFM_TRY(pfm_path_join(c->out, "table.json", &path, err));
    PFM_TRY(pfm_json_save(path, result, err));
    PFM_TRY(write_file(c, "table.txt", &table, err));
    PFM_TRY(write_file(c, "table.csv", &csv, err));
    PFM_TRY(write_file(c, "plot.svg", &plot, err));
    PFM_TRY(pfm_json_print(result, json, err));
    *text = table.data;
    table = (pfm_buffer){0};
done:
    free(path);
    pfm_buffer_free(&table);
    pfm_buffer_free(&csv);
    pfm_buffer_free(&plot);
    return status;
}

static pfm_status compare(pfm_comparison *c, char **json, char **text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *facts = NULL, *result = NULL;
    pfm_error untrained;
    PFM_TRY(prepare(c, err));
    for (size_t i = 0; i < c->count; i++)
        PFM_TRY(run_contender(c, &c->contenders[i], err));
    PFM_TRY(
        visit(c, &c->contenders[c->baseline], NULL, c->context->seed, c->split, c->options->fresh, &untrained, &facts, err));
    PFM_TRY(pfm_comparison_result(c, &untrained, &result, err));
    PFM_TRY(write_result(c, result, json, text, err));
done:
    json_decref(facts);
    json_decref(result);
    return status;
}

pfm_status pfm_compare(pfm_context *context, const pfm_compare_options *options, char **json, char **text, pfm_error *err)
{
    pfm_comparison c = {.context = context,
                        .options = options,
                        .out = options->out != NULL ? options->out : "runs/compare",
                        .seeds = options->seeds > 0 ? options->seeds : 1};
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), former = uselocale(plain); /* a point, wherever we run */
    pfm_status status = compare(&c, json, text, err);
    uselocale(former);
    if (plain != (locale_t)0)
        freelocale(plain);
    for (size_t i = 0; i < c.count; i++)
        release_contender(&c.contenders[i]);
    free(c.contenders);
    return status;
}
