#include "cli.h"
#include "render_scores.h"

#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"profile", "NAME", "a named set of scores, or the path of a file of one (docs/score.md)", NULL},
    {"metrics", "A,B,C", "text metrics, of answers or of reports", NULL},
    {"column", "NAME[=FILE]", "a column of numbers made elsewhere, or a file of {id: number}; may be repeated", NULL},
    {"labels", "OUT", "writes what the labeller of the label_f1 metrics finds in each text (docs/labels.md)", NULL},
    {"bert", "MODEL", "the text encoder of bertscore_*: a name that fetch knows, a folder, or weights in one", NULL},
    {"bert-layer", "N", "whose output is compared, counted from 1 (default: the last)", NULL},
    {"chexbert", "PATH", "CheXbert's checkpoint, for chexbert_f1_*: chexbert.pth, bert-base-uncased's vocab.txt beside it",
     NULL},
    {"list", NULL, "names profiles and metrics and defines each", NULL},
    {"against", "FILE", "another system's predictions of the same questions; repeat for its other seeds", NULL},
    {"rows", "FILE", "rows that bring columns the predictions lack (answer_type, modality, ...), matched by id or qid", NULL},
    {"training", "FILE", "training rows, for the prior that never looks at the image, or for what a profile of texts learns",
     NULL},
    {"where", "COLUMN=VALUE", "only training rows with this value; may be repeated", NULL},
    {"dataset", "NAME", "written into the result", NULL},
    {"split", "NAME", "written into the result", NULL},
    {"probe", "NAME", "written into the result", NULL},
    {0},
};

static void render_list(const json_t *document, FILE *out)
{
    static const char *const kinds[] = {"profiles", "metrics"};
    for (size_t k = 0; k < 2; k++) {
        size_t i = 0;
        json_t *entry = NULL;
        fprintf(out, "%s%s\n", k == 0 ? "" : "\n", kinds[k]);
        json_array_foreach(json_object_get(document, kinds[k]), i, entry)
            fprintf(out, "  %-12s %s\n", json_string_value(json_object_get(entry, "name")),
                    json_string_value(json_object_get(entry, "definition")));
    }
}

static const char *const *copy_values(const cli_call *call, const char *option, const char **into, int *count)
{
    const char *const *values = cli_get_all(call, option, count);
    for (int i = 0; i < *count; i++)
        into[i] = values[i];
    return into;
}

static pfm_status score(cli_call *call, char **document, pfm_error *err)
{
    enum { MOST = 256 }; /* as many words as the frame takes */
    const char *files[MOST], *against[MOST], *conditions[MOST], *columns[MOST];
    int64_t layer = 0;
    int against_count = 0, condition_count = 0, column_count = 0, file_count = cli_operand_count(call);
    for (int i = 0; i < file_count; i++)
        files[i] = cli_operand(call, i);
    pfm_score_request request = {.files = files,
                                 .file_count = (size_t)file_count,
                                 .profile = cli_get(call, "profile"),
                                 .metrics = cli_get(call, "metrics"),
                                 .labels = cli_get(call, "labels"),
                                 .rows = cli_get(call, "rows"),
                                 .training = cli_get(call, "training"),
                                 .bert = cli_get(call, "bert"),
                                 .chexbert = cli_get(call, "chexbert"),
                                 .dataset = cli_get(call, "dataset"),
                                 .split = cli_get(call, "split"),
                                 .probe = cli_get(call, "probe")};
    pfm_status status = cli_get_integer(call, "bert-layer", 1, 1000, &layer, err);
    if (status != PFM_OK)
        return status;
    request.bert_layer = (int)layer;
    request.against = copy_values(call, "against", against, &against_count);
    request.conditions = copy_values(call, "where", conditions, &condition_count);
    request.columns = copy_values(call, "column", columns, &column_count);
    request.column_count = (size_t)column_count;
    request.against_count = (size_t)against_count;
    request.condition_count = (size_t)condition_count;
    return pfm_score(cli_context(call), &request, document, err);
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *document = NULL;
    bool list = cli_has(call, "list");
    pfm_status status = list ? pfm_score_list(&document, err) : score(call, &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, list ? render_list : cli_render_scores, err);
    free(document);
    return status;
}

const cli_command cmd_score = {
    .name = "score",
    .arguments = "FILE... (--profile NAME | --metrics A,B,C | --column NAME)... [--against FILE]... | --list",
    .summary = "scores a predictions file",
    .details = "Several FILEs are runs of one system with different seeds: their mean is scored, and their spread shown.\n"
               "--against adds the difference to another system's predictions of the same questions, with an interval over "
               "images and\n"
               "the p-value of a paired test.\n\n"
               "  pefomed score predictions.jsonl --profile vqa\n"
               "  pefomed score seed1.jsonl seed2.jsonl seed3.jsonl --profile vqa --against other.jsonl\n"
               "  pefomed score predictions.jsonl --profile vqa --training slake/train.json --where q_lang=en\n"
               "  pefomed score reports.jsonl --profile r2gen --training train.jsonl\n"
               "  pefomed score reports.jsonl --metrics bleu4,meteor_nltk --column radgraph_f1 --against other.jsonl\n"
               "  pefomed score reports.jsonl --metrics label_f1_micro,label_f1_macro5 --labels labels.jsonl",
    .options = options,
    .min_operands = 0,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
