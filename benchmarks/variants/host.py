"""Serves the variants of one framework and server, with the real ones, in one process.

Run by ``benchmarks/variants/run.py`` with a Python that has the frameworks. Its argument is a file of variants as
JSON; it serves until it is ended.
"""

import asyncio
import json
import sys
import threading
from pathlib import Path

from apps import (
    APPS,
    aiohttp_app,
    cherrypy_serve,
    django_apps,
    payload,
    refused,
    reply_of,
    stdlib_serve,
    tornado_app,
)

ALONE = {"gunicorn", "gevent", "granian", "sanic"}


def wsgi_serve(server, v, app):
    if server == "waitress":
        from waitress.server import create_server

        threading.Thread(
            target=create_server(app, host=v["address"], port=v["port"], threads=2).run, daemon=True
        ).start()
    elif server == "werkzeug":
        from werkzeug.serving import make_server

        threading.Thread(
            target=make_server(v["address"], v["port"], app, threaded=True).serve_forever, daemon=True
        ).start()
    else:
        raise SystemExit(f"{server} has a process of its own")


async def asgi_serve(server, pairs):
    tasks = []
    if server == "uvicorn":
        import uvicorn

        for v, app in pairs:
            one = uvicorn.Server(
                uvicorn.Config(app, host=v["address"], port=v["port"], log_level="error", lifespan="off")
            )
            one.install_signal_handlers = lambda: None
            tasks.append(asyncio.create_task(one._serve()))
    else:
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        for v, app in pairs:
            config = Config()
            config.bind = [f"{v['address']}:{v['port']}"]
            config.errorlog = config.accesslog = None
            tasks.append(asyncio.create_task(serve(app, config, shutdown_trigger=asyncio.Event().wait)))
    await asyncio.gather(*tasks)


def alone(v):
    """gunicorn, gevent, granian and sanic want the process for themselves."""
    server, framework = v["server"], v["framework"]
    app = django_apps([v]) if framework == "django" else None if framework == "sanic" else APPS[framework](v)
    if server == "gunicorn":
        from gunicorn.app.base import BaseApplication

        class One(BaseApplication):
            def load_config(self):
                self.cfg.set("bind", f"{v['address']}:{v['port']}")
                self.cfg.set("loglevel", "error")

            def load(self):
                return app

        One().run()
    elif server == "gevent":
        from gevent.pywsgi import WSGIServer

        WSGIServer((v["address"], v["port"]), app, log=None).serve_forever()
    elif server == "waitress":
        from waitress import serve

        serve(app, host=v["address"], port=v["port"], threads=2)
    elif server == "granian":
        from granian.server.embed import Server

        asyncio.run(Server(app, address=v["address"], port=v["port"], interface="asgi").serve())
    elif server == "sanic":
        sanic_serve(v)


def sanic_serve(v):
    from sanic import Sanic
    from sanic.response import raw

    app = Sanic(v["name"].replace("-", "_").replace(".", "_"))
    for number, (path, methods) in enumerate(reply_of(v["routes"]).items()):

        async def view(request, methods=methods):
            if request.method == "POST" and refused(v, request.headers):
                return raw(b"key", status=401)
            body, media = payload(methods[request.method])
            return raw(body.encode(), content_type=media)

        app.add_route(view, path, methods=list(methods), name=f"v{number}")
    app.run(host=v["address"], port=v["port"], single_process=True, access_log=False, motd=False)


async def aiohttp_serve(variants):
    from aiohttp import web

    for v in variants:
        runner = web.AppRunner(aiohttp_app(v))
        await runner.setup()
        await web.TCPSite(runner, v["address"], v["port"]).start()
    await asyncio.Event().wait()


async def tornado_serve(variants):
    for v in variants:
        tornado_app(v).listen(v["port"], v["address"])
    await asyncio.Event().wait()


def main():
    variants = json.loads(Path(sys.argv[1]).read_text())
    framework, server = variants[0]["framework"], variants[0]["server"]
    if server in ALONE or framework == "django":
        alone(variants[0])
    elif framework in {"cherrypy", "http.server"}:
        {"cherrypy": cherrypy_serve, "http.server": stdlib_serve}[framework](variants)
    elif framework in {"aiohttp", "tornado"}:
        asyncio.run({"aiohttp": aiohttp_serve, "tornado": tornado_serve}[framework](variants))
    elif server in {"uvicorn", "hypercorn"}:
        asyncio.run(asgi_serve(server, [(v, APPS[framework](v)) for v in variants]))
    else:
        for v in variants:
            wsgi_serve(server, v, APPS[framework](v))
    threading.Event().wait()


if __name__ == "__main__":
    main()
