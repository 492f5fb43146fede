"""A site as a graph at random, crawled with a limit of depth in an order at random."""

from __future__ import annotations

from collections import Counter
from random import Random

from pipeline.crawl.frontier import Entry, Frontier
from tests.crawl.disk import Crawl, Disk

SMALL, LARGE = 12, 40


class Graph:
    """Pages, each with a few links, on one host or two. Page 0 is the seed."""

    def __init__(self, random: Random) -> None:
        size = random.choice([SMALL, LARGE])
        self.links = {node: random.sample(range(size), k=random.choice([0, 1, 2, 3, 3])) for node in range(size)}
        hosts = "ab"[: random.randint(1, 2)]
        self.urls = {node: f"http://{hosts[node % len(hosts)]}/{node}" for node in self.links}

    def depths(self, limit: int) -> dict[int, int]:
        """Of every page within the limit, how far it is from the seed."""
        depths, edge = {0: 0}, [0]
        for node in edge:
            for target in self.links[node] if depths[node] < limit else ():
                if target not in depths:
                    depths[target] = depths[node] + 1
                    edge.append(target)
        return depths


class GraphCrawl:
    """Fetches what the frontier gives, to the end; `fetched` says how often each page was."""

    def __init__(self, graph: Graph, frontier: Frontier, random: Random, disk: Disk | None = None) -> None:
        self.graph = graph
        self.frontier = frontier
        self.crawl = Crawl(frontier, disk, random)
        self.fetched: Counter[int] = Counter()
        self._random = random
        self._running: list[Entry] = []

    def run(self) -> None:
        self.crawl.add(self.graph.urls[0])
        while self._start():
            farthest, one = -1, self._random.randrange(len(self._running))
            self._end(self._running.pop(self._random.choice([farthest, one])))
            frontier = self.frontier
            assert frontier.pending + frontier.active + frontier.fates.total() == frontier.discovered

    def depths(self, limit: int) -> dict[int, int]:
        """Of the same pages as `Graph.depths`, what the disk says."""
        return {node: self.crawl.row(self.graph.urls[node]).request.depth for node in self.graph.depths(limit)}

    def _start(self) -> bool:
        """Hand out all that may go; False if there is nothing more, whatever the disk answers."""
        while entry := self.crawl.next():
            self._running.append(entry)
        if not self._running:
            self.crawl.settle()
            if (entry := self.crawl.next()) is not None:
                self._running.append(entry)
        return bool(self._running)

    def _end(self, entry: Entry) -> None:
        node = int(entry.request.url[9:])
        self.fetched[node] += 1
        self.crawl.finish(entry)
        for target in self.graph.links[node]:
            self.crawl.add(self.graph.urls[target], parent=entry, depth=entry.request.depth + 1)
