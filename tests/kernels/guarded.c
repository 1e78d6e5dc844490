#include "guarded.h"

#include "base/random.h"

#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 256, FRONT = 64, PATTERN = 0xA5 };
static struct {
    unsigned char *map, *data;
    size_t size;
} arrays[MOST];
static int count;

void *guarded(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + FRONT + page - 1) / page * page + page;
    assert_true(count < MOST);
    unsigned char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED && mprotect(map + size - page, page, PROT_NONE) == 0);
    memset(map, PATTERN, size - page);
    arrays[count].map = map;
    arrays[count].size = size;
    arrays[count].data = map + size - page - bytes;
    return arrays[count++].data;
}

void *guarded_random(pfm_act_type type, size_t n, uint64_t stream)
{
    void *out = guarded(n * pfm_act_size(type));
    pfm_random random = pfm_random_start(99, stream);
    for (size_t i = 0; i < n; i++) {
        float value = (float)pfm_random_normal(&random);
        if (type == PFM_ACT_F32)
            ((float *)out)[i] = value;
        else
            ((pfm_bf16 *)out)[i] = pfm_bf16_from_f32(value);
    }
    return out;
}

void *guarded_copy(const void *bytes, size_t size)
{
    void *out = guarded(size);
    if (size > 0)
        memcpy(out, bytes, size);
    return out;
}

void guarded_release(void)
{
    for (int i = 0; i < count; i++) {
        for (int j = 1; j <= FRONT; j++)
            if (arrays[i].data[-j] != PATTERN)
                fail_msg("%d bytes before the beginning of array %d were written to", j, i);
        munmap(arrays[i].map, arrays[i].size);
    }
    count = 0;
}

static double element(pfm_act_type type, const void *x, size_t i)
{
    return type == PFM_ACT_F32 ? (double)((const float *)x)[i] : (double)pfm_bf16_to_f32(((const pfm_bf16 *)x)[i]);
}

void assert_close(const char *what, pfm_act_type type, const void *got, const void *wanted, size_t n, double bound)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double x = element(type, got, i), y = element(type, wanted, i);
        if (isnan(x) != isnan(y) || isinf(x) != isinf(y) || (isinf(y) && x != y))
            fail_msg("%s: element %zu of %zu is %g, wanted %g", what, i, n, x, y);
        if (isnan(y) || isinf(y))
            continue;
        difference += (x - y) * (x - y);
        size += y * y;
    }
    if (!(sqrt(difference) <= bound * sqrt(size)))
        fail_msg("%s: relative error %.3g, bound %.3g, n %zu", what, sqrt(difference / size), bound, n);
}
