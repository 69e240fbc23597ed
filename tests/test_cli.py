import dataclasses
import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from csae import cli, data, files, kinds, records, runs, runtime, schema
from csae.data import Augmentation
from csae.recipes import recipe
from csae.training import Machine

FAST = ["--epochs", "1", "--batch-size", "32", "--accelerator", "cpu", "--quiet"]


@pytest.fixture
def small(monkeypatch):
    """Let the command line load a few hundred images of each split, to train in seconds."""
    whole = data.load_dataset

    def part(*arguments, **options):
        return whole(*arguments, **options).first(200)

    monkeypatch.setattr(data, "load_dataset", part)


def train(*arguments):
    return cli.main(["train", "--dataset", "mnist", "--sample", *FAST, *map(str, arguments)])


def test_same_seed_writes_the_same_record(small, tmp_path, capsys):
    for name in ("first", "second"):
        assert train("--out", tmp_path / name, "--seed", 3) == 0
    first, second = (
        json.loads((tmp_path / name / "record.json").read_text()) for name in ("first", "second")
    )
    assert first.pop("timing").keys() == second.pop("timing").keys()
    assert first == second
    assert first["recipe"]["training"]["seed"] == 3
    assert first["parameters"] == 282_185
    assert first["data"]["validation"]["images"] == 200
    assert "test accuracy" in capsys.readouterr().out


def test_evaluate_repeats_the_record(small, tmp_path, capsys):
    train("--out", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    capsys.readouterr()
    checkpoint = str(tmp_path / "run" / "checkpoint.safetensors")
    assert cli.main(["evaluate", checkpoint, "--sample", "--accelerator", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {k: result[k] for k in ("accuracy", "psnr")} == pytest.approx(record["test"])
    assert result["dataset"] == "mnist-sample"
    assert cli.main(["evaluate", checkpoint, "--dataset", "fashion-mnist", "--sample"]) == 0
    shown = capsys.readouterr()
    assert "fashion-mnist-sample, test: accuracy" in shown.out
    assert "trained on mnist-sample, not on fashion-mnist" in shown.err


def test_results_never_overwrite_others(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train() == train() == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "mnist-sample-seed0",
        "mnist-sample-seed0-2",
    ]
    assert train("--out", "runs/mnist-sample-seed0") == 2
    assert "out must be a new or empty folder" in capsys.readouterr().err


def test_progress_is_shown_unless_quiet(small, tmp_path, capsys):
    arguments = ["train", "--dataset", "mnist", "--sample", *FAST[:-1], "--out"]
    assert cli.main([*arguments, str(tmp_path / "loud")]) == 0
    shown = capsys.readouterr()
    assert "epoch 1/1: loss" in shown.out
    assert "images/s" in shown.err


def test_digits_are_not_mirrored_and_clothes_are(small, tmp_path):
    for name, flip, shift in (("mnist", False, 1), ("fashion-mnist", True, 0)):
        out = tmp_path / name
        cli.main(["train", "--dataset", name, "--sample", *FAST, "--out", str(out)])
        record = records.load_record(out / "record.json")
        assert record.recipe.training.augmentation == Augmentation(flip=flip, shift=shift)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "epochs must be an integer from 1 to 1,000,000, got 0"),
        (["--latent-dim", "1000000000"], "latent_dim must be an integer from 1 to 4,096, got 1000"),
        (["--seed", "18446744073709551616"], "seed must be an integer from 0 to"),
        (["--seed", "-1"], "seed must be an integer from 0 to"),
        (["--save-every", "nan"], "save_every must be a number of at least 0, got nan"),
        (["--save-every", "-1"], "save_every must be a number of at least 0, got -1"),
        (["--learning-rate", "nan"], "learning_rate must be a finite number"),
        (["--zoom", "inf"], "zoom must be a finite number"),
        (["--wavelet-weight", "1e300"], "wavelet_weight must be a finite number"),
        (["--devices", "0"], "devices must be an integer from 1 to"),
        (["--devices", "1000000"], "devices must be an integer from 1 to"),
        (["--num-nodes", "-2"], "num_nodes must be an integer from 1 to"),
        (["--threads", "0"], "threads must be an integer from 1 to"),
        (["--threads", "1000000"], "threads must be an integer from 1 to"),
        (["--noise", "-0.1"], "noise must be a finite number of at least 0, got -0.1"),
        (["--latent-dim", "1"], "num_classes must be at most 2 for latent_dim=1, got 10"),
        (["--shift", "5"], "shift must be an integer from 0 to 2, got 5"),
        (["--batch-size", "999"], "batch_size must be at most the 200 training images, got 999"),
        (["--classification-weight", "-1"], "classification_weight must be a finite number"),
    ],
)
def test_wrong_options_end_before_any_work(small, tmp_path, capsys, arguments, message):
    out = tmp_path / "never"
    assert train("--out", out, *arguments) == 2
    assert f"csae: error: {message}" in capsys.readouterr().err
    assert not out.exists()


