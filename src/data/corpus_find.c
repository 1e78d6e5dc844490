/* What an index holds for a question. */
#include "data/corpus.h"

#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* The words of a text one behind the other, a blank between them. */
typedef struct word_list {
    pfm_buffer text;
    size_t *begins, count, capacity; /* where each word begins */
} word_list;

static void free_words(word_list *list)
{
    pfm_buffer_free(&list->text);
    free(list->begins);
}

static size_t end_of(const word_list *list, size_t word)
{
    return word + 1 < list->count ? list->begins[word + 1] - 1 : list->text.size;
}

static pfm_status read_words(const char *text, size_t length, word_list *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(&out->text);
    out->count = 0;
    PFM_TRY(pfm_text_append_words(text, length, &out->text, err));
    for (size_t at = 0; at < out->text.size; at++) {
        if (at > 0 && out->text.data[at - 1] != ' ')
            continue;
        PFM_TRY(pfm_array_reserve(&out->begins, &out->capacity, out->count + 1, sizeof *out->begins, err));
        out->begins[out->count++] = at;
    }
done:
    return status;
}

/* ---- what must not be found ---- */

/* Runs of words of a row's own text; a run's bytes are borrowed from its words. */
typedef struct own_runs {
    word_list words;
    pfm_map runs;
    size_t length; /* words of a run; 0: there are none */
} own_runs;

static void free_runs(own_runs *own)
{
    free_words(&own->words);
    pfm_map_free(&own->runs);
}

static pfm_status read_runs(const char *text, own_runs *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (text == NULL)
        return PFM_OK;
    PFM_TRY(read_words(text, strlen(text), &out->words, err));
    const word_list *words = &out->words;
    out->length = words->count < PFM_INDEX_OWN_WORDS ? words->count : PFM_INDEX_OWN_WORDS;
    for (size_t i = 0; out->length > 0 && i + out->length <= words->count; i++) {
        const size_t begin = words->begins[i], end = end_of(words, i + out->length - 1);
        PFM_TRY(pfm_map_set(&out->runs, words->text.data + begin, end - begin, 0, err));
    }
done:
    return status;
}

/* A short snippet that stands in the own text word for word. */
static bool is_within(const word_list *snippet, const word_list *own)
{
    const size_t size = snippet->text.size;
    for (size_t i = 0; snippet->count > 0 && i + snippet->count <= own->count; i++) {
        const size_t begin = own->begins[i], end = end_of(own, i + snippet->count - 1);
        if (end - begin == size && memcmp(own->text.data + begin, snippet->text.data, size) == 0)
            return true;
    }
    return false;
}

static bool shares_run(const own_runs *own, const word_list *snippet)
{
    if (snippet->count < own->length)
        return is_within(snippet, &own->words);
    for (size_t i = 0; own->length > 0 && i + own->length <= snippet->count; i++) {
        const size_t begin = snippet->begins[i], end = end_of(snippet, i + own->length - 1);
        if (pfm_map_get(&own->runs, snippet->text.data + begin, end - begin, NULL))
            return true;
    }
    return false;
}

/* ---- the query ---- */

/* A word of the question, and in how many snippets it stands. */
typedef struct asked_word {
    const char *text;
    size_t length, place;
    int64_t count;
} asked_word;

/* Appends the word in quotes, so that none of it is FTS5's syntax. */
static pfm_status quote(const char *word, size_t length, pfm_buffer *out, pfm_error *err)
{
    return pfm_buffer_append_format(out, err, "%s\"%.*s\"", out->size > 0 ? " OR " : "", (int)length, word);
}

static pfm_status count_in_index(pfm_index *index, const char *word, size_t length, int64_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer query = {0};
    bool row = false;
    PFM_TRY(quote(word, length, &query, err));
    (void)sqlite3_reset(index->count);
    if (sqlite3_bind_text(index->count, 1, query.data, (int)query.size, SQLITE_STATIC) != SQLITE_OK)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not search %s", index->path);
    PFM_TRY(pfm_database_step(&index->database, index->count, &row, err));
    *out = row ? sqlite3_column_int64(index->count, 0) : 0;
done:
    (void)sqlite3_reset(index->count);
    (void)sqlite3_clear_bindings(index->count);
    pfm_buffer_free(&query);
    return status;
}

