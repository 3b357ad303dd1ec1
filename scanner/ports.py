"""Which ports a scan asks: a name, or a list with ranges, turned into numbers. Pure."""

from collections.abc import Iterable
from itertools import pairwise

MODEL_PORTS: dict[int, str] = {
    80: "the web's own port, and ingresses, Kubeflow, TGI and TEI images, Seldon's mesh",
    443: "the same by TLS",
    1234: "LM Studio",
    1975: "Envoy AI Gateway",
    2242: "Aphrodite, TabbyAPI",
    2718: "marimo",
    3000: "BentoML, Open WebUI, Langflow, Flowise, Dagster, Dify, Langfuse, MCP servers",
    3001: "AnythingLLM, the second of anything on 3000",
    3080: "LibreChat",
    4000: "LiteLLM",
    4040: "Spark's UI of an application",
    4200: "Prefect",
    4317: "Phoenix, by gRPC",
    5000: "Flask, MLflow, Cog, Seldon's wrapper, text-generation-webui",
    5001: "Azure ML inference, KoboldCpp, a second Flask or MLflow model",
    5002: "a third Flask or MLflow model",
    5003: "and a fourth: `mlflow models serve` is started once for each model",
    5005: "Rasa, and Flask beside a taken 5000",
    5006: "Panel, Bokeh",
    5050: "Flask where macOS holds 5000",
    5678: "n8n",
    6000: "Seldon's wrapper, management",
    6006: "TensorBoard, Phoenix",
    6333: "Qdrant",
    6334: "Qdrant, by gRPC",
    6566: "Feast",
    7000: "development servers beside a taken 8000",
    7070: "TorchServe, by gRPC",
    7071: "TorchServe, by gRPC",
    7860: "Gradio, Stable Diffusion WebUI, Langflow",
    7861: "the second Gradio application of a host counts up from 7860",
    7862: "the third",
    7997: "Infinity",
    8000: "FastAPI, vLLM, Triton, NIM, Ray Serve, LitServe, JupyterHub, Chroma",
    8001: "Triton by gRPC, the second uvicorn of a host",
    8002: "Triton's metrics, the third uvicorn",
    8003: "the fourth",
    8004: "the fifth",
    8005: "the sixth",
    8008: "ClearML",
    8010: "the second decade of uvicorns",
    8050: "Dash",
    8080: "KServe, TorchServe, SageMaker containers, llama.cpp, MLServer, Zeppelin, Airflow",
    8081: "TorchServe's management, KServe by gRPC, JupyterHub's API",
    8082: "TorchServe's metrics, MLServer's metrics",
    8083: "the fourth of anything on 8080",
    8085: "development servers beside 8080",
    8088: "Superset, and web interfaces by habit",
    8090: "development servers beside 8080",
    8188: "ComfyUI",
    8265: "Ray's dashboard",
    8443: "TLS without privileges",
    8500: "TensorFlow Serving, by gRPC",
    8501: "Streamlit, TensorFlow Serving",
    8502: "the second Streamlit application of a host counts up from 8501",
    8503: "the third",
    8787: "Dask, RStudio, Portkey",
    8866: "Voila",
    8888: "Jupyter, Kubeflow Pipelines",
    8889: "the second Jupyter of a host counts up from 8888",
    8890: "the third",
    8999: "development servers beside 9000",
    9000: "OpenVINO Model Server by gRPC, Seldon",
    9001: "the second of anything on 9000",
    9003: "Seldon's gateway",
    9090: "Prometheus beside a model, and development servers",
    9091: "Milvus",
    9997: "Xinference",
    9999: "notebooks moved away from 8888",
    10000: "development servers",
    11434: "Ollama",
    18888: "notebooks moved away from 8888",
    19530: "Milvus, by gRPC",
    21001: "FastChat's controller",
    21002: "FastChat's worker",
    23333: "LMDeploy",
    30000: "SGLang, and the first NodePort",
    31311: "Azure ML inference, debugging",
    43800: "Aim",
    50051: "gRPC by habit, Weaviate",
    54321: "H2O-3",
}
"""Where model servers, notebooks and their tools listen, and why each port is worth a probe.

Three rules made it: the default port of every product that has a signature; the ports that such
servers count up to where their default is taken; and what frameworks and people use for web
services in development. A port costs one probe an address, so ports of other services are left out.
"""


class PortsError(ValueError):
    """A list of ports that cannot be understood. Its text is one sentence that quotes the piece at fault."""


def parse_ports(text: str) -> tuple[int, ...]:
    """The ports that ``text`` names, sorted, each once: ``model``, ``all``, or ``80,8000-8100``.

    Pieces may be mixed (``model,9443``). Raises PortsError.
    """
    ports: set[int] = set()
    for piece in text.split(","):
        ports.update(_piece(piece.strip(), text))
    return tuple(sorted(ports))


def _piece(piece: str, text: str) -> Iterable[int]:
    if piece == "model":
        return MODEL_PORTS
    if piece == "all":
        return range(1, 65536)
    first, dash, last = piece.partition("-")
    low = _number(first, piece, text)
    high = _number(last, piece, text) if dash else low
    if high < low:
        raise PortsError(f"ports {text!r}: the range {piece!r} ends before it begins; write {high}-{low}")
    return range(low, high + 1)


def _number(digits: str, piece: str, text: str) -> int:
    digits = digits.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535:
        return int(digits)
    raise PortsError(
        f"ports {text!r}: {piece!r} is not a port from 1 to 65535, a range such as 8000-8100, 'model' or 'all'"
    )


def describe_ports(ports: Iterable[int]) -> str:
    """The ports as a short list with ranges, which ``parse_ports`` reads back: ``80,8000-8002``."""
    numbers = sorted(set(ports))
    if not numbers:
        return ""
    starts = [numbers[0]] + [after for before, after in pairwise(numbers) if after != before + 1]
    ends = [before for before, after in pairwise(numbers) if after != before + 1] + [numbers[-1]]
    return ",".join(str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
