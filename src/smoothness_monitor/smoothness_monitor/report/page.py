# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

MOVEMENTS_SHOWN = 60

_STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #66717e; --line: #e3e7ec; --blue: #1f5fa8; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 2px; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 36px 0 10px; font-weight: 650; }
h3 { font-size: 15px; margin: 22px 0 6px; font-weight: 600; color: var(--blue); }
p, li { max-width: 80ch; } .soft { color: var(--soft); }
.badge { display: inline-block; padding: 3px 12px; border-radius: 999px; font-weight: 600;
  font-size: 14px; color: #fff; background: #7d8793; }
.within { background: #2f855a; } .beyond { background: #b5333c; } .unclear { background: #b7791f; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px;
  margin: 20px 0; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.card b { display: block; font-size: 22px; font-weight: 650; letter-spacing: -0.01em; }
.card span { color: var(--soft); font-size: 13px; }
figure { margin: 18px 0; background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 12px; } figure img { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; border-bottom: 1px solid #f0f2f5; }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.bad { color: #b5333c; font-weight: 600; } td.unsure { color: #b7791f; font-weight: 600; }
ul { padding-left: 20px; } .note { border-left: 3px solid #b7791f; padding-left: 12px; }
@media print { body { background: #fff; } main { padding: 0; } }
"""

_BADGES = {"within limits": "within", "beyond limits": "beyond", "not clear": "unclear"}
_CLASSES = {"beyond limits": "bad", "not clear": "unsure"}

_DEFINITIONS = """
<h2>What the figures mean</h2>
<ul class="soft">
<li><b>Jerk of a command</b>: third divided difference of its positions, never more than the true
one. What happens between two samples is not seen, and a step shows the larger the faster the
recording: compare recordings of one rate only.</li>
<li><b>Measured jerk</b>: third derivative of a cubic fitted to a stretch of samples
(Savitzky-Golay). The <b>noise floor</b> is the standard deviation that the encoder's steps add to
it, the <b>bound</b> the most they can add. Encoders of some thousand ticks a turn cannot show
whether a jerk limit held.</li>
<li><b>SPARC</b>: spectral arc length of the joint speed over one movement; &minus;1.41 for a
minimum-jerk movement, less for a rougher one. Balasubramanian et al., J. NeuroEng. Rehabil.
12:112, 2015.</li>
<li><b>LDLJ</b>: log dimensionless jerk of the joint velocities over one movement; &minus;5.32 for
a minimum-jerk movement. For commands only: on measured velocities it says more of noise than of
motion. Same source.</li>
<li>Neither depends on how long a movement took. RMS and peak jerk do, strongly: compare them only
at the same duration.</li>
<li><b>Movement</b>: from rest to rest of all joints named, hands and wheels left out.</li>
</ul>
"""


def page(record: dict[str, Any], png: bytes) -> str:
    """Return the HTML of a report.

    Args:
        record: As `as_record` makes it.
        png: The picture.
    """
    name = PurePath(record["bag"]).name
    picture = base64.b64encode(png).decode("ascii")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Smoothness of {escape(name)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>Smoothness of {escape(name)}</h1>",
        f'<p class="soft">{escape(record["bag"])}</p>',
        _verdict(record),
        _notes(record),
        _cards(record),
        f'<figure><img alt="Positions, jerk, movements and time stamps over time" '
        f'src="data:image/png;base64,{picture}"></figure>',
        *(_stream(stream) for stream in record["streams"]),
        _DEFINITIONS,
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "&ndash;"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "&minus;")
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", "&minus;")
    return f"{value:#.{digits}g}".rstrip(".").replace("-", "&minus;") if value else "0"


def _verdict(record: dict[str, Any]) -> str:
    verdict = record["verdict"]
    robot = f" of {escape(record['robot'])}" if record["robot"] else ""
    badge = f'<span class="badge {_BADGES.get(verdict, "")}">{escape(verdict)}{robot}</span>'
    reasons = [escape(reason) for reason in record["reasons"]]
    if len(reasons) == 1:
        return f'<p>{badge} <span class="soft">{reasons[0]}</span></p>'
    more = len(reasons) - 8
    lines = "".join(f"<li>{reason}</li>" for reason in reasons[:8])
    tail = f"<li>and {more} more, in report.json</li>" if more > 0 else ""
    return f"<p>{badge}</p><ul>{lines}{tail}</ul>"


def _notes(record: dict[str, Any]) -> str:
    return "".join(f'<p class="note">{escape(note)}</p>' for note in record["notes"])


def _cards(record: dict[str, Any]) -> str:
    main = record["streams"][0]
    joints, time = main["joints"], main["time"]
    rms = [joint["jerk_rms_rad_s3"] for joint in joints if joint["jerk_rms_rad_s3"] is not None]
    worst = main["worst_moments"][0] if main["worst_moments"] else None
    sparcs = sorted(m["sparc"] for m in main["movements"] if m["sparc"] is not None)
    missing = {stream["topic"]: stream["time"]["missing"] for stream in record["streams"]}
    lost = sum(missing.values())
    what = "command" if main["role"] == "command" else "measured"
    cards = [
        (f"{_number(record['duration_s'])} s", "recorded"),
        (
            str(len(joints)),
            f"joints, {_number(1.0 / time['period_s'] if time['period_s'] else None)} Hz",
        ),
        (_number(max(rms) if rms else None), f"RMS jerk ({what}), worst joint, rad/s³"),
        (_number(abs(worst["jerk_rad_s3"]) if worst else None), f"peak jerk ({what}), rad/s³"),
        (str(len(main["movements"])), "movement" + "s" * (len(main["movements"]) != 1)),
        (_number(sparcs[len(sparcs) // 2] if sparcs else None), "SPARC, median"),
        (str(lost), "messages missing"),
    ]
    cells = "".join(
        f'<div class="card"><b>{big}</b><span>{small}</span></div>' for big, small in cards
    )
    return f'<div class="cards">{cells}</div>'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(
        "<tr>"
        + "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _stream(stream: dict[str, Any]) -> str:
    source = f", {stream['source']}" if stream["source"] else ""
    title = f'{escape(stream["topic"] + source)} <span class="soft">({stream["role"]})</span>'
    parts = [f"<h2>{title}</h2>", _joints(stream), _time(stream)]
    if stream["movements"]:
        parts.append(_movements(stream))
    if stream["worst_moments"]:
        parts.append(_worst(stream))
    return "\n".join(parts)


def _joints(stream: dict[str, Any]) -> str:
    verdicts = {(j["joint"], j["quantity"]): j for j in stream["judgements"]}
    command = stream["role"] == "command"

    def judged(joint: str, quantity: str, text: str) -> str:
        judgement = verdicts.get((joint, quantity))
        if judgement is None:
            return text
        kind = _CLASSES.get(judgement["verdict"], "")
        share = abs(judgement["value"] / judgement["limit"]) if judgement["limit"] else None
        note = "" if quantity == "position" or share is None else f" ({100.0 * share:.0f} %)"
        return f'<td class="{kind}">{text}{note}</td>'

    header = ["joint", "range, rad", "peak velocity, rad/s"]
    header += ["peak acceleration, rad/s²"] if command else []
    header += ["RMS jerk, rad/s³", "peak jerk, rad/s³"]
    header += ["jitter may add"] if command else ["noise floor", "bound", "encoder step, mrad"]
    rows = []
    for figures in stream["joints"]:
        name = figures["joint"]
        lowest, highest = figures["position_lowest_rad"], figures["position_highest_rad"]
        span = f"{_number(lowest)} to {_number(highest)}"
        row = [escape(name), judged(name, "position", span)]
        row.append(judged(name, "velocity", _number(figures["velocity_peak_rad_s"])))
        if command:
            acceleration = _number(figures["acceleration_peak_rad_s2"])
            row.append(judged(name, "acceleration", acceleration))
        row.append(_number(figures["jerk_rms_rad_s3"]))
        row.append(judged(name, "jerk", _number(figures["jerk_peak_rad_s3"])))
        if command:
            row.append(_number(figures["jerk_stamp_floor_rad_s3"]))
        else:
            row.append(_number(figures["jerk_noise_floor_rad_s3"]))
            row.append(_number(figures["jerk_quantisation_bound_rad_s3"]))
            step = figures["encoder_step_rad"]
            known = "" if figures["encoder_step_from_robot_file"] or step is None else " (seen)"
            row.append(_number(None if step is None else 1e3 * step) + known)
        rows.append(row)
    note = "" if not stream["judgements"] else " In brackets: share of the limit."
    window = f"{1e3 * stream['jerk_window_s']:.0f} ms"
    hint = f'<p class="soft">An estimate of jerk covers {window}.{note}</p>'
    return f"<h3>Joints</h3>{_table(header, rows)}{hint}"


def _time(stream: dict[str, Any]) -> str:
    time = stream["time"]
    facts = [
        f"{time['messages']} messages over {_number(time['duration_s'])} s, "
        f"{_number(1e3 * time['period_s'])} ms apart, jitter {_number(1e3 * time['jitter_s'])} ms",
        f"{time['missing']} missing in {time['gaps']} gaps, the longest "
        f"{_number(1e3 * time['longest_gap_s'])} ms",
        f"{time['repeated_stamps']} stamps repeated, {time['backward_stamps']} backwards"
        + ("; several publishers on one topic?" if time["backward_stamps"] > 5 else ""),
        f"{stream['missing_joint_values']} joint values missing, "
        f"{stream['values_not_finite']} not finite, "
        f"{stream['malformed_messages']} messages malformed",
        f"differences are taken over: {escape(time['clock'])}",
    ]
    return "<h3>Time</h3><ul>" + "".join(f"<li>{fact}</li>" for fact in facts) + "</ul>"


def _movements(stream: dict[str, Any]) -> str:
    shown = stream["movements"][:MOVEMENTS_SHOWN]
    rows = [
        [
            str(number),
            _number(movement["start_s"], 4),
            _number(movement["duration_s"]),
            _number(movement["path_rad"]),
            _number(movement["peak_speed_rad_s"]),
            _number(movement["sparc"]),
            _number(movement["ldlj"]),
            f'<td class="text soft">{escape(movement["undefined"] or "")}</td>',
        ]
        for number, movement in enumerate(shown, start=1)
    ]
    header = ["movement", "start, s", "duration, s", "path, rad", "peak speed, rad/s"]
    table = _table([*header, "SPARC", "LDLJ", ""], rows)
    more = len(stream["movements"]) - len(shown)
    tail = f'<p class="soft">and {more} more, in report.json</p>' if more else ""
    joints = escape(", ".join(stream["movement_joints"]))
    return f'<h3>Movements</h3><p class="soft">of {joints} together</p>{table}{tail}'


def _worst(stream: dict[str, Any]) -> str:
    limited = any(moment["share_of_limit"] is not None for moment in stream["worst_moments"])
    rows = [
        [
            escape(moment["joint"]),
            _number(moment["time_s"], 5),
            _number(moment["jerk_rad_s3"]),
            *([_number(moment["share_of_limit"])] if limited else []),
        ]
        for moment in stream["worst_moments"]
    ]
    header = ["joint", "at, s", "jerk, rad/s³"] + (["share of its limit"] if limited else [])
    return f"<h3>Worst moments</h3>{_table(header, rows)}"
