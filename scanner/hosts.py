"""Virtual hosts: by which other names a listener should be asked, and what an answer by name changes. Pure.

A certificate and a redirect name hosts. They are only names to say (in SNI, RFC 6066, and in Host, RFC 9110) to the
very address and port that told them; nothing is looked up and nothing else is connected to.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from inventory.model import Evidence, Identified, Kind
from scanner.exchange import Answer
from scanner.findings import Finding

MOST_NAMES = 2
"""Names by which one listener is asked besides its address."""

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def names_told(certificate: Iterable[str], answers: Iterable[Answer]) -> tuple[str, ...]:
    """Names that redirects lead to, then those of the certificate; without wildcards, addresses and localhost."""
    told = [_redirected(answer) for answer in answers]
    names = (name.lower().rstrip(".") for name in (*told, *certificate))
    return tuple(dict.fromkeys(name for name in names if _is_host(name)))[:MOST_NAMES]


def _redirected(answer: Answer) -> str:
    if answer.status not in {301, 302, 303, 307, 308}:
        return ""
    try:
        target = urlsplit(answer.header("location")[:1024])
        return "" if target.netloc.lower() in answer.host_names else (target.hostname or "")
    except ValueError:
        return ""


def _is_host(name: str) -> bool:
    if not _NAME.fullmatch(name) or name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return not name.rpartition(".")[2].isdigit()
    return False


def tells_more(findings: Iterable[Finding]) -> bool:
    """Whether something else than an ordinary web server is among the findings."""
    return any(isinstance(f.fact, Identified) and f.fact.kind is not Kind.ORDINARY_WEB for f in findings)


def merged(by_address: tuple[Finding, ...], by_name: tuple[Finding, ...], name: str) -> tuple[Finding, ...]:
    """The findings by address, where those by name tell more replaced base path by base path.

    The findings by name say in their evidence under which name they hold.
    """
    if not tells_more(by_name):
        return by_address
    said = Evidence(signal=f"answered to the name {name}, which this listener told", source="host")
    paths = {finding.base_path for finding in by_name}
    named = tuple(finding.model_copy(update={"evidence": (said, *finding.evidence)}) for finding in by_name)
    return (*(finding for finding in by_address if finding.base_path not in paths), *named)
