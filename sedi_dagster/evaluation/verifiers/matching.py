"""Verifiers which look for known words in an answer: match, choice, label, token_f1, facts, words,
copy_limit.

They read words, not meaning: "not Paris" contains "Paris". `forbidden`, `max_words` and `whole` narrow that.
"""

import re
from collections import Counter

import regex

from sedi_dagster.texts.words import UNSPACED

from .text import (
    Args,
    Score,
    failed,
    first_occurring,
    names_occurring,
    normalise,
    occurs,
    passed,
    shown,
    words,
)
from .text import token_f1 as f1

_NOT_ARTICLE = r"(?:(?<![AIa])|(?!\s+[a-z])|(?=\s+(?:or|and|is|was|because|but|since|as)\b))"
"""After a stand-alone letter: it is no "A" or "I" which begins a phrase ("A dog", "I think")."""


_NO_SPACES = rf"(?:{UNSPACED}|\p{{Hangul}})"
_BESIDE_LETTERS = regex.compile(rf"(?<={_NO_SPACES})(?=\p{{Latin}})|(?<=\p{{Latin}})(?={_NO_SPACES})")
"""Where a letter stands beside a script that puts no space there: 答案是B, B입니다."""


def match(args: Args, answer: str, prompt: str) -> Score:
    """A short answer which names one of `aliases`.

    Score 1 or 0. Passes when the normalised answer has at most `max_words` words (40), contains an alias as
    whole words (equals it when `whole`) and nothing of `forbidden`.
    """
    text = normalise(answer)
    count, limit = len(text.split()), int(args.get("max_words", 40))
    if count > limit:
        return failed(f"{count} words, at most {limit} allowed", "too long")
    if hit := first_occurring(args.get("forbidden", ()), answer, text):
        return failed(f"contains {shown(hit)}, which a right answer does not", "something wrong added")
    if args.get("whole", False):
        found = next((a for a in args["aliases"] if _same(a, answer, text)), None)
    else:
        found = first_occurring(args["aliases"], answer, text)
    return passed(f"found {shown(found)}") if found is not None else failed("no expected answer found", "wrong answer")


def _same(alias: str, answer: str, text: str) -> bool:
    wanted = normalise(alias)
    return wanted == text if wanted else alias.strip().casefold() == answer.strip().casefold()


def choice(args: Args, answer: str, prompt: str) -> Score:
    """One option of a list, named by its letter or its text.

    Score 1 or 0. Passes when exactly one option is chosen and it is `answer`. "The answer is B" decides;
    else the only stand-alone letter; else the only option text that occurs. A letter beside the text of
    another option, or more than one letter, is no choice.
    """
    options: dict[str, str] = args["options"]
    letters = _letters(list(options), answer)
    texts = names_occurring({letter: [text] for letter, text in options.items()}, normalise(answer))
    if len(letters) > 1 or (not letters and len(texts) > 1):
        return failed("more than one option is named: " + ", ".join(sorted(letters or texts)), "no clear choice")
    if not letters and not texts:
        return failed("no option is named", "no clear choice")
    if letters and len(texts) == 1 and letters != texts:
        return failed(f"the letter {min(letters)} stands beside the text of option {min(texts)}", "no clear choice")
    chosen = min(letters or texts)
    return passed(f"chose {chosen}") if chosen == args["answer"] else failed(f"chose {chosen}", "wrong choice")


def _letters(options: list[str], answer: str) -> set[str]:
    by_fold = {option.casefold(): option for option in options}
    answer = _BESIDE_LETTERS.sub(" ", answer)
    keys = "|".join(sorted((re.escape(option) for option in options), key=len, reverse=True))
    said = re.findall(
        rf"(?:answer|option|choice)(?:\s{{0,3}}is)?\s{{0,3}}:?\s{{0,3}}[*(\[\"']{{0,3}}({keys})(?![\w'])",
        answer,
        re.IGNORECASE,
    )
    decided = {by_fold[key.casefold()] for key in said if not _reads_as_article(key, answer)}
    if len(decided) == 1:
        return decided
    bare = answer.strip(" \t\n.:;,()[]*\"'`").casefold()
    if bare in by_fold:
        return {by_fold[bare]}
    marked = re.findall(rf"(?<![\w'])({keys})(?:\)|\]|\.(?!\w)|:|\*\*)", answer, re.IGNORECASE)
    alone = re.findall(rf"(?<![\w'])({keys})(?![\w']){_NOT_ARTICLE}", answer)
    return decided | {by_fold[key.casefold()] for key in marked} | set(alone)


