/* Every command, a line each, in the order in which help shows them. */
/* clang-format off */
#define CLI_COMMAND_LIST(X)                                                                                                    \
    X(fetch)                                                                                                                   \
    X(data)                                                                                                                    \
    X(index)                                                                                                                   \
    X(phantom)                                                                                                                 \
    X(tokens)                                                                                                                  \
    X(train)                                                                                                                   \
    X(eval)                                                                                                                    \
    X(ask)                                                                                                                     \
    X(report)                                                                                                                  \
    X(export)                                                                                                                  \
    X(combine)                                                                                                                 \
    X(quantize)                                                                                                                \
    X(forward)                                                                                                                 \
    X(image)                                                                                                                   \
    X(pipeline) \
    X(score)                                                                                                                   \
    X(judge)                                                                                                                   \
    X(sheets)                                                                                                                  \
    X(agree)                                                                                                                   \
    X(pacs)                                                                                                                    \
    X(serve)                                                                                                                   \
    X(audit)                                                                                                                   \
    X(compare)                                                                                                                 \
    X(plot)                                                                                                                    \
    X(inspect)                                                                                                                 \
    X(bench)                                                                                                                   \
    X(completion)
