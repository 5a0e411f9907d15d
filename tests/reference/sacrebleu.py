#!/usr/bin/env python3
"""Records sacreBLEU's scores: sacrebleu.json.

The sentences are made here from words and oddities (numbers, punctuation, entities, French apostrophes, accents, other
scripts, emoji, rare white space), the hypotheses by noise on them: words dropped, doubled, replaced, swapped, letters
changed, case changed, everything dropped. Nothing is quoted from a data set. The generator is seeded.

corpora: keys hypotheses [N], references [N][1..3], and
    bleu: rows of tokenizer ("13a" or "none"), lowercase, corpus BLEU, brevity penalty, precisions [4], sacreBLEU's line,
        sentence BLEU [N] (effective order)
    chrf: rows of lowercase, corpus chrF2, sentence chrF2 [N]
tokens: rows of a line and its 13a tokens.

Run: python sacrebleu.py [OUTPUT]. Recorded with Python 3.11.7, sacrebleu 2.6.0.
"""
import json
import pathlib
import random
import sys

# This file has the package's name: its own folder must not be searched first.
HERE = pathlib.Path(__file__).resolve().parent
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != HERE]

from sacrebleu.metrics import BLEU, CHRF  # noqa: E402
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a  # noqa: E402

WORDS = """a the two young old men women children dog dogs horse bicycle river street red blue small large stands runs
    jumps sits plays holds near under over with without and while un une l'homme d'une aujourd'hui qu'il l'été fenêtre
    garçon cœur Straße Übung naïve niño señor čas łódź Ελλάδα καλός ΟΔΟΣ Москва река İstanbul 日本 東京 한국 नमस्ते שלום
    well-known mother-in-law U.S. e.g. Dr. AT&T rock'n'roll can't it's""".split()
ODD = ["3,000.5", "1990-91", "10-20%", "$5.00", "3.14", "1,000", "-5", "5-", "v2.0", "12:30", "1/2", "#1", "@home", "a_b",
       ",", ".", "...", ",,", "?!", "!", "\"quoted\"", "(in brackets)", "[sic]", "{x}", "«oui»", "“so”", "l’ami", "–", "—",
       "&quot;hi&quot;", "&amp;", "&lt;b&gt;", "&amp;lt;", "<skipped>", "😀", "👩‍🚀", "e\u0301", "\u200b", "\u00a0", "\u1680",
       "\u2028", "\u3000", "\u001f", "\u0085", "^", "~", "`", "\\", "|", "*", "+", "=", ";", ":"]


def sentence(rng):
    n = rng.choice([1, 2, 3, 4, 5, 8, 12, 20])
    words = [rng.choice(ODD) if rng.random() < 0.2 else rng.choice(WORDS) for _ in range(n)]
    text = " ".join(words)
    if rng.random() < 0.5:
        text = text[:1].upper() + text[1:]
    return text + rng.choice([".", ".", "", "!", " .", "?", ".\"", " \t", "…"])


def noisy(rng, text):
    kind = rng.random()
    if kind < 0.05:
        return ""
    if kind < 0.1:
        return text
    if kind < 0.15:
        return sentence(rng)
    level = rng.choice([0.05, 0.15, 0.4])
    out = []
    for word in text.split(" "):
        r = rng.random() / level
        if r < 0.25:
            continue
        if r < 0.4:
            out += [word, word]
        elif r < 0.6:
            out.append(rng.choice(WORDS))
        elif r < 0.75:
            out.append(word.swapcase())
        elif r < 0.9 and len(word) > 1:
            i = rng.randrange(len(word))
            out.append(word[:i] + rng.choice("aeé,.-'") + word[i + 1:])
        else:
            out.append(word)
    if len(out) > 2 and rng.random() < level:
        i = rng.randrange(len(out) - 1)
        out[i], out[i + 1] = out[i + 1], out[i]
    return " ".join(out)


def corpus(rng):
    n = rng.choice([1, 1, 1, 2, 3, 5, 12])
    count = rng.choice([1, 1, 2, 3])
    hypotheses, references = [], []
    for _ in range(n):
        text = sentence(rng)
        hypotheses.append(noisy(rng, text))
        others = [noisy(rng, text) or text for _ in range(count - 1)]
        references.append([text] + others)
    return hypotheses, references


def record(hypotheses, references):
    streams = [list(stream) for stream in zip(*references)]
    case = {"hypotheses": hypotheses, "references": references, "bleu": [], "chrf": []}
    for tokenizer in ["13a", "none"]:
        for lowercase in [False, True]:
            bleu = BLEU(tokenize=tokenizer, lowercase=lowercase).corpus_score(hypotheses, streams)
            alone = BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=True)
            sentences = [alone.sentence_score(h, r).score for h, r in zip(hypotheses, references)]
            case["bleu"].append([tokenizer, lowercase, bleu.score, bleu.bp, bleu.precisions, str(bleu), sentences])
    for lowercase in [False, True]:
        chrf = CHRF(lowercase=lowercase)
        sentences = [chrf.sentence_score(h, r).score for h, r in zip(hypotheses, references)]
        score = chrf.corpus_score(hypotheses, streams).score
        case["chrf"].append([lowercase, score, sentences])
    return case


def main():
    rng = random.Random(20260415)
    corpora = [record(*corpus(rng)) for _ in range(240)]
    tokenizer = Tokenizer13a()
    lines = [sentence(rng) for _ in range(150)]
    lines += [noisy(rng, "".join(rng.choice("ab19.,-'&/ \n$") for _ in range(30))) for _ in range(150)]
    tokens = [[line, tokenizer(line.rstrip()).split()] for line in lines]
    output = sys.argv[1] if len(sys.argv) > 1 else HERE / "sacrebleu.json"
    with open(output, "w", encoding="utf-8") as file:
        rows = [",\n".join(json.dumps(row, separators=(",", ":")) for row in part) for part in (corpora, tokens)]
        file.write(f'{{"corpora":[\n{rows[0]}\n],"tokens":[\n{rows[1]}\n]}}\n')


main()
