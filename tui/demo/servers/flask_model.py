"""The model nobody knows of: Flask's development server with ``POST /predict``. ``ADDRESS PORT``."""

import math
import sys
import time
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, jsonify, request

from tui.demo.servers.model import FEATURES, train


def make_app() -> Flask:
    """The application, with a freshly trained model."""
    app = Flask("payments")
    model = train()

    @app.get("/")
    def index() -> str:
        return "<h1>payment risk</h1><p>POST a payment to /predict</p>"

    @app.post("/predict")
    def predict() -> tuple[Response, int]:
        started = time.perf_counter()
        body: Any = request.get_json(silent=True)
        try:
            payment = [float(body[name]) for name in FEATURES]
        except (TypeError, KeyError, ValueError):
            return jsonify(error=f"a payment is a JSON object with the numbers {', '.join(FEATURES)}"), 400
        if not all(math.isfinite(number) for number in payment):
            return jsonify(error="the numbers of a payment are finite"), 400
        scored = model.score(payment)
        answer = jsonify(**asdict(scored), took_ms=round((time.perf_counter() - started) * 1000, 3))
        answer.headers["X-Served-By"] = "flask"
        return answer, 200

    return app


if __name__ == "__main__":
    make_app().run(host=sys.argv[1], port=int(sys.argv[2]), threaded=True)
