"""Versions with a known hole, and how that counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, endpoint
from packaging.version import Version

from inventory.advisories import ADVISORIES, advisories
from inventory.model import Kind
from inventory.risk import assess
from scanner.knowledge import load_knowledge


@pytest.mark.parametrize(
    ("product", "version", "names"),
    [
        ("mlflow", "2.1.0", ["CVE-2023-6977", "CVE-2023-1177"]),
        ("mlflow", "v2.9.1", ["CVE-2023-6977"]),
        ("mlflow", "2.9.2", []),
        ("mlflow", "3.0.0rc1", []),
        ("litellm", "1.50", []),
        ("litellm", "1.80.1.post2", ["CVE-2026-42271"]),
        ("bentoml", "1.3.3", []),
        ("mlflow", None, []),
        ("mlflow", "", []),
        ("mlflow", "latest", []),
        ("fastapi", "0.1", []),
        (None, "0.1", []),
    ],
)
def test_a_version_has_the_holes_that_were_mended_later(product, version, names) -> None:
    assert [one.name for one in advisories(product, version)] == names


@pytest.mark.parametrize("one", ADVISORIES, ids=lambda one: one.name)
def test_each_is_of_a_product_that_is_recognised_and_ends_where_it_was_mended(one) -> None:
    assert one.product in load_knowledge(None).signatures
    assert Version(one.since) < Version(one.mended)
    assert one not in advisories(one.product, one.mended)
    assert one in advisories(one.product, f"{one.mended}.dev1")


@given(st.text(max_size=40))
def test_no_text_that_a_host_calls_its_version_is_an_error(version: str) -> None:
    advisories("mlflow", version)


def test_it_is_a_reason_of_the_risk_that_says_what_mends_it() -> None:
    old = endpoint(kind=Kind.ML_PLATFORM, product="mlflow", version="2.1.0", owner="ana")
    risk, reasons = assess(old, NOW)
    (why,) = [one for one in reasons if "version" in one.why]
    assert why.why == "version 2.1.0 gives away files of its host (CVE-2023-6977, CVE-2023-1177): 2.9.2 mends it"
    assert risk == assess(old.model_copy(update={"version": "3.0.0"}), NOW)[0] + why.weight
