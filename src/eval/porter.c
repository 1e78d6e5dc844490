#include "eval/porter.h"

#include <stdbool.h>
#include <string.h>

typedef struct stem {
    uint32_t *c;
    size_t length;
} stem;

static bool is_vowel(uint32_t c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

/* y is a consonant unless one stands before it. */
static bool is_consonant(const stem *w, size_t i)
{
    bool turned = false;
    if (w->c[i] != 'y')
        return !is_vowel(w->c[i]);
    while (i > 0 && w->c[i] == 'y') {
        turned = !turned;
        i--;
    }
    return !is_vowel(w->c[i]) != turned;
}

/* The paper's m of the first `length` letters: how often a vowel is followed by a consonant. */
static size_t measure(const stem *w, size_t length)
{
    size_t m = 0;
    bool before = true;
    for (size_t i = 0; i < length; i++) {
        uint32_t c = w->c[i];
        bool consonant = c == 'y' ? i == 0 || !before : !is_vowel(c);
        m += i > 0 && !before && consonant;
        before = consonant;
    }
    return m;
}

static bool has_vowel(const stem *w, size_t length)
{
    bool before = false;
    for (size_t i = 0; i < length; i++) {
        bool consonant = w->c[i] == 'y' ? i == 0 || !before : !is_vowel(w->c[i]);
        if (!consonant)
            return true;
        before = consonant;
    }
    return false;
}

/* The paper's *d, of the first `length` letters. */
static bool ends_double(const stem *w, size_t length)
{
    return length >= 2 && w->c[length - 1] == w->c[length - 2] && is_consonant(w, length - 1);
}

/* The paper's *o, with nltk's words of two letters, a vowel and a consonant. */
static bool ends_cvc(const stem *w, size_t n)
{
    if (n == 2)
        return !is_consonant(w, 0) && is_consonant(w, 1);
    if (n < 3)
        return false;
    uint32_t last = w->c[n - 1];
    return is_consonant(w, n - 3) && !is_consonant(w, n - 2) && is_consonant(w, n - 1) && last != 'w' && last != 'x' &&
           last != 'y';
}

static bool ends_with(const stem *w, const char *tail)
{
    size_t length = strlen(tail);
    if (length > w->length)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (w->c[w->length - length + i] != (unsigned char)tail[i])
            return false;
    }
    return true;
}

/* Puts `with` in the place of the last `cut` letters; it is never longer. */
static void replace_end(stem *w, size_t cut, const char *with)
{
    w->length -= cut;
    for (; *with != '\0'; with++)
        w->c[w->length++] = (unsigned char)*with;
}

typedef struct suffix_rule {
    const char *from, *to;
} suffix_rule;

/* Applies the first rule whose suffix the word has, unless the stem's m is below `least`. */
static void apply_first(stem *w, const suffix_rule *rules, size_t count, size_t least)
{
    for (size_t r = 0; r < count; r++) {
        size_t cut = strlen(rules[r].from);
        if (!ends_with(w, rules[r].from))
            continue;
        if (measure(w, w->length - cut) >= least)
            replace_end(w, cut, rules[r].to);
        return;
    }
}
#define APPLY(word, rules, least) apply_first(word, rules, sizeof(rules) / sizeof((rules)[0]), least)

static void step_1a(stem *w)
{
    static const suffix_rule rules[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}};
    if (w->length == 4 && ends_with(w, "ies"))
        replace_end(w, 3, "ie");
    else
        APPLY(w, rules, 0);
}

/* What follows the loss of -ed and -ing. nltk takes the condition's name *d for letters too, so that a word that ends in them
 * is caught here. */
static void mend_1b(stem *w)
{
    uint32_t last = w->c[w->length - 1];
    if (ends_with(w, "at") || ends_with(w, "bl") || ends_with(w, "iz")) {
        replace_end(w, 0, "e");
    } else if (ends_double(w, w->length)) {
        if (last != 'l' && last != 's' && last != 'z')
            w->length--;
    } else if (ends_with(w, "*d")) {
        replace_end(w, 2, "d");
    } else if (measure(w, w->length) == 1 && ends_cvc(w, w->length)) {
        replace_end(w, 0, "e");
    }
}

static void step_1b(stem *w)
{
    if (ends_with(w, "ied")) {
        replace_end(w, 3, w->length == 4 ? "ie" : "i");
    } else if (ends_with(w, "eed")) {
        if (measure(w, w->length - 3) > 0)
            w->length--;
    } else if (ends_with(w, "ed") && has_vowel(w, w->length - 2)) {
        w->length -= 2;
        mend_1b(w);
    } else if (ends_with(w, "ing") && has_vowel(w, w->length - 3)) {
        w->length -= 3;
        mend_1b(w);
    }
}

static void step_1c(stem *w)
{
    if (w->length > 2 && w->c[w->length - 1] == 'y' && is_consonant(w, w->length - 2))
        w->c[w->length - 1] = 'i';
}

static void step_2(stem *w)
{
    static const suffix_rule rules[] = {
        {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},   {"izer", "ize"},    {"bli", "ble"},
        {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
        {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
        {"iviti", "ive"},   {"biliti", "ble"},  {"fulli", "ful"},
    };
    while (ends_with(w, "alli") && measure(w, w->length - 4) > 0)
        replace_end(w, 4, "al");
    if (!ends_with(w, "logi"))
        APPLY(w, rules, 1);
    else if (measure(w, w->length - 3) > 0) /* the l of -logi counts as the stem's */
        w->length--;
}

static void step_3(stem *w)
{
    static const suffix_rule rules[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                        {"ical", "ic"},  {"ful", ""},   {"ness", ""}};
    APPLY(w, rules, 1);
}

static void step_4(stem *w)
{
    static const suffix_rule before_ion[] = {{"al", ""},   {"ance", ""}, {"ence", ""},  {"er", ""},   {"ic", ""}, {"able", ""},
                                             {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""}, {"ent", ""}};
    static const suffix_rule behind_ion[] = {{"ou", ""},  {"ism", ""}, {"ate", ""}, {"iti", ""},
                                             {"ous", ""}, {"ive", ""}, {"ize", ""}};
    if (!ends_with(w, "ion")) {
        size_t length = w->length;
        APPLY(w, before_ion, 2);
        if (w->length == length)
            APPLY(w, behind_ion, 2);
        return;
    }
    uint32_t last = w->length > 3 ? w->c[w->length - 4] : 0;
    if (measure(w, w->length - 3) > 1 && (last == 's' || last == 't'))
        w->length -= 3;
}

static void step_5(stem *w)
{
    if (w->length > 0 && w->c[w->length - 1] == 'e') {
        size_t m = measure(w, w->length - 1);
        if (m > 1 || (m == 1 && !ends_cvc(w, w->length - 1)))
            w->length--;
    }
    if (ends_with(w, "ll") && measure(w, w->length - 1) > 1)
        w->length--;
}

static bool is_irregular(stem *w)
{
    static const suffix_rule forms[] = {
        {"sky", "sky"},        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},
        {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
        {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
        {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}};
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (w->length == strlen(forms[f].from) && ends_with(w, forms[f].from)) {
            replace_end(w, w->length, forms[f].to);
            return true;
        }
    }
    return false;
}

size_t pfm_porter_stem(uint32_t *word, size_t length)
{
    stem w = {.length = length};
    w.c = word;
    if (is_irregular(&w) || length <= 2)
        return w.length;
    step_1a(&w);
    step_1b(&w);
    step_1c(&w);
    step_2(&w);
    step_3(&w);
    step_4(&w);
    step_5(&w);
    return w.length;
}
