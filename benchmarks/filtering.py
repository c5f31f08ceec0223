"""Finding near duplicates beside the original procedure and rapidfuzz: time, memory, growth, agreement.

    python benchmarks/filtering.py speed        # all pairs among 52,000 instructions, peers in the same run
    python benchmarks/filtering.py growth       # 100,000 to 1,000,000, new candidates against 1,000,000
    python benchmarks/filtering.py agreement    # every pair against rouge_score, three corpora
    python benchmarks/filtering.py shapes       # copies, near-copies, 5,000-word rows

Corpora are grown from real instructions: the seed tasks and evaluation items of this repository, or the `instruction`
column of a JSON Lines file (--corpus). A text is made of two real ones that have a word in common: the first up to
that word, the second from there on. Lengths, the frequencies of words and their order stay those of real text, and
texts that share a half or nearly all give near duplicates. The real ones come first; no text is there twice.

Each command prints one JSON line a measurement. Ratios are of CPU time, of all threads, so that other work
on the machine does not count; both sides use all cores evenly, so they are also those of the clock.
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from sedi_dagster.filtering.novelty import greedy_novelty, near_duplicates
from sedi_dagster.texts.words import tokens

ROOT = Path(__file__).parents[1]
THRESHOLDS = (0.7, 0.85)


def read(path: Path, key: str) -> list[str]:
    return [json.loads(line)[key] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def real_texts(corpus: Path | None) -> list[str]:
    if corpus:
        return read(corpus, "instruction")
    return read(ROOT / "seeds/seed_tasks.jsonl", "instruction") + read(ROOT / "seeds/evaluation_items.jsonl", "prompt")


def grown(real: list[str], count: int, seed: int = 0) -> list[str]:
    """So many different texts, as the module says."""
    draw = random.Random(seed)
    texts = [text.split() for text in dict.fromkeys(real)]
    places: dict[str, list[tuple[int, int]]] = {}
    for number, words in enumerate(texts):
        for at in range(1, len(words) - 1):
            places.setdefault(words[at].lower(), []).append((number, at))
    made = dict.fromkeys(" ".join(words) for words in texts)
    while len(made) < count:
        words = draw.choice(texts)
        if len(words) > 2:
            at = draw.randrange(1, len(words) - 1)
            other, there = draw.choice(places[words[at].lower()])
            made[" ".join(words[:at] + texts[other][there:])] = None
    return list(made)[:count]


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(seconds, seconds of CPU, result)."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began, time.process_time() - cpu, result


def tell(**measured: Any) -> None:
    print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in measured.items()}))


def memory_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def original_seconds_per_pair(texts: list[str], queries: int, pool: int) -> float:
    """CPU time of Self-Instruct's script, rouge_score of each instruction with all there are, from a sample."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    draw = random.Random(1)
    asked, known = draw.sample(texts, queries), draw.sample(texts, pool)
    _, cpu, _ = timed(lambda: [scorer.score(a, b)["rougeL"].fmeasure for a in asked for b in known])
    return cpu / (queries * pool)


