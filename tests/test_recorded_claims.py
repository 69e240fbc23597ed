"""What chapters say of recorded runs, held against the records.

A test stands for a claim of a chapter's text, and its name or its docstring says for which. What a
page trains or computes by itself, it asserts by itself.
"""

import dataclasses
import itertools
import math
import statistics

import pytest

from csae.claims import CLAIMS, SIDES, result_runs, verdict
from csae.data import Augmentation
from csae.evaluation import mean_interval, smallest_effect
from csae.recipes import recipe
from csae.records import gains, load_benchmark, load_runs, over_images, spread

ACCURACY, PSNR = "validation_accuracy", "validation_psnr"


def by_setting(experiment, dataset=None, seed=0):
    """Records of one seed by setting."""
    return {run.setting: run for run in load_runs(experiment, dataset) if run.seed == seed}


def by_seed(experiment, setting, dataset=None):
    """Records of one setting by seed."""
    return {run.seed: run for run in load_runs(experiment, dataset) if run.setting == setting}


def leads_of_twins(experiment, dataset):
    """By how many decibels of PSNR on test images a run's twin without labels is ahead, by seed."""
    runs, twins = (by_seed(experiment, name, dataset) for name in ("best", "unlabelled"))
    return {
        seed: twin.measured("test_psnr") - runs[seed].measured("test_psnr")
        for seed, twin in twins.items()
    }


def on_test_images(experiment, what, dataset="mnist"):
    """What all seeds of the recipe "best" reached on test images, accuracies in per cent."""
    scale = 100 if what == "accuracy" else 1
    runs = by_seed(experiment, "best", dataset).values()
    return [scale * run.measured(f"test_{what}") for run in runs]


# Learning in a minute


@pytest.fixture(scope="module")
def short():
    return {"digits": load_runs("quick-mnist"), "clothes": load_runs("quick-fashion-mnist")}


def in_points(runs, new, old):
    return [100 * gain for gain in gains(runs, new, old, ACCURACY)]


def test_short_runs_were_made_in_float32_with_two_seeds(short):
    """The chapter: "each with the seeds 0 and 1", "all were made in float32"; so are its curves."""
    for runs in short.values():
        assert {run.machine.precision for run in runs} == {"fp32"}
        for setting in {run.setting for run in runs}:
            assert [run.seed for run in runs if run.setting == setting] == [0, 1]


def test_batches_of_64_name_the_class_about_as_well_and_reconstruct_better(short):
    digits = short["digits"], "batch-64", "batch-256-shift-1"
    assert max(map(abs, in_points(*digits))) < 0.25
    assert all(0.8 < gain < 1.5 for gain in gains(*digits, PSNR))
    clothes = short["clothes"], "batch-64", "batch-256"
    points = in_points(*clothes)
    assert -0.4 < min(points) < 0 < max(points) < 0.2
    assert all(0.4 < gain < 0.8 for gain in gains(*clothes, PSNR))


@pytest.mark.parametrize("kind", ["digits", "clothes"])
@pytest.mark.parametrize("pair", [("muon", "batch-64"), ("muon-few", "batch-64-few")])
def test_muon_is_ahead_wherever_the_two_see_as_many_images(short, kind, pair):
    assert min(in_points(short[kind], *pair)) > 0.1
    assert min(gains(short[kind], *pair, PSNR)) > 0.3


def test_muon_with_half_of_the_digits_comes_within_a_fifth_of_a_point(short):
    """And stays behind in PSNR."""
    few = short["digits"], "muon-few", "batch-64"
    assert all(-0.2 < p < 0 for p in in_points(*few))
    assert max(gains(*few, PSNR)) < 0


def test_less_than_half_of_the_clothes_cost_muon_about_a_point(short):
    """And AdamW "more than half as much again"."""
    assert all(-1.5 < p < -0.5 for p in in_points(short["clothes"], "muon-few", "batch-64"))
    muon, adamw = (
        statistics.mean(in_points(short["clothes"], "batch-64", few))
        for few in ("muon-few", "batch-64-few")
    )
    assert 0.9 < muon < 1.2 < 1.6 < adamw < 1.9
    assert adamw > 1.5 * muon


def test_mirroring_showed_no_use_where_clothes_are_seen_once(short):
    """One seed gained more than half a point, the other lost a tenth; in PSNR both gained."""
    plain = short["clothes"], "muon-fewer-plain", "muon-few"
    lost, gained = in_points(*plain)
    assert -0.15 < lost < -0.05 < 0.5 < gained < 1
    assert min(gains(*plain, PSNR)) > 0


@pytest.fixture(scope="module")
def long_runs():
    adamw = by_seed("best-mnist-labels", "smoothing-0.01-decay")
    return by_seed("muon-mnist", "supervised")[0], list(adamw.values())


def test_long_runs_have_all_settings_of_the_strong_recipe_but_the_optimiser(long_runs):
    strong = recipe("best", "mnist").training
    muon, adamw = long_runs
    assert muon.recipe.training.optimizer == "muon"
    assert [run.recipe.training.optimizer for run in adamw] == ["adamw"] * 2
    for run in (muon, *adamw):
        as_strong = {"optimizer": strong.optimizer, "seed": strong.seed}
        assert dataclasses.replace(run.recipe.training, **as_strong) == strong


def test_long_training_with_muon_is_ahead_in_psnr_and_equal_in_accuracy(long_runs):
    """By several times what AdamW's seeds differ; "a few images of five thousand"."""
    muon, adamw = long_runs
    levels = [run.measured(PSNR) for run in adamw]
    lead = muon.measured(PSNR) - max(levels)
    assert lead > 0.3
    assert lead > 3 * (max(levels) - min(levels))
    for run in adamw:
        assert abs(muon.measured(ACCURACY) - run.measured(ACCURACY)) < 0.001


def test_quick_reaches_its_accuracies_as_the_median_of_three_runs():
    """99 % on digits and 90 % on clothes; one of the runs on clothes misses them."""
    rows = {row["dataset"]: row for row in load_benchmark("time-to-accuracy")["runs"]}
    for name, aim in (("mnist", 0.99), ("fashion-mnist", 0.9)):
        reached = [run["accuracy"] for run in rows[name]["runs"]]
        assert len(reached) == 3
        assert rows[name]["accuracy"] == statistics.median(reached) > aim
    assert sum(run["accuracy"] < 0.9 for run in rows["fashion-mnist"]["runs"]) == 1


