"""The chart of the end-to-end figures: bars as SVG, in colours that can be read on light and on dark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

_WIDTH, _ROW, _TOP, _FOOT = 760, 30, 56, 34
_NAMES, _BARS = 210, 300
_TEXT, _OURS, _OTHERS = "#768390", "#2f81f7", "#8b949e"
_FONT = "system-ui, sans-serif"


def chart(end_to_end: Mapping[str, Mapping[str, Any]], foot: str) -> str:
    """Claims a second of each candidate as a bar, CPU per claim beside it.

    Args:
        end_to_end: candidate → its figures, in the order wanted.
        foot: one line below.
    """
    height = _TOP + _ROW * len(end_to_end) + _FOOT
    title = "Claims per second of one process, and CPU per claim"
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height}",
            "width": str(_WIDTH),
            "height": str(height),
            "role": "img",
            "aria-label": title,
            "font-family": _FONT,
            "font-size": "13",
            "fill": _TEXT,
        },
    )
    _text(svg, 0, 20, title, **{"font-size": "15", "font-weight": "600"})
    most = max(figures["claims_per_second"] for figures in end_to_end.values())
    for row, (name, figures) in enumerate(end_to_end.items()):
        top = _TOP + row * _ROW
        middle = top + 14
        long = max(1.0, figures["claims_per_second"] / most * _BARS)
        ours = name.startswith("claimscrub")
        _text(svg, _NAMES - 12, middle, name, **{"text-anchor": "end", "font-weight": "600" if ours else "400"})
        ET.SubElement(
            svg,
            "rect",
            x=str(_NAMES),
            y=str(top),
            width=f"{long:.1f}",
            height="20",
            rx="3",
            fill=_OURS if ours else _OTHERS,
        )
        said = f"{figures['claims_per_second']:,.0f} claims/s, {figures['cpu_us_per_claim']:.0f} µs CPU"
        _text(svg, _NAMES + long + 8, middle, said)
    _text(svg, 0, height - 10, foot, **{"font-size": "11"})
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _text(svg: ET.Element, x: float, y: float, said: str, **attributes: str) -> None:
    ET.SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", **attributes}).text = said
