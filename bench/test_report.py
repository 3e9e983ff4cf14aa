"""Tests of report.py; run with `python3 -m unittest discover -s bench`."""

import unittest

import levels
import publish
import report


def cell(peer, per_second, cpu=None, payload=1_024, connections=16, n=0, p99=100, peak=10_240, **more):
    watched = {} if cpu is None else {"gateway": {"cpu_seconds": cpu, "rss_max_kib": 5_120, "rss_peak_kib": peak}}
    return {"kind": "cell", "peer": peer, "payload": payload, "connections": connections, "round": n, "requests": 1_000,
            "per_second": per_second, "p50_us": 50, "p99_us": p99, "errors": 0, "watched": watched, **more}


def start(peer, millis, kib):
    return {"kind": "start", "peer": peer, "first_answer_ms": millis, "idle_rss_kib": kib}


class Figures(unittest.TestCase):
    def check(self, lines, ask, expected):
        self.assertEqual(ask(report.Results(lines)), expected)

    def test_of_a_machine_only_what_readers_need_is_told(self):
        for release, told in [("6.1.0-18-cloud-amd64", "Linux 6.1"), ("5.15.0", "Linux 5.15"), ("custom", "Linux")]:
            self.assertEqual(report.machine("A CPU", 2, release), f"A CPU, 2 cores, {told}")
        self.assertEqual(report.machine("A CPU", 1, "6.1"), "A CPU, 1 core, Linux 6.1")

    def test_cpu_is_per_request_and_memory_in_mib(self):
        figures = report.cell_figures(cell("x", 10, cpu=0.02))
        self.assertAlmostEqual(figures["cpu_us"], 20)
        self.assertEqual((figures["rss_mib"], figures["peak_mib"]), (5, 10))
        self.assertNotIn("cpu_us", report.cell_figures(cell("x", 10, cpu=0.02) | {"requests": 0}))
        self.assertNotIn("cpu_us", report.cell_figures(cell("direct", 10)))

    def test_ratios(self):
        for value, floor, expected in [(3, 2, 1.5), (0, 2, 0), (3, 0, None), (3, None, None), (None, 2, None)]:
            self.assertEqual(report.ratio(value, floor), expected)

    def test_ratios_pair_rounds_before_the_median(self):
        floor = [cell("hyper floor", rate, n=n) for n, rate in enumerate([100, 200, 400])]
        mine = [cell("bartizan", rate, n=n) for n, rate in enumerate([50, 180, 100])]
        ask = lambda results: results.ratio("bartizan", 1_024, 16, "per_second")
        self.check(floor + mine, ask, 0.5)  # of 0.5, 0.9, 0.25; not 100 over 200
        self.check(floor[1:2] + mine, ask, 0.9)  # a round without a floor is no ratio
        self.check(mine, ask, None)

    def test_medians_and_worst(self):
        lines = [cell("x", rate, cpu=1, n=n, peak=peak, errors=errors)
                 for n, (rate, peak, errors) in enumerate([(1, 1_024, 0), (9, 3_072, 7), (2, 2_048, 0)])]
        for name, expected in [("per_second", 2), ("peak_mib", 3), ("errors", 7), ("nothing", None)]:
            self.check(lines, lambda results: results.cell("x", 1_024, 16, name), expected)
        lines = [start("x", millis, kib) for millis, kib in [(9, 1_024), (1, 2_048), (3, 512)]]
        self.check(lines, lambda results: results.start("x", "first_answer_ms"), 3)
        self.check(lines, lambda results: results.start("x", "idle_rss_mib"), 2)
        self.check([], lambda results: results.start("x", "idle_rss_mib"), None)

    def test_failed_lines_are_no_figures(self):
        self.check([cell("x", 5), {"kind": "cell", "peer": "x", "failed": "why"}, {"kind": "run"}],
                   lambda results: results.cell("x", 1_024, 16, "per_second"), 5)