def test_the_timed_runs_took_the_images_that_quick_takes():
    for row in load_benchmark("time-to-accuracy")["runs"]:
        quick = recipe(row["recipe"], row["dataset"]).training
        steps = quick.epochs * (quick.images_per_epoch // quick.batch_size)
        assert {run["images"] for run in row["runs"]} == {steps * quick.batch_size}


# Comparing without fooling yourself


def test_bfloat16_costs_a_few_hundredths_of_a_decibel_if_anything():
    mean, low, high = mean_interval(gains(load_runs("precision"), "bf16", "fp32", PSNR))
    assert -0.015 < mean < 0
    assert -0.04 < low < 0 < high < 0.04


def test_seeds_show_nine_tenths_of_a_point_on_clothes_and_a_seventh_on_digits():
    """With three seeds; with five "nothing below half of one" on clothes."""
    for dataset, three, five in (("fashion-mnist", 0.9, 0.46), ("mnist", 1 / 7, 0.07)):
        deviation = math.sqrt(2) * statistics.stdev(on_test_images("best", "accuracy", dataset))
        assert smallest_effect(deviation, 3) == pytest.approx(three, rel=0.05)
        assert smallest_effect(deviation, 5) == pytest.approx(five, rel=0.1)


# Results: what was chosen for all kinds of model alike


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_muon_is_ahead_of_adamw_for_every_kind(dataset):
    """On validation images, after the same three epochs; one seed."""
    runs = load_runs("results-optimiser", dataset)
    assert {run.recipe.training.epochs for run in runs} == {3}
    for kind in ("ours", "autoencoder", "vae"):
        (decibels,) = gains(runs, f"{kind}-muon", f"{kind}-adamw", PSNR)
        assert decibels > 0.2
    (points,) = gains(runs, "ours-muon", "ours-adamw", ACCURACY)
    assert points > 0.001


# Autoencoder design


def test_short_and_long_runs_of_the_published_network_are_decibels_apart():
    """After two epochs the strong recipe stands no higher than the short runs, and rises later."""
    runs = load_runs("networks")
    (epochs,) = {run.recipe.training.epochs for run in runs}
    short = spread(runs, PSNR)["dim-40"].values
    for run in by_seed("best", "unlabelled", "fashion-mnist").values():
        path = [epoch["validation_psnr"] for epoch in run.history]
        assert path[epochs - 1] < max(short)
        assert path[epochs - 1] + 2 < path[-1]


def test_more_dimensions_hold_more_in_every_recorded_run():
    found = spread(load_runs("networks"), PSNR)
    for few, many in itertools.pairwise((2, 10, 40, 128)):
        assert max(found[f"dim-{few}"].values) < min(found[f"dim-{many}"].values)


# Noise injection


NOISES = (0.0, 0.04, 0.15, 0.5)


def long_noise(name):
    """A figure of three seeds without noise, with little and with much, on clothes."""
    found = (*result_runs(), *load_runs("results-noise"))
    return [
        [
            run.measured(name)
            for run in sorted(found, key=lambda run: run.seed)
            if (run.dataset, run.setting) == ("fashion-mnist", setting)
        ]
        for setting in ("no-noise", "paper", "noise-0.5")
    ]


def ahead_with_much_noise(name):
    none, _, most = long_noise(name)
    return [b - a for a, b in zip(none, most, strict=True)]


def test_with_each_seed_more_noise_means_less_fidelity():
    for same_seed in zip(*long_noise("test_psnr"), strict=True):
        assert list(same_seed) == sorted(same_seed, reverse=True)
    assert statistics.mean(ahead_with_much_noise("test_psnr")) == pytest.approx(-1.9, abs=0.1)


def test_accuracy_on_clean_images_shows_no_clear_difference():
    none, little, most = long_noise("test_accuracy")
    for one, other in itertools.combinations((none, little, most), 2):
        _, low, high = mean_interval([b - a for a, b in zip(one, other, strict=True)])
        assert low < 0 < high


def test_training_noise_protects_against_noise_on_codes_not_on_pixels():
    assert statistics.mean(ahead_with_much_noise("accuracy_codes_2")) == pytest.approx(
        0.07, abs=0.005
    )
    assert min(ahead_with_much_noise("psnr_codes_2")) > 6
    _, low, high = mean_interval(ahead_with_much_noise("accuracy_pixels_0.2"))
    assert low < 0 < high
    lost = ahead_with_much_noise("psnr_pixels_0.2")
    assert max(lost) < 0
    assert statistics.mean(lost) == pytest.approx(-0.95, abs=0.05)


def test_growth_is_not_all_that_much_noise_brings():
    none, _, most = (statistics.mean(values) for values in long_noise("spread"))
    assert most / none == pytest.approx(9, abs=0.5)
    left = statistics.mean(ahead_with_much_noise("psnr_codes_1_spreads"))
    assert left == pytest.approx(1.5, abs=0.1)


@pytest.fixture(params=(0, 1))
def no_noise_and_most(request):
    found = by_setting("noise", seed=request.param)
    return found["noise-0.0"].measures, found["noise-0.5"].measures


def test_most_of_the_smaller_jacobian_is_growth(no_noise_and_most):
    """It falls by two orders of magnitude; only a small factor remains once growth is removed."""
    none, most = no_noise_and_most
    fell = none["squared_jacobian"] / most["squared_jacobian"]
    grew = most["spread"] / none["spread"]
    assert fell > 30
    assert grew > 3
    assert fell / grew**2 < 10


def test_stretch_goes_on_falling_in_one_seed_and_returns_in_the_other():
    runs = load_runs("noise")
    falls, returns = [], []
    for seed in (0, 1):
        stretch = [by_setting("noise", seed=seed)[f"noise-{f}"].measures["stretch"] for f in NOISES]
        assert stretch[2] < stretch[0]
        (falls if stretch[3] < stretch[2] else returns).append(seed)
    assert len(runs) == 8
    assert len(falls) == len(returns) == 1


# Full training


def test_the_record_of_the_pretrained_model_rose_until_its_end():
    """It still improved a little at the end, when the rate had gone to zero."""
    (record,) = load_runs("first-models", "fashion-mnist")
    seen = [epoch["validation_accuracy"] for epoch in record.history]
    assert seen[0] < 0.87 < 0.93 < seen[-1]
    assert 0 <= seen[-1] - seen[-2] < 0.005
    largest = record.recipe.training.learning_rate
    assert record.history[-1]["learning_rate"] < largest / 100_000


# A strong recipe: the search


THIRD_ROUND = ("shift-20", "shift-reconstruction-30-20", "shift-reconstruction-100-20")


@pytest.fixture(scope="module")
def searched():
    """Records of the search by setting, those for digits without the last round."""
    clothes, digits = by_setting("best-fashion-mnist"), by_setting("best-mnist")
    return {
        "clothes": clothes,
        "digits": {name: run for name, run in digits.items() if name not in THIRD_ROUND},
    }


def change(runs, new, old, what=ACCURACY):
    return runs[new].measured(what) - runs[old].measured(what)


def error(run):
    """Standard error of a difference of two such accuracies on different images."""
    right, images = run.measured(ACCURACY), run.data["validation"].images
    return math.sqrt(2 * right * (1 - right) / images)


def test_the_search_had_one_seed_and_two_rounds(searched):
    """Most runs had six epochs, the promising ones twenty and forty."""
    every = [run for runs in searched.values() for run in runs.values()]
    assert {
        run.seed for name in ("best-fashion-mnist", "best-mnist") for run in load_runs(name)
    } == {0}
    lengths = sorted(run.recipe.training.epochs for run in every)
    assert lengths[-5:] == [20, 24, 24, 40, 40]
    assert set(lengths[:-5]) == {6}
    assert {run.recipe.training.optimizer for run in every} == {"adamw"}


def test_for_clothes_each_change_costs_little_and_all_together_too_much(searched):
    """Accuracy in six epochs fell with each; each step within twice the error, their sum not."""
    runs = searched["clothes"]
    order = ("flip", "shift", "shift-erase", "warp-erase")
    six = [runs[setting].measured(ACCURACY) for setting in order]
    steps = [a - b for a, b in itertools.pairwise(six)]
    assert min(steps) > 0
    assert max(steps) < 2 * error(runs["flip"]) < sum(steps)
    assert change(runs, "shift-erase", "flip") < -2 * error(runs["flip"])


def test_for_clothes_three_changes_are_ahead_after_forty_epochs_for_a_tenth_of_a_decibel(searched):
    """By less than the error."""
    runs = searched["clothes"]
    assert 0 < change(runs, "light-shift-erase-40", "flip-40") < error(runs["flip"])
    assert -0.15 < change(runs, "light-shift-erase-40", "flip-40", PSNR) < -0.05


def test_mirroring_alone_was_ahead_for_most_of_the_way_and_left_little_to_learn(searched):
    """At the end the three changes were; the cross-entropy of mirroring came near its lowest."""
    names = ("flip-40", "light-shift-erase-40")
    histories = [searched["clothes"][name].history for name in names]
    mirrored, changed = ([epoch["validation_accuracy"] for epoch in h] for h in histories)
    assert sum(mirrored[5:25]) > sum(changed[5:25])
    assert sum(changed[-5:]) > sum(mirrored[-5:])
    least = recipe("best", "fashion-mnist").smoothing / 10  # of each wrong class
    most = 1 - 9 * least
    floor = -most * math.log(most) - 9 * least * math.log(least)
    by_heart, open_to_learn = (history[-1]["classification"] - floor for history in histories)
    assert 0 < 2 * by_heart < open_to_learn


def test_for_digits_all_accuracies_of_six_epochs_lay_within_twice_the_error(searched):
    """The strongest changes were in front, and cost more than a decibel."""
    runs = searched["digits"]
    six = {
        name: run.measured(ACCURACY)
        for name, run in runs.items()
        if run.recipe.classification_weight and run.recipe.training.epochs == 6
    }
    assert max(six.values()) - min(six.values()) < 2 * error(runs["warp"])
    assert max(six, key=six.get) == "warp-erase"
    assert change(runs, "warp", "shift", PSNR) < -1


def test_a_weight_of_30_wins_back_two_fifths_to_a_half_of_what_labels_cost(searched):
    """It cost accuracy: about twice the error on clothes, under one and a half on digits."""
    for kind, usual, (low, high) in (
        ("clothes", "shift-erase", (1.8, 2.2)),
        ("digits", "warp", (1, 1.5)),
    ):
        runs = searched[kind]
        won_back = change(runs, "reconstruction-30", usual, PSNR)
        assert 0.38 < won_back / change(runs, "unsupervised", usual, PSNR) < 0.5
        assert low < -change(runs, "reconstruction-30", usual) / error(runs[usual]) < high


# A strong recipe: what the speed costs


@pytest.fixture(scope="module")
def precisions():
    return load_runs("precision")


def test_bfloat16_leaves_the_psnr_where_it_was(precisions):
    """To a few hundredths of a decibel, seed by seed; seeds tell no quarter of a point."""
    decibels = gains(precisions, "bf16", "fp32", PSNR)
    assert len(decibels) == 3
    assert max(map(abs, decibels)) < 0.05
    assert abs(statistics.mean(gains(precisions, "bf16", "fp32", ACCURACY))) < 0.005


def test_the_larger_batch_costs_every_seed_accuracy_and_psnr(precisions):
    """The PSNR falls by about a decibel, as the figure's description says."""
    larger = precisions, "bf16-batch-512", "bf16"
    assert max(gains(*larger, ACCURACY)) < 0
    assert all(-1.25 < gain < -0.75 for gain in gains(*larger, PSNR))


# A strong recipe: on the test images


def test_on_clothes_every_seed_is_above_94_per_cent_seed_0_by_two_images():
    """ "All intervals reach below"."""
    scores = on_test_images("best", "accuracy", "fashion-mnist")
    assert len(scores) == 3
    assert scores[0] == min(scores)
    assert round(100 * (min(scores) - 94)) == 2  # images of 10,000
    for run in by_seed("best", "best", "fashion-mnist").values():
        assert over_images(run, "test").low < 0.94


def test_on_clothes_the_three_twins_are_just_under_a_decibel_ahead():
    leads = leads_of_twins("best", "fashion-mnist")
    assert len(leads) == 3
    assert all(0.9 < lead < 1 for lead in leads.values())


def test_accuracy_falls_by_a_few_images_from_form_to_form_and_fidelity_rises():
    forms = ("best-first-form", "best-second-form", "best")
    means = [statistics.mean(on_test_images(form, "accuracy")) for form in forms]
    assert all(0 < a - b < 0.04 for a, b in itertools.pairwise(means))
    levels = [statistics.mean(on_test_images(form, "psnr")) for form in forms]
    assert levels == sorted(levels)
    assert 1.7 < levels[-1] - levels[0] < 1.9


def test_the_recipe_gains_over_the_form_of_the_paper():
    """More than a point on clothes, a fifth of one on digits."""
    for dataset, low, high in (("fashion-mnist", 1.2, 1.5), ("mnist", 0.15, 0.25)):
        (paper,) = load_runs("paper", dataset)
        ours = statistics.mean(on_test_images("best", "accuracy", dataset))
        assert low < ours - 100 * paper.test["accuracy"] < high


def test_all_three_forms_on_digits_stand_between_99_5_and_99_6():
    for form in ("best-first-form", "best-second-form", "best"):
        assert 99.5 < statistics.mean(on_test_images(form, "accuracy")) < 99.6


def test_an_older_run_did_as_well_on_digits_in_half_the_epochs():
    """With shifts alone, a weight of 10 and batches of 256; it remains the most accurate."""
    (old,) = load_runs("first-models", "mnist")
    best = 100 * old.measured("test_accuracy")
    assert best > max(on_test_images("best-first-form", "accuracy"))
    assert best > max(on_test_images("best-second-form", "accuracy"))
    tries = statistics.mean(on_test_images("best-first-form", "psnr"))
    assert abs(old.measured("test_psnr") - tries) < 0.1
    assert old.recipe.training.augmentation == Augmentation(shift=2)
    assert old.recipe.reconstruction_weight == 10
    assert old.recipe.training.batch_size == 256
    (first,) = {r.recipe.training.epochs for r in load_runs("best-first-form")}
    assert 2 * old.recipe.training.epochs == first


# A strong recipe: what was chosen for digits


@pytest.fixture(scope="module")
def twenty_epochs():
    """Warping with the weight of 30, and shifts with 100, 30 and 10."""
    found = by_setting("best-mnist")
    shifts = (
        "shift-reconstruction-100-20",
        "shift-reconstruction-30-20",
        "shift-20",
    )
    return [found[name] for name in ("reconstruction-30-20", *shifts)]


def test_three_of_the_four_are_alike_in_accuracy_and_differ_in_fidelity(twenty_epochs):
    """Without warping over a decibel and a half; half a decibel for the weight of 30."""
    warped, _, heavy, light = twenty_epochs
    within = error(by_setting("best-mnist")["warp"])
    for other in (warped, light):
        assert abs(heavy.measured(ACCURACY) - other.measured(ACCURACY)) < within
    assert 1.5 < heavy.measured(PSNR) - warped.measured(PSNR) < 1.75
    assert 0.5 < heavy.measured(PSNR) - light.measured(PSNR) < 0.65


def test_the_weight_of_100_pays_for_a_little_fidelity_with_over_four_times_the_error(twenty_epochs):
    """More than half a point of accuracy for four tenths of a decibel."""
    _, too_heavy, heavy, _ = twenty_epochs
    lost = heavy.measured(ACCURACY) - too_heavy.measured(ACCURACY)
    assert 4 < lost / error(by_setting("best-mnist")["warp"]) < 6
    assert lost > 0.005
    assert 0.3 < too_heavy.measured(PSNR) - heavy.measured(PSNR) < 0.5


# A strong recipe: smoothing and weight decay on digits


@pytest.fixture(scope="module")
def smoother():
    """The twin's mean lead in dB, by setting."""
    runs = load_runs("best-mnist-labels")
    labelled = [run for run in runs if run.recipe.classification_weight]
    psnrs = {name: found.mean for name, found in spread(runs, PSNR).items()}
    leads = {}
    for name in {run.setting for run in labelled}:
        same = [change for change in ("-erase", "-light-warp") if name.endswith(change)]
        leads[name] = psnrs["unsupervised" + "".join(same)] - psnrs[name]
    return leads


def test_the_weight_of_10_was_ahead_of_30_with_both_seeds_by_a_few_images():
    runs = load_runs("best-mnist-labels")
    images = runs[0].data["validation"].images
    ahead = gains(runs, "smoothing-0.01-reconstruction-10", "smoothing-0.01", ACCURACY)
    assert len(ahead) == 2
    assert all(0 < images * gain < 6 for gain in ahead)


def test_less_smoothing_gained_less_than_a_tenth_of_a_decibel(smoother):
    """From 0.1 to 0.01; and at 0.001 it was worse than at the start."""
    start, mild, loose, none = (smoother[f"smoothing-{s}"] for s in (0.1, 0.03, 0.01, 0.001))
    assert none > start > mild > loose
    assert 0.03 < start - loose < 0.1


def test_stronger_weight_decay_brought_about_as_much_again(smoother):
    assert 0.03 < smoother["smoothing-0.01"] - smoother["smoothing-0.01-decay"] < 0.12
    for setting in ("smoothing-0.1", "smoothing-0.01", "smoothing-0.01-decay"):
        assert len(by_seed("best-mnist-labels", setting)) == 2


def test_on_digits_both_aims_are_missed_narrowly():
    """99.6 % were wanted, and a lead of the twins of at most one decibel."""
    leads = leads_of_twins("best", "mnist")
    lead = statistics.mean(leads.values())
    assert len(leads) == 3
    assert round(statistics.mean(on_test_images("best", "accuracy")), 2) == 99.55
    assert round(lead, 2) == 1.02
    assert 0.9 < min(leads.values()) < 1 < lead < max(leads.values()) < 1.15


# What the method is worth


CLOTHES, DIGITS, LETTERS = "fashion-mnist", "mnist", "emnist-letters"
BOTH_TASKS = ("paper", "ours", "linear-head")


def of(setting, dataset):
    """Records of a setting by seed, whichever of the experiments has it."""
    names = ("results-letters",) if dataset == LETTERS else ("results", "results-changes")
    return next(filter(None, (by_seed(name, setting, dataset) for name in names)))


def pairs(dataset, new, old, name, old_name=None):
    """What one setting is ahead of another, seed by seed; not one of them is left out."""
    runs, others = (of(setting, dataset) for setting in (new, old))
    seeds = sorted(runs.keys() & others.keys())
    assert seeds
    return [runs[s].measured(name) - others[s].measured(old_name or name) for s in seeds]


def levels(dataset, setting, name):
    return [run.measured(name) for run in of(setting, dataset).values()]


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
@pytest.mark.parametrize("setting", BOTH_TASKS)
def test_two_tasks_cost_about_a_decibel_and_tenths_of_a_point(dataset, setting):
    for decibels in pairs(dataset, setting, "autoencoder", "test_psnr"):
        assert -1.4 < decibels < -0.5
    for points in pairs(dataset, setting, "classifier", "test_accuracy"):
        assert -0.55 < 100 * points < 0.2


@pytest.mark.parametrize(
    ("dataset", "low", "high"), [(DIGITS, 1.25, 1.85), (LETTERS, 1.15, 1.3), (CLOTHES, 1, 1.1)]
)
@pytest.mark.parametrize("setting", BOTH_TASKS)
def test_in_errors_two_tasks_cost_most_on_digits(setting, dataset, low, high):
    errors, alone = (
        1 - statistics.mean(levels(dataset, name, "test_accuracy"))
        for name in (setting, "classifier")
    )
    assert low < errors / alone < high


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
@pytest.mark.parametrize("setting", BOTH_TASKS)
def test_variational_models_lie_far_from_the_corner(dataset, setting):
    for old, name in (("vae", "probe_accuracy"), ("cvae", "test_accuracy")):
        assert min(pairs(dataset, setting, old, "test_psnr")) > 1.5
        assert min(pairs(dataset, setting, old, "test_accuracy", name)) > 0.015
    behind = statistics.mean(pairs(dataset, setting, "cvae-optimal", "test_accuracy"))
    assert behind > 0.2
    for old, name in (("vae", "probe_accuracy"), ("cvae", "test_accuracy")):
        assert statistics.mean(pairs(dataset, setting, old, "test_accuracy", name)) > 0.0245


@pytest.mark.parametrize("setting", BOTH_TASKS)
def test_two_tasks_cost_twice_as_much_on_letters(setting):
    """About two decibels, and about a point."""
    for decibels in pairs(LETTERS, setting, "autoencoder", "test_psnr"):
        assert -2.4 < decibels < -1.8
    for points in pairs(LETTERS, setting, "classifier", "test_accuracy"):
        assert -1.5 < 100 * points < -0.6


def test_on_letters_vaes_are_a_decibel_behind_and_name_classes_far_worse():
    for old, name in (("vae", "probe_accuracy"), ("cvae", "test_accuracy")):
        assert all(0.7 < x < 1.4 for x in pairs(LETTERS, "paper", old, "test_psnr"))
        assert min(pairs(LETTERS, "paper", old, "test_accuracy", name)) > 0.2


def test_on_letters_fixed_centroids_are_more_compact_and_no_more_accurate():
    """The opposite of ten classes; the head names a few more letters rightly."""
    assert min(pairs(LETTERS, "ours", "linear-head", "silhouette")) > 0.01
    fixed, head = (
        statistics.mean(levels(LETTERS, name, "class_subspace_silhouette"))
        for name in ("ours", "linear-head")
    )
    assert 1.6 < fixed / head < 2
    ahead = pairs(LETTERS, "linear-head", "ours", "test_accuracy")
    assert all(0.002 < x < 0.0055 for x in ahead)
    assert mean_interval(ahead)[1] > 0
    assert max(pairs(LETTERS, "paper", "linear-head", "silhouette")) < 0


def test_on_letters_more_smoothing_makes_the_class_subspace_more_compact_still():
    """Over all dimensions less compact than the head, and as accurate."""
    inside = pairs(LETTERS, "paper", "ours", "class_subspace_silhouette")
    assert min(inside) > 0.03
    mean, low, high = mean_interval(pairs(LETTERS, "paper", "linear-head", "test_accuracy"))
    assert low < 0 < high
    assert abs(mean) < 0.001


def test_by_grey_values_one_gaussian_draws_letters_ahead_of_a_vae_and_its_prior():
    for old in ("gaussian_all", "prior"):
        ahead = pairs(
            LETTERS, "vae", "paper", f"frechet_pixels_{old}", "frechet_pixels_gaussian_all"
        )
        assert mean_interval(ahead)[1] > 0


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES, LETTERS])
@pytest.mark.parametrize("setting", BOTH_TASKS)
def test_silhouettes_are_below_a_fifth_and_larger_in_the_class_subspace(dataset, setting):
    whole, inside = (
        levels(dataset, setting, name) for name in ("silhouette", "class_subspace_silhouette")
    )
    assert max(whole) < 0.2
    assert all(b > a for a, b in zip(whole, inside, strict=True))


