"""The chart of an incident as PNG, for channels that show pictures and no SVG."""

import importlib
import importlib.util
import io
from collections.abc import Mapping
from typing import Any

from copilot.surfaces.console.chart import Chart, MarkKind

SCALE = 2
"""Pixels for one of the chart's: a phone shows two or three for one of a page."""

MOST_BYTES = 1_000_000
"""Of a picture. The least of what channels take is 1 MB: a robot's of DingTalk."""

_TEXT, _LABEL = 19, 36
"""Size of letters: 9 pixels of a phone 360 wide; and most of them of a label."""

_INK, _QUIET, _LINE, _BAND = "#1a1f27", "#57606c", "#0b57b0", "#cfe0f4"
_MARKS: Mapping[MarkKind, tuple[str, str]] = {
    "onset": ("#b3161b", "onset"),
    "change": ("#6b2fa0", "change"),
    "alert": ("#8a5200", "alert"),
    "step": ("#156b34", "step"),
}
"""Colour and word; the letters that come with Pillow are Latin."""

Drawing = Any
"""Pillow's; it comes with the extra `plots`, and is loaded when something is drawn."""


def drawable() -> bool:
    """Whether pictures can be drawn here."""
    return importlib.util.find_spec("PIL") is not None


def png(chart: Chart) -> bytes:
    """The picture on white; empty where it is larger than channels take."""
    image = importlib.import_module("PIL.Image")
    size = (chart.width * SCALE, chart.height * SCALE)
    canvas = image.new("RGB", size, "white")
    _draw(importlib.import_module("PIL.ImageDraw").Draw(canvas), chart)
    target = io.BytesIO()
    canvas.quantize(64).save(target, "PNG", optimize=True)
    drawn = target.getvalue()
    return drawn if len(drawn) <= MOST_BYTES else b""


def _draw(on: Drawing, chart: Chart) -> None:
    font = importlib.import_module("PIL.ImageFont").load_default(_TEXT * SCALE)

    def text(x: float, y: float, said: str, colour: str, anchor: str) -> None:
        place = (x * SCALE, y * SCALE)
        on.rectangle(on.textbbox(place, said, font=font, anchor=anchor), fill="white")
        on.text(place, said, fill=colour, font=font, anchor=anchor)

    for row in chart.rows:
        if row.band is not None:
            top, tall = row.band
            box = (8, top, chart.width - 8, top + max(tall, 1.5))
            on.rectangle([one * SCALE for one in box], fill=_BAND)
        for points in row.points:
            places = [tuple(map(float, one.split(","))) for one in points.split()]
            on.line([(x * SCALE, y * SCALE) for x, y in places], fill=_LINE, width=2 * SCALE)
    for kind, x in chart.marks:
        colour, _ = _MARKS[kind]
        for top in range(20, chart.height - 36, 8):
            on.line([(x * SCALE, top * SCALE), (x * SCALE, (top + 5) * SCALE)], colour, SCALE)
    for row in chart.rows:
        label = ascii_only(row.label)[:_LABEL]
        text(8, row.top + 4, label, _INK, "lm")
        said = f"{row.low} to {row.high}, last {row.last} {ascii_only(row.unit)[:12]}"
        text(chart.width - 8, row.top + 4, said, _QUIET, "rm")
    for number, (x, at) in enumerate(chart.ticks):
        anchor = "lm" if number == 0 else "rm" if number + 1 == len(chart.ticks) else "mm"
        text(x, chart.height - 30, at, _QUIET, anchor)
    for number, (colour, word) in enumerate(_MARKS.values()):
        text(8 + number * 110, chart.height - 9, f"| {word}", colour, "lm")
    text(chart.width - 8, chart.height - 9, "band: normal; UTC", _QUIET, "rm")


def ascii_only(text: str) -> str:
    """Text in letters that are there; others are a question mark."""
    return text.encode("ascii", "replace").decode()
