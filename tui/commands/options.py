"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tui.output import Format

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to write the answer to stdout.")]
WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept on record.")]
SignaturesOption = Annotated[
    Path | None,
    typer.Option("--signatures", metavar="DIR", file_okay=False, exists=True, help="A folder of further signatures."),
]
FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...",
        help='Terms such as kind:notebook posture:open -owner:* seen<7d risk>70 site:"lab a" or a word. '
        "Put -- before a term that begins with a hyphen.",
    ),
]


def filter_text(terms: list[str] | None) -> str:
    """The filter that the shell split into words, put together again.

    A word with a space in it was quoted for the shell, so it is quoted for the grammar.
    """
    return " ".join(_quoted(term) for term in terms or [])


def _quoted(term: str) -> str:
    if " " not in term or '"' in term:
        return term
    field, separator, value = term.partition(":")
    return f'{field}:"{value}"' if separator and field.lstrip("-").isalpha() else term
