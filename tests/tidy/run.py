#!/usr/bin/env python3
"""Checks what no compiler sees: that the crates depend the way ARCHITECTURE.md draws it, and that the papers hold."""

import functools
import graphlib
import json
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PREFIX = "bartizan-"

# crate: the crates of ours it may use
ARROWS = {
    "mcp": set(),
    "detect": set(),
    "onnx": set(),
    "trainer": {"detect"},
    "audit": {"seal"},
    "seal": set(),
    "capture": set(),
    "trust": set(),
    "sandbox": set(),
    "reach": set(),
    "egress": {"reach"},
    "policy": set(),
    "identity": set(),
    "keyring": set(),
    "pseudonym": set(),
    "store": {"keyring", "seal"},
    "flow": {"mcp"},
    "guard": {"mcp", "detect", "flow", "policy", "pseudonym"},
    "config": {"mcp", "guard", "policy", "identity", "keyring", "onnx", "reach", "seal"},
    "gateway": {"config", "mcp", "onnx", "guard", "audit", "capture", "trust", "sandbox", "reach", "egress", "identity", "store"},
    "demo": {"gateway", "config", "mcp", "guard", "audit"},
    "redteam": {"demo", "gateway", "config", "guard", "identity", "store"},
    "cli": {"redteam", "demo", "gateway", "config", "mcp", "guard", "audit", "capture", "trust", "sandbox", "policy", "identity", "store",
            "keyring", "onnx", "detect", "pseudonym"},
}
# An exchange begins by having the tools listed, and they are listed by an exchange.
ONE_CIRCLE = [("learn", "exchange")]
PURE = ["mcp", "detect", "flow", "policy", "identity", "pseudonym", "guard"]
# What is there to do I/O; no pure crate may bring it in, directly or not.
IO_CRATES = {"tokio", "mio", "socket2", "hyper", "hyper-util", "reqwest", "rustix", "notify", "tempfile"}
# Hash tables further down seed themselves with these, so only direct use counts.
RANDOM_CRATES = {"getrandom", "rand", "fastrand"}
IMPURE_PATHS = re.compile(
    r"\b(?:std::(?:fs|net|process|env|io)\b|SystemTime\b|Instant::now\b|std::\{[^}]*\b(?:fs|net|process|env|io)\b)"
)
LONGEST_FILE = 800
HEADING_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)#([^)\s]+)\)")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Crates(unittest.TestCase):
    def test_every_crate_is_on_the_map(self):
        self.assertEqual({path.parent.name for path in (ROOT / "crates").glob("*/Cargo.toml")}, set(ARROWS))

    def test_dependencies_follow_the_arrows(self):
        for name, allowed in ARROWS.items():
            ours = {dep.removeprefix(PREFIX) for dep in dependencies(name) if dep.startswith(PREFIX)}
            self.assertLessEqual(ours, allowed, f"crates/{name} uses more of the workspace than the map allows")

    def test_modules_of_the_gateway_import_in_one_direction(self):
        uses = modules_of(ROOT / "crates" / "gateway" / "src")
        for above, below in ONE_CIRCLE:
            self.assertIn(below, uses[above], "this exception is none any more")
            uses[above].discard(below)
        try:
            graphlib.TopologicalSorter(uses).prepare()
        except graphlib.CycleError as circle:
            self.fail("these modules of crates/gateway import each other in a circle: " + " <- ".join(circle.args[1]))

    def test_pure_crates_bring_in_nothing_that_does_io(self):
        for name in PURE:
            self.assertEqual(tree(name) & IO_CRATES, set(), f"crates/{name}")
            self.assertEqual(dependencies(name) & RANDOM_CRATES, set(), f"crates/{name}")

    def test_pure_crates_name_no_io_and_no_clock(self):
        for name in PURE:
            for path in sorted((ROOT / "crates" / name / "src").rglob("*.rs")):
                code = re.sub(r"//.*", "", path.read_text().split("#[cfg(test)]")[0])
                found = IMPURE_PATHS.search(code)
                self.assertIsNone(found, f"{path.relative_to(ROOT)}: {found and found[0]}")

    def test_unsafe_is_allowed_in_sandbox_only(self):
        self.assertRegex((ROOT / "Cargo.toml").read_text(), r'(?m)^unsafe_code = "forbid"$')
        for path in sorted((ROOT / "crates").glob("*/Cargo.toml")):
            if path.parent.name != "sandbox":
                self.assertRegex(path.read_text(), r"(?m)^\[lints\]\nworkspace = true$", path.parent.name)

    def test_sandbox_takes_every_lint_of_the_others(self):
        lints = [set(re.findall(r'(?m)^(\w+) = "(?:warn|deny)"$', path.read_text().split("lints.rust]")[1].split("\n[dep")[0]))
                 for path in (ROOT / "Cargo.toml", ROOT / "crates" / "sandbox" / "Cargo.toml")]
        self.assertIn("too_many_lines", lints[0])
        self.assertLessEqual(lints[0], lints[1])


