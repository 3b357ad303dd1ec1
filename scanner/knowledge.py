"""All signatures together: read from the built-in folder and the user's, checked against each other."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from scanner.exchange import PASSING, Answer, Request
from scanner.matching import Index
from scanner.predicates import found
from scanner.signature import Layer, Never, Signal, Signature

K = TypeVar("K")
V = TypeVar("V")

BUILT_IN = Path(__file__).parent / "signatures"
"""The folder of the signatures that come with gnomon."""

LARGEST_FILE = 256 * 1024
_MOST, _LONGEST_PATH = 8192, 128


class SignatureError(ValueError):
    """A signature that cannot be used. Its text is one sentence that names the file and the field."""


def parse_request(text: str) -> Request:
    """The request that ``GET /path`` names."""
    method, _, path = text.partition(" ")
    if method not in {"GET", "HEAD", "OPTIONS"} or not path.startswith("/"):
        raise ValueError(f"{text!r} is not a GET, HEAD or OPTIONS of a path")
    return Request(method, path, path)  # type: ignore[arg-type]  # checked above


@dataclass(frozen=True, eq=False)
class Knowledge:
    """The signatures by id, and the indexes that the machine reads. Made by ``load_knowledge``."""

    signatures: Mapping[str, Signature]

    @cached_property
    def never(self) -> tuple[Never, ...]:
        """What must not be sent, of all signatures."""
        return tuple(rule for signature in self.signatures.values() for rule in signature.never)

    def settled_by(self, request: Request) -> tuple[tuple[int, Never], ...]:
        """Those of ``never``, with their positions, that an answer to this request can settle."""
        known = self._settled_by.get(request)
        if known is None:
            texts = {str(request), f"{request.method} {request.relative}"}
            known = tuple((at, rule) for at, rule in enumerate(self.never) if rule.proof and rule.until in texts)
            if len(request.path) <= _LONGEST_PATH:
                _remember(self._settled_by, request, known)
        return known

    @cached_property
    def _settled_by(self) -> dict[Request, tuple[tuple[int, Never], ...]]:
        return {}

    def waking(self, answer: Answer) -> tuple[int, ...]:
        """The positions in ``never`` of the rules that hold for a host from this answer on."""
        mark = self.mark(answer)
        known = self._waking.get(mark)
        if known is None:
            known = tuple(self._sleeping[at] for at in self._wakers.holding(answer))
            _remember(self._waking, mark, known)
        return known

    @cached_property
    def _sleeping(self) -> tuple[int, ...]:
        return tuple(at for at, rule in enumerate(self.never) if rule.once is not None)

    @cached_property
    def _wakers(self) -> Index:
        return Index([rule.once for rule in self.never if rule.once is not None])

    @cached_property
    def _waking(self) -> dict[bytes, tuple[int, ...]]:
        return {}

    def covering(self, request: Request) -> tuple[int, ...]:
        """The positions in ``never`` of the rules about a request, whether they hold for a host or not."""
        known = self._covering.get(request)
        if known is None:
            known = tuple(at for at, rule in enumerate(self.never) if rule.covers(request))
            if len(request.path) <= _LONGEST_PATH:
                _remember(self._covering, request, known)
        return known

    @cached_property
    def _covering(self) -> dict[Request, tuple[int, ...]]:
        return {}

    @cached_property
    def signals_on(self) -> Mapping[str, tuple[tuple[str, int, Signal], ...]]:
        """Signals by the answer they look at: (signature id, number within it, signal)."""
        index: dict[str, list[tuple[str, int, Signal]]] = {}
        for signature in self.signatures.values():
            for number, signal in enumerate(signature.signals):
                index.setdefault(signal.on, []).append((signature.id, number, signal))
        return {on: tuple(signals) for on, signals in index.items()}

    @cached_property
    def _indexes(self) -> Mapping[str, Index]:
        """The same signals, each kind of answer with an index of those that look at it."""
        return {on: Index([signal.when for _, _, signal in signals]) for on, signals in self.signals_on.items()}

    @cached_property
    def against(self) -> Mapping[str, tuple[int, ...]]:
        """Which of them count where they do not hold, by their positions in ``signals_on``."""
        return {
            on: tuple(at for at, (_, _, signal) in enumerate(signals) if signal.otherwise)
            for on, signals in self.signals_on.items()
        }

    @cached_property
    def ignored(self) -> frozenset[str]:
        """The headers that tell nothing: those that pass, but for what a signature looks at."""
        return PASSING - self._passing.keys() - self._versioned

    @cached_property
    def _versioned(self) -> frozenset[str]:
        """The headers whose values are told on, and not only held against patterns."""
        return frozenset(rule.header for s in self.signatures.values() for rule in s.version if rule.header)

    @cached_property
    def _passing(self) -> Mapping[str, tuple[str, ...]]:
        """Headers that pass and that conditions look at all the same, with every pattern over their values."""
        patterns: dict[str, dict[str, None]] = {}
        for signature in self.signatures.values():
            for condition in signature.conditions():
                for name, pattern in condition.patterns_of_headers():
                    if name in PASSING - self._versioned:
                        patterns.setdefault(name, {})[pattern] = None
        return {name: tuple(found) for name, found in patterns.items()}

    def mark(self, answer: Answer) -> bytes:
        """A digest of all that can be seen of an answer by who knows the request.

        When and how fast it came is no part of it, and of headers that pass only which patterns occur in them.
        """
        if answer.mark is None:
            answer.mark = hashlib.blake2b(repr(self._seen(answer)).encode(), digest_size=16).digest()
        return answer.mark

    def _seen(self, answer: Answer) -> tuple[object, ...]:
        if answer.status is None:
            return answer.outcome, answer.raw
        headers: object = answer.headers
        if not self._passing.keys().isdisjoint(answer.by_name):
            headers = [(name, self._told(name, value)) for name, value in answer.by_name.items()]
        # Whose address a redirect names is known only beside the host's own names.
        names = sorted(answer.host_names) if "//" in answer.header("location") else None
        return answer.status, answer.outcome, answer.reason, answer.digest, headers, names, answer.raw[:5]

    def _told(self, name: str, value: str) -> object:
        patterns = self._passing.get(name)
        return value if patterns is None else tuple(found(pattern, value) for pattern in patterns)

    def holding(self, on: str, answer: Answer) -> tuple[int, ...]:
        """The positions in ``signals_on`` of the signals that look at such an answer and hold for it."""
        key = on, self.mark(answer)
        known = self._holding.get(key)
        if known is None:
            known = self._indexes[on].holding(answer)
            _remember(self._holding, key, known)
        return known

    @cached_property
    def _holding(self) -> dict[tuple[str, bytes], tuple[int, ...]]:
        return {}

    @cached_property
    def products(self) -> tuple[Signature, ...]:
        """The signatures of the product layer, in the order of their ids."""
        return tuple(s for s in self.signatures.values() if s.layer is Layer.PRODUCT)

    @cached_property
    def interfaces(self) -> tuple[Signature, ...]:
        """The signatures of the interface layer, in the order of their ids."""
        return tuple(s for s in self.signatures.values() if s.layer is Layer.INTERFACE)

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """Where any signature says that an API description is served, most usual first."""
        named = [path for signature in self.signatures.values() for path in signature.documents]
        return tuple(sorted(dict.fromkeys(named), key=named.count, reverse=True))


def _remember(known: dict[K, V], key: K, value: V) -> None:
    """Keep a result. Hosts make up paths and pages without end, so that now and then it begins anew."""
    if len(known) >= _MOST:
        known.clear()
    known[key] = value


def load_knowledge(*folders: Path | None) -> Knowledge:
    """The built-in signatures and those of further folders; a later file of the same id replaces the earlier.

    Raises SignatureError with one sentence at the first file that cannot be used.
    """
    signatures: dict[str, Signature] = {}
    for folder in (BUILT_IN, *folders):
        if folder is None:
            continue
        if not folder.is_dir():
            raise SignatureError(f"the signature folder {folder} does not exist; name a folder of .yaml files")
        for path in sorted(folder.glob("*.yaml")):
            signature = read_signature(path, own=folder == BUILT_IN)
            signatures[signature.id] = signature
    return assemble(signatures.values())


def assemble(signatures: Iterable[Signature]) -> Knowledge:
    """Knowledge of these signatures, checked against each other.

    A request that one signature asks for and another forbids is a SignatureError: the ledger would
    refuse it for ever.
    """
    knowledge = Knowledge({signature.id: signature for signature in sorted(signatures, key=lambda s: s.id)})
    absolute = [rule for rule in knowledge.never if rule.once is None]
    for signature in knowledge.signatures.values():
        for text in signature.requests:
            request = parse_request(text)
            for rule in absolute:
                if rule.covers(request):
                    raise SignatureError(
                        f"signature {signature.id} asks {text}, which must not be sent: {rule.because}"
                    )
    return knowledge


def read_signature(path: Path, *, own: bool = False) -> Signature:
    """The signature in a file. Raises SignatureError with one sentence that names file, field and fault.

    ``own`` is for the files that come with gnomon, which may be read by the quick parser that trusts them.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise SignatureError(f"{path}: a signature file is at most {LARGEST_FILE} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(f"the signature file {path} cannot be read: {error}") from error
    signature = parse_signature(text, str(path), own=own)
    if signature.id != path.stem:
        raise SignatureError(f"{path}: its id is {signature.id!r}; name the file {signature.id}.yaml")
    return signature


def parse_signature(text: str, origin: str = "signature", *, own: bool = False) -> Signature:
    """The signature in a text. ``origin`` is what errors call it; for ``own`` see ``read_signature``."""
    try:
        document: Any = yaml.load(text, Loader=_QuickLoader if own else _Loader)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SignatureError(f"{origin}: this is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(document, dict):
        raise SignatureError(f"{origin}: a signature is a mapping of fields; start with 'id: PRODUCT'")
    try:
        return Signature.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "signature"
        raise SignatureError(f"{origin}: {where}: {problem['msg']}") from error
    except RecursionError as error:
        raise SignatureError(f"{origin}: conditions are nested too deeply") from error


class _Loader(yaml.SafeLoader):
    """A safe loader without aliases, by which a small file grows without bound, and with YAML 1.2's booleans.

    Only ``true`` and ``false`` are booleans: ``on`` is a field of signals.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As the parent class, but an alias is an error."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in a signature")
        return super().compose_node(parent, index)


class _QuickLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader of libyaml, where there is one: nine times as quick, with no guard against hostile nesting."""


for _loader in (_Loader, _QuickLoader):
    _loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":bool")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
