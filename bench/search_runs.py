"""Runs of a search in a simulated world: by the engine, and by the Python package gepa.

Problem     labelled rows of a world, rollouts, reflections, accuracy on unseen documents
Course      what a run had after how many rollouts, and when, on a simulated clock
run_engine  a run of the engine (search_engine.c), in either mode
run_gepa    a run of the package gepa through its adapter
"""

import functools
import heapq
import math
import random
import subprocess

import numpy as np

import search_world

IN_FLIGHT = 64
ROLLOUT_SECONDS = 1.0
REFLECTION_SECONDS = 10.0
TEST_ROWS = 2000
TOKENS_PER_WORD = 1.33
CEILING_WORDINGS = 5
SPLITS = ("train", "val", "test")
REFLECTION = """I gave an assistant this instruction:
```
{current}
```

These are inputs, its answers and feedback:
```
{records}
```

Write a new instruction within ``` blocks."""


@functools.lru_cache(maxsize=4)
def open_world(world, skill, temperature):
    """(the world, its rows for tests, as documents); runs of a world share them."""
    opened = search_world.World(world, skill, temperature)
    rows = opened.make_rows("test", TEST_ROWS, 0.0)
    return opened, rows, opened.read_documents([row[0] for row in rows])


class Problem:
    """A world with rows; labels are -1 or 1 and wrong for a few train and val rows."""

    def __init__(self, world, draw, skill="medium", temperature=0.0, rows=(300, 80), flipped=0.0, null=False):
        self.world, test, unseen = open_world(world, skill, temperature)
        noise = 0.035 + flipped * (1 - 2 * 0.035)
        train = self.world.make_rows(f"train {draw}", rows[0], noise)
        val = self.world.make_rows(f"val {draw}", rows[1], noise)
        if null:
            train, val = shuffle_labels(train, val, draw)
        self.rows = {"train": train, "val": val}
        self.first = {"train": 0, "val": len(train)}
        self.labelled = len(train) + len(val)
        known = self.world.read_documents([row[0] for row in train + val])
        self.documents = search_world.Documents(np.concatenate([known.keys, unseen.keys]),
                                                np.concatenate([known.features, unseen.features]))
        self.labels = np.array([row[1] for row in train + val] + [row[3] for row in test])
        self.noise = np.random.default_rng(search_world.key_of("temperature", world, draw))
        self.known = {}

    def right(self, prompt):
        """Is the verdict right, by document, labelled rows first."""
        if prompt not in self.known:
            self.known[prompt] = self.world.verdicts(prompt, self.documents) == self.labels
        return self.known[prompt]

    def accuracy(self, prompt):
        """On documents that no search saw, by the true labels."""
        return float(self.right(prompt)[self.labelled:].mean())

    def working_accuracy(self, prompt):
        """On all labelled rows, by the labels that a search sees."""
        return float(self.right(prompt)[:self.labelled].mean())

    def ceiling(self):
        """Accuracy of prompts that state the whole standard, in one wording and another."""
        return sum(self.accuracy(self.world.ideal_prompt(i)) for i in range(CEILING_WORDINGS)) / CEILING_WORDINGS

    def rollout(self, prompt, split, sample):
        """Score of a rollout."""
        i = self.first[split] + sample
        if self.world.temperature == 0:
            return float(self.right(prompt)[i])
        one = search_world.Documents(self.documents.keys[i:i + 1], self.documents.features[i:i + 1])
        return float(self.world.verdicts(prompt, one, self.noise)[0] == self.labels[i])

    def record(self, split, sample, score):
        """A rollout as the reflector sees it."""
        body, label, note, _ = self.rows[split][sample]
        given = label if score == 1 else -label
        name = {sign: search_world.LABELS[sign > 0] for sign in (-1, 1)}
        feedback = (f'Right: the label is "{name[label]}".' if given == label else
                    f'Wrong: the judge said "{name[given]}", the right label is "{name[label]}".')
        if note:
            feedback += f"\nWhat the labeller says: {note}"
        return {"Inputs": body, "Generated Outputs": name[given], "Feedback": feedback}

    def words(self, split, sample):
        """Length of a document."""
        return len(self.rows[split][sample][0].split())


def shuffle_labels(train, val, draw):
    """Labels and notes go to other rows: there is nothing to learn."""
    rows = train + val
    given = [(label, note) for _, label, note, _ in rows]
    random.Random(f"null {draw}").shuffle(given)
    rows = [(row[0], label, note, row[3]) for row, (label, note) in zip(rows, given)]
    return rows[:len(train)], rows[len(train):]


