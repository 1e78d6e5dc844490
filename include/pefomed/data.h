/* Data sets as a whole: what they hold and what is wrong with them. */
#ifndef PEFOMED_DATA_H
#define PEFOMED_DATA_H

#include "pefomed/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *json_out = what a data set holds, as one JSON text; the caller releases it with free(). Every image file is read, hashed and
 * decoded. `language` NULL counts all languages.
 *
 * {"dataset","path","language",
 *  "splits":[{"name","questions","images","text_like" (images),"left_out" (rows),"left_out_why" (or null),"patients" (or null),
 *             "answers" (distinct),"empty_answers":[id],"closed","open",
 *             "languages":{name:n},"by":{column:{value:n}}}],
 *  "images":{"files","bytes","smallest":[w,h],"largest":[w,h] (null without one that can be read),
 *            "missing":[{"split","image","rows"}],"unreadable":[{"split","image","rows","reason"}],
 *            "duplicates":[{"sha256","images":[{"split","image"}]}],
 *            "text_like":[{"split","image","rows","text_rows","burned_in" ("yes" where the file says it)}]},
 *  "questions":{"repeated","conflicting","examples":[{"split","image","question","answers":[...]}]},
 *  "leakage":[{"a","b","same_bytes","same_name","same_patient","same_text","questions","images":[{"a","b"}],
 *              "near","near_images":[{"a","b","likeness"}]}],
 *  "problems"}
 *
 * Images are duplicates when their files' bytes are equal. A question repeats when the same words (case and blanks around them
 * apart) ask about the same file in the same split; it conflicts when its answers differ. Leakage is counted for each pair of
 * splits: images of b that are in a by their bytes or by their name, patients in both, rows of b without an image whose text is
 * that of one in a, and the questions of b that any of this touches. "near" counts the images of b that look
 * like one of a without being it (docs/data.md), each with the likest one. The "image" of a question without one is null.
 * "text_like" are images that seem to hold burned-in text (pfm_image_has_text). "problems" is 0 when nothing is missing,
 * unreadable, duplicate, conflicting, empty or leaking; rows that are left out and text in pixels are none.
 *
 * USAGE: no such data set or language. IO, FORMAT: its files cannot be read as such. INTERRUPTED: stopped by the user. */
pfm_status pfm_data_audit(const pfm_context *context, const char *dataset, const char *path, const char *language,
                          char **json_out, pfm_error *err) PFM_MUST_CHECK;

/* The same, held against another data set (NULL: none): its splits, called DATASET:SPLIT, stand behind, and leakage is also
 * looked for between them and those of the first. */
pfm_status pfm_data_audit_against(const pfm_context *context, const char *dataset, const char *path, const char *language,
                                  const char *other, const char *other_path, char **json_out, pfm_error *err) PFM_MUST_CHECK;

/* The names of all data sets, separated by ", "; static. */
const char *pfm_dataset_names(void);

#ifdef __cplusplus
}
#endif
#endif
