"""The errors of the router. Each text is one sentence for a person."""


class RouteError(ValueError):
    """An edit of a route that cannot be made. The text says why, and what would be possible."""


class GatewayError(RuntimeError):
    """A gateway that cannot be started or reached. The text names the setting or file to look at."""
