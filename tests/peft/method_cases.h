/* Every PEFT method at work on the tiny models, for tests that hold of all of them. */
#ifndef PFM_TESTS_PEFT_METHOD_CASES_H
#define PFM_TESTS_PEFT_METHOD_CASES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct method_case {
    const char *method, *peft; /* the recipe's section */
    const char *model;         /* "llama", "llama_untied", or "biased": llama with biases */
    const char *parts;         /* peft.parts, with the golden CLIP as vision encoder; NULL: [language], with another */
    bool merges;
    bool has_constants; /* some of what it computes counts as constant in the gradient, which is not the slope then */
    int64_t trained;    /* how many numbers */
} method_case;

enum { METHOD_CASES = 34 };
extern const method_case method_cases[METHOD_CASES];

#endif
