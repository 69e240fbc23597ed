"""Claims about the method, the comparisons that decide each, and the verdict of the records.

The comparisons were written down before the first record of these experiments; the chapter on
results, which teaches this, says which were changed afterwards, and why.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from csae import checks
from csae.experiments import book_experiments
from csae.records import Record, Spread, experiments, load_runs, over_seeds

SEEDS = 3  # that a comparison needs before it counts
EXPERIMENTS = ("results", "results-changes", "results-letters")

Says = Literal["for", "open", "against", "too few seeds", "not run yet"]
SIDES: tuple[Says, ...] = ("for", "open", "against")
_MISSING: tuple[Says, ...] = ("too few seeds", "not run yet")


class Quantity(NamedTuple):
    """How a measured figure is called and written.

    Attributes:
        words: What it is.
        unit: Unit of a difference, as it is written.
        scale: What to multiply the recorded value by.
        form: How to write the scaled value.
        higher: Whether more is better.
    """

    words: str
    unit: str
    scale: float
    form: str
    higher: bool = True


_SAMPLERS = {
    "gaussian_classes": "a Gaussian a class",
    "mixture_classes": "a mixture a class",
    "gaussian_all": "one Gaussian",
    "mixture_all": "one mixture",
    "prior": "the prior",
}
QUANTITIES: dict[str, Quantity] = {
    "test_accuracy": Quantity("accuracy", "points", 100, ".2f"),
    "probe_accuracy": Quantity("accuracy of a linear probe", "points", 100, ".2f"),
    "calibration_error": Quantity("calibration error", "points", 100, ".2f", higher=False),
    "calibration_error_tempered": Quantity(
        "calibration error, temperature fitted", "points", 100, ".2f", higher=False
    ),
    "test_psnr": Quantity("PSNR", "dB", 1, ".2f"),
    "ssim": Quantity("SSIM", "", 1, ".4f"),
    "gradient_energy_kept": Quantity("gradient energy kept", "points", 100, ".1f"),
    "error_D1": Quantity("error in the finest diagonal band, × 1,000", "", 1000, ".3f", False),
    "silhouette": Quantity("silhouette of the codes", "", 1, ".3f"),
    "class_subspace_silhouette": Quantity("silhouette in the class subspace", "", 1, ".3f"),
    "spread": Quantity("spread of the codes in a dimension", "", 1, ".1f"),
    "bound": Quantity("bound", "nats", 1, ".1f"),
    "active_dimensions": Quantity("active dimensions", "", 1, ".0f"),
    "memorisation": Quantity("memorisation", "", 1, ".2f"),
    "accuracy_codes_2": Quantity("accuracy under latent noise", "points", 100, ".2f"),
    "accuracy_pixels_0.2": Quantity("accuracy under pixel noise", "points", 100, ".2f"),
    "psnr_codes_2": Quantity("PSNR under latent noise", "dB", 1, ".2f"),
    "psnr_codes_1_spreads": Quantity("PSNR under latent noise of one spread", "dB", 1, ".2f"),
    "psnr_pixels_0.2": Quantity("PSNR under pixel noise", "dB", 1, ".2f"),
    "frechet_validation": Quantity("Fréchet distance, real images", "", 1, ".3f", higher=False),
    "precision_mixture_classes": Quantity("precision, a mixture a class", "points", 100, ".1f"),
    "recall_mixture_classes": Quantity("recall, a mixture a class", "points", 100, ".1f"),
    "judge_accuracy": Quantity("the judge's accuracy on real images", "points", 100, ".2f"),
    **{
        f"frechet_{name}": Quantity(f"Fréchet distance, {words}", "", 1, ".3f", higher=False)
        for name, words in _SAMPLERS.items()
    },
    **{
        f"confirmed_{name}": Quantity(f"class confirmed, {words}", "points", 100, ".1f")
        for name, words in _SAMPLERS.items()
        if not name.endswith("_all")
    },
}


@dataclass(frozen=True)
class Comparison:
    """What one setting of the experiments is ahead of another, or of a figure of others.

    Attributes:
        new: The setting for which something is claimed.
        old: What it is compared with: a setting, or None for ``reported``.
        quantity: What is compared, a name of ``QUANTITIES``.
        old_quantity: What is taken of the other setting, where it is called otherwise there.
        margin: By how much the new one may fall short and still be called as good, on the scale of
            ``QUANTITIES``; or, where it is negative, by how much it has to be ahead.
        reported: Figures of others by data set, in place of a setting, on the same scale.
    """

    new: str
    old: str | None
    quantity: str
    old_quantity: str | None = None
    margin: float = 0.0
    reported: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.quantity, self.old_quantity or self.quantity):
            checks.choice("quantity", name, tuple(QUANTITIES))
        if (self.old is None) != bool(self.reported):
            raise ValueError(
                f"a comparison must name either old or reported, got {self.old!r} and "
                f"{self.reported!r}"
            )

    def planned(self) -> tuple[str, ...]:
        """Return the data sets on which the book's experiments compare the two."""
        if self.old is None:
            return tuple(self.reported)
        return tuple(
            name
            for name in _datasets()
            if all((name, setting) in _listed() for setting in (self.new, self.old))
        )

    def effects(self, runs: Sequence[Record]) -> dict[str, Spread]:
        """Return by how much the new setting is ahead on each data set, in pairs of equal seeds.

        Args:
            runs: Records of the experiments in ``EXPERIMENTS``, as `result_runs` returns them.

        Returns:
            By data set the differences, their mean and its 95 % interval, on the scale of
            ``QUANTITIES`` and positive where the new one is better. Without a value where runs
            are missing.
        """
        return {name: self._effect(runs, name) for name in self.planned()}

    def _effect(self, runs: Sequence[Record], dataset: str) -> Spread:
        quantity = QUANTITIES[self.quantity]
        new = _values(runs, dataset, self.new, self.quantity)
        old = dict.fromkeys(new, self.reported.get(dataset, 0.0))
        if self.old is not None:
            old = _values(runs, dataset, self.old, self.old_quantity or self.quantity)
        sign = 1 if quantity.higher else -1
        seeds = sorted(new.keys() & old.keys())
        return over_seeds([sign * (new[seed] - old[seed]) for seed in seeds])

    def says(self, effect: Spread) -> Says:
        """Say what an effect means for the claim.

        ``"for"``: the whole interval lies above minus the margin. ``"against"``: it lies below.
        ``"open"``: neither. Fewer than three seeds say nothing.
        """
        if len(effect.values) < SEEDS:
            return "too few seeds" if effect.values else "not run yet"
        if effect.low > -self.margin:
            return "for"
        return "against" if effect.high < -self.margin else "open"


