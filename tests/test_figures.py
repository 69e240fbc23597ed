import dataclasses
import math

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

import csae
from csae import figures
from csae.centroids import orthoplex, simplex
from csae.records import Spread, load_runs, spread

matplotlib.use("Agg")


@pytest.mark.parametrize(("k", "d"), [(3, 2), (4, 7), (10, 40)])
def test_polygon_plane_is_fair_to_all_centroids(k, d):
    centroids = simplex(k, d, scale=2.0)
    plane = figures.polygon_plane(centroids)
    assert torch.allclose(plane.T @ plane, torch.eye(2).double(), atol=1e-12)
    corners = centroids @ plane
    radius = torch.full((k,), 2 * math.sqrt(2 / (k - 1)), dtype=torch.float64)
    assert torch.allclose(corners.norm(dim=1), radius)
    sides = (corners - corners.roll(1, dims=0)).norm(dim=1)
    assert torch.allclose(sides, sides[0].expand(k))


def test_two_centroids_make_no_polygon():
    with pytest.raises(ValueError, match="at least 3"):
        figures.polygon_plane(simplex(2, 4))


def test_style_draws_on_a_ground_that_survives_dark_pages():
    with matplotlib.rc_context():
        figures.use_style()
        assert plt.rcParams["figure.facecolor"] == plt.rcParams["savefig.facecolor"] == "white"


def test_each_class_gets_a_panel():
    centroids = simplex(7, 9)
    figure = figures.shadow_by_class(
        centroids, list("abcdefg"), torch.randn(70, 9), torch.arange(70) % 7
    )
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [*"abcdefg", "", "", ""]
    drawn = [sum(len(c.get_offsets()) for c in axis.collections) for axis in figure.axes]
    assert drawn == [71] * 7 + [0] * 3
    plt.close(figure)


def test_confusion_leaves_zero_cells_empty():
    figure, axis = plt.subplots()
    figures.confusion(torch.tensor([[3, 0], [1, 2]]), ["a", "b"], axis)
    assert sorted(text.get_text() for text in axis.texts) == ["1", "2", "3"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("points", "tolerance", "joined"),
    [
        (orthoplex(4, 2), 1e-4, 4),  # the sides of a square, not its diagonals
        (orthoplex(4, 2), 0.5, 6),
        (orthoplex(6, 3), 1e-4, 12),  # the edges of an octahedron
        (simplex(4, 3), 1e-4, 6),
    ],
)
def test_arrangement_joins_the_closest_pairs(points, tolerance, joined):
    figure, axis = plt.subplots()
    figures.arrangement(points, axis, tolerance=tolerance)
    lines = [line for line in axis.lines if len(line.get_xdata()) == 2]  # not the outline
    assert len(lines) == joined
    drawn = torch.tensor(
        [offset.tolist() for c in axis.collections for offset in c.get_offsets()]
    ).double()
    assert len(drawn) == len(points)
    assert (drawn.norm(dim=1) < 1 + 1e-6).all()
    if points.shape[1] == 2:
        assert torch.allclose(drawn, points, atol=1e-6)
    plt.close(figure)


def test_arrangement_needs_a_picture():
    with pytest.raises(ValueError, match=r"points must be of shape .* got \(4, 4\)"):
        figures.arrangement(torch.eye(4), plt.gca())
    plt.close("all")


def test_sketch_of_a_queue_is_shorter_where_nothing_is_read():
    ends = []
    for reads in (True, False):
        figure, axis = plt.subplots()
        figures.queue_sketch(axis, reads=reads)
        ends.append(axis.lines[0].get_xdata()[0])
        assert [text.get_text() for text in axis.texts] == list("11223344")
        plt.close(figure)
    assert ends[0] > ends[1] > 4  # four steps of length 1


def test_stacked_bars_follow_each_other():
    figure, axis = plt.subplots()
    figures.stacked_bars(axis, {"a": [1.0, 2.0], "b": [3.0, 1.0]}, ["first", "second"])
    first, second = axis.containers
    assert [bar.get_width() for bar in first] == [1.0, 3.0]
    assert [bar.get_x() for bar in second] == [1.0, 3.0]
    assert axis.get_legend_handles_labels()[1] == ["first", "second"]
    plt.close(figure)


