#include "cli.h"

#include <stdlib.h>
#include <string.h>

static double number(const json_t *document, const char *key) { return json_number_value(json_object_get(document, key)); }

static void render(const json_t *document, FILE *out)
{
    const json_t *sources = json_object_get(document, "sources"), *source = NULL;
    size_t i = 0;
    fprintf(out, "wrote      %s, %.1f MB\n", json_string_value(json_object_get(document, "out")),
            number(document, "bytes") / 1e6);
    fprintf(out, "snippets   %.0f with %.0f words\n", number(document, "snippets"), number(document, "words"));
    if (number(document, "records") > 0)
        fprintf(out, "records    %.0f, of which %.0f have no text\n", number(document, "records"),
                number(document, "left_out"));
    json_array_foreach(sources, i, source)
    {
        if (i < 10)
            fprintf(out, "%s %s: %.0f snippets\n", i == 0 ? "sources   " : "          ",
                    json_string_value(json_object_get(source, "name")), number(source, "snippets"));
    }
    if (json_array_size(sources) > 10)
        fprintf(out, "           and %zu more files\n", json_array_size(sources) - 10);
    fprintf(out, "sha256     %s\n", json_string_value(json_object_get(document, "sha256")));
}

static pfm_status get_sizes(const cli_call *call, pfm_index_options *options, pfm_error *err)
{
    int64_t words = PFM_INDEX_WORDS, overlap = 0;
    pfm_status status = cli_get_integer(call, "words", PFM_INDEX_LEAST_WORDS, PFM_INDEX_MOST_WORDS, &words, err);
    overlap = words / 2 < PFM_INDEX_OVERLAP ? words / 2 : PFM_INDEX_OVERLAP;
    if (status == PFM_OK)
        status = cli_get_integer(call, "overlap", 0, words / 2, &overlap, err);
    options->words = (int)words;
    options->overlap = (int)overlap;
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *json = NULL;
    const int count = cli_operand_count(call);
    const char *stemmer = cli_get(call, "stemmer"), **paths = NULL;
    pfm_index_options options = {.path_count = count,
                                 .out = cli_get(call, "out"),
                                 .search = cli_get(call, "search"),
                                 .id = cli_get(call, "id"),
                                 .porter = stemmer != NULL && strcmp(stemmer, "porter") == 0};
    options.columns = cli_get_all(call, "column", &options.column_count);
    if (options.out == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "where does the index go? say --out INDEX, as in --out cases.sqlite");
    pfm_status status = get_sizes(call, &options, err);
    if (status != PFM_OK)
        return status;
    paths = calloc((size_t)count, sizeof *paths);
    if (paths == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read the command");
    for (int i = 0; i < count; i++)
        paths[i] = cli_operand(call, i);
    options.paths = paths;
    status = pfm_index_build(cli_context(call), &options, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, render, err);
    free(paths);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"out", "INDEX", "the file to write, such as cases.sqlite; an index that is there is replaced", NULL},
    {"column", "NAME", "of JSON lines and CSV: the column of the text (default text); several are joined", NULL},
    {"search", "NAME", "a column that is searched too, and not shown", NULL},
    {"id", "NAME", "the column that names a record (default id, where there is one)", NULL},
    {"words", "N", "the most words of a snippet (default 100)", NULL},
    {"overlap", "N", "the most words that a snippet repeats of the one before it (default 20)", NULL},
    {"stemmer", "NAME", "porter finds English words by their stems; none (default) as they are", "none|porter"},
    {0},
};

const cli_command cmd_index = {
    .name = "index",
    .arguments = "CORPUS... --out INDEX",
    .summary = "indexes texts, from which questions are shown what fits them",
    .details =
        "CORPUS is a text (.txt), Markdown (.md), JSON lines (.jsonl) or CSV file, or a folder with such files. Texts are cut\n"
        "into snippets at the ends of sentences. A recipe with data.grounding: retrieved and data.index: INDEX shows each\n"
        "question its best snippets; docs/retrieval.md says how.\n\n"
        "  pefomed index medexpqa/train.en.jsonl --column explanation --search full_question --out cases.sqlite\n"
        "  pefomed index textbooks/ --words 150 --stemmer porter --out textbooks.sqlite",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
