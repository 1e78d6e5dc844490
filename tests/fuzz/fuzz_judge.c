/* Any bytes as a rubric, as a judge's reply, and as a row that is shown: reading must succeed or say why not, and what a row
 * says cannot hold the mark between which it stands. */
#include "eval/identifiers.h"
#include "eval/verdict.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KNOWN = 3 };

static void show(const pfm_rubric *rubric, const json_t *row)
{
    static const pfm_place place = {"FILE", "line", 1};
    static const char begin[] = "stands between lines that carry the mark ";
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL, mark[9] = "";
    pfm_buffer shown = {0};
    if (pfm_rubric_question(rubric, PFM_REPLY_JSON, row, &place, &text, &err) != PFM_OK) {
        if (err.message[0] == '\0')
            abort();
        return;
    }
    free(text);
    if (pfm_rubric_question(rubric, PFM_REPLY_LINES, row, &place, &text, NULL) != PFM_OK)
        abort();
    if (pfm_rubric_shown(rubric, row, &place, &shown, NULL) != PFM_OK)
        abort();
    memcpy(mark, strstr(text, begin) + sizeof begin - 1, 8);
    if (strstr(shown.data, mark) != NULL)
        abort();
    pfm_buffer_free(&shown);
    free(text);
}

static void look(const pfm_rubric *rubric, const pfm_verdict *verdict)
{
    if (verdict->state != PFM_VERDICT_OK && verdict->state != PFM_VERDICT_UNPARSABLE)
        abort();
    if (verdict->state == PFM_VERDICT_OK && (verdict->score < rubric->low || verdict->score > rubric->high))
        abort();
}

static void read_all(const pfm_rubric *rubric, const char *text)
{
    pfm_verdict verdict;
    pfm_verdict_read(rubric, text, &verdict);
    look(rubric, &verdict);
    if (pfm_verdict_read_json(rubric, text, &verdict, NULL) != PFM_OK)
        abort();
    look(rubric, &verdict);
    json_t *value = json_string(text), *row = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *made = json_pack("{s:s, s:s, s:O?}", "question", "q", "reference", "r", "prediction", value);
    if (value != NULL && made != NULL)
        show(rubric, made);
    if (json_is_object(row))
        show(rubric, row);
    json_decref(made);
    json_decref(row);
    json_decref(value);
}

/* The program's own, read once. */
static const pfm_rubric *known_rubric(size_t i)
{
    static const char *const names[KNOWN] = {"chexprompt", "correct", "likert-report"};
    static pfm_rubric *known[KNOWN];
    if (known[i] == NULL && pfm_rubric_load(names[i], &known[i], NULL) != PFM_OK)
        abort();
    return known[i];
}

/* One that was read can be asked by, in every form. */
static void use(const pfm_rubric *rubric)
{
    json_t *format = NULL;
    if (pfm_rubric_response_format(rubric, "json_schema", &format, NULL) != PFM_OK)
        abort();
    json_decref(format);
    read_all(rubric, "Score: 1");
    read_all(rubric, "{\"score\": 1, \"significant\": {\"A\": 1}}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_rubric *rubric = NULL;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (pfm_rubric_parse("FILE", text, size, &rubric, &err) == PFM_OK)
        use(rubric);
    else if (err.message[0] == '\0')
        abort();
    pfm_rubric_free(rubric);
    (void)pfm_identifiers_find(text);
    (void)pfm_identifier_column(text);
    for (size_t i = 0; i < KNOWN; i++)
        read_all(known_rubric(i), text);
    free(text);
    return 0;
}