class Targets(unittest.TestCase):
    def met(self, lines):
        return [met for _, _, met, _ in report.verdicts(report.Results(lines))]

    def lines(self, scale):
        """A gateway exactly at each bound for scale 1, and beyond all of them above it."""
        return [
            cell("hyper floor", 100, cpu=0.1, p99=100),
            cell("bartizan", 45 / scale, cpu=0.229 * scale, p99=300 * scale),
            cell("bartizan", 45, cpu=1.69 * scale, payload=1_000_000),
            cell("bartizan", 45, cpu=1, payload=1_000_000, connections=64, peak=200 * 1_024 * scale),
            start("bartizan", 50 * scale, 22 * 1_024 * scale),
        ]

    def test_bounds(self):
        self.assertEqual(self.met(self.lines(1)), [True] * 7)
        self.assertEqual(self.met(self.lines(1.1)), [False] * 7)
        self.assertEqual(self.met([]), [None] * 7)

    def test_lines_say_what_was_measured(self):
        lines = [line for *_, line in report.verdicts(report.Results(self.lines(1.1)))]
        self.assertEqual(lines[0], "MISSED: 1 KiB, 16 connections: requests/s over the floor's: 0.41, at least 0.45")
        unknown = report.verdicts(report.Results([]))[4][3]
        self.assertEqual(unknown, "not measured: first answer after start: –, at most 50.0 ms")

    def test_noise_is_named(self):
        quiet = cell("x", 1, seconds=2, foreign_cpu_seconds=0.1)
        loud = cell("x", 1, seconds=2, foreign_cpu_seconds=0.3)
        self.assertEqual(report.noisy([quiet, loud, start("x", 1, 1)]), [loud])


class Stages(unittest.TestCase):
    def lines(self, payload, scale=1):
        """A call that costs exactly its budget for scale 1, in three rounds of which one was disturbed."""
        parts = {"read_us": 4, "record_us": 6 * scale, "schema_us": 8 * scale, "guards_us": 0,
                 "identity_us": 2 * scale, "token_us": 2 * scale, "policy_us": 14 * scale}
        measured = [{"kind": "stages", "payload": payload, **{name: us * n for name, us in parts.items()}}
                    for n in (1, 1, 9)]
        floor = cell("hyper floor", 100, cpu=0.019 * scale, payload=payload)
        return [floor, cell("bartizan", 50, cpu=0.043 * scale, payload=payload), *measured]

    def verdicts(self, lines):
        text = report.stage_tables(report.Results(lines), report.STAGED)
        return [row.split("|")[5].strip() for row in text.splitlines() if row.startswith("| ")][1:]

    def test_what_no_other_stage_takes_is_the_edges(self):
        stages = report.Results(self.lines(1_024)).stages(1_024)
        self.assertAlmostEqual(stages["edge"], 10)
        parts = [stages[name] for name in ("http", "edge", "schema", "record", "guards")]
        self.assertAlmostEqual(sum(parts), stages["whole"])

    def test_a_busy_floor_is_told_without_what_kept_it_busy(self):
        lines = self.lines(1_024)
        self.assertNotIn("sleep", report.stage_tables(report.Results(lines), report.STAGED))
        busy = cell(report.BUSY, 50, cpu=(report.BUSY_US + 40) / 1_000)
        self.assertAlmostEqual(report.Results([*lines, busy]).stages(1_024)["woken"], 40)
        self.assertIn("its peers sleep | 40.0 |", report.stage_tables(report.Results([*lines, busy]), report.STAGED))

    def test_each_stage_has_its_verdict(self):
        for scale, word in [(0.99, "met"), (1.01, report.MISSED)]:
            self.assertEqual(self.verdicts(self.lines(1_024, scale)), [word, word, "", word, word, "", word, word, word, word])
        self.assertEqual(set(self.verdicts(self.lines(1_000_000, 2))), {""})  # the budgets are for small calls

    def test_half_a_measurement_is_no_table(self):
        lines = self.lines(1_024)
        for kept in (lines[1:], lines[:1] + lines[2:], lines[:2]):
            self.assertEqual(report.stage_tables(report.Results(kept), report.STAGED), "")


