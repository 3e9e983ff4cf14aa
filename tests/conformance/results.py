"""What a conformance run has shown: on the terminal, as counts, and as the table in the book."""

import collections
import pathlib

BOOK = pathlib.Path(__file__).resolve().parents[2] / "docs" / "src" / "protocol.md"
BEGIN, END = "<!-- conformance results: begin -->\n", "<!-- conformance results: end -->"
MARKS = {"pass": "✓", "none": "–", "warn": "!", "fail": "✗"}
GOOD = {"pass", "none"}

# `again` holds the scenarios that came out wrong and were run once more.
Leg = collections.namedtuple("Leg", "requirements side scenarios wanted columns again", defaults=[()])

# Where the state through Bartizan is another than the direct one, and why that is right.
DIFFERENT = {
    ("2025-11-25", "server", "server-sse-polling", "command"): (
        "none",
        "a server on stdio has no event stream of its own to close, so there is nothing to resume",
    ),
}


def agrees(leg, name, title):
    """Whether a scenario ends in this column as it has to: the way it ends directly, or the way it is known to."""
    state = leg.columns[title][name]["state"]
    if differs := known(leg, name, title):
        return state == differs[0]
    direct = leg.columns.get("direct", leg.columns[title])[name]["state"]
    return state == direct and state in GOOD


def disagreeing(leg):
    return [name for name in leg.wanted if not all(agrees(leg, name, title) for title in leg.columns)]


def show(leg):
    """Prints a leg, a line for each scenario, and which of them took a second run."""
    width = max(map(len, leg.wanted))
    for name in leg.wanted:
        cells = "  ".join(f"{MARKS[column[name]['state']]} {column[name]['checks']:>3}" for column in leg.columns.values())
        note = f"  ({leg.scenarios[name]})" if leg.scenarios[name] else ""
        again = "  (second run)" if name in leg.again else ""
        differs = "" if all(agrees(leg, name, title) for title in leg.columns) else "  WRONG"
        print(f"{name:<{width}}  {cells}{note}{again}{differs}")
        for title, column in leg.columns.items():
            for problem in column[name]["problems"]:
                print(f"    {title}: {problem}")
    for line in totals(leg):
        print(line, flush=True)
    # Not in the book, which must be the same whether or not the machine was busy.
    print(f"run once more, as they came out wrong: {', '.join(leg.again) or 'none'}", flush=True)


def totals(leg):
    scored = [name for name in leg.wanted if leg.scenarios[name] is None]
    for title, column in leg.columns.items():
        yield f"{title}: {share(leg, title, scored)} scored scenarios pass, and of all {share(leg, title, leg.wanted)}"


def share(leg, title, names):
    """How many of these pass; what the suite had nothing to look at in is no pass, and comes with the reason."""
    column = leg.columns[title]
    passed = sum(column[name]["state"] == "pass" for name in names)
    idle = [name for name in names if column[name]["state"] == "none"]
    reasons = {name: (known(leg, name, title) or (None, "the suite finds nothing to look at, with or without Bartizan"))[1] for name in idle}
    because = "; ".join(f"`{name}`, {reason}" for name, reason in reasons.items())
    return f"{passed} of {len(names)}" + (f" ({len(idle)} not applicable: {because})" if idle else "")


def known(leg, name, title):
    """The state that a scenario is known to end in here, and why, if it is another than directly."""
    return DIFFERENT.get((leg.requirements, leg.side, name, title))


def counts(legs):
    """One for each scenario in each column."""
    right = [agrees(leg, name, title) for leg in legs for name in leg.wanted for title in leg.columns]
    return {"passed": right.count(True), "failed": right.count(False), "skipped": 0}


def markdown(leg, left_out=""):
    lines = [f"### {leg.requirements}, {leg.side} scenarios", ""]
    lines += [f"- {line}" for line in totals(leg)]
    lines += ["", f"| scenario | {' | '.join(leg.columns)} |", "|---|" + "---|" * len(leg.columns)]
    notes = []
    for name in leg.wanted:
        note = f" ({leg.scenarios[name]})" if leg.scenarios[name] else ""
        cells = []
        for title, column in leg.columns.items():
            differs = known(leg, name, title)
            cells.append(MARKS[column[name]["state"]] + (" *" if differs else ""))
            notes += [f"\\* `{name}`, {title}: {differs[1]}."] if differs else []
        lines.append(f"| {name}{note} | {' | '.join(cells)} |")
    missing = [name for name in leg.scenarios if name not in leg.wanted]
    if missing:
        notes.append(f"Left out: {', '.join(missing)}.{left_out}")
    for note in notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def book(legs, introduction, left_out):
    """The section of the book."""
    return f"{introduction}\n" + "\n".join(markdown(leg, left_out) for leg in legs)


def in_book():
    """The section as it stands in the book."""
    return BOOK.read_text().split(BEGIN)[1].split(END)[0]


def write(section):
    before, rest = BOOK.read_text().split(BEGIN)
    BOOK.write_text(before + BEGIN + section + END + rest.split(END)[1])