class Dependencies(unittest.TestCase):
    """What `cargo deny` checks, as far as it can be told without it."""

    def test_licences_are_those_that_are_allowed(self):
        packages = json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]
        self.assertGreater(len(packages), 100)
        allowed = set(denied("allow", r'"([^"]+)"'))
        for package in packages:
            licence = (package["license"] or "").replace("/", " OR ")
            # One choice is enough, and of what it joins all.
            choices = [re.split(r"\s+AND\s+", choice.strip("() ")) for choice in re.split(r"\s+OR\s+(?![^()]*\))", licence)]
            fits = any(all(licensed(one.strip("() "), allowed) for one in choice) for choice in choices)
            self.assertTrue(fits, f"{package['name']}: {licence}")

    def test_two_versions_of_a_crate_have_an_excuse(self):
        lines = set()
        for target in denied("targets", r'"([^"]+)"'):
            every = ["--workspace", "--all-features", "--target", target, "--prefix", "none", "--format", "{p}", "--locked"]
            lines |= {tuple(line.split()[:2]) for line in cargo("tree", *every).splitlines() if line.strip()}
        excused = denied("skip", r'crate = "([^"]+)"')
        versions = {}
        for name, version in lines:
            if not any(f"{name}@{version[1:]}".startswith(f"{crate}.") for crate in excused):
                versions.setdefault(name, set()).add(version)
        self.assertEqual({name: found for name, found in versions.items() if len(found) > 1}, {})
        held = {f"{name}@{version[1:]}." for name, version in lines}
        self.assertEqual([crate for crate in excused if not any(one.startswith(f"{crate}.") for one in held)], [])