def test_unknown_data_set_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "--dataset", "cifar"])
    assert "invalid choice: 'cifar' (choose from" in capsys.readouterr().err


def test_missing_data_names_the_ways_out(tmp_path, capsys):
    arguments = ["--root", str(tmp_path), "--no-download", "--out", str(tmp_path / "out")]
    assert cli.main(["train", "--dataset", "mnist", *arguments]) == 2
    assert "Two ways out:" in capsys.readouterr().err


def test_wrong_checkpoint_is_named(tmp_path, capsys):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(1)}, path)
    assert cli.main(["evaluate", str(path), "--sample"]) == 2
    assert "is not a safetensors file" in capsys.readouterr().err


def interrupt_the_second_measuring(monkeypatch):
    """Let the second call to evaluate be interrupted; return what mends it."""
    evaluate = runs.evaluate

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    calls = iter([evaluate, interrupted])
    monkeypatch.setattr(runs, "evaluate", lambda *a, **k: next(calls)(*a, **k))
    return lambda: monkeypatch.setattr(runs, "evaluate", evaluate)


def test_interrupt_keeps_finished_epochs(small, tmp_path, monkeypatch, capsys):
    interrupt_the_second_measuring(monkeypatch)  # at the end, after the only epoch
    assert train("--out", tmp_path / "run") == 130
    assert "interrupted" in capsys.readouterr().err
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors",
        "settings.json",
        "state.safetensors",
    }


COMMANDS = ("train", "evaluate", "reconstruct", "sample", "export")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_reads_as_a_whole(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command, "--help"])
    shown = capsys.readouterr().out
    assert "==SUPPRESS==" not in shown
    assert "usage: csae" in shown


def test_recipe_is_settled_before_any_work(small, tmp_path, capsys):
    shown = ["--recipe", "published-code", "--epochs", "4", "--noise", "0.1", "--dry-run"]
    assert cli.main(["train", "--dataset", "mnist", *shown]) == 0
    plan = json.loads(capsys.readouterr().out)
    keys = {"dataset", "recipe", "precision", "recipe_name", "experiment", "setting", "format"}
    assert plan.keys() == keys
    assert (plan["dataset"], plan["recipe_name"]) == ("mnist", "published-code")
    assert (plan["experiment"], plan["setting"]) == (None, None)
    assert plan["precision"] in ("fp32", "bf16")  # settled, never "auto"
    planned = plan["recipe"]
    assert (planned["noise"], planned["centroid_weight"]) == (0.1, 1.0)
    assert (planned["training"]["epochs"], planned["training"]["batch_size"]) == (4, 4096)
    assert cli.main(["train", "--dataset", "mnist", "--optimizer", "lion", "--dry-run"]) == 2
    assert "optimizer must be one of" in capsys.readouterr().err
    assert cli.main(["train", "--dataset", "mnist", "--latent-dim", "1", "--dry-run"]) == 2
    assert "take latent_dim of at least 2" in capsys.readouterr().err
    assert cli.main(["train", "--dry-run"]) == 2
    assert "--dataset must be given: one of mnist" in capsys.readouterr().err


