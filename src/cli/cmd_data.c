#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 5, SHOWN_VALUES = 12 };

static int64_t number(const json_t *object, const char *key) { return json_integer_value(json_object_get(object, key)); }
static const char *text(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

static void print_splits(const json_t *splits, FILE *out)
{
    fprintf(out, "%-12s %9s %7s %8s %8s %8s %8s\n", "split", "questions", "images", "patients", "closed", "open", "answers");
    size_t i;
    const json_t *split;
    json_array_foreach(splits, i, split)
    {
        char patients[24] = "-";
        if (json_is_integer(json_object_get(split, "patients")))
            (void)snprintf(patients, sizeof patients, "%" PRId64, number(split, "patients"));
        fprintf(out, "%-12s %9" PRId64 " %7" PRId64 " %8s %8" PRId64 " %8" PRId64 " %8" PRId64 "\n", text(split, "name"),
                number(split, "questions"), number(split, "images"), patients, number(split, "closed"), number(split, "open"),
                number(split, "answers"));
    }
}

typedef struct tally {
    const char *name;
    int64_t count;
} tally;

static int compare_tallies(const void *a, const void *b)
{
    const tally *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* "Organ 2548, Position 1692, ...", the most frequent first. */
static void print_values(const json_t *values, FILE *out)
{
    size_t size = json_object_size(values), used = 0;
    tally *sorted = calloc(size + 1, sizeof *sorted);
    if (sorted == NULL)
        return;
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)values, name, value) /* the macro reads only, but takes no const */
        sorted[used++] = (tally){name, json_integer_value(value)};
    qsort(sorted, used, sizeof *sorted, compare_tallies);
    for (size_t i = 0; i < used && i < SHOWN_VALUES; i++)
        fprintf(out, "%s%s %" PRId64, i > 0 ? ", " : "", sorted[i].name[0] == '\0' ? "(empty)" : sorted[i].name,
                sorted[i].count);
    if (used > SHOWN_VALUES)
        fprintf(out, ", and %zu more", used - SHOWN_VALUES);
    fputc('\n', out);
    free(sorted);
}

static void print_kinds(const json_t *splits, FILE *out)
{
    size_t i;
    const json_t *split, *values;
    json_array_foreach(splits, i, split)
    {
        fprintf(out, "\n%s\n", text(split, "name"));
        if (json_object_size(json_object_get(split, "languages")) > 0) {
            fprintf(out, "  %-14s ", "language");
            print_values(json_object_get(split, "languages"), out);
        }
        const char *name;
        json_object_foreach(json_object_get(split, "by"), name, values)
        {
            fprintf(out, "  %-14s ", name);
            print_values(values, out);
        }
        if (number(split, "left_out") > 0)
            fprintf(out, "  %" PRId64 " rows are left out, since they %s\n", number(split, "left_out"),
                    text(split, "left_out_why"));
        const json_t *empty = json_object_get(split, "empty_answers");
        if (json_array_size(empty) > 0)
            fprintf(out, "  %zu rows have an empty answer, the first is %s\n", json_array_size(empty),
                    json_string_value(json_array_get(empty, 0)));
    }
}

static void print_more(size_t count, FILE *out)
{
    if (count > SHOWN)
        fprintf(out, "  ... and %zu more (--json lists all)\n", count - SHOWN);
}

