/* The executor where values share their gradients' memory. */
#include "test.h"

#include "nn/builder.h"
#include "nn/executor.h"

enum { ROWS = 32, WIDTH = 16, VALUES = ROWS * WIDTH };

/* y = W 0 + x passes its gradient on to x, which z = y x has given one already: dz/dx = y + x. */
static void a_gradient_that_is_passed_on_is_added(void **state)
{
    (void)state;
    static const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = ROWS};
    static float in[VALUES], zeros[VALUES];
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_parameters *parameters = NULL;
    pfm_graph *graph = NULL;
    pfm_executor *executor = NULL;
    pfm_value x, nothing, y, z;
    const pfm_context_options threads = {.threads = 2, .home = "/nonexistent"};
    assert_ok(pfm_context_create(&threads, &context, &err));
    assert_ok(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, &err));
    assert_ok(pfm_graph_create(parameters, capacity, &graph, &err));
    assert_ok(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, WIDTH, PFM_STORAGE_ACT, true, &x, &err));
    assert_ok(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, WIDTH, PFM_STORAGE_ACT, false, &nothing, &err));
    pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
    const pfm_linear_options sum = {.n = WIDTH, .k = WIDTH, .addend = x, .output = PFM_STORAGE_ACT};
    assert_ok(pfm_build_linear(&builder, nothing, "sum", &sum, &y, &err));
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_multiply);
    node.in[0] = y;
    node.in[1] = x;
    assert_ok(pfm_graph_add(graph, &node, &z, &err));
    assert_ok(pfm_parameters_allocate(parameters, &err));
    const pfm_op_environment env = {
        .context = context, .kernels = context->kernels, .act = PFM_ACT_F32, .training = true, .most_keys = ROWS};
    assert_ok(pfm_executor_create(graph, &env, z, &executor, &err));
    for (int i = 0; i < VALUES; i++)
        in[i] = (float)(i % 23) - 11;
    pfm_executor_bind(executor, x, in);
    pfm_executor_bind(executor, nothing, zeros);
    pfm_executor_forward(executor);
    float *seed = pfm_executor_gradient(executor, z);
    for (int i = 0; i < VALUES; i++)
        seed[i] = 1;
    pfm_executor_backward(executor);
    const float *gradient = pfm_executor_gradient(executor, x);
    for (int i = 0; i < VALUES; i++)
        assert_true(gradient[i] == 2 * in[i]);
    pfm_executor_free(executor);
    pfm_graph_free(graph);
    pfm_parameters_free(parameters);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gradient_that_is_passed_on_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