def test_json_is_all_that_stands_on_standard_output(small, tmp_path, capsys):
    assert train("--out", tmp_path / "run", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert result["accuracy"] == record["test"]["accuracy"]
    assert result["record"] == str(tmp_path / "run" / "record.json")


def test_resumed_run_writes_the_record_of_a_whole_one(small, tmp_path, monkeypatch, capsys):
    two = ["--epochs", 2, "--seed", 5, "--shift", 1]
    assert train("--out", tmp_path / "whole", *two) == 0
    mend = interrupt_the_second_measuring(monkeypatch)  # after the second epoch
    assert train("--out", tmp_path / "run", *two, "--root", tmp_path / "my data") == 130
    mend()
    error = capsys.readouterr().err
    assert f"go on with: csae train --resume {tmp_path}/run --accelerator cpu" in error
    assert f" --root '{tmp_path}/my data'\n" in error
    assert train("--out", tmp_path / "run", *two) == 2
    assert f"to go on with it: --resume {tmp_path}/run" in capsys.readouterr().err
    assert cli.main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 0
    whole, resumed = (
        json.loads((tmp_path / name / "record.json").read_text()) for name in ("whole", "run")
    )
    assert (whole.pop("timing")["resumed"], resumed.pop("timing")["resumed"]) == (False, True)
    assert whole == resumed


def test_what_cannot_be_resumed_is_named(small, tmp_path, capsys):
    train("--out", tmp_path / "run")
    capsys.readouterr()
    for arguments, message in (
        (["--resume", tmp_path / "run"], "is complete: nothing is left to resume"),
        (["--resume", tmp_path / "none"], "resume must be the folder of a run, got"),
    ):
        assert cli.main(["train", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "run" / "record.json").unlink()
    for arguments, message in (
        (["--epochs", "3"], "leave out --epochs"),
        (["--dataset", "mnist", "--noise", "0"], "leave out --dataset, --noise"),
        (["--sample"], "leave out --sample"),
    ):
        assert cli.main(["train", "--resume", str(tmp_path / "run"), *arguments]) == 2
        assert message in capsys.readouterr().err


def test_curves_for_tensorboard(small, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train("--out", tmp_path / "run", "--tensorboard", "--epochs", 2) == 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    curve = [event.value for event in events.Scalars("validation_accuracy")]
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert curve == pytest.approx([epoch["validation_accuracy"] for epoch in record["history"]])


def test_missing_extra_is_named(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    assert train("--out", tmp_path / "run", "--tensorboard") == 2
    assert "pip install 'csae[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_two_processes_train_one_model(tmp_path):
    command = [sys.executable, "-m", "csae", "train", "--dataset", "mnist", "--sample", "--epochs"]
    command += ["1", "--batch-size", "200", "--accelerator", "cpu", "--devices", "2"]
    command += ["--images-per-epoch", "400"]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    shown = subprocess.run(
        [*command, "--out", tmp_path / "run"],
        check=True, capture_output=True, text=True, timeout=1800, env=alone,
    )  # fmt: skip
    assert "2 processes" in shown.stdout
    assert shown.stdout.count("test accuracy") == 1  # the first process speaks for both
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["environment"]["processes"] == record["machine"]["devices"] == 2
    refused = subprocess.run(
        [*command, "--batch-size", "201"], capture_output=True, text=True, timeout=1800
    )
    assert refused.returncode == 2
    assert "batch_size must be a multiple of the 2 processes" in refused.stderr


def command(*arguments):
    """What runs the command line in a process of its own."""
    return [sys.executable, "-m", "csae", *map(str, arguments)]


def training_command(out):
    data = ["--dataset", "mnist", "--sample", "--images-per-epoch", 64, "--batch-size", 32]
    return command("train", *data, "--epochs", 1, "--accelerator", "cpu", "--out", out)


ALONE = os.environ | {"OMP_NUM_THREADS": "1"}
# What a script has begun in the background is deaf to Ctrl-C, and so are the processes it starts.
HEARS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a process")
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 4.0])
def test_an_interrupt_is_one_line_from_the_first_moment_on(tmp_path, delay):
    """Even while PyTorch is imported."""
    script = (
        f"{HEARS} import sys; from csae.__main__ import main; sys.argv[0] = 'csae';"
        "sys.stdout.write('up'); sys.stdout.flush();"
        "sys.exit(main())"
    )
    _, _, _, *arguments = training_command(tmp_path / "out")
    arguments[arguments.index("--epochs") + 1] = "100000"
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments, "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ALONE,
        text=True,
    ) as process:
        assert process.stdout.read(2) == "up"
        time.sleep(0.05 + delay)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=1800)
    assert process.returncode == 130
    assert shown.startswith("csae: interrupted")
    assert shown.count("\n") == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="has no clock to come again")