class Files(unittest.TestCase):
    def test_no_source_file_is_too_long_to_read(self):
        for path in tracked("*.rs") + tracked("*.py"):
            lines = path.read_text().count("\n")
            self.assertLessEqual(lines, LONGEST_FILE, path.relative_to(ROOT))

    def test_links_between_pages_lead_somewhere(self):
        pages = tracked("*.md")
        self.assertGreater(len(pages), 10)
        for page in pages:
            for link in LINK.findall(without_code(page.read_text())):
                if not re.match(r"[a-z]+:", link):
                    self.assertTrue((page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}")

    def test_links_to_headings_lead_to_one(self):
        seen = 0
        for page in tracked("*.md"):
            for link, heading in HEADING_LINK.findall(without_code(page.read_text())):
                target = page.parent / link if link else page
                if not re.match(r"[a-z]+:", link) and target.suffix == ".md":
                    self.assertIn(heading, headings(target), f"{page.relative_to(ROOT)}: {link}#{heading}")
                    seen += 1
        self.assertGreater(seen, 3)

    def test_every_page_is_in_its_table_of_contents(self):
        for contents, folder in [("docs/src/SUMMARY.md", "docs/src"), ("docs/decisions/README.md", "docs/decisions")]:
            contents, listed = ROOT / contents, set()
            for link in LINK.findall(contents.read_text()):
                listed.add((contents.parent / link).resolve())
            present = {path.resolve() for path in (ROOT / folder).rglob("*.md")} - {contents.resolve()}
            self.assertEqual(present - listed, set())

    def test_tests_that_hold_an_invariant_exist(self):
        table = (ROOT / "ARCHITECTURE.md").read_text().split("## Invariants")[1].split("\n## ")[0]
        code = "\n".join(path.read_text() for path in tracked("*.rs") + tracked("*.py"))
        present, named = set(re.findall(r"\b(?:fn|def) (\w+)\(", code)), set()
        for cell in re.findall(r"(?m)^\| \d+ \|[^|]*\|(.*)\|$", table):
            for name in re.findall(r"`([^`]+)`", cell):
                if "/" in name:
                    self.assertTrue((ROOT / name).exists() or (ROOT / "crates" / name).exists(), name)
                elif re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name) and name not in {"serde_json", "unsafe_code"}:
                    named.add(name)
        self.assertEqual(named - present, set())
        self.assertGreater(len(named), 20)

    def test_tests_that_try_to_escape_exist(self):
        page = (ROOT / "docs/src/escapes.md").read_text()
        present = set()
        for folder in ("crates/sandbox/tests", "crates/egress", "crates/reach", "tests/sandbox", "tests/profiles"):
            for path in tracked(f"{folder}/*.rs") + tracked(f"{folder}/*.py"):
                present.update(re.findall(r"\b(?:fn|def) (?:case_)?(\w+)\(", path.read_text()))
        rows = re.findall(r"(?m)^\| (\d+) \|.*\|([^|]*)\|$", page)
        self.assertEqual([int(number) for number, _ in rows], list(range(1, 51)))
        for number, tests in rows:
            named = [name for name in re.findall(r"`(\w+)`", tests) if "_" in name and name != "hostile_server"]
            self.assertTrue(named, f"nothing tries attempt {number}")
            self.assertEqual(set(named) - present, set(), f"attempt {number}")

    def test_fuzz_targets_are_built_and_have_seeds(self):
        built = set(re.findall(r'(?m)^path = "fuzz_targets/(\w+)\.rs"$', (ROOT / "fuzz" / "Cargo.toml").read_text()))
        self.assertEqual({path.stem for path in (ROOT / "fuzz" / "fuzz_targets").glob("*.rs")}, built)
        for target in built:
            self.assertTrue(any((ROOT / "fuzz" / "seeds" / target).glob("*")), f"{target} has no seeds")


def modules_of(source: pathlib.Path) -> dict[str, set[str]]:
    """What each file or folder right under a crate's source takes from which of the others, without its tests."""
    uses: dict[str, set[str]] = {}
    for path in sorted(source.rglob("*.rs")):
        module = path.relative_to(source).parts[0].removesuffix(".rs")
        code = re.sub(r"//.*", "", path.read_text().split("#[cfg(test)]\nmod tests")[0])
        # The names that the crate's face hands on belong to the modules themselves.
        uses.setdefault(module, set()).update(re.findall(r"\bcrate::([a-z_]+)", code))
    return {module: used & set(uses) - {module} for module, used in uses.items() if module != "lib"}


def denied(key: str, each: str) -> list[str]:
    """A list of deny.toml; Python 3.10 reads no TOML."""
    found = re.search(rf"(?ms)^{key} = \[(.*?)\]$", (ROOT / "deny.toml").read_text())
    return re.findall(each, re.sub(r"(?m)^\s*#.*$", "", found[1]))


def licensed(expression: str, allowed: set[str]) -> bool:
    """Whether one of a choice is allowed."""
    return any(one.strip() in allowed for one in re.split(r"\s+OR\s+", expression))


def headings(page: pathlib.Path) -> set[str]:
    """What the headings of a page are called in links."""
    titles = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```$", "", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def dependencies(name: str) -> set[str]:
    """What a crate depends on itself, tests aside, on any platform and with any feature."""
    package = next(package for package in metadata()["packages"] if package["name"] == PREFIX + name)
    return {dependency["name"] for dependency in package["dependencies"] if dependency["kind"] != "dev"}


@functools.cache
def metadata() -> dict:
    return json.loads(cargo("metadata", "--no-deps", "--format-version", "1"))


def tree(name: str) -> set[str]:
    """Every package a crate brings in, itself left out."""
    lines = cargo("tree", "--package", PREFIX + name, "--edges", "normal", "--prefix", "none", "--format", "{p}")
    return {line.split()[0] for line in lines.splitlines() if line.strip()} - {PREFIX + name}


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def tracked(pattern: str) -> list[pathlib.Path]:
    """Files that are part of the repository or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", pattern]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.M | re.S)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(1 if failed else 0)
