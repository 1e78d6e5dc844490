#include "eval/wordnet.h"

#include "base/file.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 4, LONGEST_WORD = 200, HEADER_BYTES = 4096 };

typedef struct ending {
    const char *from, *to;
} ending;

/* Of each part of speech: its files' names and the endings that morphy takes off. */
static const struct {
    const char *name;
    ending endings[10];
} parts[PARTS] = {
    {"noun",
     {{"s", ""},
      {"ses", "s"},
      {"ves", "f"},
      {"xes", "x"},
      {"zes", "z"},
      {"ches", "ch"},
      {"shes", "sh"},
      {"men", "man"},
      {"ies", "y"}}},
    {"verb", {{"s", ""}, {"ies", "y"}, {"es", "e"}, {"es", ""}, {"ed", "e"}, {"ed", ""}, {"ing", "e"}, {"ing", ""}}},
    {"adj", {{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}}},
    {"adv", {{NULL, NULL}}},
};

struct pfm_wordnet {
    char *folder;
    pfm_mapping index[PARTS], data[PARTS], exceptions[PARTS];
};

/* Text between two places; what is read moves `at`. */
typedef struct reader {
    const char *at, *end;
} reader;

static const char *const cure = "install it (apt install wordnet-base) or name the folder of WordNet 3.0's files in "
                                "PEFOMED_WORDNET";

static pfm_status open_file(const pfm_wordnet *w, const char *format, const char *part, pfm_mapping *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char name[32], *path = NULL;
    (void)snprintf(name, sizeof name, format, part);
    PFM_TRY(pfm_path_join(w->folder, name, &path, err));
    if (!pfm_path_exists(path))
        PFM_FAIL(PFM_ERROR_IO, "METEOR needs WordNet, and there is no %s: %s", path, cure);
    PFM_TRY(pfm_mapping_open(path, out, err));
done:
    free(path);
    return status;
}

/* The licence at the head of the index names the version, and another one has other synonyms. */
static bool is_version_3_0(const pfm_mapping *index)
{
    static const char mark[] = "WordNet 3.0 Copyright";
    size_t most = index->size < HEADER_BYTES ? index->size : HEADER_BYTES;
    for (size_t i = 0; i + sizeof mark - 1 <= most; i++) {
        if (memcmp(index->data + i, mark, sizeof mark - 1) == 0)
            return true;
    }
    return false;
}

pfm_status pfm_wordnet_open(const char *folder, pfm_wordnet **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_wordnet *w = NULL;
    if (folder == NULL)
        folder = getenv("PEFOMED_WORDNET");
    PFM_TRY(pfm_allocate(1, sizeof *w, &w, err));
    PFM_TRY(pfm_string_copy(folder != NULL && folder[0] != '\0' ? folder : "/usr/share/wordnet", &w->folder, err));
    for (int p = 0; p < PARTS; p++) {
        PFM_TRY(open_file(w, "index.%s", parts[p].name, &w->index[p], err));
        PFM_TRY(open_file(w, "data.%s", parts[p].name, &w->data[p], err));
        PFM_TRY(open_file(w, "%s.exc", parts[p].name, &w->exceptions[p], err));
        if (!is_version_3_0(&w->index[p]))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s/index.%s is not that of WordNet 3.0: %s", w->folder, parts[p].name, cure);
    }
    *out = w;
    w = NULL;
done:
    pfm_wordnet_free(w);
    return status;
}

void pfm_wordnet_free(pfm_wordnet *w)
{
    if (w == NULL)
        return;
    for (int p = 0; p < PARTS; p++) {
        pfm_mapping_close(&w->index[p]);
        pfm_mapping_close(&w->data[p]);
        pfm_mapping_close(&w->exceptions[p]);
    }
    free(w->folder);
    free(w);
}

static reader line_at(const pfm_mapping *file, size_t begin)
{
    const char *text = (const char *)file->data + begin, *end = memchr(text, '\n', file->size - begin);
    return (reader){text, end != NULL ? end : (const char *)file->data + file->size};
}

/* The next word of a line; false at its end. */
static bool next_word(reader *line, const char **word, size_t *length)
{
    while (line->at < line->end && (*line->at == ' ' || *line->at == '\r'))
        line->at++;
    *word = line->at;
    while (line->at < line->end && *line->at != ' ' && *line->at != '\r')
        line->at++;
    *length = (size_t)(line->at - *word);
    return *length > 0;
}

