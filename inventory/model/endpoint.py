"""Endpoints: what the observations of one served application fold into."""

from pydantic import Field

from inventory.model.base import Moment, Slug, Value
from inventory.model.cluster import Exposure, Membership
from inventory.model.observation import Asked, Confidence, Evidence, InferenceRoute, Port
from inventory.model.vocabulary import Governance, Kind, Posture, Presence, Routing, Scheme


class Reason(Value):
    """One addend of a risk score, in words. ``weight`` is in points of 100."""

    weight: int
    why: str


class Place(Value):
    """Where an application answers, or answered: a base path of a listener. ``id`` names the place alone."""

    id: str
    site: Slug
    address: str
    port: Port
    base_path: str = "/"
    url: str
    first_seen: Moment
    last_seen: Moment


class Endpoint(Value):
    """One served application, as far as it is known.

    ``kind`` is None while nothing but an open port is known. ``risk`` is 0 to 100, the sum of
    ``risk_reasons`` capped there. ``scope`` is the one whose scan saw it last. Address, port and URL are
    of the place where it was seen last; ``places`` are the others that are known to be the same
    application, the latest first. ``cluster`` is its place in a cluster, where one told of it;
    ``address`` is then that of its newest pod. ``tls_key``, ``tls_expires`` and ``schema_digest`` are of
    the certificate and the OpenAPI description that it showed last. ``sealed_at`` is when its direct paths were last
    shown to be shut while the gateway answered for it; None unless its routing is sealed.
    """

    id: str
    site: Slug
    scope: Slug
    address: str
    port: Port
    scheme: Scheme
    url: str
    base_path: str = "/"
    kind: Kind | None = None
    product: str | None = None
    version: str | None = None
    server: str | None = None
    title: str | None = None
    is_model_endpoint: bool = False
    confidence: Confidence = 0.0
    posture: Posture = Posture.UNKNOWN
    posture_evidence: str | None = None
    inference_routes: tuple[InferenceRoute, ...] = ()
    needs: tuple[str, ...] = ()
    certificate_names: tuple[str, ...] = ()
    tls_key: str | None = None
    tls_expires: Moment | None = None
    schema_digest: str | None = None
    catch_all: bool = False
    cluster: Membership | None = None
    places: tuple[Place, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    presence: Presence = Presence.UNKNOWN
    governance: Governance = Governance.UNREVIEWED
    exempt_until: Moment | None = None
    routing: Routing = Routing.DIRECT
    sealed_at: Moment | None = None
    risk: int = Field(default=0, ge=0, le=100)
    risk_reasons: tuple[Reason, ...] = ()
    owner: str | None = None
    first_seen: Moment
    last_seen: Moment
    evidence: tuple[Evidence, ...] = ()
    asked: tuple[Asked, ...] = ()


class Triage(Value):
    """What a person decided about an endpoint: kept apart from what scans saw."""

    endpoint: str
    governance: Governance = Governance.UNREVIEWED
    exempt_until: Moment | None = None
    owner: str | None = None


class Change(Value):
    """One action on what is governed: who, when, why, before and after. Never edited."""

    at: Moment
    who: str
    action: str
    subject: str
    why: str
    before: str | None = None
    after: str | None = None
