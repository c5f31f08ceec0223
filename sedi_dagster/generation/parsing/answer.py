"""The answer to one task, without what models write around it.

A label, tags, a fence or JSON come off only where they hold the whole answer and the task does not ask for them.
"""

import re

from sedi_dagster.generation.parsing import asks_for, words
from sedi_dagster.generation.parsing.json_form import field_of, read_object
from sedi_dagster.generation.parsing.parsed_task import without_lone_bold
from sedi_dagster.texts.no_input import means_no_input

_AROUND = "#*_>\"'“” \t"
_TAGS = ("answer", "final_answer", "final", "response", "output", "solution", "result")
_OF_TEXT = ("text", "txt", "plaintext")
_LAID_OUT = re.compile(r"^[^\w\n\"'“‘«]|\S[ ]{2,}\S|[\t{}<>;=]|[-+|_/\\^│├└─═]{2}", re.MULTILINE)
"""Text that needs its fence: drawings, trees, columns, code."""
_SENTENCES = re.compile(r"[^\W\d_][^{}<>;=|]*[.!?。！？…][\"'”’)]*")
"""A line of prose, not of code."""
_IN_CODE = re.compile(r"\[|\{\s*'")
"""A list, or an object as Python writes it."""

_BOX = re.compile(r"(?:\$\$?|\\[\[(])?\s*\\boxed\{(?:\\text\{([^{}\\]+)\}|([^{}\\]+))\}\s*(?:\$\$?|\\[\])])?\.?")
"""A box that LaTeX draws around the result."""
_THOUGHTS = ("thought", "thoughts", "thinking", "reasoning", "rationale", "chain_of_thought", "confidence")
"""Fields of an object in which a model thinks of its answer."""
_NEXT_TURN = re.compile(
    r"\n[ \t]*\n[*_]{0,2}(?:user|human)[*_]{0,2}:[*_]{0,2}[ \n](?-i:(?![a-z]))"
    r"(?=.{0,2000}\n[*_]{0,2}(?:assistant|ai|bot)[*_]{0,2}:)",
    re.IGNORECASE | re.DOTALL,
)
_HAS_TURNS = re.compile(
    r"^[ \t]*[*_]{0,2}(?:user|human|assistant|ai|bot)[*_]{0,2}:|^```|"
    r"(?:example|exempl|ejemplo|beispiel|esempio|пример|例)[^\n]{0,200}\Z",
    re.IGNORECASE | re.MULTILINE,
)
"""In what stands before a turn: that turns are part of the answer."""
_LEAD_AND_NAME = re.compile(r"([^\w]*(?:\d+\W+)?)(\w*)")


def parse_answer(text: str, instruction: str, text_input: str = "") -> str:
    """The answer without the task before it, a label, tags, a fence or JSON around it, and further tasks behind it.

    An answer of which nothing would be left stays as it is: the rules of filtering judge it.
    """
    task = f"{instruction}\n{text_input}"
    answer = text.strip()
    if answer[:2] in ("'\n", '"\n') and answer[0] not in answer[1:] and words.OUTPUT.match(answer[2:].lstrip()):
        answer = answer[2:].lstrip()  # a quote that nothing closes
    rest = _without_task(answer, instruction, text_input)
    answer = _without_label(_without_further_tasks(rest, task), task, questioned=rest != answer)
    return _unwrapped(answer, instruction, text_input)


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
    behind = line.strip(_AROUND + ":")
    if said[-1] in ".?!…。？！؟" and (words.SHORT_OUTPUT.match(behind) or words.OUTPUT.match(behind)):  # Q: ... A: ...
        return end
    return end + len(line) + len(newline) if not behind else None


def _without_label(answer: str, task: str, questioned: bool) -> str:
    """Without the label of an output, unless the task names it, it is one of several, an item or a key of YAML.

    `questioned`: the task stood before it, so that `A:` is a label too.
    """
    final = words.FINAL_OUTPUT.match(answer)
    if final and final[0].strip("#*_`:： \t").casefold() in task.casefold():
        return answer
    label = final or words.OUTPUT.match(answer) or (words.SHORT_OUTPUT.match(answer) if questioned else None)
    rest = answer[label.end() :].strip() if label else ""
    if label is None or not rest:
        return answer
    lead, name = _LEAD_AND_NAME.match(label[0]).groups()  # type: ignore[union-attr]  # it matches any label
    if re.search(rf"[\"'`“‘«【\[<*#]{name}\b|{name}[\"'`”’»】\]>*]{{0,3}}\s?[:：]", task, re.IGNORECASE):
        return answer
    sentence = rest[:1].isupper() and "\n" not in answer
    if (name.islower() and not sentence) or "`" in label[0] or words.OUTPUT.search(task):
        return answer
    others = (words.INPUT, words.OUTPUT, words.QUESTION, _labels_like(lead))
    return answer if any(other.search(rest) for other in others) else without_lone_bold(rest)