def rapidfuzz_seconds_per_pair(texts: list[str], threshold: float, queries: int) -> float:
    """CPU time of rapidfuzz.process.cdist on the same token lists, as strings of one character a token."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    symbols: dict[str, str] = {}
    coded = ["".join(symbols.setdefault(t, chr(0xE000 + len(symbols))) for t in tokens(text)) for text in texts]
    asked = random.Random(1).sample(coded, queries)
    _, cpu, _ = timed(
        lambda: process.cdist(
            asked, coded, scorer=Indel.normalized_similarity, score_cutoff=threshold, workers=-1, dtype=np.float32
        )
    )
    return cpu / (queries * len(coded))


@click.group()
def main() -> None:
    pass


corpus_option = click.option("--corpus", type=click.Path(path_type=Path, exists=True), help="JSON Lines, `instruction`")


@main.command()
@corpus_option
@click.option("--texts", default=52_000)
def speed(corpus: Path | None, texts: int) -> None:
    pool = grown(real_texts(corpus), texts)
    lengths = [len(tokens(text)) for text in pool]
    tell(what="corpus", texts=len(pool), tokens_mean=float(np.mean(lengths)), tokens_most=max(lengths))
    original = original_seconds_per_pair(pool, 30, 500)
    for threshold in THRESHOLDS:
        took, cpu, pairs = min(
            (timed(lambda t=threshold: near_duplicates(pool, pool, t)) for _ in range(3)), key=lambda m: m[0]
        )
        # Each with those before it, half the pairs, as the original does; cdist cannot leave out the other half.
        by_original = original * texts * (texts - 1) / 2
        by_cdist = rapidfuzz_seconds_per_pair(pool, threshold, 2_000) * texts * texts
        tell(
            what="all pairs", threshold=threshold, seconds=took, cpu_seconds=cpu, rows=pairs.height,
            original_cpu_hours=by_original / 3600, times_original=by_original / cpu,
            rapidfuzz_cpu_seconds=by_cdist, times_rapidfuzz=by_cdist / cpu,
            times_half_of_rapidfuzz=by_cdist / cpu / 2,
        )  # fmt: skip


@main.command()
@corpus_option
@click.option("--most", default=1_000_000)
def growth(corpus: Path | None, most: int) -> None:
    texts = grown(real_texts(corpus), most + 1_000)
    new, pool = texts[::1001][:1000], texts[1_000:]
    tell(what="memory before", gigabytes=memory_gb())
    for size in [most // 10 * share for share in (1, 2, 5, 10)]:
        took, cpu, pairs = timed(lambda n=size: near_duplicates(some := pool[:n], some, 0.85))
        tell(what="all pairs", texts=size, seconds=took, cpu_seconds=cpu, rows=pairs.height, memory_gb=memory_gb())
        del pairs
    took, cpu, pairs = timed(lambda: near_duplicates(new, pool, 0.85))
    tell(what="1,000 against the pool", pool=len(pool), seconds=took, cpu_seconds=cpu, rows=pairs.height)
    took, cpu, kept = timed(lambda: greedy_novelty(texts[: most // 20], pool, 0.85))
    tell(what="greedy", candidates=kept.height, pool=len(pool), seconds=took, cpu_seconds=cpu, memory_gb=memory_gb())


@main.command()
@corpus_option
@click.option("--texts", default=400, help="of each corpus; every pair is scored")
def agreement(corpus: Path | None, texts: int) -> None:
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    corpora = {
        "seed tasks": read(ROOT / "seeds/seed_tasks.jsonl", "instruction"),
        "evaluation items": read(ROOT / "seeds/evaluation_items.jsonl", "prompt"),
        "grown": grown(real_texts(corpus), 50_000)[-texts:],
    } | ({str(corpus.name): real_texts(corpus)} if corpus else {})
    least = 0.001
    for name, all_texts in corpora.items():
        some = all_texts[:: max(1, len(all_texts) // texts)][:texts]
        found = {(q, p): score for q, p, score in near_duplicates(some, some, least).iter_rows()}
        worst = 0.0
        for q, a in enumerate(some):
            for p, b in enumerate(some):
                expected = scorer.score(a, b)["rougeL"].fmeasure
                worst = max(worst, abs(found.get((q, p), 0.0) - (expected if expected >= least else 0.0)))
        print(json.dumps({"what": "agreement", "corpus": name, "pairs": len(some) ** 2, "greatest_difference": worst}))


@main.command()
def shapes() -> None:
    draw = random.Random(0)
    words = [f"w{n}" for n in range(20_000)]
    zipf = [1 / (n + 1) for n in range(20_000)]
    copies = ["Name three rivers of Peru."] * 52_000
    near = [f"Write a long poem about the {n} flowers of my grandmother's garden" for n in range(52_000)]
    long = [" ".join(draw.choices(words, zipf, k=5_000)) for _ in range(500)]
    for name, texts in (("identical", copies), ("near-copies", near), ("5,000 words", long)):
        took, cpu, kept = timed(lambda some=texts: greedy_novelty(some, [], 0.85))
        tell(what=f"greedy, {name}", texts=len(texts), kept=int(kept["novel"].sum()), seconds=took, cpu_seconds=cpu)
    for name, texts, threshold in (
        ("near-copies", near, 0.95),
        ("5,000 words", long, 0.85),
        ("5,000 words", long, 0.7),
    ):
        took, cpu, pairs = timed(lambda some=texts, t=threshold: near_duplicates(some, some, t))
        tell(
            what=f"all pairs, {name}",
            texts=len(texts),
            threshold=threshold,
            rows=pairs.height,
            seconds=took,
            cpu_seconds=cpu,
        )


if __name__ == "__main__":
    main()
