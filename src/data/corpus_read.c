/* The files of a corpus and the texts in them. */
#include "data/corpus.h"

#include "base/context.h"
#include "base/file.h"
#include "base/try.h"
#include "data/format.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEEPEST_FOLDER = 32 };

typedef struct reading reading;

/* What is given of a file's bytes. */
typedef pfm_status (*file_reader)(const reading *r, const char *text, size_t length, pfm_error *err);
static pfm_status read_text(const reading *r, const char *text, size_t length, pfm_error *err);
static pfm_status read_lines(const reading *r, const char *text, size_t length, pfm_error *err);
static pfm_status read_csv(const reading *r, const char *text, size_t length, pfm_error *err);

typedef struct corpus_kind {
    const char *ending, *name;
    file_reader read;
    bool records;
} corpus_kind;

static const corpus_kind kinds[] = {
    {".txt", "text", read_text},          {".text", "text", read_text},          {".md", "markdown", read_text},
    {".markdown", "markdown", read_text}, {".jsonl", "jsonl", read_lines, true}, {".ndjson", "jsonl", read_lines, true},
    {".csv", "csv", read_csv, true},
};
static const char known_kinds[] = ".txt, .md, .jsonl or .csv";

static const corpus_kind *find_kind(const char *path)
{
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t size = strlen(kinds[i].ending);
        if (length > size && strcasecmp(path + length - size, kinds[i].ending) == 0)
            return &kinds[i];
    }
    return NULL;
}

typedef struct corpus_file {
    char *path, *name; /* to open; as the index calls it */
    const corpus_kind *kind;
} corpus_file;

struct reading {
    const pfm_context *context;
    const pfm_index_options *options;
    const pfm_corpus_taker *taker;
    pfm_corpus_counts *counts;
    corpus_file *files;
    size_t count, capacity;
    const corpus_file *file; /* that is read */
};

/* ---- which files ---- */

static pfm_status add_file(reading *r, const char *path, const char *name, const corpus_kind *kind, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&r->files, &r->capacity, r->count + 1, sizeof *r->files, err));
    corpus_file *file = &r->files[r->count++]; /* which is released, whatever it holds */
    file->kind = kind;
    PFM_TRY(pfm_string_copy(path, &file->path, err));
    PFM_TRY(pfm_string_copy(name, &file->name, err));
done:
    return status;
}

/* Files of kinds that nobody knows, and those whose names begin with a dot, are none of the corpus. `inside` is what stands
 * before a file's name in the index. */
static pfm_status add_folder(reading *r, const char *folder, const char *inside, int depth, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL, *path = NULL, *name = NULL;
    size_t count = 0;
    if (depth > DEEPEST_FOLDER)
        PFM_FAIL(PFM_ERROR_USAGE, "%s lies more than %d folders deep; does a link lead back?", folder, DEEPEST_FOLDER);
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        free(path);
        free(name);
        path = name = NULL;
        if (names[i][0] == '.')
            continue;
        PFM_TRY(pfm_path_join(folder, names[i], &path, err));
        PFM_TRY(pfm_path_join(inside, names[i], &name, err));
        const corpus_kind *kind = find_kind(names[i]);
        if (pfm_path_is_folder(path))
            PFM_TRY(add_folder(r, path, name, depth + 1, err));
        else if (kind != NULL)
            PFM_TRY(add_file(r, path, name, kind, err));
    }
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(path);
    free(name);
    return status;
}

static pfm_status add_path(reading *r, const char *path, pfm_error *err)
{
    const size_t before = r->count;
    const corpus_kind *kind = find_kind(path);
    pfm_status status = PFM_OK;
    if (pfm_path_is_folder(path)) {
        PFM_TRY(add_folder(r, path, "", 0, err));
        if (r->count == before)
            PFM_FAIL(PFM_ERROR_USAGE, "%s holds no file of a corpus: %s", path, known_kinds);
        goto done;
    }
    if (!pfm_path_exists(path))
        PFM_FAIL(PFM_ERROR_IO, "cannot open %s: no such file or folder", path);
    if (kind == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s is of no kind that an index is made from; give it the ending %s", path, known_kinds);
    PFM_TRY(add_file(r, path, pfm_path_name(path), kind, err));
done:
    return status;
}

/* What is said of records says nothing to texts. */
static pfm_status check_options(const reading *r, pfm_error *err)
{
    const pfm_index_options *o = r->options;
    for (size_t i = 0; i < r->count; i++) {
        if (r->files[i].kind->records)
            return PFM_OK;
    }
    if (o->column_count > 0 || o->search != NULL || o->id != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "--column, --search and --id name columns of JSON lines and CSV, and the corpus has no such file; "
                             "leave them out");
    return PFM_OK;
}

/* ---- what is in them ---- */

static pfm_status read_text(const reading *r, const char *text, size_t length, pfm_error *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t at = 0;
    if (!pfm_text_is_clean(text, length, &at))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: byte %zu is not UTF-8 text; save the file as UTF-8", r->file->path,
                             at);
    if (length >= 3 && memcmp(text, mark, 3) == 0) {
        text += 3;
        length -= 3;
    }
    const pfm_corpus_text all = {.text = text, .length = length, .line = 1};
    return r->taker->text(r->taker->user, &all, err);
}

