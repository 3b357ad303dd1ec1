"""The authority of the fleet: its certificate, and those it signs. Pure but for keys, which are random.

A gateway's certificate names it and its enrolment (``urn:gnomon:gateway:NAME:ENROLMENT``); the control plane's says
``control.gnomon``. Neither passes for the other: what each may be used for is part of it.
Sources: RFC 5280; NIST SP 800-57 for P-256.
"""

import hashlib
import ssl
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONTROL: Final = "control.gnomon"
"""The name in the control plane's certificate, whatever its address."""

_URN: Final = "urn:gnomon:gateway:"
_AUTHORITY_LIFE: Final = timedelta(days=3650)
_CLOCKS: Final = timedelta(minutes=5)
"""How far apart two machines' clocks may be."""


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Named(NamedTuple):
    """Who a gateway's certificate is of, and when it ends."""

    gateway: str
    enrolment: str
    ends_at: datetime


def authority(now: datetime) -> Pair:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("gnomon fleet")
    builder = _builder(name, name, key.public_key(), now, now + _AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return Pair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def control(signer: Pair, now: datetime, life: timedelta) -> Pair:
    """A new certificate and key of the control plane."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(CONTROL)])
    signed = _sign(signer, CONTROL, key.public_key(), names, ExtendedKeyUsageOID.SERVER_AUTH, now, now + life)
    return Pair(signed, _key_pem(key))


def request(gateway: str) -> Pair:
    """A new key, and a request to sign a certificate for it, which proves that the key is had."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(_name(gateway)).sign(key, hashes.SHA256())
    return Pair(made.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def sign_gateway(signer: Pair, asked: bytes, gateway: str, enrolment: str, now: datetime, life: timedelta) -> bytes:
    """The certificate of a gateway, for the key of its request. Only the key is taken from that. ValueError."""
    wrong = "what was sent is no request for a certificate"
    try:
        read = x509.load_pem_x509_csr(asked)
        key, proved = read.public_key(), read.is_signature_valid
    except (ValueError, InvalidSignature) as error:
        raise ValueError(wrong) from error
    if not proved or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError(wrong)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{_URN}{gateway}:{enrolment}")])
    return _sign(signer, gateway, key, names, ExtendedKeyUsageOID.CLIENT_AUTH, now, now + life)


def named(certificate: bytes) -> Named:
    """Who a gateway's certificate, whose signature was verified, is of. ValueError where it is of none."""
    read = x509.load_pem_x509_certificate(certificate)
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uses = read.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise ValueError("the certificate is no gateway's") from error
    found = [one for one in names.get_values_for_type(x509.UniformResourceIdentifier) if one.startswith(_URN)]
    gateway, colon, enrolment = found[0].removeprefix(_URN).partition(":") if found else ("", "", "")
    if not colon or ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
        raise ValueError("the certificate is no gateway's")
    return Named(gateway, enrolment, read.not_valid_after_utc)


def begins_and_ends(certificate: bytes) -> tuple[datetime, datetime]:
    """When a certificate is good. ValueError for none."""
    read = x509.load_pem_x509_certificate(certificate)
    return read.not_valid_before_utc + _CLOCKS, read.not_valid_after_utc


def fingerprint(certificate: bytes) -> bytes:
    """The SHA-256 of a certificate in DER."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode("ascii"))).digest()


def _sign(
    signer: Pair,
    name: str,
    key: ec.EllipticCurvePublicKey,
    names: x509.SubjectAlternativeName,
    use: x509.ObjectIdentifier,
    now: datetime,
    until: datetime,
) -> bytes:
    issuer = x509.load_pem_x509_certificate(signer.certificate)
    private = serialization.load_pem_private_key(signer.key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    builder = _builder(_name(name), issuer.subject, key, now, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    builder = builder.add_extension(names, critical=False)
    return _pem(builder.sign(private, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(until)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
