"""The report about what differs: one HTML file that asks for nothing from outside, for screens, phones and paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from worker.console import words
from worker.diff import Diff, Difference, Kind, RuleSum, Sum
from worker.diff_report import NO_PAYER, by_claims, in_words, said_of

_CLASSES: Mapping[Kind, str] = {
    "newly flagged": "flagged",
    "newly cleared": "cleared",
    "newly dead letter": "dead",
    "no longer dead letter": "revived",
    "reasons changed": "changed",
}
_MOST_BARS = 25
_WIDTH = 1_000
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --card: #f6f7f9; --line: #d8dce2; --ink: #1b1f24; --dim: #57606a;
  --flagged: #c4321f; --cleared: #1f8a4c; --dead: #7a4fc9; --revived: #0e7490; --changed: #b07800; --would: #3566c7; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --card: #1d2127; --line: #363c45; --ink: #e8ebef;
  --dim: #a0a9b4; --flagged: #ff7b6b; --cleared: #4cc38a; --dead: #b597f5; --revived: #4fc3dc; --changed: #e3b341;
  --would: #82aaff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { margin: .3rem 0; }
.dim, th { color: var(--dim); font-weight: 400; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .6rem; margin: 1.2rem 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem;
  border-top: 4px solid var(--line); }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile.on.flagged { border-top-color: var(--flagged); } .tile.on.cleared { border-top-color: var(--cleared); }
.tile.on.dead { border-top-color: var(--dead); } .tile.on.revived { border-top-color: var(--revived); }
.tile.on.changed { border-top-color: var(--changed); } .tile.on.would { border-top-color: var(--would); }
.chart { display: grid; grid-template-columns: minmax(9rem, 18rem) 1fr max-content; gap: .35rem .9rem;
  align-items: center; margin-top: .6rem; }
.chart > div { display: contents; }
.name { overflow-wrap: anywhere; line-height: 1.3; }
.name small { display: block; color: var(--dim); }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; line-height: 1.3; }
.figure small { display: block; color: var(--dim); }
svg { display: block; width: 100%; height: 1.1rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
svg .flagged { fill: var(--flagged); } svg .cleared { fill: var(--cleared); } svg .would { fill: var(--would); }
svg .zero { fill: var(--line); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 .8em; }
.key:first-child { margin-left: 0; }
.key.flagged { background: var(--flagged); } .key.cleared { background: var(--cleared); }
.key { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
table { border-collapse: collapse; width: 100%; margin-top: .6rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { font-size: .85rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
td ul { margin: 0; padding: 0; list-style: none; }
td li { margin-bottom: .25rem; }
td:nth-child(2) { min-width: 13rem; }
td:nth-child(3), td.number, .kind { white-space: nowrap; }
.kind { font-weight: 600; }
.kind.flagged { color: var(--flagged); } .kind.cleared { color: var(--cleared); } .kind.dead { color: var(--dead); }
.kind.revived { color: var(--revived); } .kind.changed { color: var(--changed); }
@media (max-width: 44rem) {
  .chart { grid-template-columns: 1fr max-content; }
  .chart svg { grid-column: 1 / -1; grid-row: auto; order: 0; margin-bottom: .5rem; }
  .chart > div { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; }
  .chart svg { order: 3; }
  table, tbody, tr, td { display: block; }
  thead { position: absolute; clip-path: inset(50%); }
  tr { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .8rem; margin-bottom: .6rem; }
  td { border: 0; padding: .1rem 0; }
  td.number { text-align: left; }
  td:nth-child(2) { min-width: 0; }
  td[data-name]::before { content: attr(data-name) " "; color: var(--dim); }
}
@media print {
  :root { color-scheme: light; --ground: #fff; --card: #fff; --line: #bbb; --ink: #000; --dim: #444; --flagged: #c4321f;
    --cleared: #1f8a4c; --dead: #7a4fc9; --revived: #0e7490; --changed: #8a5e00; --would: #3566c7; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  tr, .tile, .chart > div { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


def html_report(found: Diff, most: int) -> bytes:
    """The report.

    Args:
        found: what is different.
        most: claims to list.
    """
    changed = len(found.differences)
    title = f"{words.count(changed)} of {words.count(found.compared.claims)} claims are decided differently"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # It needs nothing, so it may ask for nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>claimscrub: {title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<dl><dt>Before</dt><dd>{escape(said_of(found.before))}</dd>",
        f"<dt>After</dt><dd>{escape(said_of(found.after))}</dd></dl>",
        *_tiles(found),
        *_rules(found),
        *_payers(found),
        *_previews(found),
        *_claims(found, most),
        "</body></html>",
    ]
    return "\n".join(parts).encode()


def _tiles(found: Diff) -> Iterable[str]:
    yield '<div class="tiles">'
    for kind, each in found.kinds.items():
        yield _tile(kind, _CLASSES[kind], each.claims, words.amount(each.cents) if each.claims else "")
    yield _tile("unchanged", "", found.unchanged, "")
    for name, each in (("only before", found.only_before), ("only after", found.only_after)):
        if each.claims:
            yield _tile(name, "", each.claims, words.amount(each.cents))
    if found.would_flag_any.claims:
        each = found.would_flag_any
        yield _tile("would be flagged by previews", "would", each.claims, words.amount(each.cents))
    yield "</div>"


def _tile(name: str, kind: str, claims: int, charges: str) -> str:
    on = " on" if claims and kind else ""
    said = f' <span class="dim">{charges}</span>' if charges else ""
    return f'<div class="tile {kind}{on}"><span class="dim">{name}</span><b>{words.count(claims)}</b>{said}</div>'


_LEGEND = (
    '<p class="dim"><span class="key cleared"></span>newly cleared<span class="key flagged"></span>newly flagged;'
    " {}</p>"
)


def _rules(found: Diff) -> Iterable[str]:
    if not found.rules:
        return
    rules = by_claims(found)
    yield "<h2>By rule</h2>"
    yield _LEGEND.format("claims that an error of the rule moves; a claim may count for several rules")
    yield from _chart(
        [
            (rule_id, _rule_said(each), each.newly_cleared.claims, each.newly_flagged.claims, _moved(each))
            for rule_id, each in rules[:_MOST_BARS]
        ]
    )
    if len(rules) > _MOST_BARS:
        yield f'<p class="dim">{len(rules) - _MOST_BARS} more rules, which move fewer claims, are left out.</p>'


def _rule_said(each: RuleSum) -> str:
    changes = ", ".join(f"{words.count(count)} {kind}" for kind, count in sorted(each.changes.items()))
    return f"{each.name}\nfindings: {changes}"


def _moved(each: RuleSum) -> tuple[str, str]:
    return _minus_plus(each.newly_cleared, each.newly_flagged)


def _minus_plus(cleared: Sum, flagged: Sum) -> tuple[str, str]:
    sums = [
        (f"{sign}{words.count(each.claims)}", words.short_amount(each.cents))
        for sign, each in (("\N{MINUS SIGN}", cleared), ("+", flagged))
        if each.claims
    ]
    if not sums:
        return "no claim moves", ""
    return " ".join(count for count, _ in sums), " and ".join(amount for _, amount in sums)


def _payers(found: Diff) -> Iterable[str]:
    if not found.payers:
        return
    yield "<h2>By payer</h2>"
    yield _LEGEND.format("charges")
    rows = []
    for payer, kinds in sorted(found.payers.items(), key=lambda item: -sum(each.cents for each in item[1].values())):
        cleared, flagged = kinds["newly cleared"], kinds["newly flagged"]
        said = ", ".join(f"{words.count(each.claims)} {kind}" for kind, each in kinds.items() if each.claims)
        rows.append((payer or NO_PAYER, said, cleared.cents, flagged.cents, _minus_plus(cleared, flagged)))
    yield from _chart(rows)


def _previews(found: Diff) -> Iterable[str]:
    if not found.would_flag:
        return
    yield "<h2>Previews</h2>"
    yield '<p class="dim">Claims that are cleared, and that a rule in preview would flag if it were active.</p>'
    yield from _chart(
        [
            (rule_id, "", 0, each.claims, (words.count(each.claims), words.short_amount(each.cents)))
            for rule_id, each in sorted(found.would_flag.items(), key=lambda item: -item[1].claims)
        ],
        right="would",
    )


def _chart(rows: list[tuple[str, str, int, int, tuple[str, str]]], right: str = "flagged") -> Iterable[str]:
    """Bars that go from a common middle to the left and to the right, as far as there is anything on that side."""
    most_left, most_right = max(row[2] for row in rows), max(row[3] for row in rows)
    scale = _WIDTH / (most_left + most_right or 1)
    middle = most_left * scale
    yield '<div class="chart">'
    for name, said, to_left, to_right, (figure, small) in rows:
        width = to_left * scale
        bars = [
            f'<rect class="cleared" x="{middle - width:.1f}" y="2" width="{width:.1f}" height="12"/>',
            f'<rect class="{right}" x="{middle:.1f}" y="2" width="{to_right * scale:.1f}" height="12"/>',
            f'<rect class="zero" x="{min(middle, _WIDTH - 2):.1f}" y="0" width="2" height="16"/>',
        ]
        yield (
            f'<div><span class="name">{escape(name)}{_lines(said)}</span>'
            f'<svg viewBox="0 0 {_WIDTH} 16" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>'
            f'<span class="figure">{escape(figure)}{_lines(small)}</span></div>'
        )
    yield "</div>"


def _lines(said: str) -> str:
    return "".join(f"<small>{escape(line)}</small>" for line in said.splitlines())


def _claims(found: Diff, most: int) -> Iterable[str]:
    if not found.differences:
        return
    listed = found.largest(most)
    left_out = len(found.differences) - len(listed)
    yield "<h2>Claims</h2>"
    if left_out:
        yield (
            f'<p class="dim">{words.count(len(listed))} of {words.count(len(found.differences))}, by what changes and'
            f" then by charge; {words.count(left_out)} more are left out, and all are in what --json prints.</p>"
        )
    yield "<table><thead><tr><th>what changes</th><th>claim</th><th>payer</th>"
    yield '<th class="number">charge</th><th>findings</th></tr></thead><tbody>'
    yield from map(_claim, listed)
    yield "</tbody></table>"


def _claim(each: Difference) -> str:
    said = [*map(in_words, each.changes), *([each.reason] if each.reason else [])]
    charge = "" if each.charge is None else words.amount(each.charge)
    return (
        f'<tr><td class="kind {_CLASSES[each.kind]}">{each.kind}</td>'
        f'<td>{escape(each.claim_id)}<br><small class="dim">{escape(each.event_id)}</small></td>'
        f'<td data-name="payer">{escape(each.payer or NO_PAYER)}</td>'
        f'<td data-name="charge" class="number">{charge}</td>'
        f"<td><ul>{''.join(f'<li>{escape(line)}</li>' for line in said)}</ul></td></tr>"
    )