static void print_images(const json_t *images, FILE *out)
{
    const json_t *small = json_object_get(images, "smallest"), *large = json_object_get(images, "largest"), *entry;
    fprintf(out, "\nimages: %" PRId64 " files, %.1f MB", number(images, "files"), (double)number(images, "bytes") / 1e6);
    if (json_is_array(small))
        fprintf(out, ", %d x %d to %d x %d pixels", (int)json_integer_value(json_array_get(small, 0)),
                (int)json_integer_value(json_array_get(small, 1)), (int)json_integer_value(json_array_get(large, 0)),
                (int)json_integer_value(json_array_get(large, 1)));
    fprintf(out, "; %zu missing, %zu unreadable\n", json_array_size(json_object_get(images, "missing")),
            json_array_size(json_object_get(images, "unreadable")));
    size_t i;
    json_array_foreach(json_object_get(images, "missing"), i, entry)
    {
        if (i < SHOWN)
            fprintf(out, "  missing: %s (%s, rows: %" PRId64 ")\n", text(entry, "image"), text(entry, "split"),
                    number(entry, "rows"));
    }
    print_more(i, out);
    json_array_foreach(json_object_get(images, "unreadable"), i, entry)
    {
        if (i < SHOWN)
            fprintf(out, "  unreadable: %s\n", text(entry, "reason"));
    }
    print_more(i, out);
}

/* "burned-in text: 12 images seem to hold some (train 10, validate 2)", and the first ones. */
static void print_texts(const json_t *splits, const json_t *list, FILE *out)
{
    size_t i;
    const json_t *split, *image;
    const char *separator = " (";
    fprintf(out, "burned-in text: %zu images seem to hold some", json_array_size(list));
    json_array_foreach(splits, i, split)
    {
        if (number(split, "text_like") == 0)
            continue;
        fprintf(out, "%s%s %" PRId64, separator, text(split, "name"), number(split, "text_like"));
        separator = ", ";
    }
    fputs(json_array_size(list) > 0 ? "), which models read too and which may name patients\n" : "\n", out);
    json_array_foreach(list, i, image)
    {
        if (i < SHOWN)
            fprintf(out, "  %s (%s): %" PRId64 " rows of text found%s\n", text(image, "image"), text(image, "split"),
                    number(image, "text_rows"), text(image, "burned_in") != NULL ? "; the file says that it holds some" : "");
    }
    print_more(i, out);
}

static void print_duplicates(const json_t *groups, FILE *out)
{
    size_t i, k;
    const json_t *group, *image;
    fprintf(out, "duplicates: %zu images lie there under more than one name%s\n", json_array_size(groups),
            json_array_size(groups) > 0 ? ":" : "");
    json_array_foreach(groups, i, group)
    {
        if (i >= SHOWN)
            continue;
        json_array_foreach(json_object_get(group, "images"), k, image)
            fprintf(out, "%s%s (%s)", k == 0 ? "  " : ", ", text(image, "image"), text(image, "split"));
        fputc('\n', out);
    }
    print_more(i, out);
}

static void print_questions(const json_t *questions, bool shown, FILE *out)
{
    size_t i;
    const json_t *example;
    fprintf(out, "questions: %" PRId64 " repeat an earlier one%s; %" PRId64 " have different answers\n",
            number(questions, "repeated"), shown ? " about the same image" : "", number(questions, "conflicting"));
    json_array_foreach(json_object_get(questions, "examples"), i, example)
    {
        const json_t *answers = json_object_get(example, "answers");
        const char *image = text(example, "image");
        if (i < SHOWN)
            fprintf(out, "  %s (%s): %s  %s / %s\n", image != NULL ? image : "no image", text(example, "split"),
                    text(example, "question"), json_string_value(json_array_get(answers, 0)),
                    json_string_value(json_array_get(answers, 1)));
    }
}

static void print_near(const json_t *pair, FILE *out)
{
    size_t k;
    const json_t *image;
    if (number(pair, "near") > 0)
        fprintf(out, "  %" PRId64 " images look like one there (a copy made anew, or a slice beside it):\n",
                number(pair, "near"));
    json_array_foreach(json_object_get(pair, "near_images"), k, image)
    {
        if (k < SHOWN)
            fprintf(out, "  %s is like %s (%.2f)\n", text(image, "b"), text(image, "a"),
                    json_real_value(json_object_get(image, "likeness")));
    }
    print_more(k, out);
}

