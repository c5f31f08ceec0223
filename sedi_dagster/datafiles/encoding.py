"""From bytes to text: compression and encodings."""

import codecs
import io
import lzma
import re

import pyarrow as pa

from sedi_dagster.errors import InputFileError

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
_XZ = b"\xfd7zXZ\x00"
# Longer marks first: UTF-32's begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ASCII = bytes(range(128))
_MIXED = 0.2
"""The maximum share of lines that are valid UTF-8 by chance in a text of another encoding."""
_SAMPLE_BYTES = 200_000
# What files are saved in besides Unicode; the first is taken where several fit equally well.
_LEGACY = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp874", "koi8_r",
    "gb18030", "big5", "cp932", "euc_jp", "cp949",
]  # fmt: skip


def decompressed(raw: bytes, most: int, name: str) -> bytes:
    """Decompress gzip, bzip2, xz, zstd or lz4, detected by content; return other bytes unchanged.

    Args:
        most: the maximum number of decompressed bytes.

    Raises:
        InputFileError: the bytes are damaged, or there are more than `most`.
    """
    kind = next((kind for mark, kind in _COMPRESSED.items() if raw.startswith(mark)), None)
    try:
        if raw.startswith(_XZ):
            with lzma.open(io.BytesIO(raw)) as whole:
                out = whole.read(most + 1)
        elif kind is None:
            return raw
        else:
            with pa.CompressedInputStream(pa.BufferReader(raw), kind) as stream:
                out = stream.read(most + 1)
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        raise InputFileError(f"{name} is compressed ({kind or 'xz'}) and damaged: {error}.", "Copy it again.") from None
    if len(out) > most:
        raise InputFileError(
            f"{name} has more than {most / 1e6:,.0f} MB when it is decompressed.", "Use a sample of its rows."
        )
    return bytes(out) if kind is None or bytes(out[:2]) != b"\x1f\x8b" else decompressed(bytes(out), most, name)


def decoded(raw: bytes, name: str) -> tuple[str, str]:
    """Return the text, and a remark on its encoding if it is not UTF-8 (else "").

    Checked in this order: a byte order mark, UTF-8, zero bytes (which indicate UTF-16), charset-normalizer.

    Raises:
        UnicodeDecodeError: the text is UTF-8 with invalid bytes.
        InputFileError: no encoding fits.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding), "" if encoding == "utf-8" else f"is read as {encoding}"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return _legacy(raw, name, error)
    zeros = raw[:_SAMPLE_BYTES:2].count(0), raw[1:_SAMPLE_BYTES:2].count(0)
    if 4 * max(zeros) > min(len(raw), _SAMPLE_BYTES):  # every other byte of a text in the Latin script
        encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        return raw.decode(encoding), f"is read as {encoding}"
    return text, ""


def _legacy(raw: bytes, name: str, error: UnicodeDecodeError) -> tuple[str, str]:
    lines = [line for line in raw.splitlines() if not line.isascii()]
    broken = len(re.findall(rb"[\x80-\xff]", _MULTIBYTE.sub(b"", raw)))
    whole = sum(not _MULTIBYTE.sub(b"", line).strip(_ASCII) for line in lines)
    if broken < len(_MULTIBYTE.findall(raw)) or whole > _MIXED * len(lines):
        raise error  # UTF-8 nearly everywhere, or in some of the lines
    from charset_normalizer import from_bytes  # its language models: only where they are needed

    sample = b"\n".join(lines)[:_SAMPLE_BYTES]
    best = from_bytes(sample, cp_isolation=_LEGACY, preemptive_behaviour=False).best()
    if best is None:
        raise InputFileError(f"{name} is not text in any known encoding.", "Save it as UTF-8.")
    encodings = {best.encoding, *best.could_be_from_charset}
    encoding = next((known for known in _LEGACY if known in encodings), best.encoding)
    text = raw.decode(encoding, errors="replace")
    found = re.search(r"\w*[^\x00-\x7f]\w*", text)
    example = f" ({found[0][:40]!r})" if found else ""
    return text, f"is not UTF-8 and is read as {encoding}{example}; save it as UTF-8 to be sure"
