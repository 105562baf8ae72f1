#!/usr/bin/env python3
"""The score model beside an implementation of its own, on random matrices.

    model_check.py DRIVER

DRIVER is model_driver.c.  Here the easiness of items is not eliminated: one dense
system of all unknowns is solved per step.  Prints TAP.
"""

import subprocess
import sys

import numpy

MATRICES = 240
REWRITES = 30
TOLERANCE = 1e-8


class World:
    """Random lines, candidates and scores that come in stages.  With rewrites most
    candidates bring many lines along, and have those of others all or none."""

    def __init__(self, seed, rewrites=False):
        rng = numpy.random.default_rng(seed)
        self.rewrites = rewrites
        self.binary = seed % 2 == 0
        self.policy = dict(intercept_mean=0.3, intercept_sd=2.0, line_mean=0.1, line_sd=0.3,
                           candidate_sd=0.12, length_mean=-0.4, length_sd=0.2, sample_sd=2.0,
                           dispersion_prior=20.0, least_dispersion=0.02)
        for term in ('line_sd', 'candidate_sd', 'length_sd', 'sample_sd'):
            if rng.random() < 0.15:
                self.policy[term] = 0.0
        if seed % 7 == 3:
            self.policy.update(dispersion_prior=3.0, least_dispersion=0.3)
        if rng.random() < 0.2:
            # where weights and easiness are bounded
            self.policy.update(intercept_mean=4.0, sample_sd=8.0)
        if rng.random() < 0.2:
            # where whole steps overshoot
            self.policy.update(line_mean=3.0)
        self.nitems = int(rng.integers(3, 40))
        self.stages = []
        self.ancestors, self.candidates, known = [], [], set()
        for stage in range(int(rng.integers(1, 5))):
            self.stages.append(self.make_stage(rng, known))

    def make_stage(self, rng, known):
        first_line, first_candidate = len(self.ancestors), len(self.candidates)
        for _ in range(int(rng.integers(20, 60) if self.rewrites else rng.integers(0, 6))):
            n = len(self.ancestors)
            self.ancestors.append(int(rng.integers(0, n)) if n and rng.random() < 0.4 else -1)
        for _ in range(int(rng.integers(1, 4))):
            self.candidates.append(self.make_candidate(rng))
        cells = []
        ease = numpy.linspace(-2, 4, self.nitems)
        for _ in range(int(rng.integers(1, 60))):
            cell = (int(rng.integers(0, len(self.candidates))),
                    int(rng.integers(0, self.nitems)))
            if cell in known:
                continue
            known.add(cell)
            chance = 1 / (1 + numpy.exp(-ease[cell[1]] - 0.2 * cell[0]))
            score = float(rng.random() < chance) if self.binary else rng.beta(
                4 * chance + 0.1, 4 * (1 - chance) + 0.1)
            cells.append(cell + (float(score),))
        return (self.ancestors[first_line:], self.candidates[first_candidate:], cells,
                bool(rng.random() < 0.85))

    def make_candidate(self, rng):
        effects = set()
        chances = rng.random(len(self.ancestors))
        if self.rewrites:
            chances[:-2] = numpy.repeat(chances, 20)[:len(chances) - 2]
        for line in range(len(self.ancestors)):
            if chances[line] < 0.4:
                while line >= 0:
                    effects.add(line)
                    line = self.ancestors[line]
        length = float(rng.normal(0, 1)) if self.candidates else 0.0
        return length, sorted(effects)

    def text(self):
        words = list(self.policy.values()) + [self.nitems, len(self.stages)]
        for ancestors, candidates, cells, fit in self.stages:
            words += [len(ancestors)] + ancestors + [len(candidates)]
            for length, effects in candidates:
                words += [length, len(effects)] + effects
            words.append(len(cells))
            for cell in cells:
                words += cell
            words.append(int(fit))
        return ' '.join(repr(word) for word in words)