class Published(unittest.TestCase):
    def test_only_what_is_between_the_markers_is_written(self):
        text = "before\n<!-- bench begin -->\nold\nfigures\n<!-- bench end -->\nafter"
        expected = "before\n<!-- bench begin -->\nnew \\1\n<!-- bench end -->\nafter"
        self.assertEqual(publish.between(text, "new \\1"), expected)
        for marked in ("", text + text):
            self.assertRaises(ValueError, publish.between, marked, "new")

    def test_both_files_say_what_was_measured(self):
        run = {"kind": "run", "machine": "a machine", "date": "2001-02-03", "rounds": 1, "seconds": 2.0}
        lines = [run, cell("hyper floor", 100, cpu=0.02), cell("bartizan", 50, cpu=0.04), start("bartizan", 9.6, 1_024)]
        page, summary = publish.page(lines), publish.summary(lines)
        self.assertTrue(page.startswith("These are from an a machine, 2001-02-03; 1 round of 2 s"))
        self.assertIn("| bartizan | 16 | 50 |", page)
        self.assertIn("| 1 KiB: **Bartizan**, guards as by default, every message recorded | 50 | 100 µs | 40.0 µs | 0.50 |",
                      summary)
        self.assertIn("First answer 10 ms after start; 1 MiB resident when idle, – MiB", summary)
        self.assertNotIn("missed", summary)
        self.assertIn("with what is missed", publish.summary(lines + [start("bartizan", 900, 1_024)] * 2))


class Tables(unittest.TestCase):
    def test_missing_figures_are_dashes(self):
        text = report.cell_tables(report.Results([cell("direct", 1_234.5)]), ["direct", "nginx"], [1_024], [1, 16])
        self.assertEqual(text.splitlines()[0], "### 1 KiB each way")
        self.assertEqual(text.splitlines()[-1], "| direct | 16 | 1,234 | 50 | 100 | – | – | – | – | – | 0 |")

    def test_stdio_cost_is_over_direct(self):
        def line(peer, cpu):
            watched = {"server": {"cpu_seconds": cpu, "rss_max_kib": 2_048, "rss_peak_kib": 2_048}}
            return cell(peer, 10) | {"kind": "stdio", "open_ms_each": 1.25, "watched": watched}

        results = report.Results([line("direct", 0.01), line("bartizan", 0.035)])
        rows = report.stdio_table(results, ["direct", "bartizan"], [1_024, 10_000]).splitlines()[-2:]
        self.assertEqual(rows[0], "| direct | 1 KiB | 10 | 50 | 100 | 10.0 | – | 2.0 | 1.2 | 0 |")
        self.assertEqual(rows[1], "| bartizan | 1 KiB | 10 | 50 | 100 | 35.0 | 25.0 | 2.0 | 1.2 | 0 |")


class Levels(unittest.TestCase):
    def test_levels_compare_with_the_unconfined_server_of_the_same_round(self):
        def call(peer, n, p50):
            watched = {"server": {"cpu_seconds": 0.01, "rss_max_kib": 1_024 * p50, "rss_peak_kib": 0}}
            return cell(peer, 1, n=n) | {"kind": "level", "p50_us": p50, "watched": watched}

        def begin(peer, n, millis):
            return {"kind": "begin", "peer": peer, "round": n, "open_ms_each": millis}

        lines = [call(levels.PLAIN, n, p50) for n, p50 in enumerate((10, 20, 40))]
        lines += [call("process", n, p50) for n, p50 in enumerate((11, 30, 80))] + [call("process", 3, 1_000)]
        lines += [begin(levels.PLAIN, n, millis) for n in range(2) for millis in (20, 30 + n, 90)]
        lines += [begin("process", n, millis) for n in range(2) for millis in (20, 36 + n, 37 + n)] + [{"kind": "level", "peer": "vm", "failed": "no runtime"}]
        found = levels.Levels(lines)
        self.assertEqual(found.over_plain("process", 1_024, "p50_us"), 1.5)
        self.assertIsNone(found.over_plain("process", 10_000, "p50_us"))
        self.assertEqual(found.start("process"), (36.5, 6))
        self.assertEqual(found.start("vm"), (None, None))
        text = levels.tables(found, [levels.PLAIN, "process", "vm"])
        self.assertIn("| process | 1 KiB | 55 | 100 | 10.0 | 1,000.0 | 1.50 | 1.00 |", text)
        self.assertIn("| vm | – | – |", text)

if __name__ == "__main__":
    unittest.main()
