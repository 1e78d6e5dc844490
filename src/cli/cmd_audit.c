#include "cli.h"

#include <stdlib.h>

static void render_end(const json_t *document, FILE *out)
{
    const json_t *head = json_object_get(document, "head_found");
    const json_t *torn = json_object_get(document, "torn"), *one = NULL;
    size_t i = 0;
    if (json_is_integer(head))
        fprintf(out, "the head that was given is line %lld\n", (long long)json_integer_value(head));
    json_array_foreach(torn, i, one)
        fprintf(out, "line %lld: %lld bytes that are no entry, as a kill or power cut leaves them\n",
                (long long)json_integer_value(json_object_get(one, "line")),
                (long long)json_integer_value(json_object_get(one, "bytes")));
}

static void render(const json_t *document, FILE *out)
{
    const char *head = json_string_value(json_object_get(document, "head"));
    const long long entries = json_integer_value(json_object_get(document, "entries"));
    const bool intact = json_is_true(json_object_get(document, "intact"));
    fprintf(out, "%s: %lld %s, %lld of them %s, %s\n", json_string_value(json_object_get(document, "file")), entries,
            entries == 1 ? "entry" : "entries", (long long)json_integer_value(json_object_get(document, "answers")), "answers",
            intact ? "all as written" : "then the chain is broken");
    if (head != NULL)
        fprintf(out, "from %s to %s\nhead %s\n", json_string_value(json_object_get(document, "first")),
                json_string_value(json_object_get(document, "last")), head);
    render_end(document, out);
}

/* The failure of a record that is broken, with the place. */
static pfm_status judge(const char *text, pfm_error *err)
{
    json_t *document = json_loads(text, 0, NULL);
    const json_t *broken = json_object_get(document, "broken");
    pfm_status status = PFM_OK;
    if (document == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read what was found");
    else if (json_is_object(broken))
        status = pfm_error_set(err, PFM_ERROR_MISMATCH, "%s line %lld: %s: %s; what stands before it is as it was written",
                               json_string_value(json_object_get(document, "file")),
                               (long long)json_integer_value(json_object_get(broken, "line")),
                               json_string_value(json_object_get(broken, "kind")),
                               json_string_value(json_object_get(broken, "reason")));
    json_decref(document);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *document = NULL;
    pfm_status status = pfm_record_verify(cli_operand(call, 0), cli_get(call, "head"), &document, err);
    const pfm_status judged = status == PFM_OK ? judge(document, err) : status;
    if (status == PFM_OK && (judged == PFM_OK || !cli_has(call, "quiet"))) /* a quiet failure is its one line */
        status = cli_print_text(call, document, render, err);
    free(document);
    return status == PFM_OK ? judged : status;
}

static const cli_option options[] = {
    {"head", "HASH", "the hash of an entry that was told or noted before: it must still be there", NULL},
    {0},
};

const cli_command cmd_audit = {
    .name = "audit",
    .arguments = "FILE [--head HASH]",
    .summary = "checks a record of answers",
    .details =
        "FILE is what --record of `serve`, `ask` and `report` wrote (docs/records.md): each entry is chained to the one "
        "before by hash.\n"
        "The first that was changed, is missing, stands in another place or again is named, with exit status 1. That the "
        "end was\n"
        "cut off shows only where --head gives the hash of an entry that was there: answers of `serve` tell it, and this "
        "command.\n\n"
        "  pefomed audit answers.jsonl\n"
        "  pefomed audit answers.jsonl --head 5d1c...e0 --json",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
