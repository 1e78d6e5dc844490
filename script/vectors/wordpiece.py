#!/usr/bin/env python3
"""Remakes the golden vectors of BERT's tokenizer: ids that transformers gives.

Needs: pip install transformers tokenizers
Usage: wordpiece.py OUT   (OUT is tests/text/golden); wordpiece.py --table prints the ranges of src/text/bert_characters_table.h
OUT/wordpiece/tokenizer.json is a small uncased vocabulary, made of the sentences below; OUT/wordpiece_cased/vocab.txt a cased one
with its tokenizer_config.json. OUT/wordpiece.json has, of either, {"text", "ids", "decoded"}; wordpiece/vocab.txt is the same
vocabulary as in tokenizer.json.
"""
import json
import os
import random
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertTokenizer

WORDS = 170
SENTENCES = [
    'The heart size is normal. No pleural effusion or pneumothorax is seen.',
    'Small bilateral pleural effusions, increased compared with prior; bibasilar atelectasis.',
    "There's no focal consolidation; lungs aren't hyperinflated (stable).",
    'Das Herz ist nicht vergr\u00f6\u00dfert. \u00c9panchement pleural \u00e0 gauche. \u5fc3\u810f\u5927\u5c0f\u6b63\u5e38',
    '1. Cardiomegaly 2. Edema 3. 12/24/2019 at 10:45 a.m. \u03b1 \u03b2 \u03c3 \u03c2',
]
ODD = [
    '', ' ', '\t\r\n', 'a', '[CLS] heart [SEP]', '[MASK]x[UNK]', 'HEART', 'h\u00e9art \u00c9\u00c8', 'e\u0301panchement', '\u5fc3\u810f', 'x\u5fc3y',
    'normal.No', 'a.b,c', "aren't", '$5+3=8', '~`^|<>', 'zero\u200bwidth', 'soft\u00adhyphen', 'nbsp\u00a0space', '\u2028line', 'x\ufffdz\u0001y',
    '\u0130stanbul', '\u03a3\u0391\u03a3', '\u1e9e stra\u00dfe', '\ufb01ne', '\u2460', '\U0001d400', '\U0001f600 ok', 'h' * 100, 'h' * 101, 'he' * 60,
    '\ue000private', '\u0378unassigned', '\u061d\u2e52later marks', '\u166d', '\U000111c9', '\u1ab0a\u1abfb', '\u0c04x', 'caf\u00e9\u0301', '\uac00\ud55c',
    '\u1100\u1161', '\u3042\u3093', '\u30ab\u30d5', '\u3400\u9fff\uf900', '\U00020000\U0002b820\U0002b920', '\u0f0b', '\u00bf\u00a1', 'a\u0085b\u000bc\u000cd',
    '##heart', '## heart', 'pleural##', '\u212a\u2126', '\u0345', '\u00b5', '\u01c5', '\u1fb3',
]


def make(lower):
    """A tokenizer with WORDS tokens: what the sentences are spelled with, and their most frequent beginnings and ends of words. (The trainer
    of the library breaks ties by chance.)"""
    normalizer, cut = normalizers.BertNormalizer(lowercase=lower), pre_tokenizers.BertPreTokenizer()
    words = [word for s in SENTENCES for word, _ in cut.pre_tokenize_str(normalizer.normalize_str(s))]
    letters = sorted({c for word in words for c in word})
    pieces = [word[:n] for word in words for n in range(2, len(word) + 1)] + ['##' + word[n:] for word in words for n in range(1, len(word) - 1)]
    frequent = sorted(set(pieces), key=lambda piece: (-pieces.count(piece), -len(piece), piece))
    tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *letters, *('##' + c for c in letters), *frequent][:WORDS]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token='[UNK]'))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, cut, decoders.WordPiece()
    tokenizer.add_special_tokens(tokens[:5])
    return tokenizer


def texts():
    rng = random.Random(8)
    near = [c for s in SENTENCES for c in s] + list('\u0301\u0308\u00ad\u200d\u3000\u00a0\u2019\u4e00!')
    planes = [(0x20, 0x250), (0x250, 0x3000), (0x3000, 0xd7ff), (0xe000, 0xfffd), (0x10000, 0x1f9ff)]
    out = SENTENCES + ODD
    for _ in range(40):
        out.append(''.join(rng.choice(near) if rng.random() < .85 else chr(rng.randint(*rng.choice(planes)))
                           for _ in range(rng.randint(1, 40))))
    return out


def write(out, name, tokenizer, lower):
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    with open(os.path.join(folder, 'vocab.txt'), 'w', encoding='utf-8', newline='\n') as file:
        file.write(''.join(word + '\n' for word, _ in words))
    with open(os.path.join(folder, 'tokenizer_config.json'), 'w') as file:
        json.dump({'tokenizer_class': 'BertTokenizer', 'do_lower_case': lower, 'strip_accents': None}, file)
    if lower:
        tokenizer.save(os.path.join(folder, 'tokenizer.json'), pretty=False)
    mine = BertTokenizer(vocab=dict(words), do_lower_case=lower)
    rows = []
    for text in texts():
        ids = mine.encode(text, add_special_tokens=False)
        rows.append({'text': text, 'ids': ids, 'decoded': tokenizer.decode(ids, skip_special_tokens=False)})
    return rows


def ranges(codes):
    out = []
    for code in codes:
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def print_table():
    def normal(**on):
        return normalizers.BertNormalizer(**{**dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False), **on})
    clean, strip, chinese = normal(clean_text=True), normal(strip_accents=True), normal(handle_chinese_chars=True)
    words = pre_tokenizers.BertPreTokenizer()
    tables = {'removed': lambda c: clean.normalize_str(f'a{c}b') == 'ab', 'accents': lambda c: strip.normalize_str(f'a{c}b') == 'ab',
              'ideographs': lambda c: chinese.normalize_str(c) != c, 'punctuation': lambda c: len(words.pre_tokenize_str(f'a{c}b')) == 3}
    for name, belongs in tables.items():
        found = ranges([c for c in range(0x110000) if not 0xd800 <= c < 0xe000 and belongs(chr(c))])
        print(name, ' '.join(f'{{0x{a:04X}, 0x{b:04X}}},' for a, b in found))


if __name__ == '__main__':
    if sys.argv[1] == '--table':
        print_table()
    else:
        result = {name: write(sys.argv[1], name, make(lower), lower) for name, lower in (('wordpiece', True), ('wordpiece_cased', False))}
        with open(os.path.join(sys.argv[1], 'wordpiece.json'), 'w') as file:
            json.dump(result, file, separators=(',', ':'))
