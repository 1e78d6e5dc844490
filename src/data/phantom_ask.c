#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"
#include "data/phantom.h"

#include <stdlib.h>
#include <string.h>

/* Answers that an image has not got. */
#define NOT_ASKED (-1)

enum { MAX_ANSWERS = 8, MIN_QUESTIONS = 8, MAX_QUESTIONS = 12 };

/* A question: its words, its answers, and which of them a scene has. `subject` tells questions of one kind apart. */
typedef struct question {
    const char *text, *content_type;
    bool closed;
    int group; /* of one group an image is asked at most group_limits[group] */
    const char *answers[MAX_ANSWERS];
    int (*answer)(const pfm_phantom_scene *scene, int subject); /* an index into answers, or NOT_ASKED */
    int subject;
} question;

enum { MODALITY, PRESENCE, HEALTH, NORMALITY, UNBALANCED, OTHER, GROUPS };
static const int group_limits[GROUPS] = {
    [MODALITY] = 1, [PRESENCE] = 2, [HEALTH] = 1, [NORMALITY] = 1, [UNBALANCED] = 1, [OTHER] = MAX_QUESTIONS};

enum { CT, MRI, X_RAY };
enum { YES, NO };
enum organ { ORGAN_LIVER, ORGAN_SPLEEN, ORGAN_KIDNEY, ORGAN_LUNG, ORGAN_HEART, ORGAN_BRAIN };

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

static int contains(const pfm_phantom_scene *scene, int subject)
{
    switch (subject) {
    case ORGAN_LIVER: return scene->region == PFM_PHANTOM_ABDOMEN ? YES : NO;
    case ORGAN_SPLEEN: return scene->spleen ? YES : NO;
    case ORGAN_KIDNEY: return scene->right_kidney || scene->left_kidney ? YES : NO;
    case ORGAN_LUNG:
    case ORGAN_HEART: return scene->region == PFM_PHANTOM_CHEST ? YES : NO;
    default: return scene->region == PFM_PHANTOM_HEAD ? YES : NO;
    }
}

static int kidneys(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->region == PFM_PHANTOM_ABDOMEN ? scene->right_kidney + scene->left_kidney : NOT_ASKED;
}

static int lesions(const pfm_phantom_scene *scene, int subject)
{
    (void)subject;
    return scene->lesions;
}

static int is_abnormal(const pfm_phantom_scene *scene, int subject)
{
    return (scene->lesions > 0) == (subject == 0) ? YES : NO;
}

static bool has_lesion(const pfm_phantom_scene *scene, pfm_phantom_quadrant quadrant)
{
    for (int i = 0; i < scene->lesions; i++) {
        if (scene->quadrant[i] == quadrant)
            return true;
    }
    return false;
}

/* Whether the organ is healthy that takes up this quadrant, and perhaps the one below it. */
enum { HEALTH_OF_LIVER, HEALTH_OF_RIGHT_LUNG, HEALTH_OF_LEFT_LUNG, HEALTH_OF_BRAIN };
static int healthy(const pfm_phantom_scene *scene, int subject)
{
    static const pfm_phantom_region regions[] = {PFM_PHANTOM_ABDOMEN, PFM_PHANTOM_CHEST, PFM_PHANTOM_CHEST, PFM_PHANTOM_HEAD};
    if (scene->region != regions[subject])
        return NOT_ASKED;
    bool right = has_lesion(scene, PFM_PHANTOM_RIGHT_UPPER) || has_lesion(scene, PFM_PHANTOM_RIGHT_LOWER);
    bool left = has_lesion(scene, PFM_PHANTOM_LEFT_UPPER) || has_lesion(scene, PFM_PHANTOM_LEFT_LOWER);
    if (subject == HEALTH_OF_BRAIN)
        return right || left ? NO : YES;
    return (subject == HEALTH_OF_LEFT_LUNG ? left : right) ? NO : YES;
}

/* What all lesions share of their quadrants under `mask`, or -1. `subject` is 0 for one lesion, 1 for several: the words
 * differ. */
static int shared(const pfm_phantom_scene *scene, int subject, unsigned mask)
{
    if (scene->lesions == 0 || (scene->lesions > 1) != (subject == 1))
        return NOT_ASKED;
    for (int i = 1; i < scene->lesions; i++) {
        if (((unsigned)scene->quadrant[i] & mask) != ((unsigned)scene->quadrant[0] & mask))
            return NOT_ASKED;
    }
    return ((unsigned)scene->quadrant[0] & mask) != 0 ? 1 : 0;
}

static int side(const pfm_phantom_scene *scene, int subject) { return shared(scene, subject, 1); }
static int half(const pfm_phantom_scene *scene, int subject) { return shared(scene, subject, 2); }

static int size(const pfm_phantom_scene *scene, int subject)
{
    return shared(scene, subject, 0) == NOT_ASKED ? NOT_ASKED : (int)scene->large;
}

static int color(const pfm_phantom_scene *scene, int subject)
{
    return shared(scene, subject, 0) == NOT_ASKED ? NOT_ASKED : (int)scene->bright;
}

/* Where lesions may lie. */
#define ORGANS "Liver", "Stomach", "Spleen", "Right Lung", "Left Lung", "Right Hemisphere", "Left Hemisphere"

