"""One contract for every engine: the same cases, the same decisions by the same policies, and failures that deny."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import CASES, CEDAR, DAY, FRAUD, REGO, version
from regopy import Input, Interpreter

from router.policy import PolicyEngine, Question
from router.policy.engines import ENGINES, PolicyError, load
from router.policy.engines.cedar import CedarEngine
from router.policy.engines.opa import OpaEngine
from router.policy.engines.rego import RegoEngine


class Opa(BaseHTTPRequestHandler):
    """The documented data API of OPA, with decisions by a real Rego interpreter."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/data/broken":
            return self.reply(500, {"code": "internal_error"})
        if self.path == "/v1/data/silent":
            self.close_connection = True
            return None
        if self.path != "/v1/data/gnomon":
            return self.reply(200, {})
        interpreter = Interpreter()
        interpreter.add_module("policies.rego", REGO)
        bundle = interpreter.build("x := data.gnomon")
        interpreter.set_input(Input(asked["input"]))
        return self.reply(200, {"result": interpreter.query_bundle(bundle)[0]["x"]})

    def reply(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def opa() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Opa) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/data"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> PolicyEngine:
    texts = {"cedar": CEDAR, "rego": REGO}
    text = texts.get(request.param) or f"{request.getfixturevalue('opa')}/gnomon"
    return load(version(request.param, text))


def test_the_same_cases_are_decided_alike_by_the_same_policies(engine: PolicyEngine):
    decided = engine.decide([question for question, _, _ in CASES])
    assert [(one.allowed, one.policies, one.errors) for one in decided] == [
        (allowed, policies, ()) for _, allowed, policies in CASES
    ]


BEFORE = st.sampled_from([
    "", "context.hour >= 8 && ", "context.hour != 9 && context.weekday < 5 && ", "8 <= context.hour && ",
    "!(context.hour < 8) && ", "context has size && context.size < 9 && ",
])  # fmt: skip
POLICY = st.builds(
    '{} (principal, action, resource) when {{ {}principal has department && principal.department == "{}" }};'.format,
    st.sampled_from(["permit", "forbid"]), BEFORE, st.sampled_from(["risk", "ml"]),
)  # fmt: skip


@given(
    st.lists(POLICY, min_size=1, max_size=5),
    st.sampled_from([{}, {"department": "risk"}, {"department": "ml"}, {"department": "hr"}]),
    st.integers(0, 23),
    st.sampled_from([{}, {"size": 3}, {"size": 30}]),
)
def test_policies_that_are_left_out_change_no_decision(
    policies: list[str], caller: dict[str, str], hour: int, more: dict[str, int]
):
    engine = CedarEngine(
        "\n".join(policies).replace("context.size < 9 && ", "context has size && context.size < 9 && ")
    )
    question = Question("ana", caller, "iris", {}, {"hour": hour, "weekday": 2, "now": 7, **more})
    (sliced,) = engine.decide([question])
    with patch.object(CedarEngine, "_concerned", lambda self, _: frozenset(self._trees)):
        assert engine.decide([question]) == [sliced]


def test_what_a_policy_looks_at_is_told_alike():
    expected = {
        "principal.groups", "principal.department", "principal.grade",
        "resource.environment", "resource.department", "resource.data_class", "context.size", "context.hour",
    }  # fmt: skip
    ids = {"principal=spiffe://example/robot", "resource=iris"}
    assert load(version("cedar", CEDAR)).mentions() == expected | ids
    assert load(version("rego", REGO)).mentions() == expected | {"principal", "resource"}


@pytest.mark.parametrize(
    ("condition", "mentions"),
    [
        ("principal == resource", {"principal", "resource"}),
        ('[Principal::"a"].contains(principal)', {"principal"}),
        ('principal in [Principal::"a", Principal::"b"]', {"principal=a", "principal=b"}),
        ('principal has team && principal.team like "x*"', {"principal.team"}),
        ("context == context", None),
        ("principal.hasTag(resource.owner)", None),
    ],
)
def test_cedar_mentions(condition: str, mentions: set[str] | None):
    guarded = condition if "resource.owner" not in condition else f"resource has owner && {condition}"
    text = f"permit(principal, action, resource) when {{ {guarded} }};"
    assert load(version("cedar", text)).mentions() == mentions


