"""The report as one page that needs nothing from any other host. Pure."""

from importlib.metadata import version
from typing import Final

from tui.report.facts import Facts
from tui.report.markup import Html, tag, text
from tui.report.sections import moment, sections, summary

_STYLE: Final = Html(
    ":root{color-scheme:light dark;--ink:#1d2430;--paper:#fff;--faint:#667085;--line:#d8dde6;--good:#177245;"
    "--warn:#9a6700;--bad:#b42318}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--paper:#14181f;--faint:#98a2b3;--line:#2c3442;"
    "--good:#47cd89;--warn:#fdb022;--bad:#f97066}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:76rem;"
    "padding:0 1rem}h1{margin-bottom:0}h2{margin:2.5rem 0 0}"
    "h2+p,.rest,footer,header p{color:var(--faint);margin:.2rem 0 .8rem}"
    "table{border-collapse:collapse;width:100%;margin:.6rem 0;font-size:13.5px}"
    "th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top;"
    "overflow-wrap:break-word}th{color:var(--faint);font-weight:600}.n{text-align:right;white-space:nowrap}"
    ".cards{display:flex;flex-wrap:wrap;gap:1rem;margin:1.5rem 0}.card{border:1px solid var(--line);border-radius:6px;"
    "padding:.8rem 1.2rem;min-width:11rem;font-size:13.5px;color:var(--faint)}"
    ".card b{display:block;font-size:2rem;line-height:1.1;color:var(--ink)}.card span{display:block;color:var(--ink)}"
    ".bar{display:inline-block;width:9rem;height:.7rem;border:1px solid var(--line);border-radius:3px;overflow:hidden}"
    ".bar span{display:block;height:100%}.good{background:var(--good)}.warn{background:var(--warn)}"
    ".bad{background:var(--bad)}.spark{width:16rem;height:2.4rem}"
    ".spark path{fill:none;stroke:var(--good);stroke-width:1.5;vector-effect:non-scaling-stroke}"
    "@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(facts: Facts, title: str, author: str) -> str:
    """The whole document. No script, no link and no picture: it says the same wherever it is opened."""
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width">'),
        tag("title", title),
        tag("style", _STYLE),
    )
    made = tag("p", f"{moment(facts.since)} to {moment(facts.at)}, by {author} with gnomon {version('gnomon')}")
    parts = [text(tag("h2", name), tag("p", what), content) for name, what, content in sections(facts)]
    foot = tag("footer", "Figures come from scans that are listed above. What no scan told is unknown, and shown so.")
    body = tag("body", tag("header", tag("h1", title), made), summary(facts), tag("main", parts), foot)
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
