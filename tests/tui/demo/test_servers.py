"""The servers of the story, run for real: what the story says of them is so."""

import asyncio
import json

import numpy as np
import pytest

from tui.demo import cast
from tui.demo.client import Connection
from tui.demo.process import Servers
from tui.demo.servers.model import DECISIONS, _payments, train

PAYMENT = {"amount": 120.0, "hour": 3.5, "distance_km": 250.0, "account_days": 12.0}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """Everybody but Jupyter and Streamlit, which take seconds and are met in the end-to-end test."""
    folder = cast.make_folder(tmp_path_factory.mktemp("stage") / "servers")
    with cast.claim_stage() as number, Servers(folder) as servers:
        programs = {one.name: one for one in cast.programs(number, folder)}
        light = [one for name, one in programs.items() if name not in {"jupyter", "streamlit"}]
        for one in light:
            servers.start(one)
        asyncio.run(servers.ready(light, 30))
        yield programs


async def ask(program, method, path, body=None):
    sent = b"" if body is None else json.dumps(body).encode()
    async with Connection(program.address, program.port) as connection:
        return await connection.request(method, path, sent)


def test_training_is_repeatable_and_the_model_has_learnt():
    model = train()
    raw, labels = _payments(np.random.default_rng(99), 1000)
    decisions = [model.score(list(map(float, row))).decision for row in raw]
    right = sum(DECISIONS[label] == decision for label, decision in zip(labels, decisions, strict=True))
    assert right > 880, "800 is what always saying pass would reach"
    assert np.array_equal(train().weights, model.weights)
    assert not np.array_equal(train(seed=11).weights, model.weights)


async def test_the_replacement_gives_the_original_answers(stage):
    random = np.random.default_rng(5)
    for _ in range(20):
        payment = {name: float(random.uniform(0.1, 23.0)) for name in PAYMENT}
        answers = [await ask(stage[name], "POST", "/predict", payment) for name in (cast.ORIGINAL, cast.REPLACEMENT)]
        assert [answer.status for answer in answers] == [200, 200]
        one, other = (json.loads(answer.body) for answer in answers)
        assert one.pop("took_ms") >= 0
        assert other.pop("took_ms") >= 0
        assert one == other
        assert sum(one["probabilities"].values()) == pytest.approx(1.0)
        assert [answer.headers["x-served-by"] for answer in answers] == ["flask", "fastapi"]


@pytest.mark.parametrize("body", [None, [], {}, {**PAYMENT, "amount": "much"}, {**PAYMENT, "hour": None}])
async def test_bad_payments_are_the_callers_fault(stage, body):
    assert (await ask(stage[cast.ORIGINAL], "POST", "/predict", body)).status == 400
    assert (await ask(stage[cast.REPLACEMENT], "POST", "/predict", body)).status == 422


@pytest.mark.parametrize(
    ("name", "path"), [(cast.ORIGINAL, "/predict"), (cast.REPLACEMENT, "/predict"), ("fastapi-quiet", "/score")]
)
async def test_a_get_tells_that_there_is_a_model_without_running_it(stage, name, path):
    answer = await ask(stage[name], "GET", path)
    assert answer.status == 405
    assert "POST" in answer.headers["allow"]


async def test_the_quiet_model_documents_nothing_and_answers(stage):
    for path in ("/", "/docs", "/redoc", "/openapi.json"):
        assert (await ask(stage["fastapi-quiet"], "GET", path)).status == 404
    answer = await ask(stage["fastapi-quiet"], "POST", "/score", {"instances": [list(PAYMENT.values())] * 3})
    assert len(json.loads(answer.body)["predictions"]) == 3
    assert (await ask(stage["fastapi-quiet"], "POST", "/score", {"instances": [[1.0]]})).status == 422


async def test_the_shop_sells_and_the_status_page_reports(stage):
    items = json.loads((await ask(stage["flask-shop"], "GET", "/api/items")).body)
    assert (await ask(stage["flask-shop"], "POST", "/api/basket", {"item": next(iter(items))})).status == 201
    assert (await ask(stage["flask-shop"], "POST", "/api/basket", {"item": "model"})).status == 400
    assert json.loads((await ask(stage["status-page"], "GET", "/health")).body)["status"] == "ok"
    assert (await ask(stage["status-page"], "GET", "/predict")).status == 404
