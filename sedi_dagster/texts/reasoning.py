"""Reasoning that a model writes before its answer, and where the answer begins.

Models mark it in many ways: `<think>` (DeepSeek-R1, Qwen), `[THINK]` (Magistral), `◁think▷` (Kimi), channels (gpt-oss),
`<|START_THINKING|>` (Command A), a phrase (Granite) or a heading. A chat template that opens the block in the prompt
leaves only the closing mark in the answer.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

_WORDS = (
    r"think|thought|reasoning|reason(?!\w)|reflection|scratchpad|monologue|brainstorm|deliberat|ponder|"
    "思考|思維|思维|推理|생각|추론|denk|gedanken|überlegung|pensée|pensam|pensiero|razonamiento|raisonnement|réflexion|"
    "ragionamento|raciocínio|рассужд|размышл|мысл|роздум|düşün|myśl|rozumowan|تفكير|تفکر|מחשבה|suy[_ ]nghĩ|विचार|คิด"
)
_NAMES = rf"[\w:.-]{{0,20}}?(?:{_WORDS})[\w:.-]{{0,20}}|cot"
_FLAGS = re.IGNORECASE | re.DOTALL


@dataclass(frozen=True)
class _Form:
    """How a block begins and ends.

    `lone`: its end without a beginning ends reasoning too. `sure`: without its end it is reasoning all the same;
    otherwise a text may begin so and be an answer. `inside`: it is no answer's text further on either.
    """

    opening: re.Pattern[str]
    closing: re.Pattern[str]
    lone: bool = True
    sure: bool = True
    inside: bool = False


def _form(opening: str, closing: str, **more: bool) -> _Form:
    return _Form(re.compile(opening, _FLAGS), re.compile(closing, _FLAGS), **more)


_THINK = r"[\w:.-]{0,20}?think(?!er)[\w:.-]{0,20}"
_PIPED = r"(?:think|thought|reasoning)"
_BRACKETED = r"(?:THINK|THINKING|REASONING|THOUGHT)"
_ESCAPED = r"(?:&lt;|＜|\\u003c)", r"(?:&gt;|＞|\\u003e)"
_HEADER = r"(?:[^<]|<\|constrain\|>){0,80}"
"""Of a channel of gpt-oss: to whom it speaks, and in which form."""
_ANSWER_HEADING = r"\n[#*_ ]{0,5}(?:final[ ]+)?(?:answer|response)[#*_: ]{0,4}(?:\n|\Z)"
_SIGN = r"(?:[^\w\s<>\[\](){}#*_\"'`.-]{1,3}[ ])?"
"""An emoji before a heading."""
_FORMS = (
    _form(rf"<\s?(?:{_NAMES})\s?/>", "", lone=False),  # the block of a model that was told not to think
    _form(rf"<\s?(?:{_THINK})(?:\s[^<>\n]{{0,80}})?>", rf"<\s?/\s?(?:{_THINK})\s?>", inside=True),
    _form(rf"<\s?(?:{_NAMES})(?:\s[^<>\n]{{0,80}})?>", rf"<\s?/\s?(?:{_NAMES})\s?>"),
    _form(
        r"<(?:analysis|plan|planning|steps|rationale)>",
        r"</(?:analysis|plan|planning|steps|rationale)>(?!\s*<(?!answer|final|response|output))",
        sure=False,
    ),
    _form(rf"{_ESCAPED[0]}(?:{_NAMES}){_ESCAPED[1]}", rf"{_ESCAPED[0]}/(?:{_NAMES}){_ESCAPED[1]}"),
    _form(r"(?-i:\[THINK\])", r"(?-i:\[/THINK\])", inside=True),
    _form(rf"\[{_BRACKETED}\]", rf"\[/{_BRACKETED}\]", sure=False),
    _form(r"◁think▷", r"◁/think▷", inside=True),
    _form(
        rf"<\|(?!end|/)(?:\w{{1,12}}_)?{_PIPED}(?:ing)?(?:_(?:start|begin))?\|>|<\|inner_prefix\|>",
        rf"<\|(?:end_(?:of_)?|/){_PIPED}(?:ing)?\|>|<\|{_PIPED}(?:ing)?_end\|>|<\|inner_suffix\|>|"
        r"<\|(?:begin|start)\|>assistant<\|(?:content|message)\|>",
        inside=True,
    ),
    # The roles of s1, with their marks and without.
    _form(
        r"<\|im_start\|>think\n",
        r"<\|im_end\|>\s{0,2}<\|im_start\|>answer\n(?:(?:final[ ])?answer:[ ]?)?",
        lone=False,
        sure=False,
    ),
    _form(r"(?-i:think)\n", r"\n(?-i:answer)\n(?:final[ ])?answer:[ ]?", lone=False, sure=False),
    _form(r"/think\n", r"<\|im_end\|>\s{0,2}<\|im_start\|>\s?assistant\b(?:/\w+)?\s", lone=False, sure=False),
    _form(
        rf"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)\b{_HEADER}<\|message\|>",
        rf"<\|channel\|>final\b{_HEADER}<\|message\|>",
    ),
    _form(r"<\|channel>thought\b", r"<channel\|>"),
    _form(r"<unused94>(?:thought)?", r"<unused95>"),
    # The channels of gpt-oss, their marks dropped by the server.
    _form(
        r"(?-i:analysis|commentary)", r"(?-i:assistantfinal|assistant\sfinal(?![ ]?[a-z])):?", lone=False, sure=False
    ),
    _form(r"(?-i:analysis(?=(?:We|I|The|User|Need|Let|It|This|So)\b))", r"(?-i:assistantfinal)", lone=False),
    _form(r"```[ \t]*(?:think|thinking|thought|reasoning)[ \t]*\n", r"\n```[ \t]*(?:\n|\Z)", lone=False),
    _form(
        r"<details\s+type=[\"']?reasoning[^<>]{0,200}>|<details[^<>]{0,80}>\s*<summary>\W*(?:thinking|thought|reasoning)\b",
        r"</details>",
        lone=False,
    ),
    _form(
        r"[*_]{0,2}here(?:['’]s| is) my (?:thought process|thinking):",
        r"\n[*_]{0,2}here(?:['’]s| is) my (?:final )?(?:response|answer):[*_]{0,2}",
        lone=False,
        sure=False,
    ),
    _form(r"here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]", sure=False),
    _form(
        r"[【\[](?:思考|推理|생각|추론)(?:过程|過程)?[】\]]|[*_]{0,2}思考(?:过程|過程)[：:][*_]{0,2}\n",
        r"\n[【\[](?:最终|最終)?(?:回答|答案|正文|输出|輸出|답변|응답)[】\]]|\n[*_]{0,2}(?:最终|最終)?(?:回答|答案)[：:][*_]{0,2}",
        lone=False,
        sure=False,
    ),
    # What a terminal or a chat window shows of a thought.
    _form(rf"{_SIGN}thinking(?:\.\.\.|…)[ \t]*\n", r"\n(?:\.\.\.|…)[ \t]*done thinking\.?", lone=False, sure=False),
    # Qwen's first step, where the template opened the block and the model did not end it.
    _form(
        r"(?:here(?:['’]s| is) a )?thinking process:\s+1\.\s+\*\*"
        r"(?:analy[sz]e|understand) the (?:user['’]s|request|input|prompt)\b",
        r"</think>",
        lone=False,
    ),
    _form(
        rf"{_SIGN}(?:>[ \t]*)?(?:[*_]{{1,3}}(?:thinking|thought process|reasoning)(?:\.\.\.|…|:)?[*_]{{1,3}}|"
        r"(?:thinking|thought process|reasoning)(?:\.\.\.|…|:))[ \t]*"
        r"(?:(?:(?<=[.…])|(?<=[.…][*_]))\n[ \t]*)?(?=\n[ \t]*>)",
        r"\n(?![ \t]*>)",
        lone=False,
        sure=False,
    ),
    _form(r"#{1,4}[ \t]*(?:thinking|thought process|reasoning)[: \t]*\n", _ANSWER_HEADING, lone=False, sure=False),
    _form(
        r"[*_]{0,2}(?:my )?(?:thinking|thought process|chain of thought|internal reasoning)[*_]{0,2}:[*_]{0,2}[ \t]*\s",
        r"\n[*_]{0,2}(?:my |final )?(?:answer|response)[*_]{0,2}:[*_]{0,2}",
        lone=False,
        sure=False,
    ),
    _form(
        r"[*_]{0,2}thoughts?:[*_]{0,2}[ \n]",
        r"\n[*_]{0,2}final (?:answer|response):[*_]{0,2}",
        lone=False,
        sure=False,
    ),
    _form(r"(?:thought|reasoned) for (?:an? |\d+ |\w+ )(?:seconds?|minutes?)[ \t]*\n", "", lone=False, sure=False),
)

_BEFORE = re.compile(
    r"(?:[\s\ufeff\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069]|<\|?(?:s|bos|begin_of_text|startoftext)\|?>|<｜begin▁of▁sentence｜>|"
    r"<\|im_start\|>\s?assistant|<\|start_header_id\|>\s?assistant\s?<\|end_header_id\|>|<\|assistant\|>|<｜Assistant｜>|"
    r"(?:assistant|model|ai):?(?=\s{0,2}[<\[◁])|/no_?think\b)*+",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_QUOTES = "`'\"“”‘’«»"
_MENTIONED = re.compile(r"(?<=\w)[ \t]\Z"), re.compile(r"[ \t][a-z]")
"""Before and after a mark that is a word of its sentence."""
_WRAPPERS = re.compile(
    r"\s*(?:<(answer|final_answer|final|response|output|solution)(?:\s[^<>]{0,60})?>(?P<tag>.*?)(?:</\1>|\Z)|"
    r"(?P<closed>(?:(?!<\w).)*)</(?:answer|final_answer|final|response|output|solution)>|"
    r"(?:\[BEGIN FINAL RESPONSE\])?(?P<steps>.*)\[END FINAL RESPONSE\]|<\|begin_of_box\|>(?P<box>.*)<\|end_of_box\|>|"
    r"<\|begin_of_solution\|>(?P<solution>.*?)(?:<\|end_of_solution\|>|\Z)|"
    r"<\|START_(?:RESPONSE|TEXT)\|>(?P<response>.*?)(?:<\|END_(?:RESPONSE|TEXT)\|>|\Z))\s*\Z",
    _FLAGS,
)


_ALOUD = re.compile(
    r"\s*(?:(?:okay|ok|alright|all right|hmm+)[,.]|let(?:['’]s| me| us) (?:think|recall|see(?:[,.:]| if| what| how))|"
    r"(?:i|we) (?:(?:need|have|want|are asked) to|should|must) (?:\w+ly )?(?:answer|write|give|produce|respond|reply|"
    r"output|think|find|figure|compute|calculate|determine|provide|come up|generate|create|consider|identify|recall|"
    r"decide|name|list|describe|explain|translate|summari[sz]e)\b|we need an?\b|(?:so )?the (?:user|prompt|question|"
    r"task) (?:wants?|ask|is (?:asking|to|about)|sa(?:ys|id)|seems|gave|provided|would like|wrote|requires|"
    r"has (?:asked|given))|(?:so|now|first), (?:i|we|let me)\b|thinking process\b|(?:嗯，|好的?，)?(?:用户|用戶)(?:想|"
    r"要|希望|问|問|让|讓|请|請|需要|说|說|给|給)|嗯，|好的?，(?:我|让|首先|现在)|我们?需要|首先，我|ユーザー[はがの]|"
    r"사용자[가는의]|(?:der|die) (?:be)?nutzer(?:in)? (?:will|möchte|fragt|bittet|hat)|l['’]utilisateur (?:veut|"
    r"demande|souhaite|a )|el usuario (?:quiere|pide|pregunta|ha |necesita)|o usuário (?:quer|ped|pergunt)|"
    r"l['’]utente (?:vuole|chiede|ha )|de gebruiker (?:wil|vraagt|heeft)|użytkownik (?:chce|prosi|pyta)|"
    r"пользователь (?:хочет|прос|спр)|kullanıcı (?:iste|sor)|المستخدم (?:يريد|يطلب|يسأل)|người dùng (?:muốn|yêu cầu|"
    r"hỏi))",
    re.IGNORECASE,
)
"""How a thought begins that has no marks: of the user's wish, or of how to answer it."""
_SIGNS = ("<", "[", "【", "◁", "＜", "&lt;", "\\u003c", "```")
_HINTS = ("think", "thought", "reason", "analysis", "commentary", "思考")
"""Each form has one of these: most texts are seen to have none."""


