import json

import pytest

from jaxgan.rundir import add_evaluation, read_evaluated
from jaxgan.util.errors import UserError

ONE = {"step": 4, "averaged": False, "digest": "0a", "protocol": "of 9", "metrics": ["fid"]}
OLD = {"step": 4, "member": None, "results": [{"metric": "fid", "value": 1.0, "floor": 0.5}]}


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
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


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
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_numbers_that_json_lacks_are_refused_before_the_file_is_touched(tmp_path):
    add_evaluation(tmp_path, ONE)
    with pytest.raises(ValueError):
        add_evaluation(tmp_path, ONE | {"protocol": "b", "value": float("nan")})
    assert read_evaluated(tmp_path) == [ONE]
