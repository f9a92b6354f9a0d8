import json

import numpy as np
import pytest
from bokeh.events import Tap
from simulated_sky import Bump, Shape, classified, detected, explainer, flaring_stars, galaxies

from jupyter_astroml.core.errors import ArchiveError, DataError, SettingsError
from jupyter_astroml.core.records import Predictions
from jupyter_astroml.explain import METHODS, attribute
from jupyter_astroml.models.events import events
from jupyter_astroml.widgets.inspector import inspector


def look_at(predictions, samples, module, *, kind="cutouts", **options):
    place = {name: i for i, name in enumerate(samples.ids)}
    return inspector(
        predictions,
        kind=kind,
        fetch=lambda name: samples[place[name]],
        explain=explainer(module),
        methods=METHODS,
        **{"bokehjs": "served", **options},
    )


def events_in(sample, one):
    p, std = one.arrays["probability"], one.arrays["probability_std"]
    return events(p, std, sample.time, sample.values, ids=sample.ids)


@pytest.fixture
def sky():
    return galaxies(40)


@pytest.fixture
def shapes(sky):
    module = Shape(24)
    widget = look_at(classified(module, sky), sky, module)
    yield widget
    widget.close()


@pytest.fixture
def stars():
    return flaring_stars(5)


@pytest.fixture
def flares(stars):
    widget = look_at(detected(Bump(), stars), stars, Bump(), kind="light_curves", events=events_in)
    yield widget
    widget.close()


def drawn_map(widget):
    return widget.view.overlay.data["image"][0]


def expected_map(sky, row, target, method="smoothgrad"):
    maps = attribute(Shape(24), sky.values[row : row + 1], targets=target, method=method, samples=8)
    return maps[0].sum(axis=0)


def label_index(widget, row):
    return ["round", "edge-on"].index(widget._predictions.columns["label"][row])


def test_the_first_object_is_shown_with_its_saliency(shapes, sky):
    assert shapes.selected == "sim-0"
    np.testing.assert_allclose(drawn_map(shapes), expected_map(sky, 0, label_index(shapes, 0)))
    assert "half of the attribution lies within" in shapes.summary.value
    assert 'aria-live="polite"' in shapes.summary.value


def test_a_tap_on_a_point_shows_the_saliency_of_its_object_everywhere(shapes, sky):
    shapes.scatter.source.selected.indices = [7]
    assert shapes.selected == "sim-7"
    assert shapes.target.label == "the given label"
    np.testing.assert_allclose(drawn_map(shapes), expected_map(sky, 7, label_index(shapes, 7)))
    p = shapes._predictions.columns
    assert shapes.scatter.ring.data == {"x": [p["confidence"][7]], "y": [p["uncertainty"][7]]}
    assert shapes.table.source.selected.indices == [7]
    assert shapes.gallery.tiles.selected.indices == [7]
    assert shapes.object.value == "sim-7"


def test_a_tap_on_a_row_shows_its_object(shapes):
    shapes.order.value = "most uncertain first"
    shapes.table.source.selected.indices = [3]
    wanted = np.argsort(-shapes._predictions.columns["uncertainty"], kind="stable")[3]
    assert shapes.selected == f"sim-{wanted}"
    assert shapes.scatter.source.selected.indices == [wanted]


def test_a_tap_on_a_thumbnail_shows_its_object(shapes):
    shapes.forth.click()
    assert list(shapes.gallery.tiles.data["id"]) == [f"sim-{i}" for i in range(8, 16)]
    assert len(shapes.gallery.pictures.data["image"]) == 8
    shapes.gallery.tiles.selected.indices = [2]
    assert shapes.selected == "sim-10"


def test_the_same_point_can_be_tapped_again_after_another_object(shapes):
    shapes.scatter.source.selected.indices = [7]
    shapes.table.source.selected.indices = [2]
    shapes.scatter.source.selected.indices = [7]
    assert shapes.selected == "sim-7"


