"""Services that no rule was written for: real servers in fourteen frameworks, drawn by a seed, questioned and scored.

Half 0 is to develop on; half 1 has other names, prefixes and look-alikes and is only ever looked at as a score.
The frameworks come from `--venv`, a folder of a virtual environment that has them, and `--node`, a folder with
`node_modules/express`.
Run: python benchmarks/variants/run.py --venv VENV --node FOLDER [--half 0] [--count 60] [--seed 1] [--misses]
With --apart: twenty models that show nothing at their root, in places on the lists that are asked for and on none.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from grow import Variant, apart, grow
from interview import Interview, interview

HOST = Path(__file__).parent / "host.py"
ALONE = {"gunicorn", "gevent", "granian", "sanic"}
ML_KINDS = {"model-endpoint", "notebook", "ml-ui", "ml-platform"}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--venv", type=Path, required=True)
    arguments.add_argument("--node", type=Path, default=None)
    arguments.add_argument("--half", type=int, default=0)
    arguments.add_argument("--count", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--misses", action="store_true", help="say what was wrong, and what had been asked")
    arguments.add_argument(
        "--apart", action="store_true", help="models that show nothing at their root, instead of a half"
    )
    given = arguments.parse_args()
    variants = apart(given.seed) if given.apart else grow(given.half, given.count, given.seed)
    if given.node is None:
        variants = [variant for variant in variants if variant.framework != "express"]
    with serving(variants, given.venv, given.node):
        answers = asyncio.run(interview([(variant.address, variant.port) for variant in variants]))
    for name, value in score(variants, answers, misses=given.misses).items():
        print(f"{name:16} {value}")
    return 0


@contextlib.contextmanager
def serving(variants: list[Variant], venv: Path, node: Path | None) -> Iterator[None]:
    """Serve all the variants, and end their processes on leaving."""
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for group in _groups([_behind(variant) for variant in variants]):
                file = Path(folder) / f"{len(processes)}.json"
                file.write_text(json.dumps([variant.to_json() for variant in group]))
                command = [str(venv / "bin" / "python"), str(HOST), str(file)]
                if group[0].framework == "express":
                    command = ["node", str(HOST.with_name("express.js")), str(file)]
                environment = {**os.environ, "NODE_PATH": str(node / "node_modules") if node else ""}
                processes.append(
                    subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
                )
            proxied = [variant for variant in variants if variant.proxy]
            if proxied:
                processes.append(_nginx(proxied, Path(folder)))
            _wait(variants)
            yield
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _behind(variant: Variant) -> Variant:
    """Where a variant is served itself: behind a proxy, at an address next door."""
    return (
        replace(variant, address=variant.address.replace("127.", "127.1", 1), port=8000) if variant.proxy else variant
    )


def _groups(variants: list[Variant]) -> Iterator[list[Variant]]:
    ordered = sorted(variants, key=lambda v: (v.framework, v.server))
    for (framework, server), group in groupby(ordered, key=lambda v: (v.framework, v.server)):
        if server in ALONE or framework == "django":
            yield from ([variant] for variant in group)
        else:
            yield list(group)


def _nginx(proxied: list[Variant], folder: Path) -> "subprocess.Popen[bytes]":
    blocks = []
    for number, variant in enumerate(proxied):
        own = _behind(variant)
        rest = (
            "return 404;"
            if number % 2
            else "root /var/empty; default_type text/html; return 200 '<title>Welcome to nginx!</title>';"
        )
        blocks.append(
            f"server {{ listen {variant.address}:{variant.port}; location = / {{ {rest} }} "
            f"location {variant.proxy}/ {{ proxy_pass http://{own.address}:{own.port}/; }} location / {{ return 404; }} }}"
        )
    temporary = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"http {{ access_log off; {temporary} {' '.join(blocks)} }}"
    text = f"daemon off; pid {folder}/pid; error_log /dev/null; events {{}} {http}"
    (folder / "nginx.conf").write_text(text)
    return subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], start_new_session=True)


def _wait(variants: list[Variant], seconds: float = 120) -> None:
    """Wait until all of them listen."""
    deadline = time.monotonic() + seconds
    for variant in [v for one in variants for v in {id(one): one, **({0: _behind(one)} if one.proxy else {})}.values()]:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((variant.address, variant.port), 1):
                break
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{variant.name} ({variant.server}) at {variant.address}:{variant.port} does not listen"
                )
            time.sleep(0.1)


def score(variants: list[Variant], answers: dict[tuple[str, int], Interview], *, misses: bool) -> dict[str, object]:
    """The bars of the issue over these variants."""
    n: Counter[str] = Counter()
    for variant in variants:
        answer = answers[variant.address, variant.port]
        said = answer.best
        n["requests"] += len(answer.asked)
        if variant.walled:
            n["walled"] += 1
            n["walled as model"] += said.is_model_endpoint
            continue
        n["tp"] += variant.is_model and said.is_model_endpoint
        n["fn"] += variant.is_model and not said.is_model_endpoint
        n["fp"] += said.is_model_endpoint and not variant.is_model
        n["kind"] += said.kind.value == variant.kind
        n["all"] += 1
        if variant.is_model:
            framework = {"http.server": "python-http-server"}.get(variant.framework, variant.framework)
            n["product"] += said.product == framework
            n["routes"] += len(variant.inference)
            found = {f"{route.method} {route.path}".rstrip("/") for route in said.inference_routes}
            n["routes found"] += sum(route.rstrip("/") in found for route in variant.inference)
            posture = answer.posture or "unknown"
            n[
                f"posture {'unknown' if posture == 'unknown' else 'right' if posture == variant.posture else 'wrong'}"
            ] += 1
            wrong_posture = posture not in {"unknown", variant.posture}
        wrong = said.is_model_endpoint != variant.is_model or said.kind.value != variant.kind
        if misses and (wrong or (variant.is_model and (said.product != framework or wrong_posture))):
            _tell(variant, answer)
    models = n["tp"] + n["fn"]
    return {
        "variants": len(variants), "models": models,
        "model_recall": f"{n['tp'] / models:.3f} ({n['tp']})",
        "model_precision": f"{n['tp'] / max(1, n['tp'] + n['fp']):.3f}",
        "kind_accuracy": f"{n['kind'] / n['all']:.3f}", "product_right": f"{n['product'] / models:.3f}",
        "routes_recall": f"{n['routes found'] / n['routes']:.3f}",
        "posture": {name: n[f"posture {name}"] for name in ("right", "unknown", "wrong")},
        "behind a login": f"{n['walled']}, {n['walled as model']} called models",
        "requests": f"{n['requests'] / len(variants):.1f} a host",
    }  # fmt: skip


def _tell(variant: Variant, answer: Interview) -> None:
    said = answer.best
    truth = {name: value for name, value in variant.to_json().items() if value and name not in {"routes", "is_model"}}
    beside = [(route.path, route.gives) for route in variant.routes[1:]]
    print(f"{truth}\n  said {said.kind.value} {said.product} {answer.posture} {said.confidence}; beside {beside}")
    print("   ", "; ".join(f"{one.method} {one.path} {one.status}" for one in answer.asked))


if __name__ == "__main__":
    sys.exit(main())
