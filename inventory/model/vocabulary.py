"""The words of the domain, each with one meaning. Values are what listings print."""

from enum import StrEnum


class Kind(StrEnum):
    """What an endpoint is."""

    MODEL_ENDPOINT = "model-endpoint"
    NOTEBOOK = "notebook"
    ML_UI = "ml-ui"
    ML_PLATFORM = "ml-platform"
    ORDINARY_WEB = "ordinary-web"
    NOT_HTTP = "not-http"

    @property
    def is_ml(self) -> bool:
        """Whether the kind belongs to machine learning, and so to this inventory's purpose."""
        return self not in {Kind.ORDINARY_WEB, Kind.NOT_HTTP}


class Posture(StrEnum):
    """Whether a stranger may use an endpoint. Unknown is an answer, never a synonym of safe."""

    OPEN = "open"
    PROTECTED = "protected"
    UNKNOWN = "unknown"


class Presence(StrEnum):
    """Whether an endpoint is there, as far as completed scans can tell."""

    SEEN = "seen"
    STALE = "stale"
    GONE = "gone"
    UNKNOWN = "unknown"


class Governance(StrEnum):
    """What people decided about an endpoint."""

    UNREVIEWED = "unreviewed"
    MANAGED = "managed"
    EXEMPT = "exempt"
    BLOCKED = "blocked"
    RETIRED = "retired"


class Routing(StrEnum):
    """How an endpoint's callers reach it, as the gateway reports it."""

    DIRECT = "direct"
    FRONTED = "fronted"
    SHADOWED = "shadowed"
    SPLIT = "split"
    ENFORCED = "enforced"
    SEALED = "sealed"


class Scheme(StrEnum):
    """What a listener speaks. ``tls`` and ``tcp`` are listeners that answered no HTTP."""

    HTTP = "http"
    HTTPS = "https"
    GRPC = "grpc"
    TLS = "tls"
    TCP = "tcp"


class ScanStatus(StrEnum):
    """How a scan stands. Only a complete scan may be read as evidence of absence."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
