"""Detection of the natural language of a text, and names of languages.

Uses py3langid (a naive Bayes classifier over byte n-grams; Lui and Baldwin, ACL 2012), because it is a small wheel with
its model, needs only NumPy, and works well on short texts. Uncertain results are unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian",
    "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
    "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean",
    "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "ml": "Malayalam", "mr": "Marathi", "my": "Burmese",
    "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "xh": "Xhosa", "zh": "Chinese",
    "zu": "Zulu",
}  # fmt: skip
"""The languages that are distinguished: ISO 639-1 code and English name."""

UNKNOWN = ""
SURE = 0.8
"""Probability below which the language of a text is unknown."""
SAMPLE = 400
"""Texts of which the most frequent language is taken: more do not change it."""
DOMINANT = 0.8
"""Share of the texts that must be in one language for it to be that of all."""
PRESENT = 0.05
"""Share of the texts below which a language is a stray."""


def language_of(text: str) -> str:
    """The code of the text's language (`NAMES`), or `UNKNOWN`."""
    code, probability = _identifier().classify(text)
    return str(code) if probability >= SURE else UNKNOWN


def main_languages(texts: Iterable[str]) -> list[str]:
    """The codes of the languages that some texts are in, the most frequent first; none if none is known.

    One, if nearly all texts are in it. A text whose own language is unknown (a formula, a name) does not count.
    """
    some = list(texts)
    step = max(1, len(some) // SAMPLE)
    counted = Counter(filter(None, map(language_of, some[::step])))
    ranked = counted.most_common()
    if ranked and ranked[0][1] >= DOMINANT * counted.total():
        return [ranked[0][0]]
    return [code for code, count in ranked if count >= PRESENT * counted.total()]


def language_name(language: str) -> str:
    """What a prompt calls a language: of a code its name, anything else as it is ("Brazilian Portuguese")."""
    return NAMES.get(language.strip().lower(), language.strip())


def languages_to_ask_for(chosen: str, texts: Iterable[str]) -> list[str]:
    """The names of the languages that a teacher is asked to write in; none for English, the default.

    Args:
        chosen: by the user, a code or a name; empty: the languages of `texts`, the seed tasks.
    """
    if chosen.strip():
        return [language_name(chosen)]
    found = main_languages(texts)
    return [] if found == ["en"] else [language_name(code) for code in found]


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # NumPy and 5 MB: only where it is needed

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(NAMES)
    return identifier