def test_distances_between_real_images_differ_by_set():
    for dataset, low, high in ((DIGITS, 0, 0.02), (CLOTHES, 0, 0.02), (LETTERS, 0.5, 0.6)):
        assert all(low < x < high for x in levels(dataset, "paper", "frechet_validation"))


def test_on_clothes_single_gaussians_suit_the_better_likelihood_too():
    assert min(pairs(CLOTHES, "paper", "cvae-optimal", "frechet_gaussian_classes")) > 0


def test_an_autoencoder_draws_letters_as_well_with_mixtures_only():
    mine = statistics.mean(levels(LETTERS, "paper", "frechet_mixture_classes"))
    for csae in ("paper", "ours"):
        level = pairs(LETTERS, csae, "autoencoder", "frechet_mixture_classes")
        assert all(abs(x) < 0.15 * mine for x in level)
        assert min(pairs(LETTERS, "autoencoder", csae, "frechet_gaussian_classes")) > 0.9
        assert max(pairs(LETTERS, "autoencoder", csae, "confirmed_mixture_classes")) < -0.015


def test_twelve_runs_were_measured_again():
    again = [run for run in result_runs() if run.measured_by != run.environment["commit"]]
    assert len(again) == 12


def test_c6_of_samples_is_open_against_the_stronger_opponents():
    """Of the four comparisons of samples with σ-models one is for it and three are open."""
    (claim,) = (claim for claim in CLAIMS if claim.id == "C6")
    strong = tuple(
        c
        for c in claim.comparisons
        if c.old.endswith("-optimal") and c.quantity.startswith("frechet")
    )
    counts = verdict(dataclasses.replace(claim, comparisons=strong), result_runs()).counts
    assert [counts[side] for side in SIDES] == [1, 3, 0]
    assert sum(counts.values()) == 4