def _reads_as_article(key: str, answer: str) -> bool:
    """Whether a lower-case "a" was read as an option ("the answer is a dog")."""
    return key == "a" and re.search(r"\ba\s+[a-z]", answer) is not None


def label(args: Args, answer: str, prompt: str) -> Score:
    """One class of a fixed set.

    Score 1 or 0. Passes when exactly one of `labels` (or its `aliases`) occurs as whole words, it is
    `answer`, and the answer has at most `max_words` words (30).
    """
    count, limit = len(words(answer)), int(args.get("max_words", 30))
    if count > limit:
        return failed(f"{count} words, at most {limit} allowed", "too long")
    aliases = args.get("aliases", {})
    spellings = {name: [name, *aliases.get(name, [])] for name in args["labels"]}
    found = names_occurring(spellings, normalise(answer))
    if not found:
        return failed("no label found", "no clear label")
    named = ", ".join(map(shown, sorted(found)))
    if len(found) > 1:
        return failed(f"more than one label: {named}", "no clear label")
    return passed(f"label {named}") if found == {args["answer"]} else failed(f"label {named}", "wrong label")


def token_f1(args: Args, answer: str, prompt: str) -> Score:
    """Overlap of words with a reference: SQuAD's F1 (arXiv 1606.05250), the best over `references`.

    Score is the F1. Passes when it reaches `threshold` (0.6).
    """
    tokens = Counter(normalise(answer).split())
    best = max(f1(tokens, Counter(normalise(reference).split())) for reference in args["references"])
    threshold = float(args.get("threshold", 0.6))
    reason = f"token F1 {best:.2f}, {threshold:.2f} needed"
    return passed(reason, best) if best >= threshold - 1e-9 else failed(reason, "wrong answer", score=best)


def facts(args: Args, answer: str, prompt: str) -> Score:
    """Facts that a good answer states, each with its spellings.

    Score is the share of `required` facts found as whole words. Passes when it reaches `min_share` (1.0) and
    nothing of `forbidden` occurs.
    """
    text = normalise(answer)
    missing = [fact for fact in args["required"] if first_occurring(fact, answer, text) is None]
    share = 1 - len(missing) / len(args["required"])
    if hit := first_occurring(args.get("forbidden", ()), answer, text):
        return failed(f"contains {shown(hit)}, which a right answer does not", "something wrong added", score=share)
    if share < float(args.get("min_share", 1.0)) - 1e-9:
        return failed("missing: " + ", ".join(shown(fact[0]) for fact in missing[:5]), "missing fact", score=share)
    return passed(f"{len(args['required']) - len(missing)} of {len(args['required'])} facts found", share)


def word_count(args: Args, answer: str, prompt: str) -> Score:
    """Length in words. Score 1 or 0. Passes when the count is within `min` and `max`."""
    count = len(words(answer))
    if count < args.get("min", 0):
        return failed(f"{count} words, at least {args['min']} needed", "too short")
    if count > args.get("max", count):
        return failed(f"{count} words, at most {args['max']} allowed", "too long")
    return passed(f"{count} words")


def copy_limit(args: Args, answer: str, prompt: str) -> Score:
    """Own words: the share of the answer's word 4-grams that occur in `source` (the prompt when left out).

    An answer under 4 words counts as copied when it stands in the source as a whole. Passes when the share
    is at most `max_share` (0.6); the score falls from 1 at that mark to 0 at a full copy. After the
    extractive-fragment measures of Newsroom (arXiv 1804.11283).
    """
    source, limit = str(args.get("source", prompt)), float(args.get("max_share", 0.6))
    share = _copied_share(answer, source)
    reason = f"{share:.0%} of the answer is copied, at most {limit:.0%} allowed"
    if share <= limit + 1e-9:
        return passed(reason)
    return failed(reason, "copied", score=(1 - share) / (1 - limit) if limit < 1 else 0.0)


def _copied_share(answer: str, source: str) -> float:
    tokens, source_tokens = normalise(answer).split(), normalise(source).split()
    if len(tokens) < 4:
        return 1.0 if not tokens or occurs(answer, source) else 0.0
    known = set(zip(*(source_tokens[start:] for start in range(4)), strict=False))
    grams = list(zip(*(tokens[start:] for start in range(4)), strict=False))
    return sum(gram in known for gram in grams) / len(grams)