/* The same, looked up once for each word. */
static pfm_status count_word(pfm_index *index, const char *word, size_t length, int64_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *copy = NULL;
    if (pfm_map_get(&index->counts, word, length, out))
        return PFM_OK;
    PFM_TRY(count_in_index(index, word, length, out, err));
    PFM_TRY(pfm_array_reserve(&index->words, &index->word_capacity, index->word_count + 1, sizeof *index->words, err));
    PFM_TRY(pfm_string_copy_n(word, length, &copy, err));
    index->words[index->word_count++] = copy;
    PFM_TRY(pfm_map_set(&index->counts, copy, length, *out, err));
done:
    return status;
}

static int by_count(const void *a, const void *b)
{
    const asked_word *x = a, *y = b;
    return x->count != y->count ? (x->count > y->count) - (x->count < y->count) : (x->place > y->place) - (x->place < y->place);
}

/* "fever" OR "not" OR ...: each word once, the rarest first. One that stands nowhere says nothing; the most frequent ones,
 * which weigh little and cost most, are left out where all together stand in too many snippets. */
static pfm_status write_query(pfm_index *index, const word_list *words, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map seen = {0};
    asked_word *asked = NULL;
    size_t count = 0;
    int64_t looked_at = 0;
    PFM_TRY(pfm_allocate(words->count, sizeof *asked, &asked, err));
    for (size_t i = 0; i < words->count; i++) {
        asked_word word = {
            .text = words->text.data + words->begins[i], .length = end_of(words, i) - words->begins[i], .place = i};
        if (pfm_map_get(&seen, word.text, word.length, NULL))
            continue;
        PFM_TRY(pfm_map_set(&seen, word.text, word.length, 0, err));
        PFM_TRY(count_word(index, word.text, word.length, &word.count, err));
        if (word.count > 0)
            asked[count++] = word;
    }
    qsort(asked, count, sizeof *asked, by_count);
    for (size_t i = 0; i < count && (i == 0 || looked_at + asked[i].count <= PFM_INDEX_LOOKED_AT); i++) {
        looked_at += asked[i].count;
        PFM_TRY(quote(asked[i].text, asked[i].length, out, err));
    }
done:
    pfm_map_free(&seen);
    free(asked);
    return status;
}

/* ---- finding ---- */

typedef struct finding {
    pfm_index *index;
    const pfm_own_texts *own;
    own_runs runs[2];
    word_list snippet;
    int words_left; /* that may still be shown; negative: no limit */
    pfm_buffer *out;
    json_t *places;
    int count;
    char **shown; /* [count] the texts, whole */
    size_t capacity;
} finding;

/* *out = the snippet may be shown. */
static pfm_status may_show(finding *f, const char *record, const char *text, size_t length, bool *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = false;
    for (int i = 0; i < f->count; i++) {
        if (strcmp(f->shown[i], text) == 0)
            return PFM_OK;
    }
    *out = true;
    if (f->own == NULL)
        return PFM_OK;
    PFM_TRY(read_words(text, length, &f->snippet, err));
    const bool same = f->own->record != NULL && record != NULL && strcmp(f->own->record, record) == 0;
    *out = !same && !shares_run(&f->runs[0], &f->snippet) && !shares_run(&f->runs[1], &f->snippet);
done:
    return status;
}

