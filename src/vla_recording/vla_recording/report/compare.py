# SPDX-License-Identifier: Apache-2.0
"""Two recordings side by side, and what keeps them from being compared."""

from __future__ import annotations

from html import escape
from pathlib import PurePath
from typing import Any

from vla_recording.report.errors import ReportError
from vla_recording.report.style import document, items, number, table

# Rates that differ by less are one; so are durations and paths of movements.
_RATE, _DURATION = 0.05, 0.2
_FIGURES = (
    ("velocity_peak_{}_s", "peak velocity, {}/s"),
    ("acceleration_peak_{}_s2", "peak acceleration, {}/s²"),
    ("jerk_rms_{}_s3", "RMS jerk, {}/s³"),
    ("jerk_peak_{}_s3", "peak jerk, {}/s³"),
)


def compared(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of two records (of `as_record`) beside one another.

    Raises:
        ReportError: They have no joint of the same kind of stream in common.
    """
    pairs, left = [], list(after["streams"])
    for one in before["streams"]:
        own = {joint["joint"] for joint in one["joints"]}
        fitting = [
            other
            for other in left
            if other["role"] == one["role"]
            and other["unit"] == one["unit"]
            and own & {joint["joint"] for joint in other["joints"]}
        ]
        # Of several the one of the same name, then the one with most joints in common.
        fitting.sort(
            key=lambda other: (
                (other["topic"], other["source"]) != (one["topic"], one["source"]),
                -len(own & {joint["joint"] for joint in other["joints"]}),
            )
        )
        if fitting:
            left.remove(fitting[0])
            pairs.append(_pair(one, fitting[0]))
    if not pairs:
        raise ReportError(
            f"{before['bag']} and {after['bag']} have no joint in common that is commanded, or "
            "measured, in both"
        )
    return {
        "version": 1,
        "before": before["bag"],
        "after": after["bag"],
        "verdicts": [before["verdict"], after["verdict"]],
        "streams": pairs,
    }


def _pair(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    joints = []
    second = {joint["joint"]: joint for joint in other["joints"]}
    for joint in one["joints"]:
        match = second.get(joint["joint"])
        if match is None or match["unit"] != joint["unit"]:
            continue
        unit, figures = joint["unit"], {}
        for key, _ in _FIGURES:
            a, b = joint[key.format(unit)], match[key.format(unit)]
            ratio = b / a if a and b is not None else None
            figures[key.format(unit)] = {"before": a, "after": b, "ratio": ratio}
        joints.append({"joint": joint["joint"], "unit": unit, "figures": figures})
    movements = [_movements(stream) for stream in (one, other)]
    return {
        "topics": [_name(one), _name(other)],
        "role": one["role"],
        "joints": joints,
        "movements": movements,
        "caveats": _caveats(one, other, movements),
    }


def _name(stream: dict[str, Any]) -> str:
    return f"{stream['topic']}, {stream['source']}" if stream["source"] else stream["topic"]


def _movements(stream: dict[str, Any]) -> dict[str, Any]:
    found, unit = stream["movements"], stream["unit"]
    return {
        "count": len(found),
        "duration_s": _median([m["duration_s"] for m in found]),
        "path": _median([m[f"path_{unit}"] for m in found]),
        "sparc": _median([m["sparc"] for m in found]),
        "ldlj": _median([m["ldlj"] for m in found]),
    }


def _median(values: list[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None


def _caveats(
    one: dict[str, Any], other: dict[str, Any], movements: list[dict[str, Any]]
) -> list[str]:
    """Return why the figures of two streams do not mean the same."""
    lines = []
    periods = [stream["time"]["period_s"] for stream in (one, other)]
    if all(periods) and abs(periods[1] / periods[0] - 1.0) > _RATE:
        rates = [1.0 / period for period in periods]
        lines.append(
            f"sampled at {rates[0]:.3g} and {rates[1]:.3g} Hz: peaks of jerk and acceleration "
            "grow with the rate; compare SPARC and LDLJ only"
        )
    for key, what in (("duration_s", "last"), ("path", "are")):
        a, b = (movement[key] for movement in movements)
        if a and b and abs(b / a - 1.0) > _DURATION:
            unit = "s" if key == "duration_s" else f"{one['unit']} long"
            lines.append(
                f"movements {what} {a:.3g} and {b:.3g} {unit}: RMS and peak jerk fall with the "
                "third power of the duration; compare SPARC and LDLJ only"
            )
    for index, stream in enumerate((one, other)):
        seen = min((joint["jerk_seen"] for joint in stream["joints"]), default=0.0)
        if seen < 0.99:
            which = ("first", "second")[index]
            lines.append(
                f"the {which} recording shows jerk for {100.0 * seen:.3g} % of the time only"
            )
    clocks = [stream["time"]["clock"] for stream in (one, other)]
    if clocks[0] != clocks[1]:
        lines.append(f"times are of two kinds: {clocks[0]}; {clocks[1]}")
    return lines


def lines(record: dict[str, Any]) -> list[str]:
    """Return the comparison as lines of text."""
    result = []
    for pair in record["streams"]:
        result.append(f"{' -> '.join(dict.fromkeys(pair['topics']))} ({pair['role']})")
        result += [f"  not comparable: {line}" for line in pair["caveats"]]
        for joint in pair["joints"]:
            key = f"jerk_rms_{joint['unit']}_s3"
            a, b, ratio = (joint["figures"][key][k] for k in ("before", "after", "ratio"))
            if a is None or b is None:
                result.append(f"  {joint['joint']}: no estimate of jerk in one of them")
            else:
                share = f" ({ratio:.3g} times)" if ratio is not None else ""
                result.append(
                    f"  {joint['joint']}: RMS jerk {a:.3g} -> {b:.3g} {joint['unit']}/s³{share}"
                )
        a, b = pair["movements"]
        for key, what in (("sparc", "SPARC"), ("ldlj", "LDLJ")):
            if a[key] is not None and b[key] is not None:
                result.append(f"  {what}, median: {a[key]:.3g} -> {b[key]:.3g}")
    return result


def as_page(record: dict[str, Any]) -> str:
    """Return the comparison as HTML."""
    first, second = (PurePath(record[key]).name for key in ("before", "after"))
    parts = [
        f'<p class="soft">{escape(record["before"])} &rarr; {escape(record["after"])}</p>',
        *(_section(pair) for pair in record["streams"]),
    ]
    return document(f"{first} and {second}", parts)


def _section(pair: dict[str, Any]) -> str:
    title = " &rarr; ".join(escape(name) for name in dict.fromkeys(pair["topics"]))
    parts = [f'<h2>{title} <span class="soft">({pair["role"]})</span></h2>']
    if pair["caveats"]:
        caveats = items(pair["caveats"], 8)
        parts.append(f'<div class="open"><b>Not the same kind of figures</b>{caveats}</div>')
    for unit in dict.fromkeys(joint["unit"] for joint in pair["joints"]):
        chosen = [joint for joint in pair["joints"] if joint["unit"] == unit]
        keys = [
            (key.format(unit), what.format(unit))
            for key, what in _FIGURES
            if any(joint["figures"][key.format(unit)]["before"] is not None for joint in chosen)
        ]
        rows = [
            [
                escape(joint["joint"]),
                *(
                    f"{number(figure['before'])} &rarr; {number(figure['after'])}"
                    + (f" (&times; {number(figure['ratio'])})" if figure["ratio"] else "")
                    for figure in (joint["figures"][key] for key, _ in keys)
                ),
            ]
            for joint in chosen
        ]
        parts.append(table(["joint", *(what for _, what in keys)], rows))
    rows = [
        [
            what,
            str(movement["count"]),
            *(number(movement[key]) for key in ("duration_s", "path", "sparc", "ldlj")),
        ]
        for what, movement in zip(("before", "after"), pair["movements"], strict=True)
    ]
    header = ["movements", "count", "duration, s, median", "path", "SPARC", "LDLJ"]
    return "\n".join([*parts, "<h3>Movements</h3>", table(header, rows)])
