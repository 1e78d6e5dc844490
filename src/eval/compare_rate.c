/* The learning rates that a recipe is tried with, and which of them is chosen. */
#include "base/try.h"
#include "eval/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pfm_rate_format(double value, char out[40])
{
    for (int digits = 0; digits <= 16; digits++) {
        (void)snprintf(out, 40, "%.*e", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    char *exponent = strchr(out, 'e');
    if (exponent == NULL)
        return;
    long power = strtol(exponent + 1, NULL, 10);
    (void)snprintf(exponent + 1, 40 - (size_t)(exponent + 1 - out), "%ld", power);
}

void pfm_rate_free(pfm_rate *rate)
{
    free(rate->text);
    free(rate->set);
    free(rate->error);
}

/* set: the recipe does not say this rate by itself. */
static pfm_status fill(pfm_rate *rate, double value, bool set, pfm_error *err)
{
    char text[40];
    *rate = (pfm_rate){.value = value, .score = NAN};
    pfm_rate_format(value, text);
    pfm_status status = pfm_string_copy(text, &rate->text, err);
    if (status == PFM_OK && set)
        status = pfm_string_format(&rate->set, err, "train.learning_rate=%s", text);
    return status;
}

static pfm_status check_twice(const pfm_rate *rates, size_t count, const char *name, pfm_error *err)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (rates[i].value == rates[k].value)
                return pfm_error_set(err, PFM_ERROR_USAGE, "%s: compare.learning_rates names %s twice", name, rates[i].text);
        }
    }
    return PFM_OK;
}

pfm_status pfm_rates_create(const pfm_recipe *recipe, const char *name, pfm_rate **out, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t asked = recipe->compare.learning_rate_count, made = 0;
    pfm_rate *rates = NULL;
    if (asked > 0 && recipe->stage_count > 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s: its stages have a learning rate each; leave compare.learning_rates out", name);
    PFM_TRY(pfm_allocate(asked > 0 ? asked : 1, sizeof *rates, &rates, err));
    if (recipe->stage_count > 0) {
        rates[made++] = (pfm_rate){.value = NAN, .score = NAN};
        PFM_TRY(pfm_string_copy("own", &rates[0].text, err));
    } else if (asked == 0) {
        made++;
        PFM_TRY(fill(&rates[0], recipe->train.learning_rate, false, err));
    }
    for (size_t i = 0; i < asked; i++) {
        made++;
        PFM_TRY(fill(&rates[i], strtod(recipe->compare.learning_rates[i], NULL), true, err));
    }
    PFM_TRY(check_twice(rates, made, name, err));
    *out = rates;
    *count = made;
    rates = NULL;
done:
    for (size_t i = 0; rates != NULL && i < made; i++)
        pfm_rate_free(&rates[i]);
    free(rates);
    return status;
}

int pfm_rates_choose(const pfm_rate *rates, size_t count)
{
    int best = -1;
    for (size_t i = 0; i < count; i++) {
        if (!isnan(rates[i].score) && (best < 0 || rates[i].score > rates[best].score))
            best = (int)i;
    }
    return best;
}
