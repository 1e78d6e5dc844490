#include "peft/targets.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/try.h"
#include "peft/expression.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LIST = 400 };

/* One way of naming modules. */
typedef struct naming {
    const char *text;           /* as the options have it */
    pfm_expression *expression; /* NULL: a suffix, or every linear layer */
    double value;               /* of a pattern: what stands behind its last '=' */
    bool matched;
} naming;

typedef struct target_list {
    naming *items;
    size_t count;
} target_list;

struct pfm_targets {
    const pfm_peft_options *options;
    target_list targets, exclude, feedforward, layers_pattern, layers, ranks, alphas, whole;
    char **seen; /* names of the layers that went by */
    size_t seen_count, seen_capacity;
    pfm_map seen_names;
    pfm_error failure; /* the first that went wrong while names were looked at */
    bool failed;
};

bool pfm_targets_is_plain(const char *name)
{
    return strncmp(name, PFM_TARGET_EXPRESSION, sizeof PFM_TARGET_EXPRESSION - 1) != 0 &&
           strcmp(name, PFM_TARGET_ALL_LINEAR) != 0;
}

/* ---- making ---- */

/* "KEY: what is wrong with its value". */
static pfm_status wrap(const char *key, const pfm_error *reason, pfm_error *err)
{
    return pfm_error_set(err, reason->code, "%s: %s", key, reason->message);
}

/* The target's expression is `before` + text + `after`. */
static pfm_status compile(const char *key, const char *before, const char *text, size_t length, const char *after,
                          pfm_expression **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_error reason = PFM_ERROR_INIT;
    char *whole = NULL;
    PFM_TRY(pfm_string_format(&whole, err, "%s%.*s%s", before, (int)length, text, after));
    status = pfm_expression_create(whole, out, &reason);
    if (status != PFM_OK)
        status = wrap(key, &reason, err);
done:
    free(whole);
    return status;
}

static pfm_status begin_list(target_list *list, char **texts, size_t count, pfm_error *err)
{
    pfm_status status = pfm_allocate(count, sizeof *list->items, &list->items, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        list->items[i].text = texts[i];
    list->count = status == PFM_OK ? count : 0;
    return status;
}

/* Names: suffixes, or behind their mark expressions. */
static pfm_status make_names(target_list *list, const char *key, char **texts, size_t count, pfm_error *err)
{
    static const char mark[] = PFM_TARGET_EXPRESSION;
    pfm_status status = begin_list(list, texts, count, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        const char *text = texts[i] + sizeof mark - 1;
        if (strncmp(texts[i], mark, sizeof mark - 1) == 0)
            status = compile(key, "", text, strlen(text), "", &list->items[i].expression, err);
    }
    return status;
}

/* "NAME=NUMBER": a name is an expression for the end of a module's name. */
static pfm_status make_patterns(target_list *list, const char *key, char **texts, size_t count, double most, bool whole,
                                pfm_error *err)
{
    pfm_status status = begin_list(list, texts, count, err);
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        char *end = NULL;
        const char *equals = strrchr(texts[i], '=');
        const bool digits = equals != NULL && equals > texts[i] && equals[1] != '\0' &&
                            strspn(equals + 1, "0123456789.eE+-") == strlen(equals + 1);
        const double value = digits ? strtod(equals + 1, &end) : -1;
        if (!digits || *end != '\0' || !(value > 0 && value <= most) || (whole && value != (double)(int)value))
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "%s cannot be '%.100s'; it is NAME=NUMBER, %s at most %g, as in q_proj=8", key, texts[i],
                                 whole ? "a whole number" : "above 0 and", most);
        list->items[i].value = value;
        status = compile(key, "(.*\\.)?(", texts[i], (size_t)(equals - texts[i]), ")", &list->items[i].expression, err);
    }
    return status;
}

/* Numbers of blocks, and what stands before the number in a name. */
static pfm_status make_layers(pfm_targets *t, const pfm_peft_options *o, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(begin_list(&t->layers, o->layers, o->layer_count, err));
    for (size_t i = 0; i < o->layer_count; i++) {
        const size_t digits = strspn(o->layers[i], "0123456789");
        if (digits == 0 || digits > 6 || o->layers[i][digits] != '\0')
            PFM_FAIL(PFM_ERROR_USAGE, "peft.layers cannot be '%.100s'; it is numbers of blocks from 0, as in [0, 1]",
                     o->layers[i]);
        t->layers.items[i].value = (int)strtol(o->layers[i], NULL, 10);
    }
    PFM_TRY(begin_list(&t->layers_pattern, o->layers_pattern, o->layers_pattern_count, err));
    for (size_t i = 0; i < o->layers_pattern_count; i++)
        PFM_TRY(compile("peft.layers_pattern", "(?:|.*?\\.)", o->layers_pattern[i], strlen(o->layers_pattern[i]),
                        "\\.[0-9]+\\..*", &t->layers_pattern.items[i].expression, err));
    if (o->layers_pattern_count > 0 && o->layer_count == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "peft.layers_pattern says where numbers stand, but peft.layers names none");
    for (size_t i = 0; o->layer_count > 0 && i < o->target_count; i++) {
        if (t->targets.items[i].expression != NULL || strcmp(o->targets[i], PFM_TARGET_ALL_LINEAR) == 0)
            PFM_FAIL(PFM_ERROR_USAGE,
                     "peft.layers goes with names of layers, not with '%.100s'; an expression can say the numbers itself",
                     o->targets[i]);
    }
done:
    return status;
}

