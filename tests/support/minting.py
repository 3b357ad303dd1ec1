"""An issuer of tokens for tests: real keys, and tokens that are as good or as forged as a test wants them."""

import base64
import json
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from router.governance import Trusted

AUDIENCE = "gnomon"


class Mint:
    """One issuer and its keys."""

    def __init__(self, url: str, *, own: bool = False, kind: str = "EC") -> None:
        self.url = url
        self.own = own
        self.kind = kind
        self.key = self._new("one")
        self.published = [self.key]

    def _new(self, kid: str) -> Any:
        parameters = {"kid": kid, "use": "sig", "alg": "ES256" if self.kind == "EC" else "RS256"}
        if self.kind == "EC":
            return ECKey.generate_key("P-256", parameters, auto_kid=False)
        return RSAKey.generate_key(2048, parameters, auto_kid=False)

    def rotate(self, kid: str) -> None:
        self.key = self._new(kid)
        self.published.append(self.key)

    def trusted(self, **more: Any) -> Trusted:
        keys = json.dumps(KeySet(self.published).as_dict(private=False))
        return Trusted(name="lab", issuer=self.url, audiences=(AUDIENCE,), keys=keys, own=self.own, **more)

    def claims(self, subject: str, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        base = {"iss": self.url, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 600}
        return {name: value for name, value in {**base, **more}.items() if value is not None}

    def token(self, subject: str, *, key: Any = None, header: dict[str, Any] | None = None, **more: Any) -> str:
        signer = key or self.key
        algorithm = "ES256" if self.kind == "EC" else "RS256"
        head = {"alg": algorithm, "kid": signer.kid, **(header or {})}
        return jwt.encode(head, self.claims(subject, **more), signer, algorithms=[head["alg"]])

    def ours(self, principal: str, routes: list[str], **more: Any) -> str:
        """A token as gnomon's own service makes them."""
        issuer, _, subject = principal.partition("|")
        return self.token(principal, **{"routes": routes, "orig_iss": issuer, "orig_sub": subject, **more})


def parts(*documents: Any, signature: str = "") -> str:
    """A token put together by hand."""
    return ".".join([*(encoded(json.dumps(one).encode()) for one in documents), signature])


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