@dataclass(frozen=True)
class Claim:
    """Something that is said of the method, or hoped for it.

    Attributes:
        id: Such as ``"C2"``.
        question: The research question that it answers, such as ``"RQ3"``, or ``""``.
        text: The claim.
        figure: Name of the figure that shows its comparisons.
        comparisons: What decides it.
    """

    id: str
    question: str
    text: str
    figure: str
    comparisons: tuple[Comparison, ...]


class Verdict(NamedTuple):
    """What the records say of a claim.

    Attributes:
        word: ``"supported"``: each comparison on each data set speaks for it. ``"mixed"``: some do.
            ``"not supported"``: none does, and some speak against it. ``"undecided"``: all are
            open. ``"runs missing"``: there is nothing to go by.
        counts: How many comparisons say what.
    """

    word: Literal["supported", "mixed", "not supported", "undecided", "runs missing"]
    counts: dict[Says, int]

    def __str__(self) -> str:
        missing = sum(self.counts[says] for says in _MISSING)
        total = sum(self.counts.values())
        if missing == total:
            return self.word
        so_far = f" so far, runs missing for {missing} of {total}" if missing else ""
        parts = [f"{self.counts[says]} {says}" for says in SIDES if self.counts[says]]
        return f"{self.word}{so_far} ({', '.join(parts)})"


def verdict(claim: Claim, runs: Sequence[Record]) -> Verdict:
    """Return the verdict of the records on a claim, by the rule of `Verdict`."""
    counts: dict[Says, int] = dict.fromkeys((*SIDES, *_MISSING), 0)
    for comparison in claim.comparisons:
        for effect in comparison.effects(runs).values():
            counts[comparison.says(effect)] += 1
    counted = sum(counts[says] for says in SIDES)
    if not counted:
        return Verdict("runs missing", counts)
    if counts["for"] == counted:
        return Verdict("supported", counts)
    if counts["open"] == counted:
        return Verdict("undecided", counts)
    return Verdict("mixed" if counts["for"] else "not supported", counts)


def result_runs() -> list[Record]:
    """Return all records of the experiments that decide the claims."""
    return [run for name in EXPERIMENTS if name in experiments() for run in load_runs(name)]


def _values(runs: Sequence[Record], dataset: str, setting: str, quantity: str) -> dict[int, float]:
    """Return a figure of a setting by seed, on the scale of ``QUANTITIES``."""
    scale = QUANTITIES[quantity].scale
    return {
        run.seed: scale * run.measured(quantity)
        for run in runs
        if run.dataset == dataset and run.setting == setting
    }


@functools.cache
def _listed() -> frozenset[tuple[str, str]]:
    """Return each data set and setting of the experiments that decide the claims."""
    lists = book_experiments()
    return frozenset(
        (dataset, setting)
        for name in EXPERIMENTS
        for dataset in lists[name].datasets
        for setting in lists[name].settings
    )


@functools.cache
def _datasets() -> tuple[str, ...]:
    lists = book_experiments()
    return tuple(dict.fromkeys(d for name in EXPERIMENTS for d in lists[name].datasets))


