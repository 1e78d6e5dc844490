/* Any bytes as a table, and as a JSON row of a data set: reading must succeed or say why not. */
#include "data/format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_row(const json_t *object)
{
    static const pfm_columns columns = {.id = "qid",
                                        .image = "img_name",
                                        .images = "images",
                                        .question = "question",
                                        .answer = "answer",
                                        .report = "report",
                                        .answer_type = "answer_type",
                                        .patient = "patient"};
    static const pfm_row_place place = {.file = "FILE", .unit = "row", .number = 1, .split = "train", .image_folder = "imgs"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_row row = {0};
    if (pfm_row_read(object, &columns, &place, &row, &err) == PFM_OK)
        pfm_row_free(&row);
    else if (err.message[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_records records = {0};
    if (pfm_csv_parse((const char *)data, size, "FILE", &records, &err) != PFM_OK && err.message[0] == '\0')
        abort();
    for (size_t i = 0; i < records.count; i++)
        read_row(records.items[i]);
    pfm_records_free(&records);
    json_t *value = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (value != NULL)
        read_row(value);
    json_decref(value);
    return 0;
}
