/* Writes what a training of a second needs into $PFM_SCRATCH: tiny.yaml, staged.yaml, text.yaml, table.jsonl, pairs.jsonl,
 * mixed.jsonl, captions.jsonl, texts.csv, p0.png to p6.png, lite0.safetensors. */
#include "train/tiny_training.h"

static void make(void **state)
{
    (void)state;
    (void)staged_recipe(); /* and with it all others of images */
    (void)text_recipe();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(make)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