static void print_leakage(const json_t *pairs, FILE *out)
{
    size_t i, k;
    const json_t *pair, *image;
    if (json_array_size(pairs) == 0)
        fputs("leakage: there is one split only\n", out);
    json_array_foreach(pairs, i, pair)
    {
        fprintf(out, "leakage from %s into %s: ", text(pair, "a"), text(pair, "b"));
        if (number(pair, "questions") == 0 && number(pair, "near") == 0) {
            fputs("none\n", out);
            continue;
        }
        fprintf(out, "%" PRId64 " images by bytes, %" PRId64 " by name, %" PRId64 " patients", number(pair, "same_bytes"),
                number(pair, "same_name"), number(pair, "same_patient"));
        if (number(pair, "same_text") > 0)
            fprintf(out, ", %" PRId64 " texts", number(pair, "same_text"));
        fprintf(out, "; %" PRId64 " questions are touched\n", number(pair, "questions"));
        json_array_foreach(json_object_get(pair, "images"), k, image)
        {
            if (k < SHOWN)
                fprintf(out, "  %s is %s\n", text(image, "b"), text(image, "a"));
        }
        print_more(k, out);
        print_near(pair, out);
    }
}

static void render(const json_t *document, FILE *out)
{
    const json_t *splits = json_object_get(document, "splits"), *images = json_object_get(document, "images"), *split;
    const bool shown = number(images, "files") > 0;
    fprintf(out, "%s at %s\n\n", text(document, "dataset"), text(document, "path"));
    print_splits(splits, out);
    print_kinds(splits, out);
    if (shown) {
        print_images(images, out);
        print_texts(splits, json_object_get(images, "text_like"), out);
        print_duplicates(json_object_get(images, "duplicates"), out);
    } else {
        fputs("\nimages: none, the rows are text alone\n", out);
    }
    print_questions(json_object_get(document, "questions"), shown, out);
    print_leakage(json_object_get(document, "leakage"), out);
    size_t i;
    bool mixed = false;
    json_array_foreach(splits, i, split) mixed = mixed || json_object_size(json_object_get(split, "languages")) > 1;
    if (mixed)
        fputs("The rows are in several languages; a recipe takes one (data.language), and --language counts one.\n", out);
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *document = NULL;
    const char *other = cli_get(call, "against");
    const bool named = cli_operand_count(call) > 2;
    if ((other != NULL) != named)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "--against DATASET PATH says which data set to compare with and where it lies");
    pfm_status status =
        pfm_data_audit_against(cli_context(call), cli_operand(call, 0), cli_operand(call, 1), cli_get(call, "language"), other,
                               named ? cli_operand(call, 2) : NULL, &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render, err);
    free(document);
    return status;
}

static const cli_option options[] = {
    {"against", "DATASET", "look for leakage between this data set and another, whose PATH comes last", NULL},
    {"language", "NAME", "count the rows in one language only (en, zh, es)", NULL},
    {0},
};

const cli_command cmd_data = {
    .name = "data",
    .arguments = "DATASET PATH [--language NAME] [--against DATASET PATH]",
    .summary = "counts a data set's splits and kinds; finds missing and duplicate images, and leakage",
    .details =
        "DATASET is slake, vqa_rad, pathvqa, medpix, medpix_cases, iu_xray, mimic_cxr, roco, mediqa_m3g, medexpqa, phantom or "
        "table; "
        "PATH its "
        "folder, or the\n"
        "file of a table (CSV or JSON lines). Every image is read and decoded; those that seem to hold burned-in text are "
        "counted\n"
        "(docs/privacy.md). Leakage between two splits is an image of one\n"
        "that is in the other, by its bytes or its name, a patient who is in both, or a text without images that is; an\n"
        "image that looks like one of the other split is told with how alike they are (docs/data.md).\n\n"
        "  pefomed data slake data/slake --language en\n"
        "  pefomed data table my/images.csv --json\n"
        "  pefomed data medpix data/medpix --against vqa_rad data/vqa_rad",
    .options = options,
    .min_operands = 2,
    .max_operands = 3,
    .needs_context = true,
    .run = run,
};
