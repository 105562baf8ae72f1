"""Tables of bench/search: means over runs, standard errors over worlds, paired differences."""

import math
import statistics

CHECKPOINTS = (100, 200, 250, 400, 500, 800, 1600)


def accuracy_at(result, rollouts):
    """Of what the run would have returned after so many rollouts."""
    best = result["seed"]
    for calls, accuracy, *_ in result["points"]:
        if calls <= rollouts:
            best = accuracy
    return best


def reflections_at(result, rollouts):
    """Reflections asked for up to then."""
    return max([0] + [point[2] for point in result["points"] if point[0] <= rollouts])


def half_at(result):
    """Rollouts until half of the achievable gain; infinite if never."""
    aim = (result["seed"] + result["ceiling"]) / 2
    return min([point[0] for point in result["points"] if point[1] >= aim], default=math.inf)


def by_world(runs, value):
    """world -> mean of a value over its runs."""
    values = {}
    for world, result in runs:
        values.setdefault(world, []).append(value(result))
    return {world: statistics.fmean(numbers) for world, numbers in values.items()}


def mean_and_error(numbers):
    """(mean, standard error)."""
    numbers = list(numbers)
    error = statistics.stdev(numbers) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.nan
    return statistics.fmean(numbers), error


def mean(runs, value):
    """Over worlds."""
    return mean_and_error(by_world(runs, value).values())[0]


def table(head, rows):
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def accuracy_row(name, runs):
    """A line of the accuracy table."""
    final, error = mean_and_error(by_world(runs, lambda r: r["accuracy"]).values())
    halves = [half_at(result) for _, result in runs]
    reached = sum(half < math.inf for half in halves)
    half = statistics.median(halves)
    return [name, *(f"{mean(runs, lambda r, n=n: accuracy_at(r, n)):.3f}" for n in CHECKPOINTS),
            f"{final:.3f} +- {error:.3f}", f"{half:.0f} ({reached}/{len(runs)})",
            f"{mean(runs, lambda r: r['reflections']):.0f}", f"{mean(runs, lambda r: r['rollouts']):.0f}",
            f"{mean(runs, lambda r: r['tokens']) / 1e6:.2f} M + {mean(runs, lambda r: r['reflection_tokens']) / 1e3:.0f} k",
            f"{mean(runs, lambda r: r['words']):.0f}"]


def accuracy_table(results):
    """Accuracy on unseen documents by rollouts."""
    first = next(iter(results.values()))
    head = ["", *map(str, CHECKPOINTS), "final", "half", "reflections", "rollouts", "tokens", "words"]
    return (f"seed {mean(first, lambda r: r['seed']):.3f}, ceiling {mean(first, lambda r: r['ceiling']):.3f}, "
            f"{len(first)} runs each\n\n" + table(head, [accuracy_row(*item) for item in results.items()]))


def differences(results, bases):
    """Final accuracy less that of others, paired by world."""
    bases = [base for base in bases if base in results]
    rows = []
    for name, runs in results.items():
        row = [name]
        for base in bases:
            own, other = (by_world(r, lambda x: x["accuracy"]) for r in (runs, results[base]))
            gains = [own[world] - other[world] for world in own if world in other]
            value, error = mean_and_error(gains)
            row.append("" if name == base else
                       f"{value:+.3f} +- {error:.3f} ({sum(gain > 0 for gain in gains)}/{len(gains)})")
        rows.append(row)
    return "\nFinal accuracy less that of (worlds where it is higher):\n\n" + table(["", *bases], rows)


def spread(numbers):
    """Mean and standard deviation of single runs."""
    numbers = list(numbers)
    if not numbers:
        return ""
    return f"{statistics.fmean(numbers):+.3f} (sd {statistics.pstdev(numbers):.3f})"


def honesty_table(results):
    """Reported less true gain; true = on unseen documents, by the labels as the rows have them."""
    rows = []
    for name, runs in results.items():
        runs = [result for _, result in runs]
        gains = [r["accuracy"] - r["seed"] for r in runs]
        model = [r["reported"] - r["reported_seed"] - gain for r, gain in zip(runs, gains)]
        held = [(r["held_out"], gain) for r, gain in zip(runs, gains) if r["held_out"]]
        raw = [h[7] - h[2] - gain for h, gain in held]
        inside = [h[5] <= gain <= h[6] for h, gain in held]
        rows.append([name, f"{statistics.fmean(gains):+.3f}", spread(model), spread(raw),
                     spread(h[4] - gain for h, gain in held),
                     f"{sum(inside)}/{len(inside)}" if inside else ""])
    return "Reported gain less true gain, per run:\n\n" + table(
        ["", "true gain", "score (model or validation)", "raw mean", "held out", "interval covers"], rows)


def null_table(results):
    """Runs on shuffled labels."""
    rows = []
    for name, runs in results.items():
        runs = [result for _, result in runs]
        held = [r["held_out"] for r in runs if r["held_out"]]
        by_score = [r["reported"] - r["reported_seed"] for r in runs]
        rows.append([name, str(len(runs)), spread(by_score),
                     spread(h[4] for h in held), f"{sum(h[5] > 0 for h in held)}/{len(held)}" if held else ""])
    return "\nShuffled labels, where no gain is true:\n\n" + table(
        ["", "runs", "gain by score", "gain held out", "interval above 0"], rows)


def clock_table(results):
    """Seconds of the simulated clock."""
    base = mean(next(iter(results.values())), lambda r: r["seconds"] / r["rollouts"])
    rows = []
    for name, runs in results.items():
        rounds = [result["rounds"] for _, result in runs if result["rounds"]]
        seconds = mean(runs, lambda r: r["seconds"])
        per_rollout = mean(runs, lambda r: r["seconds"] / r["rollouts"])
        rows.append([name, f"{seconds:.0f}", f"{mean(runs, lambda r: r['rollouts']):.0f}", f"{per_rollout / base:.2f}",
                     f"{statistics.fmean(rounds):.0f}" if rounds else "", f"{mean(runs, lambda r: r['accuracy']):.3f}"])
    return "64 in flight, rollouts of 1 s, reflections of 10 s:\n\n" + table(
        ["", "seconds", "rollouts", "per rollout, of the first", "rounds", "accuracy"], rows)