static pfm_status show(finding *f, const char *text, const char *source, int64_t line, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t length = strlen(text), words = 0;
    if (f->words_left >= 0) {
        const size_t whole = length;
        length = pfm_text_cut_at(text, whole, (size_t)f->words_left, f->count == 0, &words);
        f->words_left = length < whole ? 0 : f->words_left - (int)words;
    }
    if (length == 0)
        return PFM_OK;
    PFM_TRY(pfm_array_reserve(&f->shown, &f->capacity, (size_t)f->count + 1, sizeof *f->shown, err));
    PFM_TRY(pfm_string_copy(text, &f->shown[f->count], err));
    f->count++;
    PFM_TRY(pfm_buffer_append_format(f->out, err, "%s%.*s", f->count > 1 ? "\n" : "", (int)length, text));
    json_t *place = f->places == NULL ? NULL : json_sprintf("%s:%lld", source, (long long)line);
    if (f->places == NULL)
        goto done;
    if (place == NULL || json_array_append_new(f->places, place) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not note what was found");
done:
    return status;
}

/* Looks at the snippet of this number. */
static pfm_status consider(finding *f, int64_t number, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *get = f->index->get;
    bool row = false, shown = false;
    size_t bad = 0;
    (void)sqlite3_reset(get);
    (void)sqlite3_bind_int64(get, 1, number);
    PFM_TRY(pfm_database_step(&f->index->database, get, &row, err));
    const char *text = row ? (const char *)sqlite3_column_text(get, 0) : NULL;
    const size_t length = text == NULL ? 0 : (size_t)sqlite3_column_bytes(get, 0);
    const char *record = row ? (const char *)sqlite3_column_text(get, 1) : NULL,
               *source = row ? (const char *)sqlite3_column_text(get, 3) : NULL;
    if (text == NULL || source == NULL || !pfm_text_is_clean(text, length, &bad) ||
        !pfm_text_is_clean(source, (size_t)sqlite3_column_bytes(get, 3), &bad))
        PFM_FAIL(PFM_ERROR_FORMAT, "the index %s is damaged (snippet %lld); make it anew with pefomed index", f->index->path,
                 (long long)number);
    PFM_TRY(may_show(f, record, text, length, &shown, err));
    if (shown)
        PFM_TRY(show(f, text, source, sqlite3_column_int64(get, 2), err));
done:
    return status;
}

static pfm_status prepare(pfm_index *index, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (index->find == NULL)
        PFM_TRY(pfm_database_prepare(&index->database, "SELECT rowid FROM words WHERE words MATCH ?1 ORDER BY rank, rowid",
                                     &index->find, err));
    if (index->count == NULL)
        PFM_TRY(pfm_database_prepare(&index->database, "SELECT count(*) FROM words WHERE words MATCH ?1", &index->count, err));
    if (index->get == NULL)
        PFM_TRY(
            pfm_database_prepare(&index->database,
                                 "SELECT snippets.text, snippets.record, snippets.line, sources.name FROM snippets LEFT JOIN "
                                 "sources ON sources.number = snippets.source WHERE snippets.number = ?1",
                                 &index->get, err));
done:
    return status;
}

static pfm_status search(finding *f, const pfm_buffer *query, int most, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *find = f->index->find;
    bool row = true;
    (void)sqlite3_reset(find);
    if (sqlite3_bind_text(find, 1, query->data, (int)query->size, SQLITE_STATIC) != SQLITE_OK)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not search %s", f->index->path);
    while (f->count < most && f->words_left != 0) {
        PFM_TRY(pfm_database_step(&f->index->database, find, &row, err));
        if (!row)
            break;
        PFM_TRY(consider(f, sqlite3_column_int64(find, 0), err));
    }
done:
    (void)sqlite3_reset(find);
    (void)sqlite3_reset(f->index->get);
    (void)sqlite3_clear_bindings(find);
    return status;
}

pfm_status pfm_index_find(pfm_index *index, const char *text, const pfm_own_texts *own, int most, int most_words,
                          pfm_buffer *out, json_t *places, pfm_error *err)
{
    pfm_status status = PFM_OK;
    word_list words = {.count = 0};
    pfm_buffer query = {0};
    finding f = {.index = index, .own = own, .words_left = most_words > 0 ? most_words : -1, .out = out, .places = places};
    PFM_TRY(prepare(index, err));
    for (int i = 0; own != NULL && i < 2; i++)
        PFM_TRY(read_runs(own->texts[i], &f.runs[i], err));
    PFM_TRY(read_words(text, strlen(text), &words, err));
    PFM_TRY(write_query(index, &words, &query, err));
    if (query.size > 0)
        PFM_TRY(search(&f, &query, most, err));
done:
    for (int i = 0; i < f.count; i++)
        free(f.shown[i]);
    free(f.shown);
    free_runs(&f.runs[0]);
    free_runs(&f.runs[1]);
    free_words(&f.snippet);
    free_words(&words);
    pfm_buffer_free(&query);
    return status;
}
