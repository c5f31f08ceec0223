"""The join finds every pair that comparing all finds, with the scores of `rouge_score`, and copes with copies."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

from sedi_dagster.errors import SediError
from sedi_dagster.filtering import novelty, similarity_join
from sedi_dagster.filtering.novelty import NoveltyIndex, greedy_novelty, near_duplicates
from sedi_dagster.texts.words import tokens

SEEDS = Path(__file__).parents[2] / "seeds"
THRESHOLDS = st.sampled_from([0.05, 0.3, 0.5, 2 / 3, 0.7, 0.8, 0.85, 0.9, 1.0])


def score(a: str, b: str) -> float:
    x, y = tokens(a), tokens(b)
    return 2 * LCSseq.similarity(x, y) / (len(x) + len(y)) if x and y else 0.0


def all_pairs(queries: list[str], pool: list[str], threshold: float) -> list[tuple[int, int, float]]:
    scored = ((q, p, score(a, b)) for q, a in enumerate(queries) for p, b in enumerate(pool))
    return [pair for pair in scored if pair[2] >= threshold]


def texts(words: int, longest: int) -> st.SearchStrategy[list[str]]:
    few = st.lists(st.sampled_from([f"w{n}" for n in range(words)]), max_size=longest).map(" ".join)
    return st.lists(
        st.one_of(few, st.sampled_from(["", "!?", "写一首诗", "写 w1 诗", "é w1 w2", "w1 W1 w1"])), max_size=12
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(texts(6, 12), texts(6, 12), THRESHOLDS)
def test_it_finds_the_pairs_that_comparing_all_finds(queries: list[str], pool: list[str], threshold: float) -> None:
    assert near_duplicates(queries, pool, threshold).rows() == all_pairs(queries, pool, threshold)
    assert near_duplicates(pool, pool, threshold).rows() == all_pairs(pool, pool, threshold)


@pytest.mark.parametrize("words", [3, 40, 400])
@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.85])
def test_it_finds_them_among_texts_of_hundreds_of_words(words: int, threshold: float) -> None:
    draw = random.Random(words)
    pool = [" ".join(f"w{draw.randrange(words)}" for _ in range(draw.randrange(1, 400))) for _ in range(40)]
    for text in pool[:20]:  # and copies of them with more and more changes
        changed = text.split()
        for _ in range(draw.randrange(1 + len(changed) // 2)):
            changed[draw.randrange(len(changed))] = f"w{draw.randrange(words)}"
        pool.append(" ".join(changed[draw.randrange(3) :]))
    assert near_duplicates(pool[::2], pool, threshold).rows() == all_pairs(pool[::2], pool, threshold)
    assert near_duplicates(pool, pool, threshold).rows() == all_pairs(pool, pool, threshold)


def corpus(name: str) -> list[str]:
    if name == "latin":
        sentences = ["Écris un poème sur l'été à Genève", "Hãy viết một bài thơ", "Příliš žluťoučký kůň", "x² + ½ ≤ 3"]
        return [f"{a}, {b}" for a in sentences for b in [*sentences, "Translate 'こんにちは' into English"]]
    key = {"seed_tasks": "instruction", "evaluation_items": "prompt"}[name]
    lines = [json.loads(line)[key] for line in (SEEDS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return lines[:: len(lines) // 70]


@pytest.mark.parametrize("name", ["seed_tasks", "evaluation_items", "latin"])
def test_every_pair_has_the_score_of_rouge_score(name: str) -> None:
    from rouge_score import rouge_scorer, tokenizers  # brings NLTK, and SciPy for that

    class OurWords(tokenizers.Tokenizer):
        """`rouge_score` drops every letter but a-z; with these words it can be compared with in any language."""

        def tokenize(self, text: str) -> list[str]:
            return tokens(text)

    some = corpus(name)
    tokenizer = OurWords() if name == "latin" else tokenizers.DefaultTokenizer(use_stemmer=False)
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False, tokenizer=tokenizer)
    least = 0.001
    found = {(q, p): s for q, p, s in near_duplicates(some, some, least).iter_rows()}
    assert len(found) > len(some)
    for q, a in enumerate(some):
        for p, b in enumerate(some):
            expected = scorer.score(a, b)["rougeL"].fmeasure
            assert found.get((q, p), 0.0) == pytest.approx(expected if expected >= least else 0.0, abs=1e-9), (a, b)


MANY_SCRIPTS = [
    "写一首关于春天的诗", "把这个句子翻译成法语", "用 GPT4 解释相对论", "Напиши стихотворение о весне",
    "ترجم الجملة التالية", "اكتب قصيدة عن الربيع", "เขียนบทกวี", "แปลประโยคนี้", "😀😀🎉", "🚗🚕🚙", "٣ + ٤ = ?",
    "+++[>++<-]>.", "<<>>(){};", "for (i = 0; i < n; i++) { s += a[i]; }", "def f(x): return x + 1",
    "Write a poem about spring.", "Translate 'こんにちは' into English.", "春 GPT4", "!!!", "",
]  # fmt: skip


def test_texts_of_all_scripts_are_equal_to_themselves_alone_and_compared_alike_both_ways() -> None:
    found = {(q, p): s for q, p, s in near_duplicates(MANY_SCRIPTS, MANY_SCRIPTS, 0.01).iter_rows()}
    for q, a in enumerate(MANY_SCRIPTS):
        assert found.get((q, q), 0.0) == (1.0 if a else 0.0)
        for p, b in enumerate(MANY_SCRIPTS):
            assert found.get((q, p)) == found.get((p, q))
            assert q == p or found.get((q, p), 0.0) < 0.8, (a, b)


def test_a_latin_text_and_one_of_another_script_share_the_latin_words_only() -> None:
    ((_, _, near),) = near_duplicates(["Write about GPT4."], ["请用 GPT4 写一首关于春天的诗"], 0.01).rows()
    assert near == pytest.approx(2 * 1 / (3 + 8))


def test_no_text_one_text_and_texts_without_tokens() -> None:
    assert near_duplicates([], [], 0.85).schema.names() == ["query", "pool", "score"]
    assert near_duplicates(["a b"], ["a b"], 0.85).rows() == [(0, 0, 1.0)]
    assert near_duplicates([""] * 20_000, [""] * 20_000, 0.85).is_empty()
    assert near_duplicates(["a"], ["a"], 1.01).is_empty()


def test_a_threshold_that_everything_reaches_is_refused() -> None:
    with pytest.raises(SediError, match="pairs every text with every other"):
        near_duplicates(["a"], ["b"], 0.0)


def test_copies_beyond_what_can_be_listed_are_an_error_with_their_count() -> None:
    same = ["Name three rivers of Peru."] * 52_000
    with pytest.raises(SediError, match=r"at least 2,704,000,000 pairs"):
        near_duplicates(same, list(same), 0.85)
    kept = greedy_novelty(same, [], 0.85)
    assert kept["novel"].sum() == 1 and kept["candidate"][1:].unique().to_list() == [0]


def test_near_copies_beyond_what_can_be_listed_are_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity_join, "MOST_PAIRS", 50_000)
    near = [f"Write a long poem about the {n} flowers of the garden of my mother" for n in range(2_000)]
    with pytest.raises(SediError, match="50,000 can be listed"):
        near_duplicates(near, near, 0.8)
    assert near_duplicates(near, near, 0.95).height == 2_000


def test_rows_of_thousands_of_words_work() -> None:
    draw = random.Random(0)
    whole = [f"w{draw.randrange(2_000)}" for _ in range(5_000)]
    rows = [" ".join(whole), " ".join(whole[:4_500]), " ".join(draw.sample(whole, 5_000)), " ".join(whole[2_000:])]
    assert near_duplicates(rows, rows, 0.7).rows() == all_pairs(rows, rows, 0.7)
    assert near_duplicates(["word " * 5_000], ["word " * 4_000], 0.85).rows() == [(0, 0, pytest.approx(8 / 9))]


def greedy(candidates: list[str], pool: list[str], threshold: float) -> list[tuple[object, ...]]:
    """Self-Instruct's procedure as it stands: compare with everything, one by one."""
    known: list[tuple[str, int, str]] = [("pool", row, text) for row, text in enumerate(pool)]
    rows: list[tuple[object, ...]] = []
    for number, text in enumerate(candidates):
        near = max(known, key=lambda one: score(text, one[2]), default=None)
        if near is None or score(text, near[2]) <= threshold:
            rows.append((True, None, None, None))
            known.append(("candidate", number, text))
        else:
            where = (near[1], None) if near[0] == "pool" else (None, near[1])
            rows.append((False, *where, score(text, near[2])))
    return rows


@settings(max_examples=300, deadline=None, derandomize=True)
@given(texts(6, 9), texts(6, 9), st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.85, 1.0]))
def test_the_fast_greedy_procedure_decides_as_the_plain_one(
    candidates: list[str], pool: list[str], threshold: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "_UNINDEXED", 2)  # so that a few texts are enough for blocks, indexes and merges
        found = greedy_novelty(candidates, pool, threshold)
    assert found.rows() == greedy(candidates, pool, threshold)


def test_an_index_that_grows_answers_as_comparing_all_does() -> None:
    draw = random.Random(5)
    made = [" ".join(f"w{draw.randrange(30)}" for _ in range(draw.randrange(1, 12))) for _ in range(5_000)]
    index = NoveltyIndex()
    for row, text in enumerate(made):
        index.add(str(row), text)
        if row % 97 == 0:
            threshold = draw.choice([0.5, 0.7, 0.85])
            asked = draw.choice(made)
            scores = [score(asked, other) for other in made[: row + 1]]
            best = max(range(row + 1), key=scores.__getitem__)
            expected = (str(best), made[best], scores[best]) if scores[best] > threshold else None
            assert index.nearest(asked, threshold) == expected
