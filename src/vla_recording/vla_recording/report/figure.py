# SPDX-License-Identifier: Apache-2.0
"""The picture of a report: positions, jerk, movements and time stamps on one time axis."""

from __future__ import annotations

import io

import numpy as np

from vla_recording.report.errors import ReportError
from vla_recording.report.record import origin_ns
from vla_recording.report.results import Report, StreamReport
from vla_recording.report.series import FloatArray, IntArray
from vla_recording.report.streams import Role

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
except ImportError as error:
    raise ReportError(f"drawing needs matplotlib: pip install matplotlib ({error})") from None

COLOURS = ("#1f5fa8", "#c8702a", "#3c8c5a", "#8a5aa8", "#b5494f", "#5d8fa5", "#9a8a2d", "#6b6b6b")
LIMIT, QUIET, MARK = "#b5494f", "#b9bec6", "#c0392b"
SHOWN = 24  # joints; more cannot be told apart
SMOOTHNESS = Normalize(-6.0, -1.4)  # of SPARC, from rough to a minimum-jerk movement


def draw(report: Report) -> bytes:
    """Return the picture as PNG."""
    main = report.main
    measured = _beside(report)
    origin = origin_ns(report)
    rows = [3.0, 2.2, 0.8, 1.2]
    if measured is not None:
        rows.insert(2, 2.2)
    figure = Figure(figsize=(12.5, 2.1 + 1.05 * sum(rows)), layout="constrained")
    figure.suptitle(_label(main.stream.name), x=0.01, ha="left", fontsize=9, color="#555555")
    axes = figure.subplots(len(rows), 1, sharex=True, gridspec_kw={"height_ratios": rows})
    remaining = iter(axes)
    _positions(next(remaining), main, measured, origin)
    _jerk(next(remaining), main, report, origin)
    if measured is not None:
        _jerk(next(remaining), measured, report, origin)
    _movements(next(remaining), main, origin)
    _stamps(next(remaining), main, measured, origin)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.005)
    axes[-1].set_xlabel("time, s")
    figure.align_ylabels(list(axes))
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()


def _beside(report: Report) -> StreamReport | None:
    """Return the measured stream that has most joints in common with the main one."""
    if report.main.stream.role is Role.MEASURED:
        return None
    own = set(report.main.stream.joint_names)
    others = [r for r in report.streams if r.stream.role is Role.MEASURED]
    # Of two with the same joints the one from elsewhere says more than the controller's echo.
    return max(
        (r for r in others if own & set(r.stream.joint_names)),
        key=lambda r: (
            len(own & set(r.stream.joint_names)),
            r.stream.topic != report.main.stream.topic,
        ),
        default=None,
    )


