"""Sealed JSON records: each contains a hash of its own path and content.

A seal detects accidental changes and swapped files. It does not detect forgery, because anyone can compute it; the
chain of manifests (`lineage.manifest`) does.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "sha256"


def sealed(record: Mapping[str, Any], *parts: str) -> dict[str, Any]:
    """Return the record with its seal, for the file at this path under the data folder."""
    bare = {name: value for name, value in record.items() if name != SEAL}
    text = json.dumps(["/".join(parts), bare], ensure_ascii=False, sort_keys=True)
    return bare | {SEAL: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()}


def is_sealed(content: bytes, *parts: str) -> bool:
    """Return whether a file is a record with a correct seal, byte for byte as `Store.write_sealed` writes it."""
    try:
        record = json.loads(content)
        return bool(content == json_text(sealed(record, *parts)).encode())
    except (ValueError, AttributeError, RecursionError):
        return False


def json_text(value: Any) -> str:
    """Return a value in the format of JSON records."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
