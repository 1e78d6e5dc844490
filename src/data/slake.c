/* SLAKE (Liu et al., SLAKE: A Semantically-Labeled Knowledge-Enhanced Dataset for Medical Visual Question Answering, ISBI
 * 2021): one JSON array a split, English and Chinese rows side by side, images under imgs/. */
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
    .needs_language = true,
};

const pfm_dataset_format pfm_dataset_slake = {.name = "slake", .layout = &layout};