def test_what_c6_does_not_count():
    def closer(dataset, old, sampler):
        return mean_interval(pairs(dataset, old, "paper", f"frechet_{sampler}"))

    for old in ("vae-optimal", "cvae-optimal"):
        assert closer(DIGITS, old, "gaussian_classes")[1] > 0
    assert closer(CLOTHES, "cvae-optimal", "gaussian_classes")[2] < 0
    for dataset in (DIGITS, CLOTHES):
        assert closer(dataset, "vae-optimal", "mixture_all")[1] > 0
    for dataset in (DIGITS, CLOTHES, LETTERS):
        among = pairs(dataset, "cvae", "paper", "precision_mixture_classes")
        covers = pairs(dataset, "paper", "cvae", "recall_mixture_classes")
        assert min(mean_interval(among)[1], mean_interval(covers)[1]) > 0


def test_labels_in_training_matter_little_for_mixtures_of_each_class():
    for dataset, csae in itertools.product((DIGITS, CLOTHES, LETTERS), ("paper", "ours")):
        _, low, high = mean_interval(pairs(dataset, "autoencoder", csae, "frechet_mixture_classes"))
        assert low < 0 < high
        if dataset != CLOTHES:
            single = pairs(dataset, "autoencoder", csae, "frechet_gaussian_classes")
            assert mean_interval(single)[1] > 0
        if dataset != DIGITS:
            confirmed = pairs(dataset, csae, "autoencoder", "confirmed_mixture_classes")
            assert mean_interval(confirmed)[1] > 0


