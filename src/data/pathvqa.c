/* PathVQA (He et al., PathVQA: 30000+ Questions for Medical Visual Question Answering, 2020) as one JSON array a split with the
 * images under images/. Rows have no id, images no patient. Where there is no validation file, training images are held back.
 */
#include "data/format.h"

static const pfm_json_splits layout = {
    .columns = {.image = "image", .question = "question", .answer = "answer", .answer_type = "answer_type"},
    .images = "images",
    .makes_validation = true,
};

const pfm_dataset_format pfm_dataset_pathvqa = {.name = "pathvqa", .layout = &layout};