pfm_status pfm_targets_create(const pfm_peft_options *o, pfm_targets **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_targets *t = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *t, &t, err));
    t->options = o;
    t->failure = (pfm_error)PFM_ERROR_INIT;
    PFM_TRY(make_names(&t->targets, "peft.targets", o->targets, o->target_count, err));
    PFM_TRY(make_names(&t->exclude, "peft.exclude", o->exclude, o->exclude_count, err));
    PFM_TRY(make_names(&t->feedforward, "peft.feedforward", o->feedforward, o->feedforward_count, err));
    PFM_TRY(make_layers(t, o, err));
    PFM_TRY(
        make_patterns(&t->ranks, "peft.rank_pattern", o->rank_pattern, o->rank_pattern_count, PFM_PEFT_MOST_RANK, true, err));
    PFM_TRY(make_patterns(&t->alphas, "peft.alpha_pattern", o->alpha_pattern, o->alpha_pattern_count, 1e6, false, err));
    PFM_TRY(begin_list(&t->whole, o->modules_to_save, o->module_to_save_count, err));
    *out = t;
    t = NULL;
done:
    pfm_targets_free(t);
    return status;
}

static void free_list(target_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        pfm_expression_free(list->items[i].expression);
    free(list->items);
}

void pfm_targets_free(pfm_targets *t)
{
    if (t == NULL)
        return;
    free_list(&t->targets);
    free_list(&t->exclude);
    free_list(&t->feedforward);
    free_list(&t->layers_pattern);
    free_list(&t->layers);
    free_list(&t->ranks);
    free_list(&t->alphas);
    free_list(&t->whole);
    for (size_t i = 0; i < t->seen_count; i++)
        free(t->seen[i]);
    free(t->seen);
    pfm_map_free(&t->seen_names);
    free(t);
}

/* ---- matching ---- */

static bool fits(pfm_targets *t, const pfm_expression *expression, const char *module)
{
    bool found = false;
    if (pfm_expression_match(expression, module, &found, t->failed ? NULL : &t->failure) != PFM_OK)
        t->failed = true;
    return found;
}

static bool is_suffix(const char *end, const char *module)
{
    size_t whole = strlen(module), part = strlen(end);
    return whole >= part && strcmp(module + whole - part, end) == 0 && (whole == part || module[whole - part - 1] == '.');
}

static bool names(pfm_targets *t, const naming *target, const char *module)
{
    if (strcmp(target->text, PFM_TARGET_ALL_LINEAR) == 0)
        return true;
    return target->expression == NULL ? is_suffix(target->text, module) : fits(t, target->expression, module);
}

static naming *find(pfm_targets *t, const target_list *list, const char *module)
{
    for (size_t i = 0; i < list->count; i++) {
        if (names(t, &list->items[i], module))
            return &list->items[i];
    }
    return NULL;
}

/* The number that stands between dots in a name, of which models here have one; -1: there is none. Without a pattern at least
 * two parts of the name stand before it, as PEFT wants it. */
static int number_of(pfm_targets *t, const char *module)
{
    bool found = t->layers_pattern.count == 0;
    int parts = 0;
    for (size_t i = 0; i < t->layers_pattern.count && !found; i++)
        found = fits(t, t->layers_pattern.items[i].expression, module);
    for (const char *at = module; found && at != NULL; parts++) {
        const size_t digits = strspn(at, "0123456789");
        if (digits > 0 && digits < 7 && at[digits] == '.' && (parts >= 2 || t->layers_pattern.count > 0))
            return (int)strtol(at, NULL, 10);
        at = strchr(at, '.');
        at = at == NULL ? NULL : at + 1;
    }
    return -1;
}

static naming *find_layer(pfm_targets *t, const char *module)
{
    const int number = number_of(t, module);
    for (size_t i = 0; number >= 0 && i < t->layers.count; i++) {
        if ((int)t->layers.items[i].value == number)
            return &t->layers.items[i];
    }
    return NULL;
}

/* PEFT ends names of modules to be saved anywhere: "norm" is input_layernorm too. *out = the target; a module around this one
 * counts, as its name is the beginning of this one's. */
