#include "kernels/onednn/product_onednn.h"

#include "base/memory.h"
#include "base/try.h"
#include "kernels/onednn/onednn_engine.h"

#include <stdlib.h>

struct pfm_onednn_product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive, packing;
    dnnl_memory_t a, b, c, packed;
};

#define CHECK(call) PFM_TRY(pfm_onednn_check(call, "a matrix product", err))

static dnnl_memory_desc_t describe(pfm_act_type type, size_t rows, size_t columns, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t out;
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    (void)dnnl_memory_desc_init_by_tag(&out, 2, dims, type == PFM_ACT_F32 ? dnnl_f32 : dnnl_bf16, tag);
    return out;
}

static void *writable(const void *data) { return (void *)(uintptr_t)data; } /* oneDNN's memory knows no const */

/* b goes into the layout that the product asks for. */
static pfm_status pack(pfm_onednn_product *x, const dnnl_memory_desc_t *plain, const void *b, pfm_error *err)
{
    pfm_status status = PFM_OK;
    dnnl_primitive_desc_t description = NULL;
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(x->description, dnnl_query_weights_md, 0);
    CHECK(dnnl_memory_create(&x->b, plain, x->engine, writable(b)));
    CHECK(dnnl_memory_create(&x->packed, wanted, x->engine, DNNL_MEMORY_ALLOCATE));
    CHECK(dnnl_reorder_primitive_desc_create(&description, plain, x->engine, wanted, x->engine, NULL));
    CHECK(dnnl_primitive_create(&x->packing, description));
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, x->b}, {DNNL_ARG_TO, x->packed}};
    CHECK(dnnl_primitive_execute(x->packing, x->stream, 2, arguments));
    CHECK(dnnl_stream_wait(x->stream));
done:
    if (description != NULL)
        dnnl_primitive_desc_destroy(description);
    return status;
}

pfm_status pfm_onednn_product_create(const char *level, pfm_act_type type, size_t m, size_t n, size_t k, const void *a,
                                     const void *b, void *c, pfm_onednn_product **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_onednn_product *x = NULL;
    dnnl_memory_desc_t left = describe(type, m, k, dnnl_ab), any = describe(type, k, n, dnnl_format_tag_any);
    dnnl_memory_desc_t right = describe(type, k, n, dnnl_ba), result = describe(type, m, n, dnnl_ab);
    dnnl_matmul_desc_t product;
    int before = pfm_onednn_enter();
    PFM_TRY(pfm_allocate(1, sizeof *x, &x, err));
    PFM_TRY(pfm_onednn_engine_create(level, &x->engine, err));
    CHECK(dnnl_stream_create(&x->stream, x->engine, dnnl_stream_default_flags));
    CHECK(dnnl_matmul_desc_init(&product, &left, &any, NULL, &result));
    CHECK(dnnl_primitive_desc_create(&x->description, &product, NULL, x->engine, NULL));
    PFM_TRY(pack(x, &right, b, err));
    CHECK(dnnl_primitive_create(&x->primitive, x->description));
    CHECK(dnnl_memory_create(&x->a, &left, x->engine, writable(a)));
    CHECK(dnnl_memory_create(&x->c, &result, x->engine, c));
    *out = x;
    x = NULL;
done:
    pfm_onednn_product_free(x);
    pfm_onednn_leave(before);
    return status;
}

void pfm_onednn_product_free(pfm_onednn_product *product)
{
    if (product == NULL)
        return;
    const dnnl_memory_t memories[] = {product->a, product->b, product->c, product->packed};
    for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++)
        if (memories[i] != NULL)
            dnnl_memory_destroy(memories[i]);
    if (product->primitive != NULL)
        dnnl_primitive_destroy(product->primitive);
    if (product->packing != NULL)
        dnnl_primitive_destroy(product->packing);
    if (product->description != NULL)
        dnnl_primitive_desc_destroy(product->description);
    if (product->stream != NULL)
        dnnl_stream_destroy(product->stream);
    if (product->engine != NULL)
        dnnl_engine_destroy(product->engine);
    free(product);
}

bool pfm_onednn_product_run(const pfm_onednn_product *product)
{
    int before = pfm_onednn_enter();
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, product->a}, {DNNL_ARG_WEIGHTS, product->packed}, {DNNL_ARG_DST, product->c}};
    bool done = dnnl_primitive_execute(product->primitive, product->stream, 3, arguments) == dnnl_success &&
                dnnl_stream_wait(product->stream) == dnnl_success;
    pfm_onednn_leave(before);
    return done;
}