def _label(text: str) -> str:
    """Return a name as the picture can show it: no formula, nothing that no font has."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    return shown.replace("$", r"\$")


def _seconds(times: IntArray, origin: int) -> FloatArray:
    return np.asarray((times - origin) * 1e-9)


def _shown(main: StreamReport) -> list[int]:
    """Return the joints to draw, those that move first."""
    names = main.stream.joint_names
    ranked = sorted(range(len(names)), key=lambda j: names[j] not in main.movement_joints)
    return sorted(ranked[:SHOWN])


def _unseen(main: StreamReport) -> list[tuple[int, int]]:
    """Return the stretches of time without samples."""
    times, values = main.pictures.positions
    seen = times[np.isfinite(values).any(axis=1)]
    gap = max(5.0 * main.timing.period_s, 0.01 * main.stream.duration_s) * 1e9
    wide = np.flatnonzero(np.diff(seen) > gap)[:200]
    return [(int(seen[k]), int(seen[k + 1])) for k in wide]


def _colour(joint: str, main: StreamReport) -> str:
    """Return the colour of a joint, the same in every panel."""
    names = main.stream.joint_names
    return COLOURS[(names.index(joint) if joint in names else len(names)) % len(COLOURS)]


def _positions(axis: Axes, main: StreamReport, measured: StreamReport | None, origin: int) -> None:
    stream = main.stream
    times, values = main.pictures.positions
    t = _seconds(times, origin)
    shown = _shown(main)
    for j in shown:
        name = stream.joint_names[j]
        axis.plot(t, values[:, j], color=_colour(name, main), lw=1.2, label=_label(name))
        if measured is not None and name in measured.stream.joint_names:
            times, others = measured.pictures.positions
            column = others[:, measured.stream.joint_names.index(name)]
            axis.plot(_seconds(times, origin), column, color=_colour(name, main), lw=0.7, ls=":")
    for start, end in _unseen(main):
        axis.axvspan((start - origin) * 1e-9, (end - origin) * 1e-9, color=QUIET, alpha=0.35, lw=0)
    note = "\n(dotted: measured)" if measured is not None else ""
    axis.set_ylabel(f"position, {stream.unit}{note}")
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncol=min(7, len(shown)),
        fontsize=8,
        frameon=False,
        borderaxespad=0.1,
    )


def _jerk(axis: Axes, one: StreamReport, report: Report, origin: int) -> None:
    """Draw the jerk of all joints, as a share of the limits where all shown have one."""
    stream = one.stream
    main = report.main
    shared = set(main.movement_joints) & set(one.movement_joints)
    wanted = shared or set(one.movement_joints) or set(stream.joint_names)
    shown = [j for j, name in enumerate(stream.joint_names) if name in wanted][:SHOWN]
    names = [stream.joint_names[j] for j in shown]
    known = report.limits.joints if report.limits else {}
    bounds = [known[name].jerk if name in known else None for name in names]
    ratio = bool(bounds) and all(bound is not None for bound in bounds)
    times, values = one.pictures.jerk
    size = np.abs(values[:, shown])
    if ratio:
        size = size / np.array(bounds, dtype=float)
    t = _seconds(times, origin)
    for name, column in zip(names, size.T, strict=True):
        axis.plot(t, column, color=_colour(name, main), lw=0.8, alpha=0.85)
    if not np.isfinite(size).any():
        axis.text(
            0.5,
            0.5,
            "no estimate: not judged",
            transform=axis.transAxes,
            ha="center",
            va="center",
            color=LIMIT,
            fontsize=11,
        )
    what = "command" if stream.role is Role.COMMAND else "measured"
    if what == "measured":
        noise = [f.noise_floor for f in (one.joints[j] for j in shown) if f.noise_floor]
        if noise and not ratio:
            axis.axhspan(0.0, 2.0 * max(noise), color=QUIET, alpha=0.35, lw=0)
            axis.plot([], [], color=QUIET, lw=6, alpha=0.5, label="two noise floors")
    if ratio:
        axis.axhline(1.0, color=LIMIT, lw=1.0, ls=(0, (5, 3)), label="limit")
    finite = size[np.isfinite(size)]
    top = float(finite.max(initial=0.0))
    median = float(np.median(finite[finite > 0.0])) if (finite > 0.0).any() else 0.0
    if (ratio and top > 10.0) or (median > 0.0 and top > 200.0 * median and top > 3.0):
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.01 if ratio else max(median / 10.0, top * 1e-4))
    else:
        axis.set_ylim(0.0, 1.1 * max(top, 1.0 if ratio else 0.0) or 1.0)
    axis.set_ylabel(f"|jerk|, {what}\n" + ("share of its limit" if ratio else "rad/s³"))
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right", fontsize=8, frameon=False)


def _movements(axis: Axes, main: StreamReport, origin: int) -> None:
    palette = colormaps["RdYlGn"]
    for movement in main.movements:
        start, length = (movement.start_ns - origin) * 1e-9, movement.duration_s
        value = movement.sparc
        colour = QUIET if value is None else palette(SMOOTHNESS(value))
        axis.broken_barh(
            [(start, length)], (0.1, 0.8), facecolors=colour, edgecolor="white", lw=0.6
        )
        span = max(main.stream.duration_s, 1e-9)
        if value is not None and length > 0.035 * span:
            dark = float(np.dot(colour[:3], (0.3, 0.6, 0.1))) < 0.55
            axis.text(
                start + length / 2.0,
                0.5,
                f"{value:.1f}".replace("-", "\N{MINUS SIGN}"),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "#222222",
            )
    axis.set_ylim(0.0, 1.0)
    axis.set_yticks([])
    axis.set_ylabel("movements\n(SPARC)")


def _stamps(axis: Axes, main: StreamReport, measured: StreamReport | None, origin: int) -> None:
    for one, colour in ((main, COLOURS[0]), (measured, COLOURS[1])):
        if one is None:
            continue
        times, values = one.pictures.steps
        steps = 1e3 * values[:, 0]
        t = _seconds(times, origin)
        axis.plot(t, steps, color=colour, lw=0.8, label=_label(one.stream.name))
        wrong = (steps <= 0.0) | (steps > 1.5e3 * one.timing.period_s)
        if wrong.any():
            axis.plot(t[wrong], steps[wrong], ".", color=MARK, ms=4)
    axis.set_ylabel("time between\nstamps, ms")
    low, high = axis.get_ylim()
    if not high - low < 1e5:
        axis.set_yscale("symlog", linthresh=1e2)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            fontsize=7,
            frameon=False,
            ncol=2,
            borderaxespad=0.1,
        )
