"""Claims about the method: what an effect says, and what follows from several of them."""

import dataclasses
import itertools
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import pytest

from csae import claims, figures
from csae.claims import AIMS, CLAIMS, QUANTITIES, SPREAD_EVENLY, Claim, Comparison, verdict
from csae.evaluation import mean_interval
from csae.experiments import book_experiments
from csae.records import Spread, load_runs
from tests.test_claims import ROOT

ALL = (*CLAIMS, SPREAD_EVENLY, *AIMS)
BOTH = ("mnist", "fashion-mnist")


@pytest.fixture(scope="module")
def some_run():
    return load_runs("judge", "mnist")[0]


@pytest.fixture
def make(some_run):
    """Make a record up: of a setting, with a figure for each seed."""

    def make(setting, name, values, dataset="mnist"):
        part, _, rest = name.partition("_")
        for seed, value in enumerate(values):
            training = dataclasses.replace(some_run.recipe.training, seed=seed)
            measured = {"test": {rest: value}} if part == "test" else {"measures": {name: value}}
            yield dataclasses.replace(
                some_run,
                dataset=dataset,
                setting=setting,
                recipe=dataclasses.replace(some_run.recipe, training=training),
                **measured,
            )

    return make


def accuracy(**kwargs):
    return Comparison("paper", "classifier", "test_accuracy", **kwargs)


def test_an_effect_is_of_equal_seeds_on_the_scale_of_its_quantity(make):
    runs = [*make("paper", "test_accuracy", [0.9, 0.92, 0.95])]
    runs += make("classifier", "test_accuracy", [0.89, 0.9, 0.92, 0.5])
    effect = accuracy().effects(runs)["mnist"]
    assert effect.values == pytest.approx((1.0, 2.0, 3.0))
    assert (effect.mean, effect.low, effect.high) == pytest.approx(mean_interval([1.0, 2.0, 3.0]))


def test_where_less_is_better_being_less_is_being_ahead(make):
    runs = [*make("paper", "calibration_error", [0.01, 0.02])]
    runs += make("classifier", "calibration_error", [0.03, 0.03])
    found = Comparison("paper", "classifier", "calibration_error").effects(runs)["mnist"]
    assert found.values == pytest.approx((2.0, 1.0))


def test_another_figure_of_the_opponent(make):
    runs = [*make("paper", "test_accuracy", [0.9, 0.9]), *make("vae", "probe_accuracy", [0.8, 0.7])]
    found = Comparison("paper", "vae", "test_accuracy", "probe_accuracy")
    assert found.effects(runs)["mnist"].values == pytest.approx((10.0, 20.0))


def test_figures_of_others_stand_in_for_an_opponent(make):
    runs = [*make("paper", "test_accuracy", [0.9, 0.91])]
    found = Comparison("paper", None, "test_accuracy", reported={"mnist": 95.0})
    assert found.planned() == ("mnist",)
    assert found.effects(runs)["mnist"].values == pytest.approx((-5.0, -4.0))


@pytest.mark.parametrize(
    ("low", "high", "margin", "says"),
    [
        (0.1, 0.3, 0.0, "for"),
        (-0.3, -0.1, 0.0, "against"),
        (-0.1, 0.1, 0.0, "open"),
        (-0.3, -0.1, 0.5, "for"),
        (-0.7, -0.3, 0.5, "open"),
        (-0.7, -0.6, 0.5, "against"),
        (0.1, 0.3, -0.2, "open"),
    ],
)
def test_what_an_effect_says_is_where_its_interval_lies(low, high, margin, says):
    effect = Spread((0.0,) * 3, (low + high) / 2, low, high)
    assert accuracy(margin=margin).says(effect) == says


def test_fewer_than_three_seeds_say_nothing(make):
    runs = [
        *make("paper", "test_accuracy", [0.9, 0.9]),
        *make("classifier", "test_accuracy", [0.1] * 3),
    ]
    comparison = accuracy()
    effect = comparison.effects(runs)["mnist"]
    assert len(effect.values) == 2
    assert comparison.says(effect) == "too few seeds"
    assert comparison.says(comparison.effects([])["mnist"]) == "not run yet"
    assert comparison.effects([])["mnist"].values == ()
    assert math.isnan(comparison.effects([])["mnist"].mean)


def runs_of(make, shifts):
    """Runs by which paper is ahead of classifier by these points, on each data set."""
    for dataset, shift in shifts.items():
        old = [0.8, 0.81, 0.82]
        yield from make("classifier", "test_accuracy", old, dataset)
        new = [value + shift / 100 for value in old]
        yield from make("paper", "test_accuracy", [new[0] + 1e-4, *new[1:]], dataset)