def test_labelled_bars_say_their_values():
    figure, axis = plt.subplots()
    figures.labelled_bars(axis, {"small": 0.0123, "large": 2345.6}, "kB")
    assert [text.get_text() for text in axis.texts] == ["0.012 kB", "2,346 kB"]
    plt.close(figure)


def test_roofline_bends_where_arithmetic_takes_over():
    figure, axis = plt.subplots()
    layers = [("a", 10.0, 20.0, 1.0), ("b", 400.0, 4.0, 2.0), ("a", 5.0, 10.0, 1.0)]
    figures.roofline(axis, layers, peak=1000.0, bandwidth=100.0)
    roof, first, second = axis.lines
    assert list(roof.get_xdata()) == [0.25, 10.0, 200.0]
    assert list(roof.get_ydata()) == [25.0, 1000.0, 1000.0]
    assert list(first.get_xdata()) == [0.5, 0.5]
    assert list(second.get_ydata()) == [200.0]
    plt.close(figure)


def test_growing_cost_keeps_small_changes_small():
    _, (steep, flat) = plt.subplots(1, 2)
    figures.growing_cost(steep, (1, 2, 4), (1.0, 2.0, 4.0), (1.0, 2.0, 4.0))
    figures.growing_cost(flat, (1, 2, 4), (1.0, 1.1, 1.2), (1.0, 1.0, 1.0))
    assert [label.get_text() for label in steep.get_yticklabels()] == ["1 s", "4 s"]
    low, high = flat.get_ylim()
    assert high / low > 10


def test_speeds_are_told_apart_without_colour():
    axis = plt.figure().add_subplot()
    curves = {
        (name, recorded): {64: 1.0, 256: 2.0}
        for name in ("fp32", "bf16")
        for recorded in (True, False)
    }
    figures.speed_curves(axis, curves)
    looks = {(line.get_linestyle(), line.get_marker()) for line in axis.lines}
    assert len(looks) == len(axis.lines) == 4


def test_a_run_is_joined_with_its_twin():
    run, twin = (
        dataclasses.replace(
            load_runs("first-models", "mnist")[0],
            test={"accuracy": 0.9, "psnr": psnr},
            history=[{"epoch": 1, "validation_accuracy": 0.8}],
        )
        for psnr in (20.0, 21.0)
    )
    _, (left, right) = plt.subplots(1, 2)
    figures.runs_and_twins(left, right, {0: run, 1: run}, {1: twin})
    assert len(left.lines) == 2 * 3  # interval, test and validation
    assert len(right.lines) == 2 + 2
    joined = right.lines[2].get_xydata().tolist()
    assert joined == [[20.0, 1.0], [21.0, 1.0]]


def points(axis):
    return [line.get_xydata().tolist() for line in axis.lines]


def test_settings_show_their_seeds_and_an_interval_where_there_are_several():
    axis = plt.figure().add_subplot()
    spreads = {
        "several": Spread((1.0, 3.0), 2.0, 0.5, 3.5),
        "one": Spread((4.0,), 4.0, math.nan, math.nan),
    }
    figures.settings(axis, spreads, labels={"one": "a single seed"})
    assert points(axis) == [
        [[1.0, 0.0]],
        [[3.0, 0.0]],
        [[0.5, 0.0], [3.5, 0.0]],
        [[2.0, 0.0]],
        [[4.0, 1.0]],
    ]
    seeds = axis.lines[:2]
    assert len({line.get_marker() for line in seeds}) == 2
    assert [label.get_text() for label in axis.get_yticklabels()] == ["several", "a single seed"]
    low, high = axis.get_ylim()
    assert low > high  # the first setting is at the top


def test_settings_without_intervals_are_scaled_and_may_be_empty():
    axis = plt.figure().add_subplot()
    spreads = {
        "several": Spread((0.25, 0.75), 0.5, 0.125, 0.875),
        "none": Spread((), math.nan, math.nan, math.nan),
        "of images": Spread((0.5,), 0.5, 0.25, 0.75),
    }
    figures.settings(axis, {"none": spreads["none"]})
    assert points(axis) == []
    assert len(axis.get_yticklabels()) == 1
    figures.settings(axis, spreads, scale=100, intervals=False)
    assert points(axis) == [[[25.0, 0.0]], [[75.0, 0.0]], [[50.0, 0.0]], [[50.0, 2.0]]]
    figures.settings(axis, {"of images": spreads["of images"]})
    assert points(axis)[-1] == [[0.25, 0.0], [0.75, 0.0]]


