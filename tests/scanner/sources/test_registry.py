from importlib import import_module

import pytest

from scanner.sources import SOURCES, choose, source_name, source_of, split
from scanner.targets import Addresses, HostName, TargetError


@pytest.mark.parametrize("prefix", SOURCES)
def test_every_line_names_a_source(prefix: str) -> None:
    module, _, name = SOURCES[prefix].partition(":")
    assert source_of(prefix) is getattr(import_module(module), name)
    assert source_name(prefix) == module.removeprefix("scanner.sources.")


def test_a_scope_has_targets_of_one_source() -> None:
    prefix, targets = choose(["127.0.0.0/30", "localhost:8000"])
    assert prefix == ""
    assert [type(target) for target in targets] == [Addresses, HostName]
    with pytest.raises(TargetError, match="targets of one source, and these are of none"):
        choose([])


def test_targets_of_several_sources_make_several_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "k8s", "scanner.sources.kubernetes:prepare")
    by_prefix = split(["127.0.0.1", "k8s:prod", "k8s:test"])
    assert {prefix: len(targets) for prefix, targets in by_prefix.items()} == {"": 1, "k8s": 2}
    with pytest.raises(TargetError, match="of subnet and kubernetes: make a scope of each"):
        choose(["127.0.0.1", "k8s:prod"])


@pytest.mark.parametrize("text", ["nosuch:thing", "localhost:http", "nosuch:"])
def test_an_unknown_prefix_is_a_clear_sentence(text: str) -> None:
    prefix = text.partition(":")[0]
    with pytest.raises(TargetError, match=rf"\A'{text}': there is no source '{prefix}' [^\n]*\Z"):
        choose(["127.0.0.1", text])
