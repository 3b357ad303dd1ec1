"""Amazon's side for tests: an endpoint in moto's cloud, and a proxy in front of it that puts faults on the wire."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SAGEMAKER_READS = {
    "ListEndpoints", "DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel", "ListTags",
    "GetAccountAuthorizationDetails",
}  # fmt: skip


def sagemaker_endpoint(sagemaker: Any, name: str, **parts: Any) -> None:
    container = {"Image": "registry/iris:3", "ModelDataUrl": f"s3://bucket/{name}"}
    role = "arn:aws:iam::123456789012:role/run"
    sagemaker.create_model(ModelName=f"{name}-m", PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {
        "VariantName": "live",
        "ModelName": f"{name}-m",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-c", ProductionVariants=[variant | {"InitialVariantWeight": 1}], **parts
    )
    tags = [{"Key": "Team", "Value": "ana"}]
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-c", Tags=tags)


class Between:
    """A proxy in front of the cloud, over HTTP: ``fault`` answers in its place, by operation, or lets it answer."""

    def __init__(self, cloud: str) -> None:
        self.fault: Callable[[str], tuple[int, bytes, int] | None] = lambda operation: None
        self.asked: list[str] = []
        between = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or "Query"
                between.asked.append(operation)
                status, answer, length = between.fault(operation) or self._passed_on(body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1" if operation != "Query" else "text/xml")
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer)
                self.close_connection = True

            def _passed_on(self, body: bytes) -> tuple[int, bytes, int]:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                try:
                    with urllib.request.urlopen(urllib.request.Request(f"{cloud}{self.path}", body, headers)) as given:
                        answer = given.read()
                        return given.status, answer, len(answer)
                except urllib.error.HTTPError as error:
                    with error:
                        answer = error.read()
                        return error.code, answer, len(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def aws_error(code: str) -> tuple[int, bytes, int]:
    body = json.dumps({"__type": code, "message": "planted"}).encode()
    return 400, body, len(body)