def test_accuracy_stands_beside_psnr_for_the_settings_that_are_named():
    runs = load_runs("quick-mnist")
    _, (left, right) = plt.subplots(1, 2)
    names = {"muon": "Muon", "batch-64": "AdamW"}
    figures.accuracy_and_psnr(left, right, runs, names, intervals=False)
    assert [label.get_text() for label in left.get_yticklabels()] == ["Muon", "AdamW"]
    assert len(left.lines) == len(right.lines) == 2 * (2 + 1)  # two seeds and their mean
    seeds = spread(runs, "validation_accuracy")["muon"].values
    assert points(left)[:2] == [[[100 * value, 0.0]] for value in seeds]


def test_table_of_settings_has_each_seed_and_the_interval_of_the_mean():
    spreads = {
        "accuracy": {"a": Spread((0.25, 0.75), 0.5, 0.125, 0.875)},
        "PSNR": {"a": Spread((20.0,), 20.0, math.nan, math.nan)},
    }
    forms = {"accuracy": "{:.1%}", "PSNR": "{:.2f} dB"}
    head, _, row = figures.settings_table(spreads, forms).splitlines()
    assert head.count("each seed") == head.count("mean (95 % interval)") == 2
    assert row == "| a | 25.0%, 75.0% | 50.0% (12.5% to 87.5%) | 20.00 dB | 20.00 dB |"


def test_measures_have_a_line_for_each_seed_and_one_label():
    axis = plt.figure().add_subplot()
    runs = load_runs("noise")
    figures.measure_lines(axis, runs, {"stretch": "the stretch", "spread": "the spread"})
    assert len(axis.lines) == 2 * 2
    assert axis.get_legend_handles_labels()[1] == ["the stretch", "the spread"]
    of_seed_0 = {run.recipe.noise: run.measures["stretch"] for run in runs if run.seed == 0}
    drawn = [[float(k), of_seed_0[size]] for k, size in enumerate(sorted(of_seed_0))]
    assert points(axis)[0] == drawn
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "0.04", "0.15", "0.5"]


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_tries_share_a_legend_and_scales_if_told(names):
    runs = {run.seed: run for run in load_runs("best", "mnist") if run.setting == "best"}
    figure = figures.tries(dict.fromkeys(names, (runs, {})), sharex=True)
    assert len(figure.axes) == 2 * len(names)
    assert [axis.get_title() for axis in figure.axes[::2]] == list(names)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["test", "validation", "with labels"]
    assert len({axis.get_xlim() for axis in figure.axes[::2]}) == 1


def test_lines_of_seeds_share_a_scale():
    axis = plt.figure().add_subplot()
    figures.seed_lines(axis, {0: (1.0, 1.1), 5: (1.2, 1.1)}, ("a", "b"), 4.0)
    low, high = axis.get_ylim()
    assert high - low == pytest.approx(4)
    assert [line.get_label() for line in axis.lines] == ["seed 0", "seed 5"]


def test_table_is_markdown():
    assert figures.table(("a", "b"), [("1", "2")]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 1 | 2 |",
    ]


def test_the_users_settings_do_not_matter():
    odd = {"image.origin": "lower", "savefig.bbox": "tight", "text.usetex": True}
    with plt.rc_context(odd):
        assert drawn_upright(figures.image_rows({"row": torch.rand(2, 1, 4, 4)}))
        figures.use_style()
        for name in odd:
            assert plt.rcParams[name] == plt.rcParamsDefault[name]


def drawn_upright(figure):
    return all(axis.images[0].origin == "upper" for axis in figure.axes)


def test_the_pipeline_names_the_class_and_leaves_the_model_as_it_was():
    model, _ = csae.load_pretrained("fashion-mnist")
    test = csae.load_dataset("fashion-mnist", "test", sample=True)
    model.train()
    figure = figures.pipeline(model, test.images[0], test.classes)
    assert model.training
    written = [text.get_text() for text in figure.axes[0].texts]
    said = test.classes[csae.predict(model, test.first(1)).labels[0]]
    assert any(text.endswith(f"says: {said}") for text in written)
    plt.close(figure)
    with pytest.raises(ValueError, match="classes must be 10 names, got 2"):
        figures.pipeline(model, test.images[0], ["a", "b"])
    with pytest.raises(ValueError, match="image must"):
        figures.pipeline(model, test.images[0] / 255, test.classes)
