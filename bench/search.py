"""Searches on simulated worlds: accuracy on unseen documents by rollouts spent; see bench/README.md."""

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import sys

import search_report
import search_runs

BUDGET = 1600
REFERENCE = {"mode": 1}
BOTH = {"selection": 1, "minibatch_size": 8}
PACKAGE = {"reference": {}, "current_best": {"candidate_selection_strategy": "current_best"},
           "minibatch 8": {"reflection_minibatch_size": 8}}
PACKAGE["both"] = {**PACKAGE["current_best"], **PACKAGE["minibatch 8"]}

MAIN = {
    "reference": REFERENCE,
    "reference, current_best": {**REFERENCE, "selection": 1},
    "reference, minibatch 8": {**REFERENCE, "minibatch_size": 8},
    "reference, both": {**REFERENCE, **BOTH},
    "gepa": PACKAGE["reference"],
    "gepa, current_best": PACKAGE["current_best"],
    "gepa, minibatch 8": PACKAGE["minibatch 8"],
    "gepa, both": PACKAGE["both"],
    "default": {},
    "default, 8 reflections": {"max_reflections": 8},
    "default, 16 reflections": {"max_reflections": 16},
    "default, 32 reflections": {"max_reflections": 32},
    "default, 64 reflections": {"max_reflections": 64, "reflections_per_round": 4},
    "default, whole rounds of 3": {"reflections_per_round": 3, "whole_rounds": 1},
    "default, whole rounds of 4": {"reflections_per_round": 4, "whole_rounds": 1},
    "default, whole rounds of 5": {"reflections_per_round": 5, "whole_rounds": 1},
    "default, pipelined": {"pipelined": 1},
    "default for 400": {"budget": 400},
    "default for 800": {"budget": 800},
    "default for 3,200": {"budget": 3200},
}
ABLATIONS = {
    "line model off": {"line_sd": 0, "recombinations": 0},
    "window 48": {"window": 48, "seed_window": 48},
    "recombination off": {"recombinations": 0},
    "records 3": {"records": 3, "record_failures": 2},
    "thompson 0": {"thompson": 0},
    "easiness off": {"sample_sd": 0},
    "adaptive windows off": {"window_gain": 0},
    "run-off 2 %": {"reserve": 0.02},
    "optimism off": {"line_mean": 0},
    "balance off": {"balance_labels": 0},
    "reuse off": {"window_known": 1},
    "lineage off": {"lineage": 0},
    "length off": {"length_mean": 0, "length_sd": 0},
    "one reflection per round": {"reflections_per_round": 1},
}
COMPARED = ("reference", "reference, both", "default")
ROBUSTNESS = {
    "small judge": {"skill": "small"},
    "large judge": {"skill": "large"},
    "temperature": {"temperature": 0.3},
    "10 % of labels flipped": {"flipped": 0.1},
    "100 labels": {"rows": (60, 40)},
    "2,000 labels": {"rows": (1700, 300)},
}
FINAL_WORLDS = "301-310"
TUNING_WORLDS = "1-10"


class Store:
    """Results of runs in a file, so that a table can be made again or go on."""

    def __init__(self, path, program):
        self.path = path
        here = os.path.dirname(os.path.abspath(__file__))
        self.world = digest(os.path.join(here, "search_runs.py"), search_runs.search_world.__file__)
        self.engine = digest(program)
        self.results = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                for line in lines:
                    key, result = json.loads(line)
                    self.results[key] = result

    def key(self, job):
        """What a result is a function of."""
        return json.dumps([self.world, job["kind"] == "engine" and self.engine, job], sort_keys=True)

    def add(self, key, result):
        """Keep a result."""
        self.results[key] = result
        with open(self.path, "a", encoding="utf-8") as lines:
            lines.write(json.dumps([key, result]) + "\n")


