#!/usr/bin/env python3
"""Makes what Hugging Face PEFT computes with DoRA, IA3, LoRA+ and QLoRA on small models: logits, the gradient of the embeddings and
of every tensor of the adapter, in f32, how far torch's autocast is from that, and what its LoRA+ optimizer makes of parameters; and
the adapters themselves as PEFT writes them.

usage: script/vectors/dora_ia3.py [OUT]       (needs language.py's and language_families.py's packages and bitsandbytes from PyPI)

The models are those of tests/models/golden, or are made by `spread`, here and in tests/models/grid.c, to the same bits. In
dora_ia3.safetensors stands CASE.logits, CASE.grad_in, CASE.NAME.grad and CASE.error.WHAT, the norm of autocast's error.
"""
import json
import os
import sys

import bitsandbytes.functional as bitsandbytes
import numpy as np
import torch
import transformers
from language import spread
from language_families import CASES, make_case
from peft import IA3Config, LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.numpy import load_file, save_file

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/peft/golden')
MODELS = os.path.join(os.path.dirname(__file__), '../../tests/models/golden')
ALL = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
QLORA = dict(vocab_size=61, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=96)
NF4_BLOCK = 64  # values that share a scale
TOKENS = 18
# case: base, PEFT's settings
ADAPTERS = {
    'dora_llama': ('llama', LoraConfig(r=3, lora_alpha=5, target_modules=ALL, use_dora=True)),
    'dora_gpt2': ('gpt2', LoraConfig(r=2, lora_alpha=3, target_modules=['c_attn', 'mlp.c_proj'], use_dora=True, use_rslora=True, fan_in_fan_out=True)),
    'dora_bias': ('gpt2', LoraConfig(r=2, lora_alpha=3, target_modules=['c_attn'], use_dora=True, fan_in_fan_out=True, bias='all',
                                     rank_pattern={'h.1.attn.c_attn': 3})),
    'ia3_llama': ('llama', IA3Config()),
    'ia3_gpt2': ('gpt2', IA3Config(fan_in_fan_out=True)),
    'ia3_qwen2': ('qwen2', IA3Config()),
    'qlora': ('qlora', LoraConfig(r=2, lora_alpha=4, target_modules=ALL)),
}


def llama():
    """The model of language.py."""
    folder = os.path.join(MODELS, 'llama')
    with open(os.path.join(folder, 'config.json')) as file:
        config = json.load(file)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{k: v for k, v in config.items() if k != 'architectures'}, attn_implementation='eager')).eval()
    state = {n: torch.from_numpy(t.astype(np.float32)) for n, t in load_file(os.path.join(folder, 'model.safetensors')).items()}
    model.load_state_dict({**state, 'lm_head.weight': state['model.embed_tokens.weight']})
    return model


def of_grid(name):
    """A model of language_families.py."""
    with open(os.path.join(MODELS, 'families.json')) as file:
        tensors = next(m['tensors'] for m in json.load(file) if m['name'] == name)
    model, _, again = make_case(*CASES[name], tensors[0][2] // 100)
    assert json.loads(json.dumps(again)) == tensors
    return model


def through_nf4(weight):
    packed, state = bitsandbytes.quantize_4bit(weight.contiguous(), blocksize=NF4_BLOCK, quant_type='nf4')
    return bitsandbytes.dequantize_4bit(packed, state)


def qlora(document):
    """A model whose linear layers are kept in NF4; its file holds them in f32."""
    model, config, tensors = make_case('Llama', QLORA, '', 31)
    document.append(dict(name='qlora', config=config, tensors=tensors, gguf=None))
    for layer in model.model.layers:
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.data = through_nf4(module.weight.data)
    return model


def randomise(peft):
    torch.manual_seed(5)
    for name, p in peft.named_parameters():
        if 'lora_A' in name:
            p.data = (torch.rand(p.shape) * 2 - 1) / p.shape[1]**0.5
        elif 'lora_B' in name:
            p.data = 0.2 * torch.randn(p.shape)
        elif 'lora_magnitude' in name:
            p.data = p.data * (1 + 0.3 * torch.randn(p.shape))
        elif 'ia3_l' in name:
            p.data = 1 + 0.3 * torch.randn(p.shape)
        elif p.requires_grad:  # a bias of the base
            p.data = p.data + 0.1 * torch.randn(p.shape)


def name_of(name):
    """As the adapter's file has it."""
    name = name.replace('.default', '')
    return name.removesuffix('.weight') if 'magnitude' in name else name


def run(peft, bf16):
    peft.zero_grad()
    config = peft.config
    x = torch.from_numpy(spread(1, TOKENS, config.hidden_size)).requires_grad_(True)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bf16):
        logits = peft(inputs_embeds=x[None]).logits[0].float()
    logits.backward(torch.from_numpy(spread(2, TOKENS, config.vocab_size)))
    return {'logits': logits.detach(), 'grad_in': x.grad.detach(),
            **{name_of(n) + '.grad': p.grad.clone() for n, p in peft.named_parameters() if p.requires_grad}}


def golden_adapter(case, model, config):
    config.task_type = 'CAUSAL_LM'
    peft = get_peft_model(model, config).eval()
    randomise(peft)
    exact, rounded = run(peft, False), run(peft, True)
    peft.peft_config['default'].base_model_name_or_path = case
    peft.save_pretrained(os.path.join(OUT, case), save_embedding_layers=False)
    os.remove(os.path.join(OUT, case, 'README.md'))
    return {**{f'{case}.{n}': t.numpy() for n, t in exact.items()},
            **{f'{case}.error.{n}': np.array([(rounded[n] - exact[n]).norm().item()], np.float32) for n in exact}}


def golden_rates(case, weight_decay, **settings):
    """Three steps of PEFT's LoRA+ optimizer on parameters and gradients that `spread` makes."""
    peft = get_peft_model(llama(), LoraConfig(task_type='CAUSAL_LM', r=2, target_modules=['layers.0.self_attn.q_proj'], **settings))
    optimizer = create_loraplus_optimizer(peft, torch.optim.AdamW, lr=1e-2, loraplus_lr_ratio=16, loraplus_weight_decay=weight_decay,
                                          betas=(0.9, 0.999), eps=1e-8)
    trained = {n: p for n, p in peft.named_parameters() if p.requires_grad}
    for p in trained.values():
        p.data = torch.from_numpy(spread(21, *p.shape))
    for step in range(3):
        for p in trained.values():
            p.grad = torch.from_numpy(spread(30 + step, *p.shape))
        optimizer.step()
    return {f'{case}.{name_of(n)}': p.detach().numpy() for n, p in trained.items()}


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    document, computed = [], {}
    for case, (base, config) in ADAPTERS.items():
        model = llama() if base == 'llama' else qlora(document) if base == 'qlora' else of_grid(base)
        computed.update(golden_adapter(case, model, config))
    computed.update(golden_rates('rates', 0.1))
    computed.update(golden_rates('rates_dora', 0.0, use_dora=True))
    with open(os.path.join(OUT, 'qlora.json'), 'w') as file:
        file.write(json.dumps(document, separators=(',', ':')) + '\n')
    save_file({n: np.ascontiguousarray(t) for n, t in computed.items()}, os.path.join(OUT, 'dora_ia3.safetensors'))


if __name__ == '__main__':
    main()
