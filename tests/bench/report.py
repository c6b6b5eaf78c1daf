# SPDX-License-Identifier: BSD-2-Clause
"""Rounds of figures to tables: medians over the rounds, their spread, and ratios taken within each round."""
import datetime
import os
import platform
import statistics
import subprocess


def first_line(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError:
        return "not found"
    return ((done.stdout or done.stderr).strip().splitlines() or ["?"])[0]


def machine():
    """What a reader needs to know of where the figures come from."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    here = os.path.dirname(os.path.abspath(__file__))
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "lockstep": first_line("git", "-C", here, "describe", "--always", "--dirty"),
        "kernel": platform.release(),
        "processor": model,
        "cores": os.cpu_count(),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "sockperf": first_line("sh", "-c", "sockperf --version 2>&1 | grep -o 'version [0-9.]*'"),
        "iperf3": first_line("iperf3", "--version"),
        "redis": first_line("redis-server", "--version").split(" sha")[0],
    }


def print_header(values):
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:<{width}}  {value}")


class Case:
    """The rounds of one benchmark: a list of figures (or None, where it could not be measured) for each variant."""

    def __init__(self, name, title, columns, against, compared, digits=2):
        """columns: (key, heading); against: variants that others are compared with, by the columns `compared`; digits: of ratios."""
        self.digits = digits
        self.name, self.title, self.columns, self.against, self.compared = name, title, columns, against, compared
        self.rounds = {}
        self.problems = {}

    def add(self, variant, figures):
        self.rounds.setdefault(variant, []).append(figures)

    def fail(self, variant, text):
        self.rounds.setdefault(variant, []).append(None)
        self.problems[variant] = text

    def values(self, variant, column):
        return [figures[column] for figures in self.rounds.get(variant, []) if figures and column in figures]

    def ratio(self, variant, other, column):
        """Median over the rounds of figure / the other variant's figure of the same round."""
        pairs = [(a[column], b[column]) for a, b in zip(self.rounds.get(variant, []), self.rounds.get(other, []))
                 if a and b and b.get(column) and column in a]
        return statistics.median(a / b for a, b in pairs) if pairs else None

    def rows(self):
        others = [other for other in self.against if other in self.rounds]
        yield ([""] + [title for _, title in self.columns] + [f"x {other}" for other in others]
               + ["count"] * any(figures and "count" in figures for rounds in self.rounds.values() for figures in rounds))
        for variant in self.rounds:
            row = [variant]
            for column, _ in self.columns:
                values = self.values(variant, column)
                row.append(f"{number(statistics.median(values))} ({number(min(values))}..{number(max(values))})"
                           if values else "-")
            for other in others:
                ratios = [self.ratio(variant, other, column) for column in self.compared]
                row.append("" if other == variant or None in ratios else " ".join(f"{ratio:.{self.digits}f}" for ratio in ratios))
            counts = self.values(variant, "count")
            yield row + ([str(sum(counts))] if counts else [])

    def print(self):
        print(f"\n{self.title}")
        rows = list(self.rows())
        widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
        for row in rows:
            cells = [f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}" for i, (cell, width) in enumerate(zip(row, widths))]
            print("  " + "  ".join(cells).rstrip())
        if len(self.rounds) > 1:
            headings = [title.split(",")[0] for column in self.compared for key, title in self.columns if key == column]
            print(f"  x: ratio of {' and of '.join(headings)}, taken within each round")
        for variant, problem in self.problems.items():
            print(f"  {variant}: {sum(1 for figures in self.rounds[variant] if figures is None)} rounds failed: {problem}")
        wrong = {variant: sum(figures.get("wrong") or 0 for figures in rounds if figures)
                 for variant, rounds in self.rounds.items()}
        for variant, count in wrong.items():
            if count:
                print(f"  {variant}: {count} messages lost, repeated or out of order")

    def document(self):
        ratios = {variant: {f"{column} x {other}": self.ratio(variant, other, column)
                            for column, _ in self.columns for other in self.against if other in self.rounds
                            if other != variant and self.ratio(variant, other, column) is not None}
                  for variant in self.rounds}
        return {"name": self.name, "title": self.title, "rounds": self.rounds, "ratios": ratios, "problems": self.problems}


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