static int location(const pfm_phantom_scene *scene, int subject)
{
    static const char *const organs[MAX_ANSWERS] = {ORGANS};
    (void)subject;
    if (scene->lesions != 1)
        return NOT_ASKED;
    const char *organ = pfm_phantom_organ(scene->region, scene->quadrant[0]);
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
    {"What modality is used to take this image?", "Modality", false, OTHER, ANSWERS("CT", "MRI", "X-Ray"), modality, 0},
    {"Is this a CT scan?", "Modality", true, MODALITY, YES_NO, is_modality, CT},
    {"Is this an MRI scan?", "Modality", true, MODALITY, YES_NO, is_modality, MRI},
    {"Is this an X-Ray image?", "Modality", true, MODALITY, YES_NO, is_modality, X_RAY},
    {"What is the mr weighting in this image?", "Modality", false, OTHER, ANSWERS("T1", "T2"), weighting, 0},
    {"In what plane is this image scanned?", "Plane", false, OTHER, ANSWERS("Transverse Plane", "Coronal Plane"), plane, 0},
    {"Which part of the body does this image belong to?", "Position", false, OTHER, ANSWERS("Abdomen", "Chest", "Head"), region,
     0},
    {"Does the picture contain liver?", "Organ", true, PRESENCE, YES_NO, contains, ORGAN_LIVER},
    {"Does the picture contain spleen?", "Organ", true, PRESENCE, YES_NO, contains, ORGAN_SPLEEN},
    {"Does the picture contain kidney?", "Organ", true, PRESENCE, YES_NO, contains, ORGAN_KIDNEY},
    {"Does the picture contain lung?", "Organ", true, PRESENCE, YES_NO, contains, ORGAN_LUNG},
    {"Does the picture contain heart?", "Organ", true, PRESENCE, YES_NO, contains, ORGAN_HEART},
    {"Does the picture contain brain?", "Organ", true, PRESENCE, YES_NO, contains, ORGAN_BRAIN},
    {"What is the largest organ in the picture?", "Size", false, OTHER, ANSWERS("Liver", "Lung", "Brain"), region, 0},
    {"How many kidneys are there in this image?", "Quantity", false, OTHER, ANSWERS("0", "1", "2"), kidneys, 0},
    {"How many abnormalities are there in this image?", "Quantity", false, OTHER, ANSWERS("0", "1", "2", "3"), lesions, 0},
    {"Are there abnormalities in this image?", "Abnormality", true, NORMALITY, YES_NO, is_abnormal, 0},
    {"Is this image normal?", "Abnormality", true, NORMALITY, YES_NO, is_abnormal, 1},
    {"Is the liver healthy?", "Abnormality", true, HEALTH, YES_NO, healthy, HEALTH_OF_LIVER},
    {"Is the right lung healthy?", "Abnormality", true, HEALTH, YES_NO, healthy, HEALTH_OF_RIGHT_LUNG},
    {"Is the left lung healthy?", "Abnormality", true, HEALTH, YES_NO, healthy, HEALTH_OF_LEFT_LUNG},
    {"Is the brain healthy?", "Abnormality", true, HEALTH, YES_NO, healthy, HEALTH_OF_BRAIN},
    {"Where is the abnormality located?", "Position", false, UNBALANCED, ANSWERS(ORGANS), location, 0},
    {"Is the abnormality on the left or the right side of the body?", "Position", true, OTHER, ANSWERS("Right", "Left"), side,
     0},
    {"Are the abnormalities on the left or the right side of the body?", "Position", true, OTHER, ANSWERS("Right", "Left"),
     side, 1},
    {"Is the abnormality in the upper or the lower half of the image?", "Position", true, OTHER, ANSWERS("Upper", "Lower"),
     half, 0},
    {"Are the abnormalities in the upper or the lower half of the image?", "Position", true, OTHER, ANSWERS("Upper", "Lower"),
     half, 1},
    {"Is the abnormality small or large?", "Size", true, OTHER, ANSWERS("Small", "Large"), size, 0},
    {"Are the abnormalities small or large?", "Size", true, OTHER, ANSWERS("Small", "Large"), size, 1},
    {"What color does the abnormality show in the picture?", "Color", false, OTHER, ANSWERS("Black", "White"), color, 0},
    {"What color do the abnormalities show in the picture?", "Color", false, OTHER, ANSWERS("Black", "White"), color, 1},
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
    return questions[index].group == UNBALANCED || asked[answer] - least < slack;
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
    int in_group[GROUPS] = {0};
    for (size_t i = 0; i < QUESTIONS; i++)
        in_group[questions[i].group] += chosen[i];
    for (size_t i = 0; i < QUESTIONS && *count < most; i++) {
        const question *q = &questions[order[i]];
        int answer = q->answer(scene, q->subject);
        if (chosen[order[i]] || answer == NOT_ASKED || in_group[q->group] == group_limits[q->group] ||
            !is_welcome(asker, order[i], answer, slack))
            continue;
        in_group[q->group]++;
        asker->asked[order[i]][answer]++;
        chosen[order[i]] = true;
        ++*count;
    }
}

pfm_status pfm_phantom_ask(pfm_phantom_asker *asker, const pfm_phantom_scene *scene, int image, const char *image_name, int *id,
                           json_t *rows, pfm_error *err)
{
    size_t order[QUESTIONS];
    bool chosen[QUESTIONS] = {false};
    int count = 0;
    for (size_t i = 0; i < QUESTIONS; i++)
        order[i] = i;
    pfm_random_shuffle(&asker->random, order, QUESTIONS);
    choose(asker, scene, order, 2, MAX_QUESTIONS, chosen, &count);
    choose(asker, scene, order, 4, MIN_QUESTIONS, chosen, &count);
    for (size_t i = 0; i < QUESTIONS; i++) {
        const question *q = &questions[i];
        pfm_status status =
            chosen[i] ? add_row(q, q->answer(scene, q->subject), scene, image, image_name, (*id)++, rows, err) : PFM_OK;
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}
