"""The Rego interpreter in a process of its own: rego-cpp ends its process where it meets what it cannot do.

It reads lines of JSON on stdin and answers each by a line on stdout: first the module's text, answered by null or what
is wrong with it, then lists of inputs, answered by the package's document for each. It ends with stdin.
"""

import json
import os
import sys
from typing import Any

from regopy import Input, Interpreter, RegoError


def main() -> None:
    """Serve one policy set until stdin ends."""
    # The interpreter prints what it thinks of a module; nothing but answers may be on this pipe.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        interpreter = Interpreter()
        try:
            interpreter.add_module("policies.rego", json.loads(sys.stdin.readline()))
            bundle = interpreter.build("answer := data.gnomon")
        except RegoError as error:
            answers.write(json.dumps(str(error)) + "\n")
            return
        answers.write("null\n" if bundle.ok() else '"it does not compile"\n')
        for line in sys.stdin:
            answers.write(json.dumps([_answer(interpreter, bundle, one) for one in json.loads(line)]) + "\n")


def _answer(interpreter: Interpreter, bundle: Any, document: Any) -> Any:
    """The package's document, or what went wrong as an object with ``error``."""
    try:
        interpreter.set_input(Input(document))
        output = interpreter.query_bundle(bundle)
        if not output.ok():
            return {"error": str(output)}
        return {"answer": output[0]["answer"]}
    except (RegoError, LookupError, ValueError) as error:
        return {"error": f"the policies have no answer: {error}"}


if __name__ == "__main__":
    main()
