"""``issuers``, ``keys`` and ``tokens``: whose word on who calls is believed."""

import asyncio
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption, WhyOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import ApiKey, Attribute
    from inventory.store.issuers import Held

issuers = typer.Typer(name="issuers", help="Whose tokens are believed.", no_args_is_help=True)
keys = typer.Typer(name="keys", help="API keys: a bridge for callers that cannot do better yet.", no_args_is_help=True)
tokens = typer.Typer(name="tokens", help="Tokens that are no longer believed.", no_args_is_help=True)
REASON = "by command line"
LONGEST_DAYS = 366
REMEMBERED = timedelta(days=2)
"""How long a revoked caller is remembered: every token that was issued before has expired by then, as a rule."""

ISSUERS = (
    Column("NAME", "name"),
    Column("URL", "url"),
    Column("AUDIENCES", "audiences", rank=1),
    Column("KEYS", "keys", numeric=True),
    Column("FETCHED", "fetched", rank=2),
    Column("ERROR", "error"),
)
KEYS = (
    Column("ID", "id"),
    Column("OWNER", "owner"),
    Column("STATE", "state"),
    Column("EXPIRES", "expires"),
    Column("LAST USED", "used"),
    Column("ATTRIBUTES", "attributes", rank=1),
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The issuer's name here.")]
AttributesOption = Annotated[
    list[str] | None, typer.Option("--attribute", metavar="NAME=VALUE", help="May be given again.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    issuers.command("add")(add_issuer)
    issuers.command("list")(list_issuers)
    issuers.command("remove")(remove_issuer)
    issuers.command("refresh")(refresh)
    keys.command("create")(create_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    tokens.command("revoke")(revoke)
    for group in (issuers, keys, tokens):
        app.add_typer(group)


def add_issuer(
    context: typer.Context,
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="As its tokens say it (iss).")],
    audience: Annotated[list[str], typer.Option(metavar="NAME", help="A token for one of these is for us.")],
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=CLAIM", help="An attribute from a claim, dots for nesting.")
    ] = None,
    require: Annotated[
        list[str] | None, typer.Option(metavar="CLAIM=VALUE", help="Tokens must have it; again for other values.")
    ] = None,
    subject: Annotated[str, typer.Option(metavar="CLAIM", help="The claim that names a caller.")] = "sub",
    jwks: Annotated[str | None, typer.Option(metavar="URL", help="Its keys, where it has no discovery.")] = None,
    algorithm: Annotated[
        list[str] | None, typer.Option(metavar="ALG", help="RS256, PS256 and ES256 by default.")
    ] = None,
    leeway: Annotated[int, typer.Option(min=0, max=600, help="Seconds that clocks may be apart.")] = 60,
    why: WhyOption = REASON,
) -> None:
    """Believe the tokens of an issuer, such as Okta, Entra ID or Keycloak, and fetch its keys.

    Examples:
      gnomon issuers add okta https://lab.okta.example --audience models --attribute team=groups

      gnomon issuers add entra https://login.example/TENANT/v2.0 --audience api://models --subject oid

    """
    from pydantic import ValidationError

    from inventory.model import Issuer
    from router.identity.trust import OWN

    required: dict[str, tuple[str, ...]] = {}
    for claim, value in _pairs(require or (), "CLAIM=VALUE"):
        required[claim] = (*required.get(claim, ()), value)
    given: dict[str, Any] = {
        "name": name, "url": url, "audiences": tuple(audience), "jwks_url": jwks, "subject": subject,
        "attributes": dict(_pairs(attribute or (), "NAME=CLAIM")), "requires": required, "leeway_seconds": leeway,
    }  # fmt: skip
    if algorithm:
        given["algorithms"] = tuple(algorithm)
    try:
        issuer = Issuer.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise CommandError(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}") from error
    with workspace(context.obj) as here:
        from router.governing import token_url

        if name == OWN or url.rstrip("/") == token_url(here.settings):
            raise CommandError("gnomon's own tokens are believed by itself: name another issuer")
        here.store.issuers.put(issuer, who=here.settings.actor, why=why)
        _refresh(here, [name])


def list_issuers(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the issuers that are believed, how old their keys are, and why they could not be fetched.

    Example: gnomon issuers list
    """
    with workspace(context.obj) as here:
        rows = [_issuer_row(one, form) for one in here.store.issuers.held()]
    write_rows(rows, ISSUERS, form)


def _issuer_row(one: "Held", form: Format) -> dict[str, Any]:
    told = one.issuer.model_dump(mode="json")
    fetched = one.fetched_at
    if form is Format.JSON:
        return {**told, "keys": len(one.keys.get("keys", ())), "fetched_at": fetched, "error": one.error}
    return {
        "name": told["name"],
        "url": told["url"],
        "audiences": ", ".join(one.issuer.audiences),
        "keys": len(one.keys.get("keys", ())),
        "fetched": f"{fetched:%Y-%m-%d %H:%M}" if fetched else "never",
        "error": one.error,
    }


def remove_issuer(context: typer.Context, name: NameArgument, why: WhyOption = REASON) -> None:
    """Believe an issuer's tokens no longer. Callers with such a token are nobody known, at once.

    Example: gnomon issuers remove okta --why 'moved to Entra ID'
    """
    with workspace(context.obj) as here:
        if not here.store.issuers.remove(name, who=here.settings.actor, why=why):
            raise CommandError(f"there is no issuer {name!r}: `gnomon issuers list` lists them")


def refresh(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All of them, where none is named.")] = None,
) -> None:
    """Fetch the keys of an issuer now, or of all. `gnomon serve` does it by itself.

    Example: gnomon issuers refresh okta
    """
    with workspace(context.obj) as here:
        known = [one.name for one in here.store.issuers.list()]
        if name is not None and name not in known:
            raise CommandError(f"there is no issuer {name!r}: `gnomon issuers list` lists them")
        _refresh(here, known if name is None else [name])


def _refresh(here: Workspace, names: list[str]) -> None:
    from router.io.refresh import refresh as fetch

    failed = False
    for name in names:
        issuer = here.store.issuers.get(name)
        if issuer is None:
            continue
        asyncio.run(fetch(here.store, issuer))
        held = next(one for one in here.store.issuers.held() if one.issuer.name == name)
        failed |= held.error is not None
        narrate(f"{name}: {held.error}" if held.error else f"{name}: {len(held.keys['keys'])} keys")
    if failed:
        raise typer.Exit(Exit.INCOMPLETE)


def create_key(
    context: typer.Context,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Who answers for what uses it.")],
    days: Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="Until it expires.")] = 90,
    attribute: AttributesOption = None,
    why: WhyOption = REASON,
) -> None:
    """Make an API key, and write it to stdout once: it is not kept, only its digest.

    Its holder swaps it for tokens: `curl -d grant_type=client_credentials -d client_secret=KEY URL/token`.

    Example: gnomon keys create --owner risk --days 30 --attribute team=risk
    """
    from inventory.model import ApiKey, utc_now
    from router.identity.exchange import KEY_PREFIX, digest_of

    now = utc_now()
    key_id = secrets.token_hex(6)
    secret = f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=key_id,
        digest=digest_of(secret),
        owner=owner,
        attributes=_attributes(attribute or ()),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    with workspace(context.obj) as here:
        here.store.keys.add(key, who=here.settings.actor, why=why)
    write_text(secret)
    narrate(f"key {key_id} of {owner} expires on {key.expires_at:%Y-%m-%d}; it is shown this once")


def list_keys(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the keys. What still uses one is a gap: its calls are only as safe as a text that can be copied.

    Example: gnomon keys list
    """
    from inventory.model import utc_now

    now = utc_now()
    with workspace(context.obj) as here:
        known = here.store.keys.list()
    write_rows([_key_row(one, now, form) for one in known], KEYS, form)
    used = [one for one in known if one.last_used_at is not None and _state(one, now) == "valid"]
    if used and form is Format.TABLE:
        narrate(f"{len(used)} of {len(known)} are in use: {', '.join(f'{one.owner} ({one.id})' for one in used[:5])}")


def _key_row(key: "ApiKey", now: datetime, form: Format) -> dict[str, Any]:
    if form is Format.JSON:
        return key.model_dump(mode="json", exclude={"digest"}) | {"state": _state(key, now)}
    shown = (f"{name}={value if isinstance(value, str) else '/'.join(value)}" for name, value in key.attributes.items())
    return {
        "id": key.id,
        "owner": key.owner,
        "state": _state(key, now),
        "expires": f"{key.expires_at:%Y-%m-%d}",
        "used": f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
        "attributes": ", ".join(shown),
    }


def _state(key: "ApiKey", now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at <= now else "valid"


def revoke_key(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `gnomon keys list` shows it.")],
    why: WhyOption = REASON,
) -> None:
    """Believe a key no longer, nor the tokens that it was swapped for.

    Example: gnomon keys revoke 0a1b2c3d4e5f --why 'found in a notebook'
    """
    from inventory.model import Revocation, utc_now

    with workspace(context.obj) as here:
        who = here.settings.actor
        if not here.store.keys.revoke(key_id, who=who, why=why):
            raise CommandError(f"there is no key {key_id!r} that is valid: `gnomon keys list` lists them")
        now = utc_now()
        here.store.revocations.add(
            Revocation(kind="principal", value=f"key:{key_id}", at=now, until=now + REMEMBERED, who=who, why=why)
        )


def revoke(
    context: typer.Context,
    principal: Annotated[
        str | None, typer.Argument(metavar="[PRINCIPAL]", help="Whose tokens, by the caller's id.")
    ] = None,
    token: Annotated[str | None, typer.Option(metavar="JTI", help="One token, by its id (jti).")] = None,
    why: WhyOption = REASON,
) -> None:
    """Believe every token of a caller's that was issued until now no longer, or one token. Gateways follow at once.

    Examples:
      gnomon tokens revoke 'https://idp.example|ana' --why 'left the company'

      gnomon tokens revoke --token 9Qx3…

    """
    from inventory.model import Revocation, utc_now

    if (principal is None) == (token is None):
        raise CommandError("name a caller, or one token by --token")
    now = utc_now()
    with workspace(context.obj) as here:
        if principal is not None and principal.startswith("key:"):
            # A key is believed no longer for good, not only while this is remembered.
            here.store.keys.revoke(principal.removeprefix("key:"), who=here.settings.actor, why=why)
        here.store.revocations.add(
            Revocation.model_validate(
                {
                    "kind": "principal" if principal is not None else "token",
                    "value": principal or token or "",
                    "at": now,
                    "until": now + REMEMBERED,
                    "who": here.settings.actor,
                    "why": why,
                }
            )
        )


def _pairs(words: Iterable[str], form: str) -> list[tuple[str, str]]:
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise CommandError(f"{word!r} is not {form}")
        found.append((name, value))
    return found


def _attributes(words: Iterable[str]) -> "dict[str, Attribute]":
    return {name: tuple(value.split(",")) if "," in value else value for name, value in _pairs(words, "NAME=VALUE")}