def test_an_interrupt_that_a_library_swallows_comes_again():
    script = (
        HEARS
        + """
import sys, time
from csae import __main__, cli
def swallow():
    try:
        print("up", flush=True)
        time.sleep(1800)
    except KeyboardInterrupt:
        time.sleep(1800)
cli.main = swallow
sys.exit(__main__.main())
"""
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ALONE,
        text=True,
    ) as process:
        assert process.stdout.read(2) == "up"
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=1800)
    assert (process.returncode, shown) == (130, "csae: interrupted\n")


def test_the_entry_point_is_the_one_that_is_guarded():
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert 'csae = "csae.__main__:main"' in project
    script = "import sys, csae.__main__; assert 'torch' not in sys.modules; csae.train"
    subprocess.run([sys.executable, "-c", script], check=True, env=ALONE)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("streams", "status"),
    [
        ("2>&-", 0),
        ("2>/dev/full", 0),
        ("1>&-", 0),
        ("1>&- 2>&-", 0),
        (">/dev/full", 1),
        ("| head -n 1", 141),
    ],
)
def test_a_run_ends_well_whoever_listens(tmp_path, streams, status):
    line = f"{shlex.join(training_command(tmp_path / 'out'))} {streams}"
    bash = ["bash", "-c", f"set -o pipefail; {line}"]
    done = subprocess.run(bash, env=ALONE, capture_output=True, text=True, timeout=1800)
    assert done.returncode == status
    assert (tmp_path / "out" / "record.json").exists()
    assert "Traceback" not in done.stderr
    if streams == ">/dev/full":
        assert "csae: error: standard output: " in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (option, value, message)
        for option in ("--out", "--resume", "--root")
        for value, message in (
            ("~nosuchuser/x", "the home folder in '~nosuchuser/x' is not known"),
            (os.fsdecode(b"bad\xff"), "a path must be UTF-8, got b'bad\\xff'"),
            ("", "a path must have a name"),
        )
    ],
)
def test_paths_that_cannot_be_are_refused(tmp_path, monkeypatch, capsys, option, value, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "--dataset", "mnist", "--sample", *FAST, option, value])
    assert f"argument {option}: {message}" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_checkpoint_in_nobodys_home_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["evaluate", "~nosuchuser/checkpoint.safetensors", "--sample"])
    assert "the home folder in '~nosuchuser" in capsys.readouterr().err


def plan(folder, name="mnist-sample"):
    """Write the settings of a run that has not begun."""
    settings = runs.settle(recipe("quick", name), name, Machine("cpu"), recipe_name="quick")
    (folder / "settings.json").write_bytes(schema.to_json(settings))


