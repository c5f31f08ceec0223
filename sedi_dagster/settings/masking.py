"""Secrets in settings: normalizing API keys, and masking secrets in values that are shown."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

_BLANKS = "\\s\"'`\u200b\u2060\ufeff"
_AROUND = re.compile(f"^[{_BLANKS}<]+|(?:[{_BLANKS}>,;]|\\\\[nr])+$")
_LABEL = re.compile(
    r"(?i)^(?:(?:export\s+)?(?-i:[A-Z_]*(?:KEY|TOKEN))=|(?:authorization|(?:x-)?api-key)\s*:\s*)?[\"']*(?:bearer\s+)*"
)


def as_meant(text: str) -> str:
    """Remove whitespace, quotes, brackets and commas that were copied along with a value."""
    return _AROUND.sub("", text)


def _stripped(key: Any) -> Any:
    """Remove from a key whatever was copied along with it: whitespace, quotes, a label such as `Bearer`."""
    text = key.get_secret_value() if isinstance(key, SecretStr) else key
    if not isinstance(text, str):
        return text
    return _LABEL.sub("", as_meant(text)).strip()


def _sendable(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise PydanticCustomError("key", "It contains a space, a line break or a non-ASCII character; copy it again")
    if re.fullmatch(r"\$\{?[A-Za-z_]\w*\}?", text):
        raise PydanticCustomError("key", "It is the name of another variable; set it to the key itself")
    return key


ApiKey = Annotated[SecretStr, BeforeValidator(_stripped), AfterValidator(_sendable)]


_PASSWORD_IN_URL = re.compile(r"(://[^/@\s:]*):[^/\s]*@|([?&][^=&\s]*(?:password|secret|token|key)=)[^&\s]*", re.I)


def masked(value: Any) -> Any:
    """Mask the passwords of URLs in a value."""
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return _PASSWORD_IN_URL.sub(lambda m: f"{m[1]}:***@" if m[1] else f"{m[2]}***", value)
    return value


_SECRET_NAME = re.compile(r"key$|token$|secret|passw|authori[sz]ation|credential|cookie|bearer", re.I)
_SECRET_VALUE = re.compile(r"^(?:sk-|Bearer |Basic |eyJ|AIza|ghp_|hf_|xox)", re.I)


def without_secrets(value: Any, name: str = "") -> Any:
    """Mask texts in a JSON value that may be secrets, by their names or their form."""
    if isinstance(value, dict):
        return {key: without_secrets(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, name) for inner in value]
    is_secret = isinstance(value, str) and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
    return "***" if is_secret else value


def secrets_in(value: Any, name: str = "") -> list[str]:
    """Return the texts in a JSON value that may be secrets."""
    if isinstance(value, dict):
        return [secret for key, inner in value.items() for secret in secrets_in(inner, key)]
    if isinstance(value, list):
        return [secret for inner in value for secret in secrets_in(inner, name)]
    return [value] if isinstance(value, str) and without_secrets(value, name) != value else []