def render(records):
    """Records in the reference layout."""
    return "\n\n".join(f"# Example {i}\n" + "".join(f"## {key}\n{value}\n\n" for key, value in record.items())
                       for i, record in enumerate(records, 1))


def extract(answer):
    """The text between the first and the last fence."""
    return answer[answer.find("```") + 3:answer.rfind("```")].strip()


class Course:
    """What a run had when."""

    def __init__(self, problem):
        self.problem = problem
        self.points = []        # (rollouts, accuracy on unseen documents, reflections, seconds)
        self.reflections = 0
        self.tokens = 0.0
        self.reflection_tokens = 0.0
        self.last = None

    def note(self, rollouts, prompt, seconds):
        """The run would return this prompt now."""
        if prompt != self.last or not self.points or self.points[-1][2] != self.reflections:
            self.points.append((rollouts, self.problem.accuracy(prompt), self.reflections, seconds))
            self.last = prompt

    def reflect(self, prompt, run_seed):
        """A reflection, counted."""
        self.reflections += 1
        answer = self.problem.world.reflect(prompt, f"{run_seed} {self.reflections}")
        self.reflection_tokens += TOKENS_PER_WORD * (len(prompt.split()) + len(answer.split()))
        return answer

    def charge(self, prompt, words):
        """The tokens of a rollout."""
        self.tokens += TOKENS_PER_WORD * (len(prompt.split()) + words)

    def result(self, prompt, rollouts, seconds, **more):
        """What is kept of a run."""
        return {"points": self.points, "rollouts": rollouts, "reflections": self.reflections,
                "seconds": seconds, "accuracy": self.problem.accuracy(prompt),
                "seed": self.problem.accuracy(search_world.SEED_PROMPT), "ceiling": self.problem.ceiling(),
                "words": len(prompt.split()), "tokens": round(self.tokens),
                "reflection_tokens": round(self.reflection_tokens), "prompt": prompt, **more}


