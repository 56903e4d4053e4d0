"""An attribution of its own: slow, plain, straight from the rule. The tests compare with it."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from pathlib import Path


class Reference:
    """Everything by definition: for every piece of work, all ranges of its launching thread are looked at."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path)
        texts = dict(self.db.execute("SELECT id, value FROM StringIds"))
        events = self.db.execute(
            "SELECT start, end, eventType, text, textId, globalTid, endGlobalTid, domainId FROM NVTX_EVENTS"
        ).fetchall()
        last = max((time for row in events for time in row[:2] if time is not None), default=0)
        named = {(row[5] >> 24, row[7]): row[3] for row in events if row[2] == 75}
        self.ranges = defaultdict(list)
        for start, end, kind, text, text_id, tid, other, domain in events:
            if kind == 59 and other is None:
                name = text if text is not None else texts[text_id]
                stop = max(last, start) if end is None else end
                self.ranges[tid, named.get((tid >> 24, domain), "")].append((start, stop, name))
        for ranges in self.ranges.values():
            ranges.sort(key=lambda one: (one[0], -one[1]))
        self.domains = sorted({domain for _, domain in self.ranges})
        self.calls = {}
        query = "SELECT start, end, globalTid, correlationId FROM CUPTI_ACTIVITY_KIND_RUNTIME ORDER BY start DESC"
        for start, end, tid, correlation in self.db.execute(query):
            self.calls[tid >> 24, correlation] = start, end, tid
        self.kernel_names = dict(texts)

    def stack(self, pid: int, correlation: int, domain: str) -> tuple[int, ...]:
        """Return the containing ranges of a launch, outermost first, by their places among the thread's."""
        if (pid >> 24, correlation) not in self.calls:
            return ()
        start, end, tid = self.calls[pid >> 24, correlation]
        ranges = self.ranges[tid, domain]
        return tuple(n for n, (begins, stops, _) in enumerate(ranges) if begins <= start and stops >= end)

    def work(self, table: str) -> list[tuple[int, int, int, int, int, int]]:
        """Return start, end, device, process, correlation and name of every row."""
        name = "demangledName" if table.endswith("KERNEL") else "0"
        query = f"SELECT start, end, deviceId, globalPid, correlationId, {name} FROM CUPTI_ACTIVITY_KIND_{table}"
        return self.db.execute(query).fetchall()

    def sums(self) -> dict[tuple[str, tuple[str, ...], int, str], tuple[int, int]]:
        """Return kernels and nanoseconds by domain, stack, thread and kernel."""
        found: dict = defaultdict(lambda: [0, 0])
        for start, end, _, pid, correlation, name in self.work("KERNEL"):
            for domain in self.domains:
                if stack := self.stack(pid, correlation, domain):
                    tid = self.calls[pid >> 24, correlation][2]
                    names = tuple(self.ranges[tid, domain][n][2] for n in stack)
                    row = found[domain, names, tid & 0xFFFFFF, self.kernel_names[name]]
                    row[0] += 1
                    row[1] += end - start
        return {key: tuple(value) for key, value in found.items()}

    def regions(self, table: str) -> dict[tuple[str, str, int, int], Counter[str]]:
        """Return counts and times, inclusive and exclusive, by domain, path, process and device; busy, span, idle."""
        found: dict = defaultdict(Counter)
        spans: dict = defaultdict(list)
        for start, end, device, pid, correlation, _ in self.work(table):
            for domain in self.domains:
                stack = self.stack(pid, correlation, domain)
                for depth in range(1, len(stack) + 1):
                    tid = self.calls[pid >> 24, correlation][2]
                    path = "/".join(self.ranges[tid, domain][n][2] for n in stack[:depth])
                    row = found[domain, path, pid >> 24 & 0xFFFFFF, device]
                    row["inclusive"] += 1
                    row["inclusive_time"] += end - start
                    row["exclusive"] += depth == len(stack)
                    row["exclusive_time"] += (end - start) * (depth == len(stack))
                    spans[domain, path, pid >> 24 & 0xFFFFFF, device, tid, stack[:depth]].append((start, end))
        every: dict = defaultdict(list)
        for (*place, _, _), pieces in spans.items():
            every[tuple(place)] += pieces
            found[tuple(place)]["span"] += max(end for _, end in pieces) - min(start for start, _ in pieces)
        for place, pieces in every.items():
            found[place]["busy"] = covered(pieces)
        return dict(found)

    def idle(self) -> Counter[tuple[str, str, int, int]]:
        """Return GPU idle time inside every region, by domain, path, process and device."""
        tables = ("KERNEL", "MEMCPY", "MEMSET", "GRAPH_TRACE")
        rows = [row for table in tables for row in self.work(table)]
        inside: dict = defaultdict(list)
        for start, end, device, pid, correlation, _ in rows:
            for domain in self.domains:
                stack = self.stack(pid, correlation, domain)
                for depth in range(1, len(stack) + 1):
                    tid = self.calls[pid >> 24, correlation][2]
                    inside[domain, tid, stack[:depth], pid, device].append((start, end))
        found: Counter = Counter()
        for (domain, tid, stack, pid, device), pieces in inside.items():
            first, last = min(start for start, _ in pieces), max(end for _, end in pieces)
            own = [(max(row[0], first), min(row[1], last)) for row in rows if row[2:4] == (device, pid)]
            path = "/".join(self.ranges[tid, domain][n][2] for n in stack)
            busy = covered([(start, end) for start, end in own if start < end])
            found[domain, path, pid >> 24 & 0xFFFFFF, device] += last - first - busy
        return found


def covered(pieces: list[tuple[int, int]]) -> int:
    """Return how many nanoseconds the intervals cover."""
    return len({moment for start, end in pieces for moment in range(start, end)})
