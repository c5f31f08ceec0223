"""Whether the input of a task says that there is none, in the words of people and models."""

from __future__ import annotations

import re
import unicodedata

_DASHES_AND_BRACKETS = frozenset("-–—―_()[]{}<>（）［］【】「」\"'“”‘’*`. \t\r\n")
_ENGLISH_NO_INPUT = re.compile(
    r"(?:none|(?:no|without)(?: (?:additional|further|specific|extra|other))? inputs?)"
    r"(?: (?:text|data))?(?: (?:is|was))?(?: (?:needed|necessary|required|given|provided|available))?"
)


def _plain(text: str) -> str:
    """Letters and digits in lower case, words apart by one space; marks inside a word (Hindi, Thai) stay."""
    spaced = (c if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc") else " " for c in text)
    return " ".join("".join(spaced).casefold().split())


_NO_INPUT = frozenset(
    map(
        _plain,
        """noinput|n/a|na|nil|null|not applicable|not needed|not required|empty|blank
        keine|keine eingabe|kein input|keine eingabe erforderlich|keine eingabe nötig|entfällt|leer
        sin entrada|ninguno|ninguna|no aplica|no se requiere entrada|no se necesita entrada|vacío|vacía
        aucun|aucune|aucune entrée|pas d'entrée|sans entrée|néant|sans objet|vide
        sem entrada|nenhum|nenhuma|nenhuma entrada|não aplicável|não se aplica|vazio|vazia
        nessuno|nessuna|nessun input|nessun ingresso|senza input|non applicabile|vuoto
        geen|geen invoer|geen input|niet van toepassing|leeg
        ingen|ingen indata|inget|brak|brak danych|brak danych wejściowych|brak wejścia|nie dotyczy
        нет ввода|без ввода|нет входных данных|ввод не требуется|не требуется|отсутствует|пусто
        yok|girdi yok|giriş yok|boş
        无|無|无输入|無輸入|没有输入|沒有輸入|不需要输入|不需要輸入|无需输入|無需輸入|不适用|不適用|空
        なし|無し|入力なし|入力無し|入力は不要|入力は不要です|該当なし|特になし
        없음|입력 없음|입력없음|해당 없음|해당없음
        لا يوجد|لا شيء|لا يوجد إدخال|لا يوجد مدخلات|لا توجد مدخلات|بدون إدخال|بدون مدخلات|لا ينطبق|فارغ
        אין|אין קלט|ללא קלט|ללא|לא רלוונטי|ריק
        कोई नहीं|कोई इनपुट नहीं|इनपुट नहीं|लागू नहीं
        không có|không có đầu vào|không áp dụng
        tidak ada|tanpa masukan|ไม่มี|καμία|κανένα|žádný|žádné|žiadny|немає|відсутній
        nincs|niciuna|niciun|ei mitään|ei ole|inga|intet|ندارد|هیچ|নেই|কিছু নেই
        няма|nema|ništa|cap|hakuna|არა|არ არის|የለም|မရှိပါ|မရှိ|គ្មាន|ບໍ່ມີ|இல்லை|లేదు|ഇല്ല|ಇಲ್ಲ|काही नाही|کوئی نہیں""".replace(
            "\n", "|"
        ).split("|"),
    )
)
_REMARK = re.compile(r"(?<=[^\s(（])\s*[(（][^()（）]{1,40}[)）][\s.]*\Z")
"""Behind it: `N/A (no input needed)`."""
_LONGEST_NO_INPUT = 80


def means_no_input(text: str) -> bool:
    """Whether an input says that there is none: `<noinput>`, `None.`, `N/A`, a dash, `keine Eingabe`, `无`."""
    text = text.strip()
    if len(text) > _LONGEST_NO_INPUT:
        return False
    plain = _plain(_REMARK.sub("", text))
    if not plain:
        return all(c in _DASHES_AND_BRACKETS for c in text)
    return plain in _NO_INPUT or _ENGLISH_NO_INPUT.fullmatch(plain) is not None
