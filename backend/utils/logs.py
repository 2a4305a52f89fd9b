"""Logs for people (console) and for machines (JSON lines), with secrets blotted out.

Redaction works on the finished line, so that it also covers tracebacks, arguments and extras.
"""

import logging
import re
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

BLOT = "[secret]"
"""What stands where a secret stood."""

_NAMES = (
    r"access_?token|refresh_?token|id_?token|client_?secret|app_?secret|api_?key|apikey|"
    r"app_?key|client_?id|password|passwd|secret|token|authorization|x-api-key|"
    r"schwabclientcustomerid"
)
_QUOTE = r"\\*+[\"']?+"
"""A quote or none, escaped or not; what it has taken it does not give back."""

# Each pattern begins where a word begins: tried at every letter, a long text would take minutes.
_PATTERNS = (
    # `Authorization: Bearer abc`, {"authorization": "Basic abc"}, and a bare `Bearer abc`.
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=@%-]{6,}"),
    # name=value and "name": "value", quoted or not; the value ends at a separator.
    re.compile(
        rf"(?i)(?<![\w-])([\w-]*?(?:{_NAMES}){_QUOTE}\s*[=:]\s*"
        rf"(?:{_QUOTE}(?:bearer|basic)\s+)?{_QUOTE})"
        r"(?!\[secret\]|(?:bearer|basic)\s)[^\s\"'&,;)}\]]+"
    ),
    # The code of an OAuth redirect: ?code=...&session=...
    re.compile(r"(?i)([?&](?:code|session)=)[^\s\"'&]+"),
    # postgresql://user:password@host
    re.compile(r"((?<![\w+.-])\w[\w+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)"),
    # JSON Web Tokens, Schwab's access tokens, Supabase's new keys.
    re.compile(r"()(?<![\w-])eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"()\bI0\.[\w.~+/=-]{12,}@?"),
    re.compile(r"()\bsb_secret_\w+"),
)
_CHATTY = ("httpx", "httpx2", "httpcore", "httpcore2", "websockets")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str, known: Collection[str] = ()) -> str:
    """Return `text` with every secret replaced by `[secret]`.

    Args:
        text: Anything that a log or an error may show.
        known: Secrets of this process, blotted out wherever they stand, whatever surrounds them.
    """
    for secret in known:
        if secret:
            text = text.replace(secret, BLOT)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{BLOT}", text)
    return text


class ConsoleFormatter(logging.Formatter):
    """One line for a person: time in UTC, level, logger, message."""

    def __init__(self, known: Collection[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        self._known = known

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the record's time in UTC."""
        return f"{datetime.fromtimestamp(record.created, UTC):{datefmt or '%H:%M:%S'}}"

    def format(self, record: logging.LogRecord) -> str:
        """Return the finished line, without secrets."""
        return redact(super().format(record), self._known)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, extras, and trace for an exception."""

    def __init__(self, known: Collection[str] = ()) -> None:
        super().__init__()
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        """Return the finished line, without secrets."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage(), self._known),
        }
        line |= {
            name: redact(f"{name}={value}", self._known).partition("=")[2]
            for name, value in vars(record).items()
            if name not in _STANDARD
        }
        if record.exc_info:
            line["trace"] = redact(self.formatException(record.exc_info), self._known)
        return msgspec.json.encode(line).decode()


def configure(
    *,
    level: int | str = logging.WARNING,
    json: bool = False,
    stream: TextIO | None = None,
    known: Collection[str] = (),
) -> None:
    """Send the logs of this process to one stream, redacted; calling it again replaces the last.

    HTTP libraries write whole URLs at INFO, so theirs stay at WARNING whatever `level` says.

    Args:
        level: Least level to show.
        json: JSON lines instead of lines for a person.
        stream: Where to write; standard error when not given.
        known: Secrets of this process.
    """
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonFormatter(known) if json else ConsoleFormatter(known))
    logging.basicConfig(level=level, handlers=[output], force=True)
    quiet_http()


def quiet_http() -> None:
    """Keep the HTTP and WebSocket libraries from logging URLs and messages, whoever configures logs."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
