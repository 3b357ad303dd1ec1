"""An option beats the environment, which beats the file, which beats the default."""

from pathlib import Path

import pytest

from inventory.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GNOMON_{name.upper()}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def config(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text)
    return path


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file = config(tmp_path, "gateway_port = 1\nscan_rate = 10\n")
    assert load_settings().gateway_port == 8780
    assert load_settings(file).gateway_port == 1
    monkeypatch.setenv("GNOMON_GATEWAY_PORT", "2")
    assert load_settings(file).gateway_port == 2
    assert load_settings(file, gateway_port=3).gateway_port == 3
    assert load_settings(file, gateway_port=None).scan_rate == 10


def test_the_default_file_is_read_where_it_is(tmp_path: Path):
    folder = tmp_path / "config" / "gnomon"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('gateway_domain = "models.example"')
    assert load_settings().gateway_domain == "models.example"
    assert load_settings().database == f"sqlite:///{tmp_path}/state/gnomon/inventory.db"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", "no setting 'colour'"),
        ("gateway_port = 'x'", "gateway_port: .*integer"),
        ("gateway_port = 99999", "less than or equal to 65535"),
        ("gateway_port", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path: Path, text: str, words: str):
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings(config(tmp_path, text))
    assert "\n" not in str(caught.value).strip()


def test_a_named_file_must_exist(tmp_path: Path):
    with pytest.raises(SettingsError, match="there is no configuration file"):
        load_settings(tmp_path / "none.toml")
