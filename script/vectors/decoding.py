#!/usr/bin/env python3
"""Makes tests/infer/golden: what transformers' logits processors make of scores, and what its generate() says by beam search, by
drawing and by both's options, with the tiny llama of script/vectors/language.py (which must have run).

usage: script/vectors/decoding.py [OUT] [MODELS]       (needs numpy, peft, safetensors, torch, transformers from PyPI)

processors.json: scores are `spread` (as in language.py) times 8; each case names options and the result: the ids that can still
come or those that cannot, whichever are fewer, the first scores of those that can, and the sum of all of them. generate.json: questions in the model's chat format, options, and the tokens that
transformers gives; where it draws, torch.multinomial is replaced by the inverse of the distribution function at uniform numbers
that depend on seed, request and position (Philox, src/base/random.h), so that both draw with equal numbers. A seed of the model
whose choices are too close to call is refused.
"""
import json
import os
import sys

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '../../tests/infer/golden')
MODELS = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, '../../tests/models/golden')
VOCABULARY, END = 300, 2
sys.argv = sys.argv[:1]
sys.path.insert(0, HERE)
import language  # noqa: E402  the same numbers and the same system

# our name of an option: transformers'
NAMES = {'no_repeat_ngram': 'no_repeat_ngram_size', 'min_tokens': 'min_new_tokens', 'beams': 'num_beams', 'max_tokens': 'max_new_tokens'}


def configuration(options, **more):
    given = {NAMES.get(k, k): v for k, v in options.items() if k not in ('seed', 'draws')}
    draws = given.get('temperature', 0) > 0
    if draws:
        given['top_k'] = given.get('top_k', 0)
    return GenerationConfig(do_sample=draws, eos_token_id=END, pad_token_id=END, bos_token_id=1, **given, **more)


def load_model():
    config = AutoConfig.from_pretrained(os.path.join(MODELS, 'llama'))
    config._attn_implementation = 'eager'
    model = LlamaForCausalLM(config).eval()
    state = {k: v.float() for k, v in load_file(os.path.join(MODELS, 'llama/model.safetensors')).items()}
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {'lm_head.weight'}
    model.tie_weights()
    return model


# ---- processors ----

PROCESSOR_CASES = [
    {'repetition_penalty': 1.3}, {'repetition_penalty': 0.7}, {'no_repeat_ngram': 1}, {'no_repeat_ngram': 2}, {'no_repeat_ngram': 3},
    {'min_tokens': 4}, {'min_tokens': 12}, {'temperature': 0.6}, {'temperature': 1.0, 'top_k': 7}, {'temperature': 1.0, 'top_k': 1000},
    {'temperature': 1.0, 'top_p': 0.9}, {'temperature': 1.0, 'top_p': 0.05}, {'temperature': 1.0, 'min_p': 0.1},
    {'temperature': 1.7, 'top_k': 40, 'top_p': 0.8, 'min_p': 0.05},
    {'temperature': 0.8, 'top_p': 0.95, 'repetition_penalty': 1.2, 'no_repeat_ngram': 2, 'min_tokens': 10},
]
# prompt, then answer
PROCESSOR_IDS = [5, 9, 5, 9, 44, 250, 9, 7, 5, 9]
PROCESSOR_PROMPT = 6


def processor_cases(model):
    cases = []
    for seed, options in enumerate(PROCESSOR_CASES, start=700):
        scores = torch.from_numpy(language.spread(seed, VOCABULARY) * np.float32(8))[None]
        scores[0, 17] = scores[0, 201]  # equal scores
        config = configuration(options, max_new_tokens=100)
        config._eos_token_tensor = torch.tensor([END])
        ids = torch.tensor([PROCESSOR_IDS])
        processors = model._get_logits_processor(config, input_ids_seq_length=PROCESSOR_PROMPT, encoder_input_ids=ids[:, :PROCESSOR_PROMPT],
                                                 model_kwargs={}, device='cpu')
        out = processors(ids, scores.clone())[0]
        can = torch.isfinite(out)
        cases.append({'seed': seed, 'options': options, 'order': [type(p).__name__ for p in processors],
                      'left_out': torch.nonzero(~can)[:, 0].tolist() if (~can).sum() < VOCABULARY // 2 else None,
                      'left': torch.nonzero(can)[:, 0].tolist() if (~can).sum() >= VOCABULARY // 2 else None,
                      'values': [round(float(v), 7) for v in out[can][:20]], 'sum': round(float(out[can].double().sum()), 5),
                      'likeliest': int(out.argmax())})
    return cases


