"""The variants as applications of each framework: routes from data, nothing else. Imported by ``host.py``."""

import json
import threading


def reply_of(routes):
    """Routes by path, each with its methods' answers."""
    table = {}
    for route in routes:
        for method in route["methods"]:
            table.setdefault(route["path"], {})[method] = route
    return table


def payload(route):
    gives = route["gives"]
    return (gives if isinstance(gives, str) else json.dumps(gives)), route["media"]


def refused(v, headers):
    return v["keyed"] and headers.get("x-api-key") != "lab"


def flask_app(v, maker=None):
    import flask

    app = (maker or flask).Flask(v["name"].replace("-", "_"))
    for path, methods in reply_of(v["routes"]).items():

        def view(methods=methods):
            route = methods.get(flask.request.method) or methods.get("GET")
            if "POST" in methods and refused(v, flask.request.headers):
                return flask.Response('{"error":"key"}', 401, mimetype="application/json")
            body, media = payload(route)
            return flask.Response(body, route["status"], mimetype=media)

        app.add_url_rule(path, f"v{len(app.view_functions)}", view, methods=list(methods))
    if v["json404"]:
        app.register_error_handler(404, lambda _: (flask.jsonify(error="not found"), 404))
    if v["walled"]:
        app.before_request(
            lambda: (
                None
                if flask.request.headers.get("authorization")
                else flask.Response("no", 401, {"WWW-Authenticate": "Bearer"})
            )
        )
    return app


def quart_app(v):
    import quart

    app = quart.Quart(v["name"].replace("-", "_"))
    for path, methods in reply_of(v["routes"]).items():

        async def view(methods=methods):
            route = methods.get(quart.request.method) or methods.get("GET")
            if "POST" in methods and refused(v, quart.request.headers):
                return quart.Response('{"error":"key"}', 401, mimetype="application/json")
            body, media = payload(route)
            return quart.Response(body, route["status"], mimetype=media)

        app.add_url_rule(path, f"v{len(app.view_functions)}", view, methods=list(methods))
    if v["json404"]:

        async def missing(_):
            return quart.jsonify(error="not found"), 404

        app.register_error_handler(404, missing)
    return app


def fields_model(name, takes):
    from pydantic import create_model

    kinds = {"floats": list[float], "rows": list[list[float]], "str": str, "float": float}
    return create_model(name, **{field: (kinds[kind], ...) for field, kind in takes.items()})


def fastapi_app(v):
    from fastapi import Depends, FastAPI, Header, HTTPException
    from fastapi.responses import JSONResponse

    app = FastAPI(title=v["title"], openapi_url=v["openapi"], docs_url=v["docs"], redoc_url=None, root_path=v["proxy"])

    def key(x_api_key: str | None = Header(default=None)):
        if v["keyed"] and x_api_key != "lab":
            raise HTTPException(401)

    for number, (path, methods) in enumerate(reply_of(v["routes"]).items()):
        for method, entry in methods.items():
            guards = [Depends(key)] if method == "POST" and v["keyed"] else []
            app.add_api_route(path, fastapi_view(number, path, method, entry), methods=[method], dependencies=guards)
    if v["json404"]:
        app.add_exception_handler(404, lambda request, error: JSONResponse({"error": "not found"}, 404))
    if v["walled"]:
        app.middleware("http")(asgi_wall)
    if v["mount"]:
        parent = FastAPI(openapi_url=None)
        parent.mount(v["mount"], app)
        return parent
    return app


def fastapi_view(number, path, method, entry):
    from fastapi import Response

    body, media = payload(entry)

    def reading():
        return Response(body, media_type=media)

    def taking(data):
        return Response(body, media_type=media)

    view = reading
    if method == "POST" and entry["takes"]:
        view = taking
        view.__annotations__ = {"data": fields_model(f"In{number}", entry["takes"])}
    view.__name__ = "run_" + path.strip("/").replace("/", "_").replace("-", "_")
    return view


async def asgi_wall(request, following):
    from starlette.responses import Response

    if "authorization" not in request.headers:
        return Response("no", 401, {"WWW-Authenticate": "Bearer"})
    return await following(request)


def starlette_app(v):
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    routes = []
    for path, methods in reply_of(v["routes"]).items():

        async def view(request, methods=methods):
            if request.method == "POST" and refused(v, request.headers):
                return Response("key", 401)
            body, media = payload(methods.get(request.method) or methods["GET"])
            return Response(body, media_type=media)

        routes.append(Route(path, view, methods=list(methods)))
    guards = [Middleware(BaseHTTPMiddleware, dispatch=asgi_wall)] if v["walled"] else []
    missing = {404: lambda request, error: JSONResponse({"error": "not found"}, 404)} if v["json404"] else {}
    return Starlette(routes=routes, exception_handlers=missing, middleware=guards)


def litestar_app(v):
    from litestar import Litestar, Response, route
    from litestar.openapi import OpenAPIConfig

    def reading(body, media):
        async def view() -> Response:
            return Response(body, media_type=media)

        return view

    def taking(body, media, model):
        async def view(data) -> Response:
            return Response(body, media_type=media)

        view.__annotations__ = {"data": model, "return": Response}
        return view

    handlers = []
    for path, methods in reply_of(v["routes"]).items():
        for method, entry in methods.items():
            model = fields_model(f"In{len(handlers)}", entry["takes"] or {"name": "str"})
            view = taking(*payload(entry), model) if method == "POST" else reading(*payload(entry))
            view.__name__ = f"view{len(handlers)}"
            handlers.append(route(path, http_method=[method], sync_to_thread=None)(view))
    config = OpenAPIConfig(title=v["title"], version="1", path="/schema") if v["openapi"] else None
    return Litestar(handlers, openapi_config=config)


