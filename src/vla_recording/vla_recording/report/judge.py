# SPDX-License-Identifier: Apache-2.0
"""Hold a recording's figures against limits; say what was not seen as loudly as what was."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from vla_recording.report.limits import LimitSet
from vla_recording.report.results import (
    JointFigures,
    Judgement,
    LimitVerdict,
    Peak,
    StampTiming,
    StreamReport,
)
from vla_recording.report.streams import JointStream, Recording, Role

# A command is beyond a limit from this ratio on: what rounding and the wire may add is below it.
BEYOND = 1.001
# What was seen for less of the time than this is not "within".
SEEN = 0.99
# Of the recording's own length, so much must be there of a joint.
RECORDED = 0.9
_FEWEST = 8
_DEGREES = 57.29578
_TURN = 6.283185
_Key = TypeVar("_Key", bound=Hashable)


def judgements(
    stream: JointStream, figures: tuple[JointFigures, ...], limits: LimitSet
) -> tuple[Judgement, ...]:
    """Hold every joint that has limits against them, quantity by quantity."""
    if stream.unit != "rad":
        return ()
    result: list[Judgement] = []
    known = limits.judged
    for figure in figures:
        limit = known.get(figure.joint)
        if limit is None:
            continue
        result += _position(stream, figure, limit.lower, limit.upper)
        uneven = "stamps that are uneven or late may be why"
        measured = (
            "the encoder's step is not known" if figure.step is None else "the encoder rounds"
        )
        why = uneven if stream.role is Role.COMMAND else measured
        pairs = [("velocity", figure.velocity, limit.velocity)]
        if stream.role is Role.COMMAND:
            pairs.append(("acceleration", figure.acceleration, limit.acceleration))
        pairs.append(("jerk", figure.jerk, limit.jerk))
        result += [
            _peak(stream, figure, quantity, peak, bound, why)
            for quantity, peak, bound in pairs
            if bound is not None
        ]
        if figure.reported_velocity is not None and limit.velocity is not None:
            result.append(_reported(figure, figure.reported_velocity, limit.velocity))
    return tuple(result)


def _position(
    stream: JointStream, figure: JointFigures, lower: float | None, upper: float | None
) -> list[Judgement]:
    if lower is None and upper is None:
        return []
    low, high = figure.position_range
    joint = figure.joint
    if not low <= high:
        why = _why_nothing(stream, figure)
        return [Judgement(joint, "position", None, None, LimitVerdict.NOT_JUDGED, why)]
    span = (upper - lower) if lower is not None and upper is not None else 1.0
    margin = max(1e-3 * span, figure.step or 0.0)
    down = -float("inf") if lower is None else lower - low
    up = -float("inf") if upper is None else high - upper
    value, limit = (low, lower) if down > up else (high, upper)
    decided, why = LimitVerdict.WITHIN, ""
    if max(down, up) > margin:
        decided, why = LimitVerdict.BEYOND, _in_degrees(low, high, lower, upper)
    elif figure.seen < SEEN and not stream.knots:
        decided, why = LimitVerdict.UNCLEAR, _seen(figure.seen, "positions")
    return [Judgement(joint, "position", value, limit, decided, why)]


def _in_degrees(low: float, high: float, lower: float | None, upper: float | None) -> str:
    """Say that positions are likely in degrees: as such they are within their limits."""
    fit = (lower is None or low / _DEGREES >= lower) and (
        upper is None or high / _DEGREES <= upper
    )
    reach = high if high > -low else low
    if not (fit and abs(reach) > _TURN):
        return ""
    return f"likely degrees ({reach:.4g} deg are {reach / _DEGREES:.3g} rad), where ROS has rad"


def _peak(
    stream: JointStream,
    figure: JointFigures,
    quantity: str,
    peak: Peak | None,
    limit: float,
    why: str,
) -> Judgement:
    joint = figure.joint
    if peak is None:
        nothing = _why_nothing(stream, figure)
        return Judgement(joint, quantity, None, limit, LimitVerdict.NOT_JUDGED, nothing)
    if peak.least > limit * BEYOND:
        return Judgement(joint, quantity, peak.value, limit, LimitVerdict.BEYOND)
    if not (peak.most <= limit * BEYOND):
        return Judgement(joint, quantity, peak.most, limit, LimitVerdict.UNCLEAR, why)
    if peak.seen < SEEN and not stream.knots:
        seen = _seen(peak.seen, "estimates")
        return Judgement(joint, quantity, peak.value, limit, LimitVerdict.UNCLEAR, seen)
    if stream.unjoined:
        return Judgement(joint, quantity, peak.value, limit, LimitVerdict.UNCLEAR, stream.unjoined)
    if stream.joined and quantity in ("acceleration", "jerk"):
        return Judgement(joint, quantity, peak.value, limit, LimitVerdict.UNCLEAR, stream.joined)
    return Judgement(joint, quantity, peak.value, limit, LimitVerdict.WITHIN)


def _reported(figure: JointFigures, peak: float, limit: float) -> Judgement:
    joint, quantity = figure.joint, "reported velocity"
    if not figure.velocity_fits:
        why = "it is not the velocity of the positions: " + unlike(figure)
        return Judgement(joint, quantity, peak, limit, LimitVerdict.UNCLEAR, why)
    beyond = peak > limit * BEYOND
    decided = LimitVerdict.BEYOND if beyond else LimitVerdict.WITHIN
    return Judgement(joint, quantity, peak, limit, decided)


def unlike(figure: JointFigures) -> str:
    """Say how reported velocities differ from those of the positions."""
    ratio = figure.velocity_ratio
    if figure.reported_velocity == 0.0 or (ratio is not None and abs(ratio) < 0.02):
        return "it stays at zero while the joint moves"
    if ratio is None:
        return "the joint rests"
    if 0.9 < ratio / _DEGREES < 1.1:
        return "it is 57 times that, as if in degrees per second"
    if ratio < -0.5:
        return f"its sign differs ({ratio:.2g} times that)"
    return f"it is {ratio:.2g} times that"


def _seen(share: float, what: str) -> str:
    return f"{what} cover only {100.0 * share:.3g} % of the time"


def _why_nothing(stream: JointStream, figure: JointFigures) -> str:
    """Say why there is no estimate."""
    if not figure.samples:
        return "it has no usable position (missing, NaN or too large)"
    if figure.samples < _FEWEST:
        return f"it has only {figure.samples} usable positions"
    if 20 * stream.stamps.backwards > stream.stamps.messages:
        return (
            f"stamps go back {stream.stamps.backwards} times; several publishers on one topic, "
            "or messages in the wrong order"
        )
    return "no stretch of samples without a gap is long enough"


def remarks(
    stream: JointStream,
    figures: tuple[JointFigures, ...],
    timing: StampTiming,
    limits: LimitSet | None,
) -> tuple[str, ...]:
    """Return what is to be said of a stream, more of it without limits."""
    lines = [_nameless(stream)] if stream.unnamed else []
    known = {
        name
        for name, joint in ({} if limits is None else limits.joints).items()
        if joint.kind != "revolute" or joint.lower is not None or joint.upper is not None
    }
    far = [
        (max(abs(end) for end in f.position_range), f.joint)
        for f in figures
        if stream.unit == "rad" and not f.wraps and f.joint not in known
    ]
    far = [(reach, joint) for reach, joint in far if reach > 2.0 * _TURN]
    if far:
        lines.append(
            f"{_few([joint for _, joint in far])}: up to {max(far)[0]:.4g}, which is "
            f"{max(far)[0] / _TURN:.3g} turns where ROS has rad; likely degrees, unless a joint "
            "turns on and on: then each figure is 57.3 times too high"
        )
    jumps = timing.backwards + timing.forwards
    if jumps:
        several = " (several publishers on one topic?)" if jumps > 5 else ""
        at = f", first at {timing.first_jump_s:.3g} s" if timing.first_jump_s is not None else ""
        lines.append(
            f"its stamps jump {jumps} times{at}{several}: the stream is split there, and no "
            "estimate reaches over it"
        )
    if timing.repeated:
        lines.append(f"{timing.repeated} messages repeat a stamp and are left out")
    wrong = [f for f in figures if f.reported_velocity is not None and not f.velocity_fits]
    for text, names in _grouped((unlike(f), f.joint) for f in wrong):
        lines.append(f"the reported velocity of {names} is not that of the positions: {text}")
    wrapped = [f"{f.joint} ({f.wraps})" for f in figures if f.wraps]
    if wrapped:
        lines.append(
            f"steps of a whole turn were taken for wraps of continuous joints: {_few(wrapped)}"
        )
    lines += [text for text in (stream.joined, stream.unjoined) if text]
    if stream.clock.startswith("time of reception"):
        lines.append(
            "it is placed by the time of reception, which scatters: jerk is certain only as far "
            "as that leaves it"
        )
    return tuple(lines)


def _nameless(stream: JointStream) -> str:
    count = len(stream.joint_names)
    names = ",".join(f"JOINT_{k + 1}" for k in range(min(count, 8))) + ",..." * (count > 8)
    return (
        f"its messages have {count} values and no names, so no limit is held against them; name "
        f"the joints, in the order of the values: --names {stream.topic}:{names}"
    )


def verdict(
    reports: list[StreamReport], limits: LimitSet | None, recording: Recording
) -> tuple[LimitVerdict, tuple[str, ...], tuple[str, ...]]:
    """Return what all judgements say, the lines that explain it, and what is not judged."""
    if limits is None:
        return LimitVerdict.NOT_JUDGED, ("no limits were given: --robot FILE",), ()
    judged = [(report, one) for report in reports for one in report.judgements]
    open_points = _not_judged(reports, limits, judged)
    not_judged = tuple(line for line, _ in open_points)
    if not judged:
        names = _few(sorted(limits.judged))
        line = f"the recording has none of the robot's joints ({names})"
        nameless = [report.stream.topic for report in reports if report.stream.unnamed]
        if nameless:
            line += f"; {_few(nameless)}: values without names, which --names gives them"
        return LimitVerdict.NOT_JUDGED, (line,), not_judged
    for kind in (LimitVerdict.BEYOND, LimitVerdict.UNCLEAR):
        lines = _lines(judged, kind)
        if kind is LimitVerdict.UNCLEAR:
            lines += _recorded(reports, limits, recording)
            if recording.incomplete:
                lines.append(f"something was recorded that was not read: {recording.incomplete}")
        if lines:
            return kind, tuple(lines), not_judged
    needed = tuple(line for line, matters in open_points if matters)
    if needed:
        return LimitVerdict.NOT_JUDGED, needed, not_judged
    return LimitVerdict.WITHIN, (_within(reports, judged),), not_judged


def _lines(judged: list[tuple[StreamReport, Judgement]], kind: LimitVerdict) -> list[str]:
    found = [(report, one) for report, one in judged if one.verdict is kind]
    lines, alike = [], []
    for report, one in found:
        if one.value is None or one.limit is None:
            continue
        if kind is LimitVerdict.UNCLEAR and abs(one.value) <= abs(one.limit) * BEYOND:
            # Not the value is in doubt but what was seen of it: joints share that.
            key = f"{report.stream.name}: {one.quantity}", one.because
            alike.append((key, one.joint))
            continue
        lines.append(
            f"{report.stream.name}: {one.quantity} of {one.joint} is {one.value:.4g}, its limit "
            f"{one.limit:.4g}" + (f"; {one.because}" if one.because else "")
        )
    return lines + [f"{key[0]} of {names}: {key[1]}" for key, names in _grouped(alike)]


def _not_judged(
    reports: list[StreamReport],
    limits: LimitSet,
    judged: list[tuple[StreamReport, Judgement]],
) -> list[tuple[str, bool]]:
    """Return lines that name what was not judged, and whether it keeps the whole from "within"."""
    lines: list[tuple[str, bool]] = []
    there = {f.joint for report in reports if report.stream.unit == "rad" for f in report.joints}
    absent = [name for name in limits.judged if name not in there]
    hands = [name for name in absent if name in limits.hands]
    absent = [name for name in absent if name not in limits.hands]
    if absent:
        lines.append((f"{_few(absent)}: in no topic of the recording", True))
    if hands:
        lines.append((f"{_few(hands)}: in no topic of the recording", False))
    # Another topic with these joints may be another arm: only the same topic settles it.
    settled = {
        (one.joint, one.quantity, report.stream.role, report.stream.topic)
        for report, one in judged
        if one.verdict is not LimitVerdict.NOT_JUDGED
    }
    nothing = [
        (
            (
                f"{report.stream.name}: {one.quantity}",
                one.because,
                (one.joint, one.quantity, report.stream.role, report.stream.topic) not in settled,
            ),
            one.joint,
        )
        for report, one in judged
        if one.verdict is LimitVerdict.NOT_JUDGED
    ]
    for (what, because, matters), names in _grouped(nothing):
        lines.append((f"{what} of {names}: {because}", matters))
    arm = {n: j for n, j in limits.judged.items() if n not in limits.hands}
    known = {n: j for n, j in arm.items() if n in there}
    for quantity in ("velocity", "acceleration", "jerk"):
        without = [n for n, joint in known.items() if getattr(joint, quantity) is None]
        if without:
            lines.append((f"{quantity} of {_few(without)}: no limit is given", False))
    free = [n for n, j in known.items() if j.lower is None and j.upper is None]
    if free:
        lines.append((f"position of {_few(free)}: no limit is given", False))
    commanded = {
        f.joint for report in reports if report.stream.role is Role.COMMAND for f in report.joints
    }
    unasked = [
        n for n, joint in known.items() if n not in commanded and joint.acceleration is not None
    ]
    if unasked:
        lines.append(
            (f"acceleration of {_few(unasked)}: only a command shows it; none is recorded", False)
        )
    unnamed = {n for r in reports if r.stream.unnamed for n in r.stream.joint_names}
    others = sorted(there - set(limits.judged) - unnamed)
    if others:
        lines.append((f"{_few(others)}: no limits are given", False))
    return lines


def _recorded(reports: list[StreamReport], limits: LimitSet, recording: Recording) -> list[str]:
    """Return lines about joints that are there for a part of the recording only."""
    span = (recording.end_ns - recording.start_ns) * 1e-9
    if not span > 1.0:
        return []
    # Joints of one name on two topics may be those of two arms, and a command that is recorded for
    # a part only is not replaced by a measurement of the rest.
    short = []
    for report in reports:
        stream = report.stream
        if stream.unit != "rad" or stream.knots:
            continue
        for figure in report.joints:
            there = figure.seen * stream.received_s
            if figure.joint in limits.judged and there < RECORDED * span:
                short.append(((stream.name, f"{there:.3g} s"), figure.joint))
    return [
        f"{name}: {names}: recorded for {text} of {span:.3g} s only"
        for (name, text), names in _grouped(short)
    ]


def _within(reports: list[StreamReport], judged: list[tuple[StreamReport, Judgement]]) -> str:
    parts = []
    for role, what in ((Role.COMMAND, "of the command"), (Role.MEASURED, "as measured")):
        own = [(r, one) for r, one in judged if r.stream.role is role]
        order = ("position", "velocity", "acceleration", "jerk")
        held = {one.quantity for _, one in own if one.verdict is LimitVerdict.WITHIN}
        quantities = [quantity for quantity in order if quantity in held]
        if not quantities:
            continue
        text = f"{_and(quantities)} {what}"
        chosen = [r for r, _ in own]
        if role is Role.COMMAND:
            apart = 1e3 * max(r.timing.period_s for r in chosen)
            text += f", as far as samples {apart:.3g} ms apart show"
        elif "jerk" in held:
            text += f", jerk over {1e3 * max(r.window_s for r in chosen):.3g} ms at a time"
        parts.append(text)
    if len(parts) == 1 and not any(r.stream.role is Role.COMMAND for r, _ in judged):
        parts.append("no command was recorded")
    return "; ".join(parts)


def _grouped(pairs: Iterable[tuple[_Key, str]]) -> list[tuple[_Key, str]]:
    """Return each key once, with the names that come with it."""
    groups: dict[_Key, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return [(key, _few(names)) for key, names in groups.items()]


def _few(names: list[str]) -> str:
    more = len(names) - 8
    return ", ".join(names[:8]) + (f" and {more} more" if more > 0 else "")


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
