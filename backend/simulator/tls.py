"""The simulator's own certificate authority, for programs that insist on the real hosts' names.

Made at first run in the state folder, keys with mode 0600. The authority is constrained to the few
names below, so that even a stolen key is good for nothing else.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulator.hosts import HOSTS
from utils.paths import state_folder

if TYPE_CHECKING:
    from utils.clock import Clock

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=14)
_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Trust:
    """Files of a ready authority.

    Attributes:
        ca: Certificate of the authority.
        leaf: Certificate of the server.
        leaf_key: Private key of the server.
        bundle: The usual roots and our authority, for `SSL_CERT_FILE` and its like.
    """

    ca: Path
    leaf: Path
    leaf_key: Path
    bundle: Path


def trust(wall: Clock, folder: Path | None = None) -> Trust:
    """Make the authority and the server's certificate, or what of them is missing or near its end.

    Several processes may do so at once.

    Args:
        wall: Tells the day.
        folder: Where they are kept; None for the state folder.

    Raises:
        OSError: The folder cannot be written.
    """
    folder = folder or state_folder("simulator")
    files = Trust(
        folder / "ca.pem", folder / "leaf.pem", folder / "leaf_key.pem", folder / "ca_bundle.pem"
    )
    ca_key = folder / "ca_key.pem"
    now = wall()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_good(files.ca, ca_key, files.ca, now):
            _make_authority(files.ca, ca_key, now)
        if not _is_good(files.leaf, files.leaf_key, files.ca, now):
            _make_leaf(files, ca_key, now)
        _write(files.bundle, _usual_roots() + files.ca.read_bytes(), 0o644)
    return files


def _is_good(certificate: Path, key_file: Path, authority: Path, now: datetime) -> bool:
    """Tell whether a certificate is the authority's, belongs to its key and is good for a while."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.read_bytes()))
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, InvalidSignature, TypeError, UnsupportedAlgorithm, ValueError):
        return False  # missing, half written or of another authority
    lasts = found.not_valid_after_utc - now > RENEW_BEFORE
    return lasts and found.public_key() == key.public_key() and set(HOSTS) <= _names_of(found)


def _names_of(certificate: x509.Certificate) -> set[str]:
    """Return the hosts that a certificate is for: an older version knew fewer."""
    names: set[str] = set()
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            names |= set(value.get_values_for_type(x509.DNSName))
        elif isinstance(value, x509.NameConstraints):
            permitted = value.permitted_subtrees or []
            names |= {name.value for name in permitted if isinstance(name, x509.DNSName)}
    return names


def _make_authority(certificate: Path, key_file: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Options simulator, local authority")
    permitted: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
    permitted.append(x509.IPAddress(ipaddress.IPv4Network("127.0.0.0/8")))
    signed = (
        _started(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_file, _pem(key), 0o600)
    _write(certificate, signed.public_bytes(Encoding.PEM), 0o644)


def _make_leaf(files: Trust, ca_key: Path, now: datetime) -> None:
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    authority_key = load_pem_private_key(ca_key.read_bytes(), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise OSError(f"{ca_key} is not a key of ours: remove the folder {ca_key.parent}")
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
    names.append(x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")))
    signed = (
        _started(_name("Options simulator"), authority.subject, key.public_key(), now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write(files.leaf_key, _pem(key), 0o600)
    _write(files.leaf, signed.public_bytes(Encoding.PEM), 0o644)


def _started(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _usual_roots() -> bytes:
    """Return the roots that programs trust without us: the machine's, and those of certifi."""
    roots = []
    machine = ssl.get_default_verify_paths().cafile
    if machine:
        roots.append(Path(machine).read_bytes())
    if find_spec("certifi"):
        roots.append(resources.files("certifi").joinpath("cacert.pem").read_bytes())
    return b"\n".join(roots) + b"\n"


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step; readers see the old or the new one."""
    if path.exists() and path.read_bytes() == content:
        return
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
