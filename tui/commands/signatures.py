"""``signature``: for people who teach gnomon a product. The work is in ``scanner.authoring``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.options import SignaturesOption
from tui.exits import CommandError, Exit
from tui.output import narrate, write_text
from tui.wiring import Options, check_scope, record_transcript, settings_of, try_signature

if TYPE_CHECKING:
    from inventory.model import Listener
    from inventory.settings import Settings

PublicOption = Annotated[
    bool, typer.Option("--allow-public", help="You are authorised to question this host, though its address is public.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    signature = typer.Typer(no_args_is_help=True, help="Teach gnomon a product; docs/signatures.md tells how.")
    signature.command("test")(try_out)
    signature.command("record")(record)
    app.add_typer(signature, name="signature")


def try_out(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, exists=True, help="The signature.")],
    against: Annotated[str, typer.Option(metavar="URL", help="A host that runs the product.")],
    signatures: SignaturesOption = None,
    allow_public: PublicOption = False,
) -> None:
    """Try a signature against a real host.

    Prints which of its signals held and which were missed, and what the host was found to be. The exit
    code is 1 where it was not found to be this product.

    Example: gnomon signature test lamp.yaml --against http://127.0.0.1:8000
    """
    settings, listener = _host(context.obj, against, signatures, allow_public=allow_public)
    trial = try_signature(settings, file, listener)
    lines = [f"held    {words}" for words in trial.held] + [f"missed  {words}" for words in trial.missed]
    lines += [f"asked   {one.method} {one.path} -> {one.status or one.outcome}" for one in trial.requests]
    lines.append(f"found   {', '.join(trial.identified) or 'nothing that speaks HTTP'}")
    write_text("\n".join(lines))
    if file.stem not in trial.identified:
        raise typer.Exit(Exit.FAILED)


def record(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="A host that runs the product.")],
    signatures: SignaturesOption = None,
    allow_public: PublicOption = False,
) -> None:
    """Question a real host, and write the transcript to stdout.

    Cookies, tokens, keys and dates are left out of it; look it over before you share it.

    Example: gnomon signature record http://127.0.0.1:8000 > lamp.yaml
    """
    settings, listener = _host(context.obj, url, signatures, allow_public=allow_public)
    typer.echo(record_transcript(settings, listener), nl=False)
    narrate("look it over before you share it: pages may hold names and addresses")


def _host(options: Options, url: str, signatures: Path | None, *, allow_public: bool) -> "tuple[Settings, Listener]":
    """The settings, and the one listener that a URL names, authorised as a scan would be."""
    from inventory.model import Listener, Scope, utc_now

    settings = settings_of(options, signatures)
    scope = Scope(name="authoring", targets=(url,), allow_public=allow_public, created_at=utc_now())
    run = check_scope(settings, scope)
    address, _, prefix = run.targets[0].partition("/") if len(run.targets) == 1 else ("", "", "")
    if len(run.ports) != 1 or prefix not in {"32", "128"}:
        raise CommandError(f"{url!r} names more than one host or port: write one such as http://127.0.0.1:8000")
    return settings, Listener(site=scope.site, address=address, port=run.ports[0])
