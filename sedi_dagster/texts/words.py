"""Words of any language, as counting and comparing texts needs them.

A word is what Unicode's text segmentation (UAX 29) calls one, as ICU implements it: with dictionaries for the scripts
that put no space between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), so that a word means the same in every
script. icu4py, because it is ICU itself as a prebuilt wheel; `regex`, and UAX 29 without dictionaries, cut such
scripts into single characters. Only texts in such scripts are handed to ICU: in all others words are runs of letters,
marks and digits, found ten times as fast.

One departure, so that English is compared as everyone does (`rouge_score` without a stemmer): a word ends at every
sign, so "don't" is two tokens and "3.14" too.
"""

import re
import unicodedata

import polars as pl
import regex
from icu4py.breakers import WordBreaker

# Scripts without spaces between words: those for which ICU has a dictionary or a model, and Tibetan, whose syllables
# end at a mark of their own.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"

_ASCII_RUN = re.compile(r"[a-z0-9]+")
# Marks and invisible format characters (joiners) belong to the word that they follow; a zero-width space ends it.
_RUN = regex.compile(r"[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}]|(?!\u200b)\p{Cf})*")
_UNSPACED = regex.compile(UNSPACED)
_FORMAT = regex.compile(r"\p{Cf}")
# What may be written or not in one and the same word: vowels and other points of Arabic and Hebrew, the stroke that
# lengthens a word, the dot of a small letter made of Turkish \u0130.
_OPTIONAL = re.compile(
    "[\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]|"
    "(?<=i)\u0307"
)
_ONE_LETTER = str.maketrans("أإآٱىی", "ااااي" + "ي")
_CHARACTER = re.compile(r"\S")


def tokens(text: str) -> list[str]:
    """The words by which texts are compared: lower case, in one normal form (NFKC), without signs.

    A text without any word (emoji, a line of Brainfuck) is compared by its characters, blanks apart.
    """
    if text.isascii():
        lowered = text.lower()
        return _ASCII_RUN.findall(lowered) or _CHARACTER.findall(lowered)
    lowered = unicodedata.normalize("NFC", text.casefold())
    lowered = _OPTIONAL.sub("", lowered).translate(_ONE_LETTER)
    words = [word for run in _RUN.findall(lowered) for word in segments(run)]
    # Normalised last: ICU's dictionaries do not know the compatibility forms of Thai and Lao.
    plain = [unicodedata.normalize("NFKC", _FORMAT.sub("", word)) for word in words]
    return plain or _CHARACTER.findall(_FORMAT.sub("", lowered))


def segments(run: str) -> list[str]:
    """A run of letters, marks and digits, cut into words; one word where its script puts spaces between words."""
    return list(WordBreaker(run, "root")) if has_unspaced(run) else [run]


def has_unspaced(text: str) -> bool:
    """Whether some of a text is in a script without spaces between words."""
    return not text.isascii() and _UNSPACED.search(text) is not None


def word_count(text: str) -> int:
    """Words of a text: parts between blanks, in scripts without spaces those of `tokens`."""
    return len(tokens(text)) if has_unspaced(text) else len(text.split())


def word_counts(texts: pl.Series) -> pl.Series:
    """`word_count` of each text, the many in one pass."""
    counts = texts.str.count_matches(r"\S+")
    unspaced = texts.str.contains(UNSPACED).fill_null(False)
    if not unspaced.any():
        return counts
    counted = pl.Series([len(tokens(text)) for text in texts.filter(unspaced)], dtype=counts.dtype)
    return counts.scatter(unspaced.arg_true(), counted)


def mostly_foreign(texts: pl.Series) -> pl.Series:
    """Whether most letters of each text are of another script than the Latin."""
    return 2 * texts.str.count_matches(r"[\p{L}&&[^\p{Latin}]]") > texts.str.count_matches(r"\p{L}")