def test_the_picture_is_drawn_in_arcseconds(shapes):
    shapes.select("sim-4")
    data = shapes.view.picture.data
    # 24 pixels of 0.5 arcsec about the centre.
    assert (data["x"], data["dw"]) == ([-6.0], [12.0])
    assert shapes.view.left.xaxis[0].axis_label == "x offset [arcsec]"
    assert shapes.view._letters.data["text"] == ["orientation unknown"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_its_own_map(shapes, sky, method):
    shapes.method.value = method
    target = label_index(shapes, 0)
    np.testing.assert_allclose(drawn_map(shapes), expected_map(sky, 0, target, method), atol=1e-6)
    assert METHODS[method].replace("&", "&amp;") in shapes.status.value


def test_another_class_can_be_explained(shapes, sky):
    other = 1 - label_index(shapes, 0)
    shapes.target.value = ["round", "edge-on"][other]
    assert shapes.target.label == ["round", "edge-on"][other]
    np.testing.assert_allclose(drawn_map(shapes), expected_map(sky, 0, other))


def test_magnitudes_and_opacity_change_the_looks_only(shapes, sky):
    shapes.sign.value = False
    assert shapes.view.mapper.low == 0
    assert (drawn_map(shapes) >= 0).all()
    shapes.opacity.value = 0.3
    assert shapes.view._map.glyph.global_alpha == 0.3
    shapes.sign.value = True
    assert shapes.view.mapper.low == -shapes.view.mapper.high


def test_next_and_previous_follow_the_order(shapes):
    shapes.order.value = "least uncertain first"
    order = np.argsort(shapes._predictions.columns["uncertainty"], kind="stable")
    shapes.select(f"sim-{order[0]}")
    shapes.next.click()
    assert shapes.selected == f"sim-{order[1]}"
    shapes.previous.click()
    shapes.previous.click()
    assert shapes.selected == f"sim-{order[0]}"


def test_an_object_can_be_typed(shapes):
    shapes.object.value = "sim-21"
    assert shapes.selected == "sim-21"
    shapes.object.value = "<b>none</b>"
    assert shapes.selected == "sim-21"
    assert "There is no object &lt;b&gt;none" in shapes.status.value


def test_the_code_line_names_the_same_picture(shapes):
    shapes.select("sim-3")
    shapes.target.value = "round"
    line = 'aml.explain(run, ids=["sim-3"], target="round", method="smoothgrad")'
    assert line.replace('"', "&#x27;") in shapes.line.value


def test_other_columns_can_be_drawn(shapes):
    shapes.x.value = "p_round"
    np.testing.assert_array_equal(
        shapes.scatter.source.data["x"], shapes._predictions.columns["p_round"]
    )
    assert shapes.scatter.layout.xaxis[0].axis_label == "probability of round"


def test_an_object_is_fetched_and_explained_once(sky):
    module, calls = Shape(24), []
    work = explainer(module)

    def explain(sample, target, method, progress):
        calls.append(str(sample.ids[0]))
        return work(sample, target, method, progress)

    place = {name: i for i, name in enumerate(sky.ids)}
    widget = inspector(
        classified(module, sky),
        kind="cutouts",
        fetch=lambda name: sky[place[name]],
        explain=explain,
        methods=["gradient"],
        bokehjs="served",
    )
    widget.select("sim-1")
    widget.select("sim-0")
    assert calls == ["sim-0", "sim-1"]


def test_an_error_of_the_archive_is_shown_with_cause_and_remedy(sky):
    def fetch(name):
        raise ArchiveError("No pixels <here>", cause="the disk is full", remedy="ask the admin")

    module = Shape(24)
    widget = inspector(
        classified(module, sky),
        kind="cutouts",
        fetch=fetch,
        explain=explainer(module),
        methods=METHODS,
        bokehjs="served",
    )
    told = widget.status.value
    assert 'role="alert"' in told
    for part in ("No pixels &lt;here&gt;", "Cause: the disk is full", "To do: ask the admin"):
        assert part in told
    assert widget.attributions is None


def test_an_error_of_a_model_is_shown_and_the_next_object_works(sky):
    module = Shape(24)
    work = explainer(module)

    def explain(sample, target, method, progress):
        if sample.ids[0] == "sim-1":
            raise ZeroDivisionError("by nothing")
        return work(sample, target, method, progress)

    place = {name: i for i, name in enumerate(sky.ids)}
    widget = inspector(
        classified(module, sky),
        kind="cutouts",
        fetch=lambda name: sky[place[name]],
        explain=explain,
        methods=METHODS,
        bokehjs="served",
    )
    widget.select("sim-1")
    assert "ZeroDivisionError: by nothing" in widget.status.value
    assert np.isnan(drawn_map(widget)).all()
    widget.select("sim-2")
    assert np.isfinite(drawn_map(widget)).all()


def test_an_object_without_an_answer_shows_its_data_and_the_reason(sky):
    module = Shape(24)
    found = classified(module, sky)
    status = found.status.astype("U40")
    status[3] = "the archive sent 404"
    widget = look_at(Predictions(ids=found.ids, status=status, columns=found.columns), sky, module)
    widget.select("sim-3")
    assert "no answer, the archive sent 404" in widget.summary.value
    assert "no answer to explain" in widget.status.value
    assert widget.view.picture.data["image"][0].shape == (24, 24)


def test_hostile_ids_stay_text(sky):
    module = Shape(24)
    found = classified(module, sky[:2])
    bad = "<img src=x onerror=alert(1)>"
    widget = inspector(
        Predictions(ids=np.array([bad, "b"]), status=found.status, columns=found.columns),
        kind="cutouts",
        fetch=lambda name: sky[0],
        explain=explainer(module),
        methods=METHODS,
        bokehjs="served",
    )
    assert widget.selected == bad
    for box in (widget.summary, widget.line, widget.status):
        assert "<img" not in box.value


def test_a_flare_is_shown_in_days_with_its_probability(flares, stars):
    assert flares.selected == "star-0"
    view = flares.view
    assert view.bottom.xaxis[0].axis_label.startswith("BTJD")
    # The second flare is the higher one.
    t_max = float(flares._predictions.columns["t_max"][0])
    assert 1354 + 248 / 720 < t_max < 1354 + 255 / 720
    assert view.target[0].location == pytest.approx(t_max)
    time = view.saliency.data["time"]
    assert time[np.abs(view.saliency.data["map"]).argmax()] == pytest.approx(t_max, abs=2 / 720)
    assert len(view.events.data["time"]) == 2
    assert not np.isin(stars.time[0, 100:110], view.probability.data["time"]).any()
    p = view.probability.data
    assert (p["low"] <= p["p"]).all()
    assert (p["p"] <= p["high"]).all()


def test_what_the_network_alone_takes_for_an_event_is_not_offered(stars):
    found = detected(Bump(), stars)
    # Sure of a flare where the light is quiet: the rule of the model refuses it.
    found.arrays["probability"][0, 150:160] = 0.99
    widget = look_at(found, stars, Bump(), kind="light_curves", events=events_in)
    assert len(widget.view.events.data["time"]) == 2
    assert len(widget.target.options) == 3
    widget.close()


def test_another_event_of_the_same_star_can_be_explained(flares):
    words, when = flares.target.options[2]
    assert "p = " in words
    flares.target.value = when
    assert flares.view.target[0].location == pytest.approx(when)
    assert 1354 + 58 / 720 < when < 1354 + 65 / 720


def test_a_tap_on_the_light_curve_explains_that_time(flares, stars):
    when = float(stars.time[0, 200])
    flares._tapped_time(Tap(flares.view.top, x=when + 1e-4, y=1.0))
    assert flares.target.value == when
    assert flares.view.target[0].location == pytest.approx(when)


def test_the_events_of_the_next_star_replace_those_of_the_last(flares):
    flares.target.value = flares.target.options[1][1]
    flares.select("star-3")
    assert flares.target.value == ""
    assert len(flares.target.options) == 3
    assert flares.view.target[0].location == pytest.approx(flares._predictions.columns["t_max"][3])


def test_a_million_rows_are_sampled_and_said_so(sky):
    n = 1_000_000
    rng = np.random.default_rng(0)
    p = rng.random(n)
    label = np.where(p > 0.5, "edge-on", "round")
    label[123_456] = "rare"
    found = Predictions(
        ids=np.arange(n).astype(str),
        status=np.full(n, "ok"),
        columns={"label": label, "confidence": np.maximum(p, 1 - p), "uncertainty": p},
    )
    module = Shape(24)
    widget = inspector(
        found,
        kind="cutouts",
        fetch=lambda name: sky[0],
        explain=lambda sample, _, method, progress: explainer(module)(
            sample, "round", method, progress
        ),
        methods=["gradient"],
        bokehjs="served",
    )
    assert len(widget.scatter.source.data["x"]) <= 5000
    assert 123_456 in widget.scatter.rows
    assert "drawn at random" in widget.scatter.note()
    assert len(widget.table.source.data["id"]) == 200
    widget.select("777777")
    assert widget.table.note() == "rows 777,601 to 777,800 of 1,000,000"
    assert widget.table.source.data["id"][widget.table.source.selected.indices[0]] == "777777"
    # It is not among the points, so the ring alone shows it.
    assert widget.scatter.ring.data["x"] == [max(p[777_777], 1 - p[777_777])]


def test_a_page_that_opens_later_gets_the_present_state(shapes):
    shapes.select("sim-9")
    live = shapes._live[0]
    bundle = live.get_state()["render_bundle"]
    assert "sim-9" in str(bundle)
    x = shapes._predictions.columns["confidence"][9]
    drawn = json.loads(bundle)["docs_json"]
    assert str(float(x)) in json.dumps(drawn)


def test_nothing_to_inspect_is_an_error():
    empty = Predictions(ids=np.array([]), status=np.array([]), columns={})
    with pytest.raises(DataError, match="nothing to inspect"):
        inspector(empty, kind="cutouts", fetch=None, explain=None, methods=[], bokehjs="served")


def test_an_unknown_object_or_source_of_bokehjs_is_an_error(shapes, sky):
    with pytest.raises(DataError, match="no object 'nobody'"):
        shapes.select("nobody")
    module = Shape(24)
    with pytest.raises(SettingsError, match="'cdn'"):
        look_at(classified(module, sky), sky, module, bokehjs="cdn")


def test_a_quick_map_is_refined_once(sky):
    module, passes = Shape(24), []

    def at(samples):
        work = explainer(module, samples=samples)

        def explain(sample, target, method, progress):
            passes.append((str(sample.ids[0]), samples))
            return work(sample, target, method, progress)

        return explain

    place = {name: i for i, name in enumerate(sky.ids)}
    widget = inspector(
        classified(module, sky),
        kind="cutouts",
        fetch=lambda name: sky[place[name]],
        explain=at(2),
        refine=at(8),
        methods=METHODS,
        bokehjs="served",
    )
    np.testing.assert_allclose(drawn_map(widget), expected_map(sky, 0, label_index(widget, 0)))
    widget.select("sim-1")
    widget.select("sim-0")
    assert passes == [("sim-0", 2), ("sim-0", 8), ("sim-1", 2), ("sim-1", 8)]
    np.testing.assert_allclose(drawn_map(widget), expected_map(sky, 0, label_index(widget, 0)))