def test_on_digits_mixtures_show_one_clear_lead():
    leads = {
        old: mean_interval(pairs(DIGITS, old, "paper", "frechet_mixture_classes"))
        for old in ("vae", "cvae", "vae-optimal", "cvae-optimal")
    }
    assert [old for old, (_, low, _) in leads.items() if low > 0] == ["vae-optimal"]
    assert all(high > 0 for _, _, high in leads.values())
    mine = statistics.mean(levels(DIGITS, "paper", "frechet_mixture_classes"))
    assert leads["vae-optimal"][0] / mine == pytest.approx(0.1, abs=0.03)


def test_on_clothes_this_book_s_form_is_a_third_further_than_a_sigma_cvae():
    mine, other = (
        statistics.mean(levels(CLOTHES, name, "frechet_mixture_classes"))
        for name in ("ours", "cvae-optimal")
    )
    assert 1.25 < mine / other < 1.4


def test_on_letters_ssim_shows_no_order_against_a_vae():
    _, low, high = mean_interval(pairs(LETTERS, "paper", "vae", "ssim"))
    assert low < 0 < high


@pytest.mark.parametrize(
    ("dataset", "right", "faithful"),
    [(DIGITS, "paper", "ours"), (LETTERS, "paper", "ours"), (CLOTHES, "ours", "paper")],
)
def test_the_form_with_fewer_errors_is_less_faithful(dataset, right, faithful):
    assert statistics.mean(pairs(dataset, right, faithful, "test_accuracy")) > 0
    assert all(-0.5 < x < 0 for x in pairs(dataset, right, faithful, "test_psnr"))


def test_on_letters_labels_and_reconstruction_do_what_they_do_elsewhere():
    assert min(pairs(LETTERS, "ours", "autoencoder", "probe_accuracy")) > 0.2
    assert all(0 < x < 0.1 for x in pairs(LETTERS, "ours", "autoencoder", "silhouette"))
    assert max(pairs(LETTERS, "ours", "classifier", "silhouette")) < -0.2
    assert mean_interval(pairs(LETTERS, "ours", "classifier", "test_accuracy"))[2] < -0.005


def test_samples_of_letters_are_ahead_of_vaes_with_the_same_sampler_for_each_class():
    """By a fifth to a factor of two; with one Gaussian level, with one mixture ahead."""
    for old, name in itertools.product(("vae", "cvae"), ("mixture", "gaussian")):
        one, other = (
            statistics.mean(levels(LETTERS, setting, f"frechet_{name}_classes"))
            for setting in ("paper", old)
        )
        assert 1.15 < other / one < 2.1
    low, high = mean_interval(pairs(LETTERS, "vae", "paper", "frechet_gaussian_all"))[1:]
    assert low < 0 < high
    assert min(pairs(LETTERS, "vae", "paper", "frechet_mixture_all")) > 0.5
    assert min(pairs(LETTERS, "paper", "vae", "frechet_gaussian_all", "frechet_prior")) > 0.5
    assert min(pairs(LETTERS, "cvae", "paper", "frechet_prior", "frechet_gaussian_classes")) > 3


def test_the_judge_confirms_fewer_letters_than_it_names():
    for run in of("ours", LETTERS).values():
        lost = run.measured("judge_accuracy") - run.measured("confirmed_mixture_classes")
        assert 0.015 < lost < 0.03


def test_on_letters_the_paper_s_form_is_less_sharp_and_faithful_than_an_autoencoder():
    assert max(pairs(LETTERS, "paper", "autoencoder", "test_psnr")) < -2
    assert max(pairs(LETTERS, "paper", "autoencoder", "gradient_energy_kept")) < 0


def test_samplers_matter_as_much_as_models_on_digits():
    decoding = (*BOTH_TASKS, "autoencoder", "vae", "cvae")
    gaussian, mixture = (
        {s: statistics.mean(levels(DIGITS, s, f"frechet_{name}_classes")) for s in decoding}
        for name in ("gaussian", "mixture")
    )
    assert all(mixture[setting] < gaussian[setting] for setting in decoding)
    assert max(mixture.values()) < min(gaussian[s] for s in decoding if s != "cvae")
    assert max(mixture.values()) < 2 * min(mixture.values())


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_a_trained_head_is_more_compact_and_else_level(dataset):
    """In the class subspace three seeds leave it open."""
    inside = pairs(dataset, "linear-head", "ours", "class_subspace_silhouette")
    assert all(-0.01 < x < 0.04 for x in inside)
    assert mean_interval(inside)[1] < 0
    assert min(pairs(dataset, "linear-head", "ours", "silhouette")) > 0.02
    assert all(abs(x) < 0.3 for x in pairs(dataset, "linear-head", "ours", "test_psnr"))
    assert all(abs(x) < 0.003 for x in pairs(dataset, "linear-head", "ours", "test_accuracy"))


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_labels_make_codes_more_discriminative_and_reconstruction_less_compact(dataset):
    assert all(0.065 < x < 0.1 for x in pairs(dataset, "ours", "autoencoder", "probe_accuracy"))
    assert all(0 < x < 0.1 for x in pairs(dataset, "ours", "autoencoder", "silhouette"))
    for alone, both in itertools.product(
        levels(dataset, "classifier", "silhouette"), levels(dataset, "ours", "silhouette")
    ):
        assert alone > 3 * both
    alone, both = (
        statistics.mean(levels(dataset, name, "class_subspace_silhouette"))
        for name in ("classifier", "ours")
    )
    assert both < alone < 3 * both
    behind = pairs(dataset, "ours", "classifier", "test_accuracy")
    assert max(behind) < 0
    assert mean_interval(behind)[2] > 0


def test_the_variational_opponents_are_good_ones():
    """Better than PyTorch's example on the same digits; a CVAE beyond what its label is worth."""
    assert min(levels(DIGITS, "vae", "bound")) > -106.7
    for dataset in (DIGITS, CLOTHES):
        assert min(pairs(dataset, "cvae", "vae", "bound")) > math.log(10)