/* A number of at most nine digits; false where the next word is none. */
static bool next_number(reader *line, int base, size_t *out)
{
    const char *word = NULL, *digits = "0123456789abcdef", *found = NULL;
    size_t length = 0;
    *out = 0;
    if (!next_word(line, &word, &length) || length > 9)
        return false;
    for (size_t i = 0; i < length; i++) {
        found = memchr(digits, word[i], (size_t)base);
        if (found == NULL)
            return false;
        *out = *out * (size_t)base + (size_t)(found - digits);
    }
    return true;
}

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* Finds the last line that begins with a word, in a file sorted by its lines' first words. *line is behind that word. */
static bool find_line(const pfm_mapping *file, const char *word, size_t length, reader *line)
{
    size_t low = 0, high = file->size; /* the line begins in low..high */
    bool found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2, begin = middle;
        const char *first = NULL;
        size_t first_length = 0;
        while (begin > low && file->data[begin - 1] != '\n')
            begin--;
        reader here = line_at(file, begin);
        size_t next = (size_t)(here.end - (const char *)file->data) + 1;
        bool header = here.at == here.end || *here.at == ' ';
        if (!header)
            (void)next_word(&here, &first, &first_length);
        int order = header ? -1 : compare(first, first_length, word, length);
        if (order == 0) {
            *line = here;
            found = true;
        }
        if (order <= 0)
            low = next;
        else
            high = begin;
    }
    return found;
}

typedef struct visitor {
    const pfm_wordnet *wordnet;
    int part;
    pfm_wordnet_visit visit;
    void *user;
} visitor;

static pfm_status refuse(const visitor *v, const char *kind, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s/%s.%s is damaged: %s", v->wordnet->folder, kind, parts[v->part].name, cure);
}

/* A meaning's line: offset, file, kind, how many words (hexadecimal), and each word with a number. */
static pfm_status visit_meaning(const visitor *v, size_t offset, pfm_error *err)
{
    const pfm_mapping *file = &v->wordnet->data[v->part];
    const char *word = NULL;
    size_t length = 0, words = 0, number = 0;
    pfm_status status = PFM_OK;
    if (offset >= file->size)
        return refuse(v, "data", err);
    reader line = line_at(file, offset);
    if (!next_number(&line, 10, &number) || number != offset || !next_word(&line, &word, &length) ||
        !next_word(&line, &word, &length) || !next_number(&line, 16, &words))
        return refuse(v, "data", err);
    for (size_t i = 0; i < words; i++) {
        if (!next_word(&line, &word, &length))
            return refuse(v, "data", err);
        const char *mark = word[length - 1] == ')' ? memchr(word, '(', length) : NULL;
        PFM_TRY(v->visit(v->user, word, mark != NULL ? (size_t)(mark - word) : length, err));
        if (!next_number(&line, 16, &number))
            return refuse(v, "data", err);
    }
done:
    return status;
}

/* A word's line in the index: kind, how many meanings, how many pointers and those, how many meanings again, how many of
 * them are ranked, and the meanings' offsets. */
static pfm_status visit_form(const visitor *v, const char *form, size_t form_length, pfm_error *err)
{
    reader line;
    const char *word = NULL;
    size_t length = 0, meanings = 0, pointers = 0, again = 0, ranked = 0;
    pfm_status status = PFM_OK;
    if (!find_line(&v->wordnet->index[v->part], form, form_length, &line))
        return PFM_OK;
    if (!next_word(&line, &word, &length) || !next_number(&line, 10, &meanings) || !next_number(&line, 10, &pointers))
        return refuse(v, "index", err);
    for (size_t i = 0; i < pointers; i++) {
        if (!next_word(&line, &word, &length))
            return refuse(v, "index", err);
    }
    if (!next_number(&line, 10, &again) || again != meanings || !next_number(&line, 10, &ranked))
        return refuse(v, "index", err);
    for (size_t i = 0; i < meanings; i++) {
        size_t offset = 0;
        if (!next_number(&line, 10, &offset))
            return refuse(v, "index", err);
        PFM_TRY(visit_meaning(v, offset, err));
    }
done:
    return status;
}

/* Once each ending is taken off, and what then is a word counts. */
static pfm_status visit_endings(const visitor *v, const char *word, size_t length, pfm_error *err)
{
    char form[LONGEST_WORD + 8];
    for (const ending *e = parts[v->part].endings; e->from != NULL; e++) {
        size_t cut = strlen(e->from), added = strlen(e->to);
        if (length < cut || memcmp(word + length - cut, e->from, cut) != 0)
            continue;
        memcpy(form, word, length - cut);
        memcpy(form + length - cut, e->to, added + 1);
        pfm_status status = visit_form(v, form, length - cut + added, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

pfm_status pfm_wordnet_synonyms(const pfm_wordnet *wordnet, const char *word, size_t length, pfm_wordnet_visit visit,
                                void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (length > LONGEST_WORD) /* longer than any that WordNet has */
        return PFM_OK;
    for (int p = 0; p < PARTS; p++) {
        const visitor v = {wordnet, p, visit, user};
        reader line;
        const char *form = NULL;
        size_t form_length = 0;
        PFM_TRY(visit_form(&v, word, length, err));
        if (!find_line(&wordnet->exceptions[p], word, length, &line)) {
            PFM_TRY(visit_endings(&v, word, length, err));
            continue;
        }
        while (next_word(&line, &form, &form_length))
            PFM_TRY(visit_form(&v, form, form_length, err));
    }
done:
    return status;
}