# ---- generate ----

def philox(key, counter):
    c, k = list(counter), [key & 0xffffffff, key >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xffffffff, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xffffffff]
        k = [(k[0] + 0x9E3779B9) & 0xffffffff, (k[1] + 0xBB67AE85) & 0xffffffff]
    return c


def uniform(seed, request, position):
    out = philox(seed, [position & 0xffffffff, position >> 32, request & 0xffffffff, request >> 32])
    return (((out[3] << 32) | out[2]) >> 11) * 2.0**-53


class Draws:
    """In place of torch.multinomial: a draw of one request."""

    def __init__(self, seed, request):
        self.seed, self.request, self.position, self.margin = seed, request, 0, 1.0

    def __call__(self, probabilities, num_samples):
        assert probabilities.shape[0] == 1 and num_samples == 1
        sums = probabilities[0].double().cumsum(0)
        sums /= sums[-1].clone()
        u = uniform(self.seed, self.request, self.position)
        self.position += 1
        self.margin = min(self.margin, (sums - u).abs().min().item())
        return torch.searchsorted(sums, torch.tensor([u], dtype=torch.float64), right=True)[None]


# of different length, chosen for what they tell apart: how beam search ends, and whether answers end by themselves
QUESTIONS = ['normal', '7 Where lung heart 12 ct', 'lesion answer normal answer x-ray Which Is Where what', 'the the']
GENERATE = ([{'beams': b, 'length_penalty': p, 'early_stopping': e, 'max_tokens': 14} for b in (2, 4, 5) for p in (0.5, 1.0, 2.0)
             for e in (False, True, 'never')] +
            [{'beams': b, 'length_penalty': p, 'early_stopping': e, 'max_tokens': 16, 'no_repeat_ngram': 2, 'min_tokens': 5}
             for b, p, e in ((2, 1.0, False), (4, 2.0, True), (4, 0.5, 'never'), (5, -1.0, False))] +
            [{'beams': 4, 'repetition_penalty': 1.4, 'max_tokens': 16}, {'beams': 3, 'length_penalty': 0.0, 'early_stopping': 'never', 'max_tokens': 20},
             {'max_tokens': 20}, {'max_tokens': 20, 'repetition_penalty': 1.3}, {'max_tokens': 20, 'no_repeat_ngram': 2, 'min_tokens': 8},
             {'max_tokens': 20, 'temperature': 0.7, 'seed': 42}, {'max_tokens': 20, 'temperature': 1.5, 'top_k': 20, 'seed': 7},
             {'max_tokens': 20, 'temperature': 1.0, 'top_p': 0.9, 'seed': 2**40 + 1}, {'max_tokens': 20, 'temperature': 2.0, 'min_p': 0.05, 'seed': 42},
             {'max_tokens': 20, 'temperature': 1.2, 'top_k': 50, 'top_p': 0.95, 'min_p': 0.01, 'repetition_penalty': 1.1, 'min_tokens': 6, 'seed': 42}])


# with images, an adapter and common beginnings (language.py's system); the prompt is no ids there, so nothing looks back at it
SYSTEM = [{'beams': 3, 'max_tokens': 10}, {'beams': 4, 'max_tokens': 12, 'length_penalty': 2.0, 'early_stopping': True},
          {'beams': 2, 'max_tokens': 12, 'length_penalty': 0.5, 'early_stopping': 'never', 'min_tokens': 4}]


# answers to choose among, as a person gives them; learned in lower case
CHOICES = ['Yes', 'no', ' Left Lung', 'the left lung, the right lung, the liver, the heart', 'the left lung, the right lung', 'x', '12']


