"""X.509 certificates, read just far enough: names, issuer, end of validity. Pure, bounded, never raising.

Source: RFC 5280 (Internet X.509 Public Key Infrastructure Certificate Profile), ITU-T X.690 (DER).
"""

import hashlib
import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime

from inventory.model import Certificate
from scanner.exchange import clean

_SEQUENCE, _SET, _OID, _OCTETS, _BOOLEAN = 0x30, 0x31, 0x06, 0x04, 0x01
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME = bytes.fromhex("550403")
_ORGANISATION = bytes.fromhex("55040a")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_MOST_NAMES = 64


def read_certificate(der: bytes) -> Certificate:
    """What a certificate in DER says. Parts that cannot be read are left out; the digest is always there.

    ``key_digest`` is SHA-256 of the subject's public key information, or of the whole certificate
    where that cannot be found.
    """
    digest = hashlib.sha256(der).hexdigest()
    try:
        return _read(der)
    except (ValueError, IndexError, StopIteration):
        return Certificate(key_digest=digest)


def _read(der: bytes) -> Certificate:
    certificate = next(_items(der))[1]
    fields = list(_items(next(_items(certificate))[1]))
    if fields[0][0] == _VERSION:
        fields = fields[1:]
    issuer, validity, subject, key = fields[2][1], fields[3][1], fields[4][1], fields[5][2]
    common = _names_of(subject, _COMMON_NAME)
    extensions = next((value for tag, value, _ in fields[6:] if tag == _EXTENSIONS), b"")
    names = dict.fromkeys([*common, *_alternative_names(extensions)])
    end = list(_items(validity))[1]
    return Certificate(
        names=tuple(names)[:_MOST_NAMES],
        issuer=next(iter([*_names_of(issuer, _COMMON_NAME), *_names_of(issuer, _ORGANISATION)]), None),
        not_after=_moment(end[0], end[1]),
        key_digest=hashlib.sha256(key).hexdigest(),
    )


def _items(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, content and whole encoding of each element. ValueError where a length is wrong."""
    at = 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("an element's length is not definite")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        if start + length > len(data):
            raise ValueError("an element ends outside its parent")
        yield tag, data[start : start + length], data[at : start + length]
        at = start + length


def _names_of(name: bytes, wanted: bytes) -> Iterator[str]:
    for _, relative, _ in _items(name):
        for _, attribute, _ in _items(relative):
            parts = list(_items(attribute))
            if len(parts) == 2 and parts[0][1] == wanted:
                text = clean(parts[1][1].decode("utf-8", "replace"), 253)
                if text:
                    yield text


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for _, sequence, _ in _items(extensions):
        for _, extension, _ in _items(sequence):
            parts = list(_items(extension))
            if parts[0][1] != _ALTERNATIVE_NAMES:
                continue
            for _, names, _ in _items(parts[-1][1]):
                for tag, value, _ in _items(names):
                    if tag == _DNS_NAME:
                        yield clean(value.decode("ascii", "replace"), 253)
                    elif tag == _IP_ADDRESS and len(value) in {4, 16}:
                        yield str(ipaddress.ip_address(value))


def _moment(tag: int, text: bytes) -> datetime | None:
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(tag)
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC) if form else None