static pfm_status refuse_column(const json_t *record, const char *column, const pfm_row_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer names = {0};
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)record, name, value) /* the macro reads only, but takes no const */
    {
        if (names.size < 300)
            PFM_TRY(pfm_buffer_append_format(&names, err, "%s%.60s", names.size > 0 ? ", " : "", name));
    }
    PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: has no column '%.80s' (it has: %s); name the text's column with --column",
             place->file, place->number, column, names.size > 0 ? names.data : "none");
done:
    pfm_buffer_free(&names);
    return status;
}

/* *out = the column's text, which the caller frees; NULL where it is null or empty. */
static pfm_status read_column(const json_t *record, const char *column, const pfm_row_place *place, char **out, pfm_error *err)
{
    *out = NULL;
    if (json_object_get(record, column) == NULL)
        return refuse_column(record, column, place, err);
    return pfm_row_copy_scalar(record, column, place, out, err);
}

/* The columns' texts with an empty line between them. */
static pfm_status join_columns(const reading *r, const json_t *record, const pfm_row_place *place, pfm_buffer *out,
                               pfm_error *err)
{
    static const char *const usual[] = {"text"};
    const int given = r->options->column_count;
    pfm_status status = PFM_OK;
    char *text = NULL;
    for (int i = 0; i < (given > 0 ? given : 1); i++) {
        PFM_TRY(read_column(record, given > 0 ? r->options->columns[i] : usual[0], place, &text, err));
        if (text != NULL)
            PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", out->size > 0 ? "\n\n" : "", text));
        free(text);
        text = NULL;
    }
done:
    free(text);
    return status;
}

static bool is_empty(const pfm_buffer *text) { return text->size == 0 || strspn(text->data, " \t\r\n\v\f") == text->size; }

static pfm_status read_record(const reading *r, const json_t *record, size_t line, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_row_place place = {.file = r->file->path, .unit = "line", .number = line};
    pfm_buffer text = {0};
    char *id = NULL, *search = NULL;
    if (!json_is_object(record))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: must be a JSON object with a column of text", place.file, line);
    r->counts->records++;
    PFM_TRY(join_columns(r, record, &place, &text, err));
    if (r->options->search != NULL)
        PFM_TRY(read_column(record, r->options->search, &place, &search, err));
    if (r->options->id != NULL)
        PFM_TRY(read_column(record, r->options->id, &place, &id, err));
    else
        PFM_TRY(pfm_row_copy_scalar(record, "id", &place, &id, err));
    r->counts->left_out += is_empty(&text);
    const pfm_corpus_text all = {
        .text = text.data, .length = text.size, .record = id, .search = search, .line = line, .is_record = true};
    if (!is_empty(&text))
        PFM_TRY(r->taker->text(r->taker->user, &all, err));
done:
    pfm_buffer_free(&text);
    free(id);
    free(search);
    return status;
}

static pfm_status read_lines(const reading *r, const char *text, size_t length, pfm_error *err)
{
    pfm_json_line at = {0};
    pfm_status status = pfm_json_lines_next(text, length, r->file->path, &at, err);
    while (status == PFM_OK && at.value != NULL) {
        status = read_record(r, at.value, at.line, err);
        json_decref(at.value);
        at.value = NULL;
        if (status == PFM_OK && pfm_interrupted(r->context))
            status = pfm_error_set(err, PFM_ERROR_INTERRUPTED, "stopped; no index was written");
        if (status == PFM_OK)
            status = pfm_json_lines_next(text, length, r->file->path, &at, err);
    }
    return status;
}

static pfm_status read_csv(const reading *r, const char *text, size_t length, pfm_error *err)
{
    pfm_records records = {0};
    pfm_status status = pfm_csv_parse(text, length, r->file->path, &records, err);
    for (size_t i = 0; status == PFM_OK && i < records.count; i++)
        status = read_record(r, records.items[i], records.lines[i], err);
    pfm_records_free(&records);
    return status;
}

static pfm_status read_file(const reading *r, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping mapping = {0};
    pfm_hash_hex hash;
    PFM_TRY(pfm_mapping_open(r->file->path, &mapping, err));
    const char *text = mapping.size > 0 ? (const char *)mapping.data : "";
    PFM_TRY(pfm_hash_bytes(text, mapping.size, hash, err));
    PFM_TRY(r->taker->begin(r->taker->user, r->file->name, r->file->kind->name, hash, err));
    PFM_TRY(r->file->kind->read(r, text, mapping.size, err));
done:
    pfm_mapping_close(&mapping);
    return status;
}

pfm_status pfm_corpus_read(const pfm_context *context, const pfm_index_options *options, const pfm_corpus_taker *taker,
                           pfm_corpus_counts *counts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    reading r = {.context = context, .options = options, .taker = taker, .counts = counts};
    for (int i = 0; i < options->path_count; i++)
        PFM_TRY(add_path(&r, options->paths[i], err));
    PFM_TRY(check_options(&r, err));
    for (size_t i = 0; i < r.count; i++) {
        pfm_report_progress(context, "index", "files", (double)i, (double)r.count, NULL);
        if (pfm_interrupted(context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped; no index was written");
        r.file = &r.files[i];
        PFM_TRY(read_file(&r, err));
    }
    pfm_report_progress(context, "index", "files", (double)r.count, (double)r.count, NULL);
done:
    for (size_t i = 0; i < r.count; i++) {
        free(r.files[i].path);
        free(r.files[i].name);
    }
    free(r.files);
    return status;
}
