"""Detection of refusals, remarks of a model about itself, and placeholders, in many languages.

A refusal is recognised by how a short answer begins, and by what it says cannot be done: help, answer, see missing
input. "I cannot see the stars from my window" is not a refusal, and neither is an apology. English is written out here;
the other languages are in `refusals.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import polars as pl
import yaml

LONGEST_REFUSAL_BYTES = 600
"""About 100 words of English or 200 characters of Chinese: from there on an answer is no refusal."""


def _any_of(lines: str) -> str:
    """One pattern from alternatives, one a line."""
    return "(?:" + "|".join(line.strip() for line in lines.strip().splitlines()) + ")"


_GAP = r"[^.!?。！？।။\n]*?"
_AI = (
    r"(?:[\w-]+[ -]){0,2}(?:ai|a\.i\.|artificial intelligence|language model|virtual assistant|chatbot|computer program)"
    r"(?:[ -](?:language|chat|text))*(?:[ -](?:model|assistant|system|program|chatbot|tool|bot))?"
    rf"(?: (?:developed|created|trained|designed|made|built|programmed){_GAP})?"
)
_LACKS = (
    r"(?:\bnot\b|n['’]t\b|\bcannot\b|\bno\b|unable|\black|limit|without|\bnever\b|\bonly\b|guideline|policy|trained|"
    r"programmed|designed|cutoff)"
)
_NAME = (
    r"(?:claude|chatgpt|gpt-?[\w.]*|qwen|tongyi|deepseek|gemini|gemma|bard|llama|kimi|mistral|copilot|grok|ernie|chatglm|"
    r"glm|phi|vicuna|alpaca|command|nova|olmo|hermes)[\w. -]{0,12}"
)
_MODEL = _any_of(rf"""
    (?:as|being|since i(?:['’]m| am)|because i(?:['’]m| am)) an? {_AI}[, ]+(?:i|my|me|it|there|we)\b{_GAP}{_LACKS}
    i(?:['’]m| am) (?:just |only |merely |simply )?an? {_AI}(?:[,;:.!]|$| (?:and|so|but|who|that|which|without|with)\b){_GAP}{_LACKS}
    i (?:do not|don['’]t|cannot|can['’]?t){_GAP} (?:as|since|because) i(?:['’]m| am) (?:just |only )?an? {_AI}\b
    i(?:['’]m| am) {_NAME},? (?:an? {_AI}|(?:created|developed|trained|made|built) by)[^\n]{{0,60}}{_LACKS}
    my (?:knowledge|training)[^.\n]{{0,20}} (?:cutoff|cut-off|ends|only)
""")
_SORRY = _any_of(r"""
    i(?:['’]m| am) (?:very |so |really |terribly )?(?:sorry|afraid)
    sorry|(?:my )?apologies|i apologi[sz]e|unfortunately|regrettably|i (?:regret|have) to (?:inform|say|tell) you
""")
_CANNOT = _any_of(r"""
    (?:can ?not|can['’]?t|could not|couldn['’]t|won['’]t|will not)(?: and (?:will not|won['’]t|cannot|can['’]?t))?(?: be able)?
    (?:am |['’]m |are |['’]re )(?:currently |simply |just )?(?:unable|not (?:able|allowed|permitted|programmed))
    was not (?:designed|programmed|built|trained|made)
""")
_ADVERB = r"(?: (?:\w+ly|to|of|be|able|in good conscience|just|really|here|with))*"
_THAT = r"(?:that|this|your|the|it|those|these|such|any|harmful|illegal|creating|generating|writing|providing)"
_VERB = _any_of(r"""
    provide|complete|answer|respond|generate|create|write|produce|do|process|access|browse|open|see|view|read|perform|discuss
    give|offer|translate|summari[sz]e|analy[sz]e|display|show|look at|listen|hear|watch|fetch|visit|search|continue|share
""")
_ASKED = (
    r"(?:(?:your|this|that|the|such) (?:request|question|task|instruction|prompt|query|conversation|topic)s?|browsing|"
    r"images?|pictures?|photos?|videos?|audio|attachments?|attached|files?|links?|urls?|web ?(?:sites?|pages?)|the web|internet|instructions for that|"
    r"(?:the|your|any|an?) (?:original |full )?(?:article|text|passage|input|document|code|content)|(?:that|this|such) information|real[- ]?time|current (?:data|events|information)|"
    r"up-to-date|external|harmful|illegal|explicit|personal (?:data|opinions?|experiences?)|without (?:more|further)|"
    r"(?:medical|legal|financial|investment) advice|(?:about|on) (?:that|this)(?=[.!]|$))"
)
_TEXT = (
    r"(?:text|input|article|image|details|content|sentence|passage|document|paragraph|photo|picture|attachment|story|"
    r"code)s?"
)
_REFUSES = _any_of(rf"""
    (?:i|we) ?{_CANNOT}{_ADVERB} (?:assist|help|engage|support)(?: you)?(?: (?:with|in|on) (?:{_THAT}|discussions?)\b|[.!,;]|$)
    (?:that|this|it)(?:['’]s| is) (?:not something i(?: can|['’]m able to| am able to)|something i(?: can(?:not|['’]t)|['’]m (?:not able|unable) to| am (?:not able|unable) to)) (?:help|assist|do|answer|discuss|provide|write)\b
    (?:it(?:['’]s| is) )?against my (?:\w+ )?(?:guidelines|polic|programming)
    (?:i|we) ?{_CANNOT}{_ADVERB} (?:comply|fulfil+|accommodate)(?: (?:with )?{_THAT}\b|[.!,;]|$)
    (?:i|we) ?{_CANNOT}{_ADVERB} (?:write|do|create|provide|discuss|generate|produce|say|continue|answer)(?: (?:that|this|so|those|it))?(?: content| kind{_GAP}| with (?:this|that))?(?:[.!]|$)
    i ?{_CANNOT}{_ADVERB} (?:\w+ and |\w+ or )?{_VERB}\b{_GAP}\b{_ASKED}\b
    (?:i|we) ?{_CANNOT}{_ADVERB} be of (?:any )?(?:help|assistance)
    (?:i|we) (?:do not|don['’]t|lack)(?: currently| actually| really)? (?:have |possess )?(?:the (?:ability|capability|capacity) to (?:{_VERB}|feel|experience|have|remember|do (?:so|that|this))|(?:any |direct )?access to (?:the (?:internet|web|article|text|file|image|link|current)|real|current|external|up|your|any|personal|live|information)|real[- ]time|personal (?:opinions?|experiences?|feelings?|beliefs?|preferences?|information|data)(?! (?:with|of)\b)|feelings|emotions|(?:enough|sufficient) (?:information|context|details)(?:[.,;]|$| to (?:answer|help|assist|determine|provide|complete|respond|give|say|summar|translat)| about (?:this|that|your)\b)|current (?:data|events|information)|(?:any )?information (?:on|about|regarding) (?:this|that|your)\b)
    i have no (?:access to (?:the (?:internet|web)|real|current|external)|way of (?:knowing (?:your|who you|where you|what you)|accessing|seeing)|personal (?:opinion|experience|feeling)s?(?! of\b)|information (?:on|about|regarding) (?:this|that|your)\b)
    (?:it|this|that)(?: request| content| question| topic)?(?:['’]s| is| would be) (?:not appropriate|inappropriate|not possible) for me
    (?:this|that|your) ?(?:request|prompt|content|question)?{_GAP}(?:violates|goes against|breaches|against) (?:my|our|the|openai['’]?s?|anthropic['’]?s?) ?(?:\w+ )?(?:guidelines|polic|programming|terms|principles|values)
    i (?:must |have to |need to |will )?(?:respectfully |politely )?(?:refuse|decline)(?: to (?:answer|write|help|do|provide|engage|continue|discuss)| (?:this|that|your) request|[.!]|$)
    i(?:['’]d| would) rather not (?:discuss|answer|talk|engage|write|say)
    i(?:['’]m| am| do not feel| don['’]t feel) (?:not )?comfortable (?:writing|discussing|answering|providing|creating|generating|with (?:this|that))
    let['’]s (?:talk about something else|change the (?:subject|topic))[.!]
    i (?:don['’]t|do not) know the answer
    (?:cannot|can['’]t|unable to) (?:answer|process|complete|fulfil+|comply with|respond to) (?:this|that|your) (?:question|request|task|prompt|query)
""")
_ASKS_BACK = _any_of(rf"""
    (?:(?:sure|of course|certainly|i(?:['’]d| would) be (?:happy|glad) to (?:help|assist))[^.!?\n]{{0,30}}[.!,] )?(?:please|can you|could you)(?: please)? (?:provide|share|give|upload|paste|attach|include)(?: me)?(?: with)?(?: the| your| more| an?| some)? ?{_TEXT}(?:[.!?,;:]|$| (?:you|that|so|for me|here|below|and|or|to be|to (?:summar|translat|analy|rewrite|edit|classif)\w*|of the|i)\b)
    (?:sure|of course|certainly)?[.!, ]*(?:please|can you|could you)(?: please)? (?:provide|share|give|upload|paste|attach|include|tell)\b{_GAP}\byou(?:['’]d| would)? (?:like|want|need|wish)(?:(?: me)? to| \w+ed)\b
    i(?:['’]m| am) not sure (?:what you(?:['’]re| are| mean)|i understand)
    i (?:do not|don['’]t|did not|didn['’]t) (?:quite |fully )?understand (?:your|the|this|that) (?:question|request|instruction|prompt|task)
    there (?:doesn['’]t|does not) (?:appear|seem) to be (?:any|an?|the) {_TEXT}
    you (?:did not|didn['’]t|have not|haven['’]t) (?:provided?|included?|given?|shared?) (?:me )?(?:with )?(?:any|the|an?) \w+ to \w+
    (?:could|can) you (?:please )?(?:clarify|rephrase|specify|elaborate)(?: on)? (?:what you|your (?:question|request))
    (?:(?:it|this) (?:seems|appears|looks)(?: like| that)? )?(?:the|your) {_TEXT}(?: (?:you|that)[^.\n]{{0,50}})? (?:is|was|were|are|has been|have been|seems?|appears?)(?: to be)? (?:missing|empty|blank|incomplete|cut off|not (?:provided|included|attached|given|shared))(?: to \w+)?(?:[.!,;]|$)
    (?:(?:it|this) (?:seems|appears|looks)(?: like| that)? )?no {_TEXT}(?: (?:is|was|were|are|has been|have been))? (?:provided|given|attached|included|shared)(?: to \w+)?(?:[.!,;]|$)
    (?:(?:it|this) (?:seems|appears|looks)(?: like| that)? )?(?:there (?:is|was|are|were|seems to be)|i (?:see|don['’]t see|do not see|cannot see|can['’]t see)) (?:no|any|an?|the) {_TEXT}(?: (?:to \w+|provided|given|attached|included|here|in your)|[.!,]|$)
    you (?:did not|didn['’]t|have not|haven['’]t) (?:provided?|included?|given?|shared?|attach\w*) (?:me with )?(?:any|the|an?) {_TEXT}
    it (?:looks|seems|appears)(?: like| that)? you[^.\n]{{0,20}}(?:forgot|did not|didn['’]t|have not|haven['’]t)[^.\n]{{0,30}}{_TEXT}
    (?:to {_GAP}, )?i(?:['’]d|['’]ll| would| will)? (?:need|require) (?:to see |you to (?:provide|share) )?(?:the|your) {_TEXT}
    i(?:['’]d| would)? (?:need|require)(?: some| a bit| a little)? more (?:information|context|details)(?:[.!]|$| to (?:answer|help|assist|complete|provide|respond)\b)
    (?:(?:hello|hi|hey|sure|of course)(?: there)?[!.,] *)?(?:i['’]m here to (?:help|assist)[!.,] *)?(?:how (?:can|may) i (?:help|assist) you(?: today)?|what (?:would you like|do you want)(?: me)? to (?:know|do|discuss|write about|talk about)) ?[?!.]* ?$
    (?:what|which)(?: {_TEXT})? (?:would you like|do you want) me to (?:translate|summari[sz]e|write|edit|rewrite|analy[sz]e|explain|classify|proofread|correct|paraphrase|answer)\b
""")


_BEFORE = r"[\s\"'“”‘’*_>#\[(]*(?:(?:oh|hm+|well|hello|hi)[,.!]? )?"
_POLITE = (
    r"(?:(?:thank you|thanks|(?:great|good|interesting|excellent) question|"
    r"i (?:fully |completely |do )?(?:understand|appreciate|see|realize|recognize|strive|want|would (?:like|love))|"
    r"i['’]d (?:like|love|be (?:happy|glad))|(?:while|although|even though) i)\b[^.!?\n]{0,120}?(?:[.!]\s+|,\s+)"
    r"(?:but |however,? |yet )?(?:unfortunately,? )?)(?=i\b|as\b)"
)
"""Before a model says what it cannot do. Who writes to customers says "we"."""
_WILLING = (
    r"(?:(?:sure|of course|certainly|absolutely|i(?:['’]d| would| can)\b[^.!?\n]{0,40}\bhelp\b[^.!?\n]{0,30})[.!,]\s+"
    r"(?:(?:but|however),? )?){0,2}"
)
_ENGLISH = (
    rf"{_BEFORE}(?:{_MODEL}|(?:{_SORRY}{_GAP}|{_POLITE})?{_REFUSES}|(?:{_SORRY}{_GAP}|{_POLITE}){_MODEL}|"
    rf"(?:{_SORRY}{_GAP}|{_WILLING})?{_ASKS_BACK})"
)
_SPEECH = re.compile(r"\s*[\"“„«「『][^\"“”„«»」』]*[\"”“»」』]\s*\w")
"""What somebody says in a story: the text goes on behind it."""
_SENTENCE_END = re.compile(r"[.!?。！？।။\n]+")
_SENTENCES = 2
"""Of an answer that may hold what it cannot do: an apology, and what it is for."""
_BY_ITSELF = 24
"""Characters before what cannot be done, where nothing is apologised for."""


class _Language:
    """The words of a language (`refusals.yaml`) as patterns."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.sorry, self.cannot, self.task, self.model, self.asks = (
            re.compile(f"(?:{words.get(name, '(?!)')})", re.IGNORECASE)
            for name in ("sorry", "cannot", "task", "model", "asks")
        )

    def refuses(self, answer: str) -> bool:
        if self.model.match(answer) or self.asks.match(answer):
            return True
        apology = self.sorry.match(answer)
        if apology and self.model.search(answer, apology.end(), apology.end() + 60):
            return True
        for number, sentence in enumerate(_SENTENCE_END.split(answer, _SENTENCES)[:_SENTENCES]):
            cannot, task = self.cannot.search(sentence), self.task.search(sentence)
            if cannot and task and (apology or (number == 0 and min(cannot.start(), task.start()) < _BY_ITSELF)):
                return True
        return False


@cache
def _english() -> re.Pattern[str]:
    return re.compile(_ENGLISH, re.IGNORECASE)


_WORDS: dict[str, dict[str, str]] = yaml.safe_load(
    Path(__file__).with_name("refusals.yaml").read_text(encoding="utf-8")
)


@cache
def _languages() -> tuple[_Language, ...]:
    return tuple(map(_Language, _WORDS.values()))


_NEEDED = r"(?: (?:is|are|was|were))?(?: (?:needed|required|available|given|provided|necessary))"
_KIND = r"(?:output|answer|response|text)"
_NOTHING = _any_of(rf"""
    no[ _-]?(?:output|response|answer|result|reply|input)s?{_NEEDED}?
    n/?\.?a\.?(?: \([^()\n]{{1,30}}\))?|not (?:applicable|available|provided|specified)|tb[da]|t\.b\.[da]\.|(?:todo|fixme)(?:: [^\n]{{0,40}})?
    to be (?:done|determined|added|filled in)|(?:this is )?an? placeholder|there is no (?:output|answer|response)
    (?:same )?as above|see above|(?:this is an? )?(?:sample|example|dummy|placeholder) {_KIND}(?: here)?|\[object object\]|x{{3,9}}|略|省略|k\. ?a
    siehe oben|voir ci-dessus|ver arriba|vedi sopra|veja acima|см\. ?выше|同上|待定|待补充|待填写|暂无(?:数据|信息|内容)|未提供
    (?:insert|add|put|write|enter|your|my|some)(?: your| the| an?)? (?:answer|output|response|text|example)(?: here)?
    {_KIND} here|output|answer|response|placeholder|lorem ipsum[^\n]*
    keine (?:ausgabe|antwort|angabe)|nicht zutreffend|entfällt|sin (?:salida|respuesta)|no hay (?:salida|respuesta)|no aplica
    aucune? (?:sortie|réponse)|sans (?:objet|réponse)|néant
    nessun[ao]? (?:output|risposta)|non applicabile|(?:sem|nenhuma) (?:saída|resposta)|não (?:se aplica|aplicável)
    geen (?:uitvoer|antwoord)|niet van toepassing|n\.?v\.?t|brak (?:odpowiedzi|danych)|nie dotyczy|inget svar
    нет (?:вывода|ответа|данных)|не применимо|неприменимо|н/д|cevap yok|çıktı yok
    không có (?:câu trả lời|đầu ra)|không áp dụng|tidak ada (?:jawaban|keluaran)
    (?:无|無|没有|沒有|暂无|(?:该任务)?(?:无需|無需|不需要))(?:输出|輸出|答案|回答)|不适用|不適用|暂无
    (?:出力|回答|解答)(?:は)?(?:なし|無し|ありません)|該当なし
    (?:출력|답변|응답) ?없음|해당 ?없음
    لا (?:يوجد|توجد) (?:إخراج|مخرجات|إجابة|رد)|لا ينطبق|غير متوفر|אין (?:פלט|תשובה)|לא רלוונטי
    कोई (?:आउटपुट|उत्तर|जवाब) नहीं|लागू नहीं|उपलब्ध नहीं|ไม่มี(?:คำตอบ|ข้อมูล)
""")
_BRACKETED = (
    r"(?:empty|blank|none|null|nil|nan|nothing|text|string|input|空|无|無|なし|無し|없음|leer|keine|vacío|ninguno|vide|aucun|"
    r"vuoto|nessuno|vazio|nenhum|leeg|пусто|нет|boş|yok|فارغ|ריק)"
)
"""What stands for nothing in brackets, and by itself may be the answer."""
_AROUND = r"\s\"'“”‘’*_`<>\[\](){}（）【】$"
PLACEHOLDER = (
    rf"(?i)^(?:[{_AROUND}-]*(?:{_KIND} ?: ?)?{_NOTHING}[{_AROUND}.:。!-]*|"
    rf"[\s\"'*_]*[<\[({{（【]{{1,2}}/?{_BRACKETED}[>\])}}）】]{{1,2}}[\s\"'*_.]*|{_KIND} ?: ?(?:none|null)\.?|"
    rf"\s*<{_KIND}>\s*</{_KIND}>\s*|\s*```\w*\s*```\s*)$"
)
"""A whole answer that says there is none."""

DOTS = r"^(?:[\s.…]*(?:\.\s?\.\s?\.|…)[\s.…]*|[\s\-–—]{3,}|[\s_]{3,}|[\s*]{3,}|[\s?？]{3,}|[\s□]{3,})$"
"""A whole answer of dots or dashes, of one kind (of both it is Morse code)."""

_placeholder, _dots = re.compile(PLACEHOLDER), re.compile(DOTS)

_MAY_BE_ENGLISH = (
    r"^[\s\"'“”‘’*_>#\[(]*(?:oh|hm|well|i\b|we\b|as\b|being|since|because|my|sorry|apologies|unfortunately|regrettably|it|"
    r"this|that|your|let|sure|of|certainly|absolutely|please|can|could|the|no|an?\b|there|you|to|hello|hi|hey|how|what|"
    r"which|thank|great|good|interesting|excellent|while|although|even|against|unable)"
)
_MAY_BE_OTHER = "|".join(
    f"(?:{words[name]})" for words in _WORDS.values() for name in ("cannot", "model", "asks") if name in words
)
"""What every refusal has, in lower case and for Polars: most answers are seen to be none without a second look."""


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
    for gate, refuses in ((_MAY_BE_ENGLISH, _in_english), (_MAY_BE_OTHER, _in_other_language)):
        places = (short & lowered.str.contains(gate) & ~found).fill_null(False).arg_true()
        found = found.scatter(places, pl.Series([refuses(a) for a in answers.gather(places)], dtype=pl.Boolean))
    return found


def _in_english(answer: str) -> bool:
    return _english().match(answer) is not None and _SPEECH.match(answer) is None


def _in_other_language(answer: str) -> bool:
    if _SPEECH.match(answer) is not None:
        return False
    plain = answer.strip(" \t\r\n\"'“”‘’*_>[(")
    return any(language.refuses(plain) for language in _languages())


REFUSAL_ASKED = (
    r"\b(?:refus|declin|apolog|turn(?:ing|s)? down|reject|say(?:ing)? no|verweiger|ablehn|absage|rechaz|recus|rifiut)|"
    r"отказ|отклон|拒绝|拒絕|婉拒|断り|断る|거절"
)
"""In a task, in lower case: it asks for a refusal, or is about one."""


def is_asked_for(answer: str, task: str) -> bool:
    """Whether a task asks for an answer that refuses, names it, or gives one as its input.

    Args:
        task: instruction and, on the lines below it, the input.
    """
    lowered = task.lower()
    named = answer.strip().lower() in lowered or re.search(REFUSAL_ASKED, lowered) is not None
    return named or is_refusal(task.partition("\n")[2])


def is_placeholder(answer: str, task: str = "") -> bool:
    """Whether an answer stands for one that is missing: `<nooutput>`, `N/A`, `[No output]`, `...`.

    Args:
        task: instruction and input; an answer that they name is one, as in "Write N/A where there is no date".
    """
    if _placeholder.match(answer) is None and _dots.match(answer) is None:
        return False
    return not answer.strip() or answer.strip().lower() not in task.lower()
