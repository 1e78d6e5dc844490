#include "pefomed/words.h"

#include <stdint.h>
#include <string.h>

enum { LONGEST_WORD = 63 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t pfm_words_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t cost[LONGEST_WORD + 1][LONGEST_WORD + 1];
    a_length = smaller(a_length, LONGEST_WORD);
    b_length = smaller(b_length, LONGEST_WORD);
    for (size_t i = 0; i <= a_length; i++) {
        for (size_t j = 0; j <= b_length; j++) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            cost[i][j] = smaller(smaller(cost[i - 1][j], cost[i][j - 1]) + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = smaller(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[a_length][b_length];
}

const char *pfm_words_nearest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(word), best = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (words[i] == NULL)
            continue;
        size_t distance = pfm_words_distance(word, length, words[i], strlen(words[i]));
        if (distance < best) {
            best = distance;
            nearest = words[i];
        }
    }
    return best <= (length + 2) / 3 ? nearest : NULL;
}
