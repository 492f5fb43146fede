"""What a host costs: `python tests/benchmarks/many_hosts.py` prints memory and time for 1,000 to 50,000 hosts.

The objects of a run that know hosts, as a run puts them together, with the clock passed in: frontier, robots gate,
manners, breakers, cookies, scope. Every host has a robots.txt of 25 rules, one of which is its own, a delay of a
second, a cookie, and four pages that wait; two of them are fetched, a thousand requests a second. Each number of hosts
has a process of its own, and memory is what the process has more than before its first host: that has all, the page of
each host that is next, what its URLs are known again by, the caches, and what the allocator keeps. Goals: 1 KiB a host,
and a time for the next request that does not grow with their number. Exits with 1 where one is missed.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import perf_counter

from pipeline.crawl.breaker import HostRules, OutageRules
from pipeline.crawl.cookies import CookieJar
from pipeline.crawl.frontier import Entry, Frontier, Politeness
from pipeline.crawl.hosts import rank_of
from pipeline.crawl.scope import Scope
from pipeline.crawl.windows import WaitingRow
from pipeline.model import Request, Response
from pipeline.runner.breakers import Breakers
from pipeline.runner.credentials import Credentials
from pipeline.runner.outcome import RetryPolicy
from pipeline.runner.politeness import HostManners
from pipeline.runner.robots_gate import RobotsGate, RobotsRules, State
from pipeline.url import fingerprint, host_of

HOSTS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
PAGES = 4  # of a host
PACE = 0.001  # seconds from one request to the next
FROM = "https://www.host-7.example/links/page-7.html"  # what links to all of them
POLITE = Politeness(1, 1.0, 0.25)
KIB, FLAT = 1.0, 2.0  # goals: KiB a host; how much more the next request may take with fifty times the hosts (caches)
RULES = "User-agent: *\n" + "".join(f"Disallow: /private-{n}/folder\n" for n in range(20)) + "Disallow: /*?sort=\n" * 4


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


class QuietLine:
    """A line of which nothing is known."""

    def __init__(self) -> None:
        self.checked: deque[bool] = deque()

    def check(self) -> bool:
        """There is nothing to ask."""
        return False

    def renew(self) -> None:
        """There is nothing to read."""


class Crawl:
    """What knows hosts, and a loop that answers at once."""

    def __init__(self) -> None:
        random = Random(1)
        scope = Scope(allow_domains=["example"])
        self.frontier = Frontier(refusal=lambda request: scope.refusal(request.url), politeness=lambda host: POLITE)
        self.robots = RobotsGate(RobotsRules(), agent="bench/1", retry=RetryPolicy(), rng=random.random)
        self.manners = HostManners(
            self.frontier, max_wait=600.0, throttled=lambda host: True, wall=lambda: 0.0, rng=random.random
        )
        self.breakers = Breakers(
            self.frontier, QuietLine(), hosts=HostRules(), outage=OutageRules(), tell=lambda host, words: None
        )
        self.credentials = Credentials(jar=CookieJar(), auth={}, wall=lambda: 0.0)
        self.now = 0.0
        self.took = array("d")  # seconds
        self.first = 0  # id of the first page of the first host
        self.hosts = 0

    def add(self, url: str) -> None:
        """Meet a URL."""
        self.frontier.add(Request(url, page="p", parent=FROM), fingerprint("GET", url, None, "p", {}))
        self.frontier.take_changes()

    def meet(self, hosts: int, start: int = 0) -> None:
        """Meet all pages of so many hosts, from the one with this number on."""
        self.first, self.hosts = self.frontier.discovered + 1 - start, hosts
        for url in urls(hosts, start):
            self.add(url)

    def _answer(self) -> None:
        """Give what the disk would give: of a host's pages those that were not in memory yet."""
        while self.frontier.wants:
            want = self.frontier.wants.popleft()
            number = int(want.host.split(".")[1].removeprefix("host-"))
            rows: list[WaitingRow] = []
            for page in range(PAGES):
                place, url = self.first + page * self.hosts + number, url_of(number, page)
                request = Request(url, page="p", parent=FROM)
                rank = rank_of(request, place, deepest_first=False)
                if (want.after is None or rank > want.after) and len(rows) < want.most:
                    rows.append((place, fingerprint("GET", url, None, "p", {}), rank, request, 0))
            self.frontier.refill(want.host, rows)

    def fetch(self, count: int) -> None:
        """Fetch so many pages, one after another, the clock going on by itself."""
        for _ in range(count):
            self._answer()
            begin = perf_counter()
            entry = self.frontier.next(self.now)
            if entry is not None:
                self.took.append(perf_counter() - begin)
            else:
                self.now = max(self.now, self.frontier.next_time() or 0.0)
                continue
            self._ask(entry)

    def _ask(self, entry: Entry) -> None:
        self.now += PACE
        if self.robots.judge(entry.request.url) is State.UNKNOWN:
            self.robots.hold(entry, self.now)
            request = self.robots.next(self.now)
            assert request is not None
            self.robots.take(Response(request, 200, [], robots_of(request.url), 0.01), self.now)
            self.robots.delays.clear()
            while self.robots.released:
                self.frontier.put_back(self.robots.released.popleft(), self.now)
            self.frontier.take_changes()
            return
        response = Response(entry.request, 200, [("Set-Cookie", "sid=0123456789abcdef; Path=/")], b"", 0.01)
        self.credentials.take(response)
        self.breakers.blames_host(entry, response, self.now)
        self.manners.answered(entry, response, self.now)
        self.frontier.finish(entry, "fetched")
        self.frontier.take_changes()


