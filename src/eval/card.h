/* The model card of a run: README.md in the hub's format, YAML front matter and then text. It says what it is told and nothing
 * else: what the facts lack has no line in the card.
 *
 * facts is an object; every member may be absent. A member that is not listed here, or is of another type, is USAGE.
 *   name            string, the title; else "Fine-tuned model"
 *   summary         string, a sentence or two of Markdown
 *   license         string, the hub's identifier ("apache-2.0")
 *   base_models     array of strings, the hub's names ("HuggingFaceTB/SmolLM2-135M-Instruct")
 *   datasets        array of strings
 *   languages       array of strings ("en")
 *   tags            array of strings, besides "medical" and "pefomed"
 *   text_only       true: the model sees no images
 *   parts           array of {"part","model","source","license","sha256"}, strings: what it was made from
 *   data            array of {"split","rows","images","language","sha256"}: strings and whole numbers, the data it learned from
 *   recipe          string, the resolved recipe's YAML
 *   prompt          string, the text given to the model, <image> where visual tokens stand
 *   stages          array of {"name","dataset": strings, "first_step","steps","trainable_parameters": whole numbers,
 *                    "logits_change": number}
 *   training        {"trainable_parameters","total_parameters","steps","samples","tokens": whole numbers,
 *                    "epochs","final_loss","best_loss": numbers, "best_step": whole number, "seconds": number,
 *                    "peak_bytes","threads","seed": whole numbers, "precision","cpu_level","machine","started","finished":
 * strings} scores          array of results of pfm_score_vqa: those whose probe is "none" first, then the probes limits array
 * of strings, sentences of Markdown, besides the general ones run             string, the folder's name in the example command
 */
#ifndef PFM_EVAL_CARD_H
#define PFM_EVAL_CARD_H

#include "base/json.h"

/* Appends the card's text. */
pfm_status pfm_model_card_append(pfm_buffer *out, const json_t *facts, pfm_error *err) PFM_MUST_CHECK;
/* Writes the card, whole or not at all. */
pfm_status pfm_model_card_write(const char *path, const json_t *facts, pfm_error *err) PFM_MUST_CHECK;

#endif
