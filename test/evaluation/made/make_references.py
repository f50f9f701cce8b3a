"""Writes references.json: what scikit-learn, seqeval, statsmodels, scipy and SQuAD's script make of small data.

python make_references.py answers    (transformers 4.57.1, the last with SQuAD's script)
python make_references.py            (scikit-learn 1.9.1, seqeval 1.2.2, statsmodels 0.15.0, scipy 1.17.1)

The first writes answers.json, the second references.json.
"""

import json
import random
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
here = Path(__file__).parent
generator = random.Random(11)


def write(name, value):
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    (here / name).write_text(text + "\n", encoding="utf-8")


def noisy(gold, labels, share):
    return [generator.choice(labels) if generator.random() < share else each for each in gold]


def classification_cases():
    names = ["business", "sport", "world", "Öl & Gas", "science"]
    gold = generator.choices(names, [5, 3, 2, 1, 1], k=120)
    quarter = ["a"] * 8 + ["b"] * 8
    return [
        ("five classes", gold, noisy(gold, names, 0.4), None),
        ("ties of rounding", quarter, ["a"] * 1 + ["b"] * 7 + ["a"] * 7 + ["b"] * 1, None),
        ("a class never predicted", ["a", "b", "b", "c"], ["a", "b", "b", "a"], None),
        ("a class without support", ["a", "b", "b", "a"], ["a", "b", "c", "a"], None),
        ("a listed class that is nowhere", ["a", "b", "b"], ["a", "b", "a"], ["a", "b", "z"]),
        ("one class only", ["a", "a", "a"], ["a", "a", "a"], None),
        ("all predictions equal", ["a", "b", "c", "b"], ["b"] * 4, None),
        ("one row, right", ["a"], ["a"], None),
        ("one row, wrong", ["a"], ["b"], None),
        ("without Other", gold, noisy(gold, names, 0.3), ["business", "science", "sport", "Öl & Gas"]),
        ("only a class without support", ["a", "b"], ["a", "b"], ["z"]),
        ("a long name", ["a class with quite a long name", "b"], ["b", "b"], None),
    ]


def make_classification():
    from sklearn.metrics import classification_report, confusion_matrix

    cases = []
    for name, gold, predicted, labels in classification_cases():
        report = dict(labels=labels, zero_division=0)
        cases.append({
            "name": name, "gold": gold, "predicted": predicted, "labels": labels,
            "dict": classification_report(gold, predicted, output_dict=True, **report),
            "text": classification_report(gold, predicted, **report),
            "text4": classification_report(gold, predicted, digits=4, **report),
            "confusion": confusion_matrix(gold, predicted).tolist(),
        })
    return cases


def make_multi_label():
    from sklearn.metrics import classification_report
    from sklearn.preprocessing import MultiLabelBinarizer

    names = ["anger", "fear", "joy", "love"]
    some = [[n for n in names if generator.random() < 0.35] for _ in range(60)]
    others = [[n for n in names if (n in row) != (generator.random() < 0.2)] for row in some]
    pairs = [
        ("four labels", names, some, others),
        ("never predicted, never held", names, [["anger"], ["fear", "joy"], []], [["anger"], ["joy"], []]),
        ("nothing predicted", names[:2], [["anger"], ["fear"]], [[], []]),
        ("one row", names[:2], [["anger", "fear"]], [["fear"]]),
    ]
    cases = []
    for name, labels, gold, predicted in pairs:
        binary = MultiLabelBinarizer(classes=labels).fit([])
        rows = [binary.transform(each) for each in (gold, predicted)]
        report = dict(target_names=labels, zero_division=0)
        cases.append({
            "name": name, "labels": labels, "gold": gold, "predicted": predicted,
            "dict": classification_report(*rows, output_dict=True, **report),
            "text": classification_report(*rows, **report),
        })
    return cases


