"""The outcome of many cases as a Markdown table: a row for each attack, a column for each victim.

A cell has the worse figures of the two versions: how the session ended; how much the process grew,
and for the session API the largest heap of a session; the client's p99 without, beside and during the
attack, see _case.py.
What does not keep the limits of libsmux is in bold letters."""
from _case import MIB


def render(cases):
    victims = list(dict.fromkeys(case.kind.name for case in cases))
    rows = {}
    for case in cases:
        row = rows.setdefault(case.attack["name"], {"clauses": case.attack["clauses"]})
        row.setdefault(case.kind.name, []).append(case)
    lines = ["| Attack | Clauses | " + " | ".join(victims) + " |",
             "|---|---|" + "---|" * len(victims)]
    for name, row in rows.items():
        cells = [cell(row[victim]) if victim in row else "" for victim in victims]
        lines.append(f"| `{name}` | {row['clauses']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(cases):
    measured = [case for case in cases if case.measured]
    if len(measured) < len(cases):
        broken = next(case for case in cases if not case.measured)
        return f"**{broken.complaints[0]}**"
    text = "; ".join([ends(cases), memory(cases), latency(cases)])
    return f"**{text}**" if any(case.complaints for case in cases) else text


def ends(cases):
    return " ".join(dict.fromkeys(case.end_text().replace("SMUX_", "") for case in cases))


def memory(cases):
    grown = f"+{max(case.growth for case in cases) / MIB:.1f} MiB"
    if any("worst" in case.after for case in cases):
        grown += f" (heap {max(case.peak for case in cases) / MIB:.2f})"
    return grown


def latency(cases):
    return max(cases, key=lambda case: case.slowness()).times()
