#!/usr/bin/env python3
"""Remakes tests/eval/golden/prepare.json: made-up texts as R2Gen's cleaning and as coco's tokenizer leave them.

Needs what text_metrics.py beside it names, and java.
Usage: script/vectors/eval_prepare.py [OUT]
"""
import json
import os
import sys

import text_metrics

TEXTS = ['The heart is normal. 1. No effusion.. 2. Left-sided opacity, (unchanged)/stable; 3. T2-weighted 4. x 5. y', '',
         ' \u00a0', '...', 'a.... b..c', 'NO_ACUTE__DISEASE ___ of XXXX\nnew  line   here.\n', 'range :;<=>?@[\\]^_`{|}~ ABC "quoted" it\'s',
         'Ends without stop', '. Begins. with stop. ', '1. one 2. two. 2. three  3. four', '\u00c9l\u00e9v\u00e9. \u0130x \u039f\u0394\u039f\u03a3. \u6c34\u80bf\u3002', 'a . b .', "C5-C6 and/or T1/T2 w/o 3.5cm x 4.1 cm.",
         "don't can't it's patient's cannot O'Brien's dogs' '90s he'd we'll", 'Dr. Smith, e.g. the U.S. approx. 5 vs. 6; Fig. 3 No. 4 no. It is. No.',
         'C. difficile A. The left, b. but X. He', '3-4 cm 1,234.5 10:30 -5 +3 5-10% 120/80 3/4/2010 1.2-1.5 (3) 50% .5', '"a" ``b\'\' \u2018c\u2019 \u201cd\u201d \u00abe\u00bb don\u2019t',
         '(a) [b] {c} <b>d</b> < 5 > 3 <x y>', 'dash - -- --- \u2013 \u2014 en\u2013dash word--word ellipsis ... \u2026 ....', '!! ?? ?! # ## #1 #a @b a@b.org $5 US$5 \u00a35 \u20ac5 \u00bd',
         'http://example.com/a.b?c=d. www.x.org, x.com/y', '&amp; &lt; &quot; AT&T R&D &#39;', 'a_b __ *star* ** x=y ~3 2^3 C+ 37\u00b0C \u00b1 \u2264 \u2192',
         'pneumothorax.The word.Word end.2 T1.5 v1.2.3', 'post-op. follow-up, year-old 50-year-old non- -non a-b-c-d a/b/c/d', 'Mr. Ph.D. Jan. Inc. Rt. lat. etc., etc.; in. abd.,',
         'gonna gotta lemme wanna GIMME', 'soft\u00adhyphen \ue000 private']


def main():
    cut = text_metrics.cut_ptb(TEXTS)
    out = [dict(text=t, iu_xray=text_metrics.clean_r2gen(t), mimic_cxr=text_metrics.clean_r2gen(t, True), ptb=c.split())
           for t, c in zip(TEXTS, cut)]
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/eval/golden/prepare.json')
    with open(path, 'w') as file:
        json.dump(out, file, indent=0)
        file.write('\n')


main()
