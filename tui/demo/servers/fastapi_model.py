"""The managed replacement: the same model on FastAPI, with a schema and a health check. ``ADDRESS PORT``."""

import sys
import time
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from tui.demo.servers.model import train


class Payment(BaseModel):
    """One card payment; amounts in euro, the hour of the day from 0 to 24."""

    amount: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    hour: Annotated[float, Field(ge=0, lt=24)]
    distance_km: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    account_days: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prediction(BaseModel):
    """The decision on a payment, and how long the model took in milliseconds."""

    decision: str
    probabilities: dict[str, float]
    took_ms: float


def make_app() -> FastAPI:
    """The application, with a freshly trained model."""
    app = FastAPI(title="payment risk", version="2.0.0")
    model = train()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    async def predict(payment: Payment, response: Response) -> Prediction:
        started = time.perf_counter()
        scored = model.score([payment.amount, payment.hour, payment.distance_km, payment.account_days])
        response.headers["X-Served-By"] = "fastapi"
        return Prediction(
            decision=scored.decision,
            probabilities=scored.probabilities,
            took_ms=round((time.perf_counter() - started) * 1000, 3),
        )

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), host=sys.argv[1], port=int(sys.argv[2]), access_log=False)