@pytest.mark.parametrize("option", [["--recipe", "best"], ["--recipe", "quick"], ["--seed", "0"]])
def test_what_does_not_go_with_resume_is_refused(tmp_path, capsys, option):
    plan(tmp_path)
    assert cli.main(["train", "--resume", str(tmp_path), *option]) == 2
    shown = capsys.readouterr().err
    assert f"leave out {option[0]}" in shown
    assert "Beside --resume go --root" in shown


def test_a_full_disk_is_told_with_file_and_way_out(small, tmp_path, monkeypatch, capsys):
    whole = files.write_whole

    def full(path, content):
        if path.name == "checkpoint.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        whole(path, content)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("csae.weights.write_whole", full)
        assert train("--out", out) == 2
    shown = capsys.readouterr().err
    assert f"'{out / 'checkpoint.safetensors'}'" in shown
    assert f"Make room; go on with: csae train --resume {out}" in shown
    assert cli.main(["train", "--resume", str(out), "--accelerator", "cpu", "--quiet"]) == 0


def test_threads_are_as_many_as_asked_for(small, tmp_path, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(before))  # put back afterwards
    try:
        assert train("--out", tmp_path / "run", "--threads", 1) == 0
    finally:
        torch.set_num_threads(before)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["environment"]["threads"] == 1


def test_what_slurm_has_started_is_compared_with_what_is_asked(tmp_path, monkeypatch, capsys):
    for variables, arguments, message in (
        ({"SLURM_NTASKS": "4"}, [], "SLURM has set it to '4'"),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train"}, ["--devices", "2"], "set it to '1'"),
        ({"SLURM_NTASKS": "2"}, ["--devices", "2"], "SLURM_NTASKS_PER_NODE 2, but SLURM has set"),
        ({"SLURM_NTASKS": "x"}, [], "SLURM has set it to 'x'"),
        ({"TORCHELASTIC_RUN_ID": "1"}, [], "LOCAL_WORLD_SIZE must be an integer"),
        ({}, ["--num-nodes", "2"], "not set: MASTER_ADDR, MASTER_PORT, NODE_RANK"),
    ):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert train("--out", tmp_path / "never", *arguments) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "never").exists()


# Settings of a run, and the folder it is made in


def test_a_run_keeps_its_settings(small, tmp_path):
    assert train("--out", tmp_path / "run", "--noise", 0.1, "--precision", "fp32") == 0
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert settings["recipe"] == record["recipe"]
    assert settings["recipe"]["noise"] == 0.1
    assert (settings["dataset"], settings["precision"]) == ("mnist-sample", "fp32")
    assert (settings["recipe_name"], settings["format"]) == ("quick", "csae-settings-1")
    assert record["machine"]["precision"] == "fp32"
    assert record["machine"]["accelerator"] == "cpu"


