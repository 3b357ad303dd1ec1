import asyncio
import re
from pathlib import Path

import pytest
import yaml

from inventory.model import Listener
from scanner.authoring import Trial, read_transcript, record, try_signature
from scanner.findings import Limits
from scanner.knowledge import load_knowledge, parse_signature
from scanner.signature import Signature

KNOWLEDGE = load_knowledge()
DOCS = Path(__file__).parents[2] / "docs" / "signatures.md"
LAMP = """
id: lamp
name: Lamp server
kind: model-endpoint
model: always
about: A product that exists for this test only.
signals:
  - {on: root, when: {title: '^Lamp'}, weight: 3, proves: "a page titled Lamp"}
  - {on: GET /lamp/info, when: {status: 200, json: {has: [wick]}}, weight: 4, proves: "its wick is told"}
  - {on: GET /lamp/oil, when: {status: 200}, weight: 4, proves: "its oil is told"}
version: [{on: GET /lamp/info, json: version}]
posture: [{on: GET /lamp/info, when: {status: 200}, is: open}]
routes: [POST /lamp/predict]
source: nowhere
"""
PAGES = {
    "/": ("text/html", "<title>Lamp of 127.0.0.1</title>"),
    "/lamp/info": ("application/json", '{"wick": 1, "version": "2.1", "token": "abcdefabcdefabcdef"}'),
}


async def lamp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            media, body = PAGES.get(path, ("text/plain", ""))
            status = 200 if path in PAGES else 404
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nSet-Cookie: id=secretcookie"
            head += f"\r\nContent-Length: {len(body)}"
            writer.write(f"{head}\r\n\r\n{body}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.transport.abort()


async def with_lamp(signature: Signature) -> tuple[Trial, str]:
    server = await asyncio.start_server(lamp, "127.0.0.1", 0)
    listener = Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        trial = await try_signature(signature, listener, KNOWLEDGE, Limits())
        return trial, await record(listener, KNOWLEDGE, Limits())
    finally:
        server.close()
        for _ in range(10):
            await asyncio.sleep(0)


async def test_a_signature_is_tried_and_a_transcript_recorded(tmp_path: Path) -> None:
    trial, transcript = await with_lamp(parse_signature(LAMP))
    assert trial.identified == ("lamp",)
    assert "root: a page titled Lamp" in trial.held
    assert "GET /lamp/info: its wick is told" in trial.held
    assert all("GET /lamp" not in words or "oil" in words for words in trial.missed)
    assert not re.search(r"127\.0\.0\.1|secretcookie|abcdefabcdef", transcript)
    path = tmp_path / "lamp.yaml"
    path.write_text(transcript)
    read = read_transcript(path)
    findings, _ = read.replay(KNOWLEDGE, Limits())
    assert read.origin == "recorded"
    assert findings


def test_what_is_no_transcript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("answers: 3")
    with pytest.raises(ValueError, match="signature record"):
        read_transcript(path)


def test_every_signature_and_field_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for product in KNOWLEDGE.signatures:
        assert f"| `{product}` |" in text, f"docs/signatures.md does not list {product}"
    for name in Signature.model_fields:
        assert f"`{name}`" in text, f"docs/signatures.md does not explain {name}"


def test_the_example_of_the_documentation_is_a_signature() -> None:
    block = re.search(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    indented = yaml.safe_load(f"whole:\n{block.group(1)}") is not None
    assert indented
    lines = [line[3:] for line in block.group(1).splitlines()]
    assert parse_signature("\n".join(lines)).id == "lamp"