def urls(hosts: int, start: int) -> Iterator[str]:
    """The URLs, page by page over all hosts."""
    return (url_of(host, page) for page in range(PAGES) for host in range(start, start + hosts))


def url_of(host: int, page: int) -> str:
    """A page of a host."""
    return f"https://www.host-{host}.example/catalogue/page-{page}.html"


def robots_of(url: str) -> bytes:
    """A robots.txt of 25 rules, one of which no other host has."""
    return f"{RULES}Disallow: /{host_of(url)}/\n".encode()


def measure(hosts: int) -> dict[str, float]:
    """One number of hosts, in this process."""
    crawl = Crawl()
    warm = Crawl()  # so that what is made once is there already
    warm.meet(100)
    warm.fetch(500)
    before = resident()
    crawl.meet(hosts)
    waiting = resident()
    crawl.fetch(2 * hosts)
    del crawl.took[:]
    crawl.fetch(hosts)
    after = resident()
    took = sorted(crawl.took)
    return {
        "hosts": hosts,
        "kib_waiting": (waiting - before) / hosts / 1024,
        "kib": (after - before) / hosts / 1024,
        "next_us": 1e6 * took[len(took) // 2],
        "next_p99_us": 1e6 * took[len(took) * 99 // 100],
    }


def main() -> int:
    """Print a table; 1 if a goal is missed."""
    rows = []
    print("  hosts  KiB a host: all met, two pages of each fetched  next request: median, p99 (us)")
    for hosts in HOSTS:
        done = subprocess.run([sys.executable, __file__, str(hosts)], capture_output=True, text=True, check=True)
        rows.append(row := json.loads(done.stdout))
        print(
            f"{row['hosts']:>7,}  {row['kib_waiting']:>19.2f}  {row['kib']:>25.2f}"
            f"  {row['next_us']:>20.1f}  {row['next_p99_us']:>8.1f}",
            flush=True,
        )
    last = rows[-1]
    met = max(last["kib"], last["kib_waiting"]) <= KIB and last["next_us"] <= FLAT * rows[0]["next_us"]
    print("goals met" if met else "a goal is missed")
    return 0 if met else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        sys.exit(main())
