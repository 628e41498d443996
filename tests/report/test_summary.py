import json
import math

import numpy as np
import pytest
from scipy import stats

from jaxgan.report import summary
from jaxgan.rundir.sweep import Members


def records(values) -> list[dict]:
    """A record for each row of a metric."""
    return [
        {"step": 5 * i + 5, "loss_d": list(row), "digest": ["0"] * len(row), "images_per_second": 1}
        for i, row in enumerate(values)
    ]


def test_the_interval_is_students():
    values = np.random.default_rng(0).normal(3, 2, 12)
    found = summary.spread(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(summary.LEVEL)
    np.testing.assert_allclose(found[2:], expected)
    np.testing.assert_allclose(found[:2], [values.mean(), values.std(ddof=1)])


def test_one_member_has_no_spread():
    mean, *others = summary.spread(np.array([2.5]))
    assert mean == 2.5
    assert all(map(math.isnan, others))


def test_a_member_is_the_mean_of_its_last_tenth():
    values = np.arange(40.0).reshape(20, 2)
    np.testing.assert_array_equal(summary.final_values(records(values))["loss_d"], [37, 38])
    np.testing.assert_array_equal(summary.final_values(records(values[:3]))["loss_d"], [4, 5])


def test_what_some_of_the_last_lines_lack_is_left_out():
    metrics = records([[1.0, 2.0]] * 20)
    metrics[-1]["loss_new"] = [5.0, 6.0]
    assert list(summary.final_values(metrics)) == ["loss_d"]
    (group,) = summary.summarize([{"step": 1}, {"step": 2}], Members(2, {}))
    assert (group.members, group.diverged, group.metrics) == (2, 0, {})
    assert len(summary.as_text([group]).splitlines()) == 1  # the heads


def test_settings_are_summarized_apart_and_members_that_diverged_are_left_out():
    members = Members(6, {"beta1": (0.1, 0.2)})
    lines = records([[1, 2, 3, 4, 5, None]])
    first, second = summary.summarize(lines, members)
    assert (first.setting, first.members, first.diverged) == ({"beta1": 0.1}, 3, 0)
    assert first.metrics["loss_d"][:2] == (2, 1)
    assert (second.diverged, second.metrics["loss_d"].mean) == (1, 4.5)
    text = summary.as_text([first, second]).splitlines()
    assert text[0].split()[:4] == ["setting", "metric", "members", "mean"]
    assert text[2].split()[:6] == ["beta1=0.2", "loss_d", "2", "of", "3", "4.5"]
    told = json.loads(json.dumps(summary.as_json([first, second], lines), allow_nan=False))
    assert told["members"]["loss_d"] == [1, 2, 3, 4, 5, None]
    assert told["groups"][1]["metrics"]["loss_d"]["mean"] == 4.5


def test_where_all_diverged_that_is_said():
    (group,) = summary.summarize(records([[None, None]]), Members(2))
    assert (group.diverged, group.metrics) == (2, {})
    assert "all diverged  0 of 2" in summary.as_text([group])


@pytest.mark.parametrize("count", [1, 3])
def test_heads_and_rows_fit(count):
    heads, rows = summary.table(summary.summarize(records([[1.0] * count]), Members(count)))
    assert all(len(row) == len(heads) for row in rows)
