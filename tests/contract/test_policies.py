"""Every policy engine, held to the same cases: Cedar, Rego in this process, and a policy server over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from inventory.model import Attribute, Decision, PolicySet, utc_now
from router.policy import PolicyEngine, Question
from router.policy.engines import PolicyError, load

CEDAR = """
@id("own-team")
permit(principal, action, resource) when { principal has team && resource has team && principal.team == resource.team };

@id("admins")
permit(principal in Group::"admins", action, resource);

@id("ana-anywhere")
permit(principal == Principal::"https://idp|ana", action, resource);

@id("no-secrets")
forbid(principal, action, resource) when { resource has data_class && resource.data_class == "secret" }
unless { principal has roles && principal.roles.contains("cleared") };

@id("small-at-night")
permit(principal, action, resource == Route::"night")
when { context has size && context.size <= 1000 && context.hour < 6 };
"""

REGO = """
package gnomon

import rego.v1

default allow := false

allow if {
    count(permits) > 0
    count(forbids) == 0
}

permits contains "own-team" if input.principal.team == input.resource.team
permits contains "admins" if "admins" in input.principal.groups
permits contains "ana-anywhere" if input.principal.id == "https://idp|ana"
permits contains "small-at-night" if {
    input.resource.name == "night"
    input.context.size <= 1000
    input.context.hour < 6
}

cleared if "cleared" in input.principal.roles

forbids contains "no-secrets" if {
    input.resource.data_class == "secret"
    not cleared
}

policies := forbids if count(forbids) > 0

policies := permits if count(forbids) == 0
"""


def version(engine: str, text: str) -> PolicySet:
    return PolicySet.model_validate(
        {"number": 1, "engine": engine, "text": text, "at": utc_now(), "who": "ana", "why": "a test"}
    )


class PolicyServer:
    """What OPA's Data API does with one document, evaluated by Rego. ``broken`` answers that instead."""

    def __init__(self) -> None:
        from regopy import Interpreter

        interpreter = Interpreter()
        interpreter.add_module("policies", REGO)
        bundle = interpreter.build("answer = data.gnomon")
        lock, server = threading.Lock(), self
        self.broken: tuple[int, bytes] | None = None
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.asked += 1
                    interpreter.set_input_term(json.dumps(given["input"]))
                    told = json.loads(str(interpreter.query_bundle(bundle)))["bindings"]["answer"]
                status, body = server.broken or (200, json.dumps({"result": told}).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/data/gnomon"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[PolicyServer]:
    running = PolicyServer()
    yield running
    running.close()


@pytest.fixture(params=["cedar", "rego", "opa"])
def engine(request: pytest.FixtureRequest, server: PolicyServer) -> PolicyEngine:
    text = {"cedar": CEDAR, "rego": REGO, "opa": server.url}[request.param]
    return load(version(request.param, text))


def question(
    who: str = "https://idp|bo",
    route: str = "iris",
    on: dict[str, Attribute] | None = None,
    context: dict[str, Any] | None = None,
    **known: Attribute,
) -> Question:
    return Question(who, known, route, on or {}, {"hour": 12, "weekday": 0, "now": 1_700_000_000, **(context or {})})


ANA = "https://idp|ana"
SECRET: dict[str, Attribute] = {"data_class": "secret", "team": "risk"}
NIGHT = {"hour": 3, "size": 10, "method": "POST", "path": "/x", "network": "10.0.0.5", "purpose": "billing"}
CASES = [
    (question(), False, ()),
    (question(team="risk"), False, ()),
    (question(team="risk", on={"team": "risk"}), True, ("own-team",)),
    (question(team="risk", on={"team": "other"}), False, ()),
    (question(groups=("x", "admins")), True, ("admins",)),
    (question(groups=("x",)), False, ()),
    (question(ANA), True, ("ana-anywhere",)),
    (question(ANA, groups=("admins",), team="risk", on={"team": "risk"}), True, ("admins", "ana-anywhere", "own-team")),
    (question(ANA, on=SECRET), False, ("no-secrets",)),
    (question(team="risk", on=SECRET), False, ("no-secrets",)),
    (question(team="risk", roles=("cleared",), on=SECRET), True, ("own-team",)),
    (question(route="night"), False, ()),
    (question(route="night", context=NIGHT), True, ("small-at-night",)),
    (question(route="night", context=NIGHT | {"hour": 7}), False, ()),
    (question(route="night", context=NIGHT | {"size": 1001}), False, ()),
    (question("", team="risk", on={"team": "risk"}), True, ("own-team",)),
    (question('https://idp|"; } permit(', groups=('"', "\\", "admins")), True, ("admins",)),
    (question("https://idp|é\u2028\U0001f600"), False, ()),
]  # fmt: skip


def test_the_same_cases_give_the_same_decisions(engine: PolicyEngine) -> None:
    expected = [Decision(allowed=allowed, policies=policies) for _, allowed, policies in CASES]
    assert engine.decide([asked for asked, _, _ in CASES]) == expected
    assert [engine.decide([asked])[0] for asked, _, _ in CASES] == expected
    assert engine.decide([]) == []


def test_what_policies_look_at_is_told_or_anything_may_count(engine: PolicyEngine) -> None:
    mentions = engine.mentions()
    assert mentions is None or mentions == {
        "principal=https://idp|ana", "principal.team", "principal.groups", "principal.roles", "resource=night",
        "resource.team",
        "resource.data_class", "context.size", "context.hour",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("engine_name", "text", "said"),
    [
        ("cedar", "permit(principal, action", "the policies are not Cedar"),
        ("cedar", 'permit(principal, action, resource) when { principal.tem == "x" };', "policy0: "),
        (
            "cedar",
            '@id("a") permit(principal,action,resource); @id("a") permit(principal,action,resource);',
            "the id a",
        ),
        ("cedar", "permit(principal == ?principal, action, resource);", "a template"),
        ("rego", "package gnomon\nallow if {", "the policies are not Rego"),
        ("rego", "package other\nimport rego.v1\ndefault allow := true", "has no allow that is true or false"),
        ("opa", "localhost:8181", "is not the URL of a decision"),
        ("opa", "http://ana:pw@127.0.0.1/v1", "is not the URL of a decision"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(engine_name: str, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(version(engine_name, text))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "broken",
    [(500, b"{}"), (200, b"<html>"), (200, b"{}"), (200, b'{"result": {"allow": "yes"}}'), (200, b"[1]"),
     (200, b'{"result": {"allow": true, "policies": [1]}}'), (302, b"")],
)  # fmt: skip
def test_a_policy_server_that_answers_nothing_denies(server: PolicyServer, broken: tuple[int, bytes]) -> None:
    engine = load(version("opa", server.url))
    server.broken = broken
    try:
        (decision,) = engine.decide([question(ANA)])
    finally:
        server.broken = None
    assert not decision.allowed
    assert decision.errors


def test_a_policy_server_that_is_away_denies_and_is_not_asked_for_ever() -> None:
    engine = load(version("opa", "http://127.0.0.1:1/v1/data/gnomon"))
    decisions = engine.decide([question(ANA)] * 50)
    assert not any(one.allowed for one in decisions)
    assert "is not asked: it failed before" in decisions[-1].errors[0]
