"""What idle connections cost: CPU a request with 0 to 8,000 of them open, by selector.

`python tests/benchmarks/idle_connections.py [SVG]` prints a table and draws the plot (default: into docs/img). The idle
connections are the fetcher's own, kept for reuse as after a request. Beside them ACTIVE requests run at a time, each
answered with 6.5 KB by a server in another process. It asks for two cores and 8,500 open files.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from pipeline.fetch.descriptors import DescriptorLimitError, raise_limit, room_for
from pipeline.fetch.fetcher import Fetcher, Timeouts
from pipeline.fetch.loop import Loop
from pipeline.model import Failure, Request

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parents[1] / "docs/img/idle-connections.svg"
IDLE = {"select": (0, 250, 500, 900), "poll": (0, 250, 500, 1000, 2000, 4000, 8000)}
IDLE["epoll"] = IDLE["poll"]
ACTIVE, REQUESTS, ROUNDS, SWEEPS, HOSTS = 10, 3000, 3, 3, 8
CLAIM = 1.2  # times as much, at most, on epoll with any number of idle connections
PATIENT = Timeouts(first_byte=300, total=600, keepalive=3600)


@contextmanager
def server(hosts: int, *more: str) -> Iterator[int]:
    """The port of a server in a process of its own, which ends with the block."""
    command = [sys.executable, str(HERE / "slow_server.py"), str(hosts), *more]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()


def fetch(loop: Loop, fetcher: Fetcher, urls: Sequence[str]) -> float:
    """CPU seconds of this process for these requests, as many at a time as the fetcher has room for."""
    left, good = list(reversed(urls)), 0

    def tick() -> None:
        nonlocal good
        while fetcher.done:
            outcome = fetcher.done.popleft()
            assert not isinstance(outcome, Failure), outcome
            good += 1
        for _ in range(min(fetcher.room, len(left), 50)):  # a listener's queue is not endless
            fetcher.start(Request(left.pop()))
        if left and fetcher.room:
            loop.call_soon(lambda: None)
        if good == len(urls):
            loop.stop()

    start = time.process_time()
    loop.run(tick)
    return time.process_time() - start


def measure(kind: str, idle: int, port: int) -> float | None:
    """Microseconds of CPU a request; None where the selector does not hold so many."""
    loop = Loop(kind)
    try:
        room_for(idle + ACTIVE, loop.selector_name)
    except DescriptorLimitError:
        loop.close()
        return None
    keeper = Fetcher(loop, concurrency=max(idle, 1), timeouts=PATIENT)
    fetcher = Fetcher(loop, concurrency=ACTIVE, timeouts=PATIENT)
    fetch(loop, keeper, [f"http://127.0.0.{n % HOSTS + 1}:{port}/wait/{idle}" for n in range(idle)])
    urls = [f"http://127.0.0.1:{port}/"] * REQUESTS
    fetch(loop, fetcher, urls)
    gc.collect()
    best = min(fetch(loop, fetcher, urls) for _ in range(ROUNDS)) / REQUESTS * 1e6
    keeper.close()
    fetcher.close()
    loop.close()
    return best


def table(figures: dict[str, dict[int, float]]) -> str:
    """Markdown: a row for each number of idle connections."""
    kinds = list(figures)
    rows = [f"| idle connections | {' | '.join(kinds)} |", "|---:|" + "---:|" * len(kinds)]
    for idle in sorted({count for line in figures.values() for count in line}):
        cells = [f"{figures[kind][idle]:.0f}" if idle in figures[kind] else "-" for kind in kinds]
        rows.append(f"| {idle:,} | {' | '.join(cells)} |")
    return "\n".join(rows)


# --- the picture -----------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 72, 96, 74, 58
COLOURS = {"select": "#b3541e", "poll": "#7a4fa3", "epoll": "#0b7a75"}
MARKS = {
    "select": "M-5,4 L0,-5 L5,4 Z",
    "poll": "M-4,-4 H4 V4 H-4 Z",
    "epoll": "M-5,0 A5,5 0 1 0 5,0 A5,5 0 1 0 -5,0 Z",
}
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


class Scale:
    """Figures to places: x by square root, so that 0 has a place and small numbers have room; y logarithmic."""

    def __init__(self, figures: dict[str, dict[int, float]]) -> None:
        values = [value for line in figures.values() for value in line.values()]
        self.most = max(count for line in figures.values() for count in line)
        steps = [step * 10.0**power for power in range(-1, 7) for step in (1, 2, 5)]
        self.low = max(step for step in steps if step * 1.5 < min(values))  # the lowest line has air below it
        self.high = max(values) * 1.15

    def x(self, count: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.sqrt(count / self.most)

    def y(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def ticks(self) -> list[int]:
        """1, 2 and 5 of each decade."""
        every = [step * 10**power for power in range(1, 7) for step in (1, 2, 5)]
        return [value for value in every if self.low <= value <= self.high]


def text(x: float, y: float, words: str, *, size: int = 13, fill: str = "#3c4650", more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{fill}' {FONT} {more}>{words}</text>"


def axes(scale: Scale, counts: Sequence[int]) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    out = []
    for value in scale.ticks():
        y = scale.y(value)
        out.append(f"<path d='M{LEFT},{y:.1f} H{right}' stroke='#e3e7ea'/>")
        out.append(text(LEFT - 10, y + 4, f"{value:,}", more="text-anchor='end'"))
    for count in counts:
        x = scale.x(count)
        out.append(f"<path d='M{x:.1f},{bottom} v5' stroke='#8a949c'/>")
        out.append(text(x, bottom + 21, f"{count:,}", more="text-anchor='middle'"))
    out.append(f"<path d='M{LEFT},{bottom} H{right}' stroke='#8a949c'/>")
    out.append(
        text((LEFT + right) / 2, HEIGHT - 12, "idle connections (square-root scale)", more="text-anchor='middle'")
    )
    return out


def curve(scale: Scale, kind: str, line: dict[int, float]) -> list[str]:
    places = [(scale.x(count), scale.y(value)) for count, value in sorted(line.items())]
    path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    colour = COLOURS[kind]
    look = "stroke-width='2.2' stroke-linejoin='round'" + (" stroke-dasharray='7 4'" if kind == "select" else "")
    out = [f"<path d='{path}' fill='none' stroke='{colour}' {look}/>"]
    out += [
        f"<path d='{MARKS[kind]}' transform='translate({x:.1f},{y:.1f})' fill='{colour}' stroke='#fff'/>"
        for x, y in places
    ]
    x, y = places[-1]
    note = f"{line[max(line)]:,.0f} µs"
    if kind == "select":  # poll's line goes on where this one ends
        note, y = f"{note} with {max(line)}: FD_SETSIZE ends it here", y + 21
    out.append(text(x + 12, y - 3, kind, size=14, fill=colour, more="font-weight='600'"))
    out.append(text(x + 12, y + 13, note, size=12, fill=colour))
    return out


def picture(figures: dict[str, dict[int, float]]) -> str:
    """The plot as SVG."""
    scale = Scale(figures)
    counts = [count for count in (0, 250, 1000, 2000, 4000, 8000) if count <= scale.most]
    body = [
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#fff'/>",
        text(
            LEFT - 44, 28, "What a request costs while others wait", size=18, fill="#1d252c", more="font-weight='600'"
        ),
        text(LEFT - 44, 50, f"CPU microseconds a request, {ACTIVE} at a time; log scale"),
        *axes(scale, counts),
    ]
    for kind, line in sorted(figures.items(), key=lambda figure: -max(figure[1])):  # the shortest on top
        body += curve(scale, kind, line)
    label = "CPU time a request by number of idle connections, for select, poll and epoll"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{label}'>"
    return "\n".join([head, *body, "</svg>"]) + "\n"


def measure_all() -> dict[str, dict[int, float]]:
    """Selector -> idle connections -> the best of some sweeps, which lie apart: others use this machine too."""
    figures: dict[str, dict[int, float]] = {}
    with server(HOSTS) as port:
        for _ in range(SWEEPS):
            for kind, counts in IDLE.items():
                for idle in counts:
                    cost = measure(kind, idle, port)
                    if cost is not None:
                        line = figures.setdefault(kind, {})
                        line[idle] = min(cost, line.get(idle, cost))
    return figures


def main() -> int:
    """Measure, print, draw; 1 if the claim does not hold."""
    raise_limit()
    figures = measure_all()
    print(table(figures))
    for kind, line in figures.items():
        most = max(line)
        print(f"{kind}: {line[most] / line[0]:.2f} times as much with {most:,} idle connections as with none")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture(figures), encoding="utf-8")
    line = figures.get("epoll") or {0: 1.0}
    return max(line.values()) > CLAIM * line[0]


if __name__ == "__main__":
    sys.exit(main())
