"""Results of the Python package gepa: written by it, and compared by it.

    results.py make FOLDER          run it on labels.jsonl (of gepa.export_labels) without any
                                    model; write plain.json, merged.json, ...
    results.py compare FOLDER NAME ...
                                    whether the package reads the same from NAME.json and NAME.out;
                                    in plain.json samples are positions, in plain.out keys
    results.py show FILE            what the package makes of it
"""
import hashlib
import json
import pathlib
import sys

import gepa
from gepa.core.adapter import EvaluationBatch
from gepa.core.result import GEPAResult
from gepa.optimize_anything import EngineConfig, GEPAConfig, ReflectionConfig, TrackingConfig, optimize_anything


class Quiet:
    def log(self, *_):
        pass


def chance(*parts):
    """A number in [0, 1) that belongs to its arguments."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:6], "big") / 2**48


def text_of(row):
    return row["inputs"]["body"]


class Adapter:
    """Scores by chance, better with each sentence that a text has got."""

    propose_new_texts = None

    def __init__(self, objectives=False):
        self.objectives = objectives

    def evaluate(self, batch, candidate, capture_traces=False):
        text = " ".join(candidate[name] for name in sorted(candidate))
        scores = [min(1.0, chance(text, text_of(row)) + 0.05 * text.count("."))
                  for row in batch]
        outputs = [{"label": row["label"], "n": n, "said": "naïve ✓"} for n, row in enumerate(batch)]
        return EvaluationBatch(
            outputs=outputs, scores=scores, trajectories=outputs if capture_traces else None,
            objective_scores=[{"right": score, "short": 1 / (1 + text.count("."))} for score in scores]
            if self.objectives else None)

    def make_reflective_dataset(self, candidate, batch, components):
        return {name: [{"Inputs": "some", "Feedback": "more"} for _ in batch.scores] for name in components}


def reflector():
    """A reflection LM that adds a sentence."""
    n = 0

    def answer(prompt):
        nonlocal n
        n += 1
        old = prompt.split("```")[1].strip() if isinstance(prompt, str) else "text"
        return f"```\n{old} Rule {n} holds.\n```"

    return answer


def optimize(rows, texts, **options):
    objectives = options.get("frontier_type", "instance") != "instance"
    return gepa.optimize(
        seed_candidate=texts, trainset=[row for row in rows if row["split"] == "train"],
        valset=[row for row in rows if row["split"] == "val"], adapter=Adapter(objectives),
        reflection_lm=reflector(), max_metric_calls=260, logger=Quiet(), display_progress_bar=False,
        **options)


def as_dspy_has_it(result):
    """What DSPy's own optimizer keeps of it."""
    import dspy
    from dspy.teleprompt.gepa.gepa import DspyGEPAResult

    class Programs:
        def build_program(self, candidate):
            return dspy.Predict(dspy.Signature("body -> keep", candidate["system_prompt"]))

    return DspyGEPAResult.from_gepa_result(result, Programs()).to_dict()


def before_schemas(result):
    """What the package wrote before results had a schema: lists where now are maps."""
    old = dict(result.to_dict())
    for name in ("validation_schema_version", "val_aggregate_subscores", "per_objective_best_candidates",
                 "objective_pareto_front", "best_outputs_valset", "_str_candidate_key"):
        del old[name]
    old["val_subscores"] = [list(scores.values()) for scores in old["val_subscores"]]
    old["per_val_instance_best_candidates"] = list(old["per_val_instance_best_candidates"].values())
    return old


def text_result(rows):
    """Of optimize_anything(), for which a candidate may be one text."""
    def evaluate(candidate, example):
        return chance(candidate, text_of(example)), {"note": "n"}

    return optimize_anything(
        seed_candidate="Keep it.", evaluator=evaluate, dataset=[row for row in rows if row["split"] == "train"],
        valset=[row for row in rows if row["split"] == "val"],
        config=GEPAConfig(
            engine=EngineConfig(max_metric_calls=120, parallel=False, frontier_type="instance"),
            reflection=ReflectionConfig(reflection_lm=reflector()), tracking=TrackingConfig(logger=Quiet())))


def make(folder):
    rows = [json.loads(line) for line in pathlib.Path(folder, "labels.jsonl").read_text().splitlines()]
    one = {"system_prompt": "Is it good?"}
    two = {"find": "List claims.", "decide": "Is it good?"}
    plain = optimize(rows, one, seed=3)
    results = {
        "plain": plain.to_dict(),
        "merged": optimize(rows, two, seed=0, use_merge=True, track_best_outputs=True).to_dict(),
        "objectives": optimize(rows, one, seed=1, frontier_type="hybrid", track_best_outputs=True).to_dict(),
        "text": text_result(rows).to_dict(),
        "dspy": as_dspy_has_it(plain),
        "old": before_schemas(plain),
    }
    for name, result in results.items():
        pathlib.Path(folder, name + ".json").write_text(json.dumps(result))
        print(name, len(result["candidates"]), "candidates")


def read(path, keys=None):
    """By the package; of positions, the keys of samples that stand there."""
    data = json.loads(pathlib.Path(path).read_text())
    if isinstance(data["per_val_instance_best_candidates"], dict):
        # DSPy's have no schema, but are like those that have
        data.setdefault("validation_schema_version", 2)
        data.setdefault("run_dir", data.get("log_dir"))
    result = GEPAResult.from_dict(data)
    return {field: with_keys(getattr(result, field), keys if "val" in field else None)
            for field in result.__dataclass_fields__}, result


def with_keys(value, keys):
    """Identities of samples as JSON has them, whatever they were."""
    if isinstance(value, dict):
        return {keys[int(key)] if keys else str(key): with_keys(item, None) for key, item in value.items()}
    return [with_keys(item, keys) for item in value] if isinstance(value, (list, tuple)) else value


def difference(before, after, keys):
    (one, a), (other, b) = read(before, keys), read(after)
    for field in one:
        if one[field] != other[field]:
            return f"{field}: {one[field]!r:.300} | {other[field]!r:.300}"
    assert a.best_idx == b.best_idx and a.best_candidate == b.best_candidate
    assert a.candidate_tree_dot() == b.candidate_tree_dot()
    return "the same"


def compare(folder, *names):
    for name in names:
        keys = None
        if name == "plain":
            rows = map(json.loads, pathlib.Path(folder, "labels.jsonl").read_text().splitlines())
            keys = [row["key"] for row in rows if row["split"] == "val"]
        print(f"{name}: {difference(*(pathlib.Path(folder, name + end) for end in ('.json', '.out')), keys)}")


def show(path):
    """What the package makes of a result."""
    result = read(path)[1]
    assert result.candidate_tree_dot() and result.candidate_tree_html()
    print(json.dumps({"best": result.best_candidate, "best_idx": result.best_idx,
                      "candidates": result.num_candidates, "samples": result.num_val_instances}))


if __name__ == "__main__":
    {"make": make, "compare": compare, "show": show}[sys.argv[1]](*sys.argv[2:])
