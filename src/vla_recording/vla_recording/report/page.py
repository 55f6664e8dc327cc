# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from html import escape
from pathlib import PurePath
from typing import Any

from vla_recording.report.style import document, items, number, table

MOVEMENTS_SHOWN = 60
REASONS_SHOWN = 8

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


def page(record: dict[str, Any], png: bytes | None) -> str:
    """Return the HTML of a report.

    Args:
        record: As `as_record` makes it.
        png: The picture, or None for a page without one.
    """
    name = PurePath(record["bag"]).name
    picture = ""
    if png is not None:
        picture = (
            '<figure><img alt="Positions, jerk, movements and time stamps over time" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}"></figure>'
        )
    parts = [
        f'<p class="soft">{escape(record["bag"])}{_window(record)}</p>',
        _verdict(record),
        _open(record),
        _notes(record),
        _cards(record),
        picture,
        *(_stream(stream) for stream in record["streams"]),
        _DEFINITIONS,
    ]
    return document(f"Smoothness of {name}", parts)


def _window(record: dict[str, Any]) -> str:
    if record["from_s"] is None:
        return ""
    return f", from {number(record['from_s'])} s to {number(record['to_s'])} s by reception"


def _verdict(record: dict[str, Any]) -> str:
    verdict = record["verdict"]
    robot = f"{escape(record['robot'])}: " if record["robot"] else ""
    badge = f'<span class="badge {_BADGES.get(verdict, "")}">{robot}{escape(verdict)}</span>'
    reasons = record["reasons"]
    if len(reasons) == 1:
        return f'<p>{badge} <span class="soft">{escape(reasons[0])}</span></p>'
    return f"<p>{badge}</p>{items(reasons, REASONS_SHOWN)}"


def _open(record: dict[str, Any]) -> str:
    """Show what was not judged as large as what was."""
    lines = [line for line in record["not_judged"] if line not in record["reasons"]]
    if record["incomplete"] and not any(record["incomplete"] in r for r in record["reasons"]):
        lines.insert(0, f"what was not read: {record['incomplete']}")
    if not lines:
        return ""
    return f'<div class="open"><b>Not judged</b>{items(lines, REASONS_SHOWN)}</div>'


