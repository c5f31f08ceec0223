"""Detection of refusals, remarks of a model about itself, and placeholders, in many languages.

A refusal is recognised by how a short answer begins, and by what it says cannot be done: help, answer, see missing
input. "I cannot see the stars from my window" is not a refusal, and neither is an apology. English is written out here;
the other languages are rows of one table (`refusal_words`).
"""

from __future__ import annotations

import re
from functools import cache

import polars as pl

from sedi_dagster.texts.refusal_words import WORDS, Words

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
_MODEL = _any_of(rf"""
    (?:as|being|since i(?:['’]m| am)|because i(?:['’]m| am)) an? {_AI}[, ]+(?:i|my|me|it|there|we)\b{_GAP}{_LACKS}
    i(?:['’]m| am) (?:just |only |merely |simply )?an? {_AI}(?:[,;:.!]|$| (?:and|so|but|who|that|which|without|with)\b){_GAP}{_LACKS}
    i (?:do not|don['’]t|cannot|can['’]?t){_GAP} (?:as|since|because) i(?:['’]m| am) (?:just |only )?an? {_AI}\b
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
    r"up-to-date|external|harmful|illegal|explicit|personal (?:data|opinions?|experiences?)|without (?:more|further))"
)
_TEXT = (
    r"(?:text|input|article|image|details|content|sentence|passage|document|paragraph|photo|picture|attachment|story|"
    r"code)s?"
)
_REFUSES = _any_of(rf"""
    (?:i|we) ?{_CANNOT}{_ADVERB} (?:assist|help|engage|support)(?: you)?(?: (?:with|in|on) {_THAT}\b|[.!,;]|$)
    (?:i|we) ?{_CANNOT}{_ADVERB} (?:comply|fulfil+|accommodate)(?: (?:with )?{_THAT}\b|[.!,;]|$)
    (?:i|we) ?{_CANNOT}{_ADVERB} (?:write|do|create|provide|discuss|generate|produce|say|continue|answer)(?: (?:that|this|so|those|it))?(?: content| kind{_GAP}| with (?:this|that))?(?:[.!]|$)
    i ?{_CANNOT}{_ADVERB} (?:\w+ and |\w+ or )?{_VERB}\b{_GAP}\b{_ASKED}\b
    (?:i|we) ?{_CANNOT}{_ADVERB} be of (?:any )?(?:help|assistance)
    (?:i|we) (?:do not|don['’]t|lack)(?: currently| actually| really)? (?:have |possess )?(?:the (?:ability|capability|capacity)|(?:any |direct )?access to (?:the (?:internet|web|article|text|file|image|link|current)|real|current|external|up|your|any|personal|live|information)|real[- ]time|personal (?:opinions?|experiences?|feelings?|beliefs?|preferences?|information|data)|feelings|emotions|(?:enough|sufficient) (?:information|context|details)|current)
    i have no (?:access to (?:the (?:internet|web)|real|current|external)|way of (?:knowing|accessing|seeing)|personal (?:opinion|experience|feeling))
    (?:it|this|that)(?: request| content| question| topic)?(?:['’]s| is| would be) (?:not appropriate|inappropriate|not possible) for me
    (?:this|that|your) ?(?:request|prompt|content|question)?{_GAP}(?:violates|goes against|breaches|against) (?:my|our|the|openai['’]?s?|anthropic['’]?s?) ?(?:\w+ )?(?:guidelines|polic|programming|terms|principles|values)
    i (?:must |have to |need to |will )?(?:respectfully |politely )?(?:refuse|decline)(?: to (?:answer|write|help|do|provide|engage|continue|discuss)| (?:this|that|your) request|[.!]|$)
    i(?:['’]d| would) rather not (?:discuss|answer|talk|engage|write|say)
    i(?:['’]m| am| do not feel| don['’]t feel) (?:not )?comfortable (?:writing|discussing|answering|providing|creating|generating|with (?:this|that))
    let['’]s (?:talk about something else|change the (?:subject|topic))[.!]
    i (?:don['’]t|do not) know the answer
""")
_ASKS_BACK = _any_of(rf"""
    (?:(?:sure|of course|certainly|i(?:['’]d| would) be (?:happy|glad) to (?:help|assist))[^.!?\n]{{0,30}}[.!,] )?(?:please|can you|could you)(?: please)? (?:provide|share|give|upload|paste|attach|include)(?: me)?(?: with)?(?: the| your| more| an?| some| it| that| this)? ?{_TEXT}
    (?:sure|of course|certainly)?[.!, ]*(?:please|can you|could you)(?: please)? (?:provide|share|give|upload|paste|attach|include|tell)\b{_GAP}\byou(?:['’]d| would)? (?:like|want|need|wish)
    i(?:['’]m| am) not sure what you(?:['’]re| are| mean)
    there (?:doesn['’]t|does not) (?:appear|seem) to be (?:any|an?|the) {_TEXT}
    you (?:did not|didn['’]t|have not|haven['’]t) (?:provided?|included?|given?|shared?) (?:me )?(?:with )?(?:any|the|an?) \w+ to \w+
    (?:could|can) you (?:please )?(?:clarify|rephrase|specify|elaborate)(?: on)? (?:what you|your (?:question|request))
    (?:(?:it|this) (?:seems|appears|looks)(?: like| that)? )?(?:the|your|no|an?) {_TEXT}(?: (?:you|that)[^.\n]{{0,20}})? (?:is|was|were|are|has been|have been|seems?|appears?)(?: to be)? (?:missing|empty|blank|incomplete|cut off|not (?:provided|included|attached|given|shared)|provided|attached|included)(?: to \w+)?(?:[.!,;]|$)
    (?:(?:it|this) (?:seems|appears|looks)(?: like| that)? )?(?:there (?:is|was|are|were|seems to be)|i (?:see|don['’]t see|do not see|cannot see|can['’]t see)) (?:no|any|an?|the) {_TEXT}(?: (?:to \w+|provided|given|attached|included|here|in your)|[.!,]|$)
    you (?:did not|didn['’]t|have not|haven['’]t) (?:provided?|included?|given?|shared?|attach\w*) (?:me with )?(?:any|the|an?) {_TEXT}
    it (?:looks|seems|appears)(?: like| that)? you[^.\n]{{0,20}}(?:forgot|did not|didn['’]t|have not|haven['’]t)[^.\n]{{0,30}}{_TEXT}
    (?:to {_GAP}, )?i(?:['’]d|['’]ll| would| will)? (?:need|require) (?:to see |you to (?:provide|share) )?(?:the|your) {_TEXT}
    i(?:['’]d| would)? (?:need|require)(?: some| a bit| a little)? more (?:information|context|details) to (?:answer|help|assist|complete|provide|respond)
    (?:(?:hello|hi|hey|sure|of course)(?: there)?[!.,] *)?(?:i['’]m here to (?:help|assist)[!.,] *)?(?:how (?:can|may) i (?:help|assist) you(?: today)?|what (?:would you like|do you want)(?: me)? to (?:know|do|discuss|write about|talk about)) ?[?!.]* ?$
    bitte (?:geben|teilen|fügen|stellen|senden|laden) sie[^.\n]{{0,30}}(?:text|artikel|satz|bild|inhalt)
    veuillez (?:fournir|indiquer|partager|coller|saisir)[^.\n]{{0,20}}(?:texte|article|phrase|image)
    por favor,? (?:proporcion|compart|indi[cq]|enví|pe[gu]|forne|envi|cole)\w*[^.\n]{{0,20}}(?:texto|artículo|artigo|frase|imagen|imagem|oración)
    (?:per favore,? )?(?:fornisci|inserisci|incolla|condividi)[^.\n]{{0,20}}(?:testo|articolo|frase|immagine)
    (?:пожалуйста, )?(?:предоставьте|пришлите|введите|укажите|вставьте)[^.\n]{{0,20}}(?:текст|стать|предложен|изображ)
    [请請](?:您)?(?:提供|输入|輸入|上传|上傳|粘贴|貼上|告诉我|告訴我|给出)[^。\n]{{0,12}}(?:文本|文字|内容|內容|文章|句子|图片|圖片|段落|信息|資訊|原文)
    (?:您好|你好)[，,！!]?我是[^。\n]{{1,16}}[，,。！!](?:请问)?有什么可以帮
    [^。\n]{{0,16}}(?:文章|テキスト|画像|内容)を(?:入力|提供|教え|貼り付け|ご提供|ご入力)
    [^.\n]{{0,12}}(?:텍스트|문장|이미지|내용)[을를]? ?(?:제공|입력|알려|공유)
""")


_BEFORE = r"[\s\"'“”‘’*_>\[(]*(?:(?:oh|hm+|well|hello|hi)[,.!]? )?"
_ENGLISH = (
    rf"{_BEFORE}(?:{_MODEL}|(?:{_SORRY}{_GAP})?{_REFUSES}|{_SORRY}{_GAP}{_MODEL}|(?:{_SORRY}{_GAP})?{_ASKS_BACK})"
)
_SENTENCE_END = re.compile(r"[.!?。！？।။\n]+")
_SENTENCES = 2
"""Of an answer that may hold what it cannot do: an apology, and what it is for."""
_BY_ITSELF = 24
"""Characters before what cannot be done, where nothing is apologised for."""


class _Language:
    """The words of a language as patterns."""

    def __init__(self, words: Words) -> None:
        self.sorry, self.cannot, self.task, self.model = (
            re.compile(f"(?:{pattern})", re.IGNORECASE) for pattern in words
        )

    def refuses(self, answer: str) -> bool:
        if self.model.match(answer):
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


@cache
def _languages() -> tuple[_Language, ...]:
    return tuple(map(_Language, WORDS.values()))


_NEEDED = r"(?: (?:is|are|was|were))?(?: (?:needed|required|available|given|provided|necessary))"
_KIND = r"(?:output|answer|response|text)"
_NOTHING = _any_of(rf"""
    no[ _-]?(?:output|response|answer|result|reply|input)s?{_NEEDED}?
    n/?\.?a\.?(?: \([^()\n]{{1,30}}\))?|not (?:applicable|available|provided|specified)|tb[da]|t\.b\.[da]\.|(?:todo|fixme)(?:: [^\n]{{0,40}})?
    to be (?:done|determined|added|filled in)|(?:this is )?an? placeholder|there is no (?:output|answer|response)
    (?:same )?as above|see above|(?:this is an? )?(?:sample|example|dummy|placeholder) {_KIND}(?: here)?|\[object object\]|x{{3,9}}|略|省略|k\. ?a
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
    r"^[\s\"'“”‘’*_>\[(]*(?:oh|hm|well|i\b|we\b|as\b|being|since|because|my|sorry|apologies|unfortunately|regrettably|it|"
    r"this|that|your|let|sure|of|certainly|please|can|could|the|no|an?\b|there|you|to|hello|hi|hey|how|what|bitte|"
    r"veuillez|por|per|fornisci|inserisci|incolla|condividi|пожалуйста|предоставьте|пришлите|введите|укажите|вставьте|[请請]|"
    r"您好|你好)|を(?:入力|提供|教え|貼り付け|ご提供|ご入力)|(?:제공|입력|알려|공유)"
)
_MAY_BE_OTHER = "|".join(f"(?:{words.cannot})|(?:{words.model})" for words in WORDS.values())
"""What every refusal has, in lower case and for Polars: most answers are seen to be none without a second look."""


def is_refusal(answer: str) -> bool:
    """Whether a short answer refuses its task or speaks of the model that wrote it."""
    return len(answer.encode("utf-8", "replace")) < LONGEST_REFUSAL_BYTES and (
        _english().match(answer) is not None or _in_other_language(answer)
    )


def are_refusals(answers: pl.Series) -> pl.Series:
    """`is_refusal` of each answer, the many in one pass."""
    found = pl.repeat(False, len(answers), dtype=pl.Boolean, eager=True)
    lowered = answers.str.to_lowercase()
    short = answers.str.len_bytes() < LONGEST_REFUSAL_BYTES
    for gate, refuses in ((_MAY_BE_ENGLISH, _english().match), (_MAY_BE_OTHER, _in_other_language)):
        places = (short & lowered.str.contains(gate) & ~found).fill_null(False).arg_true()
        found = found.scatter(places, pl.Series([bool(refuses(a)) for a in answers.gather(places)], dtype=pl.Boolean))
    return found


def _in_other_language(answer: str) -> bool:
    plain = answer.strip(" \t\r\n\"'“”‘’*_>[(")
    return any(language.refuses(plain) for language in _languages())


def is_placeholder(answer: str, task: str = "") -> bool:
    """Whether an answer stands for one that is missing: `<nooutput>`, `N/A`, `[No output]`, `...`.

    Args:
        task: instruction and input; an answer that they name is one, as in "Write N/A where there is no date".
    """
    if _placeholder.match(answer) is None and _dots.match(answer) is None:
        return False
    return not answer.strip() or answer.strip().lower() not in task.lower()