def encode(question):
    tokenizer = AutoTokenizer.from_pretrained(os.path.join(MODELS, 'llama'))
    text = tokenizer.apply_chat_template([dict(role='user', content=question)], tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)['input_ids']


def run(model, prompt, options, number, embeds=None):
    beams = options.get('beams', 1)
    ids = torch.tensor([prompt])
    length = 0 if embeds is not None else len(prompt)
    inputs = {'inputs_embeds': embeds, 'attention_mask': torch.ones(embeds.shape[:2], dtype=torch.long)} if embeds is not None else {
        'input_ids': ids, 'attention_mask': torch.ones_like(ids)}
    draws = Draws(options.get('seed', 42), number + 1000)
    kept, torch.multinomial = torch.multinomial, draws
    try:
        with torch.no_grad():
            config = configuration(options, num_return_sequences=beams, return_dict_in_generate=True, output_scores=True)
            made = model.generate(**inputs, generation_config=config)
    finally:
        torch.multinomial = kept
    out = []
    for i, sequence in enumerate(made.sequences.tolist()):
        answer = sequence[length:]
        if END in answer:
            answer = answer[:answer.index(END) + 1]
        score = round(made.sequences_scores[i].item(), 5) if beams > 1 else None
        out.append((answer, score))
    if beams == 1 and options.get('temperature', 0) == 0:
        top = torch.cat(made.scores).topk(2).values
        assert (top[:, 0] - top[:, 1]).min() > 1e-4, 'too close to call'
    assert draws.margin > 1e-6, 'too close to call'
    return out


def cases_of(listed, answer):
    """answer(options): what is said to each question."""
    cases = []
    for options in listed:
        answers = answer(options)
        case = {'options': options, 'answers': [[a for a, _ in made] for made in answers]}
        if options.get('beams', 1) > 1:
            case['scores'] = [[s for _, s in made] for made in answers]
        cases.append(case)
    return cases


def system_cases():
    tokenizer = AutoTokenizer.from_pretrained(os.path.join(MODELS, 'llama'))
    peft = PeftModel.from_pretrained(load_model(), os.path.join(MODELS, 'llama/adapter')).eval()
    system = language.System(peft, tokenizer)
    asked = [(system.embed(system.ids(q)[0], system.visual(image))[None]) for image, q in language.QUESTIONS]
    return {'system': cases_of(SYSTEM, lambda options: [run(peft, [], options, i, embeds) for i, embeds in enumerate(asked)]),
            'choices': CHOICES, 'likelihoods': likelihoods(peft, system)}


def likelihoods(peft, system):
    """log p(choice and end of turn | image and question), a row a question."""
    out = []
    for image, question in language.QUESTIONS:
        ids, begin = system.ids(question)
        out.append([])
        for choice in CHOICES:
            whole, _ = system.ids(question, choice)
            with torch.no_grad():
                logits = peft(inputs_embeds=system.embed(whole[:-1], system.visual(image))[None]).logits[0, begin - 1:]
            steps = logits.double().log_softmax(-1)
            out[-1].append(round(sum(steps[i, t].item() for i, t in enumerate(whole[begin:])), 5))
    return out


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    model = load_model()
    with open(os.path.join(OUT, 'processors.json'), 'w') as file:
        json.dump({'ids': PROCESSOR_IDS, 'prompt': PROCESSOR_PROMPT, 'cases': processor_cases(model)}, file, separators=(',', ':'))
        file.write('\n')
    prompts = [encode(q) for q in QUESTIONS]
    cases = cases_of(GENERATE, lambda options: [run(model, prompt, options, i) for i, prompt in enumerate(prompts)])
    with open(os.path.join(OUT, 'generate.json'), 'w') as file:
        json.dump({'questions': QUESTIONS, 'cases': cases, **system_cases()}, file, separators=(',', ':'))
        file.write('\n')
    ended = sum(a[-1] == END for c in cases for made in c['answers'] for a in made)
    print(len(cases), 'cases,', sum(len(m) for c in cases for m in c['answers']), 'answers of which', ended, 'end by themselves')


if __name__ == '__main__':
    main()