def _notes(record: dict[str, Any]) -> str:
    notes = list(record["notes"])
    for stream in record["streams"]:
        source = f", {stream['source']}" if stream["source"] else ""
        notes += [f"{stream['topic']}{source}: {line}" for line in stream["remarks"]]
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _cards(record: dict[str, Any]) -> str:
    main = record["streams"][0]
    joints, time, unit = main["joints"], main["time"], main["unit"]
    alike = [joint for joint in joints if joint["unit"] == unit]
    rms = [j[f"jerk_rms_{unit}_s3"] for j in alike if j[f"jerk_rms_{unit}_s3"] is not None]
    worst = next((m for m in main["worst_moments"] if m["unit"] == unit), None)
    peak = abs(worst[f"jerk_{unit}_s3"]) if worst else None
    sparcs = sorted(m["sparc"] for m in main["movements"] if m["sparc"] is not None)
    missing = {stream["topic"]: stream["time"]["missing"] for stream in record["streams"]}
    lost = sum(missing.values())
    what = "command" if main["role"] == "command" else "measured"
    cards = [
        (f"{number(record['duration_s'])} s", "recorded"),
        (
            str(len(joints)),
            f"joints, {number(1.0 / time['period_s'] if time['period_s'] else None)} Hz",
        ),
        (number(max(rms) if rms else None), f"RMS jerk ({what}), worst joint, {unit}/s³"),
        (number(peak), f"peak jerk ({what}), {unit}/s³"),
        (str(len(main["movements"])), "movement" + "s" * (len(main["movements"]) != 1)),
        (number(sparcs[len(sparcs) // 2] if sparcs else None), "SPARC, median"),
        (str(lost), "messages missing"),
    ]
    cells = "".join(
        f'<div class="card"><b>{big}</b><span>{small}</span></div>' for big, small in cards
    )
    return f'<div class="cards">{cells}</div>'


def _stream(stream: dict[str, Any]) -> str:
    source = f", {stream['source']}" if stream["source"] else ""
    title = f'{escape(stream["topic"] + source)} <span class="soft">({stream["role"]})</span>'
    parts = [f"<h2>{title}</h2>"]
    # Joints of one unit make one table.
    for unit in dict.fromkeys(joint["unit"] for joint in stream["joints"]):
        parts.append(_joints(stream, unit))
    parts.append(_time(stream))
    if stream["movements"]:
        parts.append(_movements(stream))
    if stream["worst_moments"]:
        parts.append(_worst(stream))
    return "\n".join(parts)


def _joints(stream: dict[str, Any], unit: str) -> str:
    verdicts = {(j["joint"], j["quantity"]): j for j in stream["judgements"]}
    command = stream["role"] == "command"
    chosen = [joint for joint in stream["joints"] if joint["unit"] == unit]

    def judged(joint: str, quantity: str, text: str) -> str:
        judgement = verdicts.get((joint, quantity))
        if judgement is None:
            return text
        kind, because = judgement["verdict"], judgement["because"]
        if kind == "not judged":
            return f'<td class="unsure" title="{escape(because or "")}">not judged</td>'
        share = abs(judgement["value"] / judgement["limit"]) if judgement["limit"] else None
        note = "" if quantity == "position" or share is None else f" ({100.0 * share:.0f} %)"
        hint = f' title="{escape(because)}"' if because else ""
        doubt = " ?" if kind == "not clear" else ""
        return f'<td class="{_CLASSES.get(kind, "")}"{hint}>{text}{note}{doubt}</td>'

    reported = any(joint[f"velocity_reported_peak_{unit}_s"] is not None for joint in chosen)
    encoder = not command and any(joint["encoder_step_rad"] is not None for joint in chosen)
    timed = any(joint[f"jerk_stamp_floor_{unit}_s3"] is not None for joint in chosen)
    header = ["joint", f"range, {unit}", f"peak velocity, {unit}/s"]
    header += [f"reported, {unit}/s"] if reported else []
    header += [f"peak acceleration, {unit}/s²"] if command else []
    header += [f"RMS jerk, {unit}/s³", f"peak jerk, {unit}/s³", "time seen"]
    header += ["late stamps may add"] if timed else []
    header += ["noise floor", "bound", "encoder step, mrad"] if encoder else []
    rows = []
    for joint in chosen:
        name = joint["joint"]
        lowest, highest = joint[f"position_lowest_{unit}"], joint[f"position_highest_{unit}"]
        span = "&ndash;" if lowest is None else f"{number(lowest)} to {number(highest)}"
        row = [escape(name), judged(name, "position", span)]
        row.append(judged(name, "velocity", number(joint[f"velocity_peak_{unit}_s"])))
        if reported:
            text = number(joint[f"velocity_reported_peak_{unit}_s"])
            if not joint["velocity_reported_fits"]:
                text += " (unlike the positions)"
            row.append(judged(name, "reported velocity", text))
        if command:
            text = number(joint[f"acceleration_peak_{unit}_s2"])
            row.append(judged(name, "acceleration", text))
        row.append(number(joint[f"jerk_rms_{unit}_s3"]))
        row.append(judged(name, "jerk", number(joint[f"jerk_peak_{unit}_s3"])))
        seen = joint["jerk_seen"]
        mark = "" if seen >= 0.99 else ' class="unsure"'
        row.append(f"<td{mark}>{100.0 * seen:.3g} %</td>")
        if timed:
            row.append(number(joint[f"jerk_stamp_floor_{unit}_s3"]))
        if encoder:
            row.append(number(joint[f"jerk_noise_floor_{unit}_s3"]))
            row.append(number(joint[f"jerk_quantisation_bound_{unit}_s3"]))
            step = joint["encoder_step_rad"]
            known = "" if joint["encoder_step_from_robot_file"] or step is None else " (seen)"
            row.append(number(None if step is None else 1e3 * step) + known)
        rows.append(row)
    note = " In brackets: share of the limit." if stream["judgements"] else ""
    window = f"{1e3 * stream['jerk_window_s']:.0f} ms"
    hint = (
        f'<p class="soft">An estimate of jerk covers {window}; "time seen" is the share of the '
        f"time for which there is one.{note}</p>"
    )
    title = "Tool" if stream["unit"] == "m" else "Sliding joints" if unit == "m" else "Joints"
    return f"<h3>{title}</h3>{table(header, rows)}{hint}"


def _time(stream: dict[str, Any]) -> str:
    time = stream["time"]
    jumps = time["backward_stamps"] + time["forward_stamps"]
    facts = [
        f"{time['messages']} messages over {number(time['duration_s'])} s, "
        f"{number(1e3 * time['period_s'])} ms apart, jitter {number(1e3 * time['jitter_s'])} ms",
        f"{time['missing']} missing in {time['gaps']} gaps, the longest "
        f"{number(1e3 * time['longest_gap_s'])} ms",
        f"{time['repeated_stamps']} stamps repeated, {time['backward_stamps']} backwards, "
        f"{time['forward_stamps']} far ahead" + ("; split there" if jumps else ""),
        f"{stream['missing_joint_values']} joint values missing, "
        f"{stream['values_not_finite']} not usable (NaN, infinite or too large), "
        f"{stream['malformed_messages']} messages malformed",
        f"differences are taken over: {escape(time['clock'])}",
    ]
    return "<h3>Time</h3><ul>" + "".join(f"<li>{fact}</li>" for fact in facts) + "</ul>"


def _movements(stream: dict[str, Any]) -> str:
    shown, unit = stream["movements"][:MOVEMENTS_SHOWN], stream["unit"]
    rows = [
        [
            str(count),
            number(movement["start_s"], 4),
            number(movement["duration_s"]),
            number(movement[f"path_{unit}"]),
            number(movement[f"peak_speed_{unit}_s"]),
            number(movement["sparc"]),
            number(movement["ldlj"]),
            f'<td class="text soft">{escape(movement["undefined"] or "")}</td>',
        ]
        for count, movement in enumerate(shown, start=1)
    ]
    header = ["movement", "start, s", "duration, s", f"path, {unit}", f"peak speed, {unit}/s"]
    body = table([*header, "SPARC", "LDLJ", ""], rows)
    more = len(stream["movements"]) - len(shown)
    tail = f'<p class="soft">and {more} more, in report.json</p>' if more else ""
    joints = escape(", ".join(stream["movement_joints"]))
    return f'<h3>Movements</h3><p class="soft">of {joints} together</p>{body}{tail}'


def _worst(stream: dict[str, Any]) -> str:
    limited = any(moment["share_of_limit"] is not None for moment in stream["worst_moments"])
    rows = [
        [
            escape(moment["joint"]),
            number(moment["time_s"], 5),
            f"{number(moment['jerk_' + moment['unit'] + '_s3'])} {moment['unit']}/s³",
            *([number(moment["share_of_limit"])] if limited else []),
        ]
        for moment in stream["worst_moments"]
    ]
    header = ["joint", "at, s", "jerk"] + (["share of its limit"] if limited else [])
    return f"<h3>Worst moments</h3>{table(header, rows)}"
