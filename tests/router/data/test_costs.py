import pytest

from routeiq_router.data.costs import call_tokens, model_costs, read_costs
from routeiq_router.errors import RouterError


def test_a_site_file_goes_before_the_default_table(tmp_path):
    path = tmp_path / "costs.json"
    path.write_text('{"gpt4": 3.5, "own": 0}')
    table = read_costs(path)
    assert (table["gpt4"], table["own"], table["mixtral"]) == (3.5, 0, 13)
    assert read_costs(None)["gpt4"] == 200


def test_an_unknown_model_is_guessed_from_its_name_and_named():
    table = {"a": 5.0, "b": 50.0, "c": 500.0}
    costs, guessed = model_costs(["a", "b", "c", "big-1.5B-chat", "mystery"], table)
    assert (costs["big-1.5B-chat"], costs["mystery"]) == (1.5, 50)
    assert guessed == ["big-1.5B-chat", "mystery"]


@pytest.mark.parametrize("text", ["[]", '{"a": -1}', '{"a": "1"}', '{"a": true}', '{"a": NaN}', "x"])
def test_a_bad_cost_file_is_refused(tmp_path, text):
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(RouterError, match=r"costs\.json: "):
        read_costs(path)


def test_a_call_is_charged_for_prompt_and_answer():
    assert call_tokens("x" * 400) == 250
