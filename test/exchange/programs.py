"""Programs of DSPy: saved by it, and loaded by it.

    programs.py make FOLDER         save page.json, thinking.json, ... as DSPy does
    programs.py compare FOLDER A B [A B] ...
                                    whether DSPy has the same program after loading A.json as after B.json
    programs.py load FOLDER NAME KIND
                                    load NAME.json into a module of a kind; say what it has, as JSON
    programs.py again FOLDER NAME KIND
                                    ... and save it as NAME.json
"""
import json
import logging
import pathlib
import sys
from typing import Literal

import dspy

logging.getLogger("dspy").setLevel(logging.ERROR)


class Page(dspy.Signature):
    """Is this page worth keeping?

    Pages about *naïve* cooking are."""

    page_text: str = dspy.InputField(desc="the page, as plain text")
    siteName: str = dspy.InputField()
    verdict: Literal["keep", "drop"] = dspy.OutputField(desc="what to do")


class Plain(dspy.Signature):
    """Is it good?"""

    document: str = dspy.InputField()
    label: bool = dspy.OutputField()


class Claims(dspy.Signature):
    """List the claims."""

    document: str = dspy.InputField()
    claims: list[str] = dspy.OutputField()


class Checked(dspy.Signature):
    """Check each claim."""

    claims: list[str] = dspy.InputField(desc="of the document")
    errors: int = dspy.OutputField()


class Verdict(dspy.Signature):
    """Is it good, with so many errors?"""

    document: str = dspy.InputField()
    errors: int = dspy.InputField()
    label: bool = dspy.OutputField()


class Steps(dspy.Module):
    def __init__(self):
        super().__init__()
        self.zclaims = dspy.Predict(Claims)
        self.check = dspy.ChainOfThought(Checked)
        self.a = dspy.ChainOfThought(Verdict)


class Judge(dspy.Module):
    """What gepa.export_program() writes for a judge with a step "claims"."""

    def __init__(self):
        super().__init__()
        self.claims = dspy.Predict("document -> claims")
        self.judge = dspy.ChainOfThought("document, claims -> label")


KINDS = {
    "page": lambda: dspy.Predict(Page),
    "thinking": lambda: dspy.ChainOfThought(Plain),
    "steps": Steps,
    "lone": lambda: dspy.Predict("document -> label"),
    "predict": lambda: dspy.ChainOfThought("document -> label"),
    "judge": Judge,
}


def kind_of(name):
    return next(kind for kind in KINDS if name.startswith(kind))


def make(folder):
    page = KINDS["page"]()
    page.demos = [
        dspy.Example(page_text="Cook with \"salt\" ✓", siteName="a.example", verdict="keep", augmented=True).with_inputs("page_text"),
        {"page_text": "Buy now", "siteName": "b.example", "verdict": "drop", "why": ["an", "advert"]},
        {"page_text": "No label", "siteName": "c.example"}]
    page.lm = dspy.LM("openai/some-model", api_key="sk-secret", api_base="http://elsewhere.example", temperature=0.5)
    page.save(str(pathlib.Path(folder, "page.json")))
    thinking = KINDS["thinking"]()
    thinking.predict.demos = [dspy.Example(document="a", reasoning="short", label=False, augmented=True),
                              dspy.Example(document="bb", reasoning="longer", label=True)]
    thinking.save(str(pathlib.Path(folder, "thinking.json")))
    steps = KINDS["steps"]()
    steps.zclaims.demos = [dspy.Example(document="d", claims=["x", "y"])]
    steps.a.predict.signature = steps.a.predict.signature.with_instructions("Is it good?\n\tReally?")
    steps.save(str(pathlib.Path(folder, "steps.json")))


def load(folder, name, kind):
    module = KINDS[kind]()
    module.load(str(pathlib.Path(folder, name + ".json")))
    return module


def content(module):
    """All that is saved of a module, without the versions that saved it."""
    return module.dump_state()


def compare(folder, *names):
    for a, b in zip(names[::2], names[1::2]):
        one, other = (content(load(folder, name, kind_of(a))) for name in (a, b))
        print(f"{a}, {b}: {'the same' if one == other else f'{one!r} | {other!r}'}")


def show(folder, name, kind):
    module = load(folder, name, kind)
    print(json.dumps({predictor: {"instructions": p.signature.instructions,
                                  "fields": [field.json_schema_extra["prefix"] for field in p.signature.fields.values()],
                                  "demos": [dict(demo) for demo in p.demos]}
                      for predictor, p in module.named_predictors()}, sort_keys=True))


def again(folder, name, kind):
    module = load(folder, name, kind)
    for _, predictor in module.named_predictors():
        predictor.signature = predictor.signature.with_instructions(predictor.signature.instructions + " Tuned.")
    module.save(str(pathlib.Path(folder, name + ".json")))


if __name__ == "__main__":
    {"make": make, "compare": compare, "load": show, "again": again}[sys.argv[1]](*sys.argv[2:])
