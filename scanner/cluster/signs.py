"""What of a pod's specification speaks for machine learning, and how far. Pure.

Weights are in nats of log-odds, like those of answers on the wire. They were set by judgement, not
learnt: an image that is a model server and nothing else comes near to certainty, a word in a label only
counts together with others. docs/operators.md lists them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from inventory.model import Kind

_MODEL, _NOTEBOOK, _UI, _PLATFORM = Kind.MODEL_ENDPOINT, Kind.NOTEBOOK, Kind.ML_UI, Kind.ML_PLATFORM


@dataclass(frozen=True, slots=True)
class Sign:
    """A pattern that names a product: in an image's repository or a command line."""

    pattern: re.Pattern[str]
    product: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command line shows: a product, or words about models, or the port that it names."""

    what: str
    product: str | None = None
    kind: Kind | None = None
    port: int | None = None


IMAGE_PRODUCT, COMMAND_PRODUCT = 5.0, 4.5
IMAGE_WORD, COMMAND_WORD, PROBE_WORD = 1.5, 2.0, 2.0
USUAL_PORT, LABEL_WORD, ANNOTATION, PLATFORM_LABEL = 0.8, 0.8, 1.0, 4.0
ENVIRONMENT, ENVIRONMENT_MOST = 1.2, 2.4
ORDINARY_IMAGE = -3.0
PRIOR = -3.0
"""Few workloads that are met at random serve models."""

LIKELY = 0.0
"""Log-odds from which a workload is said to be what its specification shows, before it was asked."""


def _sign(pattern: str, product: str, kind: Kind) -> Sign:
    return Sign(re.compile(rf"(?:^|[/_.\s-])(?:{pattern})(?:$|[/:@_.\s-])"), product, kind)


PRODUCTS: tuple[Sign, ...] = (
    _sign(r"vllm(?:-openai)?", "vllm", _MODEL),
    _sign("text-generation-inference|tgi", "tgi", _MODEL),
    _sign("text-embeddings-inference", "tei", _MODEL),
    _sign("tritonserver|triton", "triton", _MODEL),
    _sign("tensorflow[-/]serving|tensorflow_model_server|tfserving", "tensorflow-serving", _MODEL),
    _sign("torchserve", "torchserve", _MODEL),
    _sign("mlserver", "mlserver", _MODEL),
    _sign(r"ollama", "ollama", _MODEL),
    _sign("sglang", "sglang", _MODEL),
    _sign(r"llama[.-]?cpp|llama-server", "llama-cpp", _MODEL),
    _sign("localai|local-ai", "localai", _MODEL),
    _sign("lmdeploy", "lmdeploy", _MODEL),
    _sign("bentoml|bento", "bentoml", _MODEL),
    _sign("openvino|model_server", "openvino", _MODEL),
    _sign("djl-serving|djl-inference", "djl-serving", _MODEL),
    _sign("huggingfaceserver|sklearnserver|xgbserver|lgbserver|pmmlserver|paddleserver", "kserve", _MODEL),
    _sign("seldon-core-s2i[a-z0-9-]*|sklearnserver_rest", "seldon-wrapper", _MODEL),
    _sign("litserve", "litserve", _MODEL),
    _sign("xinference", "xinference", _MODEL),
    _sign("litellm", "litellm", _MODEL),
    _sign("ray-serve|rayserve|serve run", "ray-serve", _MODEL),
    _sign("mlflow models serve", "mlflow-scoring", _MODEL),
    _sign("mlflow", "mlflow", _PLATFORM),
    _sign("ray(?:-ml|-llm)?", "ray-dashboard", _PLATFORM),
    _sign("kubeflow-pipelines|ml-pipeline", "kubeflow-pipelines", _PLATFORM),
    _sign("label-studio", "label-studio", _PLATFORM),
    _sign(
        r"jupyter(?:-?lab|-?notebook|-server)?|[a-z]+-notebook|singleuser|datascience-notebook",
        "jupyter-server",
        _NOTEBOOK,
    ),
    _sign("jupyterhub|k8s-hub", "jupyterhub", _PLATFORM),
    _sign("rstudio(?:-server)?", "rstudio", _NOTEBOOK),
    _sign("marimo", "marimo", _NOTEBOOK),
    _sign("streamlit", "streamlit", _UI),
    _sign("gradio", "gradio", _UI),
    _sign("open-webui", "open-webui", _UI),
    _sign("tensorboard", "tensorboard", _UI),
    _sign("comfyui", "comfyui", _UI),
    _sign("langflow", "langflow", _UI),
    _sign("flowise", "flowise", _UI),
)
WORDS = re.compile(
    r"(?:^|[^a-z])(ml|models?|inference|predict(?:or|ion|ions|ive)?|scor(?:e|er|ing)|llms?|embeddings?|classif(?:y|ier)"
    r"|recommend(?:er|ation)s?|fraud|churn|notebooks?|pytorch|torch|tensorflow|sklearn|scikit-learn|xgboost|lightgbm"
    r"|onnx|transformers|huggingface|serving|genai|rag|gpu|cuda)(?:$|[^a-z])"
)
ORDINARY = re.compile(
    r"(?:^|/)(nginx|httpd|redis|postgres(?:ql)?|mysql|mariadb|mongo(?:db)?|rabbitmq|kafka|zookeeper|memcached|etcd"
    r"|coredns|kube-[a-z-]+|prometheus|alertmanager|grafana|fluent-?bit|node-exporter|haproxy|traefik|envoy|vault"
    r"|cert-manager-[a-z]+|metrics-server)(?:$|[:@])"
)
PROBES = re.compile(
    r"^/(?:v2/(?:health|models)|v1/models?|ping$|predict|invocations|openapi\.json|api/(?:kernels|status))"
)
ENVIRONMENT_NAMES = re.compile(
    r"^(?:MODEL(?:_.*)?|.*_MODEL(?:_.*)?|MLFLOW_.*|HF_(?:HOME|TOKEN|HUB.*)|HUGGING_?FACE.*|TRANSFORMERS_.*|VLLM_.*"
    r"|OLLAMA_.*|TRITON_.*|NVIDIA_VISIBLE_DEVICES|CUDA_.*|JUPYTER_.*|NB_(?:USER|PREFIX)|TORCH.*|TF_.*|WANDB_.*"
    r"|OPENAI_.*|ANTHROPIC_.*|PREDICTIVE_UNIT_.*|STORAGE_URI|BENTOML_.*|GRADIO_.*|STREAMLIT_.*|SERVING_.*)$"
)
PLATFORM_LABELS = {
    "serving.kserve.io/inferenceservice": ("kserve", _MODEL),
    "seldon-deployment-id": ("seldon-wrapper", _MODEL),
    "seldon-server-name": ("mlserver", _MODEL),
    "notebook-name": ("jupyter-server", _NOTEBOOK),
    "ray.io/cluster": ("ray-dashboard", _PLATFORM),
    "hub.jupyter.org/username": ("jupyter-server", _NOTEBOOK),
}
USUAL_PORTS = {
    8888: _NOTEBOOK, 8501: _MODEL, 7860: _UI, 11434: _MODEL, 5000: _MODEL, 8265: _PLATFORM, 9000: _MODEL,
    3000: _MODEL, 8787: _NOTEBOOK, 6006: _UI, 8000: _MODEL,
}  # fmt: skip
SIDECARS = re.compile(
    r"(?:^|/)(?:proxyv2|istio-proxy|linkerd[a-z-]*|queue-proxy|queue|envoy|kube-rbac-proxy|oauth2-proxy)(?:$|[:@])"
)
"""Images of containers that stand beside a workload's own, and whose ports are not its application's."""

_COMMAND_WORDS = re.compile(
    r"--(?:model(?:[-_][a-z]+)*|served-model-name|checkpoint|hf-[a-z-]+|tensor-parallel-size)(?:$|=)"
)
_PORT = re.compile(r"^(?:[^\s:\[]*:|\[[^\]\s]*\]:)?([0-9]{1,5})$")
_PORT_OPTION = re.compile(
    r"^(?:-p|--(?:port|http[-_]port|server\.port|ServerApp\.port|bind|listen|rest_api_port))(?:=(.*))?$"
)


def shown_by_command(parts: Iterable[str]) -> tuple[Shown, ...]:
    """What a command line shows. Its text, which may hold a secret, goes no further than this."""
    given = [part[:1024] for part in parts]
    found: list[Shown] = []
    # Only the words before the first option name a program; what follows an option may be anything.
    program = " ".join(part.lower() for part in given if not part.startswith("-"))[:2048]
    sign = product_in(program)
    if sign is not None:
        found.append(Shown(f"the command line runs {sign.product}", sign.product, sign.kind))
    if any(_COMMAND_WORDS.match(part) for part in given):
        found.append(Shown("the command line has an option that names a model"))
    number = _port_of(given)
    if number is not None:
        found.append(Shown("the command line names a port", port=number))
    return tuple(found)


def product_in(words: str) -> Sign | None:
    """The first product that is named in an image or a command line, in lower case."""
    return next((sign for sign in PRODUCTS if sign.pattern.search(words)), None)


def _port_of(given: list[str]) -> int | None:
    for index, part in enumerate(given):
        option = _PORT_OPTION.match(part)
        if option is None:
            continue
        value = option[1] if option[1] is not None else (given[index + 1] if index + 1 < len(given) else "")
        number = _PORT.match(value)
        if number is not None and 1 <= int(number[1]) <= 65535:
            return int(number[1])
    return None
