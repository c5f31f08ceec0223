"""Data at a URL: opening object stores with fsspec and Lance, and interpreting their errors.

Credentials, region and endpoint come from the provider's own variables and files (`AWS_*`, `GOOGLE_*`, `AZURE_*`). They
are not settings of this project.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from upath import UPath

from sedi_dagster.errors import StorageError, StorageUnavailable

_FOLDER_FIX = "Set SEDI_DATA (or --data) to a folder."
_S3 = {
    # Botocore's pauses between 6 attempts add up to 16 s on average; then the store counts as unavailable.
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"mode": "standard", "max_attempts": 6}}
}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE, or the role of the machine)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS (or the service account of the machine)",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or the identity of the machine)",
}
_KINDS = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
_URLS = "a URL such as s3://bucket/folder, gs://bucket/folder or az://container/folder"
_PROVIDERS = ("botocore", "aiobotocore", "aiohttp", "google", "gcsfs", "azure", "adlfs", "asyncio")
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "ClientAuthenticationError",
)
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_PASSING = (errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO), errno.ECONNREFUSED, errno.ETIMEDOUT, errno.ECONNRESET)
_PASSING_NAMES = ("Timeout", "Connection", "ServerDisconnected", "ServiceRequestError", "ServiceUnavailable")


def is_local(path: UPath) -> bool:
    """Return whether the path is on a local file system."""
    return path.protocol in ("", "file", "local")


def open_root(root: str) -> UPath:
    """Open the root of a data folder. Listings are not cached, because other processes write there too.

    Raises:
        StorageError: there is no file system for that kind of URL, or its package is not installed; the root is a file,
            or names no bucket.
    """
    protocol = root.partition("://")[0] if "://" in root else ""
    try:
        if protocol in ("", "file", "local", "memory"):
            path = UPath(root)
        else:
            options: dict[str, Any] = {"use_listings_cache": False, **(_S3 if _kind(protocol) == "s3" else {})}
            path = UPath(root, **options)
            path.fs.retries = 2  # botocore has retried already
        _ = path.fs
        is_file = is_local(path) and path.exists() and not path.is_dir()
    except OSError as error:
        raise StorageError(f"The data folder {root} cannot be used: {error.strerror}.", _FOLDER_FIX) from None
    except (ValueError, ImportError) as error:
        extra = {"s3": "s3", "gs": "gcs", "az": "azure"}.get(_kind(protocol))
        fix = f"Run `pip install 'sedi-dagster[{extra}]'`." if extra else f"Set SEDI_DATA to a folder, or to {_URLS}."
        raise StorageError(f"The data folder {root} cannot be opened: {error}.", fix) from None
    if is_file:
        raise StorageError(f"The data folder {root} is a file.", _FOLDER_FIX)
    if protocol and not is_local(path) and not path.fs._strip_protocol(path.path).strip("/"):
        raise StorageError(f"SEDI_DATA={root} names no bucket.", f"Write it as {protocol}://bucket/folder.")
    return path


def lance_database(uri: str) -> Any:
    """Open the Lance database in a folder or at a URL, with the same variables as other data."""
    import lancedb

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not uri.startswith("s3://") or not endpoint:
        return lancedb.connect(uri)
    return lancedb.connect(uri, storage_options={"aws_endpoint": endpoint, "allow_http": "true"})


def lance_table(database: Any, name: str) -> Any:
    """Open a table; None if there is none, or if creating it was interrupted: a folder without a version."""
    try:
        return database.open_table(name)
    except ValueError as error:
        if "was not found" in str(error):
            return None
        raise


def bucket(root: UPath) -> str:
    """Return the name of the bucket (or container) that contains a root."""
    return str(root.fs._strip_protocol(root.path)).strip("/").partition("/")[0]


def check_bucket(root: UPath) -> None:
    """Raise `StorageError` if the bucket does not exist; buckets are never created."""
    if root.protocol == "memory":
        return
    with as_storage_error(root):
        try:
            root.fs.info(bucket(root))
        except FileNotFoundError:
            raise _no_bucket(root) from None


@contextmanager
def as_storage_error(root: UPath) -> Iterator[None]:
    """Turn the errors of an object store into `StorageError`; for a missing file, `FileNotFoundError` remains.

    Raises:
        StorageUnavailable: the store cannot be reached or is busy.
        StorageError: any other error of the store.
    """
    if is_local(root):
        yield
        return
    try:
        yield
    except Exception as error:
        is_of_store = isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _PROVIDERS
        is_of_file = isinstance(error, FileNotFoundError | FileExistsError | IsADirectoryError)
        if not is_of_store or (is_of_file and _code(error) != "NoSuchBucket"):
            raise
        raise _storage_error(root, error) from None


def is_taken(error: OSError) -> bool:
    """Return whether an object could not be created because it exists."""
    return isinstance(error, FileExistsError) or _code(error) in ("PreconditionFailed", "412")


def is_conflict(error: OSError) -> bool:
    """Return whether an object could not be created because another process is creating it right now."""
    return _code(error) in ("ConditionalRequestConflict", "409")


def _storage_error(root: UPath, error: Exception) -> StorageError:
    code, names = _code(error), [kind.__name__ for kind in type(error).__mro__]
    kind = _kind(str(root.protocol))
    message = " ".join(str(error).split())[:300]
    if code == "NoSuchBucket":
        return _no_bucket(root)
    if code in _WRONG_REGION:
        return StorageError(
            f"{root} is in another region than requested ({message}).", "Set AWS_DEFAULT_REGION to the bucket's region."
        )
    if isinstance(error, PermissionError) or any(name in _NO_CREDENTIALS for name in names):
        return StorageError(
            f"{root} cannot be used with the current credentials ({message}).",
            f"Set {_CREDENTIALS.get(kind, 'the credentials of the provider')}, with permission to list, read, write "
            "and delete below it.",
        )
    if (isinstance(error, OSError) and error.errno in _PASSING) or any(p in n for n in names for p in _PASSING_NAMES):
        return StorageUnavailable(
            f"{root} cannot be reached for now ({message}).",
            "It will be tried again. If this lasts, check the network and "
            + ("AWS_ENDPOINT_URL (for a store that is not AWS's)." if kind == "s3" else "the store's own status."),
        )
    return StorageError(f"{root} cannot be used ({message}).", "Check bucket, credentials and the store's own log.")


def _no_bucket(root: UPath) -> StorageError:
    return StorageError(
        f"There is no bucket {bucket(root)!r} (SEDI_DATA={root}).",
        "Correct the name, or create the bucket: it is not created automatically.",
    )


def _code(error: BaseException) -> str:
    """Return the provider's own code of an error, also where fsspec raised another error from it."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _kind(protocol: str) -> str:
    return _KINDS.get(protocol, protocol)
