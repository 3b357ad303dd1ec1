"""An ordinary web service that looks like the shadow model from outside: a Flask shop. ``ADDRESS PORT``."""

import sys
from typing import NamedTuple

from flask import Flask, Response, jsonify, request


class Item(NamedTuple):
    """Something for sale; the price in cents."""

    name: str
    price: int


ITEMS = {
    "mug": Item("Enamel mug", 1250),
    "lamp": Item("Reading lamp", 4900),
    "clock": Item("Wall clock", 3300),
}


def make_app() -> Flask:
    """The application, with an empty basket."""
    app = Flask("shop")
    basket: dict[str, int] = {}

    @app.get("/")
    def front() -> str:
        rows = "".join(f"<li>{item.name}: {item.price / 100:.2f} euro</li>" for item in ITEMS.values())
        return f"<!doctype html><title>The corner shop</title><h1>The corner shop</h1><ul>{rows}</ul>"

    @app.get("/api/items")
    def items() -> Response:
        return jsonify({key: item._asdict() for key, item in ITEMS.items()})

    @app.post("/api/basket")
    def add() -> tuple[Response, int]:
        body = request.get_json(silent=True)
        key = body.get("item") if isinstance(body, dict) else None
        if key not in ITEMS:
            return jsonify(error=f"the items are {', '.join(ITEMS)}"), 400
        basket[key] = basket.get(key, 0) + 1
        total = sum(ITEMS[name].price * count for name, count in basket.items())
        return jsonify(basket=basket, total=total), 201

    return app


if __name__ == "__main__":
    make_app().run(host=sys.argv[1], port=int(sys.argv[2]), threaded=True)