static bool keeps_whole(const pfm_targets *t, const char *module, naming **out)
{
    const size_t length = strlen(module);
    for (size_t i = 0; i < t->whole.count; i++) {
        const char *text = t->whole.items[i].text;
        const size_t part = strlen(text);
        for (size_t end = part; end <= length; end++) {
            if ((module[end] == '\0' || module[end] == '.') && memcmp(module + end - part, text, part) == 0) {
                *out = &t->whole.items[i];
                return true;
            }
        }
    }
    return false;
}

bool pfm_targets_keep_whole(pfm_targets *t, const char *module)
{
    naming *found = NULL;
    const bool kept = keeps_whole(t, module, &found);
    if (kept)
        found->matched = true;
    return kept;
}

bool pfm_targets_match(pfm_targets *t, const char *module)
{
    naming *whole = NULL;
    if (find(t, &t->targets, module) == NULL || find(t, &t->exclude, module) != NULL || keeps_whole(t, module, &whole))
        return false;
    return t->layers.count == 0 || find_layer(t, module) != NULL;
}

bool pfm_targets_is_feedforward(pfm_targets *t, const char *module) { return find(t, &t->feedforward, module) != NULL; }

static naming *find_pattern(pfm_targets *t, const target_list *list, const char *module)
{
    for (size_t i = 0; i < list->count; i++) {
        if (fits(t, list->items[i].expression, module))
            return &list->items[i];
    }
    return NULL;
}

int pfm_targets_rank(pfm_targets *t, const char *module)
{
    const naming *found = find_pattern(t, &t->ranks, module);
    return found == NULL ? t->options->rank : (int)found->value;
}

double pfm_targets_alpha(pfm_targets *t, const char *module)
{
    const naming *found = find_pattern(t, &t->alphas, module);
    return found == NULL ? t->options->alpha : found->value;
}

/* ---- what matched ---- */

bool pfm_targets_saw(const pfm_targets *t, const char *module)
{
    return pfm_map_get(&t->seen_names, module, strlen(module), NULL);
}

/* The name is kept, once. */
static pfm_status keep_name(pfm_targets *t, const char *module, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&t->seen, &t->seen_capacity, t->seen_count + 1, sizeof *t->seen, err));
    PFM_TRY(pfm_string_copy(module, &t->seen[t->seen_count], err));
    t->seen_count++;
    PFM_TRY(pfm_map_set(&t->seen_names, t->seen[t->seen_count - 1], strlen(module), (int64_t)t->seen_count - 1, err));
done:
    return status;
}

void pfm_targets_see(pfm_targets *t, const char *module)
{
    if (pfm_targets_saw(t, module))
        return;
    if (keep_name(t, module, t->failed ? NULL : &t->failure) != PFM_OK)
        t->failed = true;
    for (size_t i = 0; i < t->targets.count; i++)
        t->targets.items[i].matched |= names(t, &t->targets.items[i], module);
    if (!pfm_targets_match(t, module))
        return;
    naming *found[] = {find_layer(t, module), find_pattern(t, &t->ranks, module), find_pattern(t, &t->alphas, module)};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        if (found[i] != NULL)
            found[i]->matched = true;
    }
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

/* "q_proj, k_proj": the last parts of the layers' names, once each. */
static pfm_status list_layers(const pfm_targets *t, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < t->seen_count && out->size < LONGEST_LIST; i++) {
        const char *part = last_part(t->seen[i]);
        bool known = false;
        for (size_t j = 0; j < i && !known; j++)
            known = strcmp(part, last_part(t->seen[j])) == 0;
        if (!known)
            PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", out->size > 0 ? ", " : "", part));
    }
done:
    return status;
}

static pfm_status check_list(const pfm_targets *t, const target_list *list, const char *key, const char *what, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer layers = {0};
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].matched)
            continue;
        PFM_TRY(list_layers(t, &layers, err));
        PFM_FAIL(PFM_ERROR_USAGE, "%s: '%.100s' matches no %s of this model; its layers are called %s", key,
                 list->items[i].text, what, layers.size > 0 ? layers.data : "otherwise");
    }
done:
    pfm_buffer_free(&layers);
    return status;
}

pfm_status pfm_targets_check(const pfm_targets *t, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (t->failed)
        PFM_FAIL(t->failure.code, "%s", t->failure.message);
    PFM_TRY(check_list(t, &t->targets, "peft.targets", "layer", err));
    PFM_TRY(check_list(t, &t->layers, "peft.layers", "block with a target", err));
    PFM_TRY(check_list(t, &t->ranks, "peft.rank_pattern", "target", err));
    PFM_TRY(check_list(t, &t->alphas, "peft.alpha_pattern", "target", err));
    PFM_TRY(check_list(t, &t->whole, "peft.modules_to_save", "module", err));
done:
    return status;
}
