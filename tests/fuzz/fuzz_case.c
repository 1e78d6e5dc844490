/* Any bytes as a case of MedExpQA, in each of its languages: reading must succeed or say why not. */
#include "data/medexpqa.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_case(json_t *record, const char *language)
{
    static const pfm_row_place place = {.file = "FILE", .unit = "line", .number = 1, .split = "train"};
    static const pfm_medexpqa_grounding wrong = {.name = "wrong"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_rows rows = {0};
    if (json_is_object(record) && json_object_set_new(record, "lang", json_string(language)) != 0)
        abort();
    if (pfm_medexpqa_read_case(record, pfm_medexpqa_find_words(language), strcmp(language, "en") == 0 ? NULL : &wrong, &place,
                               &rows, &err) != PFM_OK) {
        if (err.message[0] == '\0')
            abort();
    } else if (rows.count + rows.left_out != 1 || (rows.count == 1 && rows.items[0].answer[1] != '.')) {
        abort();
    }
    pfm_rows_free(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const languages[] = {"en", "es", "fr", "it"};
    json_t *value = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    for (size_t i = 0; value != NULL && i < sizeof languages / sizeof *languages; i++)
        read_case(value, languages[i]);
    json_decref(value);
    return 0;
}
