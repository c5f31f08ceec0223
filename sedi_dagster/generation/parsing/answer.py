"""The answer to one task, without what models write around it.

A label, tags, a fence or JSON come off only where they hold the whole answer and the task does not ask for them.
"""

import json
import re

from sedi_dagster.generation.parsing import words
from sedi_dagster.generation.parsing.json_form import FIELDS
from sedi_dagster.generation.parsing.parsed_task import without_lone_bold
from sedi_dagster.texts.no_input import means_no_input

_AROUND = "#*_>\"'“” \t"
_TAGS = ("answer", "final_answer", "final", "response", "output", "solution", "result")
_ASKS_FOR_TAGS = re.compile(r"\btags?\b|xml|html|<\w", re.IGNORECASE)
_OF_TEXT = ("text", "txt", "plaintext", "markdown", "md")
_SENTENCES = re.compile(r"[^\W\d_][^{}<>;=|]*[.!?。！？…][\"'”’)]*")
"""A line of prose, not of code."""
_ASKS_FOR_A_FENCE = re.compile(r"markdown|fence|code|block|```|verbatim|terminal|readme|plain ?text", re.IGNORECASE)
_ASKS_FOR_JSON = re.compile(
    r"json|\bdict(?:ionary)?\b|\bobjects?\b|\bkeys?\b|schema|payload|\bapi\b|config|[{}]", re.IGNORECASE
)

_LEAD_AND_NAME = re.compile(r"([^\w]*(?:\d+\W+)?)(\w*)")


def parse_answer(text: str, instruction: str, text_input: str = "") -> str:
    """The answer without the task before it, a label, tags, a fence or JSON around it, and further tasks behind it.

    An answer of which nothing would be left stays as it is: the rules of filtering judge it.
    """
    task = f"{instruction}\n{text_input}"
    answer = text.strip()
    rest = _without_task(answer, instruction, text_input)
    answer = _without_label(_without_further_tasks(rest, task), task, questioned=rest != answer)
    return _unwrapped(answer, task)


def _without_task(answer: str, instruction: str, text_input: str) -> str:
    """Without the instruction and the input that some models write again before the answer, labelled or not."""
    heads = (words.INSTRUCTION, words.QUESTION, words.NAMED_HEAD)
    label = next((match for head in heads if (match := head.match(answer))), None)
    end = _end_of(answer, instruction, _at_text(answer, label.end()) if label else 0) or 0
    given = words.INPUT.match(answer, _at_text(answer, end))
    if end == 0 and given is None:
        return answer
    if given and means_no_input(answer[given.end() :].split("\n", 1)[0]):
        end = answer.find("\n", given.end()) + 1
    elif text_input:
        end = _end_of(answer, text_input, _at_text(answer, given.end() if given else end)) or end
    return answer[end:].strip() or answer


def _at_text(answer: str, start: int) -> int:
    return len(answer) - len(answer[start:].lstrip())


def _end_of(answer: str, said: str, start: int) -> int | None:
    """Where a text ends that the answer holds from a place on, up to the end of its line."""
    said = said.strip().rstrip(":")
    begin = len(answer) - len(answer[start:].lstrip(_AROUND))
    end = begin + len(said)
    if not said or answer[begin:end].casefold() != said.casefold():
        return None
    line, newline, _ = answer[end:].partition("\n")
    return end + len(line) + len(newline) if not line.strip(_AROUND + ":") else None


def _without_label(answer: str, task: str, questioned: bool) -> str:
    """Without the label of an output, unless the task names it or it is one of several.

    `questioned`: the task stood before it, so that `A:` is a label too.
    """
    label = words.OUTPUT.match(answer) or (words.SHORT_OUTPUT.match(answer) if questioned else None)
    rest = answer[label.end() :].strip() if label else ""
    if label is None or not rest:
        return answer
    lead, name = _LEAD_AND_NAME.match(label[0]).groups()  # type: ignore[union-attr]  # it matches any label
    if re.search(rf"[\"'`“‘«【\[<*#]{name}\b|{name}[\"'`”’»】\]>*]{{0,3}}\s?[:：]", task, re.IGNORECASE):
        return answer
    others = (words.INPUT, words.OUTPUT, words.QUESTION, _labels_like(lead))
    return answer if any(other.search(rest) for other in others) else without_lone_bold(rest)


def _labels_like(lead: str) -> re.Pattern[str]:
    """Any label behind the same signs: `**`, `- `, `1. `, `### `; none where it is plain."""
    if "#" in lead:
        return re.compile(r"^[ \t]*#{1,6}[ \t]", re.MULTILINE)
    same = re.sub(r"\d+", r"\\d+", re.escape(lead))
    ends = r"(?:[*_】\]]{0,2}(?:：|:(?=[\s*_]|$))|[*_】\]]{1,2}$)"
    return re.compile(rf"^{same}{words.ANY_WORDS}[ ]?{ends}", re.MULTILINE)


def _unwrapped(answer: str, task: str) -> str:
    """Out of tags of an answer, a code fence around prose, or an object that holds nothing else."""
    if answer.endswith(">") and not _ASKS_FOR_TAGS.search(task):
        answer = _in_tags(answer) or answer
    language, inner = _in_fence(answer) or ("", "")
    if not _ASKS_FOR_JSON.search(task) and (held := _of_object(inner or answer)):
        return held
    if inner and not _ASKS_FOR_A_FENCE.search(task) and (language in _OF_TEXT or (not language and _is_prose(inner))):
        return inner
    return answer


def _in_tags(answer: str) -> str:
    """What stands between the tags that end the answer, reasoning before them apart; empty if it is no text."""
    close = answer.rfind("</")
    name = answer[close + 2 : -1].lower()
    begin = answer.lower().find(f"<{name}>") if name in _TAGS else -1
    if begin < 0 or "```" in answer:
        return ""
    before, inner = answer[:begin].rstrip(), answer[begin + len(name) + 2 : close].strip()
    apart = not before or (before[-1] not in ":：" and "\n" in answer[len(before) : begin])
    return inner if apart and not inner.startswith("<") else ""


def _in_fence(answer: str) -> tuple[str, str] | None:
    """Language and text of a fence around the whole answer."""
    head, _, rest = answer.partition("\n")
    inner = rest.removesuffix("```")
    if not head.startswith("```") or inner == rest or "```" in head[3:] + inner:
        return None
    return head[3:].strip().lower(), inner.strip()


def _is_prose(text: str) -> bool:
    return all(_SENTENCES.fullmatch(line.strip()) for line in text.split("\n") if line.strip())


def _of_object(text: str) -> str:
    """The text of the only output in a JSON object, which may hold the task too; empty if it is none."""
    if not text.startswith("{"):
        return ""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    known = {name for names in FIELDS.values() for name in names}
    if not isinstance(data, dict) or not {key.casefold() for key in data} <= known:
        return ""
    outputs = [value for key, value in data.items() if key.casefold() in FIELDS["output"]]
    return outputs[0].strip() if len(outputs) == 1 and isinstance(outputs[0], str) else ""


def _without_further_tasks(answer: str, task: str) -> str:
    """Without the tasks, each with its label of an input or output, that a model went on to."""
    heads = [head for head in words.FURTHER_TASK.finditer(answer) if head.start()]
    if not heads or words.SPEAKS_OF_TASKS.search(task):
        return answer
    last_label = max(
        (label.start() for kind in (words.INPUT, words.OUTPUT) for label in kind.finditer(answer)), default=0
    )
    for head in heads:
        if head.end() > last_label:
            break
        before = answer[: head.start()].rstrip()
        if before[-1:] not in (":", "："):
            return before
    return answer
