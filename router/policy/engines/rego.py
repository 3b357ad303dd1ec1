"""Rego (https://www.openpolicyagent.org/docs/latest/policy-language/) without OPA, by rego-cpp in a process of its own.

A policy set is one module, ``package gnomon``; ``answers`` says what it has to define.
"""

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from inventory.model import Decision, PolicySet
from router.policy import Question
from router.policy.engines.answers import decision_of, dump, failed, input_of, mentions_of
from router.policy.errors import PolicyError

SECONDS = 10.0
_BATCH = 500
_PACKAGE = re.compile(r"^\s*package\s+gnomon\s*$", re.MULTILINE)
_RULES = re.compile(r"^(?:default\s+)?(?:permit|allow)\b", re.MULTILINE)
_MESSAGE = re.compile(r"\(errormsg \d+:([^)]*)\)")


class RegoEngine:
    """One Rego module and the process that evaluates it, which ends with this object."""

    def __init__(self, text: str, seconds: float = SECONDS) -> None:
        """Compile it. ``seconds`` is the longest that a batch of questions may take. PolicyError where it is wrong."""
        if not _PACKAGE.search(text):
            raise PolicyError("the module must be `package gnomon`")
        if not _RULES.search(text):
            raise PolicyError("the module allows nobody anything: define the set permit, or allow")
        self._text = text
        self._seconds = seconds
        self._mentions = mentions_of(text)
        self._lock = threading.Lock()
        self._worker = _Worker(text, seconds)

    def mentions(self) -> frozenset[str] | None:
        """What the module looks at, read off its words."""
        return self._mentions

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """A decision for each question. Where the interpreter ends or takes too long, those of a batch are denials."""
        decided: list[Decision] = []
        with self._lock:
            for at in range(0, len(questions), _BATCH):
                decided += self._decide(questions[at : at + _BATCH])
        return decided

    def _decide(self, questions: Sequence[Question]) -> list[Decision]:
        try:
            answers = self._worker.ask([input_of(one) for one in questions])
        except OSError as error:
            self._worker.close()
            with contextlib.suppress(PolicyError):
                self._worker = _Worker(self._text, self._seconds)
            return [failed(f"the Rego interpreter failed: {error}")] * len(questions)
        return [failed(one["error"]) if "error" in one else decision_of(one["answer"]) for one in answers]


class _Worker:
    """The process, and a pipe each way."""

    def __init__(self, text: str, seconds: float) -> None:
        self._seconds = seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router.policy.engines.rego_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.close = weakref.finalize(self, _end, self._process)
        self._rest = b""
        try:
            problem = self.ask(text)
        except OSError as error:
            self.close()
            raise PolicyError(f"the module makes the Rego interpreter fail: {error}") from error
        if problem is not None:
            self.close()
            found = _MESSAGE.findall(problem) or [problem]
            raise PolicyError(f"the module is not Rego: {' '.join(found[0].split())}", found)

    def ask(self, value: object) -> Any:
        """Send a line and wait for its answer. OSError where none comes."""
        until = time.monotonic() + self._seconds
        assert self._process.stdin is not None
        self._process.stdin.write(dump(value))
        self._process.stdin.flush()
        return json.loads(self._line(until))

    def _line(self, until: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise TimeoutError(f"no answer within {self._seconds:g} s")
            part = os.read(descriptor, 1 << 20)
            if not part:
                raise BrokenPipeError("it ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and close its pipes. It has nothing to save."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def load(version: PolicySet) -> RegoEngine:
    """The engine of a version. PolicyError where it cannot be used."""
    return RegoEngine(version.text)
