"""Tests of report.py; run with `python3 -m unittest discover -s bench`."""

import unittest

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


if __name__ == "__main__":
    unittest.main()