@dataclass(frozen=True)
class Reasoned:
    """A text without its reasoning. `unclosed`: the reasoning never ended, so there is no answer."""

    text: str
    found: bool
    unclosed: bool = False


def split_reasoning(text: str) -> Reasoned:
    """Take off leading blocks, everything up to a lone closing mark, and blocks further on (not inside code)."""
    if not any(sign in text for sign in _SIGNS) and not any(word in text.lower() for word in _HINTS):
        return Reasoned(text, False)
    start, found = 0, False
    while True:
        after = _block_end(text, start)
        if after is None:
            return Reasoned("", True, unclosed=True)
        if after == start:
            break
        start, found = after, True
    for form in _FORMS:
        lone = _lone_end(text, start, form) if form.lone else None
        if lone is not None:
            start, found = lone, True
    rest, further, unclosed = _without_further(text[start:])
    if unclosed:
        return Reasoned("", True, unclosed=True)
    if not found and not further:
        return Reasoned(text, False)
    return Reasoned(rest.strip(), True)


def thinks_aloud(text: str) -> bool:
    """Whether a text without marks begins as thoughts do. An answer may begin so too: it takes another sign."""
    return _ALOUD.match(text) is not None


def _block_end(text: str, start: int) -> int | None:
    """Where the block that the text begins with ends; `start` if there is none, None if it never ends."""
    before = _BEFORE.match(text, start)
    head = before.end() if before else start
    for form in _FORMS:
        opening = form.opening.match(text, head)
        if opening is None:
            continue
        closing = form.closing.search(text, opening.end())
        if closing is None and form.sure:
            return None
        if closing is not None and _is_spoken_of(text, opening, closing):
            continue
        if closing is not None and (form.sure or text[closing.end() :].strip()):
            return closing.end()
    return start