def make_tags():
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
    weights = [8, 3, 3, 2, 2, 1, 1]
    random_rows = [generator.choices(tags, weights, k=generator.randint(1, 12)) for _ in range(80)]
    noisy_rows = [noisy(row, tags, 0.15) for row in random_rows]
    pairs = [
        ("random tags, broken sequences among them", random_rows, noisy_rows),
        ("an entity that begins with I", [["I-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]]),
        ("across sentences", [["B-PER"], ["I-PER"]], [["B-PER"], ["O"]]),
        ("classes with hyphens, and none", [["B-A-B", "I-A-B", "B", "I"]], [["B-A-B", "I-A-B", "B", "O"]]),
        ("a class that changes inside", [["B-PER", "I-LOC", "I-LOC"]], [["B-PER", "I-PER", "I-LOC"]]),
        ("nothing predicted", [["B-PER", "O"]], [["O", "O"]]),
    ]
    cases = []
    for name, gold, predicted in pairs:
        reports = {}
        for mode, options in (("default", {}), ("strict", dict(mode="strict", scheme=IOB2))):
            options = dict(zero_division=0, **options)
            found = classification_report(gold, predicted, output_dict=True, **options)
            reports[mode] = json.loads(json.dumps(found, default=float))
            reports[mode + "Text"] = classification_report(gold, predicted, **options)
        cases.append({"name": name, "gold": gold, "predicted": predicted, **reports})
    return cases


def make_mcnemar():
    from statsmodels.stats.contingency_tables import mcnemar

    cases = []
    for b, c in [(0, 0), (1, 0), (0, 5), (3, 3), (7, 2), (12, 12), (4, 20), (10, 15), (25, 25), (40, 12),
                 (300, 240), (1000, 2000), (5, 900)]:
        exact = b + c < 25
        found = mcnemar([[50, b], [c, 30]], exact=exact, correction=True)
        cases.append({"onlyBase": b, "onlyTuned": c, "statistic": float(found.statistic), "p": float(found.pvalue)})
    return cases


def make_numbers():
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error

    gold = [round(generator.gauss(0, 1), 3) for _ in range(50)]
    near = [round(each + generator.gauss(0, 0.7), 3) for each in gold]
    ties = [round(each) for each in gold]
    cases = []
    for name, a, b in [("noise", gold, near), ("ties", ties, near), ("both with ties", ties, ties[::-1]),
                       ("far from zero", [1e8 + each for each in gold], near), ("two rows", [1, 2], [5, 3])]:
        cases.append({
            "name": name, "gold": a, "predicted": b,
            "pearson": float(pearsonr(a, b).statistic), "spearman": float(spearmanr(a, b).statistic),
            "mse": float(mean_squared_error(a, b)), "mae": float(mean_absolute_error(a, b)),
        })
    return cases


def make_bootstrap():
    """Intervals of 20 000 draws: another generator's draws, so that ours must only be near."""
    import numpy as np
    from scipy.stats import bootstrap, pearsonr
    from sklearn.metrics import f1_score

    names = ["a", "b", "c"]
    gold = generator.choices(names, [5, 3, 2], k=200)
    base, tuned = noisy(gold, names, 0.5), noisy(gold, names, 0.35)
    code = {name: at for at, name in enumerate(names)}
    arrays = [np.array([code[each] for each in column]) for column in (gold, base, tuned)]
    truth = np.array([generator.gauss(0, 1) for _ in range(120)]).round(3)
    rough = (truth + np.array([generator.gauss(0, 1.2) for _ in range(120)])).round(3)
    fine = (truth + np.array([generator.gauss(0, 0.8) for _ in range(120)])).round(3)

    def macro(y, p):
        scores = []
        for label in range(3):
            hits, held, said = ((y == label) & (p == label)).sum(), (y == label).sum(), (p == label).sum()
            scores.append(2 * hits / (held + said) if held + said else 0.0)
        return np.mean(scores)

    assert abs(macro(arrays[0], arrays[2]) - f1_score(arrays[0], arrays[2], average="macro")) < 1e-12
    measures = {
        "accuracy": (arrays, lambda y, p, q: (q == y).mean() - (p == y).mean()),
        "macro": (arrays, lambda y, p, q: macro(y, q) - macro(y, p)),
        "pearson": ((truth, rough, fine), lambda y, p, q: pearsonr(y, q)[0] - pearsonr(y, p)[0]),
    }
    intervals = {}
    for name, (data, statistic) in measures.items():
        found = bootstrap(data, statistic, paired=True, vectorized=False, n_resamples=20_000,
                          method="percentile", rng=np.random.default_rng(3)).confidence_interval
        intervals[name] = [float(found.low), float(found.high)]
    return {"gold": gold, "base": base, "tuned": tuned, "truth": truth.tolist(), "rough": rough.tolist(),
            "fine": fine.tolist(), "intervals": intervals}


def make_curves():
    import numpy as np
    from scipy.optimize import curve_fit

    def law(n, a, b, c):
        return a * n ** -b + c

    cases = []
    for name, a, b, c, noise in [("clean", 2.0, 0.6, 0.08, 0), ("to zero", 1.5, 0.5, 0.0, 0),
                                 ("noisy", 1.8, 0.55, 0.1, 0.002)]:
        sizes = np.array([50, 100, 200, 400, 800, 1600], dtype=float)
        errors = law(sizes, a, b, c) + np.array([generator.gauss(0, noise) for _ in sizes])
        found, _ = curve_fit(law, sizes, errors, p0=[1, 0.5, 0.05], bounds=([0, 0.01, 0], [np.inf, 3, 1]),
                             maxfev=100_000, xtol=1e-14, ftol=1e-14, gtol=1e-14)
        residual = float(np.sqrt(np.mean((law(sizes, *found) - errors) ** 2)))
        cases.append({"name": name, "sizes": sizes.tolist(), "errors": errors.tolist(),
                      "a": float(found[0]), "b": float(found[1]), "c": float(found[2]), "rmse": residual})
    return cases


def make_answers():
    from transformers.data.metrics.squad_metrics import compute_exact, compute_f1, normalize_answer

    pairs = [
        (["The cat"], "a cat sat"), (["the  Beatles"], "Beatles!"), (["42"], "forty-two"), ([], ""), ([], "the"),
        ([], "Paris"), (["the"], "Paris"), (["a", "Paris"], "Paris"), (["Paris", "Paris, France"], "in Paris France"),
        (["an"], "an"), (["été à la mer"], "Ete a la mer"), (["déjà a vu"], "déjà vu"), (["naïvea the"], "naïvea"),
        (["U.S.A."], "usa"), (["“Paris”"], "Paris"), (["x\x1cy\x85z\u3000w"], "x y z w"), (["a\ufeffb"], "a b"),
        (["one one two"], "one two two"), (["the_cat a-b"], "the_cat ab"), (["ΣΑΣ"], "σας"), (["a1 the2"], "1 2"),
        (["東京 the 都"], "東京 都"), (["İstanbul"], "i̇stanbul"), (["²a"], "²"), (["e\u0301a the"], "e\u0301"),
    ]
    cases = []
    for gold, predicted in pairs:
        # As the script's get_raw_scores has it: answers of which nothing is left are none.
        kept = [each for each in gold if normalize_answer(each)] or [""]
        cases.append({"gold": gold, "predicted": predicted,
                      "exact": max(compute_exact(each, predicted) for each in kept),
                      "f1": float(max(compute_f1(each, predicted) for each in kept))})
    return cases


if sys.argv[1:] == ["answers"]:
    write("answers.json", make_answers())
else:
    write("references.json", {
        "classification": make_classification(), "multiLabel": make_multi_label(), "tags": make_tags(),
        "mcnemar": make_mcnemar(), "numbers": make_numbers(), "bootstrap": make_bootstrap(), "curves": make_curves(),
    })
