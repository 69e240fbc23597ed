"""Write the card of each model that travels with the package, weights/<name>.md, from its record.

python -m tools.model_cards
"""

import hashlib
from pathlib import Path

from csae.kinds import ABOUT
from csae.records import describe_machine, describe_run, load_runs
from csae.weights import Pretrained, load_checkpoint, pretrained

WEIGHTS = Path(__file__).parents[1] / "weights"
# What a user must know that no record says.
_IMAGES = {
    "mnist": "grey pictures of 28x28 pixels, a bright digit on black,",
    "fashion-mnist": "grey pictures of 28x28 pixels, bright clothes on black,",
}
_LETTERS = {
    "emnist-letters": "grey pictures of 28x28 pixels, a bright letter on black, large or small,"
}
_COMPARED = {
    "paper": "a CSAE in the form that the paper describes, and it names one of ten classes "
    "whatever it is shown",
    "vae": "a variational autoencoder with the Bernoulli likelihood; it names no classes",
    "cvae": "a conditional variational autoencoder with the Bernoulli likelihood, which has to be "
    "told the class of what it draws, and names the one of the largest bound",
}
LIMITS = {
    "fashion-mnist": (
        "Trained for ten epochs with one seed, before any recipe was searched for: it shows what "
        "the method does, not how well it can do it (the experiment `best` says that). It knows "
        "grey pictures of 28x28 pixels, bright clothes on black, of ten kinds; whatever else it "
        "is shown, it names one of the ten."
    ),
    **{
        f"judge-{dataset}": (
            f"It judges samples of other models in the chapter on results, and was trained apart "
            f"from all of them. It has no decoder, so it reconstructs nothing. It knows {what} and "
            "names one of its classes whatever it is shown. One seed."
        )
        for dataset, what in (_IMAGES | _LETTERS).items()
    },
    **{
        f"{setting}-{dataset}": (
            f"One of the models of the chapter on results, trained for eight passes: {what}. It "
            f"knows {images} and nothing else. One seed of several; their spread is in the records."
        )
        for setting, what in _COMPARED.items()
        for dataset, images in _IMAGES.items()
    },
}


def card(name: str, entry: Pretrained) -> str:
    """Return the text of a model's card.

    Raises:
        ValueError: The manifest, the record and the file of weights do not belong together.
    """
    path = WEIGHTS / f"{name}.safetensors"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    (record,) = (
        run
        for run in load_runs(entry.experiment, entry.dataset)
        if (run.setting, run.seed) == (entry.setting, entry.seed)
    )
    if not found == entry.sha256 == record.weights_sha256:
        raise ValueError(f"{path} is not what manifest.json and the record of its run name")
    model, header = load_checkpoint(path)
    test = record.test or {}
    data = ", ".join(f"{part.images:,} {split}" for split, part in record.data.items())
    loss = ", ".join(
        f"{term} {weight:g}"
        for term in model.terms
        if (weight := getattr(record.recipe, f"{term}_weight"))
    )
    how = f"{describe_run(record)['recipe']}, seed {record.seed}"
    run = f"results/runs/{entry.experiment}/{entry.dataset}/{entry.setting}-seed{entry.seed}.json"
    return f"""\
# {name}

Written by `python -m tools.model_cards` from the record of its run; do not edit.

| | |
|---|---|
| load | `csae.load_pretrained("{name}")` |
| kind | `{header.kind}`: {ABOUT[header.kind]} |
| parameters | {record.parameters:,} |
| latent dimensions, classes | {model.latent_dim}, {header.num_classes} |
| trained on | {entry.dataset}: images {data} |
| loss, with weights | {loss}; label smoothing {record.recipe.smoothing:g} |
| latent noise | {record.recipe.noise:g} of the centroids' norm |
| training | {how}; {describe_machine(record.environment)} |
| test images | {", ".join(_in_words(name, value) for name, value in test.items())} |
| record | [{run}](../{run}) |
| SHA-256 | `{entry.sha256}` |

**Limits.** {LIMITS[name]}
"""


def _in_words(name: str, value: float) -> str:
    return f"accuracy {value:.2%}" if name == "accuracy" else f"{name.upper()} {value:.2f} dB"


if __name__ == "__main__":
    for known, entry in pretrained().items():
        (WEIGHTS / f"{known}.md").write_text(card(known, entry), encoding="utf-8")