@pytest.mark.parametrize(
    ("shifts", "word", "counts"),
    [
        ((1, 1, 1), "supported", (3, 0, 0)),
        ((1, 0, 1), "mixed", (2, 1, 0)),
        ((1, -1, 0), "mixed", (1, 1, 1)),
        ((0, -1, 0), "not supported", (0, 2, 1)),
        ((0, 0, 0), "undecided", (0, 3, 0)),
        ((-1, -1, -1), "not supported", (0, 0, 3)),
    ],
)
def test_a_verdict_counts_comparisons(make, shifts, word, counts):
    datasets = (*BOTH, "emnist-letters")
    found = verdict(
        Claim("X1", "", "It is better.", "fig-x", (accuracy(),)),
        list(runs_of(make, dict(zip(datasets, shifts, strict=True)))),
    )
    assert found.word == word
    assert tuple(found.counts.values()) == (*counts, 0, 0)
    assert str(found).startswith(f"{word} (")


def test_a_verdict_says_what_is_missing(make):
    claim = Claim("X1", "", "It is better.", "fig-x", (accuracy(),))
    assert str(verdict(claim, [])) == "runs missing"
    found = verdict(claim, list(runs_of(make, {"mnist": 1})))
    assert str(found) == "supported so far, runs missing for 2 of 3 (1 for)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("paper", "vae", "beauty"), "quantity"),
        (("paper", "vae", "test_psnr", "beauty"), "quantity"),
        (("paper", None, "test_psnr"), "either old or reported"),
    ],
)
def test_a_comparison_must_be_possible(arguments, message):
    with pytest.raises(ValueError, match=message):
        Comparison(*arguments)


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.id)
def test_each_comparison_is_planned(claim):
    lists = book_experiments()
    datasets = {d for name in claims.EXPERIMENTS for d in lists[name].datasets}
    for comparison in claim.comparisons:
        assert comparison.planned(), comparison
        assert set(comparison.planned()) <= datasets


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.id)
def test_each_claim_is_drawn(claim):
    names = {
        cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for chapter in ("results", "ingredients")
        for cell in nbformat.read(ROOT / "book" / f"{chapter}.ipynb", 4).cells
    }
    assert claim.figure in names


def test_records_hold_what_claims_ask_for():
    runs = claims.result_runs()
    assert runs
    for comparison in (c for claim in ALL for c in claim.comparisons):
        for setting, name in (
            (comparison.new, comparison.quantity),
            (comparison.old, comparison.old_quantity or comparison.quantity),
        ):
            for run in runs:
                if run.setting == setting:
                    assert math.isfinite(run.measured(name))


def test_figures_and_tables_say_what_has_not_been_run(make):
    mpl.use("agg")
    runs = [*runs_of(make, {"mnist": 1}), *make("paper", "test_accuracy", [0.9], BOTH[1])]
    figure = figures.effects((accuracy(),), runs)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["+1.00  for"]  # and nothing of letters, of which there is no run
    assert figure.get_supxlabel() == "not run yet: clothes, classifier"
    plt.close(figure)
    figure = figures.effects((Comparison("ours", "vae", "ssim"),), runs)
    assert figure.get_supxlabel() == "not run yet: digits, VAE; clothes, VAE"
    assert not figure.axes[0].axison
    plt.close(figure)
    claim = Claim("X1", "RQ1", "It is better.", "fig-x", (accuracy(),))
    figure = figures.claim_effects(claim, runs)
    assert figure.get_suptitle() == "X1: supported so far, runs missing for 2 of 3 (1 for)"
    plt.close(figure)
    table = figures.effects_table((claim,), runs)
    assert table.count(figures.NOT_RUN) == 2
    line = table.splitlines()[-1]
    assert line.startswith("| X1 | accuracy: CSAE, the paper's form against classifier (points) |")
    assert line.endswith(": **for** | not run yet | not run yet |")
    verdicts = figures.verdicts_table((claim,), runs).splitlines()[-1]
    assert verdicts == (
        "| RQ1 | X1 | It is better. | supported so far, runs missing for 2 of 3 (1 for) |"
    )
    shown = figures.results_table(
        [run for run in runs if run.dataset == "mnist"],
        {"paper": "paper", "classifier": "alone", "rae": "RAE"},
        ("test_accuracy", "test_psnr"),
    )
    assert shown.splitlines()[0] == "|  | paper, 3 seeds | alone, 3 seeds | RAE, 0 seeds |"
    assert shown.splitlines()[2] == "| accuracy (%) | 82.00 ± 2.47 | 81.00 ± 2.48 | not run yet |"
    assert shown.splitlines()[3] == "| PSNR (dB) | – | – | not run yet |"


def test_a_bar_shows_shares_of_the_comparisons_that_have_runs(make):
    mpl.use("agg")
    runs = [*runs_of(make, {"mnist": 1})]
    two = (accuracy(), accuracy(margin=-3))  # one point ahead, and not three
    claim = Claim("X1", "RQ1", "It is better.", "fig-x", two)
    figure = figures.verdicts((claim,), runs)
    (axis,) = figure.axes
    widths = [container.patches[0].get_width() for container in axis.containers]
    assert widths == [50, 0, 50]
    assert [text.get_text() for text in axis.texts] == ["1", "", "1"]
    plt.close(figure)