def digest(*paths):
    """Of files, together."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as content:
            total.update(content.read())
    return total.hexdigest()[:12]


def run_job(task):
    """One run, in a process of the pool."""
    program, key, job = task
    problem = search_runs.Problem(job["world"], job["draw"], **job["problem"])
    options = {"budget": BUDGET, **job["options"]}
    if job["kind"] == "engine":
        return key, search_runs.run_engine(program, problem, job["draw"], options)
    budget = options.pop("budget")
    return key, search_runs.run_gepa(problem, job["draw"], budget, **options)


def make_jobs(names, worlds, draws, problem=None, more=None):
    """(name, job) of all runs of these configurations."""
    every = {**MAIN, **{f"default, {name}": options for name, options in ABLATIONS.items()}, **(more or {})}
    return [(name, {"kind": "package" if name.startswith("gepa") else "engine", "options": every[name],
                    "world": world, "draw": draw, "problem": problem or {}})
            for name in names for world in worlds for draw in range(draws)]


def run_jobs(options, store, jobs):
    """name -> [(world, result)]; runs what is not in the store."""
    jobs = [(name, job) for name, job in jobs if not (options.no_packages and job["kind"] == "package")]
    keyed = [(name, store.key(job), job) for name, job in jobs]
    missing = {key: job for _, key, job in keyed if key not in store.results}
    tasks = [(options.program, key, job) for key, job in missing.items()]
    if tasks:
        with multiprocessing.Pool(options.jobs) as pool:
            for n, (key, result) in enumerate(pool.imap_unordered(run_job, tasks), 1):
                store.add(key, result)
                if sys.stderr.isatty():
                    print(f"\r{n} of {len(tasks)} runs ", end="", file=sys.stderr)
    results = {}
    for name, key, job in keyed:
        results.setdefault(name, []).append((job["world"], store.results[key]))
    return results


def read_range(text):
    """1-10 or 1,4,7."""
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def part_main(options, store):
    """The policies."""
    results = run_jobs(options, store, make_jobs(options.only or MAIN, options.worlds, options.draws))
    return search_report.accuracy_table(results) + search_report.differences(results, COMPARED)


def part_ablations(options, store):
    """The default mode without each of its parts."""
    names = ["default"] + [f"default, {name}" for name in ABLATIONS]
    results = run_jobs(options, store, make_jobs(names, options.worlds, options.draws))
    return search_report.accuracy_table(results) + search_report.differences(results, ("default",))


def part_robustness(options, store):
    """Other judges and other labels."""
    text = ""
    for title, problem in ROBUSTNESS.items():
        results = run_jobs(options, store, make_jobs(COMPARED, options.worlds, max(1, options.draws // 2), problem))
        text += f"\n{title}:\n" + search_report.accuracy_table(results)
    return text


def part_honesty(options, store):
    """What runs report beside what is true, and runs where there is nothing to learn."""
    names = ("reference", "reference, both", "gepa", "default")
    results = run_jobs(options, store, make_jobs(names, options.worlds, options.draws))
    null = run_jobs(options, store, make_jobs(("reference", "default"), options.worlds, options.nulls // 10,
                                              {"null": True}))
    return search_report.honesty_table(results) + search_report.null_table(null)


def part_clock(options, store):
    """Seconds by the simulated clock."""
    names = ("reference", "reference, both", "default", "default, pipelined", "default, whole rounds of 3",
             "default, whole rounds of 4", "default, whole rounds of 5")
    return search_report.clock_table(run_jobs(options, store, make_jobs(names, options.worlds, options.draws)))


def part_try(options, store):
    """Configurations of the command line."""
    more = {}
    for text in options.tried:
        more[text] = dict((pair.split("=")[0], float(pair.split("=")[1])) for pair in text.split(","))
        more[text] = {name: int(value) if value == int(value) else value for name, value in more[text].items()}
    results = run_jobs(options, store, make_jobs(["default", *more], options.worlds, options.draws,
                                                 json.loads(options.problem), more))
    return search_report.accuracy_table(results) + search_report.differences(results, ("default",))


PARTS = {"main": part_main, "ablations": part_ablations, "robustness": part_robustness,
         "honesty": part_honesty, "clock": part_clock}


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="search_engine, built")
    parser.add_argument("--results", required=True, help="file of results that are kept")
    parser.add_argument("--no-packages", action="store_true", help="without the package gepa")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="+", choices=MAIN, help="configurations of part main")
    parser.add_argument("--tried", nargs="+", default=[], metavar="NAME=VALUE,...",
                        help="the default mode with these options instead of the parts")
    parser.add_argument("--problem", default="{}", help="with --tried: options of the problem, JSON")
    parser.add_argument("--worlds", type=read_range, default=read_range(FINAL_WORLDS))
    parser.add_argument("--draws", type=int, default=5, help="seeds per world, of rows and of the run")
    parser.add_argument("--nulls", type=int, default=100, help="runs with shuffled labels")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="two worlds, one seed, four configurations")
    options = parser.parse_args()
    if options.quick:
        options.worlds, options.draws, options.nulls = read_range(TUNING_WORLDS)[:2], 1, 10
        options.parts, options.only = ["main", "honesty"], ["reference", "reference, both", "gepa", "default"]
    return options


def main():
    """Run the parts and print their tables."""
    options = parse_options()
    store = Store(options.results, options.program)
    print(f"{platform.machine()}, {os.cpu_count()} cores; worlds {options.worlds[0]}-{options.worlds[-1]}, "
          f"{options.draws} seeds each")
    parts = {"try": part_try} if options.tried else {name: PARTS[name] for name in options.parts}
    for name, part in parts.items():
        print(f"\n### {name}: {part.__doc__}\n", flush=True)
        print(part(options, store), flush=True)


if __name__ == "__main__":
    main()
