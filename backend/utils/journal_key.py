"""The key that signs the ends of journals: 32 random bytes in a file that its owner alone can read.

Whoever cuts a journal off, or writes its chain anew, cannot sign the end without it. It shows
nothing against somebody who can read it: keep a copy of it, and of check-points, elsewhere.
"""

import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from models.errors import ConfigError
from utils.paths import state_folder

KEY_BYTES: Final = 32


def key_path() -> Path:
    """Return where the key stands: `journal.key` in OPTIONS_HOME."""
    return state_folder() / "journal.key"


def journal_key() -> bytes:
    """Return the key, made at the first call; it is there whole or not at all.

    Raises:
        ConfigError: It cannot be read or made, or others can read it.
    """
    path = key_path()
    if path.exists():
        return read_key(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    made = secrets.token_bytes(KEY_BYTES)
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(made)
            opened.flush()
            os.fsync(file)
        os.link(draft, path)
    except FileExistsError:  # another program was quicker: its key is the one
        return read_key(path)
    except OSError as error:
        raise ConfigError(f"the journals' key {path} cannot be made: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return made


def read_key(path: Path) -> bytes:
    """Return the key in a file.

    Raises:
        ConfigError: It cannot be read, is none, or others can read it.
    """
    try:
        mode = path.stat().st_mode
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the journals' key {path} cannot be read: {error.strerror}; name its file by --key, or "
            "check the chain alone by --chain-only"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"the journals' key {path} can be read by others: chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path} is no key of journals: it has {len(key)} bytes, not {KEY_BYTES}")
    return key


def signature_of(key: bytes, seq: int, digest: str) -> str:
    """Return what a holder of the key says of a journal's record: HMAC-SHA256, hexadecimal.

    Args:
        key: See `journal_key`.
        seq: Number of the record.
        digest: Its hash, which stands for all before it.
    """
    return hmac.digest(key, b"journal %d %s" % (seq, digest.encode()), "sha256").hex()
