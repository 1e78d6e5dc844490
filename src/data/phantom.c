/* The synthetic data set that `pefomed phantom` writes, in SLAKE's format. */
#include "data/format.h"

static const pfm_json_splits layout = {
    .columns = {.id = "qid",
                .image = "img_name",
                .question = "question",
                .answer = "answer",
                .answer_type = "answer_type",
                .needs_answer_type = true},
    .images = "imgs",
    .language = "q_lang",
};

const pfm_dataset_format pfm_dataset_phantom = {.name = "phantom", .layout = &layout};