def test_comparisons_that_differ_in_their_opponent_share_a_panel(make):
    mpl.use("agg")
    runs = [*make("paper", "test_psnr", [20.0] * 3), *make("vae", "test_psnr", [19.0] * 3)]
    runs += make("cvae", "test_psnr", [18.0] * 3)
    pair = (Comparison("paper", "vae", "test_psnr"), Comparison("paper", "cvae", "test_psnr"))
    figure = figures.effects(
        (*pair, Comparison("paper", "vae-optimal", "test_psnr", margin=1)), runs
    )
    (axis,) = figure.axes
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert rows == ["digits, VAE", "digits, CVAE"]
    assert [text.get_text() for text in axis.texts] == ["+1.00  for", "+2.00  for"]
    assert axis.get_title(loc="left") == "PSNR"
    assert figure.get_supxlabel() == "not run yet: digits, σ-VAE"
    plt.close(figure)


def test_ablations_are_what_the_complete_form_is_ahead_by(make):
    mpl.use("agg")
    runs = [*make("paper", "test_accuracy", [0.9, 0.91, 0.92])]
    runs += make("no-noise", "test_accuracy", [0.89, 0.9, 0.91])
    runs += make("published-code", "test_accuracy", [0.85, 0.92, 0.92])
    runs += make("no-labels", "test_psnr", [20.0] * 3)  # it has no accuracy
    changes = ("no-noise", "published-code", "no-labels", "random-directions")
    names = ("test_accuracy",)
    lines = figures.ablations_table(changes, names, runs, "mnist").splitlines()
    assert lines[0] == "| the paper's form against | accuracy (points) |"
    assert lines[2:] == [
        "| no latent noise | **+1.00 (+1.00 to +1.00)** |",
        "| published code | +1.33 (-6.65 to +9.32) |",
        "| no labels | – |",
        "| random directions | not run yet |",
    ]
    figure = figures.ablations(("no-noise", "random-directions"), names, runs, ("mnist",))
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "no latent noise",
        "random directions",
    ]
    assert [text.get_text() for text in axis.texts] == [figures.NOT_RUN]
    plt.close(figure)


def test_latent_noise_is_drawn_as_it_is_and_in_spreads():
    mpl.use("agg")
    runs = [run for run in claims.result_runs() if run.setting in ("paper", "no-noise")]
    figure = figures.latent_noise(runs, {"paper": "with", "no-noise": "without"}, BOTH)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["with", "without"]
    panels = zip(figure.axes[::2], figure.axes[1::2], BOTH, strict=True)
    for fixed, relative, dataset in panels:
        here = [run for run in runs if run.dataset == dataset]
        assert len(fixed.lines) == len(relative.lines) == len(here)
        drawn = [[tuple(line.get_ydata()) for line in axis.lines] for axis in (fixed, relative)]
        for run in here:
            quiet, one, two, quarter = (
                run.measured(f"psnr_{name}")
                for name in ("quiet", "codes_1", "codes_2", "codes_0.25_spreads")
            )
            assert (quiet, one, two) in drawn[0]
            assert (quiet, quarter) in [line[:2] for line in drawn[1]]
    plt.close(figure)


def test_the_glance_shows_what_has_runs():
    mpl.use("agg")
    runs = [run for run in claims.result_runs() if run.setting in figures.LOOKS]
    figure = figures.glance(runs, BOTH)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    settings = {run.setting for run in runs}
    assert set(labels[:-1]) == {figures.LOOKS[setting][0] for setting in settings}
    assert labels[-1] == "real images, below"
    plt.close(figure)


def test_quantities_are_those_of_the_measures():
    measured = {name for run in claims.result_runs() for name in run.measures}
    assert set(QUANTITIES) - {"test_accuracy", "test_psnr"} <= measured


def test_likelihoods_are_drawn_in_the_order_of_their_deviation():
    mpl.use("agg")
    runs = load_runs("results-variational")
    figure = figures.likelihoods(runs, BOTH, ("prior", "mixture_classes"))
    assert [axis.get_title() for axis in figure.axes] == ["digits", "clothes", "", ""]
    for axis, (sampler, dataset) in zip(
        figure.axes, itertools.product(("prior", "mixture_classes"), BOTH), strict=True
    ):
        here = [run for run in runs if run.dataset == dataset]
        lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines]
        assert [len(across) for across, _ in lines] == [5, 1, 1] * 2
        for kind, (across, up) in zip(("vae", "cvae"), lines[::3], strict=True):
            for std, x, y in zip((0.05, 0.1, 0.2, 0.4, 0.8), across, up, strict=True):
                (run,) = [run for run in here if run.setting == f"{kind}-std-{std}"]
                assert (x, y) == (run.validation["psnr"], run.measured(f"frechet_{sampler}"))
        low, high = axis.get_ylim()
        assert low > high  # better is further up
    plt.close(figure)