def test_samples_of_digits_depend_on_the_sampler_and_those_of_clothes_on_the_model():
    for old in ("vae", "cvae"):
        own = pairs(DIGITS, "paper", old, "frechet_gaussian_classes", "frechet_prior")
        assert max(own) < -0.2
        assert max(pairs(CLOTHES, "paper", old, "frechet_gaussian_classes", "frechet_prior")) < -1
    assert all(abs(x) < 0.03 for x in pairs(DIGITS, "paper", "cvae", "frechet_mixture_classes"))
    assert max(pairs(DIGITS, "paper", "cvae", "confirmed_mixture_classes")) < 0
    assert min(pairs(DIGITS, "paper", "cvae", "frechet_gaussian_classes")) > 0.05
    for name in ("mixture", "gaussian"):
        levelled = pairs(DIGITS, "paper", "vae", f"frechet_{name}_classes")
        assert all(abs(x) < 0.1 for x in levelled)
    for old in ("vae", "cvae"):
        assert min(pairs(CLOTHES, "paper", old, "confirmed_mixture_classes")) > 0.01
    for old, name in itertools.product(("vae", "cvae"), ("mixture", "gaussian")):
        one, other = (
            statistics.mean(levels(CLOTHES, setting, f"frechet_{name}_classes"))
            for setting in ("paper", old)
        )
        assert other > 1.85 * one


def test_without_labels_the_prior_of_a_vae_draws_better_than_a_gaussian_of_a_csae():
    """With one mixture for all codes they are level on digits; on clothes the CSAE is ahead."""
    for dataset in (DIGITS, CLOTHES):
        assert min(pairs(dataset, "paper", "vae", "frechet_gaussian_all", "frechet_prior")) > 0.2
        assert min(pairs(dataset, "paper", "vae", "frechet_gaussian_all")) > 0.2
    assert all(abs(x) < 0.25 for x in pairs(DIGITS, "paper", "vae", "frechet_mixture_all"))
    assert max(pairs(CLOTHES, "paper", "vae", "frechet_mixture_all")) < -1
    for dataset in (DIGITS, CLOTHES):
        best = levels(dataset, "paper", "frechet_mixture_all")
        assert 2 * max(best) < min(levels(dataset, "vae", "frechet_prior"))


def test_variational_samples_lie_among_real_images_and_cover_fewer_of_them():
    for dataset, old in itertools.product((DIGITS, CLOTHES), ("vae", "cvae")):
        assert max(pairs(dataset, "paper", old, "precision_mixture_classes")) < 0.02
        assert min(pairs(dataset, "paper", old, "recall_mixture_classes")) > 0.05


def test_an_autoencoder_draws_clothes_about_as_well_as_a_csae():
    for csae in ("paper", "ours"):
        for difference in pairs(CLOTHES, csae, "autoencoder", "frechet_mixture_classes"):
            assert abs(difference) < 0.2


def test_on_clothes_this_book_s_form_is_the_paper_s_without_its_wavelet_loss():
    """Less faithful: what a smaller weight of the image does, too."""
    runs, papers = (by_seed("results", setting, CLOTHES) for setting in ("ours", "paper"))
    for seed in runs.keys() & papers.keys():
        assert runs[seed].recipe == papers[seed].recipe.change(wavelet_weight=0.0)
    assert max(pairs(CLOTHES, "ours", "paper", "test_psnr")) < -0.2


def test_the_paper_s_form_is_faithful_but_not_sharper_than_an_autoencoder():
    assert all(-1.4 < x < -1 for x in pairs(DIGITS, "paper", "autoencoder", "test_psnr"))
    assert all(-1 < x < -0.5 for x in pairs(CLOTHES, "paper", "autoencoder", "test_psnr"))
    for dataset in (DIGITS, CLOTHES):
        assert max(pairs(dataset, "paper", "autoencoder", "gradient_energy_kept")) < 0


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
@pytest.mark.parametrize("setting", ["paper", "ours"])
def test_codes_spread_more_than_ten_times_as_far_as_the_noise(dataset, setting):
    for run in by_seed("results", setting, dataset).values():
        std = run.recipe.noise * math.sqrt(run.recipe.network.latent_dim)
        assert std == pytest.approx(0.253, abs=1e-3)
        assert run.measured("spread") > 10 * std


def test_the_paper_s_form_is_not_the_state_of_the_art():
    """On digits the best report has less than a quarter of its errors."""
    assert min(100 - 100 * x for x in levels(DIGITS, "paper", "test_accuracy")) > 4 * 0.09
    assert max(100 * x for x in levels(CLOTHES, "paper", "test_accuracy")) < 96.7 - 3
    digits, clothes = (
        ahead_of(dataset, "classifier-paper", "test_accuracy") for dataset in (DIGITS, CLOTHES)
    )
    assert all(-0.0014 < x < 0 for x in digits)
    assert mean_interval(digits)[1] < -0.001 < statistics.mean(digits) < -0.0008
    assert all(x < 0 for x in clothes)
    assert mean_interval(clothes)[2] < -0.001
    assert -0.005 < statistics.mean(clothes) < -0.004


def test_this_book_s_form_reaches_a_part_of_its_aims():
    for dataset in (DIGITS, CLOTHES):
        assert all(-1.3 < x < -0.8 for x in pairs(dataset, "ours", "autoencoder", "test_psnr"))
    assert max(pairs(DIGITS, "ours", "classifier", "test_accuracy")) < -0.001
    assert max(pairs(CLOTHES, "ours", "classifier", "test_accuracy")) < 0
    for dataset in (DIGITS, CLOTHES):
        _, low, high = mean_interval(pairs(dataset, "ours", "classifier", "test_accuracy"))
        assert low < -0.001 < high
    seeds = levels(DIGITS, "ours", "test_accuracy")
    assert max(seeds) - min(seeds) > 0.001
    assert min(pairs(DIGITS, "paper", "ours", "test_accuracy")) > 0
    assert all(-0.5 < x < 0 for x in pairs(DIGITS, "paper", "ours", "test_psnr"))
    confirmed = pairs(DIGITS, "ours", "ours", "confirmed_mixture_classes", "judge_accuracy")
    assert min(confirmed) > -0.02
    confirmed = pairs(CLOTHES, "ours", "ours", "confirmed_mixture_classes", "judge_accuracy")
    assert max(confirmed) < -0.03
    # Behind, and a smaller distance is better.
    shown = {"vae": False, "cvae": True, "vae-optimal": True, "cvae-optimal": False}
    for old, leads in shown.items():
        closer = pairs(DIGITS, old, "ours", "frechet_mixture_classes")
        assert 0 < statistics.mean(closer) < 0.1
        assert (mean_interval(closer)[1] > 0) == leads
    for old in ("vae", "cvae"):
        assert min(pairs(CLOTHES, old, "ours", "frechet_mixture_classes")) > 0.5


def ahead_of(dataset, change, name):
    """What the paper's form is ahead of itself with one thing changed, seed by seed."""
    ahead = pairs(dataset, "paper", change, name)
    assert len(ahead) == 3
    return ahead


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
@pytest.mark.parametrize("change", ["no-wavelet-image-20", "no-noise", "random-directions"])
def test_no_single_ingredient_is_worth_much(dataset, change):
    assert all(abs(points) < 0.0021 for points in ahead_of(dataset, change, "test_accuracy"))
    assert all(abs(decibels) < 0.21 for decibels in ahead_of(dataset, change, "test_psnr"))


