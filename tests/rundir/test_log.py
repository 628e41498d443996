import pytest

from jaxgan.rundir.log import EVALUATIONS, METRICS, append, read_evaluations, read_metrics, replace
from jaxgan.util.errors import UserError


def test_metrics_are_appended_and_read(tmp_path):
    assert read_metrics(tmp_path) == []
    first, second = {"step": 5, "loss": 0.1 + 0.2}, {"step": 10, "loss": 1e-30}
    append(tmp_path / METRICS, [first])
    append(tmp_path / METRICS, [])
    append(tmp_path / METRICS, [second])
    assert read_metrics(tmp_path) == [first, second]


@pytest.mark.parametrize("rest", ['{"step": 3, "lo', "{", '{"step"', ""])
def test_half_a_last_record_is_left_out(tmp_path, rest):
    whole = '{"step": 1, "loss_d": 1.5}\n{"step": 2, "loss_d": NaN}\n'
    (tmp_path / METRICS).write_text(whole + rest)
    records = read_metrics(tmp_path)
    assert [record["step"] for record in records] == [1, 2]
    assert records[0]["loss_d"] == 1.5


def test_damage_before_the_last_record_is_named(tmp_path):
    (tmp_path / METRICS).write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match="line 2 is not a record"):
        read_metrics(tmp_path)


def test_a_repeated_step_has_its_later_values(tmp_path):
    records = [{"step": 1, "a": 1}, {"step": 2, "a": 2}, {"step": 1, "a": 3}, {"step": 2, "b": 4}]
    replace(tmp_path / METRICS, records)
    assert read_metrics(tmp_path) == [{"step": 1, "a": 3}, {"step": 2, "b": 4}]


def test_evaluations_are_read_and_others_are_not(tmp_path):
    sound = {"step": 2, "metrics": {"fid": 1.5}, "floors": {"fid": 0.1}, "protocol": "of 9"}
    append(tmp_path / EVALUATIONS, [sound, sound | {"step": 4}])
    assert [line["step"] for line in read_evaluations(tmp_path)] == [2, 4]
    for bad in ({"step": 0}, {"metrics": 3}, {"floors": {"fid": "low"}}, {"protocol": None}):
        replace(tmp_path / EVALUATIONS, [sound | bad, sound])
        with pytest.raises(UserError, match="line 1 is not a record"):
            read_evaluations(tmp_path)


@pytest.mark.parametrize(
    ("features", "short"),
    [
        ("digit network 3d95cf059261", "digits"),
        ("digit network on each channel 3d95", "digits_by_channel"),
        ("the vectors themselves", "points"),
        ("InceptionV3, TensorFlow's of 2015-12-05 0123", None),
    ],
)
def test_metrics_of_earlier_versions_get_the_names_of_their_features(tmp_path, features, short):
    numbers, protocol = {"fid": 1.5, "is": 2.5, "recall": 0.5}, f"of 9, features {features}"
    line = {"step": 2, "metrics": numbers, "floors": numbers, "protocol": protocol}
    append(tmp_path / EVALUATIONS, [line])
    (found,) = read_evaluations(tmp_path)
    names = [*numbers] if short is None else [f"fd_{short}", f"is_{short}", "recall"]
    for part in ("metrics", "floors"):
        assert found[part] == dict(zip(names, numbers.values(), strict=True))
