/* WordNet's files as Princeton ships them (wndb(5WN), morphy(7WN)): the words that share a meaning with a word. The files are
 * mapped and searched where they lie. */
#ifndef PFM_EVAL_WORDNET_H
#define PFM_EVAL_WORDNET_H

#include "base/memory.h"

typedef struct pfm_wordnet pfm_wordnet;

/* Opens index.*, data.* and *.exc of a folder; NULL: that of $PEFOMED_WORDNET, else where Debian's package wordnet-base has
 * them. IO or FORMAT, with what to install, where they are not WordNet 3.0's. */
pfm_status pfm_wordnet_open(const char *folder, pfm_wordnet **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_wordnet_free(pfm_wordnet *wordnet);

/* Called with each synonym, as the file writes it (capitals kept, _ between words), without the mark of an adjective's place;
 * the same one may come several times, the word itself too. */
typedef pfm_status (*pfm_wordnet_visit)(void *user, const char *synonym, size_t length, pfm_error *err);
/* Visits all words of all meanings that a word in lower case, or a form of it that WordNet's exceptions or endings lead to, has
 * as noun, verb, adjective and adverb. FORMAT for a damaged file. */
pfm_status pfm_wordnet_synonyms(const pfm_wordnet *wordnet, const char *word, size_t length, pfm_wordnet_visit visit,
                                void *user, pfm_error *err) PFM_MUST_CHECK;

#endif
