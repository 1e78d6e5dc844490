#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"
#include "data/phantom.h"

#include <stdlib.h>
#include <string.h>

/* Answers that an image has not got. */
#define NOT_ASKED (-1)

enum { MAX_ANSWERS = 8, MIN_QUESTIONS = 8, MAX_QUESTIONS = 12 };

/* What few images have an answer to, or is harder to see, is asked before what is common. Where lesions lie has many answers,
 * which cannot all be equally frequent. */
typedef enum rank { DETAIL, LOCATION, COMMON } rank;

/* A question: its words, its answers, and which of them a scene has. `subject` tells questions of one kind apart. */
typedef struct question {
    const char *text, *content_type;
    bool closed;
    rank rank;
    const char *answers[MAX_ANSWERS];
    int (*answer)(const pfm_phantom_scene *scene, int subject); /* an index into answers, or NOT_ASKED */
    int subject;
} question;

enum { CT, MRI, X_RAY }; /* as in modality_names */
enum { YES, NO };

static int modality(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    if (scene->look == PFM_PHANTOM_XRAY)
        return X_RAY;
    return scene->look == PFM_PHANTOM_CT ? CT : MRI;
}

static int is_modality(const pfm_phantom_scene *scene, int subject) { return modality(scene, 0) == subject ? YES : NO; }

static int weighting(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    if (modality(scene, 0) != MRI)
        return NOT_ASKED;
    return scene->look == PFM_PHANTOM_T1 ? 0 : 1;
}

static int plane(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->look == PFM_PHANTOM_XRAY ? 1 : 0;
}

static int region(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return (int)scene->region;
}

static int contains(const pfm_phantom_scene *scene, int subject) { return (int)scene->region == subject ? YES : NO; }

static int lesions(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->lesions;
}

static int is_abnormal(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->lesions > 0 ? YES : NO;
}

/* What all lesions have in common: a bit of their quadrants, `mask`; with mask 0 nothing but that there are some. */
static int shared(const pfm_phantom_scene *scene, int mask)
{
    if (scene->lesions == 0)
        return NOT_ASKED;
    for (int i = 1; i < scene->lesions; i++) {
        if (((int)scene->quadrant[i] & mask) != ((int)scene->quadrant[0] & mask))
            return NOT_ASKED;
    }
    return ((int)scene->quadrant[0] & mask) != 0 ? 1 : 0;
}

static int size(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->lesions == 0 ? NOT_ASKED : (int)scene->large;
}

static int color(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->lesions == 0 ? NOT_ASKED : (int)scene->bright;
}

/* Where lesions may lie. */
#define ORGANS "Liver", "Stomach", "Spleen", "Right Lung", "Left Lung", "Right Hemisphere", "Left Hemisphere"

static int location(const pfm_phantom_scene *scene, int subject)
{
    static const char *const organs[MAX_ANSWERS] = {ORGANS};
    (void)subject;
    if (scene->lesions == 0)
        return NOT_ASKED;
    const char *organ = pfm_phantom_organ(scene->region, scene->quadrant[0]);
    for (int i = 1; i < scene->lesions; i++) {
        if (strcmp(pfm_phantom_organ(scene->region, scene->quadrant[i]), organ) != 0)
            return NOT_ASKED;
    }
    for (int i = 0; i < MAX_ANSWERS && organs[i] != NULL; i++) {
        if (strcmp(organs[i], organ) == 0)
            return i;
    }
    return NOT_ASKED;
}

#define ANSWERS(...)                                                                                                           \
    {                                                                                                                          \
        __VA_ARGS__                                                                                                            \
    }
#define YES_NO ANSWERS("Yes", "No")

static const char *const modality_names[] = {"CT", "MRI", "X-Ray"};

/* The questions, in the order in which an image's are written. */
static const question questions[] = {
    {"What modality is used to take this image?", "Modality", false, COMMON, ANSWERS("CT", "MRI", "X-Ray"), modality, 0},
    {"Is this an MRI scan?", "Modality", true, COMMON, YES_NO, is_modality, MRI},
    {"What is the mr weighting in this image?", "Modality", false, COMMON, ANSWERS("T1", "T2"), weighting, 0},
    {"In what plane is this image scanned?", "Plane", false, COMMON, ANSWERS("Transverse Plane", "Coronal Plane"), plane, 0},
    {"Which part of the body does this image belong to?", "Position", false, COMMON, ANSWERS("Abdomen", "Chest", "Head"),
     region, 0},
    {"Does the picture contain liver?", "Organ", true, COMMON, YES_NO, contains, PFM_PHANTOM_ABDOMEN},
    {"Does the picture contain lung?", "Organ", true, COMMON, YES_NO, contains, PFM_PHANTOM_CHEST},
    {"Does the picture contain brain?", "Organ", true, COMMON, YES_NO, contains, PFM_PHANTOM_HEAD},
    {"What is the largest organ in the picture?", "Size", false, COMMON, ANSWERS("Liver", "Lung", "Brain"), region, 0},
    {"How many abnormalities are there in this image?", "Quantity", false, DETAIL, ANSWERS("0", "1", "2", "3"), lesions, 0},
    {"Is/Are there abnormalities in this image?", "Abnormality", true, DETAIL, YES_NO, is_abnormal, 0},
    {"Where is/are the abnormality located?", "Position", false, LOCATION, ANSWERS(ORGANS), location, 0},
    {"Is/Are the abnormality on the left or the right side of the body?", "Position", true, DETAIL, ANSWERS("Right", "Left"),
     shared, 1},
    {"Is/Are the abnormality in the upper or the lower half of the image?", "Position", true, DETAIL, ANSWERS("Upper", "Lower"),
     shared, 2},
    {"Is/Are the abnormality small or large?", "Size", true, DETAIL, ANSWERS("Small", "Large"), size, 0},
    {"What color does the abnormality show in the picture?", "Color", false, DETAIL, ANSWERS("Black", "White"), color, 0},
};