def test_wavelets_bring_samples_of_clothes_closer_and_noise_drives_them_away():
    mine = statistics.mean(levels(CLOTHES, "paper", "frechet_mixture_classes"))
    wavelets, noise = (
        mean_interval(ahead_of(CLOTHES, change, "frechet_mixture_classes"))
        for change in ("no-wavelet-image-20", "no-noise")
    )
    assert wavelets[2] < 0 < noise[1]  # less is better
    assert -wavelets[0] / mine == pytest.approx(1 / 10, abs=0.03)
    assert noise[0] / mine == pytest.approx(1 / 6, abs=0.03)


@pytest.mark.parametrize(("dataset", "points", "decibels"), [(DIGITS, 7, 1.2), (CLOTHES, 9, 0.75)])
def test_without_labels_the_paper_s_form_is_an_autoencoder(dataset, points, decibels):
    lost = 100 * statistics.mean(ahead_of(dataset, "no-labels", "probe_accuracy"))
    assert lost == pytest.approx(points, abs=0.5)
    gained = -statistics.mean(ahead_of(dataset, "no-labels", "test_psnr"))
    assert gained == pytest.approx(decibels, abs=0.05)
    assert all(abs(x) < 0.04 for x in pairs(dataset, "no-labels", "autoencoder", "test_psnr"))


def test_a_wavelet_loss_makes_one_band_a_little_better():
    for dataset in (DIGITS, CLOTHES):
        without = by_seed("results-changes", "no-wavelet-image-20", dataset)
        complete = by_seed("results", "paper", dataset)
        for seed, run in without.items():
            assert run.recipe.reconstruction_weight == (
                complete[seed].recipe.reconstruction_weight + complete[seed].recipe.wavelet_weight
            )
        decibels = ahead_of(dataset, "no-wavelet-image-20", "test_psnr")
        assert all(abs(x) < 0.1 for x in decibels)
        band = statistics.mean(levels(dataset, "paper", "error_D1"))
        error = ahead_of(dataset, "no-wavelet-image-20", "error_D1")
        assert all(-0.0105 * band < x < 0 for x in error)  # less is better
        kept = ahead_of(dataset, "no-wavelet-image-20", "gradient_energy_kept")
        mean, low, _ = mean_interval(kept)
        assert low < 0 < mean < 0.006
        assert all(abs(x) < 0.005 for x in ahead_of(dataset, "no-wavelet-image-20", "ssim"))


def test_noise_in_training_makes_codes_larger():
    for dataset in (DIGITS, CLOTHES):
        complete = by_seed("results", "paper", dataset)
        for seed, run in by_seed("results-changes", "no-noise", dataset).items():
            assert 2 < complete[seed].measured("spread") / run.measured("spread") < 2.4
        assert all(4.5 < x < 5.5 for x in ahead_of(dataset, "no-noise", "psnr_codes_2"))
        for size in ("0.25", "0.5", "1"):
            relative = ahead_of(dataset, "no-noise", f"psnr_codes_{size}_spreads")
            least, most = (0, 0.2) if dataset == DIGITS else (0.1, 0.45)
            assert all(least < x < most for x in relative)
        assert max(ahead_of(dataset, "no-noise", "test_psnr")) < 0
        assert max(ahead_of(dataset, "no-noise", "accuracy_codes_0.5_spreads")) < -0.1
        assert max(ahead_of(dataset, "no-noise", "silhouette")) < -0.03
        assert all(abs(x) < 0.0105 for x in ahead_of(dataset, "no-noise", "accuracy_codes_2"))
        assert all(abs(x) < 0.002 for x in ahead_of(dataset, "no-noise", "test_accuracy"))


def test_accuracy_on_noisy_images_is_a_matter_of_luck():
    """On digits two seeds of one form can lie further apart than two forms."""
    for dataset in (DIGITS, CLOTHES):
        runs = by_seed("results-changes", "no-noise", dataset).values()
        kept = [run.measured("accuracy_pixels_0.2") for run in runs]
        kept += levels(dataset, "paper", "accuracy_pixels_0.2")
        assert all(0.4 < value < 0.75 for value in kept)
    seeds = levels(DIGITS, "ours", "accuracy_pixels_0.2")
    assert max(seeds) - min(seeds) > 0.2
    behind = ahead_of(DIGITS, "no-noise", "accuracy_pixels_0.2")
    assert max(behind) < 0 < mean_interval(behind)[2]
    ahead = ahead_of(CLOTHES, "no-noise", "accuracy_pixels_0.2")
    assert mean_interval(ahead)[1] < 0 < min(ahead)


def test_random_directions_do_nearly_as_well():
    for dataset in (DIGITS, CLOTHES):
        assert all(abs(x) < 0.02 for x in ahead_of(dataset, "random-directions", "silhouette"))
        inside = ahead_of(dataset, "random-directions", "class_subspace_silhouette")
        assert min(inside) > 0
        assert max(inside) < 0.06
        assert mean_interval(inside)[1] < 0
        assert all(abs(x) < 0.1 for x in ahead_of(dataset, "random-directions", "test_psnr"))
        assert statistics.mean(ahead_of(dataset, "random-directions", "test_accuracy")) < 0.0005


def test_random_directions_name_more_clothes_rightly_under_latent_noise():
    """And keep more of the PSNR of digits."""
    assert mean_interval(ahead_of(DIGITS, "random-directions", "psnr_codes_2"))[2] < 0
    assert mean_interval(ahead_of(CLOTHES, "random-directions", "accuracy_codes_2"))[2] < 0


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_the_distance_makes_classes_compact_and_costs_fidelity(dataset):
    """By about 0.2, for a quarter to half a decibel."""
    change = "distance-in-class-subspace"
    inside = ahead_of(dataset, change, "class_subspace_silhouette")
    assert all(-0.26 < x < -0.17 for x in inside)
    assert all(0.24 < x < 0.52 for x in ahead_of(dataset, change, "test_psnr"))
    accuracy = ahead_of(dataset, change, "test_accuracy")
    assert mean_interval(accuracy)[1] < 0 < mean_interval(accuracy)[2]
    assert dataset != DIGITS or max(accuracy) < 0


@pytest.mark.parametrize(("dataset", "decibels"), [(DIGITS, 6.5), (CLOTHES, 4)])
def test_the_published_code_s_form_is_compact_and_unfaithful(dataset, decibels):
    """Its accuracy is not clearly different; its samples are further by a factor of four."""
    change = "published-code"
    assert min(ahead_of(dataset, change, "test_psnr")) > decibels
    for name in ("silhouette", "class_subspace_silhouette"):
        assert max(ahead_of(dataset, change, name)) < -0.2
    _, low, high = mean_interval(ahead_of(dataset, change, "test_accuracy"))
    assert low < 0 < high
    one, other = (
        statistics.mean(levels(dataset, form, "frechet_mixture_classes"))
        for form in ("paper", change)
    )
    assert other / one == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_a_regularised_autoencoder_is_an_autoencoder_of_smaller_codes(dataset):
    """It draws about as well as the CSAEs, too; two choices of its penalties made no difference."""
    assert all(abs(x) < 0.05 for x in pairs(dataset, "rae", "autoencoder", "test_psnr"))
    assert all(abs(x) < 0.01 for x in pairs(dataset, "rae", "autoencoder", "probe_accuracy"))
    sizes = (statistics.mean(levels(dataset, name, "spread")) for name in ("rae", "autoencoder"))
    small, plain = sizes
    assert small / plain < 0.0505
    for csae in ("paper", "ours"):
        mine = statistics.mean(levels(dataset, csae, "frechet_mixture_classes"))
        for x in pairs(dataset, "rae", csae, "frechet_mixture_classes"):
            assert abs(x) < 0.3 * mine
    tried = [run for run in load_runs("results-rae") if run.dataset == dataset]
    decibels = [run.measured("validation_psnr") for run in tried]
    assert len(tried) == 2
    assert max(decibels) - min(decibels) < 0.01


