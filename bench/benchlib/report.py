"""Results as Markdown, JSON and TSV."""
import json
import re
import statistics

from .cases import CASES, GOALS, HEADLINES, RATIOS

SCHEMA = "smux-compare/2"


def number(value):
    return (f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10
            else f"{value:.2f}" if value >= 1 else f"{value:.3f}")


class Report:
    """The document that bench/compare writes as JSON, and what is made of it."""

    def __init__(self, document):
        self.document = document
        self._values = {case["title"]: case["values"] for case in document["cases"]}

    @classmethod
    def of(cls, results, names, machine, cases=None):
        """results: {case title: {contender name: [value of each run]}}"""
        return cls({"schema": SCHEMA, "machine": machine, "contenders": names,
                    "cases": [{"title": case.title, "unit": case.unit,
                               "values": results[case.title]} for case in cases or CASES]})

    @classmethod
    def load(cls, path):
        with open(path) as file:
            document = json.load(file)
        if document.get("schema") != SCHEMA:
            raise ValueError(f"{path} is no document of schema {SCHEMA}")
        return cls(document)

    def median(self, title, name):
        values = self._values.get(title, {}).get(name)
        return statistics.median(values) if values else None

    def ratio(self, title, a, b):
        first, second = self.median(title, a), self.median(title, b)
        return first / second if first is not None and second else None

    def save(self, path):
        for case in self.document["cases"]:
            title = case["title"]
            case["medians"] = {name: self.median(title, name) for name in case["values"]}
            case["ratios"] = {f"{a} / {b}": self.ratio(title, a, b) for a, b in RATIOS
                              if self.ratio(title, a, b) is not None}
        with open(path, "w") as file:
            json.dump(self.document, file, indent=2)
            file.write("\n")

    # --- Markdown -------------------------------------------------------------------------------

    def machine(self):
        return "\n".join(f"* {key}: {value}" for key, value in self.document["machine"].items())

    def medians(self, spread=True, titles=None):
        names = self.document["contenders"]
        yield row(["median (smallest - largest)" if spread else "median", "unit", *names])
        yield row(["---", "---", *["---:" for _ in names]])
        for case in self.document["cases"]:
            if titles is None or case["title"] in titles:
                yield row([case["title"], case["unit"],
                           *[cell(case["values"].get(name), spread) for name in names]])

    def ratios(self):
        names = self.document["contenders"]
        pairs = [(a, b) for a, b in RATIOS if a in names and b in names]
        yield row(["ratio of medians", *[f"{a} / {b}" for a, b in pairs]])
        yield row(["---", *["---:" for _ in pairs]])
        for case in self.document["cases"]:
            cells = [self.ratio(case["title"], a, b) for a, b in pairs]
            if any(value is not None for value in cells):
                yield row([case["title"], *["-" if v is None else number(v) for v in cells]])

    def goals(self):
        yield row(["goal", "limit", "measured", "met"])
        yield row(["---", "---:", "---:", "---"])
        for goal in GOALS:
            value = goal.value(self.median)
            if value is not None:
                what, limit = goal.text()
                yield row([what, limit, number(value), "yes" if goal.is_met(value) else "**no**"])

    def full(self):
        return "\n".join([self.machine(), "", *self.medians(), "", *self.ratios(), "",
                          *self.goals()])

    def short(self):
        return "\n".join([self.machine(), "", *self.medians(spread=False, titles=HEADLINES)])

    # --- tables for gnuplot ---------------------------------------------------------------------

    def bars(self):
        """One line a case that raw sockets have, one column a contender: how many times better
        than raw, so that times are turned over."""
        names = [name for name in self.document["contenders"] if name != "raw"]
        yield "\t".join(["case", *names])
        for case in self.document["cases"]:
            title, time = case["title"], case["unit"] in ("us", "s/GB")
            if case["unit"] in ("1", "k/GB") or "outside the kernel" in title:
                continue    # explains other figures
            cells = [self.ratio(title, *(("raw", name) if time else (name, "raw")))
                     for name in names]
            if any(value is not None for value in cells):
                yield "\t".join([title.replace("; raw:", " /"),
                                 *["nan" if v is None else f"{v:.6f}" for v in cells]])


def row(cells):
    return "| " + " | ".join(cells) + " |"


def cell(values, spread):
    if not values:
        return "-"
    text = number(statistics.median(values))
    return f"{text} ({number(min(values))} - {number(max(values))})" if spread else text


def update(path, name, text):
    """Replaces what stands between the markers of `name` in a Markdown file. Returns whether
    the file has them."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    old = path.read_text()
    pattern = re.escape(begin) + r".*?" + re.escape(end)
    new, n = re.subn(pattern, lambda _: f"{begin}\n{text}\n{end}", old, flags=re.DOTALL)
    if n:
        path.write_text(new)
    return n > 0
