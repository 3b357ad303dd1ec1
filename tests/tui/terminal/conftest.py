"""A real store with a small, fixed inventory, and makers of domain values."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from inventory.model import (
    Account,
    Asked,
    Backend,
    Disagreement,
    Endpoint,
    Evidence,
    Exposed,
    GatewayStatus,
    Identified,
    InferenceRoute,
    Kind,
    Listener,
    Observation,
    Posture,
    Postured,
    Questioned,
    RouteSpec,
    Routing,
    Scan,
    ScanStatus,
    Scheme,
    Scope,
    Shadow,
    ShadowEvidence,
    Traffic,
)
from inventory.settings import Settings
from inventory.store import Store, open_store

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVIL = "\x1b[31mred\x1b[0m [bold]x[/bold] \x9b2J\u202egnp"


SPEC = RouteSpec(
    name="churn",
    hosts=("churn.localhost",),
    backends=(
        Backend(name="origin", url="http://127.0.0.2:5000", weight=80),
        Backend(name="managed", url="http://127.0.0.3:8000", weight=20),
    ),
    shadow=Shadow(backend="managed", percent=10),
)
EVIDENCE = ShadowEvidence(
    route="churn",
    primary="origin",
    shadow="managed",
    pairs=812,
    agreed=811,
    lost=2,
    lower_bound=0.99349,
    primary_p50=3.4,
    shadow_p50=2.9,
    updated_at=NOW,
    disagreements=(
        Disagreement(
            at=NOW, request_id="r1", path="$.label", primary='"churn"\x1b[2J', shadow='"stay"', why="texts differ"
        ),
    ),
)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def evil() -> str:
    """What a hostile host might put into a title: an escape, markup, a C1 control, a bidirectional override."""
    return EVIL


@pytest.fixture
def endpoint() -> Callable[..., Endpoint]:
    def make(number: int = 1, **fields: Any) -> Endpoint:
        given: dict[str, Any] = {
            "id": f"e{number:04}",
            "site": "default",
            "scope": "lab",
            "address": f"127.0.{number // 250}.{number % 250 + 1}",
            "port": 5000,
            "scheme": Scheme.HTTP,
            "url": f"http://127.0.{number // 250}.{number % 250 + 1}:5000",
            "first_seen": NOW - timedelta(days=3),
            "last_seen": NOW - timedelta(minutes=number % 50),
        }
        return Endpoint(**{**given, **fields})

    return make


@pytest.fixture
def spec() -> RouteSpec:
    return SPEC


@pytest.fixture
def evidence() -> ShadowEvidence:
    return EVIDENCE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database=f"sqlite:///{tmp_path / 'inventory.db'}", state_folder=tmp_path, actor="mara")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled database, made once: each test works on a copy of the file."""
    path = tmp_path_factory.mktemp("template") / "inventory.db"
    with open_store(f"sqlite:///{path}") as opened:
        _fill(opened)
    return path


@pytest.fixture
def store(template: Path, settings: Settings, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(template, tmp_path / "inventory.db")
    with open_store(settings.database, settings) as opened:
        yield opened


def _fill(bare_store: Store) -> None:
    """Eight endpoints of five kinds, a complete scan, and a route with traffic and shadow evidence."""
    scan = Scan(
        id="20261123-115000-abc", scope="lab", site="default", source="subnet", targets=("127.0.0.0/24",),
        ports=(5000, 8888), started_at=NOW - timedelta(minutes=10), ended_at=NOW - timedelta(minutes=9),
        status=ScanStatus.COMPLETE, account=Account(planned=512, answered=8, refused=490, silent=12, lost=2),
    )  # fmt: skip
    bare_store.scopes.save(Scope(name="lab", targets=("127.0.0.0/24",), created_at=NOW))
    bare_store.scans.save(scan)
    listeners = _observe(bare_store, scan)
    found = bare_store.endpoints.refold(listeners, NOW)
    flask = next(e for e in found if e.product == "flask")
    bare_store.routes.put(SPEC.model_copy(update={"endpoint": flask.id}), who="mara", why="adopt")
    bare_store.endpoints.set_routing(flask.id, Routing.SPLIT)
    bare_store.shadow.save(EVIDENCE)
    bare_store.shadow.save_traffic(
        [
            Traffic(route="churn", backend="origin", requests=8123),
            Traffic(route="churn", backend="managed", requests=2033, failures=3, shadowed=812),
        ]
    )
    bare_store.gateways.report(
        GatewayStatus(id="local", address="127.0.0.1:8780", healthy=True, heartbeat_at=NOW, revisions={"churn": 1})
    )


PRODUCTS: tuple[tuple[str | None, Kind | None, Posture, int], ...] = (
    ("flask", Kind.MODEL_ENDPOINT, Posture.OPEN, 5000),
    ("fastapi", Kind.MODEL_ENDPOINT, Posture.PROTECTED, 5000),
    ("jupyter-server", Kind.NOTEBOOK, Posture.OPEN, 8888),
    ("streamlit", Kind.ML_UI, Posture.UNKNOWN, 5000),
    ("nginx", Kind.ORDINARY_WEB, Posture.OPEN, 5000),
    ("flask-evil", Kind.MODEL_ENDPOINT, Posture.OPEN, 5000),
    ("mlflow", Kind.ML_PLATFORM, Posture.OPEN, 5000),
    (None, None, Posture.UNKNOWN, 5000),
)


def _observe(store: Store, scan: Scan) -> list[Listener]:
    listeners = []
    for i, (product, kind, posture, port) in enumerate(PRODUCTS):
        listener = Listener(site="default", address=f"127.0.0.{i + 2}", port=port)
        listeners.append(listener)
        facts: list[Any] = [(Exposed(scheme=Scheme.HTTP), ())]
        if kind is not None:
            routes = (InferenceRoute(method="POST", path="/predict"),) if kind is Kind.MODEL_ENDPOINT else ()
            signal = Evidence(signal=f"the Server header names {product}", weight=2.3, request="GET / -> 200")
            title = EVIL if product == "flask-evil" else f"{product} demo"
            identified = Identified(
                kind=kind, product=product, title=title, confidence=0.9, inference_routes=routes,
                is_model_endpoint=kind is Kind.MODEL_ENDPOINT,
            )  # fmt: skip
            facts += [
                (identified, (signal,)),
                (Postured(posture=posture, decided_by="GET / -> 200 without credentials"), ()),
                (Questioned(requests=(Asked(method="GET", path="/", status=200, bytes=12, milliseconds=2.0),)), ()),
            ]
        store.observations.append(
            Observation(
                scan=scan.id, scope="lab", listener=listener, at=NOW - timedelta(minutes=9), fact=fact, evidence=why
            )
            for fact, why in facts
        )
    return listeners
