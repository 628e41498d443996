import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from jaxgan.rundir import add_evaluation, newest_of, read_evaluated
from jaxgan.util.errors import UserError

ONE = {"step": 4, "averaged": False, "digest": "0a", "protocol": "of 9", "metrics": ["fid"]}
OLD = {"step": 4, "member": None, "results": [{"metric": "fid", "value": 1.0, "floor": 0.5}]}

ABOUT = {
    **{"generated": 9, "reference": 9, "data": "mnist", "split": "train", "resizing": "none"},
    **{"features": "pixels", "weights": None, "seed": 0, "settings": {"draws": 1}},
}


def results(value: float) -> list[dict[str, Any]]:
    return [{"metric": "fd", "value": value, "protocol": ABOUT, "interval": None, "floor": 0.5}]


def test_another_evaluation_is_added_and_the_same_one_replaced(tmp_path):
    assert read_evaluated(tmp_path) == []
    others = [
        ONE | {"digest": "0b"},
        ONE | {"digest": ["0a", "0c"]},
        ONE | {"protocol": "of 10"},
        ONE | {"metrics": ["fid", "kid"]},
    ]
    for each in (ONE, *others):
        add_evaluation(tmp_path, each)
    assert read_evaluated(tmp_path) == [ONE, *others]
    again = ONE | {"date": "later"}
    add_evaluation(tmp_path, again)
    assert read_evaluated(tmp_path) == [*others, again]
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["evaluation.json"]


def test_evaluations_that_end_at_once_are_all_kept(tmp_path):
    wanted = [ONE | {"digest": str(number)} for number in range(60)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(partial(add_evaluation, tmp_path), wanted))
    kept = sorted(read_evaluated(tmp_path), key=lambda each: int(each["digest"]))
    assert kept == wanted


def test_the_newest_evaluation_is_that_of_the_same_weights(tmp_path):
    assert newest_of(tmp_path, "0a") is None
    several = {"digest": ["0c", "0d", "0e"], "members": [results(3.0), results(4.0), None]}
    for each in (
        {"results": results(1.0)},
        {"protocol": "of 10; intervals cover samples", "results": results(2.0)},
        {"digest": "0b", "results": results(5.0)},
        several,
    ):
        add_evaluation(tmp_path, ONE | each)
    found = newest_of(tmp_path, "0a")
    assert found is not None and found.protocol == "of 10"
    ((result, floor),) = found.results
    assert (result.metric, result.value, result.protocol.data, floor) == ("fd", 2.0, "mnist", 0.5)
    member = newest_of(tmp_path, "0d")
    assert member is not None and member.results[0].result.value == 4.0
    for other in ("0e", "0f"):  # the member diverged; no such weights
        assert newest_of(tmp_path, other) is None


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OLD),
        "",
        "{",
        "[]",
        '{"evaluations": [{}]}',
        '{"evaluations": 3}',
        "[" * 100_000,
        json.dumps({"evaluations": [ONE | {"digest": 3}]}),
        json.dumps({"evaluations": [ONE | {"results": [{"metric": "fd"}]}]}),
        json.dumps({"evaluations": [ONE | {"members": [results(1.0)[0]]}]}),
    ],
    ids=lambda text: text[:30],
)
def test_what_cannot_be_read_is_moved_aside_and_never_lost(text, tmp_path, caplog):
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(UserError, match="evaluation.json is damaged, or of an earlier version"):
        read_evaluated(tmp_path)
    (tmp_path / "evaluation.1.json").write_text("kept")
    add_evaluation(tmp_path, ONE)
    assert read_evaluated(tmp_path) == [ONE]
    assert (tmp_path / "evaluation.1.json").read_text() == "kept"
    assert (tmp_path / "evaluation.2.json").read_text() == text
    assert caplog.messages[0].endswith("it is evaluation.2.json now")


def test_what_is_no_file_is_told_and_stays(tmp_path):
    (tmp_path / "evaluation.json").mkdir()
    with pytest.raises(UserError, match="evaluation.json"):
        add_evaluation(tmp_path, ONE)
    assert (tmp_path / "evaluation.json").is_dir()


def test_numbers_that_json_lacks_are_refused_before_the_file_is_touched(tmp_path):
    add_evaluation(tmp_path, ONE)
    with pytest.raises(ValueError):
        add_evaluation(tmp_path, ONE | {"protocol": "b", "value": float("nan")})
    assert read_evaluated(tmp_path) == [ONE]
