"""Sealed JSON records: each contains a hash of its own path and content.

A seal detects accidents and swapped files, not forgery, since anyone can compute it. The chain of manifests
(`lineage.manifest`) protects against that.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "sha256"


def sealed(record: Mapping[str, Any], *parts: str) -> dict[str, Any]:
    """The record with its seal, for the file at this path under the data folder."""
    bare = {name: value for name, value in record.items() if name != SEAL}
    text = json.dumps(["/".join(parts), bare], ensure_ascii=False, sort_keys=True)
    return bare | {SEAL: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()}


def is_sealed(content: bytes, *parts: str) -> bool:
    """Whether a file has, byte for byte, the content that `Store.write_json` gives it with a right seal."""
    try:
        record = json.loads(content)
        return bool(content == json_text(sealed(record, *parts)).encode())
    except (ValueError, AttributeError, RecursionError):
        return False


def json_text(value: Any) -> str:
    """A value as JSON records are written."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