#define QUESTIONS (sizeof questions / sizeof *questions)

struct pfm_phantom_asker {
    pfm_random random;
    int asked[QUESTIONS][MAX_ANSWERS]; /* how often each answer was the right one so far */
};

pfm_status pfm_phantom_asker_create(uint64_t seed, uint64_t split, pfm_phantom_asker **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status == PFM_OK)
        (*out)->random = pfm_random_start(seed, split);
    return status;
}

void pfm_phantom_asker_free(pfm_phantom_asker *asker) { free(asker); }

/* Whether one more of this answer keeps the answers to a question balanced: none is ahead of another by more than `slack`. */
static bool is_welcome(const pfm_phantom_asker *asker, size_t index, int answer, int slack)
{
    const int *asked = asker->asked[index];
    int least = asked[0];
    for (int i = 1; i < MAX_ANSWERS && questions[index].answers[i] != NULL; i++)
        least = asked[i] < least ? asked[i] : least;
    return questions[index].rank == LOCATION || asked[answer] - least < slack;
}

static pfm_status add_row(const question *q, int answer, const pfm_phantom_scene *scene, int image, const char *image_name,
                          int id, json_t *rows, pfm_error *err)
{
    static const char *const locations[] = {"Abdomen", "Lung", "Brain"};
    json_t *row =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[sss], s:i}", "img_id", image, "img_name", image_name,
                  "question", q->text, "answer", q->answers[answer], "q_lang", "en", "location", locations[scene->region],
                  "modality", modality_names[modality(scene, 0)], "answer_type", q->closed ? "CLOSED" : "OPEN", "base_type",
                  "vqa", "content_type", q->content_type, "triple", "vhead", "_", "_", "qid", id);
    if (json_array_append_new(rows, row) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory for the questions");
    return PFM_OK;
}

/* Marks questions for the scene until it has `most`, in the order given; *count moves on. */
static void choose(pfm_phantom_asker *asker, const pfm_phantom_scene *scene, const size_t *order, int slack, int most,
                   bool *chosen, int *count)
{
    for (size_t i = 0; i < QUESTIONS && *count < most; i++) {
        const question *q = &questions[order[i]];
        int answer = q->answer(scene, q->subject);
        if (chosen[order[i]] || answer == NOT_ASKED || !is_welcome(asker, order[i], answer, slack))
            continue;
        asker->asked[order[i]][answer]++;
        chosen[order[i]] = true;
        ++*count;
    }
}

/* A random order in which what few images have an answer to, and what is harder to see, comes first. */
static void put_in_order(pfm_random *random, size_t order[QUESTIONS])
{
    size_t shuffled[QUESTIONS], count = 0;
    for (size_t i = 0; i < QUESTIONS; i++)
        shuffled[i] = i;
    pfm_random_shuffle(random, shuffled, QUESTIONS);
    for (int common = 0; common < 2; common++) {
        for (size_t i = 0; i < QUESTIONS; i++) {
            if ((questions[shuffled[i]].rank == COMMON) == (common == 1))
                order[count++] = shuffled[i];
        }
    }
}

pfm_status pfm_phantom_ask(pfm_phantom_asker *asker, const pfm_phantom_scene *scene, int image, const char *image_name, int *id,
                           json_t *rows, pfm_error *err)
{
    size_t order[QUESTIONS];
    bool chosen[QUESTIONS] = {false};
    int count = 0;
    put_in_order(&asker->random, order);
    choose(asker, scene, order, 2, MAX_QUESTIONS, chosen, &count);
    for (int slack = 4; slack <= 64; slack *= 2) /* rather a little imbalance than a picture with few questions */
        choose(asker, scene, order, slack, MIN_QUESTIONS, chosen, &count);
    for (size_t i = 0; i < QUESTIONS; i++) {
        const question *q = &questions[i];
        pfm_status status =
            chosen[i] ? add_row(q, q->answer(scene, q->subject), scene, image, image_name, (*id)++, rows, err) : PFM_OK;
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}
