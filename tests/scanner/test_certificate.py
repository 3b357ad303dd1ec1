import ssl
from datetime import UTC, datetime

import pytest
from certificates import self_signed
from hypothesis import given
from hypothesis import strategies as st

from scanner.certificate import read_certificate


@pytest.fixture(scope="module")
def der(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    names = ("a.example", "*.b.example", "192.0.2.7", "2001:db8::1")
    folder = self_signed(tmp_path_factory.mktemp("certificate"), "a.example", names, days=30)
    return ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())


def test_names_issuer_and_end_are_read(der: bytes) -> None:
    certificate = read_certificate(der)
    assert certificate.names == ("a.example", "*.b.example", "192.0.2.7", "2001:db8::1")
    assert certificate.issuer == "a.example"
    assert certificate.not_after is not None
    assert 28 <= (certificate.not_after - datetime.now(UTC)).days <= 30
    assert len(certificate.key_digest) == 64


@given(st.data())
def test_a_damaged_certificate_is_still_a_certificate(der: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(der) - 1))
    damaged = der[:at] + bytes([data.draw(st.integers(0, 255))]) + der[at + 1 :]
    assert len(read_certificate(damaged).key_digest) == 64
    assert len(read_certificate(der[:at]).key_digest) == 64


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(blob: bytes) -> None:
    assert len(read_certificate(blob).key_digest) == 64