class Model:
    """The formulae, densely.  Unknowns are named; those of terms that are off are zero."""

    def __init__(self, world):
        self.world = world
        self.estimate = {}
        self.cells = []
        self.ease = numpy.zeros(world.nitems)
        self.ease_variance = numpy.full(world.nitems, world.policy['sample_sd'] ** 2)
        self.nlines = self.ncandidates = 0
        self.names = [('b0',), ('length',)]
        self.covariance = numpy.diag([self.prior(name)[1] ** 2 for name in self.names])
        self.dispersion = 1.0
        self.fits = self.shortened = self.certain = 0

    def prior(self, name):
        policy = self.world.policy
        if name[0] == 'b0':
            return policy['intercept_mean'], policy['intercept_sd']
        if name[0] == 'length':
            mean, sd = policy['length_mean'], policy['length_sd']
        elif name[0] == 'line':
            mean = policy['line_mean'] if self.world.ancestors[name[1]] < 0 else 0.0
            sd = policy['line_sd']
        elif name[0] == 'candidate':
            mean, sd = 0.0, policy['candidate_sd']
        else:
            mean, sd = 0.0, policy['sample_sd']
        return (mean, sd) if sd > 0 else (0.0, 0.0)

    def value(self, name):
        return self.estimate.get(name, self.prior(name)[0])

    def row(self, candidate):
        length, effects = self.world.candidates[candidate]
        row = {('b0',): 1.0, ('length',): length, ('candidate', candidate): 1.0}
        row.update({('line', line): 1.0 for line in effects})
        return row

    def theta(self, candidate):
        return sum(x * self.value(name) for name, x in self.row(candidate).items())

    def step(self, names, items):
        unknowns = [name for name in names + items if self.prior(name)[1] > 0]
        place = {name: i for i, name in enumerate(unknowns)}
        means = numpy.array([self.prior(name)[0] for name in unknowns])
        precision = numpy.diag([self.prior(name)[1] ** -2.0 for name in unknowns])
        right = precision @ means
        weight_of = numpy.zeros(self.world.nitems)
        for candidate, item, score in self.cells:
            eta = self.theta(candidate) + self.ease[item]
            p = 1 / (1 + numpy.exp(-eta))
            y = eta + (score - p) / max(p * (1 - p), 0.01)
            w = max(p * (1 - p), 0.01) / self.dispersion
            z = numpy.zeros(len(unknowns))
            for name, x in list(self.row(candidate).items()) + [(('item', item), 1.0)]:
                if name in place:
                    z[place[name]] = x
            precision += w * numpy.outer(z, z)
            right += w * y * z
            weight_of[item] += w
        covariance = numpy.linalg.inv(precision)
        solution = covariance @ right
        for name, x in zip(unknowns, solution):
            if name[0] == 'item':
                self.ease[name[1]] = min(max(x, -6), 6)
                self.ease_variance[name[1]] = 1 / (
                    weight_of[name[1]] + self.world.policy['sample_sd'] ** -2.0)
            else:
                self.estimate[name] = x
        self.names = [name for name in unknowns if name[0] != 'item']
        self.covariance = covariance[:len(self.names), :len(self.names)]

    def height(self, names):
        total = 0.0
        for candidate, item, score in self.cells:
            eta = self.theta(candidate) + self.ease[item]
            total += (score * eta - numpy.logaddexp(0, eta)) / self.dispersion
        sd = self.world.policy['sample_sd']
        if sd > 0:
            total -= numpy.sum((self.ease / sd) ** 2) / 2
        for name in names:
            mean, sd = self.prior(name)
            if sd > 0:
                total -= ((self.value(name) - mean) / sd) ** 2 / 2
        return total

    def fit(self):
        names = [('b0',), ('length',)] + [('line', i) for i in range(self.nlines)]
        names += [('candidate', i) for i in sorted({cell[0] for cell in self.cells})]
        items = [('item', i) for i in sorted({cell[1] for cell in self.cells})]
        self.take_steps(names, items, 2 if self.fits else 3)
        dispersion = self.pearson_dispersion()
        if dispersion != self.dispersion:
            self.dispersion = dispersion
            self.take_steps(names, items, 2)
        self.certain += dispersion < 0.5
        self.fits += 1

    def pearson_dispersion(self):
        if all(score in (0, 1) for _, _, score in self.cells):
            return 1.0
        weights = numpy.zeros(self.world.nitems)
        pearson = 0.0
        for candidate, item, score in self.cells:
            p = 1 / (1 + numpy.exp(-self.theta(candidate) - self.ease[item]))
            w = max(p * (1 - p), 0.01)
            pearson += (score - p) ** 2 / w
            weights[item] += w / self.dispersion
        variance = self.world.policy['sample_sd'] ** 2
        taken = numpy.sum(weights * variance / (weights * variance + 1))
        freedom = len(self.cells) - len({cell[0] for cell in self.cells}) - taken
        prior = self.world.policy['dispersion_prior']
        least = self.world.policy['least_dispersion']
        return min(max((pearson + prior) / (max(freedom, 0) + prior), least), 1)

    def take_steps(self, names, items, steps):
        whole = 0
        for _ in range(20):
            height = self.height(names)
            old = {name: self.value(name) for name in names}
            old_ease = self.ease.copy()
            self.step(names, items)
            share = 1.0
            new, new_ease = dict(self.estimate), self.ease.copy()
            while share > 2.0 ** -8 and self.height(names) < height - 1e-9 * (1 + abs(height)):
                share /= 2
                for name in new:
                    self.estimate[name] = old[name] + share * (new[name] - old[name])
                self.ease = old_ease + share * (new_ease - old_ease)
            whole += share == 1
            self.shortened += share < 1
            if whole == steps:
                break

    def run(self):
        for ancestors, candidates, cells, fit in self.world.stages:
            self.nlines += len(ancestors)
            self.ncandidates += len(candidates)
            self.cells += cells
            if fit:
                self.fit()

    def accuracy(self, candidate):
        eta = (self.theta(candidate) + self.ease) / numpy.sqrt(1 + 0.35 * self.ease_variance)
        return float(numpy.mean(1 / (1 + numpy.exp(-eta))))

    def sd(self, candidate, other):
        contrast = self.row(candidate)
        for name, x in self.row(other).items() if other is not None else ():
            contrast[name] = contrast.get(name, 0.0) - x
        known = numpy.array([contrast.pop(name, 0.0) for name in self.names])
        rest = sum((x * self.prior(name)[1]) ** 2 for name, x in contrast.items())
        return float(numpy.sqrt(known @ self.covariance @ known + rest))

    def effect(self, line):
        total = 0.0
        while line >= 0:
            total += self.value(('line', line))
            line = self.world.ancestors[line]
        return total

    def answer(self):
        values = []
        for i in range(self.world.nitems):
            values += [self.ease[i], self.ease_variance[i]]
        for i in range(self.ncandidates):
            values += [self.theta(i), self.accuracy(i), self.sd(i, None), self.sd(i, 0)]
        values += [self.effect(i) for i in range(self.nlines)]
        return numpy.array(values + [self.value(('length',))])


