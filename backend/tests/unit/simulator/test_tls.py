"""The local certificate authority: modes, names, renewal, concurrent first runs."""

from __future__ import annotations

import ipaddress
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from simulator.hosts import HOSTS
from simulator.tls import LEAF_LIFE, RENEW_BEFORE, trust

if TYPE_CHECKING:
    from pathlib import Path


def today() -> datetime:
    return datetime.now(UTC)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_private(tmp_path: Path) -> None:
    files = trust(today, tmp_path)
    assert files.leaf_key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ca_key.pem").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" not in files.bundle.read_bytes()


def test_the_leaf_names_the_hosts(tmp_path: Path) -> None:
    extension = certificate(trust(today, tmp_path).leaf).extensions.get_extension_for_oid(
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    )
    assert set(extension.value.get_values_for_type(x509.DNSName)) == set(HOSTS)
    assert extension.value.get_values_for_type(x509.IPAddress) == [
        ipaddress.IPv4Address("127.0.0.1")
    ]


def test_the_authority_is_good_for_these_names_alone(tmp_path: Path) -> None:
    constraints = certificate(trust(today, tmp_path).ca).extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert constraints.critical
    assert {name.value for name in constraints.value.permitted_subtrees} == {
        *HOSTS,
        ipaddress.IPv4Network("127.0.0.0/8"),
    }


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """Shake hands in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    while len(done) < 2:
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("host", [*HOSTS, "127.0.0.1"])
def test_a_client_with_the_bundle_trusts_the_server(tmp_path: Path, host: str) -> None:
    files = trust(today, tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.leaf, files.leaf_key)
    handshake(server, ssl.create_default_context(cafile=files.bundle), host)


def test_nobody_else_trusts_it_and_other_names_fail(tmp_path: Path) -> None:
    files = trust(today, tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.leaf, files.leaf_key)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, ssl.create_default_context(), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, ssl.create_default_context(cafile=files.bundle), "example.com")


def test_files_stay_until_the_leaf_nears_its_end(tmp_path: Path) -> None:
    first = trust(today, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trust(lambda: today() + LEAF_LIFE - RENEW_BEFORE - timedelta(days=1), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    later = today() + LEAF_LIFE - RENEW_BEFORE + timedelta(days=1)
    trust(lambda: later, tmp_path)
    assert first.leaf.read_bytes() != before["leaf.pem"]
    assert first.ca.read_bytes() == before["ca.pem"]
    assert certificate(first.leaf).not_valid_after_utc > later + LEAF_LIFE - timedelta(days=1)


def test_a_lost_key_makes_a_new_authority_with_a_matching_leaf(tmp_path: Path) -> None:
    files = trust(today, tmp_path)
    old = files.ca.read_bytes()
    (tmp_path / "ca_key.pem").unlink()
    trust(today, tmp_path)
    assert files.ca.read_bytes() != old
    certificate(files.leaf).verify_directly_issued_by(certificate(files.ca))
    assert files.ca.read_bytes() in files.bundle.read_bytes()


@pytest.mark.parametrize("name", ["ca.pem", "ca_key.pem", "leaf.pem", "leaf_key.pem"])
@pytest.mark.parametrize("damage", ["cut", "another"])
def test_a_damaged_or_foreign_file_is_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    files = trust(today, folder)
    (tmp_path / "other").mkdir()
    trust(today, tmp_path / "other")
    broken = folder / name
    other = (tmp_path / "other" / name).read_bytes()
    broken.write_bytes(other if damage == "another" else broken.read_bytes()[:80])
    trust(today, folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.leaf, files.leaf_key)
    handshake(server, ssl.create_default_context(cafile=files.bundle), "localhost")


def test_first_runs_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: trust(today, tmp_path), range(8)))
    assert len(set(made)) == 1
    certificate(made[0].leaf).verify_directly_issued_by(certificate(made[0].ca))