@pytest.mark.parametrize(
    ("line", "mentions"),
    [
        ("allow if input.principal.team == `x`", {"principal.team"}),
        ('allow if input["principal"].team == "x"', {"principal.team"}),
        ('# input alone\nallow if "input" == input.context.purpose', {"context.purpose"}),
        ("allow if input.principal[name]", None),
        ("allow if time.now_ns() > 5", None),
        ("allow if { some key, value in input }", None),
    ],
)
def test_rego_mentions(line: str, mentions: set[str] | None):
    text = f"package gnomon\n\nimport rego.v1\n\n{line}\n"
    assert RegoEngine(text).mentions() == mentions


@pytest.mark.parametrize(
    ("engine", "text", "says"),
    [
        ("cedar", "permit(", "not Cedar"),
        ("cedar", "permit(principal, action, resource) when { principal.shoe == 1 };", "attribute `shoe`"),
        ("cedar", "permit(principal, action, resource) when { context.size > 3 };", "optional attribute `size`"),
        ("cedar", "permit(principal == ?principal, action, resource);", "a template"),
        ("cedar", '@id("a") permit(principal, action, resource);' * 2, "several policies have the id a"),
        ("cedar", 'permit(principal, action, resource) when { Principal::"b" has team };', "compare with it instead"),
        ("rego", "package gnomon\nallow if {", "not Rego: this is unclosed"),
        ("rego", "package other\nallow := true", "must be `package gnomon`"),
        ("rego", "package gnomon\nx := 1", "define the set permit"),
        ("opa", "ftp://x/v1/data/gnomon", "not the URL of an OPA decision"),
        ("opa", "http://127.0.0.1:99999/v1/data/gnomon", "not the URL of an OPA decision"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(engine: str, text: str, says: str):
    with pytest.raises(PolicyError, match=says):
        load(version(engine, text))


def test_a_schema_must_have_what_is_asked():
    with pytest.raises(PolicyError, match="must have the entity types"):
        load(
            version("cedar", "", "entity User; entity Route; action call appliesTo {principal: User, resource: Route};")
        )


def test_several_values_where_the_schema_says_one_are_a_denial():
    decision = load(version("cedar", CEDAR)).decide([Question("a", {"department": ("fraud", "x")}, "iris", FRAUD, DAY)])
    assert (decision[0].allowed, decision[0].errors) == (
        False, ("principal.department has several values, and the schema says one",),
    )  # fmt: skip


def test_one_caller_with_other_attributes_in_one_batch():
    engine = load(version("cedar", CEDAR))
    questions = [Question("a", {"department": one}, "iris", FRAUD, DAY) for one in ("fraud", "sales", "fraud")]
    assert [one.allowed for one in engine.decide(questions)] == [True, False, True]


def test_a_policy_that_fails_denies():
    condition = "context.hour * 9223372036854775807 > 0"
    text = f"permit(principal, action, resource); forbid(principal, action, resource) when {{ {condition} }};"
    [decision] = load(version("cedar", text)).decide([Question("a", {}, "iris", {}, DAY)])
    assert not decision.allowed
    assert "overflow" in decision.errors[0]


def test_a_module_that_ends_its_interpreter_is_refused_and_nothing_else_ends():
    text = REGO + '\nout := [x | some q in ["a"]; x := data.gnomon.permit with input as q]\n'
    with pytest.raises(PolicyError, match="makes the Rego interpreter fail"):
        RegoEngine(text)


def test_an_interpreter_that_dies_denies_and_is_started_again():
    engine = RegoEngine(REGO)
    question, allowed, _ = CASES[0]
    engine._worker._process.kill()
    engine._worker._process.wait()
    [denied] = engine.decide([question])
    assert (denied.allowed, denied.errors[0].startswith("the Rego interpreter failed")) == (False, True)
    assert engine.decide([question])[0].allowed == allowed


@pytest.mark.parametrize(
    ("path", "says"), [("broken", "answered 500"), ("silent", "could not be asked"), ("none", "no such decision")]
)
def test_an_opa_that_does_not_answer_denies(opa: str, path: str, says: str):
    decided = OpaEngine(f"{opa}/{path}").decide([CASES[0][0], CASES[3][0]])
    assert [(one.allowed, says in one.errors[0]) for one in decided] == [(False, True)] * 2
