/* The scales that people score on, by the rubric's name: whole numbers. Adding one is a line here. */
#ifndef PFM_EVAL_RATING_SCALE_H
#define PFM_EVAL_RATING_SCALE_H

typedef struct pfm_rating_scale {
    const char *name;
    int low, high;
    const char *meaning;
} pfm_rating_scale;

static const pfm_rating_scale pfm_rating_scales[] = {
    {"likert-report", 0, 4, "how well the text says what the reference says: 0 not at all, 4 entirely"},
    {"correct", 0, 1, "1 where the text means the same as the reference, else 0"},
};

#endif
