"""Every product that gnomon promises to know, and every request that may never reach a host, whatever it is taken for.

The table is kept by hand beside the signatures: a signature that loses a rule fails here, and so does one that goes.
"""

import pytest

from inventory.model import Listener
from scanner.exchange import Answer, Request
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.signature import Layer

KNOWLEDGE = load_knowledge()
HOST = Listener(site="lab", address="192.0.2.1", port=80)

NEVER: dict[str, tuple[str, ...]] = {
    "aim": (), "airflow": (), "anythingllm": (), "aphrodite": (), "bentoml": (), "chainlit": (), "chroma": (),
    "clearml": (), "dagster": (), "dask": (), "dify": (), "djl-serving": (), "envoy-ai-gateway": (), "feast": (),
    "fastapi": (), "flask": (), "infinity": (), "koboldcpp": (), "kubeflow": (), "kubeflow-pipelines": (),
    "label-studio": (), "langfuse": (), "langserve": (), "librechat": (), "litserve": (), "llama-cpp": (),
    "lm-studio": (), "marimo": (), "mlc-llm": (), "mlflow": (), "mlflow-scoring": (), "nim": (), "open-webui": (),
    "openai-compatible": (), "optuna-dashboard": (), "phoenix": (), "portkey": (), "prefect": (), "qdrant": (),
    "ray-dashboard": (), "rstudio": (), "sagemaker": (), "seldon-v2": (), "shiny": (), "tabbyapi": (), "tei": (),
    "tensorboard": (), "tensorflow-serving": (), "text-generation-webui": (), "tgi": (), "torchserve": (), "truss": (),
    "wandb": (), "weaviate": (), "xinference": (), "zeppelin": (),
    "azureml": ("GET /score",),
    "cog": ("GET /shutdown",),
    "comfyui": ("GET /interrupt", "GET /api/free"),
    "dash": ("GET /_dash-update-component", "GET /_dash-layout"),
    "fastchat": ("GET /register_worker", "GET /refresh_all_workers"),
    "flowise": ("GET /api/v1/prediction/1",),
    "gradio": ("GET /gradio_api/queue/join", "GET /run/predict", "GET /gradio_api/call/x"),
    "h2o": ("GET /3/Ping", "GET /3/Shutdown"),
    "jupyter-server": ("GET /api/kernels/1", "GET /api/terminals/1", "GET /api/sessions/1"),
    "jupyterhub": ("GET /hub/spawn",),
    "kserve": ("GET /v2/repository/models/m/load",),
    "langflow": ("GET /api/v1/auto_login",),
    "litellm": ("GET /health", "GET /health/", "HEAD /health", "OPTIONS /health", "GET /health?model=x",
                "GET /health/services"),
    "lmdeploy": ("GET /terminate",),
    "localai": ("GET /models/apply", "GET /backend/shutdown"),
    "mcp": ("GET /sse",),
    "milvus": ("GET /management/stop", "GET /management/datacoord/x", "GET /expr"),
    "mlserver": ("GET /v2/repository/index",),
    "n8n": ("GET /webhook/x",),
    "ollama": ("GET /api/pull", "GET /api/create", "GET /api/generate"),
    "openvino": ("GET /v1/config/reload",),
    "seldon-wrapper": ("GET /predict", "GET /transform-input", "GET /route", "GET /aggregate", "GET /send-feedback"),
    "sglang": ("GET /health", "GET /health_generate", "GET /flush_cache", "GET /start_profile", "GET /stop_profile",
               "GET /freeze_gc", "GET /slow_down", "GET /release_memory_occupation"),
    "stable-diffusion-webui": ("GET /sdapi/v1/interrupt",),
    "streamlit": ("GET /_stcore/stream",),
    "tensorrt-llm": ("GET /health_generate", "GET /metrics"),
    "triton": ("GET /v2/repository/models/x/load", "GET /v2/trace/setting", "GET /v2/logging"),
    "vllm": ("GET /sleep", "GET /wake_up", "GET /reset_prefix_cache"),
    "voila": ("GET /voila/render/a.ipynb", "GET /a.ipynb"),
    "nicegui": (), "panel": (), "ray-serve": (),
}  # fmt: skip

POLICY = "frame-ancestors 'self'; report-uri /api/security/csp-report"
TORNADO = b"<html><title>404: Not Found</title><body>404: Not Found</body></html>"
WAKENED: dict[str, tuple[Answer, tuple[str, ...]]] = {
    "voila": (
        Answer(Request("GET", "/-/routes"), status=302, headers=(("content-security-policy", POLICY),)),
        ("GET /", "GET "),
    ),
    "panel": (Answer(Request("GET", "/-/routes"), status=404, body=TORNADO), ("GET /",)),
    "ray-serve": (
        Answer(Request("GET", "/-/routes"), status=200, headers=(("content-type", "application/json"),),
               body=b'{"/": "app"}'),
        ("GET /", "GET /info", "OPTIONS /predict", "HEAD /anything"),
    ),
}  # fmt: skip
"""Rules that sleep until an answer wakes them: that answer, and what is refused from then on."""


def request(text: str) -> Request:
    method, _, path = text.partition(" ")
    return Request(method, path, path)  # type: ignore[arg-type]


@pytest.mark.parametrize("product", NEVER)
def test_every_product_has_its_signature_and_what_acts_on_it_is_refused_to_all(product: str) -> None:
    assert product in KNOWLEDGE.signatures
    ledger = Ledger(KNOWLEDGE)
    for text in NEVER[product]:
        assert ledger.refusal(HOST, request(text)), text
        below = request(text)
        assert ledger.refusal(HOST, Request(below.method, "/team" + below.path, below.path)), text


def test_no_product_is_missing_from_the_table() -> None:
    products = {s.id for s in KNOWLEDGE.signatures.values() if s.layer is Layer.PRODUCT}
    assert products - set(NEVER) == {"mosec", "netron"}


@pytest.mark.parametrize("product", WAKENED)
def test_what_acts_on_a_product_that_showed_itself_is_refused_from_then_on(product: str) -> None:
    answer, texts = WAKENED[product]
    ledger = Ledger(KNOWLEDGE)
    ledger.record(HOST, answer)
    for text in texts:
        assert ledger.refusal(HOST, request(text)), text