def main():
    worlds = [World(seed) for seed in range(MATRICES)]
    worlds += [World(MATRICES + seed, True) for seed in range(REWRITES)]
    result = subprocess.run([sys.argv[1]], input='\n'.join(world.text() for world in worlds),
                            stdout=subprocess.PIPE, text=True, check=True)
    lines = result.stdout.splitlines()
    failed = len(lines) != len(worlds)
    print('%sok 1 - an answer for each matrix' % ('not ' if failed else ''))
    shortened = certain = 0
    for number, (world, line) in enumerate(zip(worlds, lines), 2):
        model = Model(world)
        model.run()
        expected = model.answer()
        got = numpy.array([float(word) for word in line.split()])
        good = got.shape == expected.shape and numpy.allclose(
            got, expected, rtol=TOLERANCE, atol=TOLERANCE)
        shortened += model.shortened > 0
        certain += model.certain > 0
        print('%sok %d - %s, %d fits, %s' % (
            '' if good else 'not ', number, 'binary' if world.binary else 'continuous',
            model.fits, ', '.join(k for k, v in world.policy.items() if v == 0) or 'all terms'))
        if not good and got.shape == expected.shape:
            print('#   world %d: off by %g' % (number - 2, numpy.max(numpy.abs(got - expected))))
        failed = failed or not good
    few = not 10 < shortened < len(worlds) / 2
    print('%sok %d - steps were halved in %d of %d' % (
        'not ' if few else '', len(worlds) + 2, shortened, len(worlds)))
    failed = failed or few
    few = not 10 < certain < len(worlds) / 2
    print('%sok %d - scores varied by less than half of what coins do in %d of %d' % (
        'not ' if few else '', len(worlds) + 3, certain, len(worlds)))
    failed = failed or few
    print('1..%d' % (len(worlds) + 3))
    sys.exit(1 if failed else 0)


main()