def escape(text):
    """A text on one line."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def unescape(text):
    """The reverse."""
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


class Engine:
    """A run of the engine: answers its steps, on a simulated clock."""

    def __init__(self, program, problem, run_seed, options):
        self.problem, self.run_seed = problem, run_seed
        self.course = Course(problem)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.candidates, self.proposals = {}, {}
        self.evaluations = {}       # step -> (split, samples, scores)
        self.state, self.held_out, self.reason = None, None, None
        self.decisions = []
        self.clock, self.sequence = 0.0, 0
        self.waiting, self.free = [], [0.0] * IN_FLIGHT
        train, val = problem.rows["train"], problem.rows["val"]
        for name, value in {"seed": run_seed, "ntrain": len(train), "nval": len(val),
                            "nlabels": 2, **options}.items():
            self.send(f"set {name} {int(value) if isinstance(value, bool) else value}")
        for split, rows in (("train", train), ("val", val)):
            self.send(f"labels {split} " + " ".join("1" if row[1] > 0 else "0" for row in rows))
        self.send("component " + escape(search_world.SEED_PROMPT))
        self.turn("start")

    def send(self, line):
        """One line to the engine."""
        self.process.stdin.write(line + "\n")

    def turn(self, line):
        """Tell something and take what follows from it."""
        self.send(line)
        self.process.stdin.flush()
        steps = []
        for answer in self.process.stdout:
            kind, _, rest = answer.rstrip("\n").partition(" ")
            if kind == ".":
                break
            if kind in ("candidate", "proposal"):
                number, _, text = rest.partition(" ")
                getattr(self, kind + "s")[int(number)] = unescape(text)
            elif kind in ("evaluate", "reflect"):
                steps.append((kind, rest.split()))
            elif kind == "finished":
                self.reason = rest
            elif kind == "decision":
                self.decisions.append([int(word) for word in rest.split()])
            else:
                setattr(self, kind, [float(word) for word in rest.split()])
        else:
            raise RuntimeError(f"the engine ended after: {line[:200]}")
        if self.state[0] >= 0:
            self.course.note(int(self.state[1]), self.candidates[int(self.state[0])], self.clock)
        for kind, words in steps:
            getattr(self, kind)(*words)

    def later(self, seconds, line):
        """Tell it when the clock is there."""
        heapq.heappush(self.waiting, (seconds, self.sequence, line))
        self.sequence += 1

    def evaluate(self, step, _, proposal, split, *samples):
        """An EVALUATE step: each rollout takes the first free place."""
        split, samples, prompt = SPLITS[int(split)], [int(i) for i in samples], self.proposals[int(proposal)]
        scores, end = [], self.clock
        for sample in samples:
            scores.append(self.problem.rollout(prompt, split, sample))
            self.course.charge(prompt, self.problem.words(split, sample))
            done = max(heapq.heappop(self.free), self.clock) + ROLLOUT_SECONDS
            heapq.heappush(self.free, done)
            end = max(end, done)
        self.evaluations[int(step)] = (split, samples, scores)
        self.later(end, f"scores {step} " + " ".join(f"{score:g}" for score in scores))

    def reflect(self, step, _, candidate, __, *places):
        """A REFLECT step."""
        records = []
        for place in places:
            run, slot = place.split(":")
            split, samples, scores = self.evaluations[int(run)]
            records.append(self.problem.record(split, samples[int(slot)], scores[int(slot)]))
        prompt = REFLECTION.format(current=self.candidates[int(candidate)], records=render(records))
        text = extract(self.course.reflect(prompt, self.run_seed))
        self.later(self.clock + REFLECTION_SECONDS, f"answer {step} {escape(text)}")

    def run(self):
        """To the end."""
        while self.waiting:
            self.clock, _, line = heapq.heappop(self.waiting)
            self.turn(line)
        self.process.stdin.close()
        self.process.wait()
        best, rollouts, rounds, score, seed_score = self.state
        prompt = self.candidates[int(best)]
        return self.course.result(prompt, int(rollouts), self.clock, rounds=int(rounds), reported=score,
                                  reported_seed=seed_score, held_out=self.held_out, reason=self.reason,
                                  working=self.problem.working_accuracy(prompt))


def run_engine(program, problem, run_seed, options):
    """A run of the engine."""
    return Engine(program, problem, run_seed, options).run()


def make_adapter(problem, course, clock):
    """The package's view of a problem; samples are (split, number)."""
    from gepa import EvaluationBatch, GEPAAdapter

    class Adapter(GEPAAdapter):
        """Rollouts one after the other in waves."""
        calls = 0

        def evaluate(self, batch, candidate, capture_traces=False):
            """Scores of samples."""
            prompt = candidate["instruction"]
            scores = [problem.rollout(prompt, split, i) for split, i in batch]
            for split, i in batch:
                course.charge(prompt, problem.words(split, i))
            self.calls += len(batch)
            clock[0] += ROLLOUT_SECONDS * math.ceil(len(batch) / IN_FLIGHT)
            clock.append((self.calls, clock[0]))
            traces = [(split, i, score) for (split, i), score in zip(batch, scores)]
            return EvaluationBatch(outputs=scores, scores=scores, trajectories=traces if capture_traces else None)

        def make_reflective_dataset(self, candidate, eval_batch, components_to_update):
            """Records of a minibatch."""
            return {name: [problem.record(*trace) for trace in eval_batch.trajectories]
                    for name in components_to_update}

    return Adapter()


def run_gepa(problem, run_seed, budget, **options):
    """A run of the Python package."""
    import gepa

    class Quiet:
        """A logger that says nothing."""

        def log(self, message):
            """Nothing."""

    course, clock, reflected = Course(problem), [0.0], []
    adapter = make_adapter(problem, course, clock)

    def reflection_lm(prompt):
        clock[0] += REFLECTION_SECONDS
        reflected.append(adapter.calls)
        return course.reflect(prompt, run_seed)

    nval = len(problem.rows["val"])
    result = gepa.optimize(seed_candidate={"instruction": search_world.SEED_PROMPT},
                           trainset=[("train", i) for i in range(len(problem.rows["train"]))],
                           valset=[("val", i) for i in range(nval)], adapter=adapter,
                           reflection_lm=reflection_lm, max_metric_calls=budget, seed=run_seed,
                           logger=Quiet(), track_best_outputs=False, **options)
    best, score = None, -1.0
    seconds = dict(clock[1:])
    for candidate, mean, discovery in zip(result.candidates, result.val_aggregate_scores,
                                          result.discovery_eval_counts):
        if mean > score:
            best, score = candidate["instruction"], mean
            calls = discovery + nval if candidate is not result.candidates[0] else nval
            course.points.append((calls, problem.accuracy(best), sum(r <= calls for r in reflected),
                                  seconds.get(calls, 0.0)))
    return course.result(best, result.total_metric_calls, clock[0], rounds=None, reported=score,
                         reported_seed=result.val_aggregate_scores[0], held_out=None, reason="",
                         working=problem.working_accuracy(best))
