"""A model that says nothing of itself: FastAPI with documentation and schema off. ``ADDRESS PORT``."""

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

from tui.demo.servers.model import FEATURES, Scored, train


class Batch(BaseModel):
    """Payments to score, each the list of its numbers."""

    instances: Annotated[
        list[Annotated[list[float], Field(min_length=len(FEATURES), max_length=len(FEATURES))]],
        Field(min_length=1, max_length=64),
    ]


def make_app() -> FastAPI:
    """The application, with a model of its own, trained on other payments."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    model = train(seed=11)

    @app.post("/score")
    async def score(batch: Batch) -> dict[str, list[Scored]]:
        return {"predictions": [model.score(payment) for payment in batch.instances]}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), host=sys.argv[1], port=int(sys.argv[2]), access_log=False)
