import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.certificate import read_certificate


@pytest.fixture(scope="module")
def der(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30",
         "-keyout", folder / "k.pem", "-out", folder / "c.pem", "-subj", "/O=Lab/CN=a.example",
         "-addext", "subjectAltName=DNS:a.example,DNS:*.b.example,IP:192.0.2.7,IP:2001:db8::1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return ssl.PEM_cert_to_DER_cert((folder / "c.pem").read_text())


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
