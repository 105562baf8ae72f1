#!/usr/bin/env python3
"""Writes gepa-confidence.json: what the reference's confidence adapter makes of answers.

    confidence_record.py >gepa-confidence.json

Needs the packages gepa and llm-structured-confidence.  The answers are made up here, token
by token; the adapter reads and scores them.  Kept of its feedback is which of its texts it was.
"""

import json
import math
import random
from importlib.metadata import version

from gepa.adapters.confidence_adapter import ConfidenceAdapter
from gepa.adapters.confidence_adapter.scoring import LinearBlendScoring, SigmoidScoring, ThresholdScoring

# (run option "confidence", the adapter's strategy for it)
STRATEGIES = [
    (None, None),
    ({"blend": "linear"}, LinearBlendScoring()),
    ({"blend": "linear", "threshold": 0.8, "floor": 0.1}, LinearBlendScoring(0.8, 0.1)),
    ({"blend": "threshold"}, ThresholdScoring()),
    ({"blend": "threshold", "threshold": 1}, ThresholdScoring(1.0)),
    ({"blend": "sigmoid"}, SigmoidScoring()),
    ({"blend": "sigmoid", "midpoint": 0.9, "steepness": 40}, SigmoidScoring(0.9, 40.0)),
]
LABELS = ["bad", "good enough", "good", "Bills/Electricity"]
LOGPROBS = [None, 0.0, -1e-9, -0.001, -0.01, -0.02, -0.1, -0.11, -0.3566, -0.5, -0.7, -1.2, -3.0, -9.0, -40.0]


def adapter_of(strategy):
    return ConfidenceAdapter(model=lambda messages: None, field_path="label", scoring_strategy=strategy)


def blends():
    for option, strategy in STRATEGIES:
        strategy = strategy or adapter_of(None).scoring_strategy
        for logprob in LOGPROBS:
            for right in (True, False):
                yield {"confidence": option, "right": right,
                       "probability": None if logprob is None else math.exp(logprob),
                       "score": strategy.score(right, logprob)}


def pieces(rng, text):
    """The text cut at random places."""
    cuts = sorted(rng.sample(range(1, len(text)), min(len(text) - 1, rng.randint(2, 8))))
    return [text[a:b] for a, b in zip([0] + cuts, cuts + [len(text)])]


def answer(rng, said):
    content = json.dumps({"reasoning": 'it is "good"', "label": said} if rng.random() < 0.5 else {"label": said})
    sure = rng.choice([0.0001, 0.002, 0.03, 0.5])
    tokens = [{"token": piece, "logprob": -sure * rng.random(), "top_logprobs": []} for piece in pieces(rng, content)]
    return content, tokens


def kind(feedback):
    for start, name in (("Correct but uncertain", "right, unsure"), ("Correct (", "right, fairly"), ("Correct.", "right"),
                        ("WRONG", "wrong, sure")):
        if feedback.startswith(start):
            return name
    return "wrong, unsure" if "The model was uncertain" in feedback else "wrong"


def responses():
    rng = random.Random(20250725)
    for number in range(120):
        option, strategy = STRATEGIES[number % len(STRATEGIES)]
        said = rng.choice(LABELS)
        expected = said if rng.random() < 0.6 else rng.choice(LABELS)
        content, tokens = answer(rng, said)
        response = {"choices": [{"message": {"content": content},
                                 "logprobs": {"content": tokens} if number % 10 else None}]}
        _, score, objectives, trace = adapter_of(strategy)._process_response(
            response, {"input": "", "additional_context": {}, "answer": expected}, True)
        yield {"confidence": option, "expected": expected, "content": content,
               "tokens": [[t["token"], t["logprob"]] for t in tokens] if number % 10 else [],
               "score": score, "accuracy": objectives["accuracy"], "probability": objectives["probability"],
               "kind": kind(trace["feedback"])}


def main():
    about = {"reference": f"gepa {version('gepa')}, llm-structured-confidence {version('llm-structured-confidence')}",
             "labels": LABELS}
    parts = [f'"{name}":[\n' + ",\n".join(json.dumps(case) for case in cases()) + "\n]"
             for name, cases in (("blends", blends), ("responses", responses))]
    print('{"about":' + json.dumps(about) + ",\n" + ",\n".join(parts) + "}")


main()