def _labels_like(lead: str) -> re.Pattern[str]:
    """Any label behind the same signs (`**`, none), any heading behind `### `, any item behind `- ` or `1. `."""
    if "#" in lead:
        return re.compile(r"^[ \t]*#{1,6}[ \t]", re.MULTILINE)
    same = re.sub(r"\d+", r"\\d+", re.escape(lead.rstrip("*_`")))
    if same:
        return re.compile(rf"^{same}", re.MULTILINE)
    same = re.escape(lead)
    ends = r"(?:[*_】\]]{0,2}(?:：|:(?=[\s*_]|$))|[*_】\]]{1,2}$)"
    return re.compile(rf"^{same}{words.ANY_WORDS}[ ]?{ends}", re.MULTILINE)


def _unwrapped(answer: str, instruction: str, text_input: str) -> str:
    """Out of tags of an answer, a code fence around prose, or an object that holds nothing else."""
    task = f"{instruction}\n{text_input}"
    if answer.endswith(">") and not asks_for.TAGS.search(task):
        answer = _in_tags(answer, steps=asks_for.STEPS.search(task) is not None) or answer
    language, inner = _in_fence(answer) or ("", "")
    asked = asks_for.JSON.search(task) or (_IN_CODE.match(inner or answer) and asks_for.CODE.search(task))
    if not asked and (held := _of_object(inner or answer, instruction, text_input)):
        return held
    box = _BOX.fullmatch(answer)
    if box and not asks_for.A_BOX.search(task):
        return (box[1] or box[2]).strip()
    if not inner or asks_for.A_FENCE.search(task):
        return answer
    is_text = language in _OF_TEXT and not _LAID_OUT.search(inner)
    return inner if is_text or language in ("markdown", "md") or (not language and _is_prose(inner)) else answer


def _in_tags(answer: str, steps: bool) -> str:
    """What stands between the tags that end the answer; empty if it is no text.

    Reasoning before them is left out, unless `steps` are asked for.
    """
    close = answer.rfind("</")
    name = answer[close + 2 : -1].lower()
    begin = answer.lower().find(f"<{name}>") if name in _TAGS else -1
    if begin < 0 or "```" in answer:
        return ""
    before, inner = answer[:begin].rstrip(), answer[begin + len(name) + 2 : close].strip()
    apart = not before or (not steps and before[-1] not in ":：" and "\n" in answer[len(before) : begin])
    return inner if apart and not inner.startswith("<") else ""


def _in_fence(answer: str) -> tuple[str, str] | None:
    """Language and text of a fence around the whole answer."""
    head, _, rest = answer.partition("\n")
    inner = rest.removesuffix("```")
    if not head.startswith("```") or inner == rest or "```" in head[3:] + inner:
        return None
    return head[3:].strip().lower(), inner.strip("\n").rstrip()


def _is_prose(text: str) -> bool:
    return all(_SENTENCES.fullmatch(line.strip()) for line in text.split("\n") if line.strip())


def _of_object(text: str, instruction: str, text_input: str) -> str:
    """The text of the only output in an object in JSON or as Python writes it; empty if it holds more.

    It may also hold the task again and, unless they are asked for, thoughts.
    """
    text = text[1:-1].strip() if text.startswith("[") and text.endswith("]") else text
    data = read_object(text) if text.startswith("{") else None
    if data is None:
        return ""
    if data.keys() == {"role", "content"} and data["role"] == "assistant" and not asks_for.TURNS.search(instruction):
        data = {"output": data["content"]}
    if not asks_for.THOUGHTS.search(instruction):
        data = {key: value for key, value in data.items() if key.casefold() not in _THOUGHTS}
    outputs = [value for key, value in data.items() if field_of(key) == "output"]
    again = {instruction.strip(), text_input.strip(), ""}
    if any(str(value or "").strip() not in again for value in data.values() if value not in outputs):
        return ""
    return outputs[0].strip() if len(outputs) == 1 and isinstance(outputs[0], str) else ""


def _without_further_tasks(answer: str, task: str) -> str:
    """Without the tasks, each with its label of an input or output, or the turns that a model went on to.

    Behind another task they belong to the answer: a worksheet.
    """
    turn = None if asks_for.TURNS.search(task) else _NEXT_TURN.search(answer)
    before = answer[: turn.start()].rstrip() if turn else ""
    if before[-1:] not in ("", ":", "：") and not _HAS_TURNS.search(before):
        answer = before
    heads = [head for head in words.FURTHER_TASK.finditer(answer) if head.start()]
    if not heads or words.SPEAKS_OF_TASKS.search(task) or words.NAMED_HEAD.search(answer, 0, heads[0].start()):
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
