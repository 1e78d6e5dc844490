#!/usr/bin/env python3
"""Makes the tiny language models in tests/models/golden and what transformers, PEFT and torch compute with them: logits,
gradients, the loss of whole rows (image, chat, answer) and greedy answers.

usage: script/vectors/language.py [OUT]       (needs numpy, safetensors, torch, transformers, tokenizers, peft from PyPI)

Large inputs (features, the aligner, the gradient of the logits) are not stored: `spread` makes them from integers, here and in
tests/models/tiny.c, to the same bits.
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/models/golden')
VOCABULARY = 300
ALL = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
MODELS = {
    'llama': (dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                   tie_word_embeddings=True), dict(r=4, lora_alpha=6, target_modules=ALL), 18),
    'llama_untied': (dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=12,
                          tie_word_embeddings=False), dict(r=2, lora_alpha=3, target_modules=['q_proj', 'o_proj', 'up_proj'], use_rslora=True), 12),
}
TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
TEXT = ['Is the lung normal? yes no', 'Which organ is abnormal? the left lung, the right lung, the liver, the heart', 'Where is the lesion?',
        'user assistant system', 'Look at the image and answer: ', 'yes', 'no', 'left', 'right', 'ct mri x-ray', 'image'] * 3
# (image, question, answer): rows of one image stand together
ROWS = [(0, 'Is the lung normal?', 'No'), (0, 'Is the lung normal, or not?', ' Yes, it is '), (0, 'Which organ is abnormal? 12', 'Left Lung'),
        (1, 'Where? <|im_end|>', 'Ünten')]
QUESTIONS = [(0, 'Is the lung normal?'), (0, 'Is the lung normal, or not?'), (0, 'Where is the lesion?'), (1, 'Is the lung normal?'),
             (2, 'Which organ is abnormal? 12'), (2, 'What?')]
INSTRUCTION = 'Look at the image and answer: '
NEW_TOKENS = 32
GRID, CHANNELS, MERGE = 4, 1280, 2


def spread(seed, *shape):
    """Values in [-1,1), multiples of 2^-15."""
    x = (np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 + seed * 40503) % 2**32
    x ^= x >> np.uint64(15)
    x = x * np.uint64(2246822519) % 2**32
    x ^= x >> np.uint64(13)
    return (((x >> np.uint64(16)) & np.uint64(0xffff)).astype(np.float32) / np.float32(32768) - np.float32(1)).reshape(shape)


def make_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False,
                                                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    assert tokenizer.get_vocab_size() == VOCABULARY
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token='<|im_start|>', eos_token='<|im_end|>', pad_token='<|im_end|>',
                                   unk_token='<|endoftext|>', chat_template=TEMPLATE, clean_up_tokenization_spaces=False)
    fast.save_pretrained(folder)
    return fast


def make_model(settings, seed):
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=512, rope_theta=5000.0, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
                         pad_token_id=2, **settings)
    config._attn_implementation = 'eager'
    model = LlamaForCausalLM(config).eval()
    for name, p in model.named_parameters():
        if name.endswith('norm.weight'):
            value = 1 + 0.3 * torch.randn(p.shape)
        elif 'embed' in name or 'lm_head' in name:
            value = 0.5 * torch.randn(p.shape)
            value[2] *= 1.6  # so that some answers end
        else:
            value = 1.1 * torch.randn(p.shape) / p.shape[1]**0.5
        p.data = value.half().float()
    return model


def save_model(model, folder):
    state = {n: p.detach().half().numpy() for n, p in model.named_parameters()}
    save_file(state, os.path.join(folder, 'model.safetensors'), metadata={'format': 'pt'})
    config = model.config.to_dict()
    keep = ['model_type', 'vocab_size', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads',
            'head_dim', 'max_position_embeddings', 'rms_norm_eps', 'tie_word_embeddings', 'hidden_act', 'bos_token_id', 'eos_token_id',
            'rope_theta', 'rope_parameters']
    with open(os.path.join(folder, 'config.json'), 'w') as file:
        json.dump({'architectures': ['LlamaForCausalLM'], **{k: config[k] for k in keep if k in config}}, file, indent=2)
        file.write('\n')


def add_adapter(model, settings, seed):
    torch.manual_seed(seed)
    peft = get_peft_model(model, LoraConfig(task_type='CAUSAL_LM', lora_dropout=0.0, **settings)).eval()
    for name, p in peft.named_parameters():
        if 'lora_A' in name:
            p.data = (torch.rand(p.shape) * 2 - 1) / p.shape[1]**0.5
        elif 'lora_B' in name:
            p.data = 0.2 * torch.randn(p.shape)
    return peft


def saved_name(name):
    return name.replace('.default', '')


def lora_gradients(peft):
    return {saved_name(n): p.grad.clone() for n, p in peft.named_parameters() if p.requires_grad}


def run(peft, embeds, grad_out, bf16):
    peft.zero_grad()
    x = embeds.clone().requires_grad_(True)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bf16):
        logits = peft(inputs_embeds=x[None]).logits[0].float()
    logits.backward(grad_out)
    return {'logits': logits.detach(), 'grad_in': x.grad.detach(), **{n + '.grad': g for n, g in lora_gradients(peft).items()}}


def golden_part(name, peft, count, model):
    """One sequence through the language model: what `pefomed forward` computes, and how far autocast is from f32."""
    embeds = torch.from_numpy(spread(1, count, model.config.hidden_size))
    grad_out = torch.from_numpy(spread(2, count, VOCABULARY))
    exact, rounded = run(peft, embeds, grad_out, False), run(peft, embeds, grad_out, True)
    out = {n: t.numpy() for n, t in exact.items()}
    out.update({'error.' + n: np.array([(rounded[n] - exact[n]).norm().item()], np.float32) for n in exact})
    ids = (np.arange(count) * 37 + 5) % VOCABULARY
    with torch.no_grad():
        out['ids_logits'] = peft(input_ids=torch.from_numpy(ids)[None]).logits[0, -1].numpy()
        with peft.disable_adapter():
            out['bare_logits'] = peft(inputs_embeds=embeds[None]).logits[0, -1].numpy()
    save_file({n: np.ascontiguousarray(t) for n, t in out.items()}, os.path.join(OUT, name + '.safetensors'))


class System:
    """Image features to visual embeddings, and rows of ids and embeddings."""

    def __init__(self, peft, tokenizer):
        self.peft, self.tokenizer = peft, tokenizer
        hidden, width = peft.config.hidden_size, CHANNELS * MERGE * MERGE
        self.weight = torch.from_numpy(spread(11, hidden, width) * np.float32(0.02))
        self.bias = torch.from_numpy(spread(12, hidden) * np.float32(0.1))
        self.mean, self.std = spread(13, width) * np.float32(0.125), spread(14, width) * np.float32(0.25) + np.float32(0.5)

    def visual(self, image):
        side = GRID // MERGE
        x = spread(100 + image, side, MERGE, side, MERGE, CHANNELS).transpose(0, 2, 1, 3, 4).reshape(side * side, -1)
        x = torch.from_numpy((x - self.mean) / self.std)
        return x @ self.weight.T + self.bias

    def ids(self, question, answer=None):
        """Image tokens are -1, -2, ..."""
        content = '<image>\n' + INSTRUCTION + question
        text = self.tokenizer.apply_chat_template([dict(role='user', content=content)], tokenize=False, add_generation_prompt=True)
        before, after = text.split(content)
        backend = self.tokenizer.backend_tokenizer

        def encode(part, special):
            backend.encode_special_tokens = not special
            return backend.encode(part, add_special_tokens=False).ids

        ids = encode(before, True) + [-1 - i for i in range((GRID // MERGE)**2)] + encode(content[len('<image>'):], False) + encode(after, True)
        begin = len(ids)
        if answer is not None:
            ids += encode(answer.strip().lower(), False) + [self.tokenizer.eos_token_id]
        return ids, begin

    def embed(self, ids, visual):
        table = self.peft.get_input_embeddings().weight.detach()
        return torch.stack([table[i] if i >= 0 else visual[-1 - i] for i in ids])


def golden_rows(system):
    """The loss over all rows and its gradients: mean over the answer tokens of all rows."""
    visual = [system.visual(i).requires_grad_(True) for i in range(2)]
    rows = [(image, *system.ids(q, a)) for image, q, a in ROWS]
    total = sum(len(ids) - begin for _, ids, begin in rows)
    system.peft.zero_grad()
    losses = []
    for image, ids, begin in rows:
        logits = system.peft(inputs_embeds=system.embed(ids[:-1], visual[image])[None]).logits[0, begin - 1:]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[begin:]), reduction='sum'))
    loss = sum(losses) / total
    loss.backward()
    out = {n + '.grad': g.numpy() for n, g in lora_gradients(system.peft).items()}
    out['loss'] = np.array([loss.item()], np.float32)
    for i, v in enumerate(visual):
        out[f'visual{i}'], out[f'visual{i}.grad'] = v.detach().numpy(), v.grad.numpy()
    for i, (image, ids, begin) in enumerate(rows):
        out[f'row{i}'], out[f'row{i}.answer'] = np.array(ids, np.int32), np.array([begin], np.int32)
    return out


def golden_answers(system):
    out, margins = {}, []
    for i, (image, question) in enumerate(QUESTIONS):
        ids, _ = system.ids(question)
        embeds = system.embed(ids, system.visual(image))[None]
        with torch.no_grad():
            made = system.peft.generate(inputs_embeds=embeds, attention_mask=torch.ones(1, len(ids), dtype=torch.long), max_new_tokens=NEW_TOKENS,
                                        do_sample=False, output_logits=True, return_dict_in_generate=True)
        answer = made.sequences[0].tolist()
        steps = torch.cat(made.logits).log_softmax(-1)
        assert answer == steps.argmax(-1).tolist()
        top = steps.topk(2).values
        margins.append((top[:, 0] - top[:, 1]).min().item())
        out[f'prompt{i}'], out[f'answer{i}'] = np.array(ids, np.int32), np.array(answer, np.int32)
        out[f'answer{i}.log_probability'] = np.array([top[:, 0].double().sum().item()], np.float64)
    return out, min(margins)


def tells_much(out):
    answers = [out[f'answer{i}'] for i in range(len(QUESTIONS))]
    whole = [a for a in answers if len(a) == NEW_TOKENS and len(set(a.tolist())) >= 10]
    return len(whole) >= 2 and any(2 <= len(a) < NEW_TOKENS for a in answers) and len({a.tobytes() for a in answers}) == len(answers)


def main():
    torch.set_num_threads(1)
    for name, (settings, lora, count) in MODELS.items():
        folder = os.path.join(OUT, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        if name == 'llama':
            tokenizer = make_tokenizer(folder)
        for seed in range(1, 1000):  # the first whose answers tell much and whose choices are clear
            model = make_model(settings, seed)
            peft = add_adapter(model, lora, seed)
            if name != 'llama':
                break
            system = System(peft, tokenizer)
            answers, margin = golden_answers(system)
            if tells_much(answers) and margin > 1e-3:
                save_file({**answers, **golden_rows(system)}, os.path.join(OUT, 'system.safetensors'))
                break
        else:
            raise SystemExit('no seed will do')
        print(name, 'seed', seed)
        golden_part(name, peft, count, model)
        save_model(make_model(settings, seed), folder)
        adapter = os.path.join(folder, 'adapter')
        os.makedirs(adapter)
        save_file({n: t.numpy() for n, t in get_peft_model_state_dict(peft).items()}, os.path.join(adapter, 'adapter_model.safetensors'))
        config = peft.peft_config['default']
        config.base_model_name_or_path = name
        config.inference_mode = True
        config.save_pretrained(adapter)


if __name__ == '__main__':
    main()