@pytest.mark.parametrize(
    "name", ["classification", "centroid", "reconstruction", "wavelet", "sobel"]
)
def test_weights_of_terms_are_options(capsys, name):
    options = [f"--{name}-weight", "0.25", "--dry-run"]
    assert cli.main(["train", "--dataset", "mnist", *options]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"][f"{name}_weight"] == 0.25


def test_kinds_of_model_are_options(small, tmp_path, capsys):
    unlabelled = ["--kind", "autoencoder", "--classification-weight", 0]
    assert train("--out", tmp_path / "run", *unlabelled) == 0
    assert "test PSNR" in capsys.readouterr().out  # there are no classes to name
    record = records.load_record(tmp_path / "run" / "record.json")
    assert record.recipe.kind == "autoencoder"
    assert record.test.keys() == {"psnr"}
    labelled = ["--kind", "autoencoder", "--classification-weight", 1]
    assert train("--out", tmp_path / "never", *labelled) == 2
    assert "classification_weight must be 0 for the kind 'autoencoder'" in capsys.readouterr().err
    assert train("--out", tmp_path / "never", "--kind", "gan") == 2
    assert "kind must be one of 'csae'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_kind_comes_with_the_weights_that_it_needs(small, tmp_path, capsys, kind):
    assert train("--out", tmp_path / "run", "--kind", kind) == 0
    shown = capsys.readouterr().out
    record = records.load_record(tmp_path / "run" / "record.json")
    settled = recipe("quick", "mnist-sample").change(**kinds.defaults(kind))
    assert dataclasses.replace(settled, training=record.recipe.training) == record.recipe
    model = kinds.KINDS[kind]
    measured = {"accuracy": model.classifies, "psnr": model.decodes}
    assert record.test.keys() == {name for name, there in measured.items() if there}
    assert ("PSNR" in shown, "test accuracy" in shown) == (model.decodes, model.classifies)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(format="csae-settings-0"), "format must be one of 'csae-settings-1'"),
        (lambda s: s.pop("recipe"), "recipe is missing"),
        (lambda s: s.update(precision="auto"), "precision must be one of 'fp32', 'bf16'"),
        (lambda s: s["recipe"].update(noise="much"), "recipe.noise must be a finite number"),
        (lambda s: s["recipe"]["training"].update(epochs=0), "recipe.training.epochs must be"),
        (lambda s: s.update(more=1), "it has no entries but dataset"),
    ],
)
def test_damaged_settings_are_named(tmp_path, capsys, change, message):
    plan(tmp_path)
    path = tmp_path / "settings.json"
    settings = json.loads(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings))
    assert cli.main(["train", "--resume", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert f"csae: error: {path} is damaged: {message}" in shown
    assert shown.count("\n") == 1


def test_another_precision_is_not_resumed(tmp_path, capsys):
    plan(tmp_path)
    settled = runs.read_settings(tmp_path).precision
    other = {"fp32": "bf16", "bf16": "fp32"}[settled]
    assert cli.main(["train", "--resume", str(tmp_path), "--precision", other]) == 2
    assert f"precision must be {settled} as before, got {other}" in capsys.readouterr().err


HOLD = """
import sys, time
from pathlib import Path
from csae import runs
with runs.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_a_folder_is_held_by_one_process_and_by_no_dead_one(small, tmp_path, capsys):
    folder = tmp_path / "run"
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, env=path, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(ValueError, match=f"{folder} is in use"), runs.locked(folder):
                pass
            assert train("--out", folder) == 2
            shown = capsys.readouterr().err
            assert shown == (
                f"csae: error: {folder} is in use: another process is making the run in it\n"
            )
            plan(folder)
            assert cli.main(["train", "--resume", str(folder), "--quiet"]) == 2
            assert f"{folder} is in use" in capsys.readouterr().err
        finally:
            process.kill()
    (folder / "settings.json").unlink()
    with runs.locked(folder):
        pass
    assert not folder.exists()  # it was empty
    assert train("--out", folder) == 0


def test_a_lock_holds_in_one_process_too_and_leaves_nothing(tmp_path):
    folder = tmp_path / "a" / "run"
    with runs.locked(folder):
        assert folder.is_dir()
        with pytest.raises(ValueError, match="is in use"), runs.locked(folder):
            pass
        (folder / "mine").write_text("")
        (folder / ".state.safetensors-1234abcd").write_text("half")
    with runs.locked(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_folder_with_half_written_settings_is_free(small, tmp_path, capsys):
    """A run that was killed so early has done nothing; other files are somebody's."""
    out = tmp_path / "run"
    assert runs.is_free(out)
    out.mkdir()
    assert runs.is_free(out)
    (out / ".settings.json-0123abcd").write_text("{")
    assert runs.is_free(out)
    (out / "notes.txt").write_text("mine")
    assert not runs.is_free(out)
    assert not runs.is_free(out / "notes.txt")
    assert train("--out", out) == 2
    assert "out must be a new or empty folder" in capsys.readouterr().err
    (out / "notes.txt").unlink()
    assert train("--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.safetensors", "record.json", "settings.json",
    ]  # fmt: skip
