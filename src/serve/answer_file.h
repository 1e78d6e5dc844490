/* Files of predictions in memory, as the page looks through them: read once, and again when the file is another. */
#ifndef PFM_SERVE_ANSWER_FILE_H
#define PFM_SERVE_ANSWER_FILE_H

#include "eval/answer_set.h"

#include <sys/stat.h>

/* What a row has beside what the scores read. */
typedef struct pfm_answer_extra {
    const char *words;   /* " one two three ": question, answers and prediction, normalised, the words apart by one blank */
    uint64_t prediction; /* a number that the normalised prediction stands for */
    const char **images; /* [image_count] as the file names them */
    const int *slices;   /* [image_count] of a series, from 1, 0 of what is none; NULL: of none */
    size_t image_count;
    int8_t correct; /* 1, 0; of a report -1 */
} pfm_answer_extra;

typedef struct pfm_answer_file {
    char *path;
    pfm_answer_set set;
    pfm_answer_extra *extras; /* [set.count] */
    size_t extra_capacity;
    size_t right; /* rows */
    pfm_buffer scratch, line;
    /* Of the shelf: */
    size_t bytes; /* of memory, about */
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    uint64_t used;
    int users;
    bool gone;
} pfm_answer_file;

/* *out = the file at path; `name` is for errors. What is right the file says ("correct"); where it does not, equal normalised
 * texts are. FORMAT for what is no file of predictions, UNSUPPORTED for one of more than 1 GiB. */
pfm_status pfm_answer_file_load(const char *path, const char *name, pfm_answer_file **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_answer_file_free(pfm_answer_file *file);

/* What was used last of them, within so many bytes; one that is larger is there while it is used. Any thread. */
typedef struct pfm_answer_files pfm_answer_files;
pfm_status pfm_answer_files_create(size_t most, pfm_answer_files **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_answer_files_free(pfm_answer_files *files);
/* *out = the file as it is now; give it back. */
pfm_status pfm_answer_files_use(pfm_answer_files *files, const char *path, const char *name, pfm_answer_file **out,
                                pfm_error *err) PFM_MUST_CHECK;
void pfm_answer_files_give_back(pfm_answer_files *files, pfm_answer_file *file); /* NULL is allowed */

#endif
