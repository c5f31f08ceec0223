"""Detection of refusals, remarks of a model about itself, and placeholders, in many languages.

A refusal is recognised by how a short answer begins, and by what it says cannot be done: help, answer, see missing
input. "I cannot see the stars from my window" is not a refusal, and neither is an apology. The words are in
`refusals.yaml`: of English in full, of other languages more briefly.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster.yaml_file import read_yaml

LONGEST_REFUSAL_BYTES = 600
"""About 100 words of English or 200 characters of Chinese: from there on an answer is no refusal."""

_WORDS: dict[str, dict[str, Any]] = read_yaml(Path(__file__).with_name("refusals.yaml"))


def _expanded(parts: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Each part as one pattern, its `<names>` replaced by the parts above."""
    found: dict[str, str] = {}
    for name, lines in parts.items():
        pattern = lines if isinstance(lines, str) else f"(?:{'|'.join(lines)})"
        found[name] = re.sub(r"<(\w+)>", lambda part: found[part[1]], pattern)
    return found


_ENGLISH = _expanded(_WORDS.pop("en"))
_SPEECH = re.compile(r"\s*[\"“„«「『][^\"“”„«»」』]*[\"”“»」』]\s*\w")
"""What somebody says in a story: the text goes on behind it."""
_SENTENCE_END = re.compile(r"[.!?。！？।။\n]+")
_STOPS = " \n,.!،，、。！"
_SENTENCES = 2
"""Of an answer that may hold what it cannot do: an apology, and what it is for."""
_BY_ITSELF = 24
"""Characters before what cannot be done, where nothing is apologised for."""


class _Language:
    """The words of a language (`refusals.yaml`) as patterns."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.sorry, self.cannot, self.task, self.model, self.asks, self.willing = (
            re.compile(f"(?:{words.get(name, '(?!)')})", re.IGNORECASE)
            for name in ("sorry", "cannot", "task", "model", "asks", "willing")
        )

    def refuses(self, answer: str) -> bool:
        if self.model.match(answer) or self.asks.match(answer):
            return True
        apology = self.sorry.match(answer)
        rest = answer[apology.end() if apology else 0 :].lstrip(_STOPS)
        while (willing := self.willing.match(rest)) is not None:
            rest = rest[willing.end() :].lstrip(_STOPS)
        if self.asks.match(rest):
            return True
        if apology and self.model.search(answer, apology.end(), apology.end() + 60):
            return True
        for number, sentence in enumerate(_SENTENCE_END.split(answer, _SENTENCES)[:_SENTENCES]):
            cannot, task = self.cannot.search(sentence), self.task.search(sentence)
            if cannot and task and (apology or (number == 0 and min(cannot.start(), task.start()) < _BY_ITSELF)):
                return True
        return False


@cache
def _english() -> re.Pattern[str]:
    return re.compile(_ENGLISH["english"], re.IGNORECASE)


@cache
def _languages() -> tuple[_Language, ...]:
    return tuple(map(_Language, _WORDS.values()))


_BRACKETED = (
    r"(?:empty|blank|none|null|nil|nan|nothing|text|string|input|空|无|無|なし|無し|없음|leer|keine|vacío|ninguno|vide|aucun|"
    r"vuoto|nessuno|vazio|nenhum|leeg|пусто|нет|boş|yok|فارغ|ריק|"
    rf"{_ENGLISH['yours']})"
)
"""What stands for nothing in brackets, and by itself may be the answer."""
_AROUND = r"\s\"'“”‘’*_`<>\[\](){}（）【】$"
_KIND = _ENGLISH["kind"]
PLACEHOLDER = (
    rf"(?i)^(?:[{_AROUND}-]*(?:{_KIND} ?: ?)?{_ENGLISH['nothing']}[{_AROUND}.:。!-]*|"
    rf"[\s\"'*_]*[<\[({{（【]{{1,2}}/?{_BRACKETED}[>\])}}）】]{{1,2}}[\s\"'*_.]*|{_KIND} ?: ?(?:none|null)\.?|"
    rf"\s*<{_KIND}>\s*</{_KIND}>\s*|\s*```\w*\s*```\s*|"
    rf"\s*[<\[]{_ENGLISH['described']}(?: [\w'’-]+){{2,}}[.]?[>\]]\s*)$"
)
"""A whole answer that says there is none."""

DOTS = r"^(?:[\s.]{0,9}(?:\.\s?\.\s?\.|…)[\s.…]*|[\s\-–—]{3,}|[\s_]{3,}|[\s*]{3,}|[\s?？]{3,}|[\s□]{3,})$"
"""A whole answer of dots or dashes, of one kind (of both it is Morse code)."""

_placeholder, _dots = re.compile(PLACEHOLDER), re.compile(DOTS)

_MAY_BE_ENGLISH = (
    r"^[\s\"'“”‘’*_>#\[(]*(?:oh|hm|well|i\b|we\b|as\b|being|since|because|my|sorry|apologies|unfortunately|regrettably|it|"
    r"this|that|your|let|sure|of|certainly|absolutely|please|can|could|the|no|an?\b|there|you|to|hello|hi|hey|how|what|"
    r"which|thank|great|good|interesting|excellent|while|although|even|against|unable|understood|ok|alright|got)"
)
_MAY_BE_OTHER = [
    "|".join(f"(?:{words[name]})" for name in ("cannot", "model", "asks") if name in words) for words in _WORDS.values()
]
"""What every refusal has, in lower case and for Polars: most answers are seen to be none without a second look.

