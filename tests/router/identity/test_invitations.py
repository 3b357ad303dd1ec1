"""Tokens to join, and the certificates that follow."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from router.identity import certificates, invitations

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAY = timedelta(days=1)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_a_token_says_what_it_was_made_of(secret: bytes, fingerprint: bytes) -> None:
    token = invitations.Token(secret, fingerprint)
    text = invitations.text_of(token)
    assert invitations.read(f" {text}\n") == token
    assert invitations.digest(secret) not in text


@given(st.text(max_size=100))
def test_anything_else_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="a token to join begins with"):
        invitations.read(text)


def test_two_tokens_differ() -> None:
    assert invitations.fresh(b"f" * 32).secret != invitations.fresh(b"f" * 32).secret


def test_a_gateways_certificate_names_it_and_ends() -> None:
    signer = certificates.authority(NOW)
    asked = certificates.request("whatever")
    signed = certificates.sign_gateway(signer, asked.certificate, "paris", "e1", NOW, DAY)
    assert certificates.named(signed) == ("paris", "e1", NOW + DAY)
    issuer = x509.load_pem_x509_certificate(signer.certificate)
    x509.load_pem_x509_certificate(signed).verify_directly_issued_by(issuer)
    assert certificates.begins_and_ends(signed) == (NOW, NOW + DAY)


def test_the_control_planes_certificate_is_no_gateways() -> None:
    signer = certificates.authority(NOW)
    with pytest.raises(ValueError, match="no gateway's"):
        certificates.named(certificates.control(signer, NOW, DAY).certificate)
    with pytest.raises(ValueError, match="no gateway's"):
        certificates.named(signer.certificate)


@pytest.mark.parametrize(
    "asked", [b"", b"nonsense", certificates.authority(NOW).certificate], ids=["empty", "nonsense", "certificate"]
)
def test_what_is_no_request_is_not_signed(asked: bytes) -> None:
    with pytest.raises(ValueError, match="no request for a certificate"):
        certificates.sign_gateway(certificates.authority(NOW), asked, "paris", "e1", NOW, DAY)
