from pathlib import Path

import pytest

from scanner.exclusions import parse_exclusions, read_exclusions
from scanner.targets import TargetError


def test_a_file_has_an_entry_a_line(tmp_path: Path):
    file = tmp_path / "never"
    file.write_text("# printers\n10.0.0.0/28\n\n  10.0.1.7   # the old PLC\nplc.example\r\nfd00::7\n")
    assert read_exclusions(file) == ("10.0.0.0/28", "10.0.1.7", "plc.example", "fd00::7")


@pytest.mark.parametrize("entry", ["10.0.0.1:80", "k8s:prod", "10.0.0.1/8", "10.0.0.1-9", "http://10.0.0.1"])
def test_what_excludes_nothing_is_refused_with_its_line(entry: str):
    with pytest.raises(TargetError, match=r"\Anever, line 2: [^\n]+\Z"):
        parse_exclusions(f"10.0.0.1\n{entry}\n", "never")


def test_without_the_file_nothing_is_scanned(tmp_path: Path):
    with pytest.raises(TargetError, match="cannot be read, so nothing is scanned"):
        read_exclusions(tmp_path / "absent")
    (tmp_path / "image").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="cannot be read"):
        read_exclusions(tmp_path / "image")
