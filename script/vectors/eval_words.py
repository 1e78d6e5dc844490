#!/usr/bin/env python3
"""Remakes tests/eval/golden/words.json: stems by nltk's Porter stemmer, lower case by Python, synonyms by nltk's WordNet reader.

Needs what text_metrics.py beside it names.
Usage: script/vectors/eval_words.py [OUT]
"""
import json
import os
import sys

from nltk.stem.porter import PorterStemmer
import text_metrics

WORDS = ('caresses ponies ties caress cats flies dies spied died feed agreed plastered bled motoring sing conflated troubled sized hopping '
         'tanned falling hissing fizzed failing filing happy sky enjoy enjoyment spy by relational conditional rational valenci hesitanci '
         'digitizer conformabli radically differently vilely analogously vietnamization predication operator feudalism decisiveness '
         'hopefulness callousness formality sensitivity sensibility hopefully geologies theology logi triplicate formative formalize '
         'electricity electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement '
         'adjustment dependent adoption homologous communism activate angularity effective bowdlerize probate rate cease controlling roll '
         'dying lying tying news innings outing cannings howe proceed exceed succeed skies as is yes yyyy yyed syzygy toying yellying '
         "a*ded x*ding aed ed ing eed ied s ss sses ies lungs. 3.5cm t2-weighted o'clock élevées naïvely 水肿s οδος ing... bbing ooing "
         'generalizationally oscillations ion tion sion ationally alli formalalli fulli beautifully tattoos owed iing opacities effusions '
         'cardiomegaly pneumothoraces atelectasis vertebrae sclerosis').split()
TEXTS = ['NO ACUTE Disease.', 'İSTANBUL I ı', 'ΟΔΟΣ', 'ΣΑΣ Σ', 'Α.Σ', "ΑΣ'", "ΑΣ'Β", 'ΑΣ\u0301', 'ΑΣ\u0301Α', '1Σ', 'ªΣ', 'ΣΣ', 'ⅠΣ Ⅸ', 'ⒶΣ', 'ǅ Ǆ', 'STRASSE ẞ', 'K Å', '𐐀𐐁', 'ΑΣ\u200dΑ',
         'ÀÉÎ', 'Ա', 'Ⴀ Ა', 'Ꭰ ꭰ', '\u0345Σ', 'ʰΣ', 'A\u00adΣ', 'a\u0130\u03a3']
SYNONYMS = 'lung lungs feet worse better studied ran opacities disease hopping quickly heart xyzzy able oxen went .22 geese us'.split()


def main():
    stem, wordnet = PorterStemmer().stem, text_metrics.open_wordnet()
    names = lambda word: sorted({lemma for synset in wordnet.synsets(word) for lemma in synset.lemma_names()})
    out = dict(stems={w: stem(w) for w in WORDS}, lower={t: t.lower() for t in TEXTS}, synonyms={w: names(w) for w in SYNONYMS})
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/eval/golden/words.json')
    with open(path, 'w') as file:
        json.dump(out, file, indent=0)
        file.write('\n')


main()