def _against(new: str, opponents: Sequence[str], *names: str) -> tuple[Comparison, ...]:
    return tuple(Comparison(new, old, name) for name in names for old in opponents)


# An ensemble of ensembles (An et al. 2020, arXiv 2008.10400) and a wide residual network (WRN-40-4,
# in the list of the data set's own repository). Nothing for letters: others report figures for the
# official split.
BEST_REPORTED = {"mnist": 99.91, "fashion-mnist": 96.7}
_VARIATIONAL = ("vae", "cvae")
_LIKELIHOODS = (*_VARIATIONAL, "vae-optimal", "cvae-optimal")

CLAIMS = (
    Claim(
        "C1",
        "RQ5",
        "Its accuracy is the state of the art.",
        "fig-best-reported",
        (
            Comparison("paper", None, "test_accuracy", reported=BEST_REPORTED),
            Comparison("paper", "classifier-paper", "test_accuracy", margin=0.1),
        ),
    ),
    Claim(
        "C2",
        "RQ3",
        "The wavelet loss gives sharper edges and a better look than the squared error alone.",
        "fig-wavelet-effects",
        _against("paper", ["no-wavelet-image-20"], "gradient_energy_kept", "error_D1", "ssim"),
    ),
    Claim(
        "C3",
        "RQ4",
        "Latent noise makes it robust, and through that more accurate.",
        "fig-noise-effects",
        _against(
            "paper",
            ["no-noise"],
            "accuracy_codes_2",
            "psnr_codes_2",
            "accuracy_pixels_0.2",
            "test_accuracy",
        ),
    ),
    Claim(
        "C4",
        "RQ3",
        "Its reconstructions are good, with sharper edges than the squared error gives.",
        "fig-fidelity",
        (
            Comparison("paper", "autoencoder", "test_psnr", margin=1.0),
            Comparison("paper", "autoencoder", "gradient_energy_kept"),
        ),
    ),
    Claim(
        "C5",
        "RQ1",
        "Learning both tasks at once makes the codes more discriminative and more compact.",
        "fig-compactness",
        (
            *_against("ours", ["autoencoder"], "probe_accuracy", "silhouette"),
            *_against("ours", ["classifier"], "test_accuracy", "silhouette"),
        ),
    ),
    Claim(
        "C6",
        "RQ2",
        "It is better than VAE and CVAE, in figures and in the look of images.",
        "fig-variational-effects",
        (
            Comparison("paper", "vae", "test_accuracy", "probe_accuracy"),
            Comparison("paper", "cvae", "test_accuracy"),
            *_against("paper", _LIKELIHOODS, "test_psnr", "ssim"),
            # The same sampler for both, with labels told to both or to neither.
            *_against("paper", _LIKELIHOODS, "frechet_mixture_classes"),
            *_against("paper", _VARIATIONAL, "frechet_gaussian_classes"),
            *_against("paper", ["vae"], "frechet_gaussian_all", "frechet_mixture_all"),
            *_against("paper", _VARIATIONAL, "confirmed_mixture_classes"),
            # And each with the sampler that it was made for.
            Comparison("paper", "vae", "frechet_gaussian_all", "frechet_prior"),
            Comparison("paper", "cvae", "frechet_gaussian_classes", "frechet_prior"),
        ),
    ),
)

# The other research questions are claims, asked as questions; this one is no claim's.
SPREAD_EVENLY = Claim(
    "RQ1",
    "RQ1",
    "Fixed, evenly spread centroids bring classes further apart and make them more compact.",
    "fig-geometry-effects",
    (
        *_against("ours", ["linear-head"], "silhouette", "class_subspace_silhouette"),
        *_against("paper", ["random-directions"], "silhouette", "class_subspace_silhouette"),
    ),
)

# What this book hopes of its own form: one network that does both tasks as well as two would.
AIMS = (
    Claim(
        "A1",
        "",
        "Its accuracy is within 0.1 points of a classifier's.",
        "fig-aims-effects",
        (Comparison("ours", "classifier", "test_accuracy", margin=0.1),),
    ),
    Claim(
        "A2",
        "",
        "Its PSNR is within 1 dB of an autoencoder's.",
        "fig-aims-effects",
        (Comparison("ours", "autoencoder", "test_psnr", margin=1.0),),
    ),
    Claim(
        "A3",
        "",
        "A judge confirms the class of its samples within two points of its own accuracy.",
        "fig-aims-effects",
        (Comparison("ours", "ours", "confirmed_mixture_classes", "judge_accuracy", 2.0),),
    ),
    Claim(
        "A4",
        "",
        "Its samples are closer to real images than those of VAEs, whatever their likelihood, and "
        "of a regularised autoencoder.",
        "fig-aims-effects",
        _against("ours", (*_LIKELIHOODS, "rae"), "frechet_mixture_classes"),
    ),
)