One pattern a language: all of them as one exceed what Polars' engine compiles to a fast automaton (80 times as slow).
"""


def is_refusal(answer: str) -> bool:
    """Whether a short answer refuses its task or speaks of the model that wrote it."""
    return len(answer.encode("utf-8", "replace")) < LONGEST_REFUSAL_BYTES and (
        _in_english(answer) or _in_other_language(answer)
    )


def are_refusals(answers: pl.Series) -> pl.Series:
    """`is_refusal` of each answer, the many in one pass."""
    found = pl.repeat(False, len(answers), dtype=pl.Boolean, eager=True)
    lowered = answers.str.to_lowercase()
    short = answers.str.len_bytes() < LONGEST_REFUSAL_BYTES
    for gates, refuses in (([_MAY_BE_ENGLISH], _in_english), (_MAY_BE_OTHER, _in_other_language)):
        passes = pl.DataFrame([lowered.str.contains(gate).alias(gate) for gate in gates]).max_horizontal()
        places = (short & passes & ~found).fill_null(False).arg_true()
        found = found.scatter(places, pl.Series([refuses(a) for a in answers.gather(places)], dtype=pl.Boolean))
    return found


def _in_english(answer: str) -> bool:
    return _english().match(answer) is not None and _SPEECH.match(answer) is None


def _in_other_language(answer: str) -> bool:
    if _SPEECH.match(answer) is not None:
        return False
    plain = answer.strip(" \t\r\n\"'“”‘’*_>[(")
    return any(language.refuses(plain) for language in _languages())


PLACEHOLDER_ASKED = r"placeholder|platzhalter|lorem|dummy text|filler text|blindtext|ellipsis|punctuation|[<\[({](?:\w+ ){0,3}answer(?: here)?[>\])}]"
"""In a task, in lower case: its answer may be one."""

REFUSAL_ASKED = (
    r"\b(?:refus|declin|apolog|turn(?:ing|s)? down|reject|say(?:ing)? no|verweiger|ablehn|absage|rechaz|recus|rifiut)|"
    r"\b(?:chat)?bots?\b|"
    r"отказ|отклон|拒绝|拒絕|婉拒|断り|断る|거절"
)
"""In a task, in lower case: it asks for a refusal, or is about one."""

GIVEN_IN_LINE = r"[:：]\s*(\S[^\n]*)$"
"""What an instruction gives behind its colon: `Translate: ...`."""


def is_asked_for(answer: str, task: str) -> bool:
    """Whether a task asks for an answer that refuses, names it, or gives one as its input.

    Args:
        task: instruction and, on the lines below it, the input.
    """
    lowered = task.lower()
    if answer.strip().lower() in lowered or re.search(REFUSAL_ASKED, lowered) is not None:
        return True
    instruction, _, text_input = task.partition("\n")
    given = re.search(GIVEN_IN_LINE, instruction)
    return is_refusal(text_input) or (given is not None and is_refusal(given[1]))


def is_placeholder(answer: str, task: str = "") -> bool:
    """Whether an answer stands for one that is missing: `<nooutput>`, `N/A`, `[No output]`, `...`.

    Args:
        task: instruction and input; an answer that they name is one, as in "Write N/A where there is no date".
    """
    if _placeholder.match(answer) is None and _dots.match(answer) is None:
        return False
    asked = answer.strip().lower() in task.lower() or re.search(PLACEHOLDER_ASKED, task.lower()) is not None
    return not answer.strip() or not asked
