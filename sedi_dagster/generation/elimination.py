"""Elimination of evolved tasks: the four situations of Evol-Instruct (arXiv 2304.12244, section 2.2).

Each rule has a name and a score, which the filters put into the verdict.
"""

import re
import unicodedata

from sedi_dagster.records import Rejection

REFUSAL_WORDS = 80
"""An answer with "sorry" and fewer words than this is a refusal."""

_REFUSAL = re.compile(r"\bsorry\b", re.IGNORECASE)
_LEAKS = (
    "given prompt", "rewritten prompt", "created prompt", "given task", "rewritten task", "changed task",
    "evolved task", "the task above", "task 1", "task 2",
)  # fmt: skip
_LEAK = re.compile(rf"#?\b(?:{'|'.join(_LEAKS)})\b#?", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_JUDGED = re.compile(r"\b(same|equal|identical|different|not|differ)\b", re.IGNORECASE)
# Those that no question is answered with: "no", "a" (of a to d), "before", "all", "down" are answers.
_STOP_WORDS = frozenset(
    """also am an and any are as at be because been being but by can could did do does doing each for from had has have
    having her hers him his how if in into is it its just me my nor of or our out own s shall she should so some such
    t than that the their them these they this those through to too until very was we were what when where which while
    whom why will with would you your yours""".split()
)


def unchanged(before: str, after: str) -> Rejection | None:
    """Reject a rewrite without gain, detected without a call: it has the same words in the same order."""
    same = _WORD.findall(before.casefold()) == _WORD.findall(after.casefold())
    return Rejection("evolved_without_gain", 1.0, 1.0) if same else None


def without_gain(judgement: str) -> Rejection | None:
    """Reject a rewrite without gain: the teacher judges that both tasks are the same.

    An unclear judgement rejects nothing.
    """
    said = {word.casefold() for word in _JUDGED.findall(judgement)}
    same = said & {"same", "equal", "identical"} and not said & {"different", "not", "differ"}
    return Rejection("evolved_without_gain", 1.0, 1.0) if same else None


def leaked(before: str, after: str) -> Rejection | None:
    """Reject a rewrite that copies phrases of the rewriting prompt which the original does not have.

    The score is the number of different phrases.
    """
    taken = {found.casefold() for found in _LEAK.findall(after)} - {found.casefold() for found in _LEAK.findall(before)}
    return Rejection("evolved_copies_prompt", float(len(taken)), 1.0) if taken else None


def useless_answer(answer: str) -> Rejection | None:
    """Reject a rewrite that is too hard to answer: the answer is a short refusal, or only stop words or punctuation."""
    words = answer.split()
    if len(words) < REFUSAL_WORDS and _REFUSAL.search(answer):
        return Rejection("evolved_short_refusal", float(len(words)), float(REFUSAL_WORDS))
    tells = any(word.casefold() not in _STOP_WORDS for word in _WORD.findall(answer))
    shows = any(unicodedata.category(character) in ("So", "Sm") for character in answer)  # an emoji, a sign such as >
    return None if tells or shows else Rejection("evolved_answer_only_stop_words", 0.0, 1.0)
