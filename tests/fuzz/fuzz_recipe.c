/* Any bytes as a recipe: loading must succeed or say why not, and what was loaded is the same after writing and loading. */
#include "train/recipe.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_load(const pfm_recipe *recipe)
{
    pfm_recipe *again = NULL;
    pfm_buffer text = {0}, differences = {0};
    if (pfm_recipe_write(recipe, &text, NULL) != PFM_OK ||
        pfm_recipe_parse(text.data, text.size, "again", NULL, 0, &again, NULL) != PFM_OK ||
        pfm_recipe_compare(recipe, again, &differences, NULL) != PFM_OK || differences.size != 0)
        abort();
    pfm_recipe_free(again);
    pfm_buffer_free(&text);
    pfm_buffer_free(&differences);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    if (pfm_recipe_parse((const char *)data, size, "FILE", NULL, 0, &recipe, &err) == PFM_OK)
        write_and_load(recipe);
    else if (err.message[0] == '\0')
        abort();
    pfm_recipe_free(recipe);
    return 0;
}