def _lone_end(text: str, start: int, form: _Form) -> int | None:
    """The end of the last closing mark that no opening mark precedes and that is not quoted."""
    end = None
    opening = form.opening.search(text, start)
    limit = opening.start() if opening else len(text)
    for closing in form.closing.finditer(text, start, limit):
        before, after = text[closing.start() - 1 : closing.start()], text[closing.end() : closing.end() + 1]
        quoted = (before and before in _QUOTES) or (after and after in _QUOTES)
        if not quoted and not _is_mentioned(text, closing):
            end = closing.end()
    return end


def _without_further(text: str) -> tuple[str, bool, bool]:
    """Without the blocks inside it; whether there were any, and whether one is not closed."""
    forms = [form for form in _FORMS if form.inside and form.opening.search(text)]
    if not forms:
        return text, False, False
    code = [match.span() for match in _CODE.finditer(text)]
    parts: list[str] = []
    done, found = 0, False
    for form in forms:
        if any(_is_mentioned(text, opening) for opening in form.opening.finditer(text)):
            continue
        still_closed = True  # once no end is found there is none further on either
        for opening in form.opening.finditer(text):
            if opening.start() < done or _is_quoted(text, opening, code):
                continue
            closing = form.closing.search(text, opening.end()) if still_closed else None
            if closing is None:
                still_closed = False
                before, behind = text[: opening.start()].rstrip(" \t")[-1:], text[opening.end() : opening.end() + 1]
                if behind in ("\n", "\r") or (before == "\n" and behind.isupper()):
                    return "", found, True
                continue
            inner = text[opening.end() : closing.start()].strip()
            if _is_spoken_of(text, opening, closing):
                continue
            if inner and not any(character.isalpha() for character in inner):
                continue  # spoken of: <think>...</think>
            parts.append(text[done : opening.start()])
            done, found = closing.end(), True
    return "".join([*parts, text[done:]]), found, False


def _is_mentioned(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark is a word of its sentence, with words on both sides."""
    before = _MENTIONED[0].search(text[max(0, mark.start() - 2) : mark.start()])
    return before is not None and _MENTIONED[1].match(text, mark.end()) is not None


def _is_spoken_of(text: str, opening: re.Match[str], closing: re.Match[str]) -> bool:
    """Whether a sentence begins with a mark and names its end too: `[THINK] opens it and [/THINK] closes it`."""
    between = text[opening.end() : closing.start()]
    words = _MENTIONED[1]
    return bool(words.match(between) and between[-1:] == " " and words.match(text, closing.end()))


def _is_quoted(text: str, mark: re.Match[str], code: list[tuple[int, int]]) -> bool:
    before = text[mark.start() - 1 : mark.start()]
    place = bisect_right(code, (mark.start(), len(text)))
    return (before != "" and before in _QUOTES) or (place > 0 and mark.start() < code[place - 1][1])


def unwrapped(text: str) -> str:
    """Without the tags that some models put around the answer that follows their reasoning."""
    wrapped = _WRAPPERS.match(text)
    if wrapped is None:
        return text
    return next(group for group in wrapped.groupdict().values() if group is not None).strip()
