"""What the settings say of the local Envoy."""

import json

from inventory.settings import Settings
from router.errors import GatewayError
from router.gateways.envoy.bootstrap import Start, certificate
from router.gateways.envoy.files import Files


def start_of(settings: Settings, files: Files) -> Start:
    """What is particular to the Envoy of these settings. GatewayError for a certificate without its key."""
    if (settings.gateway_certificate is None) != (settings.gateway_key is None):
        raise GatewayError("a certificate needs its key: set both gateway_certificate and gateway_key")
    if settings.gateway_client_ca is not None and settings.gateway_certificate is None:
        raise GatewayError("callers show certificates to a gateway that has one: set gateway_certificate too")
    return Start(
        node=settings.gateway_id,
        address=settings.gateway_address,
        port=settings.gateway_port,
        xds_socket=str(files.xds),
        admin_socket=str(files.admin),
        capture_file=str(files.capture),
        calls_file=str(files.calls),
        ask_socket=str(files.ask),
        authority_file=str(settings.gateway_client_ca.absolute()) if settings.gateway_client_ca else None,
        certificate_file=str(files.certificate) if settings.gateway_certificate else None,
        memory_bytes=settings.gateway_memory * 1024 * 1024,
        connections=settings.gateway_connections,
    )


def write_certificate(settings: Settings, files: Files) -> None:
    """Say where the certificate is that callers see. GatewayError where it cannot be read."""
    if settings.gateway_certificate is None or settings.gateway_key is None:
        return
    further = [settings.gateway_client_ca] if settings.gateway_client_ca is not None else []
    for path in (settings.gateway_certificate, settings.gateway_key, *further):
        try:
            path.read_bytes()
        except OSError as error:
            raise GatewayError(
                f"{path} cannot be read: {error.strerror}; see gateway_certificate, gateway_key and gateway_client_ca"
            ) from error
    form = certificate(str(settings.gateway_certificate.absolute()), str(settings.gateway_key.absolute()))
    files.certificate.write_text(json.dumps(form), encoding="utf-8")
