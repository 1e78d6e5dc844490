/* Every operator, a line each. */
#ifndef PFM_OPS_OP_LIST_H
#define PFM_OPS_OP_LIST_H

#define PFM_OP_LIST(X)                                                                                                         \
    X(activate)                                                                                                                \
    X(add)                                                                                                                     \
    X(attention)                                                                                                               \
    X(choose)                                                                                                                  \
    X(columns)                                                                                                                 \
    X(convert)                                                                                                                 \
    X(cross_entropy)                                                                                                           \
    X(dropout)                                                                                                                 \
    X(embed)                                                                                                                   \
    X(gate)                                                                                                                    \
    X(gather)                                                                                                                  \
    X(join)                                                                                                                    \
    X(layernorm)                                                                                                               \
    X(linear)                                                                                                                  \
    X(magnitude)                                                                                                               \
    X(multiply)                                                                                                                \
    X(parameter)                                                                                                               \
    X(rmsnorm)                                                                                                                 \
    X(rope)                                                                                                                    \
    X(route)                                                                                                                   \
    X(route_context)                                                                                                           \
    X(row_norms)                                                                                                               \
    X(scale)                                                                                                                   \
    X(silu_mul)                                                                                                                \
    X(standardise)                                                                                                             \
    X(tanh)                                                                                                                    \
    X(virtual_rows)                                                                                                            \
    X(weigh)

#endif