def test_longer_training_leaves_the_price_of_the_second_task():
    for dataset, epochs, least, most in ((DIGITS, 20, 0.05, 0.2), (CLOTHES, 40, 0.5, 1)):
        assert all(0.9 < x < 1.2 for x in leads_of_twins("best", dataset).values())
        runs = by_seed("best", "best", dataset).values()
        assert {run.recipe.training.epochs for run in runs} == {epochs}
        long = statistics.mean(run.measured("test_accuracy") for run in runs)
        gain = 100 * (long - statistics.mean(levels(dataset, "ours", "test_accuracy")))
        assert least < gain < most
    # Of digits, what eight passes of the paper's form reach, too.
    papers = statistics.mean(levels(DIGITS, "paper", "test_accuracy"))
    longs = [run.measured("test_accuracy") for run in by_seed("best", "best", DIGITS).values()]
    assert papers >= statistics.mean(longs)


def likelihood(dataset, kind, name, measure):
    (run,) = by_seed("results-variational", f"{kind}-{name}", dataset).values()
    return run.measured(f"validation_{measure}" if measure in run.validation else measure)


STDS = [f"std-{std}" for std in (0.8, 0.4, 0.2, 0.1, 0.05)]


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
@pytest.mark.parametrize("kind", ["vae", "cvae"])
def test_a_likelihood_trades_fidelity_for_samples_from_the_prior(dataset, kind):
    """What the text says of the curves, and why the two ends of them are tested."""
    psnr, prior, mixture = (
        {name: likelihood(dataset, kind, name, of) for name in (*STDS, "bernoulli", "optimal")}
        for of in ("psnr", "frechet_prior", "frechet_mixture_classes")
    )
    assert [psnr[std] for std in STDS] == sorted(psnr[std] for std in STDS)
    assert [prior[std] for std in STDS[1:]] == sorted(prior[std] for std in STDS[1:])
    assert psnr["std-0.05"] - psnr["std-0.4"] > 2.4
    assert prior["std-0.05"] > 2.5 * prior["std-0.4"]
    # Wider than 0.4: other samples for the worse, but those of digits by a CVAE.
    if (dataset, kind) == (DIGITS, "cvae"):
        assert prior["std-0.8"] < prior["bernoulli"] < prior["std-0.4"]
        assert psnr["bernoulli"] - psnr["std-0.8"] > 4
        covered, other = (
            likelihood(dataset, kind, name, "recall_prior") for name in ("std-0.8", "bernoulli")
        )
        assert covered < 0.4 < 0.85 < other
    else:
        assert min(prior, key=prior.get) == "bernoulli"
        assert prior["std-0.8"] > prior["std-0.4"]
    assert psnr["optimal"] > max(psnr.values()) - 0.02
    assert mixture["optimal"] < 1.06 * min(mixture.values())
    assert mixture["optimal"] < mixture["bernoulli"] * (1 if dataset == DIGITS else 0.35)


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_a_faithful_cvae_hardly_needs_its_label(dataset):
    """Bounds of σ-CVAE and σ-VAE are close, and over both sets each is ahead in some pair."""
    ahead = pairs(dataset, "cvae-optimal", "vae-optimal", "bound")
    assert len(ahead) == 3
    assert max(map(abs, ahead)) < 10
    assert min(ahead) < 0 < max(ahead)
    level = 1150 if dataset == DIGITS else 770
    for setting in ("vae-optimal", "cvae-optimal"):
        assert all(abs(x - level) < 15 for x in levels(dataset, setting, "bound"))


def test_a_faithful_cvae_names_little_more_than_half_of_the_digits():
    assert all(0.53 < x < 0.55 for x in levels(DIGITS, "cvae-optimal", "test_accuracy"))


@pytest.mark.parametrize("kind", ["vae", "cvae"])
def test_mixtures_of_digits_gain_a_fifth_at_most_from_the_optimal_variance(kind):
    optimal, bernoulli = (
        likelihood(DIGITS, kind, name, "frechet_mixture_classes")
        for name in ("optimal", "bernoulli")
    )
    assert 0.8 * bernoulli < optimal < bernoulli


def test_grey_values_rank_the_widest_likelihood_otherwise():
    wide, bernoulli = (
        likelihood(DIGITS, "cvae", name, "frechet_pixels_prior")
        for name in ("std-0.8", "bernoulli")
    )
    assert wide > bernoulli


def test_distances_between_real_images_are_the_floor():
    for dataset, floor in ((DIGITS, 0.02), (CLOTHES, 0.05)):
        for run in by_seed("results-variational", "vae-optimal", dataset).values():
            assert run.measured("frechet_train") == pytest.approx(floor, abs=0.006)


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_the_loss_of_a_vae_still_fell_in_its_last_pass(dataset):
    for run in of("vae", dataset).values():
        before, last = (epoch["loss"] for epoch in run.history[-2:])
        assert 0.7 < before - last < 1


@pytest.mark.parametrize(("dataset", "least", "most"), [(DIGITS, 1, 1.5), (CLOTHES, 0.5, 0.9)])
@pytest.mark.parametrize("setting", ["vae-optimal", "cvae-optimal"])
def test_a_gaussian_likelihood_is_as_faithful_as_an_autoencoder(dataset, least, most, setting):
    """And its samples from mixtures are about as good as those of the paper's form."""
    assert all(least < -x < most for x in ahead_of(dataset, setting, "test_psnr"))
    assert sum(x < 0 for x in ahead_of(dataset, setting, "ssim")) >= 2  # most
    runs = by_seed("results-changes", setting, dataset).values()
    alone = statistics.mean(levels(dataset, "autoencoder", "test_psnr"))
    assert all(abs(run.measured("test_psnr") - alone) < 0.2 for run in runs)
    mine = statistics.mean(levels(dataset, "paper", "frechet_mixture_classes"))
    assert all(abs(x) < 0.2 * mine for x in ahead_of(dataset, setting, "frechet_mixture_classes"))
    classes = "test_accuracy" if setting == "cvae-optimal" else "probe_accuracy"
    assert all(run.measured(classes) < 0.93 for run in runs)
    bernoulli = max(levels(dataset, setting.removesuffix("-optimal"), "frechet_prior"))
    assert all(run.measured("frechet_prior") > 1.8 * bernoulli for run in runs)


@pytest.mark.parametrize("dataset", [DIGITS, CLOTHES])
def test_samples_are_not_clearly_closer_than_those_of_a_regularised_autoencoder(dataset):
    _, low, high = mean_interval(pairs(dataset, "ours", "rae", "frechet_mixture_classes"))
    assert low < 0 < high


def test_samples_of_clothes_are_no_closer_than_those_of_a_gaussian_likelihood():
    """Of this book's form, in no pair; with single Gaussians, on digits, all CSAEs are."""
    for setting in ("vae-optimal", "cvae-optimal"):
        behind = pairs(CLOTHES, "ours", setting, "frechet_mixture_classes")
        assert len(behind) == 3
        assert min(behind) > 0
        assert max(ahead_of(DIGITS, setting, "frechet_gaussian_classes")) < -0.08


def test_two_networks_have_two_thirds_more_parameters_than_one():
    one, *two = (
        by_seed("results", setting, DIGITS)[0].parameters
        for setting in ("ours", "classifier", "autoencoder")
    )
    assert sum(two) / one == pytest.approx(5 / 3, abs=0.02)


def test_without_labels_samples_of_clothes_are_about_a_tenth_further_away():
    mine = statistics.mean(levels(CLOTHES, "paper", "frechet_mixture_classes"))
    for setting in ("autoencoder", "vae-optimal"):
        mean, low, _ = mean_interval(pairs(CLOTHES, setting, "paper", "frechet_mixture_classes"))
        assert 0.05 * mine < mean < 0.15 * mine
        assert low < 0
    # With a label the same likelihood is not behind.
    assert max(levels(CLOTHES, "cvae-optimal", "frechet_mixture_classes")) < mine