def bottle_app(v):
    import bottle

    app = bottle.Bottle()
    for path, methods in reply_of(v["routes"]).items():
        for method, route in methods.items():

            def view(route=route):
                body, media = payload(route)
                if "POST" in route["methods"] and refused(v, bottle.request.headers):
                    return bottle.HTTPResponse("key", 401)
                return bottle.HTTPResponse(body, 200, {"Content-Type": media})

            app.route(path, method, view)
    if v["json404"]:

        def missing(_):
            bottle.response.content_type = "application/json"
            return '{"error":"not found"}'

        app.error(404)(missing)
    return app


def falcon_app(v):
    import falcon

    app = falcon.App()
    for path, methods in reply_of(v["routes"]).items():
        members = {}
        for method, route in methods.items():

            def on(self, request, response, route=route):
                if request.method == "POST" and v["keyed"] and request.get_header("x-api-key") != "lab":
                    raise falcon.HTTPUnauthorized
                response.text, response.content_type = payload(route)

            members[f"on_{method.lower()}"] = on
        app.add_route(path, type("Resource", (), members)())
    return app


def django_apps(variants):
    """Django has one configuration a process: a process for each."""
    (v,) = variants
    from django.conf import settings

    settings.configure(
        SECRET_KEY="x" * 40,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DEBUG=False,
        USE_I18N=False,
        INSTALLED_APPS=["rest_framework"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "UNAUTHENTICATED_USER": None,
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
    )
    import django
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path as route_path

    django.setup()
    from rest_framework.response import Response
    from rest_framework.views import APIView

    global urlpatterns, handler404
    urlpatterns = []
    for path, methods in reply_of(v["routes"]).items():
        if any(r["media"] == "text/html" for r in methods.values()):
            body, media = payload(methods["GET"])

            def view(request, body=body, media=media):
                return HttpResponse(body, content_type=media)

            urlpatterns.append(route_path(path.lstrip("/"), view))
            continue
        members = {}
        for method, entry in methods.items():

            def handle(self, request, entry=entry):
                if request.method == "POST" and refused(v, request.headers):
                    return Response({"detail": "key"}, 401)
                return Response(entry["gives"])

            members[method.lower()] = handle
        urlpatterns.append(route_path(path.lstrip("/"), type("Service", (APIView,), members).as_view()))
    return get_wsgi_application()


def aiohttp_app(v):
    from aiohttp import web

    app = web.Application()
    for path, methods in reply_of(v["routes"]).items():
        for method, route in methods.items():

            async def view(request, route=route):
                if request.method == "POST" and refused(v, request.headers):
                    return web.Response(status=401)
                body, media = payload(route)
                return web.Response(text=body, content_type=media)

            app.router.add_route(method, path, view)
    return app


def tornado_app(v):
    import tornado.web

    handlers = []
    for path, methods in reply_of(v["routes"]).items():
        members = {}
        for method, route in methods.items():

            def handle(self, route=route):
                if self.request.method == "POST" and refused(v, self.request.headers):
                    self.set_status(401)
                    return
                body, media = payload(route)
                self.set_header("Content-Type", media)
                self.write(body)

            members[method.lower()] = handle
        handlers.append((path, type("Handler", (tornado.web.RequestHandler,), members)))
    return tornado.web.Application(handlers)


def cherrypy_serve(variants):
    import cherrypy
    from cherrypy import _cptree

    for v in variants:
        members = {}
        for path, methods in reply_of(v["routes"]).items():
            name = path.strip("/") or "index"

            def page(self, *rest, _methods=methods, **_):
                if rest:
                    raise cherrypy.NotFound
                route = _methods.get(cherrypy.request.method)
                if route is None:
                    cherrypy.response.headers["Allow"] = ", ".join(_methods)
                    raise cherrypy.HTTPError(405)
                body, media = payload(route)
                cherrypy.response.headers["Content-Type"] = media
                return body.encode()

            page.exposed = True
            if "/" not in name:
                members[name.replace("-", "_")] = page
        tree = _cptree.Tree()
        tree.mount(type("Root", (), members)(), "/")
        from cheroot.wsgi import Server

        server = Server((v["address"], v["port"]), tree)
        server.prepare()
        threading.Thread(target=server.serve, daemon=True).start()


def stdlib_serve(variants):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    for v in variants:
        table = reply_of(v["routes"])

        def answer(self, table=table):
            methods = table.get(self.path.partition("?")[0])
            route = methods.get(self.command) if methods else None
            body, media = payload(route) if route else ('{"error": "not found"}', "application/json")
            self.send_response(200 if route else 405 if methods else 404)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        handler = type(
            "Handler", (BaseHTTPRequestHandler,), {"do_GET": answer, "do_POST": answer, "log_message": lambda *a: None}
        )
        threading.Thread(
            target=ThreadingHTTPServer((v["address"], v["port"]), handler).serve_forever, daemon=True
        ).start()


APPS = {
    "flask": flask_app,
    "quart": quart_app,
    "fastapi": fastapi_app,
    "starlette": starlette_app,
    "litestar": litestar_app,
    "bottle": bottle_app,
    "falcon": falcon_app,
}
