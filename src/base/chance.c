#include "base/chance.h"

#include <stdio.h>
#include <sys/random.h>

pfm_status pfm_chance_draw(char *out, size_t digits, pfm_error *err)
{
    unsigned char random[32];
    if (getrandom(random, digits / 2, 0) != (ssize_t)(digits / 2))
        return pfm_error_set(err, PFM_ERROR_IO, "the system gives no random numbers");
    for (size_t i = 0; i < digits / 2; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", random[i]);
    return PFM_OK;
}
